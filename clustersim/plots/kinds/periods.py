"""Plot of a metric by period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from clustersim.analysis.metrics import in_period, is_metric, metric_names
from clustersim.plots.periods import LEFT_OUT, plot_periods
from clustersim.plots.study_axes import period_names
from clustersim.plots.study_lines import metric_pictures, with_lines
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.plot_kinds import Panel, PlotKind, known_names, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]

MOST_BANDS = 3
"""With more lines, their bands hide each other; each line then has its own panel."""


def _periods(result: StudyResult, plot: Plot) -> list[Panel]:
    lines = with_lines(result, result.points, [""], plot.by)
    count = 0 if lines.by is None else lines.table[lines.by].nunique()
    if lines.panel is None and count > MOST_BANDS:
        lines = replace(lines, panel=lines.by)
    return [
        panel
        for metric in plot.ys
        for panel in lines.drawn(
            plot_periods,
            points=_with_left_out(result, lines.table, metric),
            metric=metric,
            names=period_names(result),
            by=lines.by,
            axes=lines.axes,
        )
    ]


def _with_left_out(result: StudyResult, points: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the points with ``METRIC@k_left_out``: the share of runs without a value."""
    runs = result.runs
    own = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    names = [in_period(metric, k) for k in range(1, len(result.study.spec.window.period_names) + 1)]
    there = [name for name in names if name in own]
    if "point" not in points or not there:
        return points
    share = own[there].isna().groupby(own["point"]).mean()
    return points.assign(
        **{f"{name}{LEFT_OUT}": points["point"].map(share[name]) for name in there}
    )


def _check(spec: StudySpec, _plot: Plot) -> Iterator[str]:
    if spec.window.periods is None:
        yield "a plot of periods needs window: {periods: 4}"


def _check_name(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    if field != "y":
        yield from known_names(spec, plot, field, name)
    elif not is_metric(in_period(name, 1)):
        yield from unknown("metric of a period", name, metric_names(per_period=True))


KIND = PlotKind(
    name="periods",
    title="Period by period",
    description="Metrics by period (`window.periods`).",
    panels=_periods,
    takes=("y", "by"),
    needs=("y",),
    check=_check,
    check_name=_check_name,
    per_period=True,
    pictures=metric_pictures(lambda _: []),
)
