"""Statistics over the jobs of all replications: means, quantiles, and shares above a limit.

Each has a plain estimate and, if the unfinished work of the runs has a known stationary
distribution (:mod:`clustersim.analysis.unfinished_work`), one with a control variate.  The control
is the same statistic of the unfinished work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.analysis.control_variates import (
    Control,
    Estimate,
    controlled,
    jackknife,
    jackknife_log,
)
from clustersim.analysis.metrics import find_metric
from clustersim.analysis.samples import Pooled, Sample
from clustersim.array_types import Bools, Floats

__all__ = [
    "CONTROL_METRICS",
    "job_mean",
    "job_quantile",
    "metric_over_jobs",
    "share_above",
    "with_and_without",
]

CONTROL_METRICS = ("mean_unfinished_work_s", "expected_unfinished_work_s")
"""Metrics of a run from which the control variate of a mean is computed."""
Samples = Mapping[str, Sample]
"""The samples of a run; see :class:`~clustersim.analysis.measures.Measured`."""


def metric_over_jobs(
    name: str, metrics: Mapping[str, Floats], runs: Sequence[Samples]
) -> tuple[Estimate, Estimate | None] | None:
    """Return the estimate of a metric that is defined over the jobs of all runs.

    Parameters
    ----------
    name : str
        Name of the metric.
    metrics : mapping of str to float64 array (runs,)
        The metric, and those in :data:`CONTROL_METRICS` if they are known.
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
    if q is None:
        unknown = np.full(len(metrics[name]), np.nan)
        unfinished, expected = (metrics.get(each, unknown) for each in CONTROL_METRICS)
        same = float(expected[0]) if len(np.unique(expected)) == 1 else math.nan
        return job_mean(metrics[name], unfinished, same)
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
        With the jackknife on a logarithmic scale.  If the upper end is above all values of the
        runs, it is replaced by infinity.  If the lower end is below all of them, it is replaced by
        the smallest.
    controlled : Estimate or None
        The interval contains each limit for which the interval of the controlled share above it
        (see :func:`share_above`) contains ``1 - q``.  None if no control variate can be used.

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
    value, low_share, high_share, explained, usable = _controlled_shares(runs, pooled, limits)
    if not usable.any():
        return plain, None
    ends = [_first_below(limits, share, 1.0 - q) for share in (value, low_share, high_share)]
    near = int(np.argmin(np.abs(limits - ends[0])))
    if not usable[near] or not math.isfinite(ends[0]):
        return plain, None
    return plain, Estimate(ends[0], ends[1], ends[2], float(explained[near]))


def _controlled_shares(
    runs: Sequence[Samples], pooled: Pooled, limits: Floats
) -> tuple[Floats, Floats, Floats, Floats, Bools]:
    """Return the controlled shares above some limits; the plain ones where it is unusable."""
    found = pooled.above(limits)
    unfinished = Pooled([run["unfinished_work_s"] for run in runs])
    amounts = unfinished.at(1.0 - found[0])
    stationary = runs[0]["stationary_work_s"]
    expected = np.array([1.0 - stationary.at_most(amount) for amount in amounts])
    value, low, high, explained, usable = controlled(
        found, Control(unfinished.above(amounts), expected)
    )
    plain = jackknife(found)
    value, low, high = (
        np.where(usable, one, other) for one, other in zip((value, low, high), plain, strict=True)
    )
    return value, low, high, explained, usable


def _first_below(limits: Floats, shares: Floats, target: float) -> float:
    """Return the smallest limit with a share of at most a target, by linear interpolation."""
    below = np.flatnonzero(shares <= target)
    if not len(below):
        return math.inf
    first = int(below[0])
    if first == 0:
        return float(limits[0])
    before, after = shares[first - 1], shares[first]
    part = (before - target) / (before - after)
    return float(limits[first - 1] + part * (limits[first] - limits[first - 1]))


def job_mean(
    means: Floats, unfinished: Floats, expected: float
) -> tuple[Estimate, Estimate | None]:
    """Return the mean of a quantity over the jobs of all runs.

    Parameters
    ----------
    means : float64 array (runs,)
        Mean of each run.
    unfinished : float64 array (runs,)
        Mean unfinished work in each run; NaN if it is not known.
    expected : float
        Stationary mean of the unfinished work.

    Returns
    -------
    plain : Estimate
        With the jackknife on a logarithmic scale.
    controlled : Estimate or None

    Examples
    --------
    >>> plain, controlled = job_mean(np.array([1.0, 2.0, 3.0]), np.full(3, np.nan), np.nan)
    >>> plain.value, plain.low > 0, controlled is None
    (2.0, True, True)
    """
    found = with_and_without(means)
    plain = jackknife_log(found)
    if not (np.isfinite(unfinished).all() and math.isfinite(expected)):
        return plain, None
    value, low, high, explained, usable = controlled(
        found, Control(with_and_without(unfinished), np.array(expected))
    )
    if not usable:
        return plain, None
    return plain, Estimate(float(value), float(low), float(high), float(explained))


def share_above(
    runs: Sequence[Samples], quantity: str, limit: float
) -> tuple[Estimate, Estimate | None]:
    """Return the share of the jobs of all runs whose quantity is above a limit.

    The control is the share of jobs before which there is more unfinished work than a certain
    amount.  In these runs, this amount is exceeded as often as the limit.

    Parameters
    ----------
    runs, quantity
        As for :func:`job_quantile`.
    limit : float
        In the unit of the quantity.

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
    plain = Estimate(*(float(end[0]) for end in jackknife(pooled.above(limits))))
    if not _is_known(runs):
        return plain, None
    value, low, high, explained, usable = _controlled_shares(runs, pooled, limits)
    if not usable[0]:
        return plain, None
    return plain, Estimate(float(value[0]), float(low[0]), float(high[0]), float(explained[0]))


def _is_known(runs: Sequence[Samples]) -> bool:
    """Whether all runs have the same stationary distribution of the unfinished work."""
    if not all("stationary_work_s" in run for run in runs):
        return False
    first = runs[0]["stationary_work_s"].values
    return all(np.array_equal(run["stationary_work_s"].values, first) for run in runs)


def with_and_without(values: Floats) -> Floats:
    """Return the mean over all runs, then without each of them (1 + runs,).

    Examples
    --------
    >>> with_and_without(np.array([1.0, 2.0, 6.0])).tolist()
    [3.0, 4.0, 3.5, 1.5]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (values.sum() - values) / (len(values) - 1)
    return np.concatenate([[values.mean()], rest])
