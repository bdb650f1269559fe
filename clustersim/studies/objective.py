"""The measurement that a capacity search compares with its objective.

A quantile is compared through the share of jobs above the limit: the 95th percentile of the wait is
at most an hour if and only if at most 5 % of the jobs wait longer.  The share is a mean over jobs,
so its estimate stays unbiased in short runs, and its control variate is linear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.job_statistics import (
    CONTROL_METRICS,
    metric_over_jobs,
    share_above,
    with_and_without,
)
from clustersim.analysis.metrics import find_metric
from clustersim.analysis.root_search import RootSearch
from clustersim.analysis.samples import Pooled, Sample
from clustersim.analysis.statistics import mean_interval
from clustersim.analysis.steady import piles_up
from clustersim.array_types import Floats
from clustersim.studies.spec import CapacitySearch, Objective

__all__ = ["NEEDED", "OVERLOADED", "means_with_and_without", "measured_at", "root_search"]

OVERLOADED = Estimate(math.inf, math.inf, math.inf)
"""The measurement at an overloaded point."""

MOST_TRIES = 40
"""Largest number of values that a capacity search tries."""
NEEDED = ("backlog_growth", "offered_load", *CONTROL_METRICS)
"""Metrics that :func:`measured_at` needs in addition to the objective's own."""


def root_search(search: CapacitySearch, objective: Objective, *, given: int = 0) -> RootSearch:
    """Return the root search of a study; `given` is the number of values tried in any case."""
    low, high = search.between
    q = _quantity(objective)[1]
    return RootSearch(
        at_most=objective.limit if q is None else 1.0 - q,
        low=low,
        high=high,
        tolerance=search.width,
        whole=search.whole,
        rising=search.more_is == "worse",
        most_values=MOST_TRIES + given,
        bracket_ends=False,
    )


def measured_at(
    objective: Objective,
    metrics: Mapping[str, Sequence[float]],
    samples: Sequence[Mapping[str, Sample]],
) -> tuple[Estimate, Estimate | None]:
    """Return the measurement at a trial value, as :func:`root_search` compares it.

    Parameters
    ----------
    objective : Objective
    metrics : mapping of str to sequence of float (replications,)
        The objective's metric and those in :data:`NEEDED`, of the runs that finished.
    samples : sequence of mapping of str to Sample (replications,)
        See :class:`~clustersim.analysis.measures.Measured`.

    Returns
    -------
    plain : Estimate
        Infinite if the point is overloaded.
    controlled : Estimate or None
        None if no control variate can be used.
    """
    values = np.asarray(metrics[objective.metric], dtype=np.float64)
    if _is_overloaded(metrics) or not len(values):
        return OVERLOADED, None
    if np.isinf(values).any() or np.isnan(values).all():
        return OVERLOADED, None
    quantity, q = _quantity(objective)
    if q is not None and all(quantity in each for each in samples):
        return share_above(samples, quantity, objective.limit)
    columns = {name: np.asarray(each, dtype=np.float64) for name, each in metrics.items()}
    found = metric_over_jobs(objective.metric, columns, samples)
    if found is not None:
        return found
    return Estimate(*mean_interval(values)), None


def means_with_and_without(
    objective: Objective,
    metrics: Mapping[str, Sequence[float]],
    samples: Sequence[Mapping[str, Sample]],
) -> Floats:
    """Return the plain measurement over all replications, then without each (1 + replications,).

    Parameters
    ----------
    objective, metrics, samples
        As for :func:`measured_at`.
    """
    values = np.asarray(metrics[objective.metric], dtype=np.float64)
    if _is_overloaded(metrics):
        return np.full(1 + len(values), np.inf)
    quantity, q = _quantity(objective)
    if q is not None and all(quantity in each for each in samples):
        return Pooled([each[quantity] for each in samples]).above(np.array([objective.limit]))[:, 0]
    return with_and_without(values)


def _is_overloaded(metrics: Mapping[str, Sequence[float]]) -> bool:
    return any(load >= 1 for load in metrics["offered_load"]) or piles_up(metrics["backlog_growth"])


def _quantity(objective: Objective) -> tuple[str, float | None]:
    """Return the quantity of jobs that an objective limits, and its quantile; "" if none."""
    known = find_metric(objective.metric)
    if known is None or known.of_jobs is None or known.name != objective.metric:
        return "", None
    return known.of_jobs
