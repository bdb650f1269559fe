"""Heat map of a metric as a function of two parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.ticker import FuncFormatter

from clustersim.analysis.metrics import follows_waits
from clustersim.array_types import Bools, Floats
from clustersim.plots.axis import Axis
from clustersim.plots.curves import RISING, curve_data
from clustersim.plots.figure import (
    describe,
    need_height,
    panel,
    panel_width,
    plot_style,
    text_width,
    type_size,
    wrap,
)
from clustersim.plots.parts.multiples import Only, chosen, finish
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.ticks import finite, set_ticks
from clustersim.plots.rows import name_categories
from clustersim.plots.series import axis_for, check_columns, is_text, one_row_each
from clustersim.studies.study_result import StudyResult

__all__ = ["heat_map_grid", "plot_heat_map"]

_MAP = "cividis"
_OVERLOAD = "#b5b5b5"
_MARGIN = 1.0
"""Width of a panel not used by the cells and row names, in inches."""


def heat_map_grid(
    points: pd.DataFrame, x: str, y: str, value: str
) -> tuple[list[Any], list[Any], Floats]:
    """Return the values of two parameters (numbers ascending) and the metric at each pair.

    Returns
    -------
    columns, rows : list
    grid : array (rows, columns)
        The metric; infinite for overload, NaN if there is no result.
    """
    table = curve_data(points, value)
    columns, rows = (
        list(dict.fromkeys(table[name])) if is_text(table[name]) else sorted(table[name].unique())
        for name in (x, y)
    )
    grid = np.full((len(rows), len(columns)), np.nan)
    at = [rows.index(entry) for entry in table[y]], [columns.index(entry) for entry in table[x]]
    grid[at] = table[value].to_numpy(dtype=np.float64)
    return columns, rows, grid


def plot_heat_map(
    points: pd.DataFrame | StudyResult,
    x: str,
    y: str,
    value: str,
    *,
    objective: float | None = None,
    only: Only | None = None,
    digits: int = 2,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric over two parameters as coloured cells, with the values where they fit.

    Overload is grey; a pair without a result is white with a cross.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per pair of values. A study result supplies its table of points, its labels and its
        objective.
    x, y, value : str
        Columns of the two parameters and of the metric.
    objective : float, optional
        Limit of the metric: the largest allowed value, or the smallest if more is better. A heavy
        line is drawn around the cells that meet it.
    only : (str, object), optional
        A column and a value: the panel shows the rows with this value, in the colours that suit all
        rows.
    digits : int
        Significant digits of the values in the cells.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column is unknown, the table has no rows, or a pair has several rows.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> points = pd.DataFrame(
    ...     {
    ...         "workload.load": [0.5, 0.9, 0.5, 0.9],
    ...         "scheduler.policy": ["fcfs", "fcfs", "easy", "easy"],
    ...         "utilisation": [0.48, 0.79, 0.50, 0.88],
    ...     }
    ... )
    >>> ax = cs.plots.plot_heat_map(points, "workload.load", "scheduler.policy", "utilisation")
    >>> ax.get_xlabel()
    'offered load'
    """
    if isinstance(points, StudyResult):
        fields = {"x": x, "y": y, "value": value}
        options = {"objective": objective, "axes": axes}
        return plot_of_study("plot_heat_map", "heat-map", points, fields, options, ax=ax)
    column = only[0] if only else None
    check_columns(points, (x, y, value, column), "plot_heat_map")
    one_row_each(points, (x, y, column), "plot_heat_map")
    numbers = finite(curve_data(points, value)[value])
    axis = axis_for(value, axes).fitted(numbers)
    points = chosen(points, only)
    columns, rows, grid = heat_map_grid(points, x, y, value)
    with plot_style(ax):
        ax = panel(ax)
        ax.grid(visible=False)
        ax.set_facecolor("white")
        shown = np.ma.masked_invalid(grid)
        colours = matplotlib.colormaps[_MAP]
        norm = _norm(axis, numbers)
        edges = np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5
        mesh = ax.pcolormesh(*edges, shown, cmap=colours, norm=norm)
        x_names, x_title = _cell_names(columns, axis_for(x, axes))
        y_names, y_title = _cell_names(rows, axis_for(y, axes))
        room = (72.0 * (panel_width(ax) - _MARGIN) - _name_rows(ax, y_names)) / len(columns)
        _name_columns(ax, x_names, room, numbers=not is_text(points[x]))
        ax.tick_params(length=0)
        _write_cells(ax, grid, axis, mesh, (room, digits))
        _mark_rising(ax, points, (x, y), (columns, rows), value)
        if len(numbers) and only is None:
            _colour_bar(ax, mesh, axis, numbers)
        if objective is not None:
            _outline(ax, grid, objective, axis)
        title = f"{axis.label} by {axis_for(x, axes).label} and {axis_for(y, axes).label}"
        finish(ax, title, [], only=only, axes=axes, x=x_title, y=y_title)
    return ax


