"""Plot of Sobol indices: the share of the variance of a metric due to each parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.figure import StudyFigure, plot_style
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.study_axes import place_in_words, study_axes
from clustersim.plots.study_lines import metric_pictures
from clustersim.studies.plot_kinds import Panel, PlotKind, unknown
from clustersim.studies.points import groups_by
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _indices(result: StudyResult, plot: Plot) -> list[Panel]:
    table = result.indices
    if table is None:
        raise InputError(result.study.source, "plots: indices need sample: {method: sobol-indices}")
    axes = study_axes(result)
    others = [name for name in result.parameters if name in table]
    return [
        partial(_draw, rows, metric, place_in_words(result, values, axes), axes=axes)
        for metric in plot.ys or result.study.spec.metrics
        for values, rows in groups_by(table, others)
    ]


def _draw(
    rows: pd.DataFrame,
    metric: str,
    place: str,
    *,
    axes: Mapping[str, Axis],
    ax: Axes | None = None,
) -> Axes:
    """Draw the indices of a metric at one combination of the parameters that are not drawn."""
    ax = plot_indices(rows, metric, axes=axes, ax=ax)
    if place:
        if isinstance(ax.figure, StudyFigure):
            ax.figure.entitle(ax.get_title(loc="left").replace("\n", " "))
        with plot_style(ax):
            ax.set_title(place, loc="left", parse_math=False)
    return ax


def _check(spec: StudySpec, _plot: Plot) -> Iterator[str]:
    if spec.sample is None or spec.sample.method != "sobol-indices":
        yield "a plot of indices needs sample: {method: sobol-indices}"


def _check_name(spec: StudySpec, _plot: Plot, _field: str, name: str) -> Iterator[str]:
    yield from unknown("metric", name, spec.metrics)


KIND = PlotKind(
    name="indices",
    title="Sensitivity",
    description="Sobol indices of the parameters that `sample` draws.",
    panels=_indices,
    takes=("y",),
    check=_check,
    check_name=_check_name,
    pictures=metric_pictures(lambda result: result.study.spec.metrics),
)
