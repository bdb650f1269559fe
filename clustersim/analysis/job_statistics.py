"""Statistics over the jobs of all replications: means, quantiles, and shares above a limit.

Each has a plain estimate and, if the unfinished work of the runs has a known stationary
distribution (:mod:`clustersim.analysis.unfinished_work`), one with control variates.  The first
control is the same statistic of the unfinished work.  With 8 replications or more, the second is
the mean square of the work of a job.  It is needed because a single large job raises the
unfinished work of the whole fleet, but blocks only its own chips.  Without it, the regression
would expect too much of the rare large jobs that no run has seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from clustersim.analysis.control_variates import (
    Control,
    Estimate,
    Estimates,
    controlled,
    jackknife,
    jackknife_log,
    on_logarithmic_scale,
)
from clustersim.analysis.metrics import find_metric
from clustersim.analysis.samples import Pooled, Sample
from clustersim.array_types import Floats, Ints

__all__ = [
    "CONTROL_METRICS",
    "job_mean",
    "job_quantile",
    "metric_over_jobs",
    "share_above",
    "with_and_without",
]

CONTROL_METRICS = (
    "mean_unfinished_work_s",
    "expected_unfinished_work_s",
    "mean_square_work_s2",
    "expected_square_work_s2",
)
"""Metrics of a run from which control variates are computed."""
ENOUGH_FOR_TWO = 8
"""Smallest number of replications with which a second control variate is used."""
SAME = 1e-5
"""Relative difference below which stationary distributions of runs are the same; their values are
stored with single precision."""
Samples = Mapping[str, Sample]
"""The samples of a run; see :class:`~clustersim.analysis.measures.Measured`."""
Metrics = Mapping[str, Floats]
"""Metrics of all runs by name."""


def metric_over_jobs(
    name: str, metrics: Metrics, runs: Sequence[Samples]
) -> tuple[Estimate, Estimate | None] | None:
    """Return the estimate of a metric that is defined over the jobs of all runs.

    Parameters
    ----------
    name : str
        Name of the metric.
    metrics : mapping of str to float64 array (runs,)
        The metric, and those in :data:`CONTROL_METRICS` that are known.
    runs : sequence of mapping of str to Sample

    Returns
    -------
    plain, controlled : Estimate, Estimate or None
        None instead of this pair for any other metric, or if a run has no value or no sample.

    Examples
    --------
    >>> plain, _ = metric_over_jobs("mean_wait_s", {"mean_wait_s": np.array([1.0, 3.0])}, [{}, {}])
    >>> plain.value
    2.0
    """
    known = find_metric(name)
    if known is None or known.of_jobs is None or name != known.name:
        return None
    if np.isnan(metrics[name]).any():
        return None
    quantity, q = known.of_jobs
    counted = all(quantity in each for each in runs)
    if q is None:
        jobs = np.array([each[quantity].count for each in runs]) if counted else None
        return job_mean(metrics[name], metrics, jobs=jobs)
    if not counted:
        return None
    return job_quantile(runs, quantity, q, metrics)


def job_quantile(
    runs: Sequence[Samples],
    quantity: str,
    q: float,
    metrics: Metrics = MappingProxyType({}),
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
    metrics : mapping of str to float64 array (runs,)
        Those in :data:`CONTROL_METRICS` that are known.

    Returns
    -------
    plain : Estimate
        With the jackknife on a logarithmic scale.  If the upper end is above all values of the
        runs, it is replaced by infinity.  If the lower end is below all of them, it is replaced by
        the smallest.
    controlled : Estimate or None
        The interval reaches from the smallest to the largest limit for which the interval of the
        controlled share above it (see :func:`share_above`) contains ``1 - q``.  None if the control
        variate cannot be used at the quantile.

    Examples
    --------
    >>> runs = [{"wait_s": Sample.of(range(k, 100 + k))} for k in (1, 2, 3)]
    >>> plain, controlled = job_quantile(runs, "wait_s", 0.5)
    >>> round(plain.value, 6), controlled is None
    (51.5, True)
    """
    pooled = Pooled([run[quantity] for run in runs])
    found = jackknife_log(pooled.quantiles(q))
    least, most = pooled.range
    low = least if found.low < least else found.low
    plain = Estimate(found.value, low, math.inf if found.high > most else found.high)
    if not _is_known(runs):
        return plain, None
    tails = np.concatenate([np.geomspace(1e-4, 0.1, 41), np.linspace(0.1, 1.0, 37)[1:-1]])
    limits = np.unique(pooled.at(1.0 - tails))
    shares = _controlled_shares(runs, pooled, limits, metrics)
    value = _where_falls_to(1.0 - q, limits, np.minimum.accumulate(shares.value))
    near = int(np.argmin(np.abs(limits - value)))
    if not shares.usable[near] or not math.isfinite(value):
        return plain, None
    low = _where_falls_to(1.0 - q, limits, np.minimum.accumulate(shares.low))
    high = _where_falls_to(1.0 - q, limits, np.maximum.accumulate(shares.high[::-1])[::-1])
    explained = float(shares.explained[near])
    return plain, Estimate(value, min(low, value), max(high, value), explained)


