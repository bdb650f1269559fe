"""Capacities at an objective, and their gains from one system to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.control_variates import Estimate, jackknife
from clustersim.analysis.samples import Sample
from clustersim.analysis.statistics import crossing, quantile_interval
from clustersim.analysis.steady import is_rising
from clustersim.array_types import Floats
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.design import column_value
from clustersim.studies.objective import (
    NEEDED,
    OVERLOADED,
    means_with_and_without,
    measured_at,
    root_search,
)
from clustersim.studies.points import DRAW_QUANTILES, groups_by
from clustersim.studies.spec import LOAD, CapacitySearch, Comparison, Objective

__all__ = ["capacities_table", "gains_table"]

Samples = Mapping[str, Mapping[str, Sample]]
SAME = 1e-9


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
        ``capacity_high`` (95 %, from the error and the slope of the measurement at the capacity;
        see :class:`~clustersim.analysis.root_search.RootSearch`), ``capacity_plain`` (without a
        control variate) with the ends of its interval, ``jobs_per_day`` (offered at the capacity)
        with the ends of its interval, ``runs`` and ``note``.  With draws, ``_draw_low`` and
        ``_draw_high`` are the 5th and 95th percentile of the capacities of the draws.
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
    tried = _tried(at_mean, search, objective, samples)
    root = finder.result({value: best for value, (_, best) in tried.items()})
    plain = finder.result({value: each for value, (each, _) in tried.items()})
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
    if _rises_near(at_mean, search.of, root.value):
        notes.append(
            "waits still rise within the runs near this value; longer runs would show less capacity"
        )
    if search.load_of(root.high) == 1.0:
        notes.append("the interval ends at a load of 1, where overload begins")
    return {**row, "runs": len(runs), "note": "; ".join(note for note in notes if note)}


def _draw_capacity(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> float:
    """Return the capacity of a draw; infinite if the objective is kept or missed everywhere."""
    tried = _tried(runs, search, objective, samples)
    root = root_search(search, objective).result({at: best for at, (_, best) in tried.items()})
    if np.isnan(root.value):
        return -np.inf if search.more_is == "worse" else np.inf
    return root.value


def _rises_near(runs: pd.DataFrame, of: str, value: float) -> bool:
    """Whether the waits rise within the runs at the trial value nearest to a capacity."""
    if not np.isfinite(value) or runs.empty:
        return False
    tried = runs[of].astype(np.float64)
    nearest = runs[tried == tried.iloc[int((tried - value).abs().to_numpy().argmin())]]
    return is_rising(nearest["wait_rise_s"], nearest["mean_wait_s"])


def _tried(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> dict[float, tuple[Estimate, Estimate]]:
    """Return the plain and the best measurement by trial value of the search."""
    tried: dict[float, tuple[Estimate, Estimate]] = {}
    ordered = runs.sort_values("replication", kind="stable")
    for value in sorted(ordered[search.of].astype(np.float64).unique().tolist()):
        group = ordered[ordered[search.of] == value]
        metrics = _columns(group, objective)
        own = [samples.get(key, {}) for key in group["run"]]
        plain, best = measured_at(objective, metrics, own)
        tried[value] = plain, best or plain
    if (search.load_of(search.between[1]) or 0.0) >= 1:
        tried.setdefault(float(search.between[1]), (OVERLOADED, OVERLOADED))
    return tried


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

    Each capacity is the value at which the curve over all replications, interpolated between the
    trial values, crosses the objective.  Both systems use the same random numbers, so their
    difference has less variance than either capacity.  The jackknife computes the interval of the
    difference; it leaves out the same replication of both systems at a time.

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
        (95 %, jackknife; NaN if a capacity lies beyond the trial values), and ``same_jobs``.  This
        is true if both systems are offered the same jobs per day at equal values of the searched
        parameter.  For an offered load, it is false if the compared parameter changes the capacity
        of the fleet.
    """
    finished = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    rows = []
    for values, group in groups_by(finished, [name for name in others if name != compare.of]):
        reference = column_value(compare.baseline)
        baseline = group[group[compare.of] == reference]
        for system, own in group.groupby(compare.of, sort=False):
            if system == reference or baseline.empty:
                continue
            both = _common_replications(own, baseline, search.of)
            gain = np.full(3, np.nan)
            if len(both) > 1:
                ours, theirs = (
                    _with_and_without(
                        each[each["replication"].isin(both)], search, objective, samples
                    )
                    for each in (own, baseline)
                )
                gain = np.array(jackknife(ours - theirs))
            two = group[group[compare.of].isin([system, reference])]
            compared = {
                "system": system,
                "baseline": reference,
                "replications": int(group["replication"].nunique()),
                "pairs": len(both),
                "same_jobs": _same_jobs(two, compare.of, search.of),
            }
            ends = dict(zip(("gain", "gain_low", "gain_high"), gain.tolist(), strict=True))
            rows.append({**values, **compared, **ends})
    return pd.DataFrame(rows)


def _common_replications(ours: pd.DataFrame, theirs: pd.DataFrame, of: str) -> list[int]:
    """Return the replications that both systems have at every trial value."""
    common: set[int] | None = None
    for runs in (ours, theirs):
        for _, at in runs.groupby(of):
            found = {int(number) for number in at["replication"]}
            common = found if common is None else common & found
    return sorted(common or ())


def _with_and_without(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, samples: Samples
) -> Floats:
    """Return the capacity over all replications, then without each of them (1 + replications,)."""
    sign = 1.0 if search.more_is == "worse" else -1.0
    at, curves = [], []
    ordered = runs.sort_values("replication", kind="stable")
    tried = ordered[search.of].astype(np.float64)
    for value in tried.unique().tolist():
        group = ordered[tried == value]
        metrics = _columns(group, objective)
        own = [samples.get(key, {}) for key in group["run"]]
        at.append(sign * value)
        curves.append(means_with_and_without(objective, metrics, own))
    end = float(search.between[1])
    if (search.load_of(end) or 0.0) >= 1 and sign * end not in at:
        at.append(sign * end)
        curves.append(np.full_like(curves[0], np.inf))
    order = np.argsort(at)
    values, table = np.array(at)[order], np.array(curves)[order]
    limit = root_search(search, objective).at_most
    ends = np.array([crossing(values, column, limit) for column in table.T])
    capacities: Floats = sign * ends.mean(axis=1)
    return np.where(np.isfinite(capacities), capacities, np.nan)


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
    if value > at[-1] and len(at) > 1:
        slope = (rates[-1] - rates[-2]) / (at[-1] - at[-2])
        return float(rates[-1] + slope * (value - at[-1]))
    return float(np.interp(value, at, rates))
