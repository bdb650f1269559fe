"""Figures of topologies, with pools next to each other and levels from top to bottom.

A small pool is drawn with every switch and link; parallel rails are drawn as one. A large pool is
drawn as one box per level with the counts. Coordinates are inches, so that text and boxes keep
their sizes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from clustersim.array_types import Floats
from clustersim.network.trunks import LEVELS
from clustersim.plots.fabric.link_load import (
    LINK_LEVELS,
    LinkLoad,
    colours_of,
    draw_load_legend,
    draw_strip_of_loads,
)
from clustersim.plots.fabric.topology_detail import (
    detail_width,
    draw_detail,
    draw_plan,
    is_layered,
    is_small,
    plan_side,
    top_xs,
)
from clustersim.plots.style import COLOURS, new_figure, style
from clustersim.topology import ClusterSpec, PoolSummary, summarise
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import LinkLevel
from clustersim.units import (
    format_bit_rate,
    format_count,
    format_duration,
    format_number,
)

__all__ = ["draw_topology", "plot_topology"]

ROW, LOADED_ROW = 1.45, 1.85
"""Height of one level (inches), without and with the load of its links."""
BOX_HEIGHT = 0.62
BOX_WIDTH = 2.3
LETTER = 0.078
"""Width of a letter of the text next to a pool (inches)."""
GAP = 0.35
"""Distance between pools (inches)."""
MARGIN = 0.3
TITLE = 0.75
CAPTION = 0.95
LEAST_WIDTH = 7.5
NOTE_LINE = 0.17
LEGEND = 0.3
"""Height of the scale of colours (inches)."""
STRIPS = (
    "Each strip has a cell for each leaf or pod, in order; of more than 120, a cell shows the most "
    "loaded of some neighbours."
)
STRIP, STRIP_GAP = 0.16, 0.07
"""Height of a strip of loads, and its distance from the box below it (inches)."""

KIND_COLOURS = {
    "node": "#444444",
    "leaf": COLOURS["blue"],
    "edge": COLOURS["blue"],
    "router": COLOURS["blue"],
    "spine": "#00664B",
    "aggregation": "#00664B",
    "core": "#8A3D6B",
    "ideal": "#777777",
    "datacenter": "#8F4A00",
}
"""Okabe-Ito hues, darkened if white text is written on them."""


KIND_NAMES = {"router": "routers", "ideal": "ideal network", "node": "nodes"}
"""Names of layers; any other layer is called by its kind, such as "leaf switches"."""


@dataclass(frozen=True, slots=True)
class _Column:
    """Layout of one pool; `drawn` is its width without the text next to it."""

    summary: PoolSummary
    fabric: Fabric
    left: float
    drawn: float
    load: LinkLoad | None = None

    @property
    def row(self) -> float:
        """Height of one level."""
        return ROW if self.load is None or self.is_small else LOADED_ROW

    @property
    def loads(self) -> list[Floats]:
        """Mean load of the groups of each trunk, innermost first; empty without a run."""
        if self.load is None:
            return []
        return self.load.of_fabric(self.summary.name, self.fabric)

    def load_text(self, level: str) -> str:
        """Return the load of the trunks of a level; "" if it is not known."""
        if self.load is None:
            return ""
        return self.load.text(self.summary.name, level, _groups(self.fabric).get(level, ""))

    def level_text(self, place: int) -> str:
        """Return the number and rate of the links of a level, with their load."""
        text = _level_text(self.summary.levels[place])
        load = self.load_text(LINK_LEVELS[place - 1]) if 0 < place <= len(LINK_LEVELS) else ""
        return "\n".join(filter(None, [text, load]))

    @property
    def is_small(self) -> bool:
        """Whether every switch is drawn."""
        return is_small(self.fabric)

    @property
    def is_plan(self) -> bool:
        """Whether the pool is drawn from above because it is a small network without layers."""
        return self.is_small and not is_layered(self.fabric)

    @property
    def width(self) -> float:
        """Width including the text next to the drawing."""
        if not self.is_small:
            return self.drawn
        return self.drawn + 0.2 + LETTER * max(map(len, "\n".join(self.texts).split("\n")))

    @property
    def texts(self) -> list[str]:
        """Lines of text next to the drawing: the layers, then the levels of links."""
        layers = [_layer_text(self, row) for row in range(len(self.fabric.vertices(merge=True)))]
        return [*layers, *map(self.level_text, range(len(self.summary.levels)))]

    @property
    def middle(self) -> float:
        """Horizontal middle of the drawing."""
        return self.left + self.drawn / 2

    @property
    def height(self) -> float:
        """Distance from the middle of the nodes to the middle of the top layer."""
        if self.is_plan:
            return plan_side(self.fabric)
        return (len(self.fabric.vertices(merge=True)) - 1) * self.row


def draw_topology(
    spec: ClusterSpec, *, load: pd.DataFrame | None = None, note: str | None = None
) -> Figure:
    """Draw a loaded topology on a new figure of suitable size.

    Parameters
    ----------
    spec : ClusterSpec
    load : DataFrame, optional
        Load of the shared links, from :func:`~clustersim.analysis.link_load.link_loads`.
    note : str, optional
        A line at the bottom (for example that a chip is hypothetical).
    """
    columns = _columns(spec, load)
    width, height = _extent(spec, columns, _full_note(columns, note))
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    with style():
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        plot_topology(spec, ax=ax, load=load, note=note)
    return figure


def plot_topology(
    spec: ClusterSpec,
    ax: Axes | None = None,
    *,
    load: pd.DataFrame | None = None,
    note: str | None = None,
) -> Axes:
    """Draw a loaded topology, with the load of its links in a run if it is given.

    Parameters
    ----------
    spec : ClusterSpec
    ax : Axes, optional
        Where to draw; by default on a new figure of suitable size.
    load : DataFrame, optional
        Load of the shared links, from :func:`~clustersim.analysis.link_load.link_loads`. A pool
        that is too large for its links to be drawn has a strip with a cell for each leaf or pod.
    note : str, optional
        A line at the bottom.

    Returns
    -------
    Axes
        Axes whose limits are the size of the drawing in inches.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.load_cluster("mixed-small", cs.load_catalogue())
    >>> ax = cs.plots.plot_topology(cluster)
    >>> ax.texts[0].get_text()
    'mixed-small'
    """
    if ax is None:
        return draw_topology(spec, load=load, note=note).axes[0]
    columns = _columns(spec, load)
    note = _full_note(columns, note)
    width, height = _extent(spec, columns, note)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    summary = summarise(spec)
    ax.text(MARGIN, height - 0.3, spec.name, fontsize=14, fontweight="bold", va="center")
    totals = f"{format_count(summary.nodes)} nodes, {format_count(summary.chips)} chips"
    ax.text(width - MARGIN, height - 0.3, totals, fontsize=11, ha="right", va="center")
    lines = _note_lines(note, width)
    for number, line in enumerate(reversed(lines)):
        y = 0.14 + number * NOTE_LINE
        ax.text(MARGIN, y, line, fontsize=8.5, style="italic", va="center", color="#444444")
    base = MARGIN + CAPTION + NOTE_LINE * len(lines)
    if load is not None:
        draw_load_legend(ax, MARGIN, 0.14 + NOTE_LINE * len(lines) + 0.12)
        base += LEGEND
    for column in columns:
        _draw_column(ax, column, base)
    if spec.datacenter_network is not None:
        _draw_datacenter(ax, spec, columns, base)
    return ax


def _groups(fabric: Fabric) -> dict[str, str]:
    """Return what a trunk of each level leads out of: a leaf (as it is drawn), then a pod."""
    kinds = [layer.kind for layer in fabric.vertices(merge=True)[1:2]]
    names = [*kinds, *(trunk.name for trunk in fabric.trunks()[1:])]
    return dict(zip(LINK_LEVELS[: len(fabric.trunks())], names, strict=False))


def _full_note(columns: Sequence[_Column], note: str | None) -> str | None:
    """Return the note with what strips of loads mean, if there are any."""
    strips = any(column.loads and not column.is_small for column in columns)
    return " ".join(filter(None, [STRIPS if strips else "", note])) or None


def _note_lines(note: str | None, width: float) -> list[str]:
    """Wrap the note at the bottom; its letters are about 0.075 inches wide."""
    return [] if note is None else textwrap.wrap(note, int((width - 2 * MARGIN) / 0.075))


def _columns(spec: ClusterSpec, table: pd.DataFrame | None) -> list[_Column]:
    columns, left = [], MARGIN
    load = None if table is None else LinkLoad(table)
    for summary, pool in zip(summarise(spec).pools, spec.pools.values(), strict=True):
        fabric = pool.build_fabric()
        inner = [len(line) for line in _inner_levels(summary)]
        drawn = max(BOX_WIDTH, 0.2 + 1.1 * LETTER * max(inner, default=0))
        if load is not None:
            groups = _groups(fabric)
            texts = [load.text(summary.name, level, groups[level]) for level in groups]
            drawn = max(drawn, 0.2 + 0.9 * LETTER * max(map(len, texts), default=0))
        if is_small(fabric):
            drawn = detail_width(fabric) if is_layered(fabric) else plan_side(fabric)
        column = _Column(summary, fabric, left, drawn, load)
        columns.append(column)
        left += column.width + GAP
    shift = max(0.0, (LEAST_WIDTH - (left - GAP + MARGIN)) / 2)
    return [replace(column, left=column.left + shift) for column in columns]


def _extent(spec: ClusterSpec, columns: Sequence[_Column], note: str | None) -> tuple[float, float]:
    """Return the width and height of the drawing (inches)."""
    width = max(LEAST_WIDTH, columns[-1].left + columns[-1].width + MARGIN)
    rows = max(column.height for column in columns)
    rows += ROW if spec.datacenter_network is not None else 0.0
    foot = MARGIN + CAPTION + NOTE_LINE * len(_note_lines(note, width))
    foot += 0.0 if columns[0].load is None else LEGEND
    return width, foot + BOX_HEIGHT + rows + TITLE


def _draw_column(ax: Axes, column: _Column, base: float) -> None:
    """Draw a pool upwards from `base`; its name and size are below."""
    pool = column.summary
    name = f"{pool.name}: {pool.accelerator}"
    size = f"{format_count(pool.chips)} chips\n{format_bit_rate(pool.port_Bps)} per chip"
    ax.text(column.middle, base - 0.3, name, fontsize=11, fontweight="bold", ha="center", va="top")
    ax.text(column.middle, base - 0.52, size, fontsize=9.5, ha="center", va="top")
    middle = base + BOX_HEIGHT / 2
    x, rows = column.left + column.drawn + 0.15, len(column.fabric.vertices(merge=True))
    if column.is_plan:
        draw_plan(ax, column.fabric, (column.left, base, column.drawn), column.loads)
        text = "\n\n".join(column.texts)
        ax.text(x, base + column.height / 2, text, va="center", fontsize=9)
    elif column.is_small:
        place = column.left, middle, column.drawn, ROW
        draw_detail(ax, column.fabric, place, KIND_COLOURS, column.loads)
        for row, text in enumerate(column.texts[:rows]):
            y = middle + row * ROW
            ax.text(x, y, text, fontsize=9.5, fontweight="bold", va="center")
        for row, text in enumerate(column.texts[rows:]):
            ax.text(x, middle + (row + 0.5) * ROW, text, fontsize=9, va="center")
    else:
        _draw_boxes(ax, column, middle)


def _layer_text(column: _Column, row: int) -> str:
    """Return the number of switches (or nodes) in a layer, and how many one box represents."""
    group = column.fabric.vertices(merge=True)[row]
    name = KIND_NAMES.get(group.kind, f"{group.kind} switches")
    if group.kind == "ideal":
        return name
    total = group.count * group.multiplicity
    one = name.removesuffix("es" if name.endswith("switches") else "s")
    text = f"1 {one}" if total == 1 else f"{format_count(total)} {name}"
    if column.is_small and group.multiplicity > 1:
        return f"{text}\n({group.multiplicity} per {'circle' if column.is_plan else 'box'})"
    return text


def _level_text(level: LinkLevel) -> str:
    count = "1 link" if level.links == 1 else f"{format_count(level.links)} links"
    text = f"{count} of {format_bit_rate(level.link_Bps)}"
    if level.lower == level.upper:
        text = f"{level.name}: {text}"
    if level.oversubscription is None:
        return text
    return f"{text}\noversubscription {format_number(level.oversubscription, 3)}:1"


def _inner_levels(pool: PoolSummary) -> list[str]:
    """Return one line for each kind of link between vertices of the same layer."""
    inner = [level for level in pool.levels if level.lower == level.upper]
    return [_level_text(level).replace("\noversubscription", ",") for level in inner]


def _draw_boxes(ax: Axes, column: _Column, middle: float) -> None:
    """Draw one box per layer; links within a layer are listed in its box."""
    groups, levels = column.fabric.vertices(merge=True), column.summary.levels
    between = [
        column.level_text(place) for place, level in enumerate(levels) if level.lower != level.upper
    ]
    loads = dict(enumerate(column.loads, start=2))  # by the row of the upper layer
    for row, group in enumerate(groups):
        y = middle + row * column.row
        text = _layer_text(column, row)
        if group.kind == "node":
            text += f"\nof {column.fabric.endpoints.chips_per_node} chips"
        if row == len(groups) - 1:
            text = "\n".join([text, *_inner_levels(column.summary)])
        if row:
            x = [column.middle] * 2
            ax.plot(x, [y - column.row, y], color="#999999", linewidth=5, zorder=1)
            _label(ax, column.middle, y - column.row / 2, between[row - 1])
        if row in loads and np.isfinite(loads[row]).any():
            bottom = y - column.row + BOX_HEIGHT / 2 + STRIP_GAP
            strip = column.left, bottom, column.drawn, STRIP
            draw_strip_of_loads(ax, loads[row], strip)
        _box(ax, column.middle, y, column.drawn, text, KIND_COLOURS[group.kind])


def _draw_datacenter(ax: Axes, spec: ClusterSpec, columns: Sequence[_Column], base: float) -> None:
    """Draw the bar above all pools that connects their top layers."""
    network = spec.datacenter_network
    if network is None:
        return
    colour, middle = "#B86A1D", base + BOX_HEIGHT / 2
    y = middle + max(column.height for column in columns) + ROW
    for column in columns:
        start = (base if column.is_plan else middle) + column.height
        if column.is_small and not column.is_plan:
            xs, bracket = top_xs(column.fabric, column.left, column.drawn), start + 0.3
            ax.hlines(bracket, min(xs), max(xs), color=colour, linewidth=2, zorder=0.5)
            ax.vlines(xs, start, bracket, color=colour, linewidth=1.2, zorder=0.5)
            start = bracket
        text, line = format_bit_rate(column.summary.datacenter_Bps), colour
        if column.load is not None:
            name = column.summary.name
            text = "\n".join(filter(None, [text, column.load_text(LEVELS[-1])]))
            (line,) = colours_of(column.load.means(name, LEVELS[-1], 1))
        ax.plot([column.middle] * 2, [start, y], color=line, linewidth=3, zorder=0.5)
        _label(ax, column.middle, (start + y) / 2, text)
    left, right = columns[0].left, columns[-1].left + columns[-1].width
    text = f"datacenter network ({format_duration(network.latency)})"
    _box(ax, (left + right) / 2, y, right - left, text, KIND_COLOURS["datacenter"], height=0.42)


def _box(
    ax: Axes, x: float, y: float, width: float, text: str, fill: str, height: float | None = None
) -> None:
    height = max(BOX_HEIGHT, 0.2 * (text.count("\n") + 1) + 0.2) if height is None else height
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=fill,
            edgecolor="none",
            zorder=2,
        )
    )
    ax.text(x, y, text, color="white", fontsize=10, ha="center", va="center", zorder=3)


def _label(ax: Axes, x: float, y: float, text: str) -> None:
    """Write text over lines, on a white background so that it is legible."""
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.92, "pad": 1.5}
    ax.text(x, y, text, fontsize=9, ha="center", va="center", zorder=4, bbox=ground)
