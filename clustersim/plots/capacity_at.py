"""Plot of the capacity at an objective as a function of a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import label_ends, label_points
from clustersim.plots.figure import describe, dress, panel, panel_width, plot_style, type_size, wrap
from clustersim.plots.of_study import plot_of_study
from clustersim.plots.series import (
    Places,
    Series,
    axis_for,
    check_columns,
    draw_series,
    edge_room,
    edges_of,
    ends_of,
    lines_of,
    mark_edge,
    one_row_each,
    place_x,
    series_of,
)
from clustersim.plots.ticks import set_axis
from clustersim.studies.study_result import StudyResult

__all__ = ["plot_capacity", "why_no_number"]

StrArray = npt.NDArray[np.str_]

_VALUES = ("capacity", "jobs_per_day")
_MARKS = {
    "kept": ("^", 0.955, "Open triangles at the top", "kept at every value tried"),
    "missed": ("v", 0.045, "Open triangles at the bottom", "missed at every value tried"),
    "none": ("x", 0.045, "Crosses at the bottom", "no number"),
}
"""For each kind of row without a number: marker, height in the axes, name and default reason."""


def plot_capacity(
    capacities: pd.DataFrame | StudyResult,
    x: str,
    *,
    by: str | None = None,
    value: Literal["capacity", "jobs_per_day"] = "capacity",
    searched: str = "workload.load",
    objective: str = "",
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the capacity at an objective against a parameter, with its intervals.

    If the search found no number, a mark is drawn at the top (the objective was met at every value
    tried) or at the bottom (it was missed at every value, or nothing is known).  The caption states
    the reason.

    Parameters
    ----------
    capacities : DataFrame or StudyResult
        One row per point of the other parameters, with ``capacity`` and its interval. A study
        result supplies its table of capacities, its labels and, by default, `by`.
    x : str
        Column on the x axis. Text values become categories.
    by : str, optional
        Column that defines the lines, one for each of its values.
    value : {"capacity", "jobs_per_day"}
        The capacity itself, or the offered jobs per day at this capacity.
    searched : str
        The parameter that was searched; it labels the axis.
    objective : str
        Description of the objective, for the title.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column or `value` is unknown, the table has no rows, or several rows are at the same
        point of a line.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> capacities = pd.DataFrame(
    ...     {
    ...         "scheduler.policy": ["fcfs", "easy"],
    ...         "capacity": [0.82, 0.91],
    ...         "capacity_low": [0.80, 0.89],
    ...         "capacity_high": [0.84, 0.93],
    ...     }
    ... )
    >>> ax = cs.plots.plot_capacity(capacities, "scheduler.policy", objective="p95 wait ≤ 1 h")
    >>> ax.get_xlabel()
    'policy'
    """
    if value not in _VALUES:
        raise InputError("plot_capacity", unknown_name("value", value, _VALUES))
    if isinstance(capacities, StudyResult):
        fields = {"x": x, "y": [value], "by": by}
        options = {"objective": objective or None, "axes": axes}
        return plot_of_study(
            "plot_capacity", "capacity", capacities, fields, options, y="value", ax=ax
        )
    check_columns(capacities, (x, by, value), "plot_capacity")
    one_row_each(capacities, (x, by), "plot_capacity")
    axis = _value_axis(value, searched, axes)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(capacities, by, axes)
        places, x_title = place_x(ax, capacities, x, axis_for(x, axes))
        numbers = capacities[value].to_numpy(dtype=np.float64)
        kinds = [why_no_number(one.rows, value)[0] for one in series]
        foot = edge_room(places, [np.isin(kind, ("missed", "none")) for kind in kinds])
        y_axis = set_axis(
            ax,
            "y",
            axis,
            numbers,
            edges=edges_of(capacities, value),
            room=(foot, edge_room(places, [kind == "kept" for kind in kinds])),
        )
        draw_series(ax, series, places, value, bars=True)
        _mark_without_number(ax, series, places, value)
        label_ends(ax, ends_of(series, places, value))
        at = f" at {objective}" if objective else " at the objective"
        what = "Capacity" if value == "capacity" else "Jobs per day"
        dress(ax, f"{what}{at} by {axis_for(by or x, axes).label}", x=x_title, y=y_axis.title)
    return ax


def _value_axis(value: str, searched: str, axes: Mapping[str, Axis] | None) -> Axis:
    if axes and value in axes:
        return axes[value]
    if value == "jobs_per_day":
        return axis_for(value, axes)
    axis = axis_for(searched, axes)
    return replace(axis, label=f"{axis.label} at the objective", better="more")


def why_no_number(capacities: pd.DataFrame, value: str) -> tuple[StrArray, StrArray]:
    """Return the reasons why rows have no number: their notes, or default reasons.

    Returns
    -------
    kinds : array of str (rows,)
        ``kept`` or ``missed`` if the objective was met or missed at every value tried, ``none`` if
        neither is known, or "" for a row with a number.
    reasons : array of str (rows,)
        Reasons as text.
    """
    numbers = capacities[value].to_numpy(dtype=np.float64)
    notes = capacities["note"].fillna("") if "note" in capacities else [""] * len(numbers)
    kinds, reasons = [], []
    for number, note in zip(numbers, map(str, notes), strict=True):
        kind = next((kind for kind in ("kept", "missed") if kind in note), "none")
        if kind == "none" and np.isposinf(number):
            kind = "kept"
        kinds.append("" if np.isfinite(number) else kind)
        reasons.append("" if np.isfinite(number) else note or _MARKS[kind][-1])
    return np.array(kinds), np.array(reasons)


def _mark_without_number(ax: Axes, series: Sequence[Series], places: Places, value: str) -> None:
    """Mark rows without a number; the reason is written beside the first mark if it fits."""
    words: dict[tuple[float, float], str] = {}
    why = [why_no_number(one.rows, value) for one in series]
    for kind, (marker, height, name, _) in _MARKS.items():
        which = [kinds == kind for kinds, _ in why]
        reasons = [reason for kinds, texts in why for reason in texts[kinds == kind]]
        if reasons:
            at = mark_edge(ax, series, places, which, marker, height)
            describe(ax, f"{name}: {'; '.join(dict.fromkeys(reasons))}.")
            words.update(dict.fromkeys(at, ""))
            words[at[0]] = wrap(reasons[0], 22.0 * panel_width(ax), type_size(ax) - 0.5)
    if words:
        x, y = zip(*words, strict=True)
        label_points(ax, x, y, list(words.values()), avoid=lines_of(series, places, value))
