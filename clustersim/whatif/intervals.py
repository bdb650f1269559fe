"""Intervals of what replications of a log show: for another period like the log."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["next_interval"]

ROOT = 3.0
"""Waits are transformed by this root: that of a skewed, nonnegative number is nearly normal, also
if some are 0 (Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931)."""


def next_interval(
    values: npt.ArrayLike, *, waits: bool = False, most: float | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Return an interval for one more replication, which also holds the first one.

    It is the prediction interval of Student's t (Law, "Simulation Modeling and Analysis", section
    4.5, for the mean; wider by the root of one plus the number of replications), for waits that of
    their cube roots.

    Parameters
    ----------
    values : array_like (replications,)
        The first is the log as it happened, the others draw its weeks again.
    waits : bool
        Whether the values are waits in seconds.
    most : float, optional
        The largest possible value of a quantity that is not negative; None for changes, which may
        be negative.
    level : float

    Returns
    -------
    low, high : float
        NaN with fewer than three replications, or if one has no value.

    Examples
    --------
    >>> next_interval([3.0, 3.0, 3.0])
    (3.0, 3.0)
    >>> low, high = next_interval([100.0, 200.0, 150.0, 120.0], waits=True)
    >>> 0 < low < 100 and 200 < high < 400
    True
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 3 or not np.isfinite(numbers).all():
        return math.nan, math.nan
    scaled = np.cbrt(numbers) if waits else numbers
    count = len(scaled)
    spread = float(scaled.std(ddof=1)) * math.sqrt(1.0 + 1.0 / count)
    half = float(special.stdtrit(count - 1, 0.5 + level / 2)) * spread
    middle = float(scaled.mean())
    low, high = middle - half, middle + half
    if waits:
        low, high = max(0.0, low) ** ROOT, high**ROOT
    if spread == 0:
        low = high = float(numbers[0])
    if most is not None:
        low, high = max(low, 0.0), min(high, most)
    return min(low, float(numbers[0])), max(high, float(numbers[0]))
