"""Legends below a panel."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from clustersim.plots.figure import type_size

__all__ = ["legend_below"]

_LINES = 4.2
"""Distance from the panel to the legend, in type sizes: tick labels and the label of the axis."""


def legend_below(ax: Axes, handles: Sequence[Artist] | None = None, *, columns: int = 1) -> None:
    """Draw the legend of a panel below the label of its x axis.

    Parameters
    ----------
    ax : Axes
    handles : sequence of Artist, optional
        Entries of the legend; by default all artists with a label.
    columns : int
        Number of columns.

    Examples
    --------
    >>> from clustersim.plots import study_figure
    >>> ax = study_figure().panels[0]
    >>> line = ax.plot([0, 1], label="mean")
    >>> legend_below(ax)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['mean']
    """
    below = offset_copy(
        ax.transAxes, ax.get_figure(root=True), y=-_LINES * type_size(ax), units="points"
    )
    ax.legend(
        handles=ax.get_legend_handles_labels()[0] if handles is None else handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=below,
        ncols=columns,
        fontsize=type_size(ax),
    )
