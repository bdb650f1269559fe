"""Plots of the load of shared links over time: by level, and of the busiest links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter

from clustersim.analysis.link_load import KEYS, link_loads
from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, Calendar
from clustersim.errors import InputError
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.fabric.link_load import LOAD_MAP
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    fit_height,
    study_figure,
    type_size,
    wide_panel,
)
from clustersim.plots.parts.dates import set_time_axis
from clustersim.plots.parts.steps import step_largest, step_means
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.style import LINE_STYLES, colour
from clustersim.simulation.networked.trunk_loads import AT_LEAST
from clustersim.simulation.result import Result

__all__ = ["draw_link_load", "plot_busiest_links", "plot_link_load"]

_BINS, _CELLS = 80, 160
"""Intervals of the lines, and of the cells of the busiest links."""
_MOST_LINKS = 12
_MOST_LINES = 5
"""Of more pools and levels, the lines are those of levels."""
_UNITS = {"leaf": ("leaf", "leaves"), "spine": ("pod", "pods"), "datacenter": ("pool", "pools")}
"""What a trunk of a level leads out of: one of them, and several."""


def draw_link_load(result: Result) -> StudyFigure:
    """Draw the load of the shared links of a run by level, and below it that of the busiest links.

    Raises
    ------
    InputError
        If the run has no table `network_load`, or the table is empty.
    """
    figure = study_figure(2, width=DOUBLE, columns=1, panel_height=2.3)
    plot_link_load(result, ax=figure.panels[0])
    plot_busiest_links(result, ax=figure.panels[1])
    return figure


def plot_link_load(
    load: pd.DataFrame | Result, *, calendar: Calendar | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the load of the shared links by level over time: its mean and that of the busiest link.

    Parameters
    ----------
    load : DataFrame or Result
        A result with contention, or its table `network_load`.
    calendar : Calendar, optional
        Dates of the axis; by default those of the result.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as two columns of a paper.

    Raises
    ------
    InputError
        If there is no load, because the network was not simulated, its jobs do not slow each other
        down, or none of its links can be full.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = {"generate": "philly-2017", "jobs": 200, "load": 0.9}
    >>> scenario = {"cluster": "mixed-small", "workload": jobs, "network": {}}
    >>> scenario["scheduler"] = {"placement": "random"}
    >>> over = "cluster.pools.h200.fabric.oversubscription.leaf"
    >>> ax = cs.plots.plot_link_load(cs.run(scenario, {over: 4}))
    >>> ax.get_title(loc="left")
    'Load of shared links by level'
    """
    table, end_s, calendar = _given(load, calendar)
    lines = _lines_of(table)
    edges = np.linspace(0.0, end_s, _BINS + 1)
    with wide_panel(ax) as ax:
        x_title = set_time_axis(ax, "x", [0.0, end_s], calendar)
        axis = Axis("load, share of capacity", dimension="share")
        y_axis = set_axis(ax, "y", axis, [0.0, 1.0])
        ends = []
        ax.set_xlim(0.0, end_s)
        for place, (name, own) in enumerate(lines.items()):
            time_s, values = _steps(own, end_s)
            mean = step_means(time_s, values.mean(axis=1), edges)
            most = step_largest(time_s, values.max(axis=1), edges)
            ink = colour(place)
            ax.stairs(most, edges, baseline=mean, fill=True, color=ink, alpha=0.18, lw=0)
            ax.stairs(mean, edges, baseline=None, color=ink, lw=1.4, ls=LINE_STYLES[place % 4])
            ends.append(EndLabel(name, np.nan, float(mean.mean()), ink))
        label_ends(ax, ends)
        dress(ax, "load of shared links by level", x=x_title, y=y_axis.title)
        describe(ax, _whose(table), f"Lines: mean over the links of a level and {_BINS} intervals.")
        describe(ax, "Shaded up to the largest load of a link at any time of an interval.")
    return ax


