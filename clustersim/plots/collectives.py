"""Plots of measured collectives and of the model fitted to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

from clustersim.array_types import Floats, Ints
from clustersim.network.constants import FABRICS, GENERATIONS
from clustersim.network.fit import LinkFit, MeasuredCollectives, predicted_seconds
from clustersim.plots.style import LINE_STYLES, MARKERS, colour, new_figure, style

__all__ = ["draw_collectives", "plot_busbw", "plot_mesh"]


def draw_collectives(measured: MeasuredCollectives, links: LinkFit) -> Figure:
    """Draw measured and modelled bandwidths: within a server, between servers, and in a mesh."""
    with style():
        figure = new_figure(11.0, 4.2)
        axes = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.6))
        plot_busbw(measured, links, across=False, ax=axes[0])
        plot_busbw(measured, links, across=True, ax=axes[1])
        plot_mesh(measured, links, ax=axes[2])
        figure.supxlabel("Markers: measured; lines: the model.", fontsize=8.5, color="#444444")
    return figure


LEAST_POINTS = 10
"""Systems that were measured at fewer message sizes than this are not plotted."""


def plot_busbw(
    measured: MeasuredCollectives, links: LinkFit, *, across: bool = False, ax: Axes | None = None
) -> Axes:
    """Plot bus bandwidths of all-reduce: markers for measurements, lines for the model.

    Bus bandwidth is ``2 (n - 1) / n`` times the bytes, divided by the time (NVIDIA/nccl-tests,
    doc/PERFORMANCE.md). Systems measured at fewer than :data:`LEAST_POINTS` sizes are left out.

    Parameters
    ----------
    measured : MeasuredCollectives
    links : LinkFit
        The model fitted to the measurements.
    across : bool
        True: between servers; False: within a server.
    ax : Axes, optional
    """
    values = {key: constant.value for key, constant in links.constants.items()}
    with style():
        ax = new_figure().subplots() if ax is None else ax
        for index, (name, rows) in enumerate(_systems(measured, across).items()):
            look: dict[str, Any] = {
                "color": colour(index),
                "marker": MARKERS[index],
                "markersize": 4.0,
            }
            dashes = LINE_STYLES[index % len(LINE_STYLES)]
            ax.plot(rows.size_bytes, _busbw(rows, rows.seconds), linestyle="none", **look)
            sizes = np.geomspace(rows.size_bytes.min(), rows.size_bytes.max(), 120)
            grid = _resized(rows, sizes)
            line = _busbw(grid, predicted_seconds(grid, values))
            ax.plot(sizes, line, color=colour(index), lw=1.3, linestyle=dashes)
            ax.plot([], [], lw=1.3, linestyle=dashes, label=name, **look)
        ax.set(xscale="log", yscale="log", xlim=(1e3, 4e10), ylim=(5e-3, 2e3))
        ax.xaxis.set_major_locator(FixedLocator((1e3, 1e6, 1e9)))
        ax.xaxis.set_major_formatter(EngFormatter("B"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("message")
        ax.set_ylabel("bus bandwidth (GB/s per chip)")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set_title(f"All-reduce {'between servers' if across else 'in a server'}", loc="left")
        ax.legend(loc="lower right", fontsize=8)
    return ax


def plot_mesh(measured: MeasuredCollectives, links: LinkFit, *, ax: Axes | None = None) -> Axes:
    """Plot bandwidths in a full mesh of links (Ascend 910B) against the group size.

    Parameters
    ----------
    measured, links, ax
        As for :func:`plot_busbw`, but the bandwidth is the size of the whole tensor in bytes
        divided by the time.
    """
    values = {key: constant.value for key, constant in links.constants.items()}
    mesh = measured.generation == GENERATIONS.index("mesh")
    with style():
        ax = new_figure().subplots() if ax is None else ax
        for index, kind in enumerate(("all_gather", "all_reduce")):
            chosen = np.flatnonzero(mesh & (np.array(measured.collective) == kind))
            rows = _take(measured, chosen[np.argsort(measured.ranks[chosen])])
            ink = colour(index)
            found = 1e-9 * rows.size_bytes / rows.seconds
            model = 1e-9 * rows.size_bytes / predicted_seconds(rows, values)
            ax.plot(rows.ranks, found, linestyle="none", marker=MARKERS[index], color=ink)
            ax.plot(rows.ranks, model, color=ink, lw=1.3, linestyle=LINE_STYLES[index])
            if len(found):
                name = kind.replace("_", "-")
                ax.text(8.6, model[-1], name, color=ink, fontweight="bold", fontsize=8.5)
        ax.set_xlim(1.5, 13.0)
        ax.set_ylim(bottom=0.0)
        ax.set_xticks([2, 4, 8])
        ax.set_xlabel("chips in the group")
        ax.set_ylabel("bytes / time (GB/s)")
        ax.set_title("910B: full mesh", loc="left")
    return ax


def _busbw(rows: MeasuredCollectives, seconds: Floats) -> Floats:
    result: Floats = 2e-9 * (rows.ranks - 1.0) / rows.ranks * rows.size_bytes / seconds
    return result


def _systems(measured: MeasuredCollectives, across: bool) -> dict[str, MeasuredCollectives]:
    """Return the rows of each system that was measured at enough sizes, in order of size."""
    groups: dict[str, list[int]] = {}
    for row, chip in enumerate(measured.accelerator):
        nodes = int(measured.nodes[row])
        plain = measured.collective[row] == "all_reduce" and not measured.ring[row]
        if plain and (nodes > 1) == across and not measured.bench[row]:
            fabric = f", {FABRICS[measured.fabric[row]]}" if across else ""
            name = f"{int(measured.ranks[row])} {chip.removesuffix('-SXM')}{fabric}"
            groups.setdefault(name, []).append(row)
    return {
        name: _take(measured, np.array(sorted(rows, key=lambda row: measured.size_bytes[row])))
        for name, rows in sorted(groups.items())
        if len(rows) >= LEAST_POINTS
    }


def _take(measured: MeasuredCollectives, rows: Ints) -> MeasuredCollectives:
    columns: dict[str, Any] = {
        field.name: getattr(measured, field.name) for field in dataclasses.fields(measured)
    }
    chosen: dict[str, Any] = {
        name: tuple(column[row] for row in rows) if isinstance(column, tuple) else column[rows]
        for name, column in columns.items()
    }
    return MeasuredCollectives(**chosen)


def _resized(rows: MeasuredCollectives, sizes: Floats) -> MeasuredCollectives:
    """Return copies of the first row with the given message sizes."""
    first = _take(rows, np.zeros(sizes.size, dtype=np.int64))
    return dataclasses.replace(first, size_bytes=sizes)
