"""Gantt chart of a small run: which jobs ran where, or how long each job waited and ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from clustersim.calendar import Calendar
from clustersim.errors import InputError, unknown_name
from clustersim.plots.parts.dates import date_ticks, date_title
from clustersim.plots.parts.gantt_layout import lay_out
from clustersim.plots.style import COLOURS, new_figure, style
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE, UNFINISHED

__all__ = ["LEAST_WIDTH", "MOST_BARS", "MOST_ROWS", "plot_gantt"]

MOST_BARS, MOST_ROWS = 400, 60
"""Largest numbers of bars and rows that a reader can distinguish."""
LEAST_WIDTH = 0.002
"""Width of the shortest bar, as a share of the axis."""
_INKS = tuple(ink for name, ink in COLOURS.items() if name != "black")
_OTHERS, _PEN = "#999999", "#333333"
_UNITS = (("s", 1.0, 180.0), ("min", 60.0, 180.0), ("h", 3600.0, 72.0), ("d", 86400.0, np.inf))
"""Each unit of time, its size in seconds, and the longest axis (in this unit) that uses it."""
_BAR, _TEXT_POINTS = 0.78, 7.5
_HATCH, _STILL_RAN = "////", "still running at the end"
_GREY, _NO_JOBS = "#e2e2e2", "out of service, absent, or serving"


def plot_gantt(
    result: Result,
    *,
    ax: Axes | None = None,
    by: Literal["node", "job"] = "node",
    most_jobs: int | None = None,
) -> Axes:
    """Draw the Gantt chart of a small run.

    Bars are coloured by job class, if jobs have classes; jobs still running at the end are hatched.
    Nodes are grey while they run no jobs because they are out of service, absent, or serving.

    Parameters
    ----------
    result : Result
        The result of a run with at most 400 bars in 60 rows.
    ax : Axes, optional
        Where to draw; by default in a new figure of suitable height.
    by : {"node", "job"}
        ``node``: each node has a row, or several rows if it ran several jobs at once; bars are
        labelled with their jobs.  ``job``: each job has a row, in order of submission, with a
        thin line while it waits and a cross if it could never run; bars are labelled with
        accelerators and pool.
    most_jobs : int, optional
        Draw only this many jobs, in order of submission.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If the run has too many bars or rows (:mod:`clustersim.report.timeline` writes runs of
        any size for a viewer), or `by` is neither ``node`` nor ``job``.

    Examples
    --------
    >>> import clustersim as cs
    >>> result = cs.run(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 40, "load": 0.9},
    ...     }
    ... )
    >>> ax = cs.plots.plot_gantt(result, by="job", most_jobs=10)
    >>> ax.get_xlabel()
    'simulated time (h); in the bars: accelerators'
    """
    if by not in ("node", "job"):
        raise InputError("by", unknown_name("value", by, ("node", "job")))
    if most_jobs is not None:
        result = result.first_jobs(most_jobs)
    bars, rows = _bars_by_node(result) if by == "node" else _bars_by_job(result)
    if len(bars) > MOST_BARS or len(rows) > MOST_ROWS:
        raise InputError(
            "gantt",
            f"the run has {len(bars):,} bars in {len(rows):,} rows; a chart may have at most "
            f"{MOST_BARS} bars in {MOST_ROWS} rows; draw only the first jobs (--most-jobs), or "
            "open the timeline in a viewer (clustersim timeline)",
        )
    end_s = float(result.utilisation["time_s"].max())
    if most_jobs is not None and len(bars):
        end_s = min(end_s, float(bars["end_s"].max()))
    begin_s = min(float(result.jobs["submit_s"].min()), end_s)
    unit, size = next((name, size) for name, size, most in _UNITS if end_s - begin_s <= most * size)
    inks = _inks(result.jobs)
    with style():
        ax = ax or new_figure(10.0, 1.4 + 0.2 * max(len(rows), 3)).subplots()
        least = LEAST_WIDTH * ((end_s - begin_s) or 1.0) / size
        labels = list(_draw_bars(ax, bars, inks, size, least))
        entries = _class_entries(inks)
        if by == "job":
            entries += _draw_waits(ax, result.jobs, end_s, size)
        if by == "node" and result.outages is not None:
            entries += _draw_outages(ax, result, end_s, size)
        if bars["unfinished"].any():
            entries.append(Patch(fc="#777777", ec="white", hatch=_HATCH, label=_STILL_RAN))
        _draw_rows(ax, rows)
        pad = 0.01 * (end_s - begin_s or 1.0)
        ax.set_xlim((begin_s - pad) / size, (end_s + pad) / size)
        content = "job ids" if by == "node" else "accelerators"
        title = f"simulated time ({unit})"
        if result.calendar.is_dated:
            title = _dates(ax, result.calendar, size)
        ax.set_xlabel(f"{title}; in the bars: {content}")
        _draw_legend(ax, entries)
    _keep_fitting(ax, labels)
    return ax


def _dates(ax: Axes, calendar: Calendar, size: float) -> str:
    """Put dates on the axis of times, which are multiples of `size` seconds; return its title."""
    low, high = ax.get_xlim()
    try:
        tick_s, labels = date_ticks(calendar, low * size, high * size)
    except ValueError:  # beyond the year 9999
        return f"time since {calendar.text(0.0)}"
    ax.set_xticks(tick_s / size, labels)
    return date_title(calendar, tick_s)


def _bars_by_node(result: Result) -> tuple[pd.DataFrame, list[str]]:
    """Return the bars, and the label of each lane ("" for the second and later lanes of a node)."""
    layout = lay_out(result)
    jobs = result.jobs.iloc[layout.bars["job"].to_numpy()].reset_index(drop=True)
    bars = layout.bars.assign(row=layout.bars["track"], text=jobs["job_id"].astype(str))
    several = layout.tracks["pool"].nunique() > 1
    names = []
    for pool, node, lane in layout.tracks.itertuples(index=False):
        own = f"lane {lane + 1}" if node < 0 else f"node {node}" if lane == 0 else ""
        names.append(f"{pool} {own}" if several and own else own)
    return _with_classes(bars, jobs, result), names


def _bars_by_job(result: Result) -> tuple[pd.DataFrame, list[str]]:
    """Return a bar for each job that ran, and the ids of all jobs."""
    bars = lay_out(result, by="pool").bars
    jobs = result.jobs.iloc[bars["job"].to_numpy()].reset_index(drop=True)
    several = jobs["pool"].nunique() > 1
    sizes = jobs["n_accelerators"].astype(str)
    texts = sizes + " × " + jobs["pool"].astype(str) if several else sizes
    return _with_classes(bars.assign(row=bars["job"], text=texts), jobs, result), [
        f"job {job_id}" for job_id in result.jobs["job_id"]
    ]


def _with_classes(bars: pd.DataFrame, jobs: pd.DataFrame, result: Result) -> pd.DataFrame:
    at_the_end = bars["end_s"].to_numpy() >= float(result.utilisation["time_s"].max())
    unfinished = (jobs["outcome"] == UNFINISHED).to_numpy() & at_the_end
    return bars.assign(job_class=_classes(jobs), unfinished=unfinished)


def _classes(jobs: pd.DataFrame) -> list[str]:
    if "job_class" not in jobs:
        return [""] * len(jobs)
    return ["" if pd.isna(name) else str(name) for name in jobs["job_class"]]


def _inks(jobs: pd.DataFrame) -> dict[str, str]:
    """Return the colour of each job class, by frequency; grey if all other colours are in use."""
    counts = pd.Series(_classes(jobs), dtype=object).value_counts(sort=False)
    names = counts.sort_values(ascending=False, kind="stable").index
    return {name: _INKS[k] if k < len(_INKS) else _OTHERS for k, name in enumerate(names)}


def _draw_bars(
    ax: Axes, bars: pd.DataFrame, inks: dict[str, str], size: float, least: float
) -> Iterator[tuple[Text, float]]:
    """Draw the bars; return each label with the width available for it.

    A bar shorter than `least` is drawn with that length, so that it is visible.
    """
    for bar in bars.to_dict("records"):
        ink = inks[bar["job_class"]]
        start, width = bar["start_s"] / size, (bar["end_s"] - bar["start_s"]) / size
        hatch = _HATCH if bar["unfinished"] else None
        edge = "white" if width > 3 * least else ink
        ax.barh(
            bar["row"],
            max(width, least),
            _BAR,
            start,
            color=ink,
            edgecolor=edge,
            linewidth=0.6,
            hatch=hatch,
        )
        yield (
            ax.text(
                start + width / 2,
                bar["row"],
                bar["text"],
                color="black" if np.dot(to_rgb(ink), (0.299, 0.587, 0.114)) > 0.5 else "white",
                fontsize=_TEXT_POINTS,
                ha="center",
                va="center_baseline",
                bbox={"facecolor": ink, "edgecolor": "none", "pad": 1.0} if hatch else None,
            ),
            width,
        )


def _draw_outages(ax: Axes, result: Result, end_s: float, size: float) -> list[Artist]:
    """Shade nodes while they run no jobs; return the legend entries."""
    assert result.outages is not None
    out = result.outages[result.outages["slowdown"] == np.inf]
    tracks = lay_out(result).tracks
    tracks = tracks.assign(row=np.arange(len(tracks)), pool=tracks["pool"].astype(str))
    shaded = False
    for (pool, node), rows in tracks.groupby(["pool", "node"], sort=False)["row"]:
        own = out[(out["pool"] == pool) & (out["node"] == node) & (out["begin_s"] < end_s)]
        begin = own["begin_s"].to_numpy() / size
        width = own["end_s"].clip(upper=end_s).to_numpy() / size - begin
        if len(own):
            spans = list(zip(begin.tolist(), width.tolist(), strict=True))
            ax.broken_barh(spans, (rows.min() - 0.5, len(rows)), color=_GREY, lw=0, zorder=0.4)
            shaded = True
    return [Patch(fc=_GREY, label=_NO_JOBS)] if shaded else []


def _draw_waits(ax: Axes, jobs: pd.DataFrame, end_s: float, size: float) -> list[Artist]:
    """Draw waits and jobs that could never run; return the legend entries."""
    never = (jobs["outcome"] == NEVER_RUNNABLE).to_numpy()
    submit = jobs["submit_s"].to_numpy(dtype=float) / size
    start = jobs["start_s"].fillna(end_s).to_numpy(dtype=float) / size
    rows = np.arange(len(jobs))
    waited = ~never & (start > submit)
    ax.hlines(rows[waited], submit[waited], start[waited], color=_PEN, linewidth=1.0)
    ax.plot(submit[never], rows[never], linestyle="none", marker="x", color=_PEN)
    shown: list[Artist] = []
    if waited.any():
        shown.append(Line2D([], [], color=_PEN, linewidth=1.0, label="waits"))
    if never.any():
        shown.append(Line2D([], [], color=_PEN, ls="none", marker="x", label="could never run"))
    return shown


def _draw_rows(ax: Axes, names: list[str]) -> None:
    """Name the rows (once for a node with several lanes) and draw separating lines."""
    first = [row for row, name in enumerate(names) if name]
    after = [*first[1:], len(names)] if first else []
    middles = [(begin + end - 1) / 2 for begin, end in zip(first, after, strict=True)]
    ax.set_yticks(middles, [names[row] for row in first], fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    for row in first[1:]:
        ax.axhline(row - 0.5, color="#dddddd", linewidth=0.6, zorder=0.5)


def _class_entries(inks: dict[str, str]) -> list[Artist]:
    """Return the legend entries of the job classes, if there are any."""
    if not any(inks):
        return []
    named = {name or "no class": ink for name, ink in inks.items() if ink != _OTHERS}
    if _OTHERS in inks.values():
        named["other classes"] = _OTHERS
    return [Patch(color=ink, label=name) for name, ink in named.items()]


def _draw_legend(ax: Axes, entries: list[Artist]) -> None:
    """Draw the legend above the axes, in as many columns as fit."""
    if not entries:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    longest = max(len(str(entry.get_label())) for entry in entries)
    columns = int(9 * figure.get_figwidth() / (longest + 5))
    ax.legend(
        handles=entries,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=max(1, min(columns, len(entries))),
        handlelength=1.0,
        handleheight=0.9,
        borderaxespad=0.2,
    )


def _keep_fitting(ax: Axes, labels: list[tuple[Text, float]]) -> None:
    """Remove the labels that do not fit into their bars."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    with style():
        figure.draw_without_rendering()
    (left, low), (right, high) = ax.transData.transform([(0.0, 0.0), (1.0, 1.0)])
    for text, width in labels:
        box = text.get_window_extent()
        if box.width + 6 > width * (right - left) or box.height > abs(high - low):
            text.remove()
