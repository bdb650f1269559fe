"""Capacity curves: what a fleet's service is at rising offered load."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator, PercentFormatter

from clustersim.plots.style import LINE_STYLES, MARKERS, colour, new_figure, style
from clustersim.studies.load_sweep import Capacity, Objective, SweepResult

__all__ = ["draw_capacity_curves", "plot_measure"]

_TITLES = {
    "mean_wait_s": "Mean wait",
    "p95_wait_s": "95th percentile of wait",
    "mean_bounded_slowdown": "Mean bounded slowdown",
    "utilisation": "Utilisation",
}
_WAIT_TICKS = (
    (0.0, "0"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (6 * 3600.0, "6 h"),
    (86400.0, "1 d"),
    (7 * 86400.0, "7 d"),
)
_CLOSEST_LABELS, _HIGHEST_LABEL = 0.075, 0.97
"""Distance of two labels and place of the highest, as shares of the height of the axes."""


def draw_capacity_curves(
    result: SweepResult, objective: Objective, *, title: str = "", note: str = ""
) -> Figure:
    """Draw waits, slowdown and utilisation of a load sweep in one figure.

    Parameters
    ----------
    result : SweepResult
        Of :func:`~clustersim.studies.load_sweep.load_sweep`.
    objective : Objective
        The service to mark, and the capacity at it.
    title, note : str
        Above and below the panels.
    """
    points, capacity = result.points(), result.capacity(objective)
    with style():
        figure = new_figure(10.0, 7.6)
        axes = figure.subplots(2, 2)
        for ax, measure in zip(axes.flat, _TITLES, strict=True):
            of_objective = measure == objective.measure
            plot_measure(points, measure, ax=ax, reach=20 * objective.at_most * of_objective)
            if of_objective:
                _mark_capacity(ax, objective, capacity)
        if title:
            figure.suptitle(title, fontsize=13, fontweight="bold")
        if note:
            wrapped = "\n".join(textwrap.fill(line, 135) for line in note.splitlines())
            figure.supxlabel(wrapped, fontsize=8.5, color="#444444")
    return figure


def plot_measure(
    points: pd.DataFrame, measure: str, *, ax: Axes | None = None, reach: float = 0.0
) -> Axes:
    """Plot a measure against offered load, a line and a 95 % band for each policy.

    Parameters
    ----------
    points : pandas.DataFrame
        Of :meth:`~clustersim.studies.load_sweep.SweepResult.points`.
    measure : str
        ``mean_wait_s``, ``p95_wait_s``, ``mean_bounded_slowdown`` or ``utilisation``.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    reach : float
        A value that the axis is to reach at least, where it is logarithmic.

    Returns
    -------
    Axes
    """
    with style():
        ax = ax or new_figure().subplots()
        _set_scale(ax, points, measure, reach)
        ends = []
        for index, (policy, curve) in enumerate(points.groupby("policy", sort=False)):
            finite = curve[np.isfinite(curve[measure])]
            ink, dashes = colour(index), LINE_STYLES[index % len(LINE_STYLES)]
            ax.plot(
                finite["load"], finite[measure], marker=MARKERS[index], color=ink, linestyle=dashes
            )
            low, high = (_band_edge(finite, measure, edge) for edge in ("low", "high"))
            ax.fill_between(finite["load"], low, high, color=ink, alpha=0.2, lw=0)
            if len(finite):
                ends.append((str(policy), finite, ink))
        _shade_overload(ax, points, measure)
        _label_lines(ax, ends, measure)
        ax.set_title(_TITLES[measure], loc="left")
        ax.set_xlabel("offered load (share of what the fleet can do)")
    return ax


def _band_edge(curve: pd.DataFrame, measure: str, edge: str) -> pd.Series:
    """The interval's edge, the mean itself where one replication gives no interval."""
    values = curve[f"{measure}_{edge}"]
    most = 1.0 if measure == "utilisation" else None
    return values.where(np.isfinite(values), curve[measure]).clip(lower=0.0, upper=most)


