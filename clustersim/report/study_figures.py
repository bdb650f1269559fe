"""The pictures of a study: those that its file asks for, or those that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

import pandas as pd

from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.curves import plot_curve
from clustersim.plots.differences import plot_differences
from clustersim.plots.figure import DOUBLE, SINGLE, StudyFigure, study_figure
from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.pareto import plot_pareto
from clustersim.plots.periods import plot_periods
from clustersim.plots.scatter import plot_scatter
from clustersim.plots.sensitivity import plot_indices
from clustersim.plots.warm_up import plot_warm_up
from clustersim.report.words import place_in_words
from clustersim.studies.periods import in_period, period_of
from clustersim.studies.points import is_fact
from clustersim.studies.spec import CapacitySearch, Plot, Range, StudySpec
from clustersim.studies.study_result import StudyResult
from clustersim.units import find_quantity

__all__ = ["PLOT_KINDS", "NamedFigure", "default_plots", "draw_plots", "study_axes"]

MOST_LINES = 8
_TITLES = {
    "curve": "Curves",
    "periods": "Period by period",
    "capacity": "Capacity at the objective",
    "differences": "Paired differences",
    "trade-off": "Trade-off",
    "heat-map": "Two parameters",
    "indices": "Sensitivity",
    "warm-up": "Warm-up",
}
PLOT_KINDS = tuple(_TITLES)
Panel = Callable[..., object]
"""Draws into the axes that it is given as `ax`."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class NamedFigure:
    """A picture and the name of its file."""

    name: str
    title: str
    figure: StudyFigure


def draw_plots(result: StudyResult) -> tuple[list[NamedFigure], list[str]]:
    """Draw the pictures of a study.

    Returns
    -------
    figures : list of NamedFigure
    problems : list of str
        Why a picture could not be drawn: the study does not have, or not yet, what it shows.
    """
    plots = result.study.spec.plots or default_plots(result)
    drawn, problems = [], []
    for number, plot in enumerate(plots, 1):
        try:
            drawn.append(_drawn(result, plot, f"{number}-{plot.kind}"))
        except InputError as error:
            problems += [f"plot {number} ({plot.kind}): {problem}" for problem in error.problems]
    return drawn, problems


def _drawn(result: StudyResult, plot: Plot, name: str) -> NamedFigure:
    panels = _PANELS[plot.kind](result, plot)
    width = SINGLE if len(panels) == 1 else DOUBLE
    title = plot.title or _TITLES[plot.kind]
    heading = plot.title or ("" if len(panels) == 1 else result.study.spec.question)
    figure = study_figure(len(panels), title=heading, width=width)
    for ax, draw in zip(figure.panels, panels, strict=True):
        draw(ax=ax)
    return NamedFigure(name, title, figure)


def default_plots(result: StudyResult) -> list[Plot]:
    """Return the pictures of a study whose file asks for none."""
    spec = result.study.spec
    plots: list[Plot] = []
    numeric = [path for path in result.parameters if _is_numeric(result.points, path)]
    if result.capacities is not None:
        others = [path for path in result.parameters if path != spec.capacity.of]  # type: ignore[union-attr]
        along = next((path for path in others if path in numeric), others[0] if others else None)
        if along is not None:
            plots.append(Plot(kind="capacity", x=along))
    if result.differences is not None and len(result.differences):
        plots.append(Plot(kind="differences"))
    if result.indices is not None:
        plots.append(Plot(kind="indices"))
    elif numeric and result.steady:
        objective = [spec.objective.metric] if spec.objective else []
        plots.append(
            Plot(kind="curve", x=numeric[-1], y=list(dict.fromkeys([*objective, *spec.metrics])))
        )
    if result.steady:
        return [*plots, Plot(kind="warm-up")]
    asked = [period_of(name)[0] for name in spec.metrics if period_of(name)[1] is not None]
    whole = [name for name in dict.fromkeys(asked) if _every_period(result, name)]
    return [*plots, *([Plot(kind="periods", y=whole)] if whole else [])]


