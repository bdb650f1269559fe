"""Plot of a metric by period."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from clustersim.analysis.metrics import in_period, is_metric, metric_names
from clustersim.plots.periods import plot_periods
from clustersim.plots.study_lines import with_lines
from clustersim.studies.plot_kinds import Panel, PlotKind, known_names, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _periods(result: StudyResult, plot: Plot) -> list[Panel]:
    points, by, axes = with_lines(result, result.points, [""], plot.by)
    names = result.study.spec.window.period_names
    return [partial(plot_periods, points, metric, names, by=by, axes=axes) for metric in plot.ys]


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
)
