"""Drawing of tables as lines and points with two kinds of bands, for all plots of studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

from clustersim.array_types import Bools, Floats
from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.direct_labels import EndLabel
from clustersim.plots.figure import describe, panel_width
from clustersim.plots.rows import name_categories
from clustersim.plots.style import LINE_STYLES, MARKERS, colour
from clustersim.plots.ticks import finite, set_axis

__all__ = [
    "OVER_DRAWS",
    "REPLICATIONS",
    "Places",
    "Series",
    "axis_for",
    "check_columns",
    "draw_series",
    "edge_room",
    "edges_of",
    "ends_of",
    "hollow",
    "is_text",
    "lines_of",
    "mark_edge",
    "one_row_each",
    "place_x",
    "series_of",
    "value_text",
]

IntArray = npt.NDArray[np.intp]

REPLICATIONS = "95 % interval over replications"
OVER_DRAWS = "5th to 95th percentile over draws of the calibration"
_HATCHES = ("////", "\\\\\\\\", "xxxx", "||||")
_DODGE = 7.0
"""Distance between the marks of two series at the same category, in points."""


@dataclass(frozen=True, slots=True)
class Series:
    """Rows and style of one line."""

    name: str
    index: int
    rows: pd.DataFrame

    @property
    def ink(self) -> str:
        return colour(self.index)

    @property
    def marker(self) -> str:
        return MARKERS[self.index % len(MARKERS)]

    @property
    def dashes(self) -> str:
        return LINE_STYLES[self.index % len(LINE_STYLES)]


@dataclass(frozen=True, slots=True)
class Places:
    """Positions of the values of a column along the x axis.

    Attributes
    ----------
    column : str
    categories : tuple of str
        Empty for a column of numbers; the numbers are then the positions.
    slot : float
        Distance between categories, in points.
    """

    column: str
    categories: tuple[str, ...] = ()
    slot: float = 0.0

    def of(self, rows: pd.DataFrame) -> Floats:
        """Return the positions of the rows of a table along the x axis."""
        if not self.categories:
            return rows[self.column].to_numpy(dtype=np.float64)
        return np.array([self.categories.index(str(value)) for value in rows[self.column]], float)


def axis_for(column: str, axes: Mapping[str, Axis] | None) -> Axis:
    """Return the entry of `axes` for a column or, without an entry, the default axis."""
    return axes[column] if axes and column in axes else axis_of(column)


def check_columns(table: pd.DataFrame, columns: Sequence[str | None], source: str) -> None:
    """Raise an error if a table has no rows or lacks one of the columns (None is skipped)."""
    if len(table) == 0:
        raise InputError(source, "the table has no rows")
    problems = [
        unknown_name("column", column, map(str, table.columns))
        for column in columns
        if column is not None and column not in table.columns
    ]
    if problems:
        raise InputError(source, problems)


def is_text(column: pd.Series) -> bool:
    """Return whether a column contains names rather than numbers."""
    return bool(not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def value_text(column: str, value: object, axes: Mapping[str, Axis] | None) -> str:
    """Return a parameter's value as text, such as ``"easy"`` or ``"offered load 0.9"``."""
    if isinstance(value, str | bool | np.bool_) or not isinstance(value, SupportsFloat):
        return str(value)
    axis = axis_for(column, axes)
    return f"{axis.label} {axis.text(float(value), 6)}"


def series_of(table: pd.DataFrame, by: str | None, axes: Mapping[str, Axis] | None) -> list[Series]:
    """Split a table into lines by the values of a column; numbers are sorted, names are not."""
    if by is None:
        return [Series("", 0, table)]
    axis = axis_for(by, axes)
    values = list(dict.fromkeys(table[by]))
    if not is_text(table[by]):
        values.sort()
        axis = axis.fitted(values) if axis.dimension != "duration" else axis
    return [
        Series(
            str(value) if is_text(table[by]) else axis.text(float(value), 6),
            index,
            table[(table[by] == value).to_numpy()],
        )
        for index, value in enumerate(values)
    ]


def one_row_each(table: pd.DataFrame, columns: Sequence[str | None], source: str) -> None:
    """Raise an error if several rows are at the same point of the same line."""
    keys = [column for column in columns if column is not None]
    doubled = table[table.duplicated(keys, keep=False)]
    if len(doubled):
        where = ", ".join(f"{key} {doubled.iloc[0][key]!s}" for key in keys)
        raise InputError(
            source,
            f"several rows have {where}; keep one of them, or add a column that distinguishes them",
        )


