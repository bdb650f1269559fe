"""Tables for the figures of a study, with columns for the lines and for facts of the fleets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pandas as pd

from clustersim.analysis.metrics import is_constant
from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.study_axes import study_axes
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult

__all__ = ["is_numeric", "needed", "with_facts", "with_lines"]

MOST_LINES = 8
Value = TypeVar("Value")


def is_numeric(points: pd.DataFrame, path: str) -> bool:
    """Return whether a parameter has numeric values, which can form an axis."""
    column = points[path]
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def needed(plot: Plot, field: str, value: Value | None) -> Value:
    """Return the value of a required field of a plot; raise an error if it is absent."""
    if not value:
        raise InputError("plots", f"{plot.kind}: {field} is required but absent")
    return value


def with_facts(result: StudyResult, capacities: pd.DataFrame) -> pd.DataFrame:
    """Return the capacities with the facts of each fleet (its chips and its price) added."""
    searched = "" if result.study.spec.capacity is None else result.study.spec.capacity.of
    keys = [name for name in result.parameters if name != searched]
    facts = [str(n) for n in result.points if is_constant(str(n)) and n not in capacities]
    if not keys:
        return capacities.assign(**{name: result.points[name].iloc[0] for name in facts})
    fleets = result.points.drop_duplicates(keys)[[*keys, *facts]]
    return capacities.merge(fleets, on=keys, how="left")


def with_lines(
    result: StudyResult, table: pd.DataFrame, beside: Sequence[str], by: str | None
) -> tuple[pd.DataFrame, str | None, dict[str, Axis]]:
    """Return the table with a column that distinguishes lines, this column's name, and the axes.

    Lines differ in the parameters that are not in `beside`. The first entry of `beside` is on the x
    axis.
    """
    varying = [name for name in result.parameters if name not in beside and name in table]
    if is_constant(x := beside[0]):
        varying = [name for name in varying if table.groupby(name)[x].nunique().max() > 1]
    axes = study_axes(result)
    if by is not None or len(varying) <= 1:
        return table, by or (varying[0] if varying else None), axes
    names = table[varying].apply(
        lambda row: ", ".join(
            axes.get(name, axis_of(name)).text(row[name])
            if isinstance(row[name], float)
            else str(row[name])
            for name in varying
        ),
        axis=1,
    )
    if names.nunique() > MOST_LINES:
        raise InputError(
            result.study.source,
            f"plots: {names.nunique()} lines are too many for one figure; choose one "
            "parameter with `by`, or draw a heat map",
        )
    label = " and ".join(axes.get(name, axis_of(name)).label for name in varying)
    return table.assign(lines=names), "lines", {**axes, "lines": Axis(label)}
