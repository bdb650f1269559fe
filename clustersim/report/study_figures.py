"""The pictures of a study: those that its file asks for, or those that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.figure import DOUBLE, SINGLE, StudyFigure, study_figure
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.pareto import plot_pareto
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.warm_up import plot_warm_up
from clustersim.studies.points import is_fact
from clustersim.studies.spec import Plot, Range
from clustersim.studies.study_result import StudyResult
from clustersim.units import find_quantity

__all__ = ["NamedFigure", "default_plots", "draw_plots", "study_axes"]

MOST_LINES = 8
Panel = Callable[[Axes], object]
Value = TypeVar("Value")


@dataclass(frozen=True)
class NamedFigure:
    """A picture and the name of its file."""

    name: str
    title: str
    figure: StudyFigure


def draw_plots(result: StudyResult) -> list[NamedFigure]:
    """Draw the pictures of a study.

    Raises
    ------
    InputError
        If the study file asks for a picture of something that the study does not have.
    """
    plots = result.study.spec.plots or default_plots(result)
    drawn = []
    for number, plot in enumerate(plots, 1):
        panels = _PANELS[plot.kind](result, plot)
        width = SINGLE if len(panels) == 1 else DOUBLE
        title = plot.title or result.study.spec.question or result.study.spec.name
        figure = study_figure(len(panels), title=title, width=width)
        for ax, draw in zip(figure.panels, panels, strict=True):
            draw(ax)
        drawn.append(NamedFigure(f"{number}-{plot.kind}", title, figure))
    return drawn


def default_plots(result: StudyResult) -> list[Plot]:
    """Return the pictures of a study whose file asks for none."""
    spec, plots = result.study.spec, []
    numeric = [path for path in result.parameters if _is_numeric(result.points, path)]
    if result.capacities is not None:
        others = [path for path in result.parameters if path != spec.capacity.of]  # type: ignore[union-attr]
        along = next((path for path in others if path in numeric), others[0] if others else None)
        if along is not None:
            plots.append(Plot(kind="capacity", x=along))
    if result.differences is not None:
        plots.append(Plot(kind="differences"))
    if result.indices is not None:
        plots.append(Plot(kind="indices"))
    elif numeric:
        objective = [spec.objective.metric] if spec.objective else []
        plots.append(
            Plot(kind="curve", x=numeric[-1], y=list(dict.fromkeys([*objective, *spec.metrics])))
        )
    return [*plots, Plot(kind="warm-up")]


def study_axes(result: StudyResult) -> dict[str, Axis]:
    """Return what is known of the study's columns beside their names."""
    spec = result.study.spec
    axes = {name: axis_of(name, label=spec.labels.get(name)) for name in spec.labels}
    for path in result.parameters:
        values = spec.parameters.get(path)
        examples = [values.begin] if isinstance(values, Range) else spec.listed(path)
        quantity = find_quantity(examples[0]) if examples else None
        if quantity is not None:
            axis = axes.get(path, axis_of(path))
            axes[path] = replace(axis, dimension=quantity.dimension)
    return axes


def _is_numeric(points: pd.DataFrame, path: str) -> bool:
    column = points[path]
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _curves(result: StudyResult, plot: Plot) -> list[Panel]:
    x = _needed(plot, "x", plot.x)
    points, by = _with_lines(result, result.points, x, plot.by)
    axes = study_axes(result)

    def panel(metric: str) -> Panel:
        objective = result.study.spec.objective
        marked = None
        if objective is not None and objective.metric == metric:
            marked = (objective.limit, f"objective {axis_of(metric).text(objective.limit)}")
        return lambda ax: plot_curve(points, x, metric, by=by, objective=marked, axes=axes, ax=ax)

    return [panel(metric) for metric in plot.ys or result.study.spec.metrics]


def _capacities(result: StudyResult, plot: Plot) -> list[Panel]:
    spec, table = result.study.spec, result.capacities
    if table is None or spec.capacity is None or spec.objective is None:
        raise InputError(result.study.source, "plots: a capacity plot needs a capacity search")
    x = _needed(plot, "x", plot.x)
    of, objective = spec.capacity.of, spec.objective
    if x not in table and is_fact(x):
        facts = result.points.drop_duplicates([n for n in result.parameters if n != of])
        keys = [name for name in result.parameters if name != of]
        table = table.merge(facts[[*keys, x]], on=keys, how="left") if keys else table
    table, by = _with_lines(result, table, x, plot.by, without=of)
    axis = axis_of(objective.metric)
    said = f"{axis.label} ≤ {axis.text(objective.limit)}"
    axes = study_axes(result)

    def panel(value: str) -> Panel:
        shown: Literal["capacity", "jobs_per_day"] = (
            "jobs_per_day" if value == "jobs_per_day" else "capacity"
        )
        return lambda ax: plot_capacity(
            table, x, by=by, value=shown, searched=of, objective=said, axes=axes, ax=ax
        )

    return [panel(value) for value in plot.ys or ["capacity"]]