def place_x(ax: Axes, table: pd.DataFrame, x: str, axis: Axis) -> tuple[Places, str]:
    """Set up the x axis for a column of numbers or names; return the positions and the label."""
    if not is_text(table[x]):
        fits = set_axis(ax, "x", axis, table[x], room=(0.04, 0.04), from_zero=False)
        return Places(x), fits.title
    categories = tuple(dict.fromkeys(map(str, table[x])))
    ax.set_xlim(-0.5, len(categories) - 0.5)
    slot = 72.0 * (panel_width(ax) - 1.1) / len(categories)
    name_categories(ax, categories, slot)
    ax.grid(axis="x", visible=False)
    return Places(x, categories, slot), axis.title


def draw_series(
    ax: Axes,
    series: Sequence[Series],
    places: Places,
    value: str,
    *,
    bars: bool = False,
    joined: bool = False,
) -> None:
    """Draw each series as a line with its bands, or as points if x contains names.

    Intervals over replications are shaded; an isolated point has an error bar. Ranges over the
    calibration's posterior are hatched and outlined; an isolated point has a broad pale bar. Values
    that are not finite leave a gap.

    Parameters
    ----------
    ax : Axes
        Axes whose scales are already set.
    series : sequence of Series
    places : Places
    value : str
        Column to draw. Columns with the suffixes ``_low`` and ``_high``, and perhaps ``_draw_low``
        and ``_draw_high``, contain its bands.
    bars : bool
        Whether each point of a line has an error bar in addition to the shading.
    joined : bool
        Whether a line joins the points if x contains names, such as names of periods.
    """
    sentences: list[str] = []
    for one in series:
        rows = one.rows if places.categories else one.rows.sort_values(places.column, kind="stable")
        x, y = places.of(rows), rows[value].to_numpy(dtype=np.float64)
        beside = _beside(ax, one, len(series), places)
        for part, low, high in _bands(rows, value, "_draw"):
            if places.categories or len(part) == 1:
                sentences.append(f"Broad pale bars: {OVER_DRAWS}.")
                ax.vlines(x[part], low, high, color=one.ink, lw=5.0, alpha=0.25, transform=beside)
            else:
                sentences.append(f"Hatched, dashed edge: {OVER_DRAWS}.")
                _hatch(ax, x[part], low, high, one)
        for part, low, high in _bands(rows, value, ""):
            alone = bool(places.categories) or len(part) == 1
            words = "Bars" if alone or bars else "Shaded"
            sentences.append(f"{words}: {REPLICATIONS}.")
            if not alone:
                ax.fill_between(x[part], low, high, color=one.ink, alpha=0.28, lw=0)
            if alone or bars:
                span = np.maximum([y[part] - low, high - y[part]], 0.0)
                ax.errorbar(
                    x[part],
                    y[part],
                    yerr=span,
                    fmt="none",
                    ecolor=one.ink,
                    elinewidth=0.9,
                    capsize=2.0,
                    transform=beside,
                )
        kept = np.flatnonzero(np.isfinite(y))
        shown = slice(int(kept[0]), int(kept[-1]) + 1) if len(kept) else slice(0)
        ax.plot(
            x[shown],
            np.where(np.isfinite(y), y, np.nan)[shown],
            color=one.ink,
            marker=one.marker,
            linestyle="none" if places.categories and not joined else one.dashes,
            transform=beside,
        )
    describe(ax, *sorted(set(sentences), key=lambda line: REPLICATIONS not in line))


def _bands(rows: pd.DataFrame, value: str, kind: str) -> Iterator[tuple[IntArray, Floats, Floats]]:
    """Return the indices, the lower edge and the upper edge of each unbroken part of a band."""
    names = (value, f"{value}{kind}_low", f"{value}{kind}_high")
    if not set(names) <= set(rows.columns):
        return
    y, low, high = (rows[name].to_numpy(dtype=np.float64) for name in names)
    known = np.flatnonzero(np.isfinite(y) & np.isfinite(low) & np.isfinite(high))
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(part):
            yield part, low[part], high[part]


def _hatch(ax: Axes, x: Floats, low: Floats, high: Floats, one: Series) -> None:
    ax.fill_between(
        x,
        low,
        high,
        facecolor="none",
        edgecolor=one.ink,
        alpha=0.3,
        hatch=_HATCHES[one.index % len(_HATCHES)],
        lw=0,
    )
    for edge in (low, high):
        ax.plot(x, edge, color=one.ink, lw=0.7, ls=(0, (3, 2)), alpha=0.8)


