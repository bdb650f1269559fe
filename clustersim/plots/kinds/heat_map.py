"""Heat map of a metric as a function of two parameters."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.plots.heat_map import plot_heat_map
from clustersim.plots.study_lines import needed, with_lines
from clustersim.studies.plot_kinds import Panel, PlotKind, known_names, parameters_of, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND"]


def _heat_map(result: StudyResult, plot: Plot) -> list[Panel]:
    x, y = needed(plot, "x", plot.x), needed(plot, "y", plot.ys)[0]
    value, objective = plot.value or result.study.spec.metrics[0], result.study.spec.objective
    limit = objective.limit if objective is not None and objective.metric == value else None
    lines = with_lines(result, result.points, [x, y], None, lined=False)
    drawn = {"points": lines.table, "x": x, "y": y, "value": value, "axes": lines.axes}
    return lines.drawn(plot_heat_map, objective=limit, **drawn)


def _check(_spec: StudySpec, plot: Plot) -> Iterator[str]:
    if len(plot.ys) > 1:
        yield f"a heat map needs exactly one parameter as y, found {', '.join(plot.ys)}"


def _check_name(spec: StudySpec, plot: Plot, field: str, name: str) -> Iterator[str]:
    if field == "value":
        yield from known_names(spec, plot, field, name)
    else:
        yield from unknown("parameter", name, parameters_of(spec))


KIND = PlotKind(
    name="heat-map",
    title="Two parameters",
    description="A metric, `value`, as a function of two parameters.",
    panels=_heat_map,
    takes=("x", "y", "value"),
    needs=("x", "y"),
    check=_check,
    check_name=_check_name,
)
