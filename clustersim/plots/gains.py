"""Plot of the paired differences between the capacities of systems and of a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe, panel, plot_style
from clustersim.plots.parts.intervals import ends_of_rows
from clustersim.plots.parts.multiples import Only, chosen, finish, kept, own_rows
from clustersim.plots.parts.numbers import write_numbers
from clustersim.plots.parts.strips import NO_STRIP, Strip, draw_strip
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

__all__ = ["plot_gains"]

_NO_LIMIT = (-np.inf, np.inf)


def plot_gains(
    gains: pd.DataFrame,
    x: str = "system",
    *,
    by: str | None = None,
    searched: str = "workload.load",
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the differences between capacities, paired by replication, with their intervals.

    Parameters
    ----------
    gains : DataFrame
        From :func:`~clustersim.studies.capacity.gains.gains_table`: ``system``, ``baseline`` and
        ``gain`` with its interval, one row for each `x` and `by`.
    x : str
        Column on the x axis.
    by : str, optional
        Column that defines the lines, one for each of its values.
    searched : str
        The parameter that was searched; it labels the axis.
    only, axes, ax
        As for :func:`~clustersim.plots.curves.plot_curve`.

    Raises
    ------
    InputError
        If a column is unknown, the table has no rows, or several rows are at the same point.

    Examples
    --------
    >>> import pandas as pd
    >>> gains = pd.DataFrame(
    ...     {
    ...         "system": ["easy"],
    ...         "baseline": ["fcfs"],
    ...         "gain": [0.09],
    ...         "gain_low": [0.07],
    ...         "gain_high": [0.11],
    ...     }
    ... )
    >>> plot_gains(gains).get_ylabel()
    'offered load, difference from fcfs'
    """
    check_columns(gains, (x, by, "baseline", "gain", "gain_low", "gain_high"), "plot_gains")
    one_row_each(gains, (x, by, only[0] if only else None), "plot_gains")
    baselines = gains["baseline"].unique()
    baseline = str(baselines[0]) if len(baselines) == 1 else "the baseline"
    of = axis_for(searched, axes)
    axis = replace(of, label=f"{of.label}, difference from {baseline}", logarithmic=False)
    with plot_style(ax):
        ax = panel(ax)
        series = series_of(gains, by, axes)
        own = own_rows(gains, only)
        places, x_title = place_x(ax, gains, x, axis_for(x, axes), own=own)
        lost = _lost(series, places)
        edges = edges_of(gains, "gain", axis, bounds=_NO_LIMIT)
        room = (lost.room if lost.bars else NO_STRIP, NO_STRIP)
        numbers = [*gains["gain"], 0.0]
        fits = set_axis(ax, "y", axis, numbers, edges=edges, room=room, from_zero=False)
        ax.axhline(0.0, color="#333333", lw=0.9, zorder=1.2)
        series, shown = kept(series, only), chosen(gains, only)
        draw_series(ax, series, places, "gain", bars=True, bounds=_NO_LIMIT)
        draw_strip(ax, _lost(series, places), top=False)
        if len(series) == 1 and places.apart:
            ends = ends_of_rows(shown, "gain", bounds=_NO_LIMIT)
            write_numbers(ax, places.of(shown), shown["gain"], fits, ends, places.slot)
        describe(ax, "Differences are paired: compared systems use the same random numbers.")
        _describe_bounds(ax, gains)
        labels = ends_of(series, places, "gain")
        title = f"paired difference from {baseline}"
        finish(ax, title, labels, only=only, axes=axes, x=x_title, y=fits.title, heading=title)
    return ax


def _lost(series: Sequence[Series], places: Places) -> Strip:
    """Return the strip where there is no number."""
    gains = [one.rows["gain"].to_numpy(dtype=np.float64) for one in series]
    return strip_of(series, places, [~np.isfinite(values) for values in gains], "no number")


def _describe_bounds(ax: Axes, gains: pd.DataFrame) -> None:
    """Say which bars are bounds and not 95 % intervals."""
    if "note" not in gains:
        return
    noted = gains[gains["note"].fillna("").astype(bool)]
    for note, rows in noted.groupby("note", sort=False):
        describe(ax, f"{', '.join(map(str, rows['system'].unique()))}: {note}.")
