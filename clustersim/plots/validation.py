"""Plots of a validation: recorded and simulated waits, mechanisms, and the capacity in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from clustersim.array_types import Floats
from clustersim.calendar import DAY_S
from clustersim.plots.axis import Axis
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    fit_height,
    panel,
    plot_style,
    study_figure,
    type_size,
)
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import name_rows, rows_height
from clustersim.plots.style import LINE_STYLES, MARKERS, colour
from clustersim.units import format_duration
from clustersim.validation.result import Validation

__all__ = [
    "plot_capacity",
    "plot_mechanisms",
    "plot_wait_groups",
    "plot_wait_series",
    "plot_waits",
    "validation_figures",
]

_TICKS = {1: "1 s", 60: "1 min", 600: "10 min", 3600: "1 h", 86400: "1 d", 864000: "10 d"}
_TICKS |= {10: "10 s", 8640000: "100 d", 36000: "10 h"}
_RECORDED = "#222222"
_APART = 0.24
_MOST_MECHANISMS = 14
_KINDS = {"partition": "", "size": "accelerators: "}


def validation_figures(found: Validation) -> dict[str, StudyFigure]:
    """Return the figures of a validation by name; those without data are left out."""
    figures: dict[str, StudyFigure] = {}
    if found.case.has_starts:
        figures["waits"] = study_figure(width=DOUBLE, panel_height=3.0)
        simulated = {name: found.simulated_s(name) for name in found.policies["waits"][1:]}
        plot_waits(found.recorded_s, simulated, ax=figures["waits"].panels[0])
    table = found.mechanisms[found.mechanisms["untested"] == ""].head(_MOST_MECHANISMS)
    if len(table):
        figures["mechanisms"] = study_figure(width=DOUBLE)
        plot_mechanisms(table, found.distance_s, ax=figures["mechanisms"].panels[0])
    if found.case.has_starts:
        figures["groups"] = study_figure(width=DOUBLE)
        plot_wait_groups(found.groups, found.nearest, ax=figures["groups"].panels[0])
        weeks = "week" if (found.groups["kind"] == "week").any() else "day"
        for name, kind in (("hours", "hour"), ("weeks", weeks)):
            figures[name] = study_figure(width=DOUBLE, panel_height=2.4)
            plot_wait_series(found.groups, found.nearest, kind, ax=figures[name].panels[0])
        figures["capacity"] = study_figure(width=DOUBLE, panel_height=2.8)
        plot_capacity(found.use, ax=figures["capacity"].panels[0])
    return figures


def plot_waits(
    recorded_s: Floats, simulated_s: Mapping[str, Floats], *, ax: Axes | None = None
) -> Axes:
    """Plot which share of the jobs waited longer than a time, recorded and simulated.

    Parameters
    ----------
    recorded_s : float64 array (jobs,)
    simulated_s : mapping of str to float64 array (jobs,)
        By policy, the nearest first.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        longest = max([float(each.max()) for each in (recorded_s, *simulated_s.values())])
        times = np.geomspace(1.0, max(longest, 60.0), 400)
        for k, (name, waits) in enumerate({"recorded": recorded_s, **simulated_s}.items()):
            more = 1.0 - np.searchsorted(np.sort(waits), times, side="right") / len(waits)
            look: dict[str, Any] = {"color": _RECORDED if k == 0 else colour(k - 1)}
            look |= {"lw": 2.2 if k == 0 else 1.4, "ls": LINE_STYLES[max(k - 1, 0) % 4]}
            ax.plot(times, more, label=name, zorder=3 if k < 2 else 2, **look)
        ax.set_xscale("log")
        ax.set_xlim(1.0, times[-1])
        ticks = [tick for tick in sorted(_TICKS) if tick <= times[-1]]
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([_TICKS[tick] for tick in ticks])
        ax.set_ylim(0.0, None)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.legend(loc="upper right", fontsize=type_size(ax))
        describe(ax, "The nearest policy is the first below the recorded waits in the legend.")
        dress(ax, "Jobs that waited longer than a time", x="wait", y="share of jobs")
    return ax


def plot_mechanisms(table: pd.DataFrame, base_s: float, *, ax: Axes | None = None) -> Axes:
    """Plot the distance from the log with each mechanism granted.

    Parameters
    ----------
    table : pandas.DataFrame
        Tested rows of the table of mechanisms.
    base_s : float
        Distance of the nearest policy without any of them (seconds).
    ax : Axes, optional
    """
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        values = table["distance_s"].to_numpy(dtype=np.float64)
        axis = Axis("distance from the recorded waits", dimension="duration", logarithmic=False)
        fits = set_axis(ax, "x", axis, np.append(values, [base_s, 0.0]))
        ax.barh(range(len(table)), values, height=0.6, color=colour(0), alpha=0.75)
        ax.axvline(base_s, color=_RECORDED, lw=1.2, ls="--")
        names = [f"{row.policy}: {row.name}" for row in table.itertuples()]
        name_rows(ax, names)
        fit_height(ax, 72.0 * rows_height(names, DOUBLE) + 10.0)
        describe(
            ax,
            f"Dashed line: the nearest policy alone ({format_duration(base_s)}). The initial state "
            "is compared on later jobs only.",
        )
        dress(ax, "Distance with each mechanism granted", x=fits.title)
    return ax


