"""What a simulation lacks: distances with mechanisms granted, and the capacity in use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.calendar import DAY_S
from clustersim.plots.axis import Axis
from clustersim.plots.figure import describe, dress, type_size, wide_panel
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import fit_rows
from clustersim.plots.style import colour
from clustersim.plots.validation.waits import RECORDED
from clustersim.units import format_duration

__all__ = ["plot_capacity", "plot_mechanisms"]


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
    with wide_panel(ax) as ax:
        values = table["distance_s"].to_numpy(dtype=np.float64)
        axis = Axis("distance from the recorded waits", dimension="duration", logarithmic=False)
        fits = set_axis(ax, "x", axis, np.append(values, [base_s, 0.0]))
        ax.barh(range(len(table)), values, height=0.6, color=colour(0), alpha=0.75)
        ax.axvline(base_s, color=RECORDED, lw=1.2, ls="--")
        names = [f"{row.policy}: {row.name}" for row in table.itertuples()]
        fit_rows(ax, names, more=10.0)
        describe(
            ax,
            f"Dashed line: the nearest policy alone ({format_duration(base_s)}). The initial state "
            "is compared on later jobs only.",
        )
        dress(ax, "Distance with each mechanism granted", x=fits.title)
    return ax


def plot_capacity(use: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the accelerators in use and waiting by day, with what was available.

    Parameters
    ----------
    use : pandas.DataFrame
        Table ``use`` of a validation.
    ax : Axes, optional
    """
    with wide_panel(ax) as ax:
        day = use["time_s"].to_numpy(dtype=np.float64) / DAY_S
        look: dict[str, Any] = {"step": "post", "lw": 0.0}
        ax.fill_between(day, use["mean_in_use"], color=colour(5), label="in use, mean", **look)
        ax.step(day, use["available"], where="post", color=colour(1), label="available", lw=1.2)
        ax.step(
            day, use["capacity"], where="post", color=RECORDED, label="capacity", lw=1.0, ls="--"
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
