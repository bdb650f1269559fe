"""Conclusions from the runs of a study: capacities, paired differences, Sobol indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import is_constant, is_service
from clustersim.analysis.sensitivity import sobol_indices
from clustersim.analysis.statistics import (
    crossing,
    mean_interval,
    paired_difference,
    quantile_interval,
)
from clustersim.analysis.steady import is_overloaded, is_rising
from clustersim.array_types import Floats
from clustersim.seeds import Streams
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.design import column_value
from clustersim.studies.points import DRAW_QUANTILES, groups_by
from clustersim.studies.run_requests import root_search, tried_metric
from clustersim.studies.spec import LOAD, CapacitySearch, Comparison, Objective
from clustersim.studies.study import Study

__all__ = ["capacities_table", "differences_table", "gains_table", "indices_table"]

SAME = 1e-9


def capacities_table(
    runs: pd.DataFrame, others: Sequence[str], search: CapacitySearch, objective: Objective
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

    Returns
    -------
    pandas.DataFrame
        The other parameters, ``capacity`` (value of the searched parameter at which the mean of the
        objective's metric over the replications equals its limit), ``capacity_low`` and
        ``capacity_high`` (95 %, by inversion of the t interval; see
        :class:`~clustersim.analysis.root_search.RootSearch`), ``jobs_per_day`` offered at the
        capacity, with the ends of its interval, ``runs`` and ``note``.  With draws, ``_draw_low``
        and ``_draw_high`` are the 5th and 95th percentile of the capacities of the draws.
    """
    rows = [
        {**values, **_capacity(group, search, objective)}
        for values, group in groups_by(runs, others)
    ]
    return pd.DataFrame(rows)


_CAPACITY = tuple(
    f"{name}{end}" for name in ("capacity", "jobs_per_day") for end in ("", "_low", "_high")
)


def _capacity(runs: pd.DataFrame, search: CapacitySearch, objective: Objective) -> dict[str, Any]:
    finished = runs[runs["status"] == "finished"]
    at_mean = finished[finished["draw"] == POSTERIOR_MEAN]
    finder = root_search(search, objective)
    if at_mean.empty:
        return {**dict.fromkeys(_CAPACITY, np.nan), "runs": len(runs), "note": "every run failed"}
    root = finder.result(_tried(at_mean, search, objective, whole=True))
    row: dict[str, Any] = {
        "capacity": root.value,
        "capacity_low": root.low,
        "capacity_high": root.high,
    }
    row |= {
        f"jobs_per_day{end}": _jobs_per_day(at_mean, search.of, row[f"capacity{end}"])
        for end in ("", "_low", "_high")
    }
    drawn = finished[finished["draw"] != POSTERIOR_MEAN]
    draws = [draw for _, draw in drawn.groupby("draw")]
    if draws:
        roots = [_draw_capacity(draw, search, objective) for draw in draws]
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


def _draw_capacity(runs: pd.DataFrame, search: CapacitySearch, objective: Objective) -> float:
    """Return the capacity of a draw; infinite if the objective is kept or missed everywhere."""
    tried = _tried(runs, search, objective, whole=False)
    root = root_search(search, objective).result(tried)
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
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective, *, whole: bool
) -> dict[float, list[float]]:
    """Return the objective's metric in each replication, by trial value of the search."""
    tried: dict[float, list[float]] = {}
    ordered = runs.sort_values("replication", kind="stable")
    for value in sorted(ordered[search.of].astype(np.float64).unique().tolist()):
        group = ordered[ordered[search.of] == value]
        columns = (objective.metric, "backlog_growth", "offered_load")
        tried[value] = tried_metric(*(group[name].tolist() for name in columns), whole=whole)
    if (search.load_of(search.between[1]) or 0.0) >= 1:
        tried.setdefault(float(search.between[1]), [np.inf])
    return tried


