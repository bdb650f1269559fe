"""Plots of one run: the queue and the utilisation over time, and the waits by job size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from clustersim.analysis.size_waits import ALL_SIZES, ENOUGH_JOBS, recorded_waits, waits_by_size
from clustersim.calendar import UNDATED, Calendar
from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    panel_width,
    study_figure,
    type_size,
    wide_panel,
)
from clustersim.plots.parts.dates import set_time_axis
from clustersim.plots.parts.steps import step_largest, step_means
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import name_categories
from clustersim.plots.style import COLOURS, colour
from clustersim.simulation.queue_length import queue_length
from clustersim.simulation.result import Result

__all__ = [
    "draw_recorded_waits",
    "draw_run",
    "draw_size_waits",
    "plot_queue",
    "plot_size_waits",
    "plot_utilisation",
]

_MOST_STEPS, _BINS, _UTILISATION_BINS = 600, 400, 80
"""A queue with more steps than the first number is shown by its mean and largest value in as many
bins as the second.  The third is the number of bins of the utilisation."""
_MOST_POOLS = 5
_QUANTILES = (("median", "o"), ("p90", "s"), ("p95", "^"), ("most", "X"))
"""Names and markers of the numbers that are drawn; the longest wait only for few jobs."""
_LEAST_JOBS = 3
"""Smallest number of jobs of which the median is drawn."""
_QUANTILES_APART = 0.2
"""Distance between the quantiles of a size, as a share of that between sizes; equal quantiles do
not hide each other."""
_PLACES = (-1.0, 0.0, 1.0, 1.0)
"""Places of these numbers beside each other; the longest wait stands for the 95th percentile."""


def draw_run(
    queue: pd.DataFrame, utilisation: pd.DataFrame, *, calendar: Calendar = UNDATED
) -> StudyFigure:
    """Draw the utilisation, and below it the number of waiting jobs if any job waits.

    Parameters
    ----------
    queue : DataFrame
        From :func:`~clustersim.simulation.queue_length.queue_length`.
    utilisation : DataFrame
        Utilisation of a result.
    calendar : Calendar
        Dates of the axis.
    """
    waits = bool((queue["jobs"] > 0).any())
    figure = study_figure(2 if waits else 1, width=DOUBLE, columns=1, panel_height=1.9)
    plot_utilisation(utilisation, ax=figure.panels[0], calendar=calendar)
    if waits:
        plot_queue(queue, ax=figure.panels[1], calendar=calendar)
    else:
        figure.describe("No job waits, so the queue is not drawn.")
    return figure


def plot_queue(
    queue: pd.DataFrame | Result, *, calendar: Calendar | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the number of waiting jobs over time.

    A queue that changes often is shown by its mean and its largest value in short intervals.

    Parameters
    ----------
    queue : DataFrame or Result
        A result, or the table ``queue_length.parquet`` in its folder.
    calendar : Calendar, optional
        Dates of the axis; by default those of the result.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as two columns of a paper.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 200, "load": 0.9}
    >>> result = cs.run({"cluster": "mixed-small", "workload": jobs})
    >>> ax = cs.plots.plot_queue(result)
    >>> ax.get_ylabel()
    'waiting jobs'
    """
    calendar = _calendar(queue) if calendar is None else calendar
    if isinstance(queue, Result):
        queue = queue_length(queue.jobs, queue.allocation_ranges, _end_s(queue))
    time_s = queue["time_s"].to_numpy(dtype=np.float64)
    jobs = queue["jobs"].to_numpy(dtype=np.float64)
    with wide_panel(ax) as ax:
        x_title = set_time_axis(ax, "x", time_s, calendar)
        y_axis = set_axis(ax, "y", Axis("waiting jobs", dimension="count", logarithmic=False), jobs)
        if len(time_s) <= _MOST_STEPS:
            ax.step(time_s, jobs, where="post", color=COLOURS["blue"], lw=1.2)
        else:
            edges = np.linspace(time_s[0], time_s[-1], _BINS + 1)
            most = step_largest(time_s, jobs, edges)
            ax.stairs(most, edges, fill=True, color=COLOURS["sky"], alpha=0.55, lw=0)
            ax.stairs(step_means(time_s, jobs, edges), edges, color=COLOURS["blue"], lw=1.2)
            describe(ax, f"Queue: mean (line) and largest value (shading) in {_BINS} intervals.")
        dress(ax, "Queue length", x=x_title, y=y_axis.title)
    return ax


