"""Hypothetical chips that replace chips not in the catalogue, from their peak and similar chips."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.catalogue.accelerator import UNKNOWN_VENDOR
from clustersim.units import number_or_nan

__all__ = ["FOR_UNKNOWN_CHIPS", "UnknownChip", "impossible_numbers", "unknown_chip",
           "unused_numbers"]  # fmt: skip

FOR_UNKNOWN_CHIPS: Mapping[str, str] = {
    "peak_tflops": "dense peak in the row's precision, for a chip that is not in the catalogue",
    "hbm_bandwidth_GBps": "memory bandwidth in GB/s, for a chip that is not in the catalogue",
    "scaleup_GBps": "bandwidth of a chip in its scale-up domain in GB/s in one direction, for a "
    "chip that is not in the catalogue",
    "power_w": "power of a chip in W, for a chip that is not in the catalogue",
    "year": "year of the run, to find the most similar chips",
}
"""Columns that are read if a chip is not in the catalogue."""
SPECIFIED = {
    "hbm_bytes": ("chip_memory_gb", 1e9),
    "hbm_Bps": ("hbm_bandwidth_GBps", 1e9),
    "scaleup_Bps": ("scaleup_GBps", 1e9),
    "nic_Bps": ("inter_node_gbps_per_device", 1e9 / 8.0),
    "scaleup_size": ("devices_per_node", 1.0),
    "power_w": ("power_w", 1.0),
}
"""Columns with numbers of an unknown chip, and their units in those of the catalogue."""

RELATIVES = 4
"""Number of similar chips in the catalogue whose values define the range of an unknown chip."""
YEARS_PER_DOUBLING = 2.0
"""In the search for similar chips, this difference in years counts as much as a factor of two in
the peak."""
DRAWN = ("hbm_Bps", "scaleup_Bps", "nic_Bps")
FP8_TO_BF16 = 2.0
"""FP8 peak divided by BF16 peak, as on the chips that have both."""
LARGEST_DOMAIN = 72
"""Chips with a larger scale-up domain (TPU pods) are not considered similar."""
POSSIBLE = {
    "peak_tflops": (1.0, 1e6),
    "chip_memory_gb": (1.0, 1e4),
    "hbm_bandwidth_GBps": (20.0, 1e5),
    "scaleup_GBps": (1.0, 1e5),
    "power_w": (10.0, 1e5),
}
"""Least and largest number of a column; others are taken for a wrong unit and not used."""
POWER = re.compile(
    r"(?<![a-z0-9.])(?P<number>\d+(?:\.\d+)?)[\s_]*(?P<kilo>k?)w(?:att)?s?(?![a-z0-9])",
    re.IGNORECASE,
)
"""The power that a chip's name states, as in ``H200 at 500 W`` or ``H20_0.5kW``."""
NEARLY = 0.05
"""A number that differs from the catalogue's by at most this share does not contradict it."""


@dataclass(frozen=True)
class UnknownChip:
    """A hypothetical chip that replaces a chip not in the catalogue, and a note on assumptions.

    Attributes
    ----------
    accelerator : Accelerator
        Marked as hypothetical, with the range of similar chips for each number that is not given.
    note : str
    """

    accelerator: Accelerator
    note: str


