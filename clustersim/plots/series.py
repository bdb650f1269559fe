"""Drawing of tables as lines and points with two kinds of bands, for all plots of studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

from clustersim.array_types import Bools, Floats
from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis, axis_for, value_text, value_texts
from clustersim.plots.direct_labels import EndLabel
from clustersim.plots.figure import describe, panel_width
from clustersim.plots.parts.intervals import (
    CUT_BANDS,
    CUT_BARS,
    OPEN_BANDS,
    OPEN_BARS,
    Ends,
    draw_band,
    draw_bars,
    ends_of_rows,
    is_cut,
    near_ends,
)
from clustersim.plots.parts.strips import Strip, spans
from clustersim.plots.parts.ticks import finite, set_axis
from clustersim.plots.rows import name_categories
from clustersim.plots.style import LINE_STYLES, MARKERS, colour

__all__ = [
    "FEW",
    "OVER_DRAWS",
    "REPLICATIONS",
    "Places",
    "Series",
    "axis_for",
    "check_columns",
    "draw_series",
    "edges_of",
    "ends_of",
    "hollow",
    "is_text",
    "one_row_each",
    "place_x",
    "series_of",
    "strip_of",
    "value_text",
    "value_texts",
]

IntArray = npt.NDArray[np.intp]

REPLICATIONS = "95 % interval over replications"
OVER_DRAWS = "5th to 95th percentile over draws of the calibration"
FEW = 2
"""At most this many numbers along x are shown as categories; a line would suggest more values."""
_HATCHES = ("////", "\\\\\\\\", "xxxx", "||||")
_DODGE = 7.0
"""Distance between the marks of two series at the same category, in points."""
_SHADES = (0.28, 0.22, 0.16, 0.12)
"""Opacity of the bands of one, two, three, and more lines."""


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
        Names, or few numbers.  Empty for more numbers, which are then the positions.
    slot : float
        Distance between categories, in points.
    joined : bool
        Whether the categories follow each other, such as periods. Lines then join their points,
        all of which are at their category, not beside it.
    """

    column: str
    categories: tuple[str, ...] = ()
    slot: float = 0.0
    joined: bool = False

    @property
    def apart(self) -> bool:
        """Whether the points of several lines are side by side at a category."""
        return bool(self.categories) and not self.joined

    def of(self, rows: pd.DataFrame) -> Floats:
        """Return the positions of the rows of a table along the x axis."""
        if not self.categories:
            return rows[self.column].to_numpy(dtype=np.float64)
        return np.array([self.categories.index(str(value)) for value in rows[self.column]], float)


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


def series_of(table: pd.DataFrame, by: str | None, axes: Mapping[str, Axis] | None) -> list[Series]:
    """Split a table into lines by the values of a column; numbers are sorted, names are not."""
    if by is None:
        return [Series("", 0, table)]
    axis = axis_for(by, axes)
    values = list(dict.fromkeys(table[by]))
    if not is_text(table[by]):
        values.sort()
        axis = axis.fitted(values)
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


def place_x(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    axis: Axis,
    *,
    joined: bool = False,
    own: pd.DataFrame | None = None,
) -> tuple[Places, str]:
    """Set up the x axis for a column of numbers or names; return the positions and the label.

    One or two numbers become categories, like names.  If `own` is given, the axis shows only the
    names in these rows.
    """
    values, title = list(dict.fromkeys(table[x])), axis.title
    if is_text(table[x]):
        first = [] if own is None else list(own[x])
        values = names = list(dict.fromkeys(map(str, [*first, *values])))
        names = names if own is None else names[: len(set(map(str, first)))]
    elif len(values) > FEW or not np.isfinite(values).all():
        fits = set_axis(ax, "x", axis, table[x], room=(0.04, 0.04), from_zero=False)
        return Places(x), fits.title
    else:
        values.sort()
        axis = axis.fitted(values)
        names, title = [axis.text(float(value), 6) for value in values], axis.label
    places = max(len(names), 1)
    ax.set_xlim(-0.5, places - 0.5)
    slot = 72.0 * (panel_width(ax) - 1.1) / places
    if names:
        name_categories(ax, names, slot)
    else:  # the panel of a study that is not complete
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no values yet", transform=ax.transAxes, ha="center", va="center")
    ax.grid(axis="x", visible=False)
    return Places(x, tuple(map(str, values)), slot, joined), title


