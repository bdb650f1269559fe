"""Scatter plots of two metrics of a study's points, with the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from clustersim.analysis.pareto import pareto_front
from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.curves import curve_data
from clustersim.plots.direct_labels import EndLabel, label_ends, label_points
from clustersim.plots.figure import describe, dress, panel, plot_style
from clustersim.plots.parts.intervals import CUT_BARS, OPEN_BARS, draw_bars, ends_of_rows, is_cut
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.series import (
    REPLICATIONS,
    axis_for,
    check_columns,
    edges_of,
    series_of,
    value_texts,
)
from clustersim.studies.study_result import StudyResult

__all__ = ["plot_pareto", "point_names", "staircase"]

_FEW = 12
"""The points of the front are named if there are at most this many."""
_ROOTS = ("workload", "scheduler", "cluster", "catalogue", "performance", "horizon", "seed")
_INK = "#333333"


def point_names(
    points: pd.DataFrame, *, by: str | None = None, axes: Mapping[str, Axis] | None = None
) -> tuple[list[str], list[str]]:
    """Return short names of points, made from the parameters in which they differ.

    Parameters
    ----------
    points : DataFrame
        Parameters are the columns whose names are paths in a scenario.
    by : str, optional
        A parameter that the figure shows by colour; it is not part of the names.
    axes : mapping of str to Axis, optional

    Returns
    -------
    names : list of str
        The values of the differing parameters, one text per point.
    parameters : list of str
        Labels of the differing parameters.
    """
    columns = [
        column
        for column in map(str, points.columns)
        if column.split(".", 1)[0] in _ROOTS and column != by and points[column].nunique() > 1
    ]
    bare = {column: value_texts(column, list(points[column].unique()), axes) for column in columns}
    labels = {column: axis_for(column, axes).label for column in columns}
    names = [
        ", ".join(
            bare[column][row[column]].removeprefix(f"{labels[column]} ") for column in columns
        )
        for _, row in points.iterrows()
    ]
    return names, list(labels.values())


def staircase(
    x: npt.ArrayLike, y: npt.ArrayLike, *, more_x: bool = False, more_y: bool = False
) -> Floats:
    """Return the corners of the staircase that bounds the region dominated by a front.

    Parameters
    ----------
    x, y : array_like (points,)
        Points of the front.
    more_x, more_y : bool
        Whether larger values are better.

    Returns
    -------
    array (vertices, 2)
        In order of x. Between two points, the corner has the worse x and the worse y of the two.

    Examples
    --------
    >>> staircase([1.0, 3.0], [5.0, 2.0]).tolist()
    [[1.0, 5.0], [3.0, 5.0], [3.0, 2.0]]
    """
    across, up = (np.asarray(values, dtype=np.float64) for values in (x, y))
    order = np.lexsort((up, across))
    across, up = across[order], up[order]
    worse_x, worse_y = (np.minimum if more else np.maximum for more in (more_x, more_y))
    vertices = np.empty((max(0, 2 * len(across) - 1), 2))
    vertices[::2] = np.column_stack((across, up))
    vertices[1::2, 0] = worse_x(across[1:], across[:-1])
    vertices[1::2, 1] = worse_y(up[1:], up[:-1])
    return vertices


def plot_pareto(
    points: pd.DataFrame | StudyResult,
    x: str,
    y: str,
    *,
    by: str | None = None,
    maximise: Iterable[str] | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a scatter plot of two metrics, with the front as a staircase.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per point, with the intervals of the metrics. A study result supplies its table of
        points (of capacities, if it searches them) and its labels.
    x, y : str
        Columns of metrics.
    by : str, optional
        Column whose values have different colours and markers; they are named next to the axes.
    maximise : iterable of str, optional
        Which of `x` and `y` are better if larger; by default taken from their axes.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column is unknown or the table has no rows.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> points = pd.DataFrame(
    ...     {
    ...         "cluster.pools.h200.nodes": [16, 32, 64],
    ...         "fleet_cost_cny": [24e6, 48e6, 96e6],
    ...         "p95_wait_s": [7200.0, 1800.0, 600.0],
    ...     }
    ... )
    >>> ax = cs.plots.plot_pareto(points, "fleet_cost_cny", "p95_wait_s")
    >>> ax.get_ylabel()
    '95th percentile of wait, h'
    """
    if isinstance(points, StudyResult):
        fields = {"x": x, "y": [y], "by": by}
        options = {"maximise": maximise, "axes": axes}
        return plot_of_study("plot_pareto", "trade-off", points, fields, options, ax=ax)
    check_columns(points, (x, y, by), "plot_pareto")
    of = {column: axis_for(column, axes) for column in (x, y)}
    if maximise is None:
        upward = {column for column in (x, y) if of[column].better == "more"}
    else:
        upward = set(maximise)
    table = curve_data(curve_data(points, y), x)
    table["front"] = pareto_front(table, [x, y], upward)
    seen = table.loc[np.isfinite(table[[x, y]].to_numpy(dtype=np.float64)).all(axis=1)]
    with plot_style(ax):
        ax = panel(ax)
        room = (0.08, 0.1)
        x_axis = set_axis(ax, "x", of[x], seen[x], edges=edges_of(seen, x, of[x]), room=room)
        y_axis = set_axis(ax, "y", of[y], seen[y], edges=edges_of(seen, y, of[y]), room=room)
        bars = _draw_points(ax, seen, x, y, by, axes)
        front = seen[seen["front"]]
        steps = staircase(front[x], front[y], more_x=x in upward, more_y=y in upward)
        ax.plot(*steps.T, color=_INK, lw=1.2, zorder=1.8)
        toward = (1.0 if x in upward else -1.0, 1.1 if y in upward else -1.1)
        if by is not None:
            describe(ax, f"Colours: {axis_for(by, axes).label}.")
        _name_front(ax, seen, (x, y), by, axes, [steps, *bars], toward)
        hidden = len(table) - len(seen)
        if hidden:
            describe(ax, f"Not shown: {hidden} of {len(table)} points, overloaded or failed.")
        title = f"{of[y].label} against {of[x].label}"
        dress(ax, title, x=x_axis.title, y=y_axis.title)
    return ax