def _shift(one: Series, count: int, places: Places) -> float:
    """Return the horizontal shift of the marks of a series at a category, in points."""
    return min(_DODGE, 0.8 * places.slot / count) * (one.index - 0.5 * (count - 1))


def _beside(
    ax: Axes, one: Series, count: int, places: Places, *, base: Transform | None = None
) -> Transform:
    """Return the data transform, shifted so that series at the same category do not overlap."""
    inches = _shift(one, count, places) / 72.0
    return (base or ax.transData) + ScaledTranslation(inches, 0.0, ax.figure.dpi_scale_trans)


def hollow(ax: Axes, one: Series, count: int, places: Places, value: str, which: Bools) -> None:
    """Draw hollow marks for some rows of a series."""
    rows = one.rows[which]
    ax.plot(
        places.of(rows),
        rows[value],
        transform=_beside(ax, one, count, places),
        linestyle="none",
        marker=one.marker,
        color=one.ink,
        markerfacecolor="white",
        zorder=3,
    )


def mark_edge(
    ax: Axes,
    series: Sequence[Series],
    places: Places,
    which: Sequence[Bools],
    marker: str,
    at: float,
) -> list[tuple[float, float]]:
    """Mark rows without a finite value, near the top or bottom edge of the axes.

    At a category, the marks of several series are side by side; elsewhere, they are stacked.

    Parameters
    ----------
    ax : Axes
        Axes whose limits are already set.
    series : sequence of Series
    places : Places
    which : sequence of array of bool
        Whether to mark each row, for each series.
    marker : str
    at : float
        Height of the first mark, as a share of the height of the axes.

    Returns
    -------
    list of (float, float)
        Positions of the marks in data coordinates.
    """
    marked = [(one, rows) for one, rows in zip(series, which, strict=True) if rows.any()]
    found: list[tuple[float, float]] = []
    for rank, (one, rows) in enumerate(marked):
        base = ax.get_xaxis_transform()
        if places.categories:
            base = _beside(ax, one, len(series), places, base=base)
        else:
            away = 5.5 * rank / 72.0 * (1 if at < 0.5 else -1)
            base += ScaledTranslation(0.0, away, ax.figure.dpi_scale_trans)
        ends = np.column_stack((places.of(one.rows[rows]), np.full(int(rows.sum()), at)))
        ax.plot(
            *ends.T,
            transform=base,
            linestyle="none",
            marker=marker,
            color=one.ink,
            markerfacecolor="white",
            zorder=4,
            clip_on=False,
        )
        inside = ax.transData.inverted().transform(base.transform(ends))
        found += [(float(across), float(up)) for across, up in inside]
    return found


def edge_room(places: Places, which: Sequence[Bools]) -> float:
    """Return the share of the height of the axes that :func:`mark_edge` needs."""
    rows = sum(bool(marked.any()) for marked in which)
    if places.categories:
        rows = min(rows, 1)
    return 0.06 + 0.05 * rows + 0.05 * (rows > 0)


def edges_of(rows: pd.DataFrame, value: str) -> Floats:
    """Return all finite edges of the bands of a column."""
    names = [f"{value}{kind}_{end}" for kind in ("", "_draw") for end in ("low", "high")]
    stays = np.isfinite(rows[value].to_numpy(dtype=np.float64))
    return finite(*(rows.loc[stays, name] for name in names if name in rows), [])


def lines_of(series: Sequence[Series], places: Places, value: str) -> list[Floats]:
    """Return the lines and intervals of the series, as vertices in data coordinates."""
    lines = []
    for one in series:
        x = places.of(one.rows)
        names = [name for name in one.rows if str(name).startswith(value)]
        columns = one.rows[names].select_dtypes("number").to_numpy(dtype=np.float64)
        low, high = (edge(columns, axis=1) for edge in (np.fmin.reduce, np.fmax.reduce))
        lines += [np.column_stack((x, column)) for column in columns.T]
        lines += [np.array(((at, a), (at, b))) for at, a, b in zip(x, low, high, strict=True)]
    return lines


def ends_of(series: Sequence[Series], places: Places, value: str) -> list[EndLabel]:
    """Return the labels of the series, at their last finite points or else at the top."""
    labels = []
    for one in series:
        y = one.rows[value].to_numpy(dtype=np.float64)
        x = places.of(one.rows)
        stays = np.isfinite(y)
        last = int(np.argmax(np.where(stays, x, -np.inf) if stays.any() else x))
        if one.name:
            end = float(x[last]), float(y[last])
            shift = _shift(one, len(series), places)
            labels.append(EndLabel(one.name, *end, one.ink, one.marker, shift))
    return labels