def plot_utilisation(
    utilisation: pd.DataFrame | Result, *, calendar: Calendar | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the share of the installed accelerators that jobs hold, by pool, over time.

    Means over short intervals are shown. Of more than five pools, only the sum is drawn.

    Parameters
    ----------
    utilisation : DataFrame or Result
        A result, or its table `utilisation`.
    calendar : Calendar, optional
        Dates of the axis; by default those of the result.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as two columns of a paper.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 200, "load": 0.9}
    >>> result = cs.run({"cluster": "mixed-small", "workload": jobs})
    >>> ax = cs.plots.plot_utilisation(result)
    >>> ax.get_title(loc="left")
    'Utilisation by pool'
    """
    calendar = _calendar(utilisation) if calendar is None else calendar
    if isinstance(utilisation, Result):
        utilisation = utilisation.utilisation
    names = list(dict.fromkeys(map(str, utilisation["pool"])))
    end_s = float(utilisation["time_s"].max()) or 1.0
    edges = np.linspace(0.0, end_s, _UTILISATION_BINS + 1)
    held, there = {}, {}
    for name, steps in utilisation.groupby("pool", observed=True, sort=False):
        time_s = steps["time_s"].to_numpy(dtype=np.float64)
        held[str(name)] = step_means(time_s, steps["allocated"].to_numpy(dtype=np.float64), edges)
        there[str(name)] = step_means(time_s, steps["installed"].to_numpy(dtype=np.float64), edges)
    if len(names) > _MOST_POOLS:
        held = {"all pools": np.sum([*held.values()], axis=0)}
        there = {"all pools": np.sum([*there.values()], axis=0)}
    with wide_panel(ax) as ax:
        x_title = set_time_axis(ax, "x", [0.0, end_s], calendar)
        y_axis = set_axis(ax, "y", Axis("allocated accelerators", dimension="share"), [0.0, 1.0])
        ends = []
        for k, (name, own) in enumerate(held.items()):
            share = np.divide(
                own, there[name], out=np.full(len(own), np.nan), where=there[name] > 0
            )
            ax.stairs(share, edges, color=colour(k), lw=1.2, baseline=None)
            known = share[np.isfinite(share)]
            middle = float(known.mean()) if len(known) else np.nan
            ends.append(EndLabel(name, np.nan, middle, colour(k)))
        if len(ends) > 1 or len(names) > 1:
            label_ends(ax, ends)
        describe(ax, f"Utilisation: means over {_UTILISATION_BINS} intervals.")
        dress(ax, "Utilisation by pool" if len(ends) > 1 else "Utilisation", x=x_title,
              y=y_axis.title)  # fmt: skip
    return ax


def draw_size_waits(waits: pd.DataFrame) -> StudyFigure:
    """Draw quantiles of the wait by job size.

    Parameters
    ----------
    waits : DataFrame
        From :func:`~clustersim.analysis.size_waits.waits_by_size`.
    """
    figure = study_figure(width=DOUBLE, panel_height=2.5)
    plot_size_waits(waits, ax=figure.panels[0])
    return figure


def draw_recorded_waits(waits: pd.DataFrame) -> StudyFigure:
    """Draw quantiles of the recorded and of the simulated wait by job size, side by side.

    Parameters
    ----------
    waits : DataFrame
        From :func:`~clustersim.analysis.size_waits.recorded_waits`.
    """
    figure = study_figure(width=DOUBLE, panel_height=2.8)
    plot_size_waits(waits, kinds=("recorded", "simulated"), ax=figure.panels[0])
    return figure


def plot_size_waits(
    waits: pd.DataFrame | Result, *, kinds: Sequence[str] = ("",), ax: Axes | None = None
) -> Axes:
    """Plot the median, the 90th and the 95th percentile of the wait by job size.

    For sizes with fewer than 20 jobs, the median and the longest wait are drawn instead; for sizes
    with fewer than 3 jobs, only the longest wait.

    Parameters
    ----------
    waits : DataFrame or Result
        A result, or a table with the columns ``size``, ``jobs``, ``median_wait_s``, ``p90_wait_s``,
        ``p95_wait_s`` and ``most_wait_s``, such as ``waits_by_size.parquet`` in its folder. The row
        of all jobs is not drawn.
    kinds : sequence of str
        Prefixes of these columns, such as ``recorded`` and ``simulated``, which are drawn beside
        each other; "" for none.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as two columns of a paper.

    Raises
    ------
    InputError
        If recorded waits are requested of a result whose log recorded no starts.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 200, "load": 0.9}
    >>> result = cs.run({"cluster": "mixed-small", "workload": jobs})
    >>> ax = cs.plots.plot_size_waits(result)
    >>> ax.get_xlabel()
    'accelerators of the job'
    """
    if isinstance(waits, Result):
        waits = _waits_of(waits, kinds)
    rows = waits[waits["size"] != ALL_SIZES]
    columns = [
        [f"{kind}_{name}_wait_s".removeprefix("_") for name, _ in _QUANTILES] for kind in kinds
    ]
    rows = _without_rare_quantiles(rows, columns)
    with wide_panel(ax) as ax:
        axis = Axis("wait", dimension="duration")
        fits = set_axis(
            ax,
            "y",
            axis,
            np.concatenate([rows[names].to_numpy(dtype=np.float64).ravel() for names in columns]),
        )
        for k, (kind, names) in enumerate(zip(kinds, columns, strict=True)):
            at = np.arange(len(rows)) + 0.3 * (k - (len(kinds) - 1) / 2)
            ink = colour((1, 0)[k]) if len(kinds) > 1 else colour(0)
            values = rows[names].to_numpy(dtype=np.float64)
            enough = (rows["jobs"] >= ENOUGH_JOBS).to_numpy(dtype=bool)
            # Of few jobs, the median and the longest wait are one above the other.
            apart = _QUANTILES_APART / len(kinds) * np.outer(enough, _PLACES)
            lines = [
                np.column_stack((x + dx, y))[~np.isnan(y)]
                for x, dx, y in zip(at, apart, values, strict=True)
            ]
            look: dict[str, Any] = {"color": ink, "lw": 1.6, "alpha": 0.4, "zorder": 1}
            ax.add_collection(LineCollection(lines, label=kind, **look), autolim=False)
            for beside, y, (_, marker) in zip(apart.T, values.T, _QUANTILES, strict=True):
                look = {"marker": marker, "ls": "none", "clip_on": False, "zorder": 3}
                ax.plot(at + beside, y, color=ink, **look)
        ax.set_xlim(-0.5, len(rows) - 0.5)
        slot = 72.0 * (panel_width(ax) - 1.1) / max(1, len(rows))
        name_categories(ax, [str(size) for size in rows["size"]], slot)
        ax.grid(axis="x", visible=False)
        if kinds[0]:
            look = {"loc": "best", "handletextpad": 0.3, "fontsize": type_size(ax)}
            ax.legend(**look)
        describe(ax, _markers_text(rows["jobs"]))
        title = " and ".join([*kinds]) + " waits by job size" if kinds[0] else "waits by job size"
        dress(ax, title, x="accelerators of the job", y=fits.title)
    return ax


def _markers_text(jobs: pd.Series) -> str:
    """Return what the markers mean that are drawn for sizes with so many jobs."""
    if (jobs >= ENOUGH_JOBS).any():
        names = "circle (median), square (90th percentile), triangle (95th percentile)"
        parts = [f"From left to right: {names}."]
    else:
        parts = ["Circle: median."] if (jobs >= _LEAST_JOBS).any() else []
    if (jobs < ENOUGH_JOBS).any():
        parts.append(f"Cross: longest wait, for sizes with fewer than {ENOUGH_JOBS} jobs.")
        if len(parts) > 1 and (jobs < _LEAST_JOBS).any():
            parts.append(f"Sizes with fewer than {_LEAST_JOBS} jobs have only the cross.")
    return " ".join(parts)


def _without_rare_quantiles(rows: pd.DataFrame, columns: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return waits with NaN for each number that is not drawn, given the number of jobs."""
    jobs, rows = rows["jobs"], rows.copy()
    for median, *high, most in columns:
        rows[median] = rows[median].where(jobs >= _LEAST_JOBS)
        rows[high] = rows[high].where(jobs >= ENOUGH_JOBS)
        longest = rows[most] if most in rows else pd.Series(np.nan, rows.index)
        rows[most] = longest.where(jobs < ENOUGH_JOBS)
    return rows


def _waits_of(result: Result, kinds: Sequence[str]) -> pd.DataFrame:
    """Return the waits of a result by job size; with `kinds`, the recorded and simulated ones."""
    if not any(kinds):
        return waits_by_size(result.jobs, _end_s(result))
    recorded = recorded_waits(result.jobs, result.provenance)
    if recorded is None:
        raise InputError(
            "plot_size_waits", "kinds: the log of this result has no recorded starts to compare"
        )
    return recorded


def _end_s(result: Result) -> float:
    return float(result.provenance["simulated_s"])


def _calendar(table: pd.DataFrame | Result) -> Calendar:
    return table.calendar if isinstance(table, Result) else UNDATED