def _set_scale(ax: Axes, points: pd.DataFrame, measure: str, reach: float) -> None:
    loads = points["load"].to_numpy()
    span = loads.max() - loads.min() or 0.1
    ax.set_xlim(loads.min() - 0.04 * span, loads.max() + 0.16 * span)
    highs = points[f"{measure}_high"].to_numpy(dtype=float)
    top = float(np.max(highs[np.isfinite(highs)], initial=0.0))
    if measure.endswith("wait_s"):
        ax.set_yscale("symlog", linthresh=60.0, linscale=0.5)
        above = next(
            (at for at, _ in _WAIT_TICKS if at > max(1.5 * top, reach)), _WAIT_TICKS[-1][0]
        )
        ticks = [tick for tick in _WAIT_TICKS if tick[0] <= max(above, 6 * 3600.0)]
        ax.set_ylim(0.0, ticks[-1][0])
        ax.yaxis.set_major_locator(FixedLocator([at for at, _ in ticks]))
        ax.yaxis.set_major_formatter(FixedFormatter([label for _, label in ticks]))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylabel("wait (logarithmic above 1 min)")
    elif measure == "utilisation":
        ax.set_ylim(0.0, 1.05)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set_ylabel("accelerator-seconds allocated")
    else:
        ax.set_yscale("log")
        ax.set_ylim(0.9, max(20.0, 2.0 * top, reach))
        ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylabel("JCT / run time (at least 10 s)")


def _shade_overload(ax: Axes, points: pd.DataFrame, measure: str) -> None:
    """Shade loads at which every policy is overloaded, and mark those of each."""
    overloaded = points[points["overload"]]
    if overloaded.empty:
        return
    stable = points[~points["overload"].astype(bool)]
    last_stable = stable["load"].max() if len(stable) else points["load"].min()
    beyond = points[points["load"] > last_stable]["load"]
    if len(beyond):
        start = 0.5 * (last_stable + beyond.min()) if len(stable) else ax.get_xlim()[0]
        ax.axvspan(start, ax.get_xlim()[1], color="#999999", alpha=0.18, lw=0)
        ax.text(
            0.5 * (start + ax.get_xlim()[1]),
            0.32,
            "overload: the queue grows",
            transform=ax.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="center",
            fontsize=9,
            color="#555555",
        )
    if measure == "utilisation":
        return
    policies = list(dict.fromkeys(points["policy"]))
    for policy, rows in overloaded.groupby("policy", sort=False):
        index = policies.index(policy)
        ax.plot(
            rows["load"] + (index - 0.5 * (len(policies) - 1)) * 0.008,
            np.full(len(rows), 0.975),
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker="^",
            color=colour(index),
            markerfacecolor="white",
            markersize=7,
        )


def _label_lines(ax: Axes, ends: Sequence[tuple[str, pd.DataFrame, str]], measure: str) -> None:
    """Write each policy's name beside the end of its line, none over another."""
    to_axes = ax.transData + ax.transAxes.inverted()
    places: list[list[Any]] = []
    for policy, curve, ink in ends:
        last = curve.iloc[-1]
        x, y = to_axes.transform((float(last["load"]), float(last[measure])))
        places.append([y, x, policy, ink])
    places.sort(key=lambda place: place[0])
    for lower, upper in itertools.pairwise(places):
        upper[0] = max(upper[0], lower[0] + _CLOSEST_LABELS)
    excess = max(0.0, max((place[0] for place in places), default=0.0) - _HIGHEST_LABEL)
    for y, x, policy, ink in places:
        ax.text(
            x + 0.015,
            y - excess,
            policy,
            transform=ax.transAxes,
            color=ink,
            fontweight="bold",
            fontsize=9.5,
            va="center",
        )


def _mark_capacity(ax: Axes, objective: Objective, capacity: Sequence[Capacity]) -> None:
    ax.axhline(objective.at_most, color="#333333", lw=1.0, ls=(0, (4, 3)))
    lines = ["capacity at the dashed objective", "(95 % interval):"]
    for index, found in enumerate(capacity):
        if np.isfinite(found.load):
            ax.axvline(found.load, ymax=0.98, color=colour(index), lw=1.0, ls=":")
            ax.plot(
                found.load,
                objective.at_most,
                marker=MARKERS[index],
                ms=9,
                mfc="white",
                color=colour(index),
            )
        lines.append(f"{found.policy} {capacity_text(found)}")
    ax.text(
        0.02,
        0.97,
        "\n".join(lines),
        transform=ax.transAxes,
        va="top",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )


def capacity_text(found: Capacity) -> str:
    """Say a capacity and its interval in a few characters."""
    if np.isnan(found.load):
        return "below the lowest load"
    if not np.isfinite(found.load):
        return "above the highest load"
    return f"{found.load:.3f} ({found.low:.3f} to {found.high:.3f})"
