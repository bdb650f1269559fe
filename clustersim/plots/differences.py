"""Plot of paired differences between systems and a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import label_ends
from clustersim.plots.figure import SINGLE, describe, dress, panel, plot_style
from clustersim.plots.of_study import plot_of_study
from clustersim.plots.rows import name_rows, rows_height
from clustersim.plots.series import (
    OVER_DRAWS,
    REPLICATIONS,
    axis_for,
    check_columns,
    draw_series,
    edge_room,
    ends_of,
    mark_edge,
    one_row_each,
    place_x,
    series_of,
    value_text,
)
from clustersim.plots.style import MARKERS, colour
from clustersim.plots.ticks import finite, set_axis
from clustersim.studies.study_result import StudyResult

__all__ = ["difference_rows", "plot_differences"]

_NUMBERS = ("difference", "relative")
_FIXED = {"system", "baseline", "metric", "pairs", "baseline_mean"} | {
    f"{number}{end}"
    for number in _NUMBERS
    for end in ("", "_low", "_high", "_draw_low", "_draw_high")
}
_TINT = "#009E73"
_FOOT = 0.12
"""Height, as a share of the axes, of the crosses for differences without a number."""


def difference_rows(
    differences: pd.DataFrame, metric: str, axes: Mapping[str, Axis] | None = None
) -> pd.DataFrame:
    """Return the rows of a metric, each named after its system and the varying parameters.

    Parameters
    ----------
    differences : DataFrame
        One row per point, system and metric.
    metric : str
    axes : mapping of str to Axis, optional
        Labels, units or scales that replace the defaults.

    Returns
    -------
    DataFrame
        The rows with a column ``name`` (str).

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
        column for column in rows.columns if column not in _FIXED and rows[column].nunique() > 1
    ]
    names = [
        "\n".join(
            [str(row["system"]), *(value_text(column, row[column], axes) for column in varying)]
        )
        for _, row in rows.iterrows()
    ]
    return rows.assign(name=names)


def plot_differences(
    differences: pd.DataFrame | StudyResult,
    metric: str,
    *,
    x: str | None = None,
    relative: bool = True,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the differences between systems and the baseline with their 95 % intervals.

    The better side of zero is tinted and labelled. A label or a cross marks a difference that
    has no number, for example because a system is overloaded.

    Parameters
    ----------
    differences : DataFrame or StudyResult
        One row per point, system and metric. ``difference`` or ``relative`` and their intervals
        (``_low``, ``_high``) are paired over replications. A study result supplies its table of
        differences and its labels.
    metric : str
    x : str, optional
        Column on the x axis; each system has a line. By default, each system (and point) has a
        row instead.
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
    needed = ("metric", "system", "baseline", value, f"{value}_low", f"{value}_high", x)
    check_columns(differences, needed, "plot_differences")
    rows = difference_rows(differences, metric, axes)
    of = axis_for(metric, axes)
    baselines = rows["baseline"].unique()
    baseline = str(baselines[0]) if len(baselines) == 1 else "the baseline"
    axis = Axis(f"difference from {baseline}", dimension=of.dimension, logarithmic=False)
    if relative:
        axis = Axis(
            f"difference from {baseline}", f"% of {baseline}'s mean", 0.01, logarithmic=False
        )
    with plot_style(ax):
        if x is None:
            ax = panel(ax, height=1.2 + rows_height(rows["name"], SINGLE))
            labels = {"x": _plot_rows(ax, rows, value, axis)}
        else:
            one_row_each(rows, (x, "system"), "plot_differences")
            ax = panel(ax)
            labels = _plot_lines(ax, rows, x, value, axis, axes)
        _name_sides(ax, of, across=x is None)
        describe(ax, "Compared systems use the same random numbers.")
        dress(ax, f"{of.label} compared with {baseline}", **labels)
    return ax


def _plot_rows(ax: Axes, rows: pd.DataFrame, value: str, axis: Axis) -> str:
    """Draw a row for each system and point; return the label of the x axis."""
    numbers = rows[[value, f"{value}_low", f"{value}_high"]].to_numpy(dtype=np.float64)
    draws = _draws(rows, value)
    edges = finite(draws)
    fits = set_axis(ax, "x", axis, [*numbers.ravel(), *edges, 0.0], from_zero=False)
    systems = list(dict.fromkeys(rows["system"]))
    for place, (system, (middle, low, high), draw) in enumerate(
        zip(rows["system"], numbers, draws, strict=True)
    ):
        index = systems.index(system)
        if np.isfinite(middle):
            if np.isfinite(draw).all():
                ax.hlines(place, *draw, color=colour(index), lw=5.0, alpha=0.25)
            if np.isfinite([low, high]).all():
                ax.hlines(place, low, high, color=colour(index), lw=1.4)
            ax.plot(
                middle, place, marker=MARKERS[index % len(MARKERS)], color=colour(index), ls="none"
            )
        else:
            why = "no number: overload" if np.isinf(middle) else "no number"
            look: dict[str, Any] = {"ha": "center", "va": "center", "color": "#555555"}
            ax.text(0.5, place, why, transform=ax.get_yaxis_transform(), **look)
    name_rows(ax, list(rows["name"]), above=2)
    ax.vlines(0.0, -0.5, len(rows) - 0.5, color="#333333", lw=0.9)
    describe(ax, f"Bars: {REPLICATIONS}.")
    if len(edges):
        describe(ax, f"Broad pale bars: {OVER_DRAWS}.")
    return fits.title


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
    x: str,
    value: str,
    axis: Axis,
    axes: Mapping[str, Axis] | None,
) -> dict[str, str]:
    """Draw a line for each system; return the labels of the axes."""
    series = series_of(rows, "system", axes)
    places, x_title = place_x(ax, rows, x, axis_for(x, axes))
    numbers = rows[[value, f"{value}_low", f"{value}_high"]].to_numpy(dtype=np.float64)
    missing = [~np.isfinite(one.rows[value].to_numpy(dtype=np.float64)) for one in series]
    room = (0.14 + edge_room(places, missing), 0.2)
    fits = set_axis(ax, "y", axis, [*numbers.ravel(), 0.0], room=room, from_zero=False)
    ax.axhline(0.0, color="#333333", lw=0.9)
    draw_series(ax, series, places, value, bars=True)
    if mark_edge(ax, series, places, missing, "x", _FOOT):
        describe(ax, "Crosses: no number (overload, a failed run, or a baseline of 0).")
    label_ends(ax, ends_of(series, places, value))
    return {"x": x_title, "y": fits.title}


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
        ax.text(0.012, -1.65, f"← {less}", **words)
        ax.text(1.0, -0.95, f"{more} →", ha="right", **words)
        foot = ax.get_ylim()[0]
        if of.better:
            ax.fill_betweenx([-0.5, foot], *span, color=_TINT, alpha=0.08, lw=0, zorder=0.4)
        ax.xaxis.grid(False)
        ax.vlines(ax.get_xticks(), -0.5, foot, color="#dddddd", lw=0.6, zorder=0.3)
    else:
        words.update(
            transform=ax.transAxes, bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.5}
        )
        ax.text(0.015, 0.97, f"↑ {more}", va="top", **words)
        ax.text(0.015, 0.03, f"↓ {less}", va="bottom", **words)
        if of.better:
            ax.axhspan(*span, color=_TINT, alpha=0.08, lw=0, zorder=0.4)
