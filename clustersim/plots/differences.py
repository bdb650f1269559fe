"""Plot of paired differences between systems and a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe, fit_height, panel, panel_width, plot_style
from clustersim.plots.parts.determined import relative_bounds
from clustersim.plots.parts.intervals import (
    CUT_BARS,
    OPEN_BARS,
    Ends,
    draw_bars,
    ends_of_rows,
    is_cut,
    near_ends,
    open_room,
)
from clustersim.plots.parts.multiples import Only, chosen, finish, kept
from clustersim.plots.parts.numbers import interval_text
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.strips import draw_strip
from clustersim.plots.parts.ticks import finite, set_axis
from clustersim.plots.rows import name_rows, rows_height
from clustersim.plots.series import (
    OVER_DRAWS,
    REPLICATIONS,
    axis_for,
    check_columns,
    draw_series,
    ends_of,
    one_row_each,
    place_x,
    series_of,
    strip_of,
    value_texts,
)
from clustersim.plots.style import MARKERS, colour
from clustersim.studies.study_result import StudyResult

__all__ = ["difference_rows", "plot_differences"]

_NUMBERS = ("difference", "relative")
_FIXED = {"system", "baseline", "metric", "pairs", "baseline_mean", "relative_note"} | {
    f"{number}{end}"
    for number in _NUMBERS
    for end in (
        *("", "_low", "_high", "_draw_low", "_draw_high"),
        *("_plain", "_plain_low", "_plain_high", "_explained"),
    )
}
_TINT = "#009E73"
_WIDE = 4.5
"""Width in inches from which a panel has room for numbers beside its rows, and for the labels of
both sides in one line."""
_ABOVE = 1.6
"""Height above the rows for the labels of the two sides, in rows."""
_NONE = (0.0, 0.0)
"""No difference: an open end of an interval passes it."""
_FOOT = 0.1
"""Height of the label of the lower side, as a share of the axes."""


def difference_rows(
    differences: pd.DataFrame,
    metric: str,
    axes: Mapping[str, Axis] | None = None,
    *,
    only: Only | None = None,
) -> pd.DataFrame:
    """Return the rows of a metric in groups: one group for each point, one row for each system.

    Parameters
    ----------
    differences : DataFrame
        One row per point, system and metric.
    metric : str
    axes : mapping of str to Axis, optional
        Labels, units or scales that replace the defaults.
    only : (str, object), optional
        A column and a value that the name of the panel gives.

    Returns
    -------
    DataFrame
        All rows of the metric, with the columns ``group`` (the varying parameters as text, "" if
        there are none) and ``name`` (the system).

    Raises
    ------
    InputError
        If no row has this metric; the message suggests the nearest metric.
    """
    rows = differences[differences["metric"] == metric]
    if len(rows) == 0:
        known = differences["metric"].unique()
        raise InputError("plot_differences", unknown_name("metric", metric, known))
    varying = [
        column
        for column in map(str, rows.columns)
        if column not in _FIXED and rows[column].nunique() > 1 and not (only and column == only[0])
    ]
    texts = {column: value_texts(column, list(rows[column]), axes) for column in varying}
    groups = [
        ", ".join(texts[column][row[column]] for column in varying) for _, row in rows.iterrows()
    ]
    return rows.assign(group=groups, name=rows["system"].map(str))


def plot_differences(
    differences: pd.DataFrame | StudyResult,
    metric: str,
    *,
    x: str | None = None,
    only: Only | None = None,
    relative: bool = True,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the differences between systems and the baseline with their 95 % intervals.

    The better side of zero is tinted and labelled. A difference without a number is marked in
    words, for example because a system is overloaded.

    Parameters
    ----------
    differences : DataFrame or StudyResult
        One row per point, system and metric. ``difference`` or ``relative`` and their intervals
        (``_low``, ``_high``) are paired over replications. A study result supplies its table of
        differences and its labels.
    metric : str
    x : str, optional
        Column on the x axis; each system has a line. By default, each system has a row in the group
        of its point instead.
    only : (str, object), optional
        A column and a value: the panel shows the rows with this value.
    relative : bool
        Whether to show differences as shares of the baseline's mean.
    axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column or `metric` is unknown, or several rows are at the same point of a line.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> differences = pd.DataFrame(
    ...     {
    ...         "metric": "mean_wait_s",
    ...         "system": ["easy", "conservative"],
    ...         "baseline": "fcfs",
    ...         "relative": [-0.6, -0.5],
    ...         "relative_low": [-0.7, -0.6],
    ...         "relative_high": [-0.5, -0.4],
    ...     }
    ... )
    >>> ax = cs.plots.plot_differences(differences, "mean_wait_s")
    >>> ax.get_xlabel()
    "difference from fcfs, % of fcfs's mean"
    """
    if isinstance(differences, StudyResult):
        fields = {"x": x, "y": [metric]}
        options = {"relative": relative, "axes": axes}
        return plot_of_study(
            "plot_differences", "differences", differences, fields, options, y="metric", ax=ax
        )
    value = "relative" if relative else "difference"
    column = only[0] if only else None
    needed = ("metric", "system", "baseline", value, f"{value}_low", f"{value}_high", x, column)
    check_columns(differences, needed, "plot_differences")
    rows = difference_rows(differences, metric, axes, only=only)
    if "pairs" in rows:
        rows = rows.assign(replications=rows["pairs"])
    of = axis_for(metric, axes)
    baselines, systems = rows["baseline"].unique(), rows["system"].unique()
    baseline = str(baselines[0]) if len(baselines) == 1 else "the baseline"
    axis = Axis(f"difference from {baseline}", dimension=of.dimension, logarithmic=False)
    if relative:
        axis = Axis(
            f"difference from {baseline}", f"% of {baseline}'s mean", 0.01, logarithmic=False
        )
    bounds = relative_bounds(metric) if relative else (-np.inf, np.inf)
    labels: list[Any] = []
    with plot_style(ax):
        if x is None:
            here = _entries(chosen(rows, only))
            ax = panel(ax)
            names = [name for name, _ in here]
            each = 72.0 * rows_height(names, panel_width(ax)) / len(names)
            above = _ABOVE / 2 if _is_wide(ax) else _ABOVE
            fit_height(ax, each * (len(names) + above))
            titles = {"x": _plot_rows(ax, rows, only, value, axis, bounds)}
        else:
            one_row_each(rows, (x, "system", column), "plot_differences")
            ax = panel(ax)
            titles, labels = _plot_lines(ax, rows, only, x, value, axis, axes, bounds)
        _name_sides(ax, of, across=x is None)
        describe(ax, "Compared systems use the same random numbers.")
        alone = f": {systems[0]}" if x is None and len(systems) == 1 and _grouped(rows) else ""
        title = f"{of.label}{alone} compared with {baseline}"
        finish(ax, title, labels, only=only, axes=axes, **titles)
    return ax


