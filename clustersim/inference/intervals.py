"""Intervals of predictions for a source that was not measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats

__all__ = ["GUESSES", "KINDS", "NORMAL_90", "Spread", "bounds"]

GUESSES: Mapping[str, float] = {
    "lengths": 0.30,
    "batch": 0.30,
    "plan": 0.20,
    "precision": 0.20,
    "shape": 0.15,
    "size": 0.30,
    "task": 1.0,
    "passes": 0.5,
    "chip": 0.25,
    "engine": 0.15,
}
"""Standard deviation of the logarithm that an assumption adds: of the lengths of requests, of the
requests in flight, of the plan, of the precision, of the model's shape or size, of the resolution,
frames or steps of an image or video, of the passes of an image model that is not listed, and for a
chip whose architecture, or an engine, that no measurement has."""
KINDS = ("steady", "other", "burst", "images", "videos")
"""Kinds of rows whose errors differ."""
NORMAL_90 = 1.6449
"""Half-width of the 90 % interval of a standard normal distribution."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation of the logarithm of measured over predicted values of a new source.

    Attributes
    ----------
    steady, other, burst, images, videos : float
        For language models in the long run on NVIDIA's chips and on others, whose software changes
        more, for short runs whose requests arrive at once, for images and for videos, with all
        cells that matter given. They are set so that 90 % of the values of left-out sources are
        within their intervals; a source counts as ten values at most.
    """

    steady: float
    other: float
    burst: float
    images: float
    videos: float

    def of_row(self, kind: str, guessed: Collection[str]) -> float:
        """Return the standard deviation for one row of a kind with some assumptions.

        Examples
        --------
        >>> Spread(0.4, 0.5, 0.6, 0.2, 0.2).of_row("steady", ["batch"])
        0.5
        """
        own = float(getattr(self, kind))
        return float(np.sqrt(own**2 + sum(GUESSES[name] ** 2 for name in guessed)))

    def data(self) -> dict[str, float]:
        """Return the numbers as plain data."""
        return {kind: round(float(getattr(self, kind)), 4) for kind in KINDS}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Spread:
        """Return the spread from plain data."""
        return cls(*(float(data[kind]) for kind in KINDS))


def bounds(values: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Return the bounds of the 90 % interval."""
    factor = np.exp(NORMAL_90 * spread)
    return values / factor, values * factor
