"""The measurement that a capacity search compares with its objective.

An objective for a quantile is an objective for the share of jobs above the limit: the 95th
percentile of the wait is at most an hour if and only if at most 5 % of the jobs wait longer.  The
search measures this share.  It is a mean over jobs, so the mean over short runs has no bias, and a
linear regression on control variates applies to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from clustersim.analysis.control_variates import Estimate, mean_estimate
from clustersim.analysis.job_statistics import (
    best_of,
    job_mean,
    share_above,
)
from clustersim.analysis.metrics import jobs_statistic
from clustersim.analysis.next_period import LOG_FACTS, LogBlocks, log_first, next_estimate
from clustersim.analysis.root_search import RootSearch
from clustersim.analysis.samples import Sample
from clustersim.analysis.steady import is_of_log, piles_up
from clustersim.analysis.unfinished_work import SPEEDS, work_name
from clustersim.errors import InputError
from clustersim.studies.search_spec import CapacitySearch, Objective

__all__ = [
    "ENOUGH_FOR_PILOT",
    "NEEDED",
    "OVERLOADED",
    "PILOT_REPLICATIONS",
    "Measured",
    "chosen",
    "measured_at",
    "measured_for_next",
    "plain_of",
    "root_search",
]

Measured = tuple[Estimate, Mapping[str, Estimate]]
"""A plain measurement, and the controlled ones by control."""
OVERLOADED = Estimate(math.inf, math.inf, math.inf)
"""The measurement at an overloaded point."""

MOST_TRIES = 40
"""Largest number of values that a capacity search tries."""
PILOT_REPLICATIONS = 2
"""Replications of the coarse search that comes before a search with all replications."""
ENOUGH_FOR_PILOT = 12
"""Smallest number of replications with which such a search comes first."""
CONTROLS = tuple(map(work_name, SPEEDS))
NEEDED = ("backlog_growth", "offered_load", *LOG_FACTS)
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
    )


def measured_at(
    objective: Objective,
    metrics: Mapping[str, Sequence[float]],
    samples: Sequence[Mapping[str, Sample]],
) -> Measured:
    """Return the measurement at a trial value, as :func:`root_search` compares it.

    Parameters
    ----------
    objective : Objective
    metrics : mapping of str to sequence of float (replications,)
        The objective's metric and those in :data:`NEEDED`, of the runs that finished.
    samples : sequence of mapping of str to Sample (replications,)
        See :class:`~clustersim.analysis.measures.Measured`.

    Raises
    ------
    InputError
        If the objective is a quantile and a run lacks the distribution.

    Returns
    -------
    plain : Estimate
        Infinite if the point is overloaded.
    controlled : mapping of str to Estimate
        By control, only those that can be used.
    """
    values = np.asarray(metrics[objective.metric], dtype=np.float64)
    if _is_overloaded(metrics) or not len(values):
        return OVERLOADED, {}
    if np.isinf(values).any() or np.isnan(values).all():
        return OVERLOADED, {}
    quantity, q = _quantity(objective)
    if q is not None and not all(quantity in each for each in samples):
        raise InputError("study", f"a run lacks the distribution of {quantity} over its jobs")
    found: Measured = mean_estimate(values), {}
    if q is not None:
        found = share_above(samples, quantity, objective.limit)
    elif quantity and np.isfinite(values).all():
        found = job_mean(values, samples, quantity)
    return (found[0], {}) if is_of_log(metrics) else found  # a log has no controls


def measured_for_next(
    objective: Objective,
    metrics: Mapping[str, Sequence[float]],
    samples: Sequence[Mapping[str, Sample]],
) -> Measured:
    """Return the measurement at a trial value; of a log, with the error of another period.

    The parameters are those of :func:`measured_at`; `metrics` may have the numbers of the
    replications (``replication``), which are otherwise in order.
    """
    plain, controlled = measured_at(objective, metrics, samples)
    log = LogBlocks.of(metrics)
    if log is None or len(samples) < 2:
        return plain, controlled
    if not log.are_drawn:
        return plain.wider(math.sqrt(plain.freedom + 2)), controlled  # of one more replication
    quantity, q = _quantity(objective)
    if q is None:
        values = np.asarray(metrics[objective.metric], dtype=np.float64)
    else:
        values = np.array([1.0 - each[quantity].at_most(objective.limit) for each in samples])
    ordered = log_first(values, metrics.get("replication"))
    later = ordered[1:]
    known = np.concatenate([ordered[:1], later[~np.isnan(later)]])
    return next_estimate(plain, known, log), controlled


def chosen(tried: Mapping[float, Measured], finder: RootSearch) -> dict[float, Estimate]:
    """Return the measurements from which a capacity follows: all of one control, or all plain.

    A curve that changes from one kind to another within the bracket of the capacity would have a
    wrong slope.  A control is therefore used only if it can be used on both sides of the capacity.
    Overloaded values have none.  Of several controls, the best one is chosen
    (:func:`~clustersim.analysis.job_statistics.best_of`), by the mean of what it explains on both
    sides.  A choice by the width of the interval would make intervals too narrow.

    Parameters
    ----------
    tried : mapping of float to (Estimate, mapping of str to Estimate)
        Results of :func:`measured_at` by trial value.
    finder : RootSearch
    """
    usable = _usable_controls(tried, finder)
    best = best_of(usable)
    return next((_curve(tried, name) for name in usable if usable[name] is best), plain_of(tried))


def plain_of(tried: Mapping[float, Measured]) -> dict[float, Estimate]:
    """Return the measurements without control variates, by trial value."""
    return {value: plain for value, (plain, _) in tried.items()}


def _usable_controls(tried: Mapping[float, Measured], finder: RootSearch) -> dict[str, Estimate]:
    """Return the controls that can be used on both sides of the capacity.

    Parameters
    ----------
    tried, finder
        As for :func:`chosen`.

    Returns
    -------
    dict of str to Estimate
        By control, a measurement that explains as much as those on both sides on average.
    """
    usable = {}
    for name in CONTROLS:
        curve = _curve(tried, name)
        sides = [
            (tried[value][1].get(name), curve[value])
            for value in (finder.bracket(curve) if curve else ())
            if math.isfinite(curve[value].value)
        ]
        if sides and all(controlled for controlled, _ in sides):
            explained = sum(each.explained for _, each in sides) / len(sides)
            usable[name] = replace(sides[0][1], explained=explained)
    return usable


def _curve(tried: Mapping[float, Measured], name: str) -> dict[float, Estimate]:
    return {value: controlled.get(name, plain) for value, (plain, controlled) in tried.items()}


def _is_overloaded(metrics: Mapping[str, Sequence[float]]) -> bool:
    return any(load >= 1 for load in metrics["offered_load"]) or piles_up(metrics["backlog_growth"])


def _quantity(objective: Objective) -> tuple[str, float | None]:
    """Return the quantity of jobs that an objective limits, and its quantile; "" if none."""
    return jobs_statistic(objective.metric) or ("", None)
