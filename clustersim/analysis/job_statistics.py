"""Statistics over the jobs of all replications: means, quantiles, and shares above a limit.

Each statistic has a plain estimate.  If the stationary distribution of the unfinished work is known
(:mod:`clustersim.analysis.unfinished_work`), it also has an estimate with control variates.  The
first control is the same statistic of the unfinished work.  With 8 replications or more, the second
control is the mean square of the work of a job.  It is needed because a single large job raises the
unfinished work of the whole fleet, but blocks only its own chips.  Without the second control, the
regression would overstate the effect of rare large jobs that occurred in no run.

Waits are positive and skewed, so intervals are symmetric on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from clustersim.analysis.control_variates import (
    Control,
    Estimate,
    Estimates,
    controlled,
    jackknife,
    least_explained,
    pseudo_values,
)
from clustersim.analysis.metrics import jobs_statistic
from clustersim.analysis.samples import Pooled, Sample
from clustersim.analysis.unfinished_work import SPEEDS, SQUARE, stationary_name, work_name
from clustersim.array_types import Floats

__all__ = [
    "CLEARLY_LESS",
    "best_of",
    "job_mean",
    "job_quantile",
    "metric_over_jobs",
    "share_above",
    "with_and_without",
    "work_deviations",
]

ENOUGH_FOR_TWO = 8
"""Smallest number of replications with which a second control variate is used."""
CLEARLY_LESS = 0.7
"""Largest ratio of unexplained variances at which a control replaces those before it."""
SAME = 1e-5
"""Relative difference below which stationary distributions of runs are the same; their values are
stored with single precision."""
Samples = Mapping[str, Sample]
"""The samples of a run; see :class:`~clustersim.analysis.measures.Measured`."""


def best_of(found: Mapping[str, Estimate]) -> Estimate | None:
    """Return the estimate of the best control; None if none explains enough.

    See :func:`~clustersim.analysis.control_variates.least_explained`.

    A control replaces those before it only if the variance that it leaves unexplained is clearly
    smaller.  Otherwise, the best of several similar controls would partly be chosen by chance, and
    its interval would be too narrow.

    Examples
    --------
    >>> best_of({"a": Estimate(1.0, 0.0, 2.0, 0.6), "b": Estimate(1.1, 0.5, 1.7, 0.8)}).value
    1.1
    >>> best_of({"a": Estimate(1.0, 0.0, 2.0, 0.6), "b": Estimate(1.1, 0.5, 1.7, 0.7)}).value
    1.0
    """
    best = None
    for each in found.values():
        count = len(each.influence)
        if count and each.explained < least_explained(count, count - 1 - int(each.freedom)):
            continue
        if best is None or 1.0 - each.explained < CLEARLY_LESS * (1.0 - best.explained):
            best = each
    return best


def metric_over_jobs(
    name: str, values: Floats, runs: Sequence[Samples]
) -> tuple[Estimate, Estimate | None] | None:
    """Return the estimate of a metric that is defined over the jobs of all runs.

    Parameters
    ----------
    name : str
        Name of the metric.
    values : float64 array (runs,)
        The metric of each run.
    runs : sequence of mapping of str to Sample

    Returns
    -------
    plain, controlled : Estimate, Estimate or None
        The controlled estimate is that of the best control (:func:`best_of`).  None instead of this
        pair for any other metric, or if a run has no value or no sample.

    Examples
    --------
    >>> plain, _ = metric_over_jobs("mean_wait_s", np.array([1.0, 3.0]), [{}, {}])
    >>> plain.value
    2.0
    """
    statistic = jobs_statistic(name)
    if statistic is None or np.isnan(values).any():
        return None
    quantity, q = statistic
    if q is None:
        plain, found = job_mean(values, runs, quantity)
        return plain, best_of(found)
    if not all(quantity in each for each in runs):
        return None
    return job_quantile(runs, quantity, q)


def job_quantile(
    runs: Sequence[Samples], quantity: str, q: float
) -> tuple[Estimate, Estimate | None]:
    """Return a quantile of a quantity over the jobs of all runs.

    Parameters
    ----------
    runs : sequence of mapping of str to Sample
        Independent replications.
    quantity : str
        Name of a sample, such as ``wait_s``.
    q : float
        Probability of the quantile.

    Returns
    -------
    plain : Estimate
        The interval reaches as far on both sides as the interval of the share above a limit (see
        :func:`share_above`) contains ``1 - q``.  An end is infinite if no limit in the runs is far
        enough.
    controlled : Estimate or None
        The same from the controlled share.  The control is the best one at the quantile
        (:func:`best_of`).  None if no control can be used there.

    Examples
    --------
    >>> runs = [{"wait_s": Sample.of(range(k, 100 + k))} for k in (1, 2, 3)]
    >>> plain, controlled = job_quantile(runs, "wait_s", 0.5)
    >>> round(plain.value, 6), controlled is None
    (51.5, True)
    """
    pooled = Pooled([run[quantity] for run in runs])
    found = float(pooled.quantiles(q)[0])
    tails = np.concatenate([np.geomspace(1e-4, 0.1, 41), np.linspace(0.1, 1.0, 37)[1:-1]])
    limits = np.unique(np.append(pooled.at(1.0 - tails), found))
    plain = _inverted(jackknife(pooled.above(limits)).positive(), limits, 1.0 - q, found)
    usable = {}
    for name, shares in _controlled_shares(runs, pooled, limits).items():
        value = _where_falls_to(1.0 - q, limits, np.minimum.accumulate(shares.value))
        near = _nearest(limits, value) if math.isfinite(value) else 0
        enough = least_explained(len(runs), len(runs) - 1 - shares.freedom)
        if math.isfinite(value) and shares.usable[near] and shares.explained[near] >= enough:
            usable[name] = _inverted(shares, limits, 1.0 - q, value)
    return plain, best_of(usable)


def _nearest(limits: Floats, value: float) -> int:
    return int(np.argmin(np.abs(limits - value)))


def _inverted(shares: Estimates, limits: Floats, target: float, value: float) -> Estimate:
    """Return a limit with its interval, from the intervals of the shares above all limits."""
    near = _nearest(limits, value)
    beyond = np.flatnonzero(shares.low[: near + 1] > target)
    low = float(limits[0])
    if len(beyond):
        low = _where_falls_to(target, limits[beyond[-1] :], shares.low[beyond[-1] :])
    high = _where_falls_to(target, limits[near:], shares.high[near:])
    explained = float(shares.explained[near])
    return Estimate(value, min(low, value), max(high, value), explained)


def share_above(
    runs: Sequence[Samples], quantity: str, limit: float
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return the share of the jobs of all runs whose quantity is above a limit.

    The first control is the share of jobs that find more than a certain amount of unfinished work.
    The amount is chosen so that, over all runs, it is exceeded as often as the limit.

    Parameters
    ----------
    runs, quantity
        As for :func:`job_quantile`.
    limit : float
        In the unit of the quantity.

    Returns
    -------
    plain : Estimate
    controlled : dict of str to Estimate
        By control, only those that can be used.

    Examples
    --------
    >>> runs = [{"wait_s": Sample.of([0.0, 10.0, 20.0])}, {"wait_s": Sample.of([0.0, 0.0, 30.0])}]
    >>> round(share_above(runs, "wait_s", 25.0)[0].value, 3)
    0.167
    """
    pooled = Pooled([run[quantity] for run in runs])
    limits = np.array([limit])
    found = _controlled_shares(runs, pooled, limits)
    usable = {name: shares.one(0) for name, shares in found.items() if shares.usable[0]}
    return jackknife(pooled.above(limits)).positive().one(0), usable