def plot_wait_groups(groups: pd.DataFrame, policy: str, *, ax: Axes | None = None) -> Axes:
    """Plot recorded and simulated mean waits by partition and size class.

    Parameters
    ----------
    groups : pandas.DataFrame
        Table ``groups`` of a validation.
    policy : str
    ax : Axes, optional
    """
    rows = groups[groups["kind"].isin(["all", *_KINDS])]
    names = [
        f"{_KINDS.get(str(kind), '')}{group}" if kind != "all" else "all jobs"
        for kind, group in rows[["kind", "group"]].itertuples(index=False)
    ]
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        columns = [f"{who}_mean_wait_s" for who in ("recorded", policy)]
        values = rows[columns].to_numpy(dtype=np.float64)
        fits = set_axis(ax, "x", Axis("mean wait", dimension="duration"), values)
        for k, label in enumerate(("recorded", policy)):
            at = np.arange(len(rows)) + _APART * (k - 0.5)
            ink = _RECORDED if k == 0 else colour(0)
            ax.plot(values[:, k], at, marker=MARKERS[k], ls="none", label=label, color=ink)
        for row, (one, other) in enumerate(values):
            ax.plot([one, other], [row - _APART / 2, row + _APART / 2], color="#999999", lw=0.8)
        name_rows(ax, names)
        fit_height(ax, 72.0 * rows_height(names, DOUBLE) + 30.0)
        ax.legend(loc="best", fontsize=type_size(ax))
        dress(ax, "Mean wait by partition and size", x=fits.title)
    return ax


def plot_wait_series(
    groups: pd.DataFrame, policy: str, kind: str, *, ax: Axes | None = None
) -> Axes:
    """Plot recorded and simulated mean waits by hour of day, day or week of submission.

    Parameters
    ----------
    groups : pandas.DataFrame
        Table ``groups`` of a validation.
    policy : str
    kind : {"hour", "day", "week"}
    ax : Axes, optional
    """
    rows = groups[groups["kind"] == kind]
    at = rows["group"].astype(int).to_numpy()
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        columns = [f"{who}_mean_wait_s" for who in ("recorded", policy)]
        values = rows[columns].to_numpy(dtype=np.float64)
        axis = Axis("mean wait", dimension="duration", logarithmic=False)
        fits = set_axis(ax, "y", axis, np.append(values.ravel(), 0.0))
        for k, label in enumerate(("recorded", policy)):
            ink = _RECORDED if k == 0 else colour(0)
            look: dict[str, Any] = {"marker": MARKERS[k], "markersize": 3.0, "color": ink}
            ax.plot(at, values[:, k], label=label, ls=LINE_STYLES[k], **look)
        ax.set_xlim(at.min() - 0.5, at.max() + 0.5)
        ax.legend(loc="best", fontsize=type_size(ax))
        words = {"hour": "hour of the day", "day": "day of the log", "week": "week of the log"}
        dress(ax, f"Mean wait by {words[kind]} of submission", x=words[kind], y=fits.title)
    return ax


def plot_capacity(use: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the accelerators in use and waiting by day, with what was available.

    Parameters
    ----------
    use : pandas.DataFrame
        Table ``use`` of a validation.
    ax : Axes, optional
    """
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        day = use["time_s"].to_numpy(dtype=np.float64) / DAY_S
        look: dict[str, Any] = {"step": "post", "lw": 0.0}
        ax.fill_between(day, use["mean_in_use"], color=colour(5), label="in use, mean", **look)
        ax.step(day, use["available"], where="post", color=colour(1), label="available", lw=1.2)
        ax.step(
            day, use["capacity"], where="post", color=_RECORDED, label="capacity", lw=1.0, ls="--"
        )
        top = float(use["capacity"].max())
        ax.step(
            day, np.minimum(use["waiting"], 1.5 * top), where="post", color=colour(3), lw=0.9,
            label="waiting, mean",
        )  # fmt: skip
        ax.set_ylim(0.0, 1.5 * top)
        ax.set_xlim(day.min(), day.max() + 1.0)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.legend(loc="upper right", ncols=2, fontsize=type_size(ax))
        describe(
            ax,
            "Available: on days on which jobs waited half of the time although they had room, the "
            "most that was in use at once. Waiting: accelerators that waiting jobs ask for, cut at "
            "1.5 times the capacity.",
        )
        dress(ax, "Accelerators in use, by day", x="day of the log", y="accelerators")
    return ax
