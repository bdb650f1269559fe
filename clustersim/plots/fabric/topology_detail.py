"""Drawings of small pools with every vertex: in layers, or from above if there are no layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.plots.fabric.link_load import colours_of, trunk_of_vertex, widths_of
from clustersim.plots.style import COLOURS
from clustersim.topology.fabric import Fabric
from clustersim.topology.torus import TorusFabric
from clustersim.units import format_percent

__all__ = [
    "detail_width",
    "draw_detail",
    "draw_plan",
    "is_layered",
    "is_small",
    "plan_side",
    "top_xs",
]

MOST_LEAVES = 16
MOST_SWITCHES = 40
MOST_NODES_PER_LEAF = 48
MOST_PLAN_VERTICES = 64
LEAF_WIDTH = 0.72
LINK = "#8899aa"
"""Colour of links without a load."""
BOX_HEIGHT = 0.34


def is_layered(fabric: Fabric) -> bool:
    """Return whether all links connect one layer to the next."""
    return all(level.lower != level.upper for level in fabric.levels())


def is_small(fabric: Fabric) -> bool:
    """Return whether each switch (or each node, if there are no switches) can be drawn."""
    groups = fabric.vertices(merge=True)
    if not is_layered(fabric):
        return groups[-1].count <= MOST_PLAN_VERTICES
    if len(groups) < 2:
        return False
    switches = sum(group.count for group in groups[1:])
    per_leaf = -(-groups[0].count // groups[1].count)
    return (
        groups[1].count <= MOST_LEAVES
        and switches <= 2 * MOST_SWITCHES
        and max(group.count for group in groups[1:]) <= MOST_SWITCHES
        and per_leaf <= MOST_NODES_PER_LEAF
    )


def detail_width(fabric: Fabric) -> float:
    """Return the width of a layered drawing (inches)."""
    _, *layers = fabric.vertices(merge=True)
    return max(layers[0].count * LEAF_WIDTH, 0.3 * max(layer.count for layer in layers))


def plan_side(fabric: Fabric) -> float:
    """Return the side of a drawing from above, which is square (inches)."""
    return max(3.0, 0.5 * math.sqrt(fabric.vertices(merge=True)[-1].count) + 2.0)


def top_xs(fabric: Fabric, left: float, width: float) -> list[float]:
    """Return the horizontal middle of each box of the top layer."""
    return [float(x) for x in _spread(fabric.vertices(merge=True)[-1].count, left, width)]


def _spread(count: int, left: float, width: float) -> Floats:
    return left + width * (np.arange(count) + 0.5) / count


def draw_detail(
    ax: Axes,
    fabric: Fabric,
    place: tuple[float, float, float, float],
    colours: Mapping[str, str],
    loads: Sequence[Floats] = (),
) -> None:
    """Draw layers of switches above their nodes.

    Parameters
    ----------
    ax : Axes
    fabric : Fabric
    place : (left, bottom, width, row)
        Left border, middle of the nodes, width, and height of one level.
    colours : mapping of str to str
        Colour of each kind of switch.
    loads : sequence of float64 array (groups,)
        Mean load of the trunks of each level, innermost first; NaN if it is not known. By default,
        links have no colours.
    """
    left, bottom, width, row = place
    of_vertex = [
        np.where(groups >= 0, load[groups], np.nan)
        for load, groups in zip(loads, trunk_of_vertex(fabric) if loads else (), strict=False)
    ]
    layers = {group.kind: group for group in fabric.vertices(merge=True)[1:]}
    xs = {kind: _spread(group.count, left, width) for kind, group in layers.items()}
    ys = {kind: bottom + group.level * row for kind, group in layers.items()}
    for level, wiring in enumerate(fabric.wiring(merge=True)):
        low, high = wiring.lower_kind, wiring.upper_kind
        if low != "node":
            load = of_vertex[level - 1][wiring.lower] if level <= len(of_vertex) else None
            _lines(ax, xs[low][wiring.lower], ys[low], xs[high][wiring.upper], ys[high], load)
    for level, (kind, group) in enumerate(layers.items()):
        shown = of_vertex[0] if level == 0 and of_vertex else None
        _switches(ax, kind, xs[kind], ys[kind], width / group.count, colours[kind], shown)
    first = fabric.vertices(merge=True)[1].kind
    _nodes(ax, fabric.leaf_of_node(), xs[first], bottom, row, width / layers[first].count)


def _switches(
    ax: Axes, kind: str, xs: Floats, y: float, step: float, colour: str, loads: Floats | None
) -> None:
    """Draw one layer of numbered boxes, with the load of their uplinks if it is known."""
    text = f"{kind} {{}}" if step > 0.6 and len(kind) < 7 else "{}"
    box, size = min(0.85, step * 0.86), 9.0 if step > 0.4 else 8.0
    for index, x in enumerate(xs.tolist()):
        ax.add_patch(
            Rectangle((x - box / 2, y - BOX_HEIGHT / 2), box, BOX_HEIGHT, zorder=2,
                      facecolor=colour, edgecolor="none")
        )  # fmt: skip
        own = text.format(index)
        if loads is not None and np.isfinite(loads[index]) and step > 0.4:
            own += f"\n{format_percent(float(loads[index]), 0)}"
        ax.text(x, y, own, color="white", fontsize=size if "\n" not in own else 8.0,
                linespacing=1.0, ha="center", va="center", zorder=3)  # fmt: skip


def _lines(
    ax: Axes, x0: Floats, y0: float, x1: Floats, y1: float, loads: Floats | None = None
) -> None:
    """Draw lines from the tops of the boxes at `y0` to the bottoms of those at `y1`."""
    below = np.column_stack([x0, np.full(x0.size, y0 + BOX_HEIGHT / 2)])
    above = np.column_stack([x1, np.full(x1.size, y1 - BOX_HEIGHT / 2)])
    ends = np.stack([below, above], axis=1)
    if loads is None:
        _add_lines(ax, ends, LINK, 0.7)
    else:
        _add_loaded(ax, ends, loads)


def _add_lines(ax: Axes, ends: Floats, colour: str, width: float) -> None:
    """Add straight lines; `ends` has the shape (n, 2, 2)."""
    lines = LineCollection(list(ends), colors=colour, linewidths=width, zorder=1)
    ax.add_collection(lines, autolim=False)


def _add_loaded(ax: Axes, ends: Floats, loads: Floats) -> None:
    """Add straight lines in the colours of their loads, the most loaded ones on top."""
    order = np.argsort(np.nan_to_num(loads, nan=-1.0), kind="stable")
    look = {"colors": colours_of(loads[order]), "linewidths": widths_of(loads[order])}
    ax.add_collection(LineCollection(list(ends[order]), zorder=1, **look), autolim=False)


def _nodes(
    ax: Axes,
    leaf_of_node: NDArray[np.int32],
    leaf_x: Floats,
    bottom: float,
    row: float,
    step: float,
) -> None:
    """Draw the nodes of each leaf as a grid of squares below it, filled from the top."""
    counts = np.bincount(leaf_of_node, minlength=leaf_x.size).tolist()
    most = max(counts)
    columns = 8 if most > 16 else max(1, math.ceil(math.sqrt(most)))
    cell = min(0.1, 0.86 * step / columns)
    squares = []
    for x, count in zip(leaf_x.tolist(), counts, strict=True):
        if not count:
            continue
        wide, tall = min(columns, count) * cell, -(-count // columns) * cell
        x0, top = x - wide / 2, bottom + 0.3
        ax.plot([x, x], [top, bottom + row], color=LINK, linewidth=2, zorder=1)
        ax.add_patch(
            Rectangle((x0 - 0.03, top - tall - 0.03), wide + 0.06, tall + 0.06,
                      facecolor="white", edgecolor="#444444", linewidth=0.8, zorder=2)
        )  # fmt: skip
        squares += [
            Rectangle((x0 + (i % columns + 0.1) * cell, top - (i // columns + 0.9) * cell),
                      0.8 * cell, 0.8 * cell)
            for i in range(count)
        ]  # fmt: skip
        name = "1 node" if count == 1 else f"{count} nodes"
        ax.text(x, top - tall - 0.14, name, fontsize=8.5, ha="center", va="center", zorder=3)
    ax.add_collection(
        PatchCollection(squares, facecolor="#444444", edgecolor="none", zorder=3), autolim=False
    )


def draw_plan(
    ax: Axes,
    fabric: Fabric,
    place: tuple[float, float, float],
    loads: Sequence[Floats] = (),
) -> None:
    """Draw nodes or routers from above: a torus as a grid, other networks in a circle.

    Parameters
    ----------
    ax : Axes
    fabric : Fabric
    place : (left, bottom, width)
    loads : sequence of float64 array (groups,)
        As for :func:`draw_detail`. A link has the colour of the more loaded of its two ends.
    """
    left, bottom, width = place
    side = plan_side(fabric)
    count = fabric.vertices(merge=True)[-1].count
    centre = np.array([left + width / 2, bottom + side / 2])
    ax.add_patch(
        Rectangle((left, bottom), width, side, fill=False, edgecolor="#bbbbbb", linewidth=1)
    )
    wires = [wire for wire in fabric.wiring(merge=True) if wire.lower_kind == wire.upper_kind]
    if isinstance(fabric, TorusFabric):
        xy = centre + _grid(fabric.dims, side * 0.8)
        _torus_links(ax, fabric, xy)
    else:
        angle = 2 * np.pi * np.arange(count) / count
        xy = centre + 0.42 * side * np.column_stack([np.sin(angle), np.cos(angle)])
        groups = [trunk.group_of_node for trunk in fabric.trunks()]
        router = fabric.leaf_of_node()
        for level, wire in enumerate(wires):
            ends = np.stack([xy[wire.lower], xy[wire.upper]], axis=1)
            if level < len(loads):
                own = np.full(count, np.nan)
                own[router] = loads[level][groups[level]]
                _add_loaded(ax, ends, np.fmax(own[wire.lower], own[wire.upper]))
            else:
                _add_lines(ax, ends, (LINK, COLOURS["vermilion"])[level], 0.8)
    size = 200 if count <= 36 else 110
    ax.scatter(xy[:, 0], xy[:, 1], s=size, color=COLOURS["blue"], zorder=2)
    for index, (x, y) in enumerate(xy.tolist()):
        ax.text(x, y, str(index), color="white", fontsize=8 if count <= 36 else 6.5,
                ha="center", va="center", zorder=3)  # fmt: skip


def _grid(dims: tuple[int, ...], side: float) -> Floats:
    """Return the node positions of a torus, centred on 0; planes of a 3D torus are shifted."""
    depth, rows, columns = (1, *dims) if len(dims) == 2 else dims
    plane, row, column = (index.ravel() for index in np.indices((depth, rows, columns)))
    step = side / max(rows, columns, 2)
    shift = 0.36 * step / max(1, depth - 1) if depth > 1 else 0.0
    x = (column - (columns - 1) / 2) * step + (plane - (depth - 1) / 2) * shift * 1.6
    y = -(row - (rows - 1) / 2) * step + (plane - (depth - 1) / 2) * shift
    return np.column_stack([x, y])


def _torus_links(ax: Axes, fabric: TorusFabric, xy: Floats) -> None:
    """Draw links between neighbours as lines; wrap-around links as stubs at both ends."""
    index = np.arange(len(xy)).reshape(fabric.dims)
    segments = []
    for axis in fabric.wrapped:
        lines = np.moveaxis(index, axis, -1).reshape(-1, fabric.dims[axis]).tolist()
        for line in lines:
            segments += [xy[[a, b]] for a, b in pairwise(line)]
            if len(line) > 2:
                out = 0.45 * (xy[line[1]] - xy[line[0]])
                segments += [
                    np.array([xy[line[0]], xy[line[0]] - out]),
                    np.array([xy[line[-1]], xy[line[-1]] + out]),
                ]
    _add_lines(ax, np.array(segments), LINK, 1.2)