def job_mean(
    means: Floats, runs: Sequence[Samples], quantity: str = ""
) -> tuple[Estimate, dict[str, Estimate]]:
    """Return the mean of a quantity over the jobs of all runs.

    Parameters
    ----------
    means : float64 array (runs,)
        Mean of each run.
    runs, quantity
        As for :func:`job_quantile`.  Runs without such a sample have equal weight.

    Returns
    -------
    plain : Estimate
        With the jackknife; the interval is symmetric on a logarithmic scale.
    controlled : dict of str to Estimate
        By control, only those that can be used; both ends are positive.

    Examples
    --------
    >>> plain, controlled = job_mean(np.array([1.0, 2.0, 3.0]), [{}, {}, {}])
    >>> plain.value, plain.low > 0, controlled
    (2.0, True, {})
    """
    counted = all(quantity in run for run in runs)
    weight = np.array([run[quantity].count if counted else 1.0 for run in runs], dtype=np.float64)
    found = with_and_without(means, weight)
    squares = _square_control(runs)
    usable = {}
    for name, stationary in _controls(runs):
        work = with_and_without(np.array([run[name].mean for run in runs]), _counts(runs, name))
        best = controlled(found, Control(work, np.array(stationary.mean)), *squares).positive()
        if best.usable and best.value > 0 and np.isfinite(best.high):
            usable[name] = best.one()
    return jackknife(found).positive().one(), usable


