"""Plot of paired differences between the systems that a study compares."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from clustersim.errors import InputError
from clustersim.plots.differences import plot_differences
from clustersim.plots.series import FEW
from clustersim.plots.study_lines import is_numeric, metric_pictures, with_lines, with_names
from clustersim.studies.plot_kinds import Panel, PlotKind, parameters_of, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _differences(result: StudyResult, plot: Plot) -> list[Panel]:
    table, compare = result.differences, result.study.spec.compare
    if table is None or compare is None:
        raise InputError(result.study.source, "plots: a plot of differences needs `compare`")
    others = [
        name for name in result.parameters if name != compare.of and table[name].nunique() > 1
    ]
    x = plot.x
    if x is None and len(others) == 1 and is_numeric(result.points, others[0]):
        x = others[0] if table[others[0]].nunique() > FEW else None
    table = with_names(result, table)
    lines = with_lines(result, table, [*_rows_of(others, table, x), compare.of], "system")
    return [
        panel
        for metric in plot.ys or _compared(result)
        for panel in lines.drawn(
            plot_differences, differences=lines.table, metric=metric, x=x, axes=lines.axes
        )
    ]


def _rows_of(others: list[str], table: pd.DataFrame, x: str | None) -> list[str]:
    """Return the parameter whose values are on the x axis or head the groups of rows.

    With several parameters, the one with the most values heads the groups; panels then differ in
    the others.
    """
    if x is not None:
        return [x]
    return [max(others, key=lambda name: table[name].nunique())] if others else [""]


def _compared(result: StudyResult) -> list[str]:
    compare = result.study.spec.compare
    return (compare.metrics if compare else []) or result.study.spec.metrics


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
    pictures=metric_pictures(_compared),
)
