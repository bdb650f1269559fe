"""Weeks of a log, drawn again as replications draw them, for many logs at once."""

from __future__ import annotations

import numpy as np

__all__ = ["drawn_weeks"]


def drawn_weeks(generator: np.random.Generator, count: int, weeks: int) -> np.ndarray:
    """Return the weeks of `count` drawn periods (count, weeks), none of which has all weeks."""
    drawn = generator.integers(0, weeks, (count, weeks))
    while len(same := np.flatnonzero((np.sort(drawn) == np.arange(weeks)).all(axis=1))):
        drawn[same] = generator.integers(0, weeks, (len(same), weeks))
    return drawn