def _every_period(result: StudyResult, metric: str) -> bool:
    """Whether the points have a metric of every period."""
    count = len(result.study.spec.window.period_names)
    return all(in_period(metric, period) in result.points for period in range(1, count + 1))


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
    for metric in dict.fromkeys([*result.metrics, *(name for _, name in spec.named_metrics)]):
        base, period = period_of(metric)
        if period is not None:
            axis = axes.get(base, axis_of(base))
            label = f"{axis.label} in {_name_of_period(spec, period)}"
            axes.setdefault(metric, replace(axis, label=label, noun=axis.noun or axis.label))
    if spec.capacity is not None:
        of = spec.capacity.of
        axes.setdefault("capacity", _capacity_axis(axes.get(of, axis_of(of)), spec.capacity))
    return axes


def _name_of_period(spec: StudySpec, period: int) -> str:
    name = spec.window.period_names[period - 1]
    return name if isinstance(spec.window.periods, list) else f"period {name}"


def _capacity_axis(searched: Axis, search: CapacitySearch) -> Axis:
    """Words of a capacity: of a load, more is better; of what a fleet needs, less."""
    better = "more" if search.more_is == "worse" else "less"
    return replace(searched, label=f"{searched.label} at the objective", better=better)


def _is_numeric(points: pd.DataFrame, path: str) -> bool:
    column = points[path]
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _curves(result: StudyResult, plot: Plot) -> list[Panel]:
    spec, x = result.study.spec, _needed(plot, "x", plot.x)
    points = result.points
    # Without the values that a capacity search tried in a draw of the calibration alone.
    points = points[(points["replications"] > 0) | (points["failed"] > 0)]
    beside = spec.sampled if x in spec.sampled else [x]
    points, by, axes = _with_lines(result, points, beside, plot.by)
    if x in spec.sampled:
        return [
            partial(plot_scatter, points, x, metric, by=by, axes=axes)
            for metric in plot.ys or spec.metrics
        ]

    def panel(metric: str) -> Panel:
        objective = spec.objective
        marked = None
        if objective is not None and objective.metric == metric:
            marked = (objective.limit, f"objective {axis_of(metric).text(objective.limit)}")
        return partial(plot_curve, points, x, metric, by=by, objective=marked, axes=axes)

    return [panel(metric) for metric in plot.ys or spec.metrics]


def _periods(result: StudyResult, plot: Plot) -> list[Panel]:
    points, by, axes = _with_lines(result, result.points, [""], plot.by)
    names = result.study.spec.window.period_names
    return [partial(plot_periods, points, metric, names, by=by, axes=axes) for metric in plot.ys]


def _capacities(result: StudyResult, plot: Plot) -> list[Panel]:
    spec, table = result.study.spec, result.capacities
    if table is None or spec.capacity is None or spec.objective is None:
        raise InputError(result.study.source, "plots: a capacity plot needs a capacity search")
    x = _needed(plot, "x", plot.x)
    of, objective = spec.capacity.of, spec.objective
    table = _with_facts(result, table)
    table, by, axes = _with_lines(result, table, [x, of], plot.by)
    axis = axis_of(objective.metric)
    said = f"{axis.label} ≤ {axis.text(objective.limit)}"

    def panel(value: str) -> Panel:
        shown: Literal["capacity", "jobs_per_day"] = (
            "jobs_per_day" if value == "jobs_per_day" else "capacity"
        )
        return partial(
            plot_capacity, table, x, by=by, value=shown, searched=of, objective=said, axes=axes
        )

    return [panel(value) for value in plot.ys or ["capacity"]]


def _with_facts(result: StudyResult, capacities: pd.DataFrame) -> pd.DataFrame:
    """Capacities with the facts of each fleet: its chips, its price."""
    searched = "" if result.study.spec.capacity is None else result.study.spec.capacity.of
    keys = [name for name in result.parameters if name != searched]
    facts = [str(n) for n in result.points if is_fact(str(n)) and n not in capacities]
    if not keys:
        return capacities.assign(**{name: result.points[name].iloc[0] for name in facts})
    fleets = result.points.drop_duplicates(keys)[[*keys, *facts]]
    return capacities.merge(fleets, on=keys, how="left")


