"""Plot of a metric as a function of a parameter, with curves through the points of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.metrics import follows_waits
from clustersim.array_types import Bools, Floats
from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import EndLabel
from clustersim.plots.figure import (
    describe,
    panel,
    panel_width,
    plot_style,
    text_width,
    type_size,
)
from clustersim.plots.parts.multiples import Only, chosen, finish, kept
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.strips import draw_strip, middle_of, rooms, spans
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
    strip_of,
)
from clustersim.studies.study_result import StudyResult

__all__ = ["OVERLOAD", "RISING", "curve_data", "overload_spans", "plot_curve"]

OVERLOAD = (
    "Overloaded: more work arrives than the fleet can do, so the queue only grows and waits have "
    "no finite value."
)
RISING = (
    "Hollow: jobs that arrive late wait longer than early ones, because work piles up; a "
    "longer run or log would show a larger value."
)

_INK = "#333333"
MOST_BESIDE = 4
"""With at most this many lines, the name of the objective fits next to the names of the lines."""


def curve_data(points: pd.DataFrame, y: str) -> pd.DataFrame:
    """Return the points, with an infinite metric at each point where overload leaves it undefined.

    Parameters
    ----------
    points : DataFrame
        One row per point. Without a column ``overload``, infinite values mean overload.
    y : str
        Column of the metric. Waits, completion times and slowdowns grow without limit under
        overload; other metrics (utilisation) keep their values.

    Returns
    -------
    DataFrame
        The points with a column ``overload`` (bool).
    """
    values = points[y].to_numpy(dtype=np.float64)
    known = points["overload"].astype(bool) if "overload" in points else False
    table = points.assign(overload=known | np.isposinf(values))
    if follows_waits(y):
        table[y] = np.where(table["overload"], np.inf, values)
    return table


def overload_spans(points: pd.DataFrame, places: Places) -> list[tuple[float, float]]:
    """Return the ranges of x in which every line is overloaded, up to halfway to the next point.

    Parameters
    ----------
    points : DataFrame
        From :func:`curve_data`.
    places : Places
        Positions of the values of x along the axis.

    Returns
    -------
    list of (float, float)
        A bound is infinite if there is no next point on that side.
    """
    at = pd.Series(points["overload"].to_numpy(dtype=bool)).groupby(places.of(points)).all()
    return spans(at.index.to_numpy(dtype=np.float64), at.to_numpy(dtype=bool))


def plot_curve(
    points: pd.DataFrame | StudyResult,
    x: str,
    y: str,
    *,
    by: str | None = None,
    objective: float | tuple[float, str] | None = None,
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric against a parameter, with a line for each value of another parameter.

    Under overload the queue grows and waits have no finite value. A line ends there. The background
    is grey where every line is overloaded; a strip at the top shows which lines are overloaded if
    some are not.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per point of the parameter space, with the intervals of the metric. A study result
        supplies its table of points, its labels, its objective and, by default, `by`.
    x, y : str
        Columns on the two axes. Text values on the x axis become categories.
    by : str, optional
        Column that defines the lines, one for each of its values. By default, a table has one line,
        and a study result has one for each combination of its other parameters.
    objective : float or (float, str), optional
        A value of the metric to draw as a dashed line, optionally with its name.
    only : (str, object), optional
        A column and a value: the panel shows the rows with this value, and is named after it.  The
        axes suit all rows, so that several panels can be compared.
    axes : mapping of str to Axis, optional
        Labels, units or scales that replace the defaults.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as one column of a paper.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If a column is unknown, the table has no rows, or several rows are at the same point of a
        line.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> points = pd.DataFrame(
    ...     {
    ...         "workload.load": [0.5, 0.7, 0.9],
    ...         "mean_wait_s": [60.0, 300.0, 2400.0],
    ...         "mean_wait_s_low": [40.0, 240.0, 1800.0],
    ...         "mean_wait_s_high": [80.0, 360.0, 3200.0],
    ...     }
    ... )
    >>> ax = cs.plots.plot_curve(points, "workload.load", "mean_wait_s", objective=3600)
    >>> ax.get_xlabel()
    'offered load'

    With the result of a study, the rest comes from the study::

        result = cs.load_result("out")
        cs.plots.plot_curve(result, "workload.load", "p95_wait_s")
    """
    if isinstance(points, StudyResult):
        if x in points.study.spec.sampled:
            raise InputError("plot_curve", f"x: {x} has sampled values; use plot_scatter")
        fields = {"x": x, "y": [y], "by": by}
        options = {"objective": objective, "axes": axes}
        return plot_of_study("plot_curve", "curve", points, fields, options, ax=ax)
    column = only[0] if only else None
    check_columns(points, (x, y, by, column), "plot_curve")
    one_row_each(points, (x, by, column), "plot_curve")
    table = curve_data(points, y)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(table, by, axes)
        places, x_title = place_x(ax, table, x, axis_for(x, axes))
        limit, name = _objective(objective)
        values = [one.rows[y].to_numpy(dtype=np.float64) for one in series]
        over = strip_of(series, places, [np.isposinf(value) for value in values], "overloaded")
        lost = strip_of(series, places, [np.isnan(value) for value in values], "no result")
        y_axis = set_axis(
            ax,
            "y",
            axis_for(y, axes),
            [*table[y], *limit],
            edges=edges_of(table, y, axis_for(y, axes)),
            room=rooms(lost, over),
            below_zero=bool(lost.bars),
        )
        if limit and not name:
            name = f"objective: {y_axis.text(limit[0])}"
        series = kept(series, only)
        draw_series(ax, series, places, y)
        _mark_overload(ax, series, chosen(table, only), places, (axis_for(x, axes), y))
        _mark_points(ax, series, places, y)
        labels = ends_of(series, places, y)
        for value in limit:
            ax.axhline(value, color=_INK, lw=0.9, ls=(0, (5, 3)), zorder=1.2)
            if len(series) <= MOST_BESIDE:
                labels.append(EndLabel(name, float(ax.get_xlim()[1]), value, _INK))
            else:
                describe(ax, f"Dashed line across: {name}.")
        title = f"{axis_for(y, axes).label} by {axis_for(by or x, axes).label}"
        finish(ax, title, labels, only=only, axes=axes, x=x_title, y=y_axis.title)
    return ax


