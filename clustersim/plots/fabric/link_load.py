"""Colours and texts for the load of shared links, for drawings of fabrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Floats, Ints
from clustersim.network.trunks import LEVELS
from clustersim.topology.fabric import Fabric
from clustersim.units import format_percent

__all__ = [
    "LINK_LEVELS",
    "LOAD_MAP",
    "UNKNOWN",
    "LinkLoad",
    "colours_of",
    "draw_load_legend",
    "draw_strip_of_loads",
    "trunk_of_vertex",
    "widths_of",
]

LOAD_MAP = LinearSegmentedColormap.from_list(
    "load", matplotlib.colormaps["magma_r"](np.linspace(0.05, 0.9, 256))
)
"""From pale orange to dark purple: ever darker, so that it is also clear in grey and to readers who
cannot tell red from green."""
UNKNOWN = "#b9c3cc"
"""Colour of links whose load is not known."""
LINK_LEVELS = LEVELS[2:4]
"""Levels of the trunks of a fabric, innermost first."""
_MOST_CELLS = 120
_THIN, _THICK = 0.7, 2.4
"""Widths of a link without load and of a full one, in points."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkLoad:
    """Mean and highest load of the trunks of a run.

    Attributes
    ----------
    table : DataFrame
        From :func:`~clustersim.analysis.link_load.link_loads`.
    """

    table: pd.DataFrame

    def means(self, pool: str, level: str, n_groups: int) -> Floats:
        """Return the mean load of each group of a level (n_groups,); NaN if it is not known."""
        own = self.of(pool, level)
        found = np.full(n_groups, np.nan)
        group = own["group"].to_numpy(dtype=np.int64)
        there = group < n_groups
        found[group[there]] = own["mean"].to_numpy(dtype=np.float64)[there]
        return found

    def of_fabric(self, pool: str, fabric: Fabric) -> list[Floats]:
        """Return the mean load of the groups of each trunk of a fabric, innermost first."""
        return [
            self.means(pool, level, trunk.n_groups)
            for level, trunk in zip(LINK_LEVELS, fabric.trunks(), strict=False)
        ]

    def of(self, pool: str, level: str) -> pd.DataFrame:
        """Return the rows of a level of a pool."""
        return self.table[(self.table["pool"] == pool) & (self.table["level"] == level)]

    def text(self, pool: str, level: str, group: str = "") -> str:
        """Return a text on the load of the trunks of a level; "" if none is known.

        Parameters
        ----------
        pool, level : str
        group : str
            What a trunk leads out of, such as ``leaf``; "" if the level has a single trunk.

        Examples
        --------
        >>> rows = pd.DataFrame({"pool": "a", "level": "leaf", "group": [0, 3],
        ...                      "mean": [0.2, 0.4], "peak": [0.9, 1.0]})
        >>> LinkLoad(rows).text("a", "leaf", "leaf")
        'busiest: leaf 3, mean load 40 %, highest 100 %'
        """
        own = self.of(pool, level)
        if own.empty:
            return ""
        row = own.iloc[int(own["mean"].to_numpy(dtype=np.float64).argmax())]
        mean, most = (format_percent(float(row[name]), 0) for name in ("mean", "peak"))
        which = f"busiest: {group} {int(row['group'])}, " if group else ""
        return f"{which}mean load {mean}, highest {most}"


def colours_of(loads: ArrayLike) -> list[Any]:
    """Return the colour of each load; NaN has the colour of unknown ones."""
    return [UNKNOWN if np.isnan(load) else LOAD_MAP(min(load, 1.0)) for load in np.ravel(loads)]


def widths_of(loads: ArrayLike) -> Floats:
    """Return the width of links with these loads, in points."""
    known = np.nan_to_num(np.minimum(loads, 1.0), nan=0.0)
    return np.asarray(_THIN + (_THICK - _THIN) * known)


def trunk_of_vertex(fabric: Fabric) -> list[Ints]:
    """Return the group of the trunk above each merged switch, for each layer with a trunk above it.

    The first array is that of the lowest layer of switches. A switch without nodes below it has the
    group -1.

    Examples
    --------
    >>> import clustersim as cs
    >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
    >>> [groups.tolist() for groups in trunk_of_vertex(pool.build_fabric())]
    [[0, 1, 2, 3, 4, 5, 6, 7]]
    """
    layers = fabric.vertices(merge=True)
    wires = [wire for wire in fabric.wiring(merge=True) if wire.lower_kind != wire.upper_kind]
    some_node: Ints = np.arange(layers[0].count)
    found = []
    for wire, layer, trunk in zip(wires, layers[1:], fabric.trunks(), strict=False):
        above = np.full(layer.count, -1, dtype=np.int64)
        below = some_node[wire.lower]
        above[wire.upper[below >= 0]] = below[below >= 0]
        some_node = above
        group = trunk.group_of_node.astype(np.int64)
        found.append(np.where(some_node >= 0, group[some_node], -1))
    return found


def draw_strip_of_loads(ax: Axes, loads: Floats, place: tuple[float, float, float, float]) -> None:
    """Draw a cell for each load, side by side; of many, one for the largest of some neighbours.

    Parameters
    ----------
    ax : Axes
    loads : array (groups,)
    place : (float, float, float, float)
        Left, bottom, width and height.
    """
    left, bottom, width, height = place
    parts: list[NDArray[Any]] = np.array_split(loads, min(len(loads), _MOST_CELLS))
    cells = [np.nan if np.isnan(part).all() else float(np.nanmax(part)) for part in parts]
    step = width / len(cells)
    gap = 0.0 if len(cells) > _MOST_CELLS / 2 else 0.08 * step
    ax.add_patch(
        Rectangle((left, bottom), width, height, facecolor="white", edgecolor="none", zorder=2)
    )
    for index, colour in enumerate(colours_of(cells)):
        ax.add_patch(
            Rectangle((left + index * step + gap / 2, bottom), step - gap, height, zorder=3,
                      facecolor=colour, edgecolor="none")
        )  # fmt: skip
    ax.add_patch(
        Rectangle((left, bottom), width, height, fill=False, edgecolor="#555555", linewidth=0.6,
                  zorder=3.1)
    )  # fmt: skip


def draw_load_legend(ax: Axes, x: float, y: float) -> None:
    """Draw the scale of the colours, `y` being its middle; coordinates are inches."""
    look: dict[str, Any] = {"fontsize": 9, "va": "center"}
    ax.text(x, y, "mean load of shared links:", **look)
    left, width, cells = x + 1.95, 2.0, 50
    for index in range(cells):
        ax.add_patch(
            Rectangle((left + index * width / cells, y - 0.08), 1.05 * width / cells, 0.16,
                      facecolor=LOAD_MAP((index + 0.5) / cells), edgecolor="none")
        )  # fmt: skip
    ax.text(left - 0.08, y, "0", ha="right", **look)
    ax.text(left + width + 0.08, y, "100 %", **look)
    unknown = left + width + 0.75
    ax.add_patch(Rectangle((unknown, y - 0.08), 0.3, 0.16, facecolor=UNKNOWN, edgecolor="none"))
    ax.text(unknown + 0.38, y, "cannot be full, or less load", **look)
