"""Quantiles of a time over draws of a fleet, each with the interval of its own estimate."""

from __future__ import annotations

import math

import numpy as np
from scipy import special
from scipy.optimize import brentq

from clustersim.array_types import Floats

__all__ = ["QUANTILES", "half_widths", "mixture_quantiles"]

QUANTILES = (0.05, 0.5, 0.95)
"""Lower end of a 90 % interval, median, and upper end."""
NORMAL_COVERAGE_FACTOR = 1.6448536269514722
"""Half width of a 90 % interval of a normal distribution, in standard deviations."""
LEAST_DEVIATION = 1e-9
FARTHEST = 8.0
"""Standard deviations beyond which a normal distribution has no weight."""


def half_widths(middle: Floats, high: Floats) -> Floats:
    """Return half the widths of 90 % intervals on a logarithmic scale.

    Examples
    --------
    >>> half_widths(np.array([2.0]), np.array([4.0])).round(3).tolist()
    [0.693]
    """
    return np.asarray(np.log(high / middle), dtype=np.float64)


def mixture_quantiles(middle: Floats, half: Floats) -> tuple[float, ...]:
    """Return quantiles of a mixture of lognormal distributions of equal weight.

    Parameters
    ----------
    middle : array, shape (D,)
        Median of each distribution; infinite for a draw in which there is no finite value.
    half : array, shape (D,)
        Half width of its 90 % interval on a logarithmic scale.

    Returns
    -------
    tuple of float
        At :data:`QUANTILES`; infinite where too few draws are finite. NaN if a median is NaN.

    Examples
    --------
    One distribution has the ends of its own interval; half of the draws are not finite:

    >>> one = mixture_quantiles(np.array([10.0]), np.array([math.log(2)]))
    >>> [round(each, 3) for each in one]
    [5.0, 10.0, 20.0]
    >>> mixture_quantiles(np.array([10.0, np.inf]), np.full(2, math.log(2)))[2]
    inf
    """
    if np.isnan(middle).any():
        return (math.nan,) * len(QUANTILES)
    finite = np.isfinite(middle)
    centre = np.log(middle[finite])
    deviation = np.maximum(half[finite] / NORMAL_COVERAGE_FACTOR, LEAST_DEVIATION)

    def share_below(at: float) -> float:
        return float(special.ndtr((at - centre) / deviation).sum()) / len(middle)

    found = []
    for quantile in QUANTILES:
        if quantile >= finite.mean():
            found.append(math.inf)
            continue
        low = float((centre - FARTHEST * deviation).min())
        high = float((centre + FARTHEST * deviation).max())
        at = brentq(lambda at, q=quantile: share_below(at) - q, low, high, xtol=1e-12)
        found.append(math.exp(at))
    return tuple(found)
