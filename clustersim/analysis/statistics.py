"""Confidence intervals from independent replications and from batches of one long run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown

__all__ = [
    "FACTOR",
    "PairedDifference",
    "batch_means",
    "mean_interval",
    "paired_difference",
    "positive_interval",
    "quantile_interval",
    "run_quantile_interval",
]

LEAST_APART = 50
"""Smallest number of nearly independent observations for which a quantile has an interval."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Difference between a system and a baseline under common random numbers.

    Attributes
    ----------
    pairs : int
        Number of replications that both systems have.
    baseline_mean : float
    difference, difference_low, difference_high : float
        Mean of system minus baseline, with its interval.
    relative, relative_low, relative_high : float
        The mean difference divided by the mean of the baseline, with its interval; NaN if the mean
        of the baseline is 0 and the mean of the system is not.
    relative_note : str
        Why the relative difference has no finite interval; empty if it has one.

    Examples
    --------
    >>> from clustersim.analysis.statistics import paired_difference
    >>> found = paired_difference([11.0, 22.0, 36.0], [10.0, 20.0, 30.0])
    >>> found.pairs, found.difference
    (3, 3.0)
    """

    pairs: int
    baseline_mean: float
    difference: float
    difference_low: float
    difference_high: float
    relative: float
    relative_low: float
    relative_high: float
    relative_note: str = ""


def mean_interval(values: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of independent replications with its confidence interval.

    The interval is a Student t interval (Law, "Simulation Modeling and Analysis", section 4.5).

    Parameters
    ----------
    values : array_like (replications,)
        One number per replication; NaN values are ignored.
    level : float
        Confidence level.

    Returns
    -------
    mean, low, high : float
        With one replication, the interval is infinite; with none, all three numbers are NaN.

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
    half = float(special.stdtrit(len(numbers) - 1, 0.5 + level / 2)) * error
    return mean, mean - half, mean + half


def quantile_interval(
    values: npt.ArrayLike, q: float, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return a quantile of independent observations with a distribution-free interval.

    The ends are order statistics.  Each end misses the quantile with a probability of at most
    ``(1 - level) / 2``, which follows from the binomial distribution of the number of observations
    below the quantile (Conover, "Practical Nonparametric Statistics", section 3.2).

    Parameters
    ----------
    values : array_like (observations,)
        NaN values are ignored.
    q : float
        Between 0 and 1.
    level : float
        Confidence level.

    Returns
    -------
    quantile, low, high : float
        The quantile is interpolated linearly between order statistics, as in `numpy.quantile`.  If
        one of the two is infinite, the quantile is the nearer one.  The interval is widened to
        contain the quantile if necessary (very few observations, or `q` near 0 or 1).  An end is
        infinite if there are too few observations to bound that side.

    Raises
    ------
    InputError
        If `q` is not greater than 0 and less than 1.

    Examples
    --------
    >>> quantile_interval(range(1, 11), 0.5)
    (5.5, 2.0, 9.0)
    """
    if not 0 < q < 1:
        raise InputError("quantile", f"must be greater than 0 and less than 1, found {shown(q)}")
    numbers = np.asarray(values, dtype=np.float64)
    numbers = np.sort(numbers[~np.isnan(numbers)])
    count = len(numbers)
    if count == 0:
        return math.nan, math.nan, math.nan
    below, part = divmod((count - 1) * q, 1.0)
    lower, upper = float(numbers[int(below)]), float(numbers[math.ceil(below + part)])
    if lower == upper:
        quantile = lower
    elif math.isfinite(upper - lower):
        quantile = lower + part * (upper - lower)
    else:
        quantile = lower if part < 0.5 else upper
    tail = (1 - level) / 2
    first = _binomial_quantile(tail, count, q)
    last = _binomial_quantile(1 - tail, count, q) + 1
    low = float(numbers[first - 1]) if first > 0 else -math.inf
    high = float(numbers[last - 1]) if last <= count else math.inf
    return quantile, min(low, quantile), max(high, quantile)