def _objective(objective: float | tuple[float, str] | None) -> tuple[list[float], str]:
    if objective is None:
        return [], ""
    if isinstance(objective, tuple):
        return [float(objective[0])], objective[1]
    return [float(objective)], ""


def _mark_overload(
    ax: Axes, series: Sequence[Series], table: pd.DataFrame, places: Places, of: tuple[Axis, str]
) -> None:
    """Shade the range in which every line is overloaded; show in a strip which lines are.

    `of` is the axis of the parameter and the name of the metric.
    """
    x_axis, y = of
    if table["overload"].any() and follows_waits(y):
        describe(ax, OVERLOAD)
    low, high = ax.get_xlim()
    shaded = [(max(a, low), min(b, high)) for a, b in overload_spans(table, places)]
    over = [np.isposinf(one.rows[y].to_numpy(dtype=np.float64)) for one in series]
    beside = [
        marked & ~np.isin(places.of(one.rows), _inside(places.of(one.rows), shaded))
        for one, marked in zip(series, over, strict=True)
    ]
    partly = any(marked.any() for marked in beside)
    for begin, end in shaded:
        ax.axvspan(begin, end, color="#999999", alpha=0.2, lw=0, zorder=0.5)
        if not partly:
            _name_shade(ax, begin, end)
    if partly or shaded:
        describe(ax, _begin_of_overload(series, places, over, x_axis))
    if partly:
        draw_strip(ax, strip_of(series, places, over, "overloaded"), top=True)
    elif shaded and not follows_waits(y):
        describe(ax, "Grey: overloaded, the queue only grows.")


def _begin_of_overload(
    series: Sequence[Series], places: Places, over: Sequence[Bools], axis: Axis
) -> str:
    """Return between which values overload begins, because a bar begins halfway between them."""
    if places.categories:
        return ""
    ends = {
        (float(x[k]), float(x[k + 1]))
        for x, marked in zip((places.of(one.rows) for one in series), over, strict=True)
        for k in np.flatnonzero(marked[1:] != marked[:-1])
    }
    if len(ends) == 1:
        low, high = map(axis.text, *ends)
        return f"Overload begins somewhere between {low} and {high}; its mark begins halfway."
    return (
        "Overload begins somewhere between two simulated values; its mark begins halfway between "
        "them."
    ) * bool(ends)


def _inside(x: Floats, shaded: Sequence[tuple[float, float]]) -> Floats:
    """Return the positions that are in one of some ranges."""
    within = [(x >= begin) & (x <= end) for begin, end in shaded]
    return x[np.any(within, axis=0)] if within else x[:0]


def _name_shade(ax: Axes, begin: float, end: float) -> None:
    """Write "overloaded" into a shaded range, upright if it is narrow."""
    size = type_size(ax) - 0.5
    to_axes, up = ax.transScale + ax.transLimits, ax.get_ylim()[1]
    share = float(np.diff(to_axes.transform([(begin, up), (end, up)])[:, 0])[0])
    wide = 72.0 * 0.7 * panel_width(ax) * share
    ax.text(
        middle_of(ax, begin, end),
        0.5,
        "overloaded",
        transform=ax.get_xaxis_transform(),
        bbox={"facecolor": "#ebebeb", "edgecolor": "none", "pad": 0.8},
        rotation=0 if wide > text_width("overloaded", size) + 4.0 else 90,
        ha="center",
        va="center",
        fontsize=size,
        color="#444444",
    )


def _mark_points(ax: Axes, series: Sequence[Series], places: Places, y: str) -> None:
    """Show in a strip where results are missing; draw rising waits hollow."""
    values = [one.rows[y].to_numpy(dtype=np.float64) for one in series]
    lost = strip_of(series, places, [np.isnan(value) for value in values], "no result")
    draw_strip(ax, lost, top=False)
    for one, value in zip(series, values, strict=True):
        if "rising" in one.rows and follows_waits(y):
            rising = one.rows["rising"].to_numpy(dtype=bool) & np.isfinite(value)
            if rising.any():
                hollow(ax, one, len(series), places, y, rising)
                describe(ax, RISING)