def _grouped(rows: pd.DataFrame) -> bool:
    """Whether rows belong to points that differ in a parameter."""
    return bool(rows["group"].nunique() > 1)


def _entries(rows: pd.DataFrame) -> list[tuple[str, int | None]]:
    """Return the lines of a plot of rows: their names, and the position of the row in the table.

    The name of a group has no row.  With one system, each group is one row, named after the group.
    """
    pairs = list(enumerate(zip(rows["group"], rows["name"], strict=True)))
    if rows["system"].nunique() == 1 and _grouped(rows):
        return [(group, place) for place, (group, _) in pairs]
    lines: list[tuple[str, int | None]] = []
    for group, members in groupby(pairs, key=lambda pair: pair[1][0]):
        if group:
            lines.append((group, None))
        lines += [(name, place) for place, (_, name) in members]
    return lines


def _plot_rows(
    ax: Axes,
    rows: pd.DataFrame,
    only: Only | None,
    value: str,
    axis: Axis,
    bounds: tuple[float, float],
) -> str:
    """Draw a row for each system, in the group of its point; return the label of the x axis."""
    edges = finite(_draws(rows, value))
    whole = ends_of_rows(rows, value, bounds=bounds)
    numbers = [*rows[value], *edges, 0.0]
    numbers += [] if whole is None else near_ends(whole, numbers, axis).tolist()
    room = open_room(whole, (0.04, 0.06))
    fits = set_axis(ax, "x", axis, numbers, room=room, from_zero=False)
    systems = list(dict.fromkeys(rows["system"]))
    shown = chosen(rows, only)
    ends, draws = ends_of_rows(shown, value, bounds=bounds), _draws(shown, value)
    lines = _entries(shown)
    for place, (_, row) in enumerate(lines):
        if row is None:
            continue
        middle = float(shown[value].iloc[row])
        index = systems.index(shown["system"].iloc[row])
        if not np.isfinite(middle):
            look: dict[str, Any] = {"ha": "center", "va": "center", "color": "#555555"}
            why = _why(shown.iloc[row])
            ax.text(0.5, place, why, transform=ax.get_yaxis_transform(), **look)
            continue
        if np.isfinite(draws[row]).all():
            ax.hlines(place, *draws[row], color=colour(index), lw=5.0, alpha=0.25)
        if ends is not None:
            at = np.array([float(place)])
            look = {"ink": colour(index), "along": "x", "cap": 0.0, "lw": 1.4}
            draw_bars(ax, at, ends[[row]], past=_NONE, **look)
        mark = MARKERS[index % len(MARKERS)]
        ax.plot(middle, place, marker=mark, color=colour(index), ls="none")
    name_rows(ax, [name for name, _ in lines], above=1 if _is_wide(ax) else 2)
    if _is_wide(ax):
        _write_numbers(ax, lines, shown[value], ends, fits)
    for label, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        if row is None:
            label.set_fontweight("bold")
    ax.vlines(0.0, -0.5, len(lines) - 0.5, color="#333333", lw=0.9)
    describe(ax, f"Bars: {REPLICATIONS}.")
    if ends is not None and ends.is_open:
        describe(ax, OPEN_BARS)
    if ends is not None and is_cut(ax, "x", ends):
        describe(ax, CUT_BARS)
    if len(edges):
        describe(ax, f"Broad pale bars: {OVER_DRAWS}.")
    return fits.title