def unknown_chip(
    name: str, given: Mapping[str, str], precision: str, catalogue: Catalogue
) -> UnknownChip | None:
    """Build a hypothetical chip from a given specification; return None if its peak is unknown.

    If the name contains the model number of known chips (``A100-SXM-64GB``), the chip has their
    architecture, and their peak if none is given; among them, a chip with the memory that the name
    states comes first. Otherwise it has its own architecture, so that its efficiencies have the
    spread of all chips. Numbers that are not given are those of the chip that is nearest in peak
    and year. If the name states a power (``at 500 W``) below that of its model, the peak falls with
    the cube root of the power, because the dynamic power of a chip grows with the cube of its clock
    frequency: the H100 NVL has 0.57 of the power of the H100 SXM and 0.84 of its peak.

    Parameters
    ----------
    name : str
    given : mapping of str to str
        Values of the columns :data:`FOR_UNKNOWN_CHIPS` and of `inter_node_gbps_per_device`,
        `devices_per_node` and `chip_memory_gb`; unusable ones count as not given.
    precision : {"bf16", "fp8"}
        Precision of the peak.
    catalogue : Catalogue

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> made = unknown_chip("A100-SXM-64GB", {"peak_tflops": "312"}, "bf16", load_catalogue())
    >>> made.accelerator.family, made.accelerator.hbm_bytes
    ('ampere', 64000000000.0)
    """
    known = [chip for chip in catalogue.accelerators.values() if not chip.hypothetical]
    gigabytes = re.search(r"(\d+)\s*gb", name, re.IGNORECASE)
    memory = 1e9 * float(gigabytes.group(1)) if gigabytes else 0.0
    named = _of_model(name, memory, known)
    stated = _stated_peak(given)
    if stated is None and (not named or given.get("peak_tflops", "").strip()):
        return None
    if stated is None:
        precision = precision if precision in named[0].peak_flops else "bf16"
    peak = named[0].peak_flops[precision] if stated is None else stated
    double = FP8_TO_BF16 if precision == "fp8" else 1.0
    if not named:
        servers = [chip for chip in known if chip.scaleup_size <= LARGEST_DOMAIN]
        nearest = _nearest(servers, peak / double, number_or_nan(given.get("year", "")))
    elif stated is not None and not memory:
        nearest = _nearest(named, peak / double)
    else:
        nearest = named
    nearest = nearest[:RELATIVES]
    like = nearest[0]
    own = _own_numbers(name, given)
    own["hbm_bytes"] = own.get("hbm_bytes", 0.0) or memory or like.hbm_bytes
    same = bool(named) and memory == like.hbm_bytes and own.get("power_w") == like.power_w
    ranges = {} if same else _ranges(nearest, own)
    full = max(named, key=lambda chip: chip.power_w, default=like)
    share = own.get("power_w", full.power_w) / full.power_w
    limited = bool(named) and share < 1.0 and peak / double > 0.95 * full.peak_flops["bf16"]
    bf16 = peak / double
    if limited:
        bf16, ranges["peak_flops.bf16"] = bf16 * share ** (1 / 3), (bf16 * share, bf16)
    specification = {field: getattr(like, field) for field in (*DRAWN, "scaleup_size", "power_w")}
    specification |= own
    size = max(int(min(specification.pop("scaleup_size"), LARGEST_DOMAIN)), 1)
    accelerator = Accelerator(
        name=f"{name} of {bf16 * double / 1e12:.4g} TFLOP/s in {precision}",
        vendor=UNKNOWN_VENDOR,
        year=like.year,
        family=like.family if named else "other",
        peak_flops={"bf16": bf16, **({"fp8": bf16 * double} if precision == "fp8" else {})},
        hbm_type="unknown",
        hbm_stacks=None,
        scaleup_shape=like.scaleup_shape,
        scaleup_size=size,
        chips_per_node=size if "scaleup_size" in own else like.chips_per_node,
        hypothetical=True,
        ranges=ranges,
        **specification,
    )
    source = f"that of {like.name}" if stated is None else "as given"
    note = f"unknown accelerator: {peak / 1e12:g} TFLOP/s, {source}; "
    if limited:
        note += f"{bf16 * double / 1e12:.0f} TFLOP/s at {own['power_w']:g} W; "
    return UnknownChip(accelerator, note + _rest(own, nearest, ranged=bool(ranges)))


def _rest(own: Mapping[str, float], nearest: Sequence[Accelerator], *, ranged: bool) -> str:
    """Return where the numbers of an unknown chip come from, beside its peak."""
    if all(field in own for field in SPECIFIED):
        return "all other numbers are given"
    others = ", ".join(chip.name for chip in nearest[1:])
    text = f"other numbers that are not given are those of {nearest[0].name}"
    return f"{text} (range of {others})" if ranged and others else text


def impossible_numbers(given: Mapping[str, str]) -> dict[str, str]:
    """Return a message for each column whose number no chip can have, which is not used.

    Parameters
    ----------
    given : mapping of str to str
        Values of the columns :data:`FOR_UNKNOWN_CHIPS` and of `chip_memory_gb`.

    Examples
    --------
    >>> impossible_numbers({"power_w": "0.7", "peak_tflops": "989"})
    {'power_w': 'power_w: must be from 10 to 100,000, found 0.7; it is not used.'}
    """
    messages = {}
    for column, (least, largest) in POSSIBLE.items():
        number = number_or_nan(given.get(column, ""))
        if number < least or number > largest:
            messages[column] = (
                f"{column}: must be from {least:,.0f} to {largest:,.0f}, found {number:g}; it is "
                "not used."
            )
    return messages


