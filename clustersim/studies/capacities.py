"""Capacities at an objective, and their gains from one system to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from clustersim.analysis.metrics import follows_waits
from clustersim.analysis.root_search import Root, RootSearch, begins_overload
from clustersim.analysis.samples import Sample
from clustersim.analysis.statistics import quantile_interval
from clustersim.analysis.steady import is_rising
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.design import column_value
from clustersim.studies.draw_capacities import (
    DrawTarget,
    capacity_of_draw,
    draw_targets,
    measured_alone,
)
from clustersim.studies.objective import (
    NEEDED,
    OVERLOADED,
    Measured,
    chosen,
    measured_at,
    root_search,
    usable_controls,
)
from clustersim.studies.points import DRAW_QUANTILES, groups_by
from clustersim.studies.spec import LOAD, CapacitySearch, Comparison, Objective

__all__ = ["Gain", "capacities_table", "gains_table", "paired_gain", "targets_of_draws"]

Samples = Mapping[str, Mapping[str, Sample]]
SAME = 1e-9
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
        replication at the posterior mean (:mod:`~clustersim.studies.draw_capacities`).  In folders
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
    tried, root, full = _at_mean(at_mean, search, objective, samples)
    plain = _within(finder.result({value: each for value, (each, _) in tried.items()}), full)
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
        capacity, targets = targets_of_draws(at_mean, search, objective, samples)
        by_replication = {target.replication: target for target in targets}
        roots = [
            _draw_capacity(draw, search, objective, samples, capacity, by_replication)
            for draw in draws
        ]
        rates = [_jobs_per_day(w, search.of, root) for w, root in zip(draws, roots, strict=True)]
        for name, values in (("capacity", roots), ("jobs_per_day", rates)):
            for end, q in zip(("low", "high"), DRAW_QUANTILES, strict=True):
                row[f"{name}_draw_{end}"] = quantile_interval(values, q)[0]
    failed = len(runs) - len(finished)
    notes = [root.note, f"{failed} run{'s' * (failed > 1)} failed" if failed else ""]
    if lost := runs["draw"].nunique() - finished["draw"].nunique():
        notes.append(f"coefficient draws without a run: {lost}")
    if unknown := sum(map(math.isnan, roots)):
        notes.append(f"coefficient draws without a capacity: {unknown}")
    nearest = _nearest(at_mean, search.of, root.value)
    if not nearest.empty and is_rising(nearest["wait_rise_s"], nearest["mean_wait_s"]):
        other = "less capacity" if search.more_is == "worse" else "that more is needed"
        notes.append(
            f"waits still rise within the runs near this value; longer runs would show {other}"
        )
    times = nearest.get("relaxation_times", pd.Series(dtype=float)).sum(min_count=1)
    if not nearest.empty and times < ENOUGH_RELAXATION_TIMES:
        notes.append(
            f"the runs at this value are short: together they are {_times(times)} the "
            "queue's memory (relaxation time); "
            f"{ENOUGH_RELAXATION_TIMES:.0f} times are needed for a trustworthy interval; increase "
            "workload.jobs"
        )
    if math.isfinite(full) and root.high == full and not begins_overload(root.note):
        notes.append("the interval ends at a load of 1, where overload begins")
    return {**row, "runs": len(runs), "note": "; ".join(note for note in notes if note)}


def _times(times: float) -> str:
    """Return the text of a multiple."""
    return "shorter than" if times < 1 else f"{times:.0f} times as long as"


def _at_mean(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> tuple[dict[float, Measured], Root, float]:
    """Return the measurements, the capacity and the value at a load of 1 at the posterior mean."""
    finder, full = root_search(search, objective), _value_at_full_load(runs, search)
    tried = _tried(_paired(runs, search.of), search, objective, samples)
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
        See :func:`~clustersim.studies.draw_capacities.draw_targets`; empty without a capacity.
    """
    if runs.empty or (not follows_waits(objective.metric) and runs[objective.metric].isna().all()):
        return math.nan, []
    _, root, _ = _at_mean(runs, search, objective, samples)
    capacity = root.crossing if math.isfinite(root.crossing) else root.value
    paired = _paired(runs, search.of)
    each = {
        number: _tried(
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
        tried = _tried(runs, search, objective, samples, measure=measured_alone)
        finder = root_search(search, objective)
        found = capacity_of_draw(tried, target, capacity, search, finder)
        return min(found, _value_at_full_load(runs, search)) if math.isfinite(found) else found
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


def _tried(
    runs: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    samples: Samples,
    *,
    measure: Callable[..., Measured] = measured_at,
) -> dict[float, Measured]:
    """Return the plain and the controlled measurement by trial value of the search."""
    tried: dict[float, Measured] = {}
    ordered = runs.sort_values("replication", kind="stable")
    for value in sorted(ordered[search.of].astype(np.float64).unique().tolist()):
        group = ordered[ordered[search.of] == value]
        metrics = _columns(group, objective)
        own = [samples.get(key, {}) for key in group["run"]]
        tried[value] = measure(objective, metrics, own)
    if tried and (full := _value_at_full_load(runs, search)) <= search.between[1]:
        tried.setdefault(full, (OVERLOADED, {}))
    return tried


def _paired(runs: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the runs of the replications that finished at all trial values, if there are two.

    What each replication contributes to an error is compared between trial values.
    """
    common = _common_replications(runs, runs, of)
    return runs[runs["replication"].isin(common)] if len(common) > 1 else runs


def _value_at_full_load(runs: pd.DataFrame, search: CapacitySearch) -> float:
    """Return the value at which the offered load is 1; infinite if a search has none."""
    if search.more_is != "worse":
        return math.inf
    if search.of == LOAD:
        return 1.0
    load = runs.groupby(search.of, sort=True)["offered_load"].mean()
    values = load.index.to_numpy(dtype=np.float64)
    if not load.iloc[-1] > load.iloc[0]:
        return math.inf
    per_value = (load.iloc[-1] - load.iloc[0]) / (values[-1] - values[0])
    return float(values[-1] + (1.0 - load.iloc[-1]) / per_value)


def _within(root: Root, full: float) -> Root:
    """Return a root whose interval is not below 0 and ends at a load of 1 at the latest."""
    low = max(root.low, 0.0) if math.isfinite(root.low) else root.low
    return replace(root, low=low, high=min(root.high, full)) if root.value <= full else root


def _columns(runs: pd.DataFrame, objective: Objective) -> dict[str, list[float]]:
    """Return the metrics that a measurement needs; NaN if runs of an earlier version lack one."""
    known = runs.reindex(columns=[objective.metric, *NEEDED])
    return {str(name): known[name].tolist() for name in known}


def gains_table(
    runs: pd.DataFrame,
    others: Sequence[str],
    compare: Comparison,
    search: CapacitySearch,
    objective: Objective,
    *,
    samples: Samples = MappingProxyType({}),
) -> pd.DataFrame:
    """Compare the capacities of systems under common random numbers.

    Each capacity is that of :func:`capacities_table`, over the replications that both systems have.
    A control variate is used only if it can be used for both.
    Both systems use the same random numbers, so the errors of their capacities partly cancel.  For
    each replication, the contributions to both errors are subtracted, and Student's t applies to
    the root of the sum of squares of these differences.  If overload begins at a capacity, the ends
    are the least and the largest difference of the two intervals, and `note` says that they are not
    a 95 % interval.  Gains of whole numbers are not rounded.

    Parameters
    ----------
    runs, others, search, objective, samples
        See :func:`capacities_table`.
    compare : Comparison
        The parameter whose values are compared, and the baseline.

    Returns
    -------
    pandas.DataFrame
        The parameters other than the compared and the searched one, ``system``, ``baseline``,
        ``replications``, ``pairs`` (replications that both have at every trial value), ``gain``
        (capacity of the system minus capacity of the baseline) with ``gain_low`` and ``gain_high``
        (95 %; NaN if a capacity lies beyond the trial values), ``same_jobs`` (whether both systems
        are offered the same jobs per day at equal values of the searched parameter) and ``note``.
        For an offered load, ``same_jobs`` is false if the compared parameter changes what the fleet
        can do.
    """
    finished = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    rows = []
    for values, group in groups_by(finished, [name for name in others if name != compare.of]):
        reference = column_value(compare.baseline)
        baseline = group[group[compare.of] == reference]
        for system, own in group.groupby(compare.of, sort=False):
            if system == reference or baseline.empty:
                continue
            found = paired_gain(own, baseline, search, objective, samples=samples)
            two = group[group[compare.of].isin([system, reference])]
            compared = {
                "system": system,
                "baseline": reference,
                "replications": int(group["replication"].nunique()),
                "pairs": found.pairs,
                "same_jobs": _same_jobs(two, compare.of, search.of),
            }
            ends = {"gain": found.value, "gain_low": found.low, "gain_high": found.high}
            rows.append({**values, **compared, **ends, "note": found.note})
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain in capacity from a baseline to a system.

    Attributes
    ----------
    pairs : int
        Replications that both have at every trial value.
    value, low, high : float
        The gain with its interval; NaN if it is not known.
    baseline : float
        Capacity of the baseline over these replications.
    note : str
        Why the ends are not those of a 95 % interval; empty if they are.
    """

    pairs: int
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    baseline: float = math.nan
    note: str = ""


def paired_gain(
    own: pd.DataFrame,
    baseline: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    *,
    samples: Samples = MappingProxyType({}),
) -> Gain:
    """Return the gain in capacity from a baseline to a system; see :func:`gains_table`.

    Parameters
    ----------
    own, baseline : pandas.DataFrame
        Finished runs of each at the posterior mean.
    search, objective, samples
        See :func:`capacities_table`.
    """
    both = _common_replications(own, baseline, search.of)
    if len(both) < 2:
        return Gain(len(both))
    ours, theirs = (
        _tried(each[each["replication"].isin(both)], search, objective, samples)
        for each in (own, baseline)
    )
    roots = _alike(ours, theirs, root_search(search, objective))
    note = ""
    if any(map(begins_overload, (root.note for root in roots))):
        note = "overload begins at a capacity: bounds, not a 95 % interval"
    return Gain(len(both), *_gain(*roots), roots[1].crossing, note)


def _common_replications(ours: pd.DataFrame, theirs: pd.DataFrame, of: str) -> list[int]:
    """Return the replications that both systems have at every trial value."""
    common: set[int] | None = None
    for runs in (ours, theirs):
        for _, at in runs.groupby(of):
            found = {int(number) for number in at["replication"]}
            common = found if common is None else common & found
    return sorted(common or ())


def _root(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> Root:
    finder = root_search(search, objective)
    return finder.result(chosen(_tried(runs, search, objective, samples), finder))


def _alike(
    ours: Mapping[float, Measured], theirs: Mapping[float, Measured], finder: RootSearch
) -> tuple[Root, Root]:
    """Return two capacities with the same kind of control, so that their noise cancels."""
    common = [
        name for name in usable_controls(ours, finder) if name in usable_controls(theirs, finder)
    ]
    first, second = (finder.result(chosen(each, finder, only=common)) for each in (ours, theirs))
    return first, second


def _gain(ours: Root, theirs: Root) -> tuple[float, float, float]:
    """Return the difference of two capacities with its interval."""
    gain = ours.crossing - theirs.crossing
    if not math.isfinite(gain):
        return math.nan, math.nan, math.nan
    freedom = min(ours.freedom, theirs.freedom)
    if freedom and len(ours.influence) == len(theirs.influence):
        parts = np.array(ours.influence) - np.array(theirs.influence)
        half = float(special.stdtrit(freedom, 0.975) * math.sqrt((parts**2).sum()))
        return gain, gain - half, gain + half
    return gain, ours.low - theirs.high, ours.high - theirs.low


def _same_jobs(runs: pd.DataFrame, compared: str, searched: str) -> bool:
    """Whether both systems are offered the same jobs at equal values of the searched parameter."""
    rate = runs["jobs_per_day"] / runs[searched].astype(np.float64)
    means = rate.groupby(runs[compared], sort=False).mean()
    return searched != LOAD or bool(np.ptp(means) <= SAME * means.max())


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
