"""Random draws of the unknown specifications of a hypothetical chip."""

from __future__ import annotations

import zlib

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator

__all__ = ["RANGED", "draw_accelerator", "draw_between"]


RANGED = ("hbm_bytes", "hbm_Bps", "scaleup_Bps", "nic_Bps", "power_w")
"""Fields of a chip that may have a range, in addition to its peaks."""


def draw_between(
    name: str, field: str, limits: tuple[float, float], seed: int, draws: int
) -> Floats:
    """Draw uniformly between two limits; the draw depends only on chip name, field and seed.

    The peaks of all precisions use the same random number.

    Returns
    -------
    array, shape (draws,)
    """
    number = zlib.crc32(f"{name}\t{field.split('.')[0]}".encode())
    generator = np.random.default_rng(np.random.SeedSequence([seed, number]))
    low, high = limits
    return low + (high - low) * generator.random(draws)


def draw_accelerator(accelerator: Accelerator, seed: int) -> Accelerator:
    """Draw one specification of a hypothetical chip; any other chip is returned unchanged.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> seedchip = load_catalogue().accelerator("SeedChip")
    >>> low, high = seedchip.ranges["hbm_Bps"]
    >>> low <= draw_accelerator(seedchip, 1).hbm_Bps <= high
    True
    """
    if not accelerator.hypothetical:
        return accelerator
    drawn = {
        field: float(draw_between(accelerator.name, field, limits, seed, 1)[0])
        for field, limits in accelerator.ranges.items()
    }
    peaks = {
        field.removeprefix("peak_flops."): value
        for field, value in drawn.items()
        if field.startswith("peak_flops.")
    }
    numbers = {field: value for field, value in drawn.items() if field in RANGED}
    return accelerator.at(peak_flops=peaks, **numbers)