def _differences(result: StudyResult, plot: Plot) -> list[Panel]:
    table, compare = result.differences, result.study.spec.compare
    if table is None or compare is None:
        raise InputError(result.study.source, "plots: a plot of differences needs compare")
    axes = study_axes(result)
    others = [name for name in result.parameters if name != compare.of]
    x = plot.x or next((name for name in others if _is_numeric(result.points, name)), None)

    def panel(metric: str) -> Panel:
        return lambda ax: plot_differences(table, metric, x=x, axes=axes, ax=ax)

    return [panel(metric) for metric in plot.ys or compare.metrics or result.study.spec.metrics]


def _trade_off(result: StudyResult, plot: Plot) -> list[Panel]:
    x, axes = _needed(plot, "x", plot.x), study_axes(result)

    def panel(y: str) -> Panel:
        return lambda ax: plot_pareto(result.points, x, y, by=plot.by, axes=axes, ax=ax)

    return [panel(y) for y in _needed(plot, "y", plot.ys)]


def _heat_map(result: StudyResult, plot: Plot) -> list[Panel]:
    x, y = _needed(plot, "x", plot.x), _needed(plot, "y", plot.ys)[0]
    value, objective = plot.value or result.study.spec.metrics[0], result.study.spec.objective
    limit = objective.limit if objective is not None and objective.metric == value else None
    axes = study_axes(result)
    return [lambda ax: plot_heat_map(result.points, x, y, value, objective=limit, axes=axes, ax=ax)]


def _indices(result: StudyResult, plot: Plot) -> list[Panel]:
    table = result.indices
    if table is None:
        raise InputError(result.study.source, "plots: indices need sample: sobol-indices")
    axes = study_axes(result)

    def panel(metric: str) -> Panel:
        return lambda ax: plot_indices(table, metric, axes=axes, ax=ax)

    return [panel(metric) for metric in plot.ys or result.study.spec.metrics]


def _warm_up(result: StudyResult, _plot: Plot) -> list[Panel]:
    """The way into the steady state at the point where jobs wait longest without overload."""
    runs = result.runs[(result.runs["status"] == "finished") & (result.runs["world"] == -1)]
    steady = result.points.loc[~result.points["overload"].astype(bool), "point"]
    candidates = runs[runs["point"].isin(steady)] if runs["point"].isin(steady).any() else runs
    if candidates.empty:
        raise InputError(result.study.source, "plots: no run finished")
    waits = candidates.groupby("point")["mean_wait_s"].mean()
    point = int(waits.index[int(waits.to_numpy().argmax())])
    chosen = runs[runs["point"] == point]
    share = (chosen["warm_up_jobs"] / chosen["jobs_submitted"]).to_numpy()
    reached = bool(chosen["warm_up_reached"].all())
    series = result.series_of(point)
    return [lambda ax: plot_warm_up(series, warm_up=share, reached=reached, ax=ax)]


_PANELS: Mapping[str, Callable[[StudyResult, Plot], list[Panel]]] = {
    "curve": _curves,
    "capacity": _capacities,
    "differences": _differences,
    "trade-off": _trade_off,
    "heat-map": _heat_map,
    "indices": _indices,
    "warm-up": _warm_up,
}


def _needed(plot: Plot, field: str, value: Value | None) -> Value:
    if not value:
        raise InputError("plots", f"{plot.kind}: {field} is required but absent")
    return value


def _with_lines(
    result: StudyResult, table: pd.DataFrame, x: str, by: str | None, *, without: str = ""
) -> tuple[pd.DataFrame, str | None]:
    """Return the table with the column that tells its lines apart, and the column's name."""
    told = [name for name in result.parameters if name not in (x, without) and name in table]
    if is_fact(x):
        told = [name for name in told if table.groupby(name)[x].nunique().max() > 1]
    if by is not None or len(told) <= 1:
        return table, by or (told[0] if told else None)
    axes = study_axes(result)
    names = table[told].apply(
        lambda row: ", ".join(
            axes.get(name, axis_of(name)).text(row[name])
            if isinstance(row[name], float)
            else str(row[name])
            for name in told
        ),
        axis=1,
    )
    if names.nunique() > MOST_LINES:
        raise InputError(
            result.study.source,
            f"plots: {names.nunique()} lines are too many for one picture; plot one by `by`, "
            "or as a heat map",
        )
    return table.assign(lines=names), "lines"
