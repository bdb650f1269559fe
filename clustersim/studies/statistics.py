"""Intervals from independent replications."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["crossing", "mean_interval"]


def mean_interval(values: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent replications with its confidence interval.

    Student's t, as in Law, "Simulation Modeling and Analysis", section 4.5.

    Parameters
    ----------
    values : array_like (replications,)
        One number a replication; NaN are left out.
    level : float
        Confidence level.

    Returns
    -------
    mean, low, high : float
        The interval is not finite with fewer than two replications.

    Examples
    --------
    >>> mean_interval([9.0, 10.0, 11.0])[0]
    10.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) == 0:
        return math.nan, math.nan, math.nan
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, -math.inf, math.inf
    error = float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    half = float(stats.t.ppf(0.5 + level / 2, len(numbers) - 1)) * error
    return mean, mean - half, mean + half


def crossing(loads: npt.ArrayLike, values: npt.ArrayLike, objective: float) -> tuple[float, float]:
    """Load at which a measure that grows with the load first exceeds an objective.

    Parameters
    ----------
    loads, values : array_like (points,)
        A curve, by ascending load; infinite values are overload.
    objective : float
        The largest value allowed, more than 0.

    Returns
    -------
    low, high : float
        Equal, and interpolated linearly in the logarithm of ``1 + value / objective``,
        where the first load that breaks the objective has a finite value.  Else the
        last load that keeps it and the next: with the overload in between nothing more
        is known.  NaN if even the lowest load breaks it, infinite if no load does.

    Examples
    --------
    >>> crossing([0.5, 0.7, 0.9], [0.0, 10.0, float("inf")], 60.0)
    (0.7, 0.9)
    >>> crossing([0.5, 0.7], [1.0, 2.0], 60.0)
    (inf, inf)
    """
    load = np.asarray(loads, dtype=np.float64)
    value = np.asarray(values, dtype=np.float64)
    broken = np.flatnonzero(~(value <= objective))
    if len(broken) == 0:
        return math.inf, math.inf
    first = int(broken[0])
    if first == 0:
        return math.nan, math.nan
    kept, next_load = float(load[first - 1]), float(load[first])
    if not math.isfinite(value[first]):
        return kept, next_load
    scaled = np.log1p(value[first - 1 : first + 1] / objective)
    part = float((math.log(2.0) - scaled[0]) / (scaled[1] - scaled[0]))
    return (kept + part * (next_load - kept),) * 2
