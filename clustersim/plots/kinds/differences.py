"""Plot of paired differences between the systems that a study compares."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from clustersim.errors import InputError
from clustersim.plots.differences import plot_differences
from clustersim.plots.study_axes import study_axes
from clustersim.plots.study_lines import is_numeric
from clustersim.studies.plot_kinds import Panel, PlotKind, parameters_of, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _differences(result: StudyResult, plot: Plot) -> list[Panel]:
    table, compare = result.differences, result.study.spec.compare
    if table is None or compare is None:
        raise InputError(result.study.source, "plots: a plot of differences needs `compare`")
    axes = study_axes(result)
    others = [name for name in result.parameters if name != compare.of]
    x = plot.x
    if x is None and len(others) == 1 and is_numeric(result.points, others[0]):
        x = others[0]

    def panel(metric: str) -> Panel:
        return partial(plot_differences, table, metric, x=x, axes=axes)

    return [panel(metric) for metric in plot.ys or compare.metrics or result.study.spec.metrics]


def _check(spec: StudySpec, _plot: Plot) -> Iterator[str]:
    if spec.compare is None:
        yield "a plot of differences needs `compare`"


def _check_name(spec: StudySpec, _plot: Plot, field: str, name: str) -> Iterator[str]:
    if field == "y":
        compared = spec.compare.metrics if spec.compare else []
        yield from unknown("metric", name, compared or spec.metrics)
    else:
        of = spec.compare.of if spec.compare else ""
        yield from unknown("parameter", name, [p for p in parameters_of(spec) if p != of])


KIND = PlotKind(
    name="differences",
    title="Paired differences",
    description="Differences from the baseline of `compare`, on the same random numbers.",
    panels=_differences,
    takes=("x", "y"),
    check=_check,
    check_name=_check_name,
)