def gains_table(
    runs: pd.DataFrame,
    others: Sequence[str],
    compare: Comparison,
    search: CapacitySearch,
    objective: Objective,
) -> pd.DataFrame:
    """Compare the capacities of systems, replication by replication.

    Each replication has its own capacity: the crossing of its curve, interpolated between the trial
    values, with the objective.  Within a replication, both systems use the same random numbers, so
    the difference has less variance than either capacity.

    Parameters
    ----------
    runs, others, search, objective
        See :func:`capacities_table`.
    compare : Comparison
        The parameter whose values are compared, and the baseline.

    Returns
    -------
    pandas.DataFrame
        The parameters other than the compared and the searched one, ``system``, ``baseline``,
        ``replications``, ``pairs`` (replications in which both have a capacity), ``gain`` (capacity
        of the system minus capacity of the baseline) with ``gain_low`` and ``gain_high`` (95 %,
        paired Student t), and ``same_jobs``.  The latter is true if both systems are offered the
        same jobs per day at equal values of the searched parameter.  For an offered load, it is
        false if the compared parameter changes the capacity of the fleet.
    """
    finished = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    rows = []
    for values, group in groups_by(finished, [name for name in others if name != compare.of]):
        own = {
            system: _own_capacities(members, search, objective)
            for system, members in group.groupby(compare.of, sort=False)
        }
        reference = column_value(compare.baseline)
        baseline = own.pop(reference, {})
        for system, theirs in own.items():
            both = sorted(theirs.keys() & baseline.keys())
            gain, low, high = mean_interval([theirs[k] - baseline[k] for k in both])
            pair = group[group[compare.of].isin([system, reference])]
            compared = {
                "system": system,
                "baseline": reference,
                "replications": int(group["replication"].nunique()),
                "pairs": len(both),
                "same_jobs": _same_jobs(pair, compare.of, search.of),
            }
            rows.append({**values, **compared, "gain": gain, "gain_low": low, "gain_high": high})
    return pd.DataFrame(rows)


def _same_jobs(runs: pd.DataFrame, compared: str, searched: str) -> bool:
    """Whether both systems are offered the same jobs at equal values of the searched parameter."""
    rate = runs["jobs_per_day"] / runs[searched].astype(np.float64)
    means = rate.groupby(runs[compared], sort=False).mean()
    return searched != LOAD or bool(np.ptp(means) <= SAME * means.max())


def _own_capacities(
    runs: pd.DataFrame, search: CapacitySearch, objective: Objective
) -> dict[int, float]:
    """Return the capacity of each replication whose curve crosses the objective."""
    sign = 1.0 if search.more_is == "worse" else -1.0
    found: dict[int, float] = {}
    for replication in sorted(runs["replication"].unique().tolist()):
        curve = runs[runs["replication"] == replication].sort_values(search.of)
        at = sign * curve[search.of].to_numpy(dtype=np.float64)
        order = np.argsort(at, kind="stable")
        values = curve[objective.metric].to_numpy(dtype=np.float64)[order]
        ends = crossing(at[order], values, objective.limit)
        if np.isfinite(ends).all():
            found[int(replication)] = sign * 0.5 * sum(ends)
    return found


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


def differences_table(
    runs: pd.DataFrame,
    parameters: Sequence[str],
    *,
    of: str,
    baseline: Any,
    metrics: Sequence[str],
    steady: bool = True,
) -> pd.DataFrame:
    """Compare the values of a parameter with a baseline value under common random numbers.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    parameters : sequence of str
        All parameters.
    of : str
        The parameter that is compared.
    baseline : object
        The value with which the other values are compared.
    metrics : sequence of str
    steady : bool
        See :func:`~clustersim.studies.points.points_table`.

    Returns
    -------
    pandas.DataFrame
        One row for each combination of the other parameters, each other value (``system``) and each
        metric, with the columns ``baseline``, ``pairs``, ``baseline_mean``, ``difference`` and
        ``relative`` with ``_low`` and ``_high`` (95 %, see
        :func:`~clustersim.analysis.statistics.paired_difference`), and ``relative_note``.
        Differences of fleet metrics are exact.  Differences of waits and slowdowns are NaN if
        either system is overloaded.  With draws, ``relative_draw_low`` and ``relative_draw_high``
        are the 5th and 95th percentile over the draws.
    """
    others = [name for name in parameters if name != of]
    finished = runs[runs["status"] == "finished"]
    rows = []
    for values, group in groups_by(finished, others):
        for system, members in group.groupby(of, sort=False):
            reference = group[group[of] == baseline]
            if system == baseline or not {*members["draw"]} & {*reference["draw"]} & {
                POSTERIOR_MEAN
            }:
                continue
            compared = {**values, "system": system, "baseline": baseline}
            rows += [
                {**compared, "metric": metric, **_pairs(members, reference, metric, steady=steady)}
                for metric in metrics
            ]
    return pd.DataFrame(rows)


