"""Conclusions from the runs of a study: paired differences and Sobol indices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.control_variates import Estimate, jackknife, pseudo_values
from clustersim.analysis.controls.means import (
    controlled_difference,
    mean_with,
)
from clustersim.analysis.job_statistics import job_quantile, with_and_without, work_deviations
from clustersim.analysis.metrics import find_metric, is_constant, is_service, jobs_statistic
from clustersim.analysis.next_period import LogBlocks, log_first, widest
from clustersim.analysis.samples import Pooled, Sample
from clustersim.analysis.sensitivity import sobol_indices
from clustersim.analysis.statistics import (
    paired_difference,
    quantile_interval,
)
from clustersim.analysis.steady import is_overloaded
from clustersim.analysis.unfinished_work import work_name
from clustersim.array_types import Floats
from clustersim.seeds import Streams
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.points import (
    DRAW_QUANTILES,
    changed,
    controls_of,
    estimates_beside,
    groups_by,
)
from clustersim.studies.study import Study

__all__ = ["differences_table", "indices_table", "paired_columns"]

Samples = Mapping[str, Mapping[str, Sample]]


def differences_table(
    runs: pd.DataFrame,
    parameters: Sequence[str],
    *,
    of: str,
    baseline: Any,
    metrics: Sequence[str],
    samples: Samples = MappingProxyType({}),
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
    samples : mapping of str to mapping of str to Sample
        See :func:`~clustersim.studies.points.points_table`.
    steady : bool
        See :func:`~clustersim.studies.points.points_table`.

    Returns
    -------
    pandas.DataFrame
        One row for each combination of the other parameters, each other value (``system``) and each
        metric, with the columns ``baseline``, ``pairs``, ``baseline_mean``, ``difference`` and
        ``relative`` with ``_low`` and ``_high`` (95 %, see
        :func:`~clustersim.analysis.statistics.paired_difference`), and ``relative_note``.

        A mean or quantile of jobs is that over the jobs of all pairs, as in the table of points,
        with intervals from the jackknife over the pairs; ``baseline_mean`` is then that of the
        baseline.  Any other metric is averaged over the pairs.

        If control variates are used, ``difference`` and ``relative`` are the controlled estimates,
        and the columns ``_plain``, ``_plain_low``, ``_plain_high`` and ``_explained`` are as in
        :func:`~clustersim.studies.points.points_table`.  The controls of a mean or quantile of jobs
        are the unfinished work of both systems.  The controls of both estimates are chosen
        separately; ``baseline_mean`` has none.

        Differences of fleet metrics are exact.  Differences of waits and slowdowns are NaN if
        either system is overloaded.  With draws, ``relative_draw_low`` and ``relative_draw_high``
        are the 5th and 95th percentile over the draws; see
        :func:`~clustersim.studies.points.draw_range`.
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
                {
                    **compared,
                    "metric": metric,
                    **_pairs(members, reference, metric, samples, steady=steady),
                }
                for metric in metrics
            ]
    return pd.DataFrame(rows)


def _pairs(
    system: pd.DataFrame, baseline: pd.DataFrame, metric: str, samples: Samples, *, steady: bool
) -> dict[str, Any]:
    """Return the difference at the posterior mean, and the relative range over the draws."""
    # A draw of the design may repeat another one.
    ours, theirs = (
        {
            draw: runs[runs["draw"] == draw].drop_duplicates("run").set_index("replication")
            for draw in runs["draw"].astype(int).unique().tolist()
        }
        for runs in (system, baseline)
    )
    at_mean = ours[POSTERIOR_MEAN], theirs[POSTERIOR_MEAN]
    columns = paired_columns(*at_mean, metric, samples=samples, steady=steady)
    relatives = []
    for draw in sorted({*ours} & {*theirs} - {POSTERIOR_MEAN}):
        drawn = ours[draw], theirs[draw]
        usual = [own[own.index.isin(drawn[0].index)] for own in at_mean]
        found, same = (
            1.0 + paired_columns(one, other, metric, samples=samples, steady=steady)["relative"]
            for one, other in (drawn, usual)
        )
        ratio = changed(1.0 + columns["relative"], found, same, (0.0, np.inf))
        relatives.append(ratio - 1.0)
    if len(relatives) > 1:
        ends = (quantile_interval(relatives, q)[0] for q in DRAW_QUANTILES)
        columns |= dict(zip(("relative_draw_low", "relative_draw_high"), ends, strict=True))
    known = find_metric(metric)
    if known is not None and known.least >= 0:  # it cannot fall by more than 100 %
        for name in ("relative_low", "relative_plain_low"):
            if -np.inf < columns.get(name, 0.0) < -1.0:
                columns[name] = -1.0
    return columns


def paired_columns(
    system: pd.DataFrame,
    baseline: pd.DataFrame,
    metric: str,
    *,
    samples: Samples = MappingProxyType({}),
    steady: bool = True,
    for_next: bool = True,
) -> dict[str, Any]:
    """Return the difference of a metric between two systems, as in :func:`differences_table`.

    Parameters
    ----------
    system, baseline : pandas.DataFrame
        Finished runs of each at one draw, by replication.
    metric : str
    samples, steady
        See :func:`~clustersim.studies.points.points_table`.
    for_next : bool
        Whether the intervals for logs are those of another period, or those of the mean.

    Returns
    -------
    dict of str to object
        By column.

    Examples
    --------
    >>> one = pd.DataFrame({"run": ["a", "b"], "offered_load": 0.5, "backlog_growth": 0.0,
    ...                     "utilisation": [0.4, 0.5]})
    >>> found = paired_columns(one.assign(utilisation=[0.5, 0.6]), one, "utilisation")
    >>> round(found["difference"], 3), round(found["relative"], 3)
    (0.1, 0.222)
    """
    columns = _paired(system, baseline, metric, samples, steady=steady)
    if for_next and not is_constant(metric):
        columns |= _for_next_pair(columns, system, baseline, metric)
    return columns


def _for_next_pair(
    columns: Mapping[str, Any], system: pd.DataFrame, baseline: pd.DataFrame, metric: str
) -> dict[str, float]:
    """Return the intervals of a difference for another period like a log; empty without one."""
    logs = [log for log in map(LogBlocks.of, (system, baseline)) if log is not None]
    both = system.index.intersection(baseline.index)
    ours, theirs = (
        log_first(runs.loc[both, metric], both.to_numpy()) for runs in (system, baseline)
    )
    pairs = int(np.count_nonzero(~np.isnan(ours - theirs)))
    if not logs or pairs < 2:
        return {}
    drawn = [log for log in logs if log.are_drawn]
    found: dict[str, float] = {}
    for name in ("difference", "difference_plain", "relative", "relative_plain"):
        ends = [float(columns.get(f"{name}{end}", np.nan)) for end in ("", "_low", "_high")]
        if not np.isfinite(ends).all():
            continue
        is_relative = name.startswith("relative")
        if not drawn:  # one more replication of the same jobs
            offset = 1.0 if is_relative else 0.0
            mean = Estimate(ends[0] + offset, ends[1] + offset, ends[2] + offset)
            wide = mean.wider(math.sqrt(pairs + 1), linear=not is_relative)
            low, high = wide.low - offset, wide.high - offset
        else:
            low, high = (
                _next_ratio(ours, theirs, drawn) if is_relative else widest(ours - theirs, drawn)
            )
        found |= {f"{name}_low": min(low, ends[0]), f"{name}_high": max(high, ends[0])}
    return found


def _next_ratio(ours: Floats, theirs: Floats, logs: Sequence[LogBlocks]) -> tuple[float, float]:
    """Return the interval of another period of a ratio, less 1; of its logarithm if that is known.

    Infinite if a baseline is 0.
    """
    known = ~np.isnan(ours - theirs)
    if (ours[known] == theirs[known]).all():
        return 0.0, 0.0
    if (theirs[known] <= 0).any():
        return -math.inf, math.inf
    ratios = ours / theirs
    if (ratios[known] <= 0).any():
        low, high = widest(ratios, logs)
        return low - 1.0, high - 1.0
    low, high = widest(np.log(ratios), logs)
    with np.errstate(over="ignore"):
        return float(np.expm1(low)), float(np.expm1(high))


def _paired(
    system: pd.DataFrame, baseline: pd.DataFrame, metric: str, samples: Samples, *, steady: bool
) -> dict[str, Any]:
    """Return the difference of a metric over the pairs; see :func:`paired_columns`."""
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
    if not np.isfinite(measured).all():
        return columns
    if (pooled := _pooled(system.loc[both], baseline.loc[both], metric, samples)) is not None:
        return columns | pooled
    if is_service(metric):
        return columns
    controls = (controls_of(metric, runs.loc[both], samples) for runs in (system, baseline))
    best = controlled_difference(measured[0], measured[1], *controls)
    for name, estimate in zip(("difference", "relative"), best, strict=True):
        if estimate is not None and np.isfinite(columns[f"{name}_low"]):
            plain = Estimate(*(columns[f"{name}{end}"] for end in ("", "_low", "_high")))
            columns |= estimates_beside(name, plain, estimate)
    return columns


def _pooled(
    system: pd.DataFrame, baseline: pd.DataFrame, metric: str, samples: Samples
) -> dict[str, Any] | None:
    """Return the difference of a statistic over the jobs of all pairs; None for other metrics."""
    statistic = jobs_statistic(metric)
    if statistic is None or len(system) < 2:
        return None
    quantity, q = statistic
    both = [[samples.get(key, {}) for key in runs["run"]] for runs in (system, baseline)]
    if not all(quantity in run and run[quantity].count for runs in both for run in runs):
        return None
    if q is None:
        ours, theirs = (
            with_and_without(
                np.array([run[quantity].mean for run in runs]),
                np.array([run[quantity].count for run in runs], dtype=np.float64),
            )
            for runs in both
        )
    else:
        ours, theirs = (Pooled([run[quantity] for run in runs]).quantiles(q) for runs in both)
    works = [
        work_deviations(runs, quantity, None if q is None else float(found[0]))
        for runs, found in zip(both, (ours, theirs), strict=True)
    ]
    controls = [work[work_name(1.0)] for work in works if work_name(1.0) in work]
    columns: dict[str, Any] = {"baseline_mean": float(theirs[0]), "relative_note": ""}
    columns |= estimates_beside(
        "difference", jackknife(ours - theirs).one(), _controlled(ours - theirs, controls)
    )
    if not (ours > 0).all() or not (theirs > 0).all():
        if not ours.any() and not theirs.any():
            ratio, ends, note = 0.0, (0.0, 0.0), ""
            least, most = _around_zero(both, quantity, q)
            if least < most:
                columns |= {"difference_low": least, "difference_high": most}
                ends, note = (-np.inf, np.inf), "both are 0"
        elif theirs[0] > 0:
            zero = (
                "it is 0 over all jobs"
                if ours[0] == 0
                else "without one of the pairs, it is 0 for a system"
            )
            ratio, ends, note = float(ours[0] / theirs[0]) - 1.0, (-np.inf, np.inf), zero
        else:
            ratio, ends, note = np.nan, (np.nan, np.nan), "the baseline is 0"
        columns |= {"relative": ratio, "relative_low": ends[0], "relative_high": ends[1]}
        return columns | {"relative_note": note}
    found = jackknife(ours / theirs).positive().one()
    if not np.isfinite(found.high):
        columns["relative_note"] = "the interval of the ratio spans more than a factor of 1,000"
    best = _controlled(np.log(ours / theirs), controls)
    if best is not None:
        value, low, high = map(math.expm1, (best.value, best.low, best.high))
        best = Estimate(value, low, high, best.explained)
    return columns | estimates_beside(
        "relative",
        Estimate(found.value - 1.0, found.low - 1.0, found.high - 1.0),
        best if np.isfinite(found.high) else None,
    )


def _controlled(values: Floats, controls: Sequence[Floats]) -> Estimate | None:
    """Return a jackknifed statistic (1 + pairs,) with controls; None if they explain too little."""
    pseudo = pseudo_values(values)
    return mean_with(pseudo - pseudo.mean() + values[0], controls)


def _around_zero(
    both: Sequence[Sequence[Mapping[str, Sample]]], quantity: str, q: float | None
) -> tuple[float, float]:
    """Return the least and the largest difference of two quantiles that are 0 in all runs.

    More replications may show larger quantiles; those of identical runs stay equal.
    """
    values = [[run[quantity].values for run in runs] for runs in both]
    if q is None or all(map(np.array_equal, *values)):
        return 0.0, 0.0
    ours, theirs = (job_quantile(runs, quantity, q)[0].high for runs in both)
    return -theirs, ours


def indices_table(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the Sobol indices of a study with ``method: sobol-indices``.

    Returns
    -------
    pandas.DataFrame
        One row for each combination of the other parameters, each drawn parameter and each metric,
        with ``first`` and ``total`` and their ends ``_low`` and ``_high`` (95 %, bootstrap).
        Shares below 0 or above 1, which few points can give, are moved to this end.  If a point of
        the design is missing or all its runs failed, the points that belong to it are also ignored.
        The indices are NaN if no point is left, the metric did not vary, or it has no value under
        overload.
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
                    **{n: float(np.clip(getattr(found, n)[k], 0, 1)) for n in found.__slots__},
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
