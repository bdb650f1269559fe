"""Plot of a metric as a function of a parameter, with curves through the points of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.metrics import follows_waits
from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.figure import describe, dress, panel, plot_style, type_size
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
    hollow,
    mark_edge,
    one_row_each,
    place_x,
    series_of,
)
from clustersim.plots.ticks import set_axis
from clustersim.studies.study_result import StudyResult

__all__ = ["curve_data", "overload_spans", "plot_curve"]

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
    x, beyond = at.index.to_numpy(dtype=np.float64), at.to_numpy(dtype=bool)
    half = 0.5 * (x[1:] + x[:-1])
    begins, ends = np.concatenate(([-np.inf], half)), np.concatenate((half, [np.inf]))
    spans: list[tuple[float, float]] = []
    for begin, end in zip(begins[beyond], ends[beyond], strict=True):
        if spans and spans[-1][1] == begin:
            begin = spans.pop()[0]
        spans.append((float(begin), float(end)))
    return spans


def plot_curve(
    points: pd.DataFrame | StudyResult,
    x: str,
    y: str,
    *,
    by: str | None = None,
    objective: float | tuple[float, str] | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric against a parameter, with a line for each value of another parameter.

    Under overload the queue grows and waits have no finite value. Such points are drawn as open
    triangles at the top. The background is grey where every line is overloaded.

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
    check_columns(points, (x, y, by), "plot_curve")
    one_row_each(points, (x, by), "plot_curve")
    table = curve_data(points, y)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(table, by, axes)
        places, x_title = place_x(ax, table, x, axis_for(x, axes))
        limit, name = _objective(objective, axis_for(y, axes))
        values = [one.rows[y].to_numpy(dtype=np.float64) for one in series]
        top = edge_room(places, [np.isposinf(value) for value in values])
        foot = edge_room(places, [np.isnan(value) for value in values])
        y_axis = set_axis(
            ax,
            "y",
            axis_for(y, axes),
            [*table[y], *limit],
            edges=edges_of(table, y),
            room=(foot, top),
        )
        draw_series(ax, series, places, y)
        _shade_overload(ax, table, places)
        _mark_points(ax, series, places, y)
        labels = ends_of(series, places, y)
        for value in limit:
            ax.axhline(value, color=_INK, lw=0.9, ls=(0, (5, 3)), zorder=1.2)
            if len(series) <= MOST_BESIDE:
                labels.append(EndLabel(name, float(ax.get_xlim()[1]), value, _INK))
            else:
                describe(ax, f"Dashed line across: {name}.")
        label_ends(ax, labels)
        title = f"{axis_for(y, axes).label} by {axis_for(by or x, axes).label}"
        dress(ax, title, x=x_title, y=y_axis.title)
    return ax


def _objective(objective: float | tuple[float, str] | None, axis: Axis) -> tuple[list[float], str]:
    if objective is None:
        return [], ""
    if isinstance(objective, tuple):
        return [float(objective[0])], objective[1]
    return [float(objective)], f"objective: {axis.text(float(objective))}"


def _shade_overload(ax: Axes, table: pd.DataFrame, places: Places) -> None:
    low, high = ax.get_xlim()
    for begin, end in overload_spans(table, places):
        begin, end = max(begin, low), min(end, high)
        ax.axvspan(begin, end, color="#999999", alpha=0.2, lw=0, zorder=0.5)
        if end - begin > 0.07 * (high - low):
            ax.text(
                0.5 * (begin + end),
                0.35,
                "overload",
                transform=ax.get_xaxis_transform(),
                bbox={"facecolor": "#ebebeb", "edgecolor": "none", "pad": 0.8},
                rotation=0 if end - begin > 0.4 * (high - low) else 90,
                ha="center",
                va="center",
                fontsize=type_size(ax) - 0.5,
                color="#555555",
            )
        describe(ax, "Grey: overload, the queue only grows.")


def _mark_points(ax: Axes, series: Sequence[Series], places: Places, y: str) -> None:
    """Mark overload at the top and missing results at the bottom; draw rising waits hollow."""
    values = [one.rows[y].to_numpy(dtype=np.float64) for one in series]
    if mark_edge(ax, series, places, [np.isposinf(value) for value in values], "^", 0.955):
        describe(ax, "Open triangles: overload, without a finite value.")
    if mark_edge(ax, series, places, [np.isnan(value) for value in values], "x", 0.035):
        describe(ax, "Crosses at the bottom: no result.")
    for one, value in zip(series, values, strict=True):
        if "rising" in one.rows and follows_waits(y):
            rising = one.rows["rising"].to_numpy(dtype=bool) & np.isfinite(value)
            if rising.any():
                hollow(ax, one, len(series), places, y, rising)
                describe(ax, "Hollow: still rising at the end of the runs; longer runs are needed.")
