"""Tables for the figures of a study, with columns for the lines and for facts of the fleets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pandas as pd

from clustersim.analysis.metrics import is_constant
from clustersim.errors import InputError
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.series import value_texts
from clustersim.plots.study_axes import place_in_words, study_axes, system_name
from clustersim.studies.plot_kinds import Panel
from clustersim.studies.spec import Plot
from clustersim.studies.study_result import StudyResult
from clustersim.units import listed

__all__ = [
    "Lines",
    "is_numeric",
    "metric_pictures",
    "needed",
    "with_facts",
    "with_lines",
    "with_names",
]

MOST_LINES, MOST_PANELS = 8, 12
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


def metric_pictures(
    defaults: Callable[[StudyResult], Sequence[str]],
) -> Callable[[StudyResult, Plot], list[Plot]]:
    """Return the function for :attr:`PlotKind.pictures` that makes one picture of each metric.

    Parameters
    ----------
    defaults : callable
        Returns the metrics of an entry without `y`.
    """

    def pictures(result: StudyResult, plot: Plot) -> list[Plot]:
        names = plot.ys or list(defaults(result))
        return [plot.model_copy(update={"y": name}) for name in dict.fromkeys(names)]

    return pictures


def with_facts(result: StudyResult, capacities: pd.DataFrame) -> pd.DataFrame:
    """Return the capacities with the facts of each fleet (its chips and its price) added."""
    searched = "" if result.study.spec.capacity is None else result.study.spec.capacity.of
    keys = [name for name in result.parameters if name != searched]
    facts = [str(n) for n in result.points if is_constant(str(n)) and n not in capacities]
    if not keys:
        return capacities.assign(**{name: result.points[name].iloc[0] for name in facts})
    fleets = result.points.drop_duplicates(keys)[[*keys, *facts]]
    return capacities.merge(fleets, on=keys, how="left")


def with_names(result: StudyResult, table: pd.DataFrame, *, numbers: bool = True) -> pd.DataFrame:
    """Return a table of differences or gains with the names of its systems and its baseline.

    Without `numbers`, systems that are numbers stay so, because they can form an axis.
    """
    axes = study_axes(result)
    kept = [] if numbers or not is_numeric(table, "system") else ["system"]
    return table.assign(
        **{
            name: [system_name(result, value, axes) for value in table[name]]
            for name in ("system", "baseline")
            if name not in kept
        }
    )


@dataclass(frozen=True, slots=True)
class Lines:
    """A table whose rows are assigned to lines and panels.

    Attributes
    ----------
    table : DataFrame
    by : str or None
        Column that distinguishes lines.
    panel : str or None
        Column that distinguishes the panels of small multiples.
    axes : dict of str to Axis
        The axes of the study, and of the columns added here.
    """

    table: pd.DataFrame
    by: str | None
    panel: str | None
    axes: dict[str, Axis]

    def drawn(self, plot: Callable[..., object], **arguments: Any) -> list[Panel]:
        """Return one panel, or a panel for each value of the panel column.

        Parameters
        ----------
        plot : callable
            Takes `arguments`, and `only` in small multiples.
        """
        if self.panel is None:
            return [partial(plot, **arguments)]
        return [
            partial(plot, **arguments, only=(self.panel, value))
            for value in _values(self.table, self.panel)
        ]


def _values(table: pd.DataFrame, column: str) -> list[Any]:
    """Return the values of a column: numbers in ascending order, names as they come."""
    values = list(dict.fromkeys(table[column]))
    return sorted(values) if is_numeric(table, column) else values


def with_lines(
    result: StudyResult,
    table: pd.DataFrame,
    beside: Sequence[str],
    by: str | None,
    *,
    lined: bool = True,
) -> Lines:
    """Assign the rows of a table to lines and, with more than one further parameter, to panels.

    Lines differ in the parameter `by`; by default, in the compared parameter, or else in the first
    one with names.  Panels differ in all others.

    Parameters
    ----------
    result : StudyResult
    table : DataFrame
        Rows of the study, with its parameters.
    beside : sequence of str
        Parameters that distinguish neither lines nor panels. The first one is on the x axis.
    by : str, optional
    lined : bool
        Whether a panel has lines; if not, panels differ in all parameters.

    Raises
    ------
    InputError
        If there would be too many lines or panels.
    """
    varying = [
        name
        for name in result.parameters
        if name not in beside and name in table and table[name].nunique() > 1
    ]
    if is_constant(x := beside[0]):
        varying = [name for name in varying if table.groupby(name)[x].nunique().max() > 1]
    axes = study_axes(result)
    table, varying, axes, joined = _with_paired(result, table, varying, beside, axes)
    by = joined.get(by, by) if by is not None else None
    if by is None and lined:
        by = _line_parameter(result, table, varying, joined)
    lines = 0 if by is None else table[by].nunique()
    by = None if lines == 1 else by
    rest = [name for name in varying if name != by]
    _check_count(result, "lines", lines, MOST_LINES)
    if len(rest) <= 1:
        panel = rest[0] if rest else None
        _check_count(result, "panels", table[panel].nunique() if panel else 1, MOST_PANELS)
        return Lines(table, by, panel, axes)
    _check_count(result, "panels", len(table[rest].drop_duplicates()), MOST_PANELS)
    texts = {name: value_texts(name, list(table[name]), axes) for name in rest}
    names = [", ".join(texts[name][row[name]] for name in rest) for _, row in table.iterrows()]
    label = " and ".join(axes.get(name, axis_of(name)).label for name in rest)
    return Lines(table.assign(panels=names), by, "panels", {**axes, "panels": Axis(label)})


def _with_paired(
    result: StudyResult,
    table: pd.DataFrame,
    varying: list[str],
    beside: Sequence[str],
    axes: dict[str, Axis],
) -> tuple[pd.DataFrame, list[str], dict[str, Axis], dict[str, str]]:
    """Join parameters that advance together, which would otherwise be lines in separate panels.

    Returns
    -------
    table : DataFrame
        With a column for each group of such parameters, whose values name those of all of them.
    varying : list of str
        With this column in place of the parameters.  Parameters that follow from those `beside` are
        left out.
    axes : dict of str to Axis
    joined : dict of str to str
        The column that stands for a parameter.
    """
    axes, joined = dict(axes), dict[str, str]()

    def labels(paths: Sequence[str]) -> str:
        return listed([axes.get(path, axis_of(path)).label for path in paths])

    for number, group in enumerate(result.study.spec.paired):
        on_axes = [path for path in beside if path in group and path in table]
        own = [path for path in group if path in varying]
        if on_axes:
            follows = [path for path in own if table.groupby(on_axes)[path].nunique().max() == 1]
            varying = [path for path in varying if path not in follows]
            first = axes.get(on_axes[0], axis_of(on_axes[0]))
            if follows:
                axes[on_axes[0]] = replace(first, label=f"{first.label} (with {labels(follows)})")
        elif len(own) > 1:
            column = f"paired[{number}]"
            rows = table[own].to_dict("records")
            table = table.assign(**{column: [place_in_words(result, row, axes) for row in rows]})
            axes[column] = Axis(labels(own))
            joined |= dict.fromkeys(own, column)
            place = varying.index(own[0])
            varying = [
                *varying[:place],
                column,
                *(path for path in varying[place:] if path not in own),
            ]
    return table, varying, axes, joined


def _line_parameter(
    result: StudyResult, table: pd.DataFrame, varying: Sequence[str], joined: Mapping[str, str]
) -> str | None:
    compare = result.study.spec.compare
    if compare is not None:
        of = joined.get(compare.of, compare.of)
        if of in varying:
            return of
    names = [name for name in varying if not is_numeric(table, name)]
    return next(iter([*names, *varying]), None)


def _check_count(result: StudyResult, what: str, count: int, most: int) -> None:
    """Raise an error if a picture would have too many lines or panels."""
    if count > most:
        raise InputError(
            result.study.source,
            f"plots: {count} {what} are too many for one picture (at most {most}); choose one "
            "parameter with `by`, or draw a heat map",
        )
