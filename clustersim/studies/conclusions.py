"""Conclusions from the runs of a study: paired differences and Sobol indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.controls.means import controlled_difference, deviations
from clustersim.analysis.controls.metrics import CONTROLS
from clustersim.analysis.metrics import is_constant, is_service
from clustersim.analysis.sensitivity import sobol_indices
from clustersim.analysis.statistics import (
    paired_difference,
    quantile_interval,
)
from clustersim.analysis.steady import is_overloaded
from clustersim.array_types import Floats
from clustersim.seeds import Streams
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.points import DRAW_QUANTILES, controls_of, groups_by
from clustersim.studies.study import Study

__all__ = ["differences_table", "indices_table"]


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
        If control variates are used, ``difference`` and ``relative`` are the controlled estimates,
        and the columns ``_plain``, ``_plain_low``, ``_plain_high`` and ``_explained`` are as in
        :func:`~clustersim.studies.points.points_table`.  Each estimate has its own controls, and
        ``baseline_mean`` has none.  Differences of fleet metrics are exact.  Differences of
        waits and slowdowns are NaN if either system is overloaded.  With draws,
        ``relative_draw_low`` and ``relative_draw_high`` are the 5th and 95th percentile over the
        draws.
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
    if not np.isfinite(measured).all():
        return columns
    controls = (
        deviations(metric, controls_of(runs.loc[both]), CONTROLS) for runs in (system, baseline)
    )
    best = controlled_difference(measured[0], measured[1], *controls)
    for name, estimate in zip(("difference", "relative"), best, strict=True):
        if estimate is not None and np.isfinite(columns[f"{name}_low"]):
            ends = {end: columns[f"{name}{end}"] for end in ("", "_low", "_high")}
            columns |= {f"{name}_plain{end}": value for end, value in ends.items()}
            columns |= {name: estimate.value, f"{name}_low": estimate.low}
            columns |= {f"{name}_high": estimate.high, f"{name}_explained": estimate.explained}
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