def draw_series(
    ax: Axes,
    series: Sequence[Series],
    places: Places,
    value: str,
    *,
    bars: bool = False,
    bounds: tuple[float, float] | None = None,
    past: tuple[float, float] | None = None,
) -> None:
    """Draw each series as a line with its bands, or as points if x contains names.

    Intervals over replications are shaded; an isolated point has an error bar. Ranges over the
    calibration's posterior are hatched and outlined; an isolated point has a broad pale bar. Values
    that are not finite leave a gap.  An unbounded end of an interval fades out or has an arrow
    head.

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
    bounds : (float, float), optional
        Least and largest possible value; by default those of the metric.
    past : (float, float), optional
        Values that unbounded ends must visibly pass.
    """
    sentences: list[str] = []
    shade = _SHADES[min(len(series), len(_SHADES)) - 1]
    for one in series:
        rows = one.rows if places.apart else one.rows.sort_values(places.column, kind="stable")
        if places.joined:
            rows = one.rows.iloc[np.argsort(places.of(one.rows), kind="stable")]
        x, y = places.of(rows), rows[value].to_numpy(dtype=np.float64)
        beside = _beside(ax, one, len(series), places)
        for part, ends in _bands(rows, value, "_draw", bounds):
            low, high = ends.low, ends.high
            if places.apart or len(part) == 1:
                sentences.append(f"Broad pale bars: {OVER_DRAWS}.")
                ax.vlines(x[part], low, high, color=one.ink, lw=5.0, alpha=0.25, transform=beside)
            else:
                sentences.append(f"Hatched, dashed edge: {OVER_DRAWS}.")
                _hatch(ax, x[part], low, high, one)
        for part, ends in _bands(rows, value, "", bounds):
            alone = places.apart or len(part) == 1
            words = "Bars" if alone or bars else "Shaded"
            sentences.append(f"{words}: {REPLICATIONS}.")
            if ends.is_open:
                sentences.append(OPEN_BARS if alone or bars else OPEN_BANDS)
            if is_cut(ax, "y", ends):
                sentences.append(CUT_BARS if alone or bars else CUT_BANDS)
            if not alone:
                draw_band(ax, x[part], ends, ink=one.ink, alpha=shade, past=past)
            if alone or bars:
                draw_bars(ax, x[part], ends, ink=one.ink, past=past, transform=beside)
        kept = np.flatnonzero(np.isfinite(y))
        shown = slice(int(kept[0]), int(kept[-1]) + 1) if len(kept) else slice(0)
        ax.plot(
            x[shown],
            np.where(np.isfinite(y), y, np.nan)[shown],
            color=one.ink,
            marker=one.marker,
            linestyle="none" if places.apart else one.dashes,
            transform=beside,
        )
    describe(ax, *sorted(dict.fromkeys(sentences), key=_rank))


def _rank(sentence: str) -> int:
    """Return the place of a sentence in the caption."""
    if REPLICATIONS in sentence:
        return 0
    return 1 if sentence in (OPEN_BARS, OPEN_BANDS, CUT_BARS, CUT_BANDS) else 2


def _bands(
    rows: pd.DataFrame, value: str, kind: str, bounds: tuple[float, float] | None
) -> Iterator[tuple[IntArray, Ends]]:
    """Return the indices and the intervals of each unbroken part of a band."""
    ends = ends_of_rows(rows, value, kind, bounds=bounds)
    if ends is None:
        return
    there = ends.known
    if kind:
        there &= np.isfinite(ends.low) & np.isfinite(ends.high)
    known = np.flatnonzero(there)
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(part):
            yield part, ends[part]


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
    if not places.apart:
        return 0.0
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


def strip_of(
    series: Sequence[Series],
    places: Places,
    which: Sequence[Bools],
    words: str,
    *,
    inset: float = 0.0,
) -> Strip:
    """Return a strip with bars where lines have no finite value.

    At a category, the bars of several lines are side by side; elsewhere, they are in rows.

    Parameters
    ----------
    series : sequence of Series
    places : Places
    which : sequence of array of bool
        Whether a row has no finite value, for each series.
    words : str
        The reason.
    inset : float
        Distance of the strip from the edge, as a share of the height of the axes.
    """
    bars = []
    for one, rows in zip(series, which, strict=True):
        x = places.of(one.rows)
        if places.apart:
            beside = _shift(one, len(series), places) / places.slot
            half = 0.3 if len(series) == 1 else 0.4 * min(_DODGE / places.slot, 0.8 / len(series))
            found = [(float(at) + beside - half, float(at) + beside + half) for at in x[rows]]
        else:
            order = np.argsort(x, kind="stable")
            found = spans(x[order], rows[order])
        bars.append((one.ink, found))
    return Strip(words, bars, in_one_row=places.apart, inset=inset)


def edges_of(
    rows: pd.DataFrame, value: str, axis: Axis, bounds: tuple[float, float] | None = None
) -> Floats:
    """Return the finite edges of the bands of a column that its axis shows; see `near_ends`."""
    stays = rows[np.isfinite(rows[value].to_numpy(dtype=np.float64))]
    draws = ends_of_rows(stays, value, "_draw", bounds=bounds)
    others = finite([] if draws is None else draws.closed)
    ends = ends_of_rows(stays, value, bounds=bounds)
    return others if ends is None else finite(near_ends(ends, others, axis), others)


def ends_of(series: Sequence[Series], places: Places, value: str) -> list[EndLabel]:
    """Return the labels of the series, at their last finite points or else at the top."""
    labels = []
    for one in series:
        y = one.rows[value].to_numpy(dtype=np.float64)
        x = places.of(one.rows)
        if not len(x):
            continue
        stays = np.isfinite(y)
        above = not places.apart and bool(np.isposinf(y[int(np.argmax(x))]))
        last = int(np.argmax(np.where(stays, x, -np.inf) if stays.any() else x))
        if one.name:
            end = float(x[last]), float(y[last])
            shift = _shift(one, len(series), places)
            labels.append(EndLabel(one.name, *end, one.ink, one.marker, shift, above))
    return labels
