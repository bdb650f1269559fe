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
from clustersim.plots.figure import describe, panel, plot_style
from clustersim.plots.parts.multiples import Only, finish, kept, own_rows
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.strips import Strip, draw_strip, rooms
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.series import (
    Places,
    Series,
    axis_for,
    check_columns,
    draw_series,
    edges_of,
    ends_of,
    one_row_each,
    place_x,
    series_of,
    strip_of,
)
from clustersim.studies.search_spec import LOAD
from clustersim.studies.study_result import StudyResult

__all__ = ["plot_capacity", "why_no_number"]

StrArray = npt.NDArray[np.str_]

_VALUES = ("capacity", "jobs_per_day")
_REASONS = {
    "kept": "objective met at every {} tried",
    "missed": "objective missed at every {} tried",
    "none": "no number",
}
"""For each kind of row without a number: what the picture says, with the searched quantity."""


def plot_capacity(
    capacities: pd.DataFrame | StudyResult,
    x: str,
    *,
    by: str | None = None,
    value: Literal["capacity", "jobs_per_day"] = "capacity",
    searched: str = "workload.load",
    objective: str = "",
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the capacity at an objective against a parameter, with its intervals.

    If the search found no number, a strip at the top (the objective was met at every value tried)
    or at the bottom (it was missed at every value, or nothing is known) says so.  The caption
    states the notes of the search.

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
    only, axes, ax
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
    column = only[0] if only else None
    check_columns(capacities, (x, by, value, column), "plot_capacity")
    one_row_each(capacities, (x, by, column), "plot_capacity")
    axis = _value_axis(value, searched, axes)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(capacities, by, axes)
        own = own_rows(capacities, only)
        places, x_title = place_x(ax, capacities, x, axis_for(x, axes), own=own)
        numbers = capacities[value].to_numpy(dtype=np.float64)
        above, below = _strips(series, places, value, searched)
        y_axis = set_axis(
            ax,
            "y",
            axis,
            numbers,
            edges=edges_of(capacities, value, axis),
            room=rooms(below, above),
            below_zero=bool(below.bars),
        )
        series = kept(series, only)
        draw_series(ax, series, places, value, bars=True)
        for strip, top in zip(_strips(series, places, value, searched), (True, False), strict=True):
            draw_strip(ax, strip, top=top)
        _describe_notes(ax, series, value)
        at = f" at {objective}" if objective else " at the objective"
        what = "Capacity" if value == "capacity" else "Jobs per day"
        title = f"{what}{at} by {axis_for(by or x, axes).label}"
        labels = ends_of(series, places, value)
        finish(ax, title, labels, only=only, axes=axes, x=x_title, y=y_axis.title)
    return ax


def _value_axis(value: str, searched: str, axes: Mapping[str, Axis] | None) -> Axis:
    if axes and value in axes:
        return axes[value]
    if value == "jobs_per_day":
        return axis_for(value, axes)
    axis = axis_for(searched, axes)
    return replace(axis, label=f"{axis.label} at the objective", better="more")


def why_no_number(capacities: pd.DataFrame, value: str) -> tuple[StrArray, StrArray]:
    """Return the reasons why rows have no number.

    Returns
    -------
    kinds : array of str (rows,)
        ``kept`` or ``missed`` if the objective was met or missed at every value tried, ``none`` if
        neither is known, or "" for a row with a number.
    reasons : array of str (rows,)
        Notes of the search; "" without a note.
    """
    numbers = capacities[value].to_numpy(dtype=np.float64)
    notes = capacities["note"].fillna("") if "note" in capacities else [""] * len(numbers)
    kinds, reasons = [], []
    for number, note in zip(numbers, map(str, notes), strict=True):
        kind = next((kind for kind in ("kept", "missed") if kind in note), "none")
        if kind == "none" and np.isposinf(number):
            kind = "kept"
        kinds.append("" if np.isfinite(number) else kind)
        reasons.append("" if np.isfinite(number) else note)
    return np.array(kinds), np.array(reasons)


def _strips(
    series: Sequence[Series], places: Places, value: str, searched: str
) -> tuple[Strip, Strip]:
    """Return the strips at the top and at the bottom for rows without a number."""
    kinds = [why_no_number(one.rows, value)[0] for one in series]
    noun = "load" if searched == LOAD else "value"
    lost = {str(kind) for own in kinds for kind in own} & {"missed", "none"}
    words = ", or ".join(_REASONS[kind].format(noun) for kind in sorted(lost))
    met = [kind == "kept" for kind in kinds]
    below = [np.isin(kind, ("missed", "none")) for kind in kinds]
    return (
        strip_of(series, places, met, _REASONS["kept"].format(noun)),
        strip_of(series, places, below, words),
    )


def _describe_notes(ax: Axes, series: Sequence[Series], value: str) -> None:
    """Add what the search found at rows without a number to the caption."""
    for kind, where in (("kept", "top"), ("missed", "bottom"), ("none", "bottom")):
        found = [why_no_number(one.rows, value) for one in series]
        notes = [note for kinds, texts in found for note in texts[kinds == kind] if note]
        if notes:
            describe(ax, f"Strip at the {where}: {'; '.join(dict.fromkeys(notes))}.")
