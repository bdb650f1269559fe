"""Plot of a forecast: when each waiting job starts, as an interval on a time axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, Calendar
from clustersim.forecasting.constraints import CONSTRAINTS
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    study_figure,
    wide_panel,
)
from clustersim.plots.parts.dates import set_time_axis
from clustersim.plots.parts.legends import legend_below
from clustersim.plots.rows import fit_rows
from clustersim.plots.style import MARKERS, colour

__all__ = ["MOST_ROWS", "draw_forecast", "plot_forecast"]

MOST_ROWS = 40
"""Largest number of jobs that are drawn."""
_LEGEND_POINTS = 62.0
_NAMES = {"none": "can start now"}


def draw_forecast(
    jobs: pd.DataFrame, *, calendar: Calendar = UNDATED, now_s: float = 0.0
) -> StudyFigure:
    """Draw when the jobs of a partition start; see :func:`plot_forecast`."""
    figure = study_figure(width=DOUBLE)
    plot_forecast(jobs, calendar=calendar, now_s=now_s, ax=figure.panels[0])
    return figure


def plot_forecast(
    jobs: pd.DataFrame,
    *,
    calendar: Calendar = UNDATED,
    now_s: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Plot the start of waiting jobs with its interval, and what each job waits for.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Table ``jobs`` of a :class:`~clustersim.Forecast`, of which the first 40 jobs that are
        forecast are drawn, in the order of the queue.
    calendar : Calendar
        Dates of the axis.
    now_s : float
        The present on the time axis of `calendar`.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv").jobs
    >>> result = cs.replay(log, policy="easy", accelerators=256)
    >>> found = cs.forecast(result, accelerators=256, replications=5, at_s=3600.0)
    >>> ax = cs.plots.plot_forecast(found.jobs)
    >>> ax.get_xlabel()
    'time from now, h'
    """
    rows = jobs[jobs["median_s"].notna()].head(MOST_ROWS).reset_index(drop=True)
    with wide_panel(ax) as ax:
        low, median, high = rows[["low_s", "median_s", "high_s"]].to_numpy(dtype=np.float64).T
        times = np.concatenate([[0.0], low, median, high])
        times = times[np.isfinite(times)]
        offset = now_s if calendar.is_dated else 0.0
        title = set_time_axis(
            ax, "x", times + offset, calendar, label="time from now", room=(0.02, 0.03),
            from_zero=False,
        )  # fmt: skip
        ax.axvline(offset, color="#888888", lw=0.8, zorder=0)
        shown = _draw_rows(ax, rows, low + offset, median + offset, high + offset)
        names = [
            f"{job}, {n:,}" for job, n in zip(rows["job_id"], rows["n_accelerators"], strict=True)
        ]
        fit_rows(ax, names, more=_LEGEND_POINTS)
        legend_below(ax, shown, columns=min(4, max(1, len(shown))))
        describe(
            ax,
            "Marks: medians of the start. Lines: 5 % to 95 %; an arrow ends later than can be "
            "said. Rows: job and its accelerators, in the order of the queue.",
        )
        dress(ax, "Start of waiting jobs", x=title)
    return ax


def _draw_rows(
    ax: Axes, rows: pd.DataFrame, low: Floats, median: Floats, high: Floats
) -> list[Line2D]:
    """Draw the intervals, coloured by constraint; return the entries of the legend."""
    end = ax.get_xlim()[1]
    shown = []
    for k, kind in enumerate(CONSTRAINTS):
        at = np.flatnonzero(rows["constraint"].to_numpy(dtype=object) == kind)
        if not len(at):
            continue
        look: dict[str, Any] = {"color": colour(k), "clip_on": True}
        marker = MARKERS[k % len(MARKERS)]
        ax.hlines(at, low[at], np.where(np.isfinite(high[at]), high[at], end), lw=2.0, alpha=0.5,
                  **look)  # fmt: skip
        ax.plot(median[at], at, marker=marker, ls="none", zorder=3, **look)
        later = at[~np.isfinite(high[at])]
        ax.plot(np.full(len(later), end), later, marker=">", ls="none", **look)
        name = _NAMES.get(kind, kind)
        shown.append(Line2D([], [], marker=marker, ls="-", color=colour(k), label=name))
    return shown
