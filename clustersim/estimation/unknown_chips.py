"""Hypothetical chips that replace chips not in the catalogue, from their peak and similar chips."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.catalogue import Accelerator, Catalogue
from clustersim.units import number_or_nan

__all__ = ["UnknownChip", "unknown_chip"]

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
    name: str, peak_tflops: str, precision: str, year: str, catalogue: Catalogue
) -> UnknownChip | None:
    """Build a hypothetical chip from a given peak; return None if the peak is not a usable number.

    If the name contains the model number of known chips (``A100-SXM-64GB``), the chip has their
    architecture. Otherwise it has its own architecture, so that its efficiencies have the spread
    of all chips. Memory (unless the name states it) and links are those of the chip that is nearest
    in peak and year.

    Parameters
    ----------
    name : str
    peak_tflops : str
        Dense peak of `precision` in TFLOP/s.
    precision : {"bf16", "fp8"}
    year : str
        Year of the run, or empty.
    catalogue : Catalogue

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> made = unknown_chip("A100-SXM-64GB", "312", "bf16", "2023", load_catalogue())
    >>> made.accelerator.family, made.accelerator.hbm_bytes
    ('ampere', 64000000000.0)
    """
    peak = number_or_nan(peak_tflops)
    if not LEAST_PEAK <= peak <= LARGEST_PEAK:
        return None
    bf16 = peak * 1e12 / (FP8_TO_BF16 if precision == "fp8" else 1.0)
    known = [chip for chip in catalogue.accelerators.values() if not chip.hypothetical]
    named = [chip for chip in known if _model_numbers(chip) & _words(name)]
    if named:
        shared = {chip.name: len(_all_words(chip) & _words(name)) for chip in named}
        most = max(shared.values())
        nearest = _nearest([chip for chip in named if shared[chip.name] == most], bf16)
    else:
        servers = [chip for chip in known if chip.scaleup_size <= LARGEST_DOMAIN]
        nearest = _nearest(servers, bf16, number_or_nan(year))
    like = nearest[0]
    ranges = {
        field: (min(values), max(values))
        for field in DRAWN
        if len(values := {getattr(chip, field) for chip in nearest}) > 1
    }
    gigabytes = re.search(r"(\d+)\s*gb", name, re.IGNORECASE)
    hbm_bytes = 1e9 * float(gigabytes.group(1)) if gigabytes else like.hbm_bytes
    peaks = {"bf16": bf16, **({"fp8": peak * 1e12} if precision == "fp8" else {})}
    accelerator = Accelerator(
        name=f"{name} of {peak:g} TFLOP/s in {precision}",
        vendor="unknown",
        year=like.year,
        family=like.family if named else "other",
        peak_flops=peaks,
        hbm_bytes=hbm_bytes,
        hbm_Bps=like.hbm_Bps,
        hbm_type="unknown",
        hbm_stacks=None,
        scaleup_Bps=like.scaleup_Bps,
        scaleup_shape=like.scaleup_shape,
        scaleup_size=like.scaleup_size,
        chips_per_node=like.chips_per_node,
        nic_Bps=like.nic_Bps,
        power_w=like.power_w,
        hypothetical=True,
        ranges=ranges,
    )
    others = ", ".join(chip.name for chip in nearest[1:])
    note = f"unknown accelerator: {peak:g} TFLOP/s as given; memory and links of {like.name}" + (
        f" (range of {others})" if ranges else ""
    )
    return UnknownChip(accelerator, note)


def _nearest(
    chips: Sequence[Accelerator], bf16: float, year: float = math.nan
) -> list[Accelerator]:
    """Return the nearest chips, ordered by distance in peak (doublings) and year."""

    def distance(chip: Accelerator) -> float:
        years = abs(year - chip.year) / YEARS_PER_DOUBLING if math.isfinite(year) else 0.0
        return abs(math.log2(chip.peak_flops["bf16"] / bf16)) + years

    return sorted(chips, key=distance)[:RELATIVES]


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
