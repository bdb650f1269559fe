"""Capacities at an objective."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import follows_waits
from clustersim.analysis.root_search import Root, begins_overload
from clustersim.analysis.statistics import quantile_interval
from clustersim.analysis.steady import is_rising
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.capacity.draws import (
    DrawTarget,
    capacity_of_draw,
    draw_targets,
    measured_alone,
)
from clustersim.studies.capacity.trials import (
    Samples,
    complete_runs,
    measured_trials,
    paired_runs,
    value_at_full_load,
)
from clustersim.studies.objective import Measured, chosen, plain_of, root_search
from clustersim.studies.points import DRAW_QUANTILES, groups_by
from clustersim.studies.search_spec import CapacitySearch, Objective

__all__ = ["capacities_table", "targets_of_draws"]

ENOUGH_RELAXATION_TIMES = 60.0
"""Smallest number of relaxation times, in all runs at a value, for which no note is given.

With fewer, intervals may be too narrow; tests on queues with known waits measure how often they
contain the truth."""


def capacities_table(
    runs: pd.DataFrame,
    others: Sequence[str],
    search: CapacitySearch,
    objective: Objective,
    *,
    samples: Samples = MappingProxyType({}),
) -> pd.DataFrame:
    """Return the capacity at an objective for each combination of the other parameters.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    others : sequence of str
        Parameters other than the searched one.
    search : CapacitySearch
    objective : Objective
    samples : mapping of str to mapping of str to Sample
        Samples of each run by its hash; see :class:`~clustersim.analysis.measures.Measured`.

    Returns
    -------
    pandas.DataFrame
        The other parameters, ``capacity`` (value of the searched parameter at which the objective
        is just met; see :func:`~clustersim.studies.objective.measured_at`), ``capacity_low`` and
        ``capacity_high`` (95 %; see :class:`~clustersim.analysis.root_search.RootSearch`),
        ``capacity_plain`` (without a control variate) with the ends of its interval,
        ``jobs_per_day`` (offered at the capacity) with the ends of its interval, ``runs`` and
        ``note``.  With draws, ``_draw_low`` and ``_draw_high`` are the 5th and 95th percentile of
        the capacities of the draws, each from one replication that is compared with the same
        replication at the posterior mean (:mod:`~clustersim.studies.capacity.draws`).  In folders
        of earlier versions, a draw has all replications, and its capacity is that of these.
    """
    rows = [
        {**values, **_capacity(group, search, objective, samples)}
        for values, group in groups_by(runs, others)
    ]
    return pd.DataFrame(rows)


_CAPACITY = tuple(
    f"{name}{end}"
    for name in ("capacity", "capacity_plain", "jobs_per_day")
    for end in ("", "_low", "_high")
)


def _capacity(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> dict[str, Any]:
    finished = runs[runs["status"] == "finished"]
    at_mean = finished[finished["draw"] == POSTERIOR_MEAN]
    finder = root_search(search, objective)
    if at_mean.empty:
        return {**dict.fromkeys(_CAPACITY, np.nan), "runs": len(runs), "note": "every run failed"}
    if not follows_waits(objective.metric) and at_mean[objective.metric].isna().all():
        note = "without a value in every run"
        return {**dict.fromkeys(_CAPACITY, np.nan), "runs": len(runs), "note": note}
    searched = complete_runs(runs, search.of)
    if searched.empty:
        note = "every run at a value of the search failed or is missing"
        return {**dict.fromkeys(_CAPACITY, np.nan), "runs": len(runs), "note": note}
    tried, root, full = _at_mean(searched, search, objective, samples)
    plain = root
    if chosen(tried, finder) != (without := plain_of(tried)):
        plain = _within(finder.result(without, extend=math.isfinite(root.value)), full)
    row: dict[str, Any] = {
        f"{name}{end}": number
        for name, found in (("capacity", root), ("capacity_plain", plain))
        for end, number in (("", found.value), ("_low", found.low), ("_high", found.high))
    }
    row |= {
        f"jobs_per_day{end}": _jobs_per_day(at_mean, search.of, row[f"capacity{end}"])
        for end in ("", "_low", "_high")
    }
    drawn = finished[finished["draw"] != POSTERIOR_MEAN]
    draws = [draw for _, draw in drawn.groupby("draw")]
    roots: list[float] = []
    if draws:
        capacity, targets = targets_of_draws(searched, search, objective, samples)
        by_replication = {target.replication: target for target in targets}
        roots = [
            _draw_capacity(draw, search, objective, samples, capacity, by_replication)
            for draw in draws
        ]
        rates = [_jobs_per_day(w, search.of, root) for w, root in zip(draws, roots, strict=True)]
        for name, values in (("capacity", roots), ("jobs_per_day", rates)):
            for end, q in zip(("low", "high"), DRAW_QUANTILES, strict=True):
                row[f"{name}_draw_{end}"] = quantile_interval(values, q)[0]
    notes = [
        root.note,
        *_notes_on_runs(runs, roots),
        *_notes_on_capacity(_nearest(searched, search.of, root.value), search),
    ]
    if math.isfinite(full) and root.high == full and not begins_overload(root.note):
        notes.append("the interval ends at a load of 1, where overload begins")
    return {**row, "runs": len(runs), "note": "; ".join(note for note in notes if note)}


def _notes_on_runs(runs: pd.DataFrame, roots: Sequence[float]) -> Iterator[str]:
    """Yield how many runs failed, and how many draws have no capacity."""
    finished = runs[runs["status"] == "finished"]
    if failed := len(runs) - len(finished):
        yield f"{failed} run{'s' * (failed > 1)} failed"
    if lost := runs["draw"].nunique() - finished["draw"].nunique():
        yield f"coefficient draws without a run: {lost}"
    if unknown := sum(map(math.isnan, roots)):
        yield f"coefficient draws without a capacity: {unknown}"


def _notes_on_capacity(nearest: pd.DataFrame, search: CapacitySearch) -> Iterator[str]:
    """Yield whether the runs nearest to a capacity are too short."""
    if nearest.empty:
        return
    if is_rising(nearest["wait_rise_s"], nearest["mean_wait_s"]):
        other = "less capacity" if search.more_is == "worse" else "that more is needed"
        yield f"waits still rise within the runs near this value; longer runs would show {other}"
    times = nearest.get("relaxation_times", pd.Series(dtype=float)).sum(min_count=1)
    if times < ENOUGH_RELAXATION_TIMES:
        yield (
            f"the runs at this value are short: together they are {_times(times)} the "
            "queue's memory (relaxation time); "
            f"{ENOUGH_RELAXATION_TIMES:.0f} times are needed for a trustworthy interval; increase "
            "workload.jobs"
        )


def _times(times: float) -> str:
    """Return the text of a multiple."""
    return "shorter than" if times < 1 else f"{times:.0f} times as long as"


def _at_mean(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> tuple[dict[float, Measured], Root, float]:
    """Return the measurements, the capacity and the value at a load of 1 at the posterior mean."""
    finder, full = root_search(search, objective), value_at_full_load(runs, search)
    tried = measured_trials(paired_runs(runs, search.of), search, objective, samples)
    return tried, _within(finder.result(chosen(tried, finder)), full), full


def targets_of_draws(
    runs: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    samples: Samples = MappingProxyType({}),
) -> tuple[float, list[DrawTarget]]:
    """Return the capacity at the posterior mean, not rounded, and what the draws are compared with.

    Parameters
    ----------
    runs : pandas.DataFrame
        Finished runs of a search at the posterior mean.
    search, objective, samples
        See :func:`capacities_table`.

    Returns
    -------
    capacity : float
    targets : list of DrawTarget
        See :func:`~clustersim.studies.capacity.draws.draw_targets`; empty without a capacity.
    """
    if runs.empty or (not follows_waits(objective.metric) and runs[objective.metric].isna().all()):
        return math.nan, []
    _, root, _ = _at_mean(runs, search, objective, samples)
    capacity = root.crossing if math.isfinite(root.crossing) else root.value
    paired = paired_runs(runs, search.of)
    each = {
        number: measured_trials(
            paired[paired["replication"] == number],
            search,
            objective,
            samples,
            measure=measured_alone,
        )
        for number in sorted(paired["replication"].astype(int).unique().tolist())
    }
    return capacity, draw_targets(each, capacity, root_search(search, objective))


def _draw_capacity(
    runs: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    samples: Samples,
    capacity: float,
    targets: Mapping[int, DrawTarget],
) -> float:
    """Return the capacity of a draw; infinite if the objective is kept or missed everywhere.

    It is NaN if the draw's replication cannot be compared with the posterior mean.
    """
    if runs["replication"].nunique() == 1:
        target = targets.get(int(runs["replication"].iloc[0]))
        if target is None:
            return math.nan
        tried = measured_trials(runs, search, objective, samples, measure=measured_alone)
        finder = root_search(search, objective)
        found = capacity_of_draw(tried, target, capacity, search, finder)
        return min(found, value_at_full_load(runs, search)) if math.isfinite(found) else found
    root = _root(runs, search, objective, samples)
    if np.isnan(root.value):
        return -np.inf if search.more_is == "worse" else np.inf
    return root.value


def _nearest(runs: pd.DataFrame, of: str, value: float) -> pd.DataFrame:
    """Return the runs at the trial value nearest to a capacity; none if it has no value."""
    if not np.isfinite(value) or runs.empty:
        return runs.iloc[:0]
    tried = runs[of].astype(np.float64)
    return runs[tried == tried.iloc[int((tried - value).abs().to_numpy().argmin())]]


def _within(root: Root, full: float) -> Root:
    """Return a root whose interval is not below 0 and ends at a load of 1 at the latest."""
    low = max(root.low, 0.0) if math.isfinite(root.low) else root.low
    return replace(root, low=low, high=min(root.high, full)) if root.value <= full else root


def _root(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> Root:
    finder = root_search(search, objective)
    return finder.result(chosen(measured_trials(runs, search, objective, samples), finder))


def _jobs_per_day(runs: pd.DataFrame, of: str, value: float) -> float:
    """Return the offered jobs per day at a value, interpolated between the trial values."""
    if not np.isfinite(value) or runs.empty:
        return float(value)
    rate = runs.groupby(of, sort=True)["jobs_per_day"].mean()
    at, rates = rate.index.to_numpy(dtype=np.float64), rate.to_numpy(dtype=np.float64)
    for end, inner in ((-1, -2), (0, 1)):
        if len(at) > 1 and (value - at[end]) * (at[end] - at[inner]) > 0:
            slope = (rates[end] - rates[inner]) / (at[end] - at[inner])
            return float(rates[end] + slope * (value - at[end]))
    return float(np.interp(value, at, rates))