def work_deviations(
    runs: Sequence[Samples], quantity: str, limit: float | None = None
) -> dict[str, Floats]:
    """Return how far the unfinished work of each replication is from its expectation.

    These are controls for differences between systems; see
    :func:`~clustersim.analysis.controls.means.controlled_mean`.

    Parameters
    ----------
    runs, quantity
        As for :func:`job_quantile`.
    limit : float, optional
        The control is the share of jobs that find more than a certain amount of unfinished work,
        as for :func:`share_above`.  Without a limit, it is the mean.

    Returns
    -------
    dict of str to float64 array (runs,)
        Pseudo-values less the expectation, by control.

    Examples
    --------
    >>> work_deviations([{"wait_s": Sample.of([0.0, 10.0])}] * 3, "wait_s", 5.0)
    {}
    """
    if limit is not None and not all(quantity in run for run in runs):
        return {}
    share = 0.0
    if limit is not None:
        share = float(Pooled([run[quantity] for run in runs]).above(np.array([limit]))[0, 0])
    found = {}
    for name, stationary in _controls(runs):
        if limit is None:
            work = with_and_without(np.array([run[name].mean for run in runs]), _counts(runs, name))
            found[name] = pseudo_values(work) - stationary.mean
        else:
            unfinished = Pooled([run[name] for run in runs])
            amounts = unfinished.at(np.array([1.0 - share]))
            expected = 1.0 - stationary.sides(amounts)[1]
            found[name] = (pseudo_values(unfinished.above(amounts)) - expected)[:, 0]
    for control in _square_control(runs):
        found[SQUARE] = pseudo_values(control.values) - float(control.expected)
    return found


def _controlled_shares(
    runs: Sequence[Samples], pooled: Pooled, limits: Floats
) -> dict[str, Estimates]:
    """Return the controlled shares above some limits by control; plain where nothing varies."""
    found = pooled.above(limits)
    squares = [
        Control(
            np.broadcast_to(each.values[:, None], found.shape),
            np.broadcast_to(each.expected, limits.shape),
        )
        for each in _square_control(runs)
    ]
    shares = {}
    for name, stationary in _controls(runs):
        unfinished = Pooled([run[name] for run in runs])
        amounts = unfinished.at(1.0 - found[0])
        expected = 1.0 - stationary.sides(amounts)[1]
        each = controlled(found, Control(unfinished.above(amounts), expected), *squares).positive()
        if each.freedom:
            known = (each.value > 0) & np.isfinite(each.high)
            each = replace(each, usable=each.usable & known)
            shares[name] = each.where(known, jackknife(found).positive())
    return shares


def _controls(runs: Sequence[Samples]) -> Iterator[tuple[str, Sample]]:
    """Yield the unfinished work at each speed, with its stationary distribution in all runs."""
    for speed in SPEEDS:
        name, stationary = work_name(speed), stationary_name(speed)
        if all(name in run and stationary in run and run[name].count for run in runs):
            first = runs[0][stationary]
            if all(_is_same(run[stationary], first) for run in runs):
                yield name, first


def _square_control(runs: Sequence[Samples]) -> list[Control]:
    """Return the mean square of the work of a job as a control, if it is known and can be used."""
    expected = f"expected_{SQUARE}"
    if len(runs) < ENOUGH_FOR_TWO or not all(SQUARE in run and expected in run for run in runs):
        return []
    if not all(_is_same(run[expected], runs[0][expected]) for run in runs):
        return []
    squares = with_and_without(np.array([run[SQUARE].mean for run in runs]), _counts(runs, SQUARE))
    return [Control(squares, np.array(runs[0][expected].mean))]


def _counts(runs: Sequence[Samples], name: str) -> Floats:
    return np.array([run[name].count for run in runs], dtype=np.float64)


def _is_same(one: Sample, other: Sample) -> bool:
    return math.isclose(one.mean, other.mean, rel_tol=SAME) and np.allclose(
        one.values, other.values, rtol=SAME
    )


def _where_falls_to(target: float, limits: Floats, shares: Floats) -> float:
    """Return where falling shares reach a target, by linear interpolation; infinite if never."""
    below = np.flatnonzero(shares <= target)
    if not len(below):
        return math.inf
    first = int(below[0])
    if first == 0:
        return float(limits[0])
    before, after = shares[first - 1], shares[first]
    if math.isinf(before):
        return float(limits[first])
    part = (before - target) / (before - after)
    return float(limits[first - 1] + part * (limits[first] - limits[first - 1]))


def with_and_without(values: Floats, weight: Floats | None = None) -> Floats:
    """Return the mean over all runs, then without each of them (1 + runs,).

    The mean is weighted by `weight` (runs,) if it is given.

    Examples
    --------
    >>> with_and_without(np.array([1.0, 2.0, 6.0])).tolist()
    [3.0, 4.0, 3.5, 1.5]
    """
    weight = np.ones(len(values)) if weight is None else weight
    total, mass = (values * weight).sum(), weight.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (total - values * weight) / (mass - weight)
    return np.concatenate([[total / mass], rest])
