"""Whether an interval says something about its value; pages and pictures ask the same function.

An interval over more than a factor of 1,000, or over all possible values, determines nothing.
With few runs, the same holds for an interval that reaches a bound of its metric: Student's t with
one or two degrees of freedom is then so wide that only the bound cuts it off.
"""

from __future__ import annotations

import numpy as np

from clustersim.analysis.metrics import find_metric
from clustersim.array_types import Bools, Floats

__all__ = ["FEW", "MOST_FACTOR", "is_undetermined", "open_sides", "relative_bounds"]

MOST_FACTOR = 1000.0
"""Largest ratio of the ends of an interval that determines a positive quantity."""
FEW = 3
"""Number of runs up to which an interval that reaches a bound of its metric is not shown."""


def relative_bounds(metric: str) -> tuple[float, float]:
    """Return the bounds of a relative difference: a positive metric cannot fall by over 100 %.

    Examples
    --------
    >>> relative_bounds("mean_wait_s")
    (-1.0, inf)
    """
    found = find_metric(metric)
    return (-1.0, np.inf) if found is not None and found.least >= 0 else (-np.inf, np.inf)


def open_sides(
    middle: Floats, low: Floats, high: Floats, bounds: tuple[float, float]
) -> tuple[Bools, Bools]:
    """Return whether the lower and the upper end of intervals are infinite or at a bound.

    Parameters
    ----------
    middle, low, high : array (rows,)
        Values and ends of their intervals.
    bounds : (float, float)
        Least and largest possible value.
    """
    least, most = bounds
    return (
        np.isneginf(low) | ((low <= least) & (low < middle)),
        np.isposinf(high) | ((high >= most) & (high > middle)),
    )


def is_undetermined(
    middle: Floats,
    low: Floats,
    high: Floats,
    bounds: tuple[float, float],
    *,
    count: Floats | None = None,
    null: float | None = None,
) -> Bools:
    """Return which intervals say nothing about their values.

    Parameters
    ----------
    middle, low, high : array (rows,)
        Values and ends of their intervals; a NaN means that there is no interval.
    bounds : (float, float)
        Least and largest possible value.
    count : array (rows,), optional
        Number of runs, or of pairs of runs.
    null : float, optional
        Value of no effect; an interval that excludes it says at least the direction.

    Examples
    --------
    >>> ends = [np.array([number]) for number in (3.0, 0.001, 900.0)]
    >>> is_undetermined(*ends, (0.0, np.inf)).tolist()
    [True]
    """
    least, most = bounds
    known = np.isfinite(middle) & ~np.isnan(low) & ~np.isnan(high)
    open_low, open_high = open_sides(middle, low, high, bounds)
    nothing = open_low & open_high
    if np.isfinite(least) and not np.isfinite(most):
        with np.errstate(invalid="ignore"):
            wide = (low > least) & (high - least > MOST_FACTOR * (low - least))
        nothing |= wide | open_high
    if count is not None:
        nothing |= (np.asarray(count) <= FEW) & (open_low | open_high)
    if null is not None:
        nothing &= (low <= null) & (high >= null)
    return np.asarray(nothing & known, dtype=np.bool_)
