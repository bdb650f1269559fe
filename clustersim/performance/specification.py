"""Random draws of the unknown specifications of a hypothetical chip."""

from __future__ import annotations

import zlib

import numpy as np

from clustersim.array_types import Floats
from clustersim.catalogue import Accelerator
from clustersim.performance.coefficient_draw import stratified_uniforms

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
    generator = np.random.default_rng(np.random.SeedSequence([seed, _number(name, field)]))
    low, high = limits
    return low + (high - low) * generator.random(draws)


def _number(name: str, field: str) -> int:
    return zlib.crc32(f"{name}\t{field.split('.')[0]}".encode())


def _share(name: str, field: str, number: int) -> float:
    """Return where a value lies between its limits in a draw, stratified over the draws."""
    return float(stratified_uniforms(number, (_number(name, field),))[0])


def draw_accelerator(accelerator: Accelerator, seed: int) -> Accelerator:
    """Draw one specification of a hypothetical chip; any other chip is returned unchanged.

    The specifications with the seeds 0, 1, 2, ... are stratified; see
    :meth:`~clustersim.performance.Calibration.draw`.

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
        field: low + (high - low) * _share(accelerator.name, field, seed)
        for field, (low, high) in accelerator.ranges.items()
    }
    peaks = {
        field.removeprefix("peak_flops."): value
        for field, value in drawn.items()
        if field.startswith("peak_flops.")
    }
    numbers = {field: value for field, value in drawn.items() if field in RANGED}
    return accelerator.at(peak_flops=peaks, **numbers)
