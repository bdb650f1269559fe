"""Plot of a question about a log: the wait of each group of jobs before and after a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from clustersim.plots.axis import Axis
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    fit_height,
    panel,
    plot_style,
    study_figure,
    type_size,
)
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import name_rows, rows_height
from clustersim.plots.style import MARKERS, colour

__all__ = ["draw_what_if", "plot_what_if"]

_KINDS = {"partition": "", "size": "accelerators: "}
_APART = 0.2
"""Distance between the marks of two systems in a row."""


def draw_what_if(groups: pd.DataFrame, systems: Mapping[str, str], *, metric: str) -> StudyFigure:
    """Draw the waits of the groups of jobs; see :func:`plot_what_if`."""
    figure = study_figure(width=DOUBLE)
    plot_what_if(groups, systems, metric=metric, ax=figure.panels[0])
    return figure


def plot_what_if(
    groups: pd.DataFrame,
    systems: Mapping[str, str],
    *,
    metric: str = "p95_wait_s",
    ax: Axes | None = None,
) -> Axes:
    """Plot a wait of each group of jobs in each system, with intervals.

    Parameters
    ----------
    groups : pandas.DataFrame
        Table ``groups`` of :class:`~clustersim.whatif.result.WhatIf`; groups without a value are
        not drawn.
    systems : mapping of str to str
        Keys of the systems, in order, and their names.
    metric : str
        ``p95_wait_s`` or ``mean_wait_s``.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    columns = [f"{key}_{metric}" for key in systems]
    rows = groups[groups[columns].notna().any(axis=1)]
    what = "95th percentile of the wait" if metric == "p95_wait_s" else "mean wait"
    with plot_style(DOUBLE if ax is None else ax):
        ax = panel(ax)
        values = rows[columns].to_numpy(dtype=np.float64)
        ends = rows[[f"{name}_{end}" for name in columns for end in ("low", "high")]]
        axis = Axis(what, dimension="duration")
        fits = set_axis(ax, "x", axis, values, edges=ends.to_numpy(dtype=np.float64).ravel())
        for k, (key, name) in enumerate(systems.items()):
            at = np.arange(len(rows)) + _APART * (k - (len(systems) - 1) / 2)
            own = rows[[f"{key}_{metric}{end}" for end in ("", "_low", "_high")]]
            value, low, high = own.to_numpy(dtype=np.float64).T
            look: dict[str, Any] = {"color": colour(k), "clip_on": True}
            ax.hlines(at, low, high, lw=1.6, alpha=0.5, **look)
            ax.plot(value, at, marker=MARKERS[k], ls="none", label=name, zorder=3, **look)
        names = [
            f"{_KINDS.get(kind, '')}{group}" if kind != "all" else "all jobs"
            for kind, group in rows[["kind", "group"]].itertuples(index=False)
        ]
        name_rows(ax, names)
        fit_height(ax, 72.0 * rows_height(names, DOUBLE) + 30.0)
        below = offset_copy(
            ax.transAxes, ax.get_figure(root=True), y=-4.2 * type_size(ax), units="points"
        )
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), bbox_transform=below,
                  ncols=1, fontsize=type_size(ax))  # fmt: skip
        describe(ax, "Marks: the log as it happened. Lines: 95 % intervals of another such period.")
        dress(ax, f"{what} by group", x=fits.title)
    return ax