def _is_wide(ax: Axes) -> bool:
    return panel_width(ax) >= _WIDE


def _write_numbers(
    ax: Axes,
    lines: Sequence[tuple[str, int | None]],
    values: pd.Series,
    ends: Ends | None,
    axis: Axis,
) -> None:
    """Write each difference and its interval to the right of its row."""
    look: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "left"}
    for place, (_, row) in enumerate(lines):
        if row is not None and np.isfinite(middle := float(values.iloc[row])):
            ax.text(1.02, place, interval_text(axis, ends, row, middle), parse_math=False, **look)
    ax.text(1.02, -0.95, "difference (interval)", **{**look, "color": "#444444"})


def _why(row: pd.Series) -> str:
    """Return why a difference has no number."""
    endless = [row.get("baseline_mean", np.nan), row["difference"]] if "difference" in row else []
    return "overloaded" if np.isinf(np.asarray(endless, dtype=float)).any() else "no number"


def _draws(rows: pd.DataFrame, value: str) -> Floats:
    """Return the range of each row over draws of the calibration; NaN without draws.

    Returns
    -------
    array (rows, 2)
        Lower and upper end.
    """
    names = [f"{value}_draw_low", f"{value}_draw_high"]
    return rows.reindex(columns=names).to_numpy(dtype=np.float64)


def _plot_lines(
    ax: Axes,
    rows: pd.DataFrame,
    only: Only | None,
    x: str,
    value: str,
    axis: Axis,
    axes: Mapping[str, Axis] | None,
    bounds: tuple[float, float],
) -> tuple[dict[str, str], list[Any]]:
    """Draw a line for each system; return the labels of the axes and of the lines."""
    series = series_of(rows, "system", axes)
    places, x_title = place_x(ax, rows, x, axis_for(x, axes))
    whole = ends_of_rows(rows, value, bounds=bounds)
    numbers = [*rows[value], 0.0]
    numbers += [] if whole is None else near_ends(whole, numbers, axis).tolist()
    missing = [~np.isfinite(one.rows[value].to_numpy(dtype=np.float64)) for one in series]
    room = (_FOOT + strip_of(series, places, missing, "").room, 0.2)
    fits = set_axis(ax, "y", axis, numbers, room=open_room(whole, room), from_zero=False)
    ax.axhline(0.0, color="#333333", lw=0.9)
    series = kept(series, only)
    draw_series(ax, series, places, value, bars=True, bounds=bounds, past=_NONE)
    missing = [~np.isfinite(one.rows[value].to_numpy(dtype=np.float64)) for one in series]
    words = _reasons([one.rows[lost] for one, lost in zip(series, missing, strict=True)])
    draw_strip(ax, strip_of(series, places, missing, words, inset=_FOOT), top=False)
    return {"x": x_title, "y": fits.title}, ends_of(series, places, value)


def _reasons(parts: Sequence[pd.DataFrame]) -> str:
    """Return why differences have no number."""
    found = [_why(row) for part in parts for _, row in part.iterrows()]
    return ", or ".join(dict.fromkeys(found))


def _name_sides(ax: Axes, of: Axis, *, across: bool) -> None:
    """Tint the better side of zero, and label both sides."""
    noun = of.noun or of.label
    less, more = (
        f"{side} {noun}{': better' if of.better == side else ''}" for side in ("less", "more")
    )
    low, high = ax.get_xlim() if across else ax.get_ylim()
    span = (low, 0.0) if of.better == "less" else (0.0, high)
    words: dict[str, Any] = {"parse_math": False, "zorder": 4}
    if across:
        words.update(transform=ax.get_yaxis_transform(), va="center")
        ax.text(0.005, -0.95 if _is_wide(ax) else -1.65, f"← {less}", **words)
        ax.text(1.0, -0.95, f"{more} →", ha="right", **words)
        foot = ax.get_ylim()[0]
        if of.better:
            ax.fill_betweenx([-0.5, foot], *span, color=_TINT, alpha=0.08, lw=0, zorder=0.4)
        ax.xaxis.grid(False)
        ax.vlines(ax.get_xticks(), -0.5, foot, color="#dddddd", lw=0.6, zorder=0.3)
    else:
        clear = [withStroke(linewidth=2.5, foreground="white")]
        words.update(transform=ax.transAxes, path_effects=clear)
        ax.text(0.015, 0.97, f"↑ {more}", va="top", **words)
        ax.text(0.015, 0.03, f"↓ {less}", va="bottom", **words)
        if of.better:
            ax.axhspan(*span, color=_TINT, alpha=0.08, lw=0, zorder=0.4)
