"""Quantiles of a capacity by month, and the probability that a target is missed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = [
    "CONFIDENCE",
    "LEAST_DRAWS",
    "Fan",
    "Missed",
    "fan_of",
    "mean_interval_of",
    "probability_missed",
]

CONFIDENCE = 0.95
"""Level of the intervals for the sampling error."""
LEAST_DRAWS = 50
"""With fewer draws, the interval of the 10th percentile has no lower end."""
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Fan:
    """Quantiles of a quantity by month; arrays have the shape (months,).

    The intervals (`_low`, `_high`) are those of the sampling error, at the level of
    :data:`CONFIDENCE`.

    Attributes
    ----------
    p10, p50, p90 : float64 array
    p10_low, p10_high, p50_low, p50_high, p90_low, p90_high : float64 array
        Order statistics whose ranks are quantiles of a binomial distribution (Conover, "Practical
        Nonparametric Statistics", 1999, section 3.2); no distribution is assumed.
    mean : float64 array
    mean_error : float64 array
        Half width of the interval of the mean.
    """

    p10: Floats
    p50: Floats
    p90: Floats
    p10_low: Floats
    p10_high: Floats
    p50_low: Floats
    p50_high: Floats
    p90_low: Floats
    p90_high: Floats
    mean: Floats
    mean_error: Floats


def fan_of(values: Floats) -> Fan:
    """Return the fan of draws of a quantity.

    Draws count as independent. As they are stratified, the intervals are too wide rather than too
    narrow; see :mod:`clustersim.seeds`.

    Parameters
    ----------
    values : float64 array (draws, months)

    Raises
    ------
    InputError
        If there are fewer draws than :data:`LEAST_DRAWS`.

    Examples
    --------
    >>> fan = fan_of(np.arange(101.0)[:, None])
    >>> float(fan.p10[0]), float(fan.p50[0]), float(fan.p90[0])
    (10.0, 50.0, 90.0)
    >>> float(fan.p50_low[0]), float(fan.p50_high[0])
    (40.0, 60.0)
    """
    draws = len(values)
    if draws < LEAST_DRAWS:
        raise InputError("outlook", f"draws: a fan needs {LEAST_DRAWS} or more, found {draws}")
    ordered = np.sort(values, axis=0)
    found: dict[str, Floats] = {}
    for q in QUANTILES:
        name = f"p{100 * q:.0f}"
        tail = (1 - CONFIDENCE) / 2
        first = max(int(stats.binom.ppf(tail, draws, q)) - 1, 0)
        last = min(int(stats.binom.ppf(1 - tail, draws, q)), draws - 1)
        found[name] = np.quantile(ordered, q, axis=0)
        found[f"{name}_low"], found[f"{name}_high"] = ordered[first], ordered[last]
    mean, error = mean_interval_of(values)
    return Fan(**found, mean=mean, mean_error=error)


def mean_interval_of(values: Floats) -> tuple[Floats, Floats]:
    """Return the mean over the draws (the first dimension), and half the width of its interval."""
    mean = np.asarray(values.mean(axis=0), dtype=np.float64)
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(mean.shape, np.nan)
    wide = float(special.ndtri((1 + CONFIDENCE) / 2))
    return mean, np.asarray(wide * spread / math.sqrt(len(values)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Missed:
    """The probability that a target is missed.

    Attributes
    ----------
    probability : float
    low, high : float
        Interval of the sampling error, at the level of :data:`CONFIDENCE` (Wilson 1927).
    """

    probability: float
    low: float
    high: float


def probability_missed(values: Floats, target: float) -> Missed:
    """Return the probability that a quantity is below a target.

    Parameters
    ----------
    values : float64 array (draws,)
    target : float
        In the unit of `values`.

    Examples
    --------
    >>> missed = probability_missed(np.arange(100.0), 25.0)
    >>> missed.probability, round(missed.low, 3), round(missed.high, 3)
    (0.25, 0.175, 0.343)
    """
    count = int((values < target).sum())
    interval = stats.binomtest(count, len(values)).proportion_ci(CONFIDENCE, method="wilson")
    return Missed(count / len(values), float(interval.low), float(interval.high))
