"""Plot of a metric by period, for fleets that grow and shrink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe, panel, plot_style, type_size
from clustersim.plots.parts.multiples import Only, finish, kept
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.series import (
    Places,
    Series,
    axis_for,
    check_columns,
    draw_series,
    edges_of,
    ends_of,
    hollow,
    one_row_each,
    place_x,
    series_of,
)
from clustersim.studies.study_result import StudyResult

__all__ = ["LEFT_OUT", "period_rows", "plot_periods"]

_FEW = 0.5
"""A value is not joined by a line if a larger share of the runs has none."""
_HOLLOW = (
    "Hollow: some runs have no value and are left out; with them, the value could be much larger. "
    "A value of fewer than half of the runs is not joined to the others."
)
LEFT_OUT = "_left_out"
"""End of the column with the share of the runs of a point that have no value."""
OVERLOAD = "overload_in"
"""Column with the names of the periods in which a point is overloaded."""
_ENDS = ("", "_low", "_high", "_draw_low", "_draw_high", LEFT_OUT)


def period_rows(
    points: pd.DataFrame,
    metric: str,
    names: Sequence[str],
    *,
    by: str | None = None,
    panel: str | None = None,
) -> pd.DataFrame:
    """Return a table with a row for each point and period of a study.

    Parameters
    ----------
    points : DataFrame
        One row per point, with columns ``METRIC@k`` and their intervals for the k-th period.
    metric : str
    names : sequence of str (periods,)
    by, panel : str, optional
        Columns that distinguish the points.

    Returns
    -------
    DataFrame
        ``period`` (name of the period), `by`, `panel`, the metric and its intervals.
    """
    parts = []
    for number, name in enumerate(names, 1):
        columns = {f"{metric}@{number}{end}": f"{metric}{end}" for end in _ENDS}
        there = [column for column in columns if column in points]
        kept = points[there].rename(columns=columns)
        lead: dict[str, Any] = {"period": name}
        lead |= {column: points[column] for column in (by, panel) if column is not None}
        if "replications" in points:
            lead |= {"replications": points["replications"]}
        parts.append(kept.assign(**lead))
    return pd.concat(parts, ignore_index=True)


def plot_periods(
    points: pd.DataFrame | StudyResult,
    metric: str,
    names: Sequence[str] | None = None,
    *,
    by: str | None = None,
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric by period, with a line for each value of a parameter.

    All points are at the middle of their period.  Intervals are bands.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per point, with columns ``METRIC@k`` and their intervals for the k-th period. A
        study result supplies its table of points, its labels, the names and, by default, `by`.
    metric : str
    names : sequence of str (periods,), optional
        Names of the periods, which a table needs.
    by : str, optional
        Column that defines the lines, one for each of its values.
    only : (str, object), optional
        A column and a value: the panel shows the rows with this value.  If the column is `by`, the
        other lines are shown in grey, without bands.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If a column is unknown, or a line has several rows in a period.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> points = pd.DataFrame({"utilisation@1": [0.6], "utilisation@2": [0.8]})
    >>> ax = cs.plots.plot_periods(points, "utilisation", ["Q1", "Q2"])
    >>> ax.get_ylabel()
    'utilisation, %'
    """
    if isinstance(points, StudyResult):
        if names is not None:
            raise InputError("plot_periods", "names: a study result has the names of its periods")
        fields = {"y": [metric], "by": by}
        options = {"axes": axes}
        return plot_of_study("plot_periods", "periods", points, fields, options, y="metric", ax=ax)
    if names is None:
        raise InputError("plot_periods", "names: a table needs the names of its periods")
    needed = [f"{metric}@{number}" for number in range(1, len(names) + 1)]
    column = only[0] if only and only[0] != by else None
    check_columns(points, (*needed, by, column), "plot_periods")
    table = period_rows(points, metric, names, by=by, panel=column)
    one_row_each(table, ("period", by, column), "plot_periods")
    axis = axis_for(metric, axes)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(table, by, axes)
        places, x_title = place_x(ax, table, "period", axis_for("period", axes), joined=True)
        y_axis = set_axis(ax, "y", axis, table[metric], edges=edges_of(table, metric, axis))
        if only and column is None:
            _draw_context(ax, [_without_few(one, metric) for one in series], places, metric)
        series = [one for one in kept(series, only) if len(one.rows)]
        draw_series(ax, [_without_few(one, metric) for one in series], places, metric)
        _mark_left_out(ax, series, places, metric)
        _mark_gaps(ax, series, places, metric)
        for line in range(len(names) - 1):
            ax.axvline(line + 0.5, color="#dddddd", lw=0.6, zorder=0.4)
        _name_overload(ax, points, by, only)
        labels = ends_of(series, places, metric) if only is None or column else []
        title = f"{axis.label} by {axis_for(by or 'period', axes).label}"
        finish(ax, title, labels, only=only, axes=axes, x=x_title, y=y_axis.title)
    return ax


