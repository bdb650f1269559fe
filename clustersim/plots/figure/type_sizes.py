"""Widths of panels, and the type sizes that are legible at a width in print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from clustersim.plots.style import style

__all__ = ["DOUBLE", "LARGE", "NARROW", "SINGLE", "panel_width", "plot_style", "type_size"]

SINGLE, DOUBLE = 3.3, 7.0
"""Widths of one column and of both columns of a two-column paper, in inches."""
NARROW = 4.5
"""Panels narrower than this (inches) have the smaller type size."""
SMALL, LARGE = 7.5, 8.5
"""Type sizes of axis labels in narrow and in wide panels, in points."""


def panel_width(ax: Axes) -> float:
    """Return the width of a panel including its labels, in inches."""
    figure = ax.figure
    width = float(figure.bbox.width / figure.dpi)
    place = ax.get_subplotspec()
    if place is None:
        return width * float(ax.get_position().width)
    return width * len(place.colspan) / place.get_gridspec().ncols


def type_size(ax: Axes | float) -> float:
    """Return the type size of axis labels in points; tick labels are 0.5 points smaller.

    Parameters
    ----------
    ax : Axes or float
        A panel, or its width in inches.
    """
    width = ax if isinstance(ax, float | int) else panel_width(ax)
    return SMALL if width < NARROW else LARGE


@contextmanager
def plot_style(ax: Axes | float | None) -> Iterator[None]:
    """Use the shared style and the type sizes for a panel, or for its width in inches."""
    size = type_size(SINGLE if ax is None else ax)
    sizes: Any = {
        "font.size": size - 0.5,
        "axes.titlesize": size + 0.5,
        "axes.labelsize": size,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.0,
        "axes.linewidth": 0.7,
        "hatch.linewidth": 0.5,
    }
    with style(), matplotlib.rc_context(sizes):
        yield