def plot_busiest_links(
    load: pd.DataFrame | Result, *, calendar: Calendar | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the load of the busiest shared links over time, with a row of colours for each link.

    Parameters
    ----------
    load, calendar, ax
        As for :func:`plot_link_load`.

    Raises
    ------
    InputError
        As for :func:`plot_link_load`.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> load = {"time_s": [0, 60], "pool": "gpu", "level": "leaf", "group": 3}
    >>> load = pd.DataFrame({**load, "utilisation": [0.4, 0.0]})
    >>> ax = cs.plots.plot_busiest_links(load)
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['leaf 3, 40 %']
    """
    table, end_s, calendar = _given(load, calendar)
    loads = link_loads(table, end_s)
    shown = loads.sort_values(["mean", "peak"], ascending=False, kind="stable").head(_MOST_LINKS)
    time_s, values = _steps(table, end_s)
    edges = np.linspace(0.0, end_s, _CELLS + 1)
    cells = np.array([step_means(time_s, values[:, row], edges) for row in shown.index])
    pools = table["pool"].nunique() > 1
    names = [_name(row, with_pool=pools) for row in shown.to_dict("records")]
    with wide_panel(ax) as ax:
        ax.grid(visible=False)
        x_title = set_time_axis(ax, "x", [0.0, end_s], calendar)
        extent = (0.0, end_s, len(names) - 0.5, -0.5)
        look: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "extent": extent}
        drawn = ax.imshow(cells, cmap=LOAD_MAP, norm=Normalize(0.0, 1.0), **look)
        ax.set_xlim(0.0, end_s)
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(axis="y", length=0)
        bar = ax.figure.colorbar(drawn, cax=ax.inset_axes((1.015, 0.0, 0.018, 1.0)))
        bar.outline.set_visible(False)
        bar.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        bar.ax.tick_params(labelsize=type_size(ax) - 0.5, length=2)
        dress(ax, "busiest shared links", x=x_title, y="link and its mean load")
        fit_height(ax, 11.5 * max(len(names), 6))
        describe(ax, f"Colours: mean load in {_CELLS} intervals, as a share of the capacity.")
    return ax


def _given(
    load: pd.DataFrame | Result | None, calendar: Calendar | None
) -> tuple[pd.DataFrame, float, Calendar]:
    """Return the table of loads, the end of the run and its calendar."""
    table = load.network_load if isinstance(load, Result) else load
    if table is None:
        raise InputError(
            "network_load",
            "the run has no load of links: it did not simulate the network, or its jobs do not "
            "slow each other down (network.contention)",
        )
    if isinstance(load, Result):
        end_s = float(load.provenance["simulated_s"])
        calendar = load.calendar if calendar is None else calendar
    else:
        end_s = float(table["time_s"].max()) if len(table) else 0.0
    if table.empty:
        raise InputError("network_load", "no job used a link that can be full")
    return table, end_s or 1.0, UNDATED if calendar is None else calendar


def _steps(load: pd.DataFrame, end_s: float) -> tuple[Floats, Floats]:
    """Return instants (steps,) and the load of each trunk from then on (steps, trunks).

    The first step is at time 0, and the last one at the end.
    """
    times_s = load["time_s"].unique().astype(np.float64)
    values = load["utilisation"].to_numpy(dtype=np.float64).reshape(len(times_s), -1)
    none = np.zeros((1, values.shape[1]))
    if times_s[0] > 0:
        times_s, values = np.append(0.0, times_s), np.concatenate([none, values])
    if end_s > times_s[-1]:
        times_s, values = np.append(times_s, end_s), np.concatenate([values, none])
    return times_s, values


def _lines_of(load: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Return the rows of each line: of each pool and level if they are few, else of each level.

    Levels whose links no job uses are left out.
    """
    keys = load[["pool", "level"]].astype(str)
    used = load["utilisation"].groupby([keys["pool"], keys["level"]]).transform("max") > 0
    load, keys = (table[used] if used.any() else table for table in (load, keys))
    pairs = list(dict.fromkeys(zip(keys["pool"], keys["level"], strict=True)))
    several = keys["pool"].nunique() > 1
    if several and len(pairs) <= _MOST_LINES:
        return {
            f"{pool}, {_plural(level)}": load[(keys["pool"] == pool) & (keys["level"] == level)]
            for pool, level in pairs
        }
    levels = list(dict.fromkeys(keys["level"]))
    return {_plural(level): load[keys["level"] == level] for level in levels}


def _plural(level: str) -> str:
    return _UNITS[level][1] if level in _UNITS else level


def _name(row: Mapping[Any, Any], *, with_pool: bool) -> str:
    """Return the name of a trunk with its mean load."""
    level, group = str(row["level"]), int(row["group"])
    unit = f"pool {row['pool']}" if level == "datacenter" else f"{_UNITS[level][0]} {group}"
    pool = f"{row['pool']} " if with_pool and level != "datacenter" else ""
    return f"{pool}{unit}, {Axis('', dimension='share').text(float(row['mean']), 2)}"


def _whose(load: pd.DataFrame) -> str:
    """Return what a link is here, and which ones are left out."""
    count = len(load[KEYS].drop_duplicates())
    few = f" Of the others, the {count} with the most load are recorded." * (count >= AT_LEAST)
    return (
        "All uplinks of a leaf count as one link, and so do those of a pod. Links that can never "
        f"be full are left out.{few}"
    )
