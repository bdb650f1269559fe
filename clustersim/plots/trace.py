"""Figures of a job log, and of a workload model next to the log that it was fitted to."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from clustersim.array_types import Floats
from clustersim.calendar import DAY_S, Calendar
from clustersim.plots.parts.dates import date_ticks, date_title
from clustersim.plots.style import COLOURS, new_figure, style
from clustersim.units import counted, format_duration, format_percent
from clustersim.workload import JobLog
from clustersim.workload.describe import TraceStatistics, clock_of, describe_jobs, size_bins

__all__ = [
    "plot_arrivals",
    "plot_durations",
    "plot_fit",
    "plot_sizes",
    "plot_trace",
    "plot_week",
]

_TIME_TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
_TIME_TICKS |= {86400: "1 d", 864000: "10 d", 8640000: "100 d"}
_BINS = (("day", DAY_S), ("hour", 3600.0), ("minute", 60.0))
_LEAST_BINS = 5
"""Arrivals are counted per day if the log has at least this many days; else per hour or minute."""
_PER = {"day": "per day", "hour": "per hour", "minute": "per minute"}


def plot_trace(
    jobs: pd.DataFrame,
    *,
    title: str,
    first_second: float = 0.0,
    origin: datetime | None = None,
    calendar: Calendar | None = None,
) -> Figure:
    """Draw sizes, run times, arrivals per day (or hour, or minute) and the weekly cycle.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    title : str
        Name of the log.
    first_second : float
        Second of the week (from Monday 00:00) at ``submit_s`` 0, if known, on a clock without
        daylight saving time.
    origin : datetime, optional
        Local date at ``submit_s`` 0; without it, days are numbered.
    calendar : Calendar, optional
        Local clock that replaces `first_second`, including daylight saving time.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels.
    """
    clock = clock_of(first_second) if calendar is None else calendar
    statistics = describe_jobs(jobs, calendar=clock)
    figure = new_figure(11.0, 7.6)
    with style():
        axes = figure.subplots(2, 2)
        plot_sizes(statistics, ax=axes[0, 0])
        plot_durations(jobs, ax=axes[0, 1])
        plot_arrivals(jobs, origin=origin, ax=axes[1, 0])
        known = origin is not None or first_second > 0 or (calendar is not None and clock.is_dated)
        plot_week(statistics, weekdays_known=known, ax=axes[1, 1])
        figure.suptitle(
            f"{title}: {counted(statistics.jobs, 'job')} in {format_duration(statistics.span_s)}",
            fontsize=12,
        )
    return figure


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    with style():
        return new_figure().subplots()


def _jobs_of(log: pd.DataFrame | JobLog) -> pd.DataFrame:
    return log.jobs if isinstance(log, JobLog) else log


def _statistics_of(log: pd.DataFrame | JobLog | TraceStatistics) -> TraceStatistics:
    if isinstance(log, TraceStatistics):
        return log
    if isinstance(log, JobLog):
        return describe_jobs(log.jobs, calendar=Calendar(log.origin))
    return describe_jobs(log)


def plot_sizes(log: pd.DataFrame | JobLog | TraceStatistics, *, ax: Axes | None = None) -> Axes:
    """Draw the shares of jobs and of work by job size.

    Parameters
    ----------
    log : DataFrame, JobLog or TraceStatistics
        A jobs table, the log from :func:`clustersim.read_jobs`, or the statistics from
        :func:`clustersim.describe_jobs`.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv")
    >>> ax = cs.plots.plot_sizes(log)
    >>> ax.get_xlabel()
    'accelerators per job'
    """
    ax = _axes(ax)
    mix = _statistics_of(log).size_mix
    at = np.arange(len(mix))
    for shift, column, colour, label in (
        (-0.2, "jobs_share", COLOURS["blue"], "of jobs"),
        (0.2, "work_share", COLOURS["orange"], "of accelerator time"),
    ):
        ax.bar(at + shift, mix[column], width=0.4, color=colour, label=label)
    crowded = sum(map(len, mix["bin"])) > 30
    ax.set_xticks(
        at, mix["bin"], rotation=40 if crowded else 0, ha="right" if crowded else "center"
    )
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.grid(visible=False, axis="x")
    ax.set(title="Job sizes", xlabel="accelerators per job", ylabel="share")
    ax.legend()
    return ax


def plot_durations(log: pd.DataFrame | JobLog, *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of run times, weighted by jobs and by accelerator time.

    Parameters
    ----------
    log : DataFrame or JobLog
        A jobs table, or the log from :func:`clustersim.read_jobs`.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv")
    >>> ax = cs.plots.plot_durations(log)
    >>> ax.get_xlabel()
    'run time'
    """
    jobs = _jobs_of(log)
    ax = _axes(ax)
    runs = jobs["duration_s"].to_numpy(dtype=np.float64)
    known = ~np.isnan(runs)
    order = np.argsort(runs[known])
    x = np.maximum(runs[known][order], 0.5)
    work = x * jobs["n_accelerators"].to_numpy(dtype=np.float64)[known][order]
    for weights, colour, label in (
        (np.ones(len(x)), COLOURS["blue"], "of jobs"),
        (work, COLOURS["orange"], "of accelerator time"),
    ):
        shown, share = _thinned(x, np.cumsum(weights) / weights.sum())
        ax.step(shown, share, where="post", color=colour, label=label)
    _time_axis(ax, x)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set(title="Run times", xlabel="run time", ylabel="cumulative share")
    ax.legend(loc="upper left")
    return ax