def _controlled_shares(
    runs: Sequence[Samples], pooled: Pooled, limits: Floats, metrics: Metrics
) -> Estimates:
    """Return the controlled shares above some limits; the plain ones if nothing varies."""
    found = pooled.above(limits)
    unfinished = Pooled([run["unfinished_work_s"] for run in runs])
    amounts = unfinished.at(1.0 - found[0])
    expected = 1.0 - runs[0]["stationary_work_s"].sides(amounts)[1]
    jobs = np.array([run["unfinished_work_s"].count for run in runs], dtype=np.float64)
    controls = [Control(unfinished.above(amounts), expected)]
    if (square := _control("square_work_s2", metrics, jobs)) and len(runs) >= ENOUGH_FOR_TWO:
        same = np.broadcast_to(square.values[:, None], found.shape)
        controls.append(Control(same, np.broadcast_to(square.expected, limits.shape)))
    shares = controlled(found, *controls)
    plain = jackknife(found)
    known = np.isfinite(shares.half)
    return replace(
        shares,
        value=np.where(known, shares.value, plain.value),
        half=np.where(known, shares.half, plain.half),
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
    part = (before - target) / (before - after)
    return float(limits[first - 1] + part * (limits[first] - limits[first - 1]))


def _control(name: str, metrics: Metrics, jobs: Floats) -> Control | None:
    """Return the mean of an input over all jobs as a control; None if it is not known.

    It is not known either if the runs have different expectations.
    """
    found, expected = metrics.get(f"mean_{name}"), metrics.get(f"expected_{name}")
    if found is None or expected is None:
        return None
    same = np.ptp(expected) <= SAME * abs(expected[0])
    if not (same and np.isfinite(found).all() and np.isfinite(expected[0])):
        return None
    return Control(with_and_without(found, jobs), np.array(expected[0]))


def job_mean(
    means: Floats, metrics: Metrics = MappingProxyType({}), *, jobs: Ints | None = None
) -> tuple[Estimate, Estimate | None]:
    """Return the mean of a quantity over the jobs of all runs.

    Parameters
    ----------
    means : float64 array (runs,)
        Mean of each run.
    metrics
        As for :func:`job_quantile`.
    jobs : int64 array (runs,), optional
        Number of jobs in each run; by default, all have the same number.

    Returns
    -------
    plain : Estimate
        With the jackknife on a logarithmic scale.
    controlled : Estimate or None
        On the same scale, so both ends are positive.  None if the control variates cannot be used
        or a mean is 0.

    Examples
    --------
    >>> plain, controlled = job_mean(np.array([1.0, 2.0, 3.0]))
    >>> plain.value, plain.low > 0, controlled is None
    (2.0, True, True)
    """
    weight = (np.ones(len(means)) if jobs is None else jobs).astype(np.float64)
    found = with_and_without(means, weight)
    plain = jackknife_log(found)
    work = _control("unfinished_work_s", metrics, weight)
    if work is None or not ((found > 0).all() and (work.values > 0).all() and work.expected > 0):
        return plain, None
    controls = [Control(np.log(work.values), np.log(work.expected))]
    if (square := _control("square_work_s2", metrics, weight)) and len(means) >= ENOUGH_FOR_TWO:
        controls.append(square)
    logarithms = controlled(np.log(found), *controls)
    if not logarithms.usable:
        return plain, None
    best = on_logarithmic_scale(logarithms.one())
    return plain, best if math.isfinite(best.low) else None


def share_above(
    runs: Sequence[Samples],
    quantity: str,
    limit: float,
    metrics: Metrics = MappingProxyType({}),
) -> tuple[Estimate, Estimate | None]:
    """Return the share of the jobs of all runs whose quantity is above a limit.

    The first control is the share of jobs before which there is more unfinished work than a certain
    amount.  In these runs, this amount is exceeded as often as the limit.

    Parameters
    ----------
    runs, quantity
        As for :func:`job_quantile`.
    limit : float
        In the unit of the quantity.
    metrics
        As for :func:`job_quantile`.

    Returns
    -------
    plain : Estimate
    controlled : Estimate or None

    Examples
    --------
    >>> runs = [{"wait_s": Sample.of([0.0, 10.0, 20.0])}, {"wait_s": Sample.of([0.0, 0.0, 30.0])}]
    >>> round(share_above(runs, "wait_s", 25.0)[0].value, 3)
    0.167
    """
    pooled = Pooled([run[quantity] for run in runs])
    limits = np.array([limit])
    plain = jackknife(pooled.above(limits)).one(0)
    if not _is_known(runs):
        return plain, None
    shares = _controlled_shares(runs, pooled, limits, metrics)
    return plain, shares.one(0) if shares.usable[0] else None


def _is_known(runs: Sequence[Samples]) -> bool:
    """Whether all runs have the same stationary distribution of the unfinished work."""
    if not all("stationary_work_s" in run for run in runs):
        return False
    first = runs[0]["stationary_work_s"].values
    return all(np.allclose(run["stationary_work_s"].values, first, rtol=SAME) for run in runs)


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