def _without_few(one: Series, metric: str) -> Series:
    """Return a line without the values that rest on fewer than half of the runs.

    A line and a band would join them to values of all runs, from which they differ for lack of the
    runs without a value.
    """
    left = f"{metric}{LEFT_OUT}"
    if left not in one.rows:
        return one
    few = one.rows[left].to_numpy(dtype=np.float64) > _FEW
    return replace(one, rows=one.rows.assign(**{metric: one.rows[metric].mask(few)}))


def _mark_gaps(ax: Axes, series: Sequence[Series], places: Places, metric: str) -> None:
    """Write into the periods in which no line has a value that they have none."""
    known: set[float] = set()
    for one in series:
        there = np.isfinite(one.rows[metric].to_numpy(dtype=np.float64))
        known |= set(places.of(one.rows)[there].tolist())
    gaps = [place for place in range(len(places.categories)) if place not in known]
    if not gaps:
        return
    describe(ax, "No value: no run has a value for the period, or it is not known at the end.")
    words: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "color": "#666666"}
    for place in gaps:
        ax.text(place, 0.5, "no value", rotation=90, ha="center", va="center",
                fontsize=type_size(ax) - 0.5, **words)  # fmt: skip


def _mark_left_out(ax: Axes, series: Sequence[Series], places: Places, metric: str) -> None:
    """Draw points hollow whose mean leaves out runs without a value."""
    for one in series:
        if f"{metric}{LEFT_OUT}" not in one.rows:
            continue
        left = one.rows[f"{metric}{LEFT_OUT}"].to_numpy(dtype=np.float64)
        which = (left > 0) & np.isfinite(one.rows[metric].to_numpy(dtype=np.float64))
        if which.any():
            hollow(ax, one, len(series), places, metric, which)
            describe(ax, _HOLLOW)


def _name_overload(ax: Axes, points: pd.DataFrame, by: str | None, only: Only | None) -> None:
    """Name the periods in which points are overloaded, also in the panel of a single line."""
    if OVERLOAD not in points:
        return
    rows = points[points[OVERLOAD].fillna("") != ""]
    named = [
        f"{row[by]} in {row[OVERLOAD]}" if by else f"in {row[OVERLOAD]}"
        for row in rows.to_dict("records")
    ]
    if named:
        describe(ax, f"Overloaded, so that the queue only grows: {'; '.join(named)}.")
    own = rows.iloc[:0] if only is None else rows[rows[only[0]] == only[1]]
    if len(own) == 1:
        words = f"overloaded in {own[OVERLOAD].iloc[0]}"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
        ax.text(
            0.98, 0.03, words, transform=ax.transAxes, ha="right", size="small", bbox=box,
            gid="overload",
        )  # fmt: skip


def _draw_context(ax: Axes, series: Sequence[Series], places: Places, metric: str) -> None:
    """Draw all lines in grey, as the background of the line that the panel shows."""
    for one in series:
        x, y = places.of(one.rows), one.rows[metric].to_numpy(dtype=np.float64)
        ax.plot(x, y, color="#bbbbbb", lw=0.8, zorder=1.5, gid="context")
    if len(series) > 1:
        describe(ax, "Grey lines: the other panels.")
