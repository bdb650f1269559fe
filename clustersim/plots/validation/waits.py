"""Recorded and simulated waits: their distribution, and means by group and over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe, dress, type_size, wide_panel
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import fit_rows, group_names
from clustersim.plots.style import LINE_STYLES, MARKERS, colour

__all__ = ["RECORDED", "plot_wait_groups", "plot_wait_series", "plot_waits"]

_TICKS = {
    1: "1 s",
    10: "10 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    36000: "10 h",
    86400: "1 d",
    864000: "10 d",
    8640000: "100 d",
}
"""Marks on the axis of waits, by their position in seconds."""
RECORDED = "#222222"
"""Colour of what the site recorded."""
_APART = 0.24
"""Distance between the marks of the series in a row."""
_KINDS = {"partition": "partition: ", "size": "accelerators: "}
"""What precedes the name of a group, by its kind."""


def _ink(k: int) -> str:
    """Return the colour of a series; the recorded waits are the first."""
    return RECORDED if k == 0 else colour(k - 1)


def _mean_waits(rows: pd.DataFrame, series: Mapping[str, str]) -> Floats:
    """Return the mean waits (seconds) of groups (rows) by series (columns)."""
    return rows[[f"{name}_mean_wait_s" for name in series]].to_numpy(dtype=np.float64)


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

    Examples
    --------
    >>> ax = plot_waits(np.array([0.0, 60.0]), {"easy": np.array([0.0, 30.0])})
    >>> [line.get_label() for line in ax.lines]
    ['recorded', 'easy']
    """
    with wide_panel(ax) as ax:
        longest = max([float(each.max()) for each in (recorded_s, *simulated_s.values())])
        times = np.geomspace(1.0, max(longest, 60.0), 400)
        for k, (name, waits) in enumerate({"recorded": recorded_s, **simulated_s}.items()):
            more = 1.0 - np.searchsorted(np.sort(waits), times, side="right") / len(waits)
            look: dict[str, Any] = {"color": _ink(k)}
            look |= {"lw": 2.2 if k == 0 else 1.4, "ls": LINE_STYLES[max(k - 1, 0) % 4]}
            ax.plot(times, more, label=name, zorder=3 if k < 2 else 2, **look)
        ax.set_xscale("log")
        ax.set_xlim(1.0, times[-1])
        ticks = [tick for tick in _TICKS if tick <= times[-1]]
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([_TICKS[tick] for tick in ticks])
        ax.set_ylim(0.0, None)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.legend(loc="upper right", fontsize=type_size(ax))
        describe(
            ax,
            "The nearest policy is the first below the recorded waits in the legend; after a plus "
            "sign: with the mechanism granted that explains most.",
        )
        dress(ax, "Jobs that waited longer than a time", x="wait", y="share of jobs")
    return ax


def plot_wait_groups(
    groups: pd.DataFrame, series: Mapping[str, str], *, ax: Axes | None = None
) -> Axes:
    """Plot recorded and simulated mean waits by partition and size class.

    Parameters
    ----------
    groups : pandas.DataFrame
        Table ``groups`` of a validation.
    series : mapping of str to str
        Prefixes of the columns, such as ``recorded`` and ``easy``, and their labels.
    ax : Axes, optional
    """
    rows = groups[groups["kind"].isin(["all", *_KINDS])]
    with wide_panel(ax) as ax:
        values = _mean_waits(rows, series)
        fits = set_axis(ax, "x", Axis("mean wait", dimension="duration"), values)
        for k, label in enumerate(series.values()):
            at = np.arange(len(rows)) + _APART * (k - (len(series) - 1) / 2)
            ax.plot(values[:, k], at, marker=MARKERS[k], ls="none", label=label, color=_ink(k))
        for row, own in enumerate(values):
            at = row + _APART * (np.arange(len(own)) - (len(own) - 1) / 2)
            ax.plot(own, at, color="#999999", lw=0.8, zorder=1)
        fit_rows(ax, group_names(rows, _KINDS), more=30.0)
        ax.legend(loc="best", fontsize=type_size(ax))
        dress(ax, "Mean wait by partition and size", x=fits.title)
    return ax


def plot_wait_series(
    groups: pd.DataFrame, series: Mapping[str, str], kind: str, *, ax: Axes | None = None
) -> Axes:
    """Plot recorded and simulated mean waits by hour of day, day or week of submission.

    Parameters
    ----------
    groups : pandas.DataFrame
        Table ``groups`` of a validation.
    series : mapping of str to str
        Prefixes of the columns, such as ``recorded`` and ``easy``, and their labels.
    kind : {"hour", "day", "week"}
    ax : Axes, optional
    """
    rows = groups[groups["kind"] == kind]
    at = rows["group"].astype(int).to_numpy()
    with wide_panel(ax) as ax:
        values = _mean_waits(rows, series)
        axis = Axis("mean wait", dimension="duration", logarithmic=False)
        fits = set_axis(ax, "y", axis, np.append(values.ravel(), 0.0))
        for k, label in enumerate(series.values()):
            look: dict[str, Any] = {"marker": MARKERS[k], "markersize": 3.0, "color": _ink(k)}
            ax.plot(at, values[:, k], label=label, ls=LINE_STYLES[k], **look)
        ax.set_xlim(at.min() - 0.5, at.max() + 0.5)
        ax.legend(loc="best", fontsize=type_size(ax))
        words = {"hour": "hour of the day", "day": "day of the log", "week": "week of the log"}
        dress(ax, f"Mean wait by {kind} of submission", x=words[kind], y=fits.title)
    return ax