def _binomial_quantile(share: float, count: int, p: float) -> int:
    """Return a quantile of a binomial distribution without the slow import of ``scipy.stats``."""
    number = math.ceil(special.bdtrik(share, count, p))
    less = number - 1
    return less if number > 0 and special.bdtr(less, count, p) >= share else number


def run_quantile_interval(
    series: npt.ArrayLike, q: float, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return a quantile of one long run in steady state with its confidence interval.

    The interval is :func:`quantile_interval` of every k-th observation; the selected observations
    are treated as independent.  Here k is the least power of two for which the indicators "above
    the quantile" of the remaining observations are not clearly correlated (at lag 1, by more than
    one standard error).  Thinning to near independence follows Heidelberger and Lewis, "Quantile
    estimation in dependent sequences", Operations Research 32(1), 1984.

    Parameters
    ----------
    series : array_like (observations,)
        Observations in order; NaN values are ignored.
    q : float
        Between 0 and 1.
    level : float
        Confidence level.

    Returns
    -------
    quantile, low, high : float
        The quantile uses all observations.  The interval is not finite if fewer than 50
        observations remain after thinning.  An end is infinite if they are too few to bound the
        quantile on that side.

    Examples
    --------
    >>> run_quantile_interval(range(40), 0.5)
    (19.5, -inf, inf)
    """
    numbers = np.asarray(series, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    quantile = float(np.quantile(numbers, q)) if len(numbers) else math.nan
    apart = 1
    while len(kept := numbers[::apart]) >= LEAST_APART:
        above = (kept > quantile) - np.mean(kept > quantile)
        # Not a dot product: BLAS adds in an order that depends on its threads.
        if (above[1:] * above[:-1]).sum() <= (above**2).sum() / math.sqrt(len(kept)):
            _, low, high = quantile_interval(kept, q, level=level)
            return quantile, min(low, quantile), max(high, quantile)
        apart *= 2
    return quantile, -math.inf, math.inf


def batch_means(
    series: npt.ArrayLike, *, batches: int = 20, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of one long run in steady state with its confidence interval.

    The means of consecutive, non-overlapping batches are treated as independent (Law, "Simulation
    Modeling and Analysis", section 9.5.3).  The batches must be much longer than the correlation
    time.

    Parameters
    ----------
    series : array_like (observations,)
        Observations in order; NaN values are ignored.  Observations that do not fill a batch are
        dropped at the start.
    batches : int
    level : float
        Confidence level.

    Returns
    -------
    mean, low, high : float
        The interval is not finite with fewer observations than batches.

    Examples
    --------
    >>> mean, low, high = batch_means([99.0, 1.0, 3.0, 2.0, 4.0], batches=2)
    >>> mean == 2.5 and low < 2.0 and high > 3.0
    True
    """
    numbers = np.asarray(series, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    size = len(numbers) // batches
    if size == 0:
        return mean_interval([numbers.mean()] if len(numbers) else [])
    means = numbers[len(numbers) - size * batches :].reshape(batches, size).mean(axis=1)
    return mean_interval(means, level=level)


def paired_difference(
    system: npt.ArrayLike, baseline: npt.ArrayLike, *, level: float = 0.95
) -> PairedDifference:
    """Compare two systems under common random numbers.

    The difference has the paired t interval (Law, "Simulation Modeling and Analysis", section
    10.2.1).  The relative difference is a ratio of means.  Its interval is a Student t interval
    from the jackknife, which leaves out one pair at a time (Efron and Tibshirani, "An Introduction
    to the Bootstrap", chapter 11; Law, section 9.5.3, for regenerative cycles); without negative
    values, it is that of the logarithm of the ratio.  A pair of two zeros is excluded from the
    ratio.

    Parameters
    ----------
    system, baseline : array_like (replications,)
        Values in the same order of replications.  A pair that contains NaN is ignored.
    level : float
        Confidence level.

    Returns
    -------
    PairedDifference
        Differences are NaN if a value is infinite or there is no pair.  Their intervals are
        infinite with one pair.  The interval of the relative difference is also infinite if the
        pairs do not determine it: fewer than two pairs have a value other than 0, the mean of the
        baseline is 0 or changes its sign when one pair is left out, or the ratio is the same in
        every pair.

    Raises
    ------
    InputError
        If `system` and `baseline` differ in length.

    Examples
    --------
    >>> paired_difference([11.0, 22.0, 36.0], [10.0, 20.0, 30.0]).relative
    0.15
    >>> paired_difference([0.0, 14.0], [0.0, 8.0]).relative_note
    'only 1 of 2 pairs has a value other than 0'
    """
    ours, theirs = (np.asarray(values, dtype=np.float64) for values in (system, baseline))
    if len(ours) != len(theirs):
        raise InputError("pairs", f"must have equal lengths, found {len(ours)} and {len(theirs)}")
    complete = ~(np.isnan(ours) | np.isnan(theirs))
    ours, theirs = ours[complete], theirs[complete]
    pairs = len(ours)
    mean = float(theirs.mean()) if pairs else math.nan
    if pairs == 0 or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return PairedDifference(pairs, mean, *(math.nan,) * 6)
    differences = ours - theirs
    difference = mean_interval(differences, level=level)
    if not differences.any():
        if pairs == 1:
            return PairedDifference(pairs, mean, *difference, 0.0, -math.inf, math.inf, _ONE_PAIR)
        return PairedDifference(pairs, mean, *difference, *(0.0,) * 3)
    if mean == 0:
        return PairedDifference(pairs, mean, *difference, *(math.nan,) * 3)
    ratio, low, high, note = _relative(ours, theirs, level)
    return PairedDifference(pairs, mean, *difference, ratio, low, high, note)


_ONE_PAIR = "one pair has no spread"
_SAME_SHARE = 1e-9
"""Relative spread of ratios below which differences are rounding errors."""


FACTOR = 1000.0
"""If an end of an interval is this factor away from the value, both ends become infinite."""


def positive_interval(value: float, half: float) -> tuple[float, float]:
    """Return an interval of a positive number that is symmetric on a logarithmic scale.

    The error of the logarithm is the relative error (delta method).

    Parameters
    ----------
    value, half : float
        The number, and the half width of its symmetric interval.

    Returns
    -------
    low, high : float
        The symmetric interval if the number is not above 0; infinite ends if they would be a factor
        of :data:`FACTOR` or more away.

    Examples
    --------
    >>> [round(end, 3) for end in positive_interval(2.0, 1.0)]
    [1.213, 3.297]
    """
    if not value > 0:
        return value - half, value + half
    change = half / value
    if not change < math.log(FACTOR):
        return -math.inf, math.inf
    return value * math.exp(-change), value * math.exp(change)


def _relative(ours: Floats, theirs: Floats, level: float) -> tuple[float, float, float, str]:
    """Return the ratio of mean difference to mean baseline, its interval, and a note."""
    pairs = len(ours)
    said = (ours != 0) | (theirs != 0)
    ours, theirs = ours[said], theirs[said]
    count = len(ours)
    total = float(theirs.sum())
    ratio = float((ours - theirs).sum()) / total
    unknown = (ratio, -math.inf, math.inf)
    if count < 2:
        only = f"only 1 of {pairs} pairs has a value other than 0"
        return (*unknown, _ONE_PAIR if pairs == 1 else only)
    rest = total - theirs
    if not (rest * total > _SAME_SHARE * total**2).all():
        return (*unknown, f"the sign of the baseline's mean depends on 1 of {pairs} pairs")
    without = ((ours - theirs).sum() - (ours - theirs)) / rest
    if np.ptp(without) <= _SAME_SHARE * max(1.0, abs(ratio)):
        return (*unknown, f"the ratio is the same in all {count} pairs with a ratio")
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(special.stdtrit(count - 1, 0.5 + level / 2)) * error
    if (ours < 0).any() or (theirs < 0).any():
        return ratio, ratio - half, ratio + half, ""
    low, high = positive_interval(1.0 + ratio, half)
    wide = f"the interval of the ratio spans more than a factor of {FACTOR:,.0f}"
    return ratio, low - 1.0, high - 1.0, "" if math.isfinite(high) else wide
