"""Names of rows and categories, wrapped or rotated until they fit, and the space they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from clustersim.plots.figure import (
    DOUBLE,
    fit_height,
    need_height,
    panel_width,
    text_width,
    type_size,
    wrap,
)

__all__ = ["fit_rows", "group_names", "name_categories", "name_rows", "rows_height"]

_SHARE = 0.36
"""Share of the panel's width that names may use."""
_LEAST = 1.0
"""Width that names may use in a narrow panel, in inches."""
_SLANTED = 80.0
"""Names up to this width in points are written at an angle; longer names are written vertically."""


def _wrapped(names: Iterable[str], width: float) -> list[str]:
    size = type_size(width) - 0.5
    return [wrap(str(name), 72.0 * max(_SHARE * width, _LEAST), size) for name in names]


def rows_height(names: Iterable[str], width: float) -> float:
    """Return the height in inches that named rows need in a panel of this width (inches)."""
    lines = max((name.count("\n") + 1 for name in _wrapped(names, width)), default=1)
    return len(list(names)) * max(0.27, 0.03 + 0.13 * lines)


def name_rows(ax: Axes, names: Sequence[str], *, above: int = 0) -> None:
    """Name the rows 0, 1, ... from the top, with `above` empty rows above them for text."""
    ax.set_yticks(range(len(names)), _wrapped(names, panel_width(ax)), parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5 - 0.8 * above)
    ax.grid(axis="y", visible=False)


def fit_rows(ax: Axes, names: Sequence[str], *, more: float) -> None:
    """Name the rows 0, 1, ... from the top, and give a panel of two columns' width their height.

    Parameters
    ----------
    ax : Axes
    names : sequence of str
    more : float
        Height in points beside that of the rows, such as that of a legend.
    """
    name_rows(ax, names)
    fit_height(ax, 72.0 * rows_height(names, DOUBLE) + more)


def group_names(groups: pd.DataFrame, prefixes: Mapping[str, str]) -> list[str]:
    """Return the names of groups of jobs by their columns ``kind`` and ``group``.

    Examples
    --------
    >>> groups = pd.DataFrame({"kind": ["all", "size"], "group": ["all", "5-8"]})
    >>> group_names(groups, {"size": "accelerators: "})
    ['all jobs', 'accelerators: 5-8']
    """
    return [
        f"{prefixes.get(str(kind), '')}{group}" if kind != "all" else "all jobs"
        for kind, group in groups[["kind", "group"]].itertuples(index=False)
    ]


def name_categories(ax: Axes, names: Sequence[str], slot: float) -> None:
    """Write names below positions 0, 1, ...; rotate them if they do not fit into `slot` points."""
    size = type_size(ax) - 0.5
    level = [wrap(name, max(slot - 4.0, 12.0), size) for name in names]
    whole = all(text.replace("\n", " ") == name for text, name in zip(level, names, strict=True))
    longest = max(text_width(name, size) for name in names)
    if whole and all(text.count("\n") < 3 for text in level):
        ax.set_xticks(range(len(names)), level, parse_math=False)
    elif longest <= _SLANTED and slot >= 1.7 * size:
        look: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(names)), names, parse_math=False, **look)
        need_height(ax, 90.0 + 0.7 * longest)
    else:
        lines = max(1, int(slot / (1.25 * size)))
        length = max(_SLANTED, 1.25 * longest / lines)
        upright = [wrap(name, length, size) for name in names]
        ax.set_xticks(range(len(names)), upright, rotation=90, parse_math=False)
        need_height(ax, 90.0 + min(longest, length))
