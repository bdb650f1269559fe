"""Plot of the capacity that a search found, as a function of a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from clustersim.analysis.metrics import is_constant, metric_names
from clustersim.errors import InputError
from clustersim.plots.axis import axis_of
from clustersim.plots.capacity_at import plot_capacity
from clustersim.plots.gains import plot_gains
from clustersim.plots.parts.multiples import GROUP
from clustersim.plots.study_axes import study_axes
from clustersim.plots.study_lines import (
    Lines,
    metric_pictures,
    needed,
    with_facts,
    with_lines,
    with_names,
)
from clustersim.studies.design import column_value
from clustersim.studies.plot_kinds import Panel, PlotKind, parameters_of, unknown
from clustersim.studies.spec import Plot, StudySpec
from clustersim.studies.study_result import StudyResult

__all__ = ["KIND", "facts_or_parameters"]


def _capacities(result: StudyResult, plot: Plot) -> list[Panel]:
    spec, table = result.study.spec, result.capacities
    if table is None or spec.capacity is None or spec.objective is None:
        raise InputError(result.study.source, "plots: a capacity plot needs a `capacity` search")
    x = needed(plot, "x", plot.x)
    of, objective = spec.capacity.of, spec.objective
    table = with_facts(result, table)
    lines = _in_groups(with_lines(result, table, [x, of], plot.by), x, plot)
    axis = axis_of(objective.metric)
    objective_text = f"{axis.label} ≤ {axis.text(objective.limit)}"

    return [
        panel
        for value in plot.ys or ["capacity"]
        for panel in lines.drawn(
            plot_capacity,
            capacities=lines.table,
            x=x,
            by=lines.by,
            value=value,
            searched=of,
            objective=objective_text,
            axes=lines.axes,
        )
    ]


def _in_groups(lines: Lines, x: str, plot: Plot) -> Lines:
    """Return a table with its rows in the groups of an entry, which differ by panel."""
    if plot.groups is None:
        return lines
    if lines.panel is not None:
        raise InputError("plots", "capacity: groups need the panels that other parameters need")
    return replace(lines, table=_grouped(lines.table, x, plot.groups), panel=GROUP)


def _grouped(table: pd.DataFrame, x: str, groups: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return the rows of each group, named by the column of groups."""
    parts = []
    for group, values in groups.items():
        known = [column_value(value) for value in values]
        parts.append(table[table[x].isin(known)].assign(**{GROUP: group}))
    return pd.concat(parts, ignore_index=True)


def _gains(result: StudyResult, plot: Plot) -> list[Panel]:
    """Return the panel with the paired differences of the capacities; none without `compare`."""
    spec, table = result.study.spec, result.gains
    if table is None or table.empty or spec.compare is None or spec.capacity is None:
        return []
    if plot.ys not in ([], ["capacity"]):
        return []
    x = "system" if plot.x == spec.compare.of else plot.x
    table = with_names(result, table, numbers=False)
    known = [name for name in result.parameters if name in table and name != x]
    lined = [name for name in (*known, "system") if name != x and table[name].nunique() > 1]
    if x is None or x not in table or len(lined) > 1:
        return []
    axes = study_axes(result)
    if x == "system":
        axes["system"] = axes.get(spec.compare.of, axis_of(spec.compare.of))
    by = lined[0] if lined else None
    groups = plot.groups
    table = table if groups is None else _grouped(table, x, groups)
    panel = partial(plot_gains, table, x, by=by, searched=spec.capacity.of, axes=axes)
    return [panel] if groups is None else [partial(panel, only=(GROUP, name)) for name in groups]


def _check(spec: StudySpec, plot: Plot) -> Iterator[str]:
    if spec.capacity is None:
        yield "a capacity plot needs a `capacity` search"
    if plot.groups is None or plot.x is None or is_constant(plot.x):
        return
    values, named = spec.listed(plot.x), []
    for group, own in plot.groups.items():
        named += own
        if len(own) < 2:
            yield f"groups.{group}: needs at least two values of {plot.x}"
        for value in map(str, own):
            problems = unknown("value", value, map(str, values))
            yield from (f"groups.{group}: {each}" for each in problems)
    if left := [str(value) for value in values if value not in named]:
        yield f"groups: {', '.join(left)} must be in a group"


def _check_name(spec: StudySpec, _plot: Plot, field: str, name: str) -> Iterator[str]:
    if field == "y":
        yield from unknown("value", name, ["capacity", "jobs_per_day"])
    elif field == "by":
        yield from unknown("parameter", name, not_searched(spec))
    else:
        yield from facts_or_parameters(spec, name)


def facts_or_parameters(spec: StudySpec, name: str, *others: str) -> Iterator[str]:
    """Yield a message if `name` is not a parameter, a fact of the fleet, or in `others`."""
    if not is_constant(name):
        known = [*not_searched(spec), *filter(is_constant, metric_names()), *others]
        yield from unknown("parameter or fact of the fleet", name, known)


def not_searched(spec: StudySpec) -> list[str]:
    """Return the parameters in the table of capacities: all except the searched parameter."""
    searched = None if spec.capacity is None else spec.capacity.of
    return [path for path in parameters_of(spec) if path != searched]


KIND = PlotKind(
    name="capacity",
    title="Capacity at the objective",
    description="The result of the `capacity` search against a parameter or a fact of the fleet.",
    panels=_capacities,
    takes=("x", "y", "by"),
    needs=("x",),
    grouped=True,
    check=_check,
    check_name=_check_name,
    pictures=metric_pictures(lambda _: ["capacity"]),
    beside=_gains,
)
