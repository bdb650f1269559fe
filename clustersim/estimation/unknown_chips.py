"""Hypothetical chips that replace chips not in the catalogue, from their peak and similar chips."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.units import number_or_nan

__all__ = ["FOR_UNKNOWN_CHIPS", "UnknownChip", "unknown_chip"]

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
LEAST_PEAK, LARGEST_PEAK = 1.0, 1e6


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
    peak = number_or_nan(given.get("peak_tflops", ""))
    stated = LEAST_PEAK <= peak <= LARGEST_PEAK
    if not stated:
        if not named or given.get("peak_tflops", "").strip():
            return None
        precision = precision if precision in named[0].peak_flops else "bf16"
        peak = named[0].peak_flops[precision] / 1e12
    double = FP8_TO_BF16 if precision == "fp8" else 1.0
    if named:
        nearest = _nearest(named, peak * 1e12 / double) if stated and not memory else named
    else:
        servers = [chip for chip in known if chip.scaleup_size <= LARGEST_DOMAIN]
        nearest = _nearest(servers, peak * 1e12 / double, number_or_nan(given.get("year", "")))
    nearest = nearest[:RELATIVES]
    like = nearest[0]
    numbers = {
        field: (min(values), max(values))
        for field in DRAWN
        if len(values := {getattr(chip, field) for chip in nearest}) > 1
    }
    specification = {field: getattr(like, field) for field in (*DRAWN, "scaleup_size", "power_w")}
    own = {
        field: number * unit
        for field, (column, unit) in SPECIFIED.items()
        if (number := number_or_nan(given.get(column, ""))) > 0 and number < math.inf
    }
    own["hbm_bytes"] = own.get("hbm_bytes", 0.0) or memory or like.hbm_bytes
    ranges = {field: bounds for field, bounds in numbers.items() if field not in own}
    watts = re.search(r"\b(\d{2,4})\s*w(?:att)?s?\b", name, re.IGNORECASE)
    if watts:
        own["power_w"] = float(watts.group(1))
    if named and memory == like.hbm_bytes and own.get("power_w") == like.power_w:
        ranges = {}  # a chip of the catalogue under another name
    full = max(named, key=lambda chip: chip.power_w, default=like)
    share = own.get("power_w", full.power_w) / full.power_w
    limited = bool(named) and share < 1.0 and peak * 1e12 > 0.95 * full.peak_flops[precision]
    bf16 = peak * 1e12 / double
    if limited:
        bf16, ranges["peak_flops.bf16"] = bf16 * share ** (1 / 3), (bf16 * share, bf16)
    specification |= own
    size = max(int(min(specification.pop("scaleup_size"), LARGEST_DOMAIN)), 1)
    accelerator = Accelerator(
        name=f"{name} of {bf16 * double / 1e12:.4g} TFLOP/s in {precision}",
        vendor="unknown",
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
    source = "as given" if stated else f"that of {like.name}"
    note = f"unknown accelerator: {peak:g} TFLOP/s, {source}; "
    if limited:
        note += f"{bf16 * double / 1e12:.0f} TFLOP/s at {own['power_w']:g} W; "
    note += f"other numbers that are not given are those of {like.name}"
    others = ", ".join(chip.name for chip in nearest[1:])
    return UnknownChip(accelerator, note + (f" (range of {others})" if ranges and others else ""))


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
