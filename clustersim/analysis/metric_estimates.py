"""What a study reports of a metric: the statistic, and how its 95 % interval is made.

Both follow from the definition of the metric (:class:`~clustersim.analysis.metric.Metric`), as the
tables do: see :mod:`~clustersim.analysis.job_statistics` and
:mod:`clustersim.studies.points`.
"""

from __future__ import annotations

import math

from clustersim.analysis.metric import Metric
from clustersim.analysis.metrics import METRICS, find_metric, jobs_statistic, metric_of
from clustersim.units import capital

__all__ = ["bounds_of", "difference_text", "estimate_text", "interval_kind", "statistic_kind"]

MEAN = "mean over the replications"
_LOGARITHMIC = ", on a logarithmic scale"
_JACKKNIFE = f"jackknife over the replications{_LOGARITHMIC}"


def bounds_of(column: str) -> tuple[float, float]:
    """Return the bounds of a metric, to which intervals are clipped; infinite for other columns.

    Examples
    --------
    >>> bounds_of("utilisation"), bounds_of("seed")
    ((0.0, 1.0), (-inf, inf))
    """
    metric = find_metric(column)
    return (-math.inf, math.inf) if metric is None else (metric.least, metric.most)


def statistic_kind(name: str) -> str:
    """Return the statistic of a metric, which may include a pool or group and a period.

    A metric of a pool or of a period is a mean over the replications, even if the metric of a whole
    run is a statistic over the jobs.  A metric of a group of jobs is a statistic over those jobs.

    Examples
    --------
    >>> statistic_kind("p95_wait_s")
    '95th percentile over the jobs of all replications'
    >>> statistic_kind("p95_wait_s@2")
    'mean over the replications'
    """
    metric = metric_of(name)
    return MEAN if metric.of_jobs is not None and not jobs_statistic(name) else metric.statistic


def interval_kind(name: str, replications: int = 2) -> str:
    """Return how the 95 % interval of a metric is made, as a noun phrase.

    Parameters
    ----------
    name : str
        A metric; the name may include a pool or group and a period.
    replications : int
        Number of replications; the interval of a single run is another one.

    Examples
    --------
    >>> interval_kind("mean_wait_s")
    'jackknife over the replications, on a logarithmic scale'
    >>> interval_kind("utilisation"), interval_kind("chips")
    ("Student's t over the replications, cut off at 0 and 1", 'none')
    >>> interval_kind("mean_wait_s", replications=1)
    'batch means of one run, on a logarithmic scale'
    """
    metric = metric_of(name)
    if metric.constant:
        return "none"
    if replications < 2:
        return _within_a_run(name, metric)
    statistic = jobs_statistic(name)
    if statistic is None:
        return f"Student's t over the replications{_bounded(metric)}"
    if statistic[1] is None:
        return f"{_JACKKNIFE}{_cut_off(metric)}"
    return f"inversion of the share of jobs above a limit ({_JACKKNIFE}){_cut_off(metric)}"


def estimate_text(name: str, replications: int = 2) -> str:
    """Return the statistic and the interval of a metric as a sentence without a full stop.

    Examples
    --------
    >>> estimate_text("makespan_s")
    "Mean over the replications; 95 % interval: Student's t over the replications, on a \
logarithmic scale"
    """
    interval = interval_kind(name, replications)
    text = statistic_kind(name)
    return f"{capital(text)}; 95 % interval: {interval}"


def difference_text(name: str, *, relative: bool = False) -> str:
    """Return how the difference of two systems in a metric and its interval are made.

    Examples
    --------
    >>> difference_text("utilisation")
    "Mean over the pairs; 95 % interval: Student's t over the pairs"
    """
    metric = metric_of(name)
    if metric.constant:
        return "The same in every replication; no interval"
    if jobs_statistic(name):
        what = "Between the statistics over the jobs of all pairs"
        scale = _LOGARITHMIC if relative else ""
        return f"{what}; 95 % interval: jackknife over the pairs{scale}"
    if not relative:
        return "Mean over the pairs; 95 % interval: Student's t over the pairs"
    scale = _LOGARITHMIC if metric.least >= 0 else ""
    return f"Ratio of means over the pairs; 95 % interval: jackknife over the pairs{scale}"


def _within_a_run(name: str, metric: Metric) -> str:
    """Return how the interval of one run is made, from the metrics that describe it."""
    if f"{name}_half" in METRICS.items:
        return f"batch means of one run{_bounded(metric)}"
    if f"{name}_at_least" in METRICS.items:
        return f"order statistics of one run{_bounded(metric)}"
    return "none: one run"


def _bounded(metric: Metric) -> str:
    """Return how the interval of a metric respects its bounds, to follow the kind."""
    return _LOGARITHMIC if (metric.least, metric.most) == (0.0, math.inf) else _cut_off(metric)


def _cut_off(metric: Metric) -> str:
    """Return at which bounds an interval is cut off; the least number 0 only beside another."""
    if metric.least == 0 and metric.most == math.inf:
        return ""
    bounds = [f"{bound:g}" for bound in (metric.least, metric.most) if math.isfinite(bound)]
    return f", cut off at {' and '.join(bounds)}" if bounds else ""