def unused_numbers(chip: Accelerator, given: Mapping[str, str]) -> str:
    """Return a note on numbers that contradict a chip of the catalogue; empty if there are none.

    Parameters
    ----------
    chip : Accelerator
        The chip of the catalogue that a row names. Its own numbers are used.
    given : mapping of str to str
        Values of the columns :data:`FOR_UNKNOWN_CHIPS`.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> h100 = load_catalogue().accelerator("H100")
    >>> unused_numbers(h100, {"power_w": "500", "peak_tflops": "989"})
    'H100 is in the catalogue and keeps its own numbers; not used: power_w 500 (its own: 700).'
    """
    known = {
        "peak_tflops": [peak / 1e12 for peak in chip.peak_flops.values()],
        "hbm_bandwidth_GBps": [chip.hbm_Bps / 1e9],
        "scaleup_GBps": [chip.scaleup_Bps / 1e9],
        "power_w": [chip.power_w],
    }
    unused = []
    for column, numbers in known.items():
        number = number_or_nan(given.get(column, ""))
        if number > 0 and all(abs(number / own - 1.0) > NEARLY for own in numbers):
            unused.append(f"{column} {number:g} (its own: {numbers[0]:g})")
    if not unused:
        return ""
    return (
        f"{chip.name} is in the catalogue and keeps its own numbers; not used: {', '.join(unused)}."
    )


def _stated_peak(given: Mapping[str, str]) -> float | None:
    """Return the stated peak in FLOP/s; None if there is none or it is out of range."""
    peak = number_or_nan(given.get("peak_tflops", ""))
    least, largest = POSSIBLE["peak_tflops"]
    return peak * 1e12 if least <= peak <= largest else None


def _own_numbers(name: str, given: Mapping[str, str]) -> dict[str, float]:
    """Return the numbers of a chip that its columns and its name state."""
    own = {
        field: number * unit
        for field, (column, unit) in SPECIFIED.items()
        if (number := number_or_nan(given.get(column, ""))) > 0 and number < math.inf
    }
    if watts := POWER.search(name):
        own["power_w"] = float(watts["number"]) * (1e3 if watts["kilo"] else 1.0)
    return own


def _ranges(
    nearest: Sequence[Accelerator], own: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return the least and largest value among similar chips of each number that is not given."""
    return {
        field: (min(values), max(values))
        for field in DRAWN
        if field not in own and len(values := {getattr(chip, field) for chip in nearest}) > 1
    }


def _of_model(name: str, memory: float, known: Sequence[Accelerator]) -> list[Accelerator]:
    """Return the chips whose model number is in a name, the one with the given memory first."""
    named = [chip for chip in known if _model_numbers(chip) & _words(name)]
    shared = {chip.name: len(_all_words(chip) & _words(name)) for chip in named}
    most = max(shared.values(), default=0)
    best = [chip for chip in named if shared[chip.name] == most]
    return sorted(best, key=lambda chip: abs(chip.hbm_bytes - memory) if memory else 0.0)


def _nearest(
    chips: Sequence[Accelerator], bf16: float, year: float = math.nan
) -> list[Accelerator]:
    """Return the nearest chips, ordered by distance in peak (doublings) and year."""

    def distance(chip: Accelerator) -> float:
        years = abs(year - chip.year) / YEARS_PER_DOUBLING if math.isfinite(year) else 0.0
        return abs(math.log2(chip.peak_flops["bf16"] / bf16)) + years

    return sorted(chips, key=distance)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower())) - {""}


def _all_words(chip: Accelerator) -> set[str]:
    return {word for name in (chip.name, *chip.aliases) for word in _words(name)}


def _model_numbers(chip: Accelerator) -> set[str]:
    """Return the words with two or more digits in a chip's names, except memory sizes."""
    return {
        word for word in _all_words(chip) if re.search(r"\d\d", word) and not _SIZE.fullmatch(word)
    }


_SIZE = re.compile(r"\d+gb?|hbm\d\w*|nvl\d+")