def _differences(result: StudyResult, plot: Plot) -> list[Panel]:
    table, compare = result.differences, result.study.spec.compare
    if table is None or compare is None:
        raise InputError(result.study.source, "plots: a plot of differences needs compare")
    axes = study_axes(result)
    others = [name for name in result.parameters if name != compare.of]
    x = plot.x
    if x is None and len(others) == 1 and _is_numeric(result.points, others[0]):
        x = others[0]

    def panel(metric: str) -> Panel:
        return partial(plot_differences, table, metric, x=x, axes=axes)

    return [panel(metric) for metric in plot.ys or compare.metrics or result.study.spec.metrics]


def _trade_off(result: StudyResult, plot: Plot) -> list[Panel]:
    x, axes = _needed(plot, "x", plot.x), study_axes(result)
    table = result.points if result.capacities is None else _with_facts(result, result.capacities)

    def panel(y: str) -> Panel:
        return partial(plot_pareto, table, x, y, by=plot.by, axes=axes)

    return [panel(y) for y in _needed(plot, "y", plot.ys)]


def _heat_map(result: StudyResult, plot: Plot) -> list[Panel]:
    x, y = _needed(plot, "x", plot.x), _needed(plot, "y", plot.ys)[0]
    value, objective = plot.value or result.study.spec.metrics[0], result.study.spec.objective
    limit = objective.limit if objective is not None and objective.metric == value else None
    axes = study_axes(result)
    return [partial(plot_heat_map, result.points, x, y, value, objective=limit, axes=axes)]


def _indices(result: StudyResult, plot: Plot) -> list[Panel]:
    table = result.indices
    if table is None:
        raise InputError(result.study.source, "plots: indices need sample: sobol-indices")
    axes = study_axes(result)

    def panel(metric: str) -> Panel:
        return partial(plot_indices, table, metric, axes=axes)

    return [panel(metric) for metric in plot.ys or result.study.spec.metrics]


def _warm_up(result: StudyResult, _plot: Plot) -> list[Panel]:
    """The way into the steady state where jobs wait longest within the objective."""
    runs = result.runs[(result.runs["status"] == "finished") & (result.runs["world"] == -1)]
    if runs.empty:
        raise InputError(result.study.source, "plots: no run finished")
    point = _most_loaded(result, runs)
    chosen = runs[runs["point"] == point]
    share = (chosen["warm_up_jobs"] / chosen["jobs_submitted"]).to_numpy()
    reached = bool(chosen["warm_up_reached"].all())
    series = result.series_of(point)
    (row,) = result.points[result.points["point"] == point].to_dict("records")
    where = place_in_words(result, row, study_axes(result))
    return [partial(plot_warm_up, series, warm_up=share, reached=reached, where=where)]


def _most_loaded(result: StudyResult, runs: pd.DataFrame) -> int:
    """The point with the longest waits that keeps the objective, or else has a steady state."""
    objective = result.study.spec.objective
    waits = runs.groupby("point")["mean_wait_s"].mean()
    points = result.points.set_index("point").loc[waits.index]
    kept = ~(points["overload"] | points["rising"]).astype(bool)
    if objective is not None:
        kept = points[objective.metric] <= objective.limit
    chosen = waits[kept.to_numpy()] if kept.any() else waits
    return int(chosen.index[int(chosen.to_numpy().argmax())])


_PANELS: Mapping[str, Callable[[StudyResult, Plot], list[Panel]]] = {
    "curve": _curves,
    "periods": _periods,
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
    result: StudyResult, table: pd.DataFrame, beside: Sequence[str], by: str | None
) -> tuple[pd.DataFrame, str | None, dict[str, Axis]]:
    """Return the table with the column that tells its lines apart, that column, and the axes.

    Lines differ in the parameters but those in `beside`, of which the first is along x.
    """
    told = [name for name in result.parameters if name not in beside and name in table]
    if is_fact(x := beside[0]):
        told = [name for name in told if table.groupby(name)[x].nunique().max() > 1]
    axes = study_axes(result)
    if by is not None or len(told) <= 1:
        return table, by or (told[0] if told else None), axes
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
    label = " and ".join(axes.get(name, axis_of(name)).label for name in told)
    return table.assign(lines=names), "lines", {**axes, "lines": Axis(label)}