def _draw_points(
    ax: Axes,
    seen: pd.DataFrame,
    x: str,
    y: str,
    by: str | None,
    axes: Mapping[str, Axis] | None,
) -> list[Floats]:
    """Draw points with intervals, pale if not on the front; return the lines of the intervals."""
    lines: list[Floats] = []
    ends = []
    for one in series_of(seen, by, axes):
        for best in (False, True):
            part = one.rows[one.rows["front"] == best]
            lines += _draw_intervals(ax, part, x, y, one.ink, alpha=0.9 if best else 0.35)
            ax.plot(
                part[x],
                part[y],
                linestyle="none",
                marker=one.marker,
                color=one.ink,
                alpha=1.0 if best else 0.45,
                markerfacecolor=one.ink if best else "white",
                zorder=3,
            )
        if one.name and len(one.rows):
            last = one.rows.iloc[int(np.argmax(one.rows[x]))]
            ends.append(EndLabel(one.name, np.inf, float(last[y]), one.ink, one.marker))
    label_ends(ax, ends)
    if lines:
        describe(ax, f"Bars: {REPLICATIONS}.")
    return lines


def _draw_intervals(
    ax: Axes, rows: pd.DataFrame, x: str, y: str, ink: str, *, alpha: float
) -> list[Floats]:
    """Draw the intervals of both metrics; return the finite ones as lines."""
    lines: list[Floats] = []
    for column, other, along in ((x, y, "x"), (y, x, "y")):
        ends = ends_of_rows(rows, column)
        if ends is None:
            continue
        wide = ends.known & ((ends.low < ends.high) | ends.open_low | ends.open_high)
        at, ends = rows[other].to_numpy(dtype=np.float64)[wide], ends[wide]
        side: Literal["x", "y"] = "x" if along == "x" else "y"
        draw_bars(ax, at, ends, ink=ink, along=side, cap=0.0, alpha=alpha)
        if ends.is_open:
            describe(ax, OPEN_BARS)
        if is_cut(ax, side, ends):
            describe(ax, CUT_BARS)
        for place, low, high in zip(at, ends.low, ends.high, strict=True):
            if np.isfinite([low, high]).all():
                bar = np.array([[low, place], [high, place]])
                lines.append(bar if column == x else bar[:, ::-1])
    return lines


def _name_front(
    ax: Axes,
    seen: pd.DataFrame,
    columns: tuple[str, str],
    by: str | None,
    axes: Mapping[str, Axis] | None,
    avoid: list[Floats],
    toward: tuple[float, float],
) -> None:
    """Name the points of the front, if they are few, on the side where no other point can be."""
    names, parameters = point_names(seen, by=by, axes=axes)
    on_front = seen["front"].to_numpy()
    describe(ax, "Filled points on the line: no other point is better in both metrics.")
    if not parameters or on_front.sum() > _FEW:
        names = [""] * len(seen)
    else:
        describe(ax, f"Next to filled points, where it fits: {', '.join(parameters)}.")
    texts = [name if best else "" for name, best in zip(names, on_front, strict=True)]
    x, y = (seen[column] for column in columns)
    label_points(ax, x, y, texts, avoid=avoid, toward=toward)
