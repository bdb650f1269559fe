"""Scatter plot of two metrics, facts or capacities, with the Pareto-optimal points marked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from clustersim.plots.kinds.capacity import facts_or_parameters, not_searched
from clustersim.plots.pareto import plot_pareto
from clustersim.plots.study_axes import study_axes
from clustersim.plots.study_lines import metric_pictures, needed, with_facts
from clustersim.studies.plot_kinds import Panel, PlotKind, known_names, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _trade_off(result: StudyResult, plot: Plot) -> list[Panel]:
    x, axes = needed(plot, "x", plot.x), study_axes(result)
    table = result.points if result.capacities is None else with_facts(result, result.capacities)

    def panel(y: str) -> Panel:
        return partial(plot_pareto, table, x, y, by=plot.by, axes=axes)

    return [panel(y) for y in needed(plot, "y", plot.ys)]


def _check_name(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    if spec.capacity is None:
        yield from known_names(spec, plot, field, name)
    elif field == "by":
        yield from unknown("parameter", name, not_searched(spec))
    else:
        yield from facts_or_parameters(spec, name, "capacity", "jobs_per_day")


KIND = PlotKind(
    name="trade-off",
    title="Trade-off",
    description="Scatter plot of two metrics, facts or capacities, with the Pareto front.",
    panels=_trade_off,
    takes=("x", "y", "by"),
    needs=("x", "y"),
    check_name=_check_name,
    pictures=metric_pictures(lambda _: []),
)