def _thinned(x: Floats, y: Floats, most: int = 2000) -> tuple[Floats, Floats]:
    """Return about `most` points of a cumulative curve, or all points if there are fewer."""
    if len(x) <= most:
        return x, y
    keep = np.unique(np.append(np.searchsorted(y, np.linspace(0, 1, most)), len(x) - 1))
    keep = keep[keep < len(x)]
    return x[keep], y[keep]


def _time_axis(ax: Axes, seconds: Floats) -> None:
    """Make the x axis logarithmic, with ticks in common units of time."""
    ax.set_xscale("log")
    low, high = float(seconds.min()), float(seconds.max())
    ax.set_xlim(max(low * 0.7, 0.5), max(high * 1.5, low * 10))
    ticks = [tick for tick in _TIME_TICKS if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.xaxis.set_major_locator(FixedLocator([float(tick) for tick in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [_TIME_TICKS[tick] for tick in ticks])


def plot_arrivals(
    log: pd.DataFrame | JobLog, *, origin: datetime | None = None, ax: Axes | None = None
) -> Axes:
    """Draw arrivals per day with their mean over seven days; for short logs, per hour or minute.

    Parameters
    ----------
    log : DataFrame or JobLog
        A jobs table, or the log from :func:`clustersim.read_jobs`.
    origin : datetime, optional
        Local date and time at ``submit_s`` 0, by default that of the log. With it, days are
        calendar days.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv")
    >>> ax = cs.plots.plot_arrivals(log)
    >>> ax.get_title()
    'Arrivals'
    """
    jobs = _jobs_of(log)
    origin = log.origin if origin is None and isinstance(log, JobLog) else origin
    ax = _axes(ax)
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    span_s = submit_s[-1] - submit_s[0]
    unit, size = next((each for each in _BINS if span_s >= _LEAST_BINS * each[1]), _BINS[-1])
    local_s = submit_s
    if origin is not None and unit == "day":
        calendar = Calendar(origin)
        local_s = calendar.local_s(submit_s)
        local_s = local_s - float(calendar.local_s(0.0)) // DAY_S * DAY_S
    place = (local_s // size).astype(np.int64)
    counts = np.bincount(place - place[0]).astype(np.float64)
    x = np.arange(place[0], place[0] + len(counts))
    ax.bar(x, counts, width=1.0, color=COLOURS["sky"], label=f"each {unit}")
    if unit == "day" and len(counts) >= 14:
        week = np.convolve(counts, np.ones(7) / 7, mode="valid")
        ax.plot(x[3:-3], week, color=COLOURS["blue"], label="mean of 7 days")
        ax.legend()
    ax.margins(x=0.01)
    label = f"{unit} of the log" if origin is None else _dates(ax, origin, unit, size)
    ax.set(title="Arrivals", xlabel=label, ylabel=f"jobs submitted {_PER[unit]}")
    ax.set_ylim(0, max(float(np.quantile(counts, 0.995)), counts.mean()) * 1.25)
    over = int((counts > ax.get_ylim()[1]).sum())
    if over:
        note = f"{over} {unit}{'s' if over > 1 else ''} above the axis, up to {counts.max():,.0f}"
        ax.annotate(note, (0.02, 0.94), xycoords="axes fraction", fontsize=9)
    return ax


def _dates(ax: Axes, origin: datetime, unit: str, size: float) -> str:
    """Put dates on the axis of days, hours or minutes since the origin; return its title."""
    calendar = Calendar(origin)
    if unit == "day":  # days are counted by the local calendar, from midnight
        calendar = Calendar(datetime(origin.year, origin.month, origin.day))
    low, high = (end * size for end in ax.get_xlim())
    tick_s, labels = date_ticks(calendar, low, high)
    ax.set_xticks(tick_s / size, labels)
    return date_title(calendar, tick_s)


def plot_week(
    log: pd.DataFrame | JobLog | TraceStatistics,
    *,
    weekdays_known: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the arrival rate by hour of the week, or a remark if the log is shorter than a day.

    Parameters
    ----------
    log : DataFrame, JobLog or TraceStatistics
        As for :func:`plot_sizes`.
    weekdays_known : bool, optional
        Whether days have their names instead of numbers; by default if the log has a date.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import clustersim as cs
    >>> workload = cs.load_workload("philly-2017")
    >>> jobs = cs.generate_jobs(workload, cs.Streams(1), n_jobs=1000)
    >>> ax = cs.plots.plot_week(jobs)
    >>> ax.get_title()
    'Daily and weekly cycle'
    """
    if weekdays_known is None:
        weekdays_known = isinstance(log, JobLog) and log.origin is not None
    statistics = _statistics_of(log)
    ax = _axes(ax)
    if statistics.span_s < DAY_S:
        ax.set_axis_off()
        remark = "The log is shorter than a day:\nno cycle is visible."
        ax.text(0.5, 0.5, remark, ha="center", va="center", transform=ax.transAxes)
        return ax
    rates = statistics.by_week_hour * 3600
    ax.stairs(np.nan_to_num(rates), np.arange(169) / 24, color=COLOURS["blue"], linewidth=1.4)
    ax.axhline(
        statistics.rate_per_s * 3600, color=COLOURS["vermilion"], linestyle="--", linewidth=1
    )
    ax.annotate(
        "mean",
        (7.06, statistics.rate_per_s * 3600),
        va="center",
        color=COLOURS["vermilion"],
        annotation_clip=False,
    )
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    shown = names if weekdays_known else tuple(f"day {k}" for k in range(7))
    ax.set_xticks(np.arange(8), [""] * 8)
    ax.set_xticks(np.arange(7) + 0.5, shown, minor=True)
    ax.tick_params(axis="x", which="minor", length=0)
    ax.set_xlim(0, 7)
    ax.set_ylim(bottom=0)
    label = "time of the week" if weekdays_known else "time since second 0, modulo a week"
    ax.set(title="Daily and weekly cycle", xlabel=label, ylabel="jobs submitted per hour")
    return ax


def plot_fit(model_jobs: pd.DataFrame, jobs: pd.DataFrame, *, title: str) -> Figure:
    """Draw run-time quantiles of the model against those of the log, with one panel per size bin.

    Parameters
    ----------
    model_jobs, jobs : pandas.DataFrame
        Generated jobs, and the jobs of the log.
    title : str
        Name of the model.

    Returns
    -------
    matplotlib.figure.Figure
        Panels for the (at most six) size bins with the most jobs; on the diagonal, model and
        log have the same quantile.
    """
    index, labels = size_bins(jobs["n_accelerators"])
    drawn, _ = size_bins(model_jobs["n_accelerators"])
    counts = np.bincount(index, minlength=len(labels))
    top = [int(k) for k in np.argsort(-counts, kind="stable")[:6]]
    bins = sorted(k for k in top if counts[k] >= 20) or top[:1]
    chances = np.concatenate([np.arange(1, 100) / 100, [0.995, 0.999]])
    figure = new_figure(11.0, 3.6 * int(np.ceil(len(bins) / 3)) + 0.5)
    with style():
        panels = figure.subplots(int(np.ceil(len(bins) / 3)), 3, squeeze=False).ravel()
        for ax, k in zip(panels, bins, strict=False):
            real = np.quantile(jobs["duration_s"][index == k], chances)
            model = np.quantile(model_jobs["duration_s"][drawn == k], chances)
            both = np.append(real, model)
            _time_axis(ax, both)
            ax.set_yscale("log")
            ax.plot(ax.get_xlim(), ax.get_xlim(), color="#888888", linewidth=1)
            ax.plot(real, model, "o", color=COLOURS["blue"], markersize=3)
            for p in (0.5, 0.9, 0.99):
                point = (float(np.interp(p, chances, real)), float(np.interp(p, chances, model)))
                ax.plot(*point, "o", color=COLOURS["vermilion"], markersize=6)
                ax.annotate(
                    format_percent(p, 0),
                    point,
                    xytext=(6, -10),
                    textcoords="offset points",
                    fontsize=8,
                )
            ax.set_ylim(ax.get_xlim())
            ax.set_yticks(ax.get_xticks(), [label.get_text() for label in ax.get_xticklabels()])
            ax.yaxis.set_minor_locator(NullLocator())
            ax.tick_params(axis="x", rotation=45)
            plural = "" if labels[k] == "1" else "s"
            ax.set_title(f"{labels[k]} accelerator{plural} ({counted(int(counts[k]), 'job')})")
        for ax in panels[len(bins) :]:
            ax.set_visible(False)
        figure.supxlabel("run time in the log")
        figure.supylabel("run time in the model")
        figure.suptitle(f"{title}: quantiles of run times, model against log", fontsize=12)
    return figure
