"""The measurement that a capacity search compares with its objective.

An objective for a quantile is an objective for the share of jobs above the limit: the 95th
percentile of the wait is at most an hour if and only if at most 5 % of the jobs wait longer.  The
search measures this share.  It is a mean over jobs, so the mean over short runs has no bias, and a
linear regression on control variates applies to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.analysis.control_variates import Estimate, mean_estimate
from clustersim.analysis.job_statistics import (
    CLEARLY_LESS,
    LEAST_EXPLAINED,
    best_of,
    job_mean,
    share_above,
)
from clustersim.analysis.metrics import find_metric
from clustersim.analysis.root_search import Root, RootSearch
from clustersim.analysis.samples import Sample
from clustersim.analysis.steady import piles_up
from clustersim.analysis.unfinished_work import SPEEDS, work_name
from clustersim.errors import InputError
from clustersim.studies.spec import CapacitySearch, Objective

__all__ = [
    "NEEDED",
    "OVERLOADED",
    "PILOT_REPLICATIONS",
    "Measured",
    "chosen",
    "measured_at",
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
CONTROLS = tuple(map(work_name, SPEEDS))
NEEDED = ("backlog_growth", "offered_load")
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
    if q is not None:
        if not all(quantity in each for each in samples):
            raise InputError("study", f"a run lacks the distribution of {quantity} over its jobs")
        return share_above(samples, quantity, objective.limit)
    if quantity and q is None and np.isfinite(values).all():
        return job_mean(values, samples, quantity)
    return mean_estimate(values), {}


def chosen(tried: Mapping[float, Measured], finder: RootSearch) -> dict[float, Estimate]:
    """Return the measurements from which a capacity follows: all of one control, or all plain.

    A curve that changes from one kind to another within the bracket of the capacity would have a
    wrong slope.  A control is therefore used only if it can be used on both sides of the capacity.
    Overloaded values have none.  It must explain half of the variance of the capacity, and a later
    control replaces an earlier one only if it leaves clearly less unexplained (see
    :func:`~clustersim.analysis.job_statistics.best_of`).

    Parameters
    ----------
    tried : mapping of float to (Estimate, mapping of str to Estimate)
        Results of :func:`measured_at` by trial value.
    finder : RootSearch
    """
    without = plain_of(tried)
    if not tried:
        return without
    usable = _usable_controls(tried, finder)
    curves = {name: _curve(tried, name) for name in usable}
    widths = {name: _width(finder.result(curve)) for name, curve in curves.items()}
    plain_width = _width(finder.result(without, extend=True))
    if not any(map(math.isfinite, widths.values())):
        best = best_of(usable)
        return next((curves[name] for name in usable if usable[name] is best), without)
    found, most = without, (1.0 - LEAST_EXPLAINED) * plain_width**2
    for name, width in widths.items():
        helps = math.isfinite(most) or usable[name].explained >= LEAST_EXPLAINED
        if helps and math.isfinite(width) and width**2 <= most:
            found, most = curves[name], CLEARLY_LESS * width**2
    return found


def _width(root: Root) -> float:
    """Return the width of the interval of a capacity; infinite if it is not known."""
    width = root.high - root.low
    return width if math.isfinite(root.value) and math.isfinite(width) else math.inf


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
        By control, the measurement on the side where it explains less.
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
            usable[name] = min((each for _, each in sides), key=lambda each: each.explained)
    return usable


def _curve(tried: Mapping[float, Measured], name: str) -> dict[float, Estimate]:
    return {value: controlled.get(name, plain) for value, (plain, controlled) in tried.items()}


def _is_overloaded(metrics: Mapping[str, Sequence[float]]) -> bool:
    return any(load >= 1 for load in metrics["offered_load"]) or piles_up(metrics["backlog_growth"])


def _quantity(objective: Objective) -> tuple[str, float | None]:
    """Return the quantity of jobs that an objective limits, and its quantile; "" if none."""
    known = find_metric(objective.metric)
    if known is None or known.of_jobs is None or known.name != objective.metric:
        return "", None
    return known.of_jobs
