"""Capacities at an objective, and their gains from one system to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.job_statistics import CLEARLY_LESS
from clustersim.analysis.metrics import follows_waits
from clustersim.analysis.root_search import Root, RootSearch, begins_overload
from clustersim.analysis.samples import Sample
from clustersim.analysis.statistics import quantile_interval
from clustersim.analysis.steady import is_rising
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.design import column_value
from clustersim.studies.objective import (
    NEEDED,
    OVERLOADED,
    PILOT_REPLICATIONS,
    Measured,
    chosen,
    measured_at,
    plain_of,
    root_search,
)
from clustersim.studies.points import DRAW_QUANTILES, estimates_beside, groups_by
from clustersim.studies.spec import LOAD, CapacitySearch, Comparison, Objective

__all__ = ["capacities_table", "gains_table", "without_pilots"]

Samples = Mapping[str, Mapping[str, Sample]]
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
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
        the capacities of the draws.
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
    searched = _complete(runs, search.of)
    tried = _tried(_paired(searched, search.of), search, objective, samples)
    full = _value_at_full_load(at_mean, search)
    root = _within(finder.result(chosen(tried, finder)), full)
    plain = _within(finder.result(plain_of(tried), extend=True), full)
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
    if draws:
        roots = [_draw_capacity(draw, search, objective, samples) for draw in draws]
        rates = [_jobs_per_day(w, search.of, root) for w, root in zip(draws, roots, strict=True)]
        for name, values in (("capacity", roots), ("jobs_per_day", rates)):
            for end, q in zip(("low", "high"), DRAW_QUANTILES, strict=True):
                row[f"{name}_draw_{end}"] = quantile_interval(values, q)[0]
    failed = len(runs) - len(finished)
    notes = [root.note, f"{failed} run{'s' * (failed > 1)} failed" if failed else ""]
    if lost := runs["draw"].nunique() - finished["draw"].nunique():
        notes.append(f"coefficient draws without a run: {lost}")
    nearest = _nearest(searched, search.of, root.value)
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


def _draw_capacity(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> float:
    """Return the capacity of a draw; infinite if the objective is kept or missed everywhere."""
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
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> dict[float, Measured]:
    """Return the plain and the controlled measurement by trial value of the search."""
    tried: dict[float, Measured] = {}
    ordered = runs.sort_values("replication", kind="stable")
    for value in sorted(ordered[search.of].astype(np.float64).unique().tolist()):
        group = ordered[ordered[search.of] == value]
        metrics = _columns(group, objective)
        own = [samples.get(key, {}) for key in group["run"]]
        tried[value] = measured_at(objective, metrics, own)
    if tried and (full := _value_at_full_load(runs, search)) <= search.between[1]:
        tried.setdefault(full, (OVERLOADED, {}))
    return tried


def without_pilots(runs: pd.DataFrame, others: Sequence[str], of: str) -> pd.DataFrame:
    """Return the runs without the trial values of pilot searches, which have few replications.

    See :class:`~clustersim.studies.run_requests.CapacityRequest`.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    others : sequence of str
        Parameters other than the searched one.
    of : str
        The searched parameter.

    Examples
    --------
    >>> runs = pd.DataFrame({"load": [0.5] * 2 + [0.8] * 12, "draw": -1})
    >>> without_pilots(runs, [], "load")["load"].unique().tolist()
    [0.8]
    """
    ones = pd.Series(1, index=runs.index[runs["draw"] == POSTERIOR_MEAN])
    count = ones.groupby([runs.loc[ones.index, name] for name in (*others, of)]).transform("sum")
    system = [runs.loc[ones.index, name] for name in others]
    most = count.groupby(system).transform("max") if others else count.max()
    return runs.drop(index=count.index[(count == PILOT_REPLICATIONS) & (count < most)])


def _complete(runs: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the finished runs at the posterior mean, without the trial values of a pilot."""
    own = without_pilots(runs, [], of)
    return own[(own["draw"] == POSTERIOR_MEAN) & (own["status"] == "finished")]


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

    Both systems use the same random numbers, so the errors of their capacities partly cancel.  For
    each replication that both have, the contributions to the errors of the two capacities are
    subtracted, and Student's t applies to the root of the sum of squares of these differences.  The
    gain without control variates is used instead if its interval is clearly narrower: common random
    numbers may have cancelled already what the controls explain.  If overload begins at a capacity,
    the ends are the least and the largest difference of the two intervals, and `note` says that
    they are not a 95 % interval.  Gains of whole numbers are not rounded.

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
    rows, finder = [], root_search(search, objective)
    for values, group in groups_by(runs, [name for name in others if name != compare.of]):
        reference = column_value(compare.baseline)
        baseline = _complete(group[group[compare.of] == reference], search.of)
        for system, every in group.groupby(compare.of, sort=False):
            own = _complete(every, search.of)
            if system == reference or baseline.empty or own.empty:
                continue
            two = pd.concat([own, baseline])
            both = _common_replications(own, baseline, search.of)
            plain, best, note = UNKNOWN, None, ""
            if len(both) > 1:
                ours, theirs = (
                    _tried(each[each["replication"].isin(both)], search, objective, samples)
                    for each in (own, baseline)
                )
                plain, best, note = _gain(ours, theirs, finder)
            compared = {
                "system": system,
                "baseline": reference,
                "replications": int(two["replication"].nunique()),
                "pairs": len(both),
                "same_jobs": _same_jobs(two, compare.of, search.of),
            }
            rows.append({**values, **compared, **estimates_beside("gain", plain, best)})
            rows[-1]["note"] = note
    return pd.DataFrame(rows)


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


def _gain(
    ours: Mapping[float, Measured], theirs: Mapping[float, Measured], finder: RootSearch
) -> tuple[Estimate, Estimate | None, str]:
    """Return the plain and the controlled gain, and a remark; the latter is None if not used."""
    roots = [finder.result(chosen(each, finder)) for each in (ours, theirs)]
    plain = [finder.result(plain_of(each), extend=True) for each in (ours, theirs)]
    note = ""
    if any(begins_overload(root.note) for root in roots):
        note = "overload begins at a capacity: bounds, not a 95 % interval"
    best, without = _difference(*roots), _difference(*plain)
    known = math.isfinite(without.value) and math.isfinite(best.value)
    if best == without or not known:
        return best, None, note
    if _variance(without) < CLEARLY_LESS * _variance(best):
        return without, None, note
    explained = max(0.0, 1.0 - _variance(best) / _variance(without))
    return without, replace(best, explained=explained), note


def _difference(ours: Root, theirs: Root) -> Estimate:
    """Return the difference of two capacities with its interval."""
    gain = ours.crossing - theirs.crossing
    if not math.isfinite(gain):
        return UNKNOWN
    freedom = min(ours.freedom, theirs.freedom)
    if not freedom or len(ours.influence) != len(theirs.influence):
        return Estimate(gain, ours.low - theirs.high, ours.high - theirs.low)
    parts = np.array(ours.influence) - np.array(theirs.influence)
    half = float(special.stdtrit(freedom, 0.975) * math.sqrt((parts**2).sum()))
    return Estimate(gain, gain - half, gain + half)


def _variance(gain: Estimate) -> float:
    return (gain.high - gain.low) ** 2


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
