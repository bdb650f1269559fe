"""Plots with a named row for each thing: their names and their height."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from clustersim.plots.figure import panel_width, type_size, wrap

__all__ = ["name_rows", "rows_height"]

_SHARE = 0.36
"""Of the panel's width that names may take."""


def _wrapped(names: Iterable[str], width: float) -> list[str]:
    size = type_size(width) - 0.5
    return [wrap(str(name), 72.0 * _SHARE * width, size) for name in names]


def rows_height(names: Iterable[str], width: float) -> float:
    """Inches that rows with some names need in a panel of a width (inches)."""
    lines = max((name.count("\n") + 1 for name in _wrapped(names, width)), default=1)
    return len(list(names)) * max(0.27, 0.03 + 0.13 * lines)


def name_rows(ax: Axes, names: Sequence[str], *, above: int = 0) -> None:
    """Name the rows 0, 1, ... from the top, with empty rows above them for words."""
    ax.set_yticks(range(len(names)), _wrapped(names, panel_width(ax)), parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5 - 0.8 * above)
    ax.grid(axis="y", visible=False)