def _pairs(
    system: pd.DataFrame, baseline: pd.DataFrame, metric: str, *, steady: bool
) -> dict[str, Any]:
    """Return the difference at the posterior mean, and the relative range over the draws."""
    columns: dict[str, Any] = {}
    relatives = []
    for draw in sorted({POSTERIOR_MEAN, *system["draw"]} & {POSTERIOR_MEAN, *baseline["draw"]}):
        # A draw of the design may repeat another one.
        ours, theirs = (
            runs[runs["draw"] == draw].drop_duplicates("run").set_index("replication")
            for runs in (system, baseline)
        )
        pair = _pair(ours, theirs, metric, steady=steady)
        if draw == POSTERIOR_MEAN:
            columns = pair
        else:
            relatives.append(pair["relative"])
    if len(relatives) > 1:
        ends = (quantile_interval(relatives, q)[0] for q in DRAW_QUANTILES)
        columns |= dict(zip(("relative_draw_low", "relative_draw_high"), ends, strict=True))
    return columns


def _pair(
    system: pd.DataFrame, baseline: pd.DataFrame, metric: str, *, steady: bool
) -> dict[str, Any]:
    both = system.index.intersection(baseline.index)
    measured: list[Floats] = []
    for runs in (system, baseline):
        values = runs.loc[both, metric].to_numpy(dtype=np.float64)
        growing = steady and is_service(metric) and len(runs) and is_overloaded(runs)
        measured.append(np.full_like(values, np.inf) if growing else values)
    found = paired_difference(*measured)
    columns = {name: getattr(found, name) for name in found.__slots__}
    if is_constant(metric):
        columns |= dict.fromkeys(("relative_low", "relative_high"), found.relative)
        columns["relative_note"] = ""
    return columns


def indices_table(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the Sobol indices of a study with ``method: sobol-indices``.

    Returns
    -------
    pandas.DataFrame
        One row for each combination of the other parameters, each drawn parameter and each metric,
        with ``first`` and ``total`` and their ends ``_low`` and ``_high`` (95 %, bootstrap).  If a
        point of the design is missing or all its runs failed, the points that belong to it are also
        ignored.  The indices are NaN if no point is left, the metric did not vary, or it has no
        value under overload.
    """
    spec = study.spec
    others = [path for path in spec.varied if path not in spec.sampled]
    points = pd.DataFrame([{"point": p.index, **p.columns} for p in study.points])
    means = _point_means(
        runs, list(dict.fromkeys(spec.metrics)), steady=spec.window.periods is None
    )
    rows = []
    for values, group in groups_by(points, others):
        here = means.reindex(group["point"])
        for metric in means:
            generator = Streams(study.base.seed)(f"bootstrap of the indices of {metric}")
            found = sobol_indices(here[metric].to_numpy(), len(spec.sampled), rng=generator)
            rows += [
                {
                    **values,
                    "parameter": path,
                    "metric": metric,
                    **{name: float(getattr(found, name)[k]) for name in found.__slots__},
                }
                for k, path in enumerate(spec.sampled)
            ]
    return pd.DataFrame(rows)


def _point_means(runs: pd.DataFrame, metrics: Sequence[str], *, steady: bool) -> pd.DataFrame:
    """Return the mean of each metric at each point, over the runs at the posterior mean.

    Metrics of the service to jobs are infinite at overloaded points.
    """
    finished = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    means = finished.groupby("point", sort=True)[list(metrics)].mean()
    groups = finished.groupby("point") if steady else ()
    overloaded = [point for point, group in groups if is_overloaded(group)]
    means.loc[overloaded, [name for name in metrics if is_service(name)]] = np.inf
    return means