def _norm(axis: Axis, numbers: Floats) -> Normalize:
    if len(numbers) == 0:
        return Normalize(0.0, 1.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        below = low - 0.5 * axis.scale
        return Normalize(below if low < 0 else max(below, 0.0), high + 0.5 * axis.scale)
    if axis.logarithmic and low > 0:
        return LogNorm(low, high)
    if axis.logarithmic:
        return SymLogNorm(float(numbers[numbers > 0].min()), vmin=low, vmax=high)
    return Normalize(low, high)


def _write_cells(ax: Axes, grid: Floats, axis: Axis, mesh: Any, cells: tuple[float, int]) -> None:
    """Write the values into the cells if all fit; shade overload and mark missing results.

    `cells` are the width of a cell (points) and the significant digits of a value.
    """
    room, digits = cells
    size = type_size(ax) - 0.5
    texts = {at: _short(number, axis, digits) for at, number in np.ndenumerate(grid)}
    fits = all(
        text_width(texts[at], size) < room - 4.0
        for at, number in np.ndenumerate(grid)
        if np.isfinite(number)
    )
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
    for (row, column), number in np.ndenumerate(grid):
        if np.isposinf(number):
            cell = [column - 0.5, column + 0.5], row - 0.5, row + 0.5
            ax.fill_between(*cell, color=_OVERLOAD, lw=0)
        elif np.isnan(number):
            ax.text(column, row, "×", color="#555555", **look)
        elif fits:
            red, green, blue, _ = mesh.to_rgba(number)
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            ax.text(column, row, texts[row, column], color="white" if dark else "black", **look)
    _say_overload(ax, np.isposinf(grid), room, look)
    if np.isnan(grid).any():
        describe(ax, "Crosses: no result.")
    if fits and np.isfinite(grid).any():
        describe(ax, f"Numbers in the cells: {axis.title}.")


def _mark_rising(
    ax: Axes,
    points: pd.DataFrame,
    parameters: tuple[str, str],
    values: tuple[list[Any], list[Any]],
    metric: str,
) -> None:
    """Draw a circle in a corner of each cell whose waits still rise at the end of the runs."""
    if "rising" not in points or not follows_waits(metric):
        return
    rising = points[points["rising"].astype(bool)]
    if rising.empty:
        return
    across, up = (
        [known.index(value) for value in rising[name]]
        for name, known in zip(parameters, values, strict=True)
    )
    ax.plot(
        np.array(across) + 0.4,
        np.array(up) + 0.36,
        linestyle="none",
        marker="o",
        ms=3.0,
        color="black",
        markerfacecolor="white",
    )
    describe(ax, RISING.replace("Hollow", "Circles"))


def _short(number: float, axis: Axis, digits: int) -> str:
    """Format a value with few significant digits and as many decimals at most."""
    return axis.number(round(number / axis.scale, digits) * axis.scale, digits)


def _say_overload(ax: Axes, over: Bools, room: float, look: dict[str, Any]) -> None:
    """Write "overloaded" once into each overloaded range of a row that is wide enough."""
    wide = text_width("overloaded", look["fontsize"]) + 3.0
    for row, cells in enumerate(over):
        ends = np.flatnonzero(np.diff(np.concatenate(([0], cells.astype(int), [0]))))
        for begin, end in zip(ends[::2], ends[1::2], strict=True):
            if (end - begin) * room >= wide:
                ax.text(0.5 * (begin + end - 1), row, "overloaded", color="#333333", **look)
    if over.any():
        describe(ax, "Grey: overloaded, the queue only grows.")


def _colour_bar(ax: Axes, mesh: Any, axis: Axis, numbers: Floats) -> None:
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.03, aspect=18)
    set_ticks(bar.ax.yaxis, axis, numbers, (mesh.norm.vmin, mesh.norm.vmax))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda number, _: axis.text(number)))
    bar.ax.tick_params(labelsize=type_size(ax) - 0.5)
    bar.outline.set_visible(False)


def _outline(ax: Axes, grid: Floats, objective: float, axis: Axis) -> None:
    """Draw the edges between cells that meet the objective and cells that do not."""
    known = ~np.isnan(grid)
    kept = grid >= objective if axis.better == "more" else grid <= objective
    for row, column in zip(*np.nonzero(known[:, 1:] & known[:, :-1]), strict=True):
        if kept[row, column] != kept[row, column + 1]:
            ax.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], color="black", lw=2.2)
    for row, column in zip(*np.nonzero(known[1:] & known[:-1]), strict=True):
        if kept[row, column] != kept[row + 1, column]:
            ax.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, color="black", lw=2.2)
    limit = "at least" if axis.better == "more" else "at most"
    describe(ax, f"Heavy line: limit of {axis.label} {limit} {axis.text(objective)}.")


def _cell_names(values: list[Any], axis: Axis) -> tuple[list[str], str]:
    """Return the values of a parameter as text, and the label of their axis."""
    if isinstance(values[0], str | bool | np.bool_):
        return [str(value) for value in values], axis.label
    fits = axis.fitted(values)
    digits = next(
        n for n in range(3, 16) if len({fits.number(v, n) for v in values}) == len(values)
    )
    return [fits.number(value, digits) for value in values], fits.title


def _name_rows(ax: Axes, names: list[str]) -> float:
    """Write names next to the rows of cells; return their width in points."""
    size = type_size(ax) - 0.5
    wrapped = [wrap(name, 80.0, size) for name in names]
    lines = [name.split("\n") for name in wrapped]
    need_height(ax, len(names) * (1.25 * size * max(map(len, lines)) + 1.0))
    ax.set_yticks(range(len(names)), wrapped, parse_math=False)
    return max(text_width(line, size) for name in lines for line in name)


def _name_columns(ax: Axes, names: list[str], room: float, *, numbers: bool) -> None:
    """Write names below the columns of cells; omit some if they are numbers and do not fit."""
    if not numbers:
        name_categories(ax, names, room)
        return
    wide = max(text_width(name, type_size(ax) - 0.5) for name in names) + 4.0
    step = math.ceil(wide / room)
    ax.set_xticks(range(0, len(names), step), names[::step])
