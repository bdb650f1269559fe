"""Plot of a question about a log: the wait of each group of jobs before and after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.figure import (
    DOUBLE,
    StudyFigure,
    describe,
    dress,
    study_figure,
    wide_panel,
)
from clustersim.plots.parts.intervals import (
    CUT_BARS,
    Ends,
    draw_bars,
    is_cut,
    near_ends,
)
from clustersim.plots.parts.legends import legend_below
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.rows import fit_rows, group_names
from clustersim.plots.style import MARKERS, colour

__all__ = ["draw_what_if", "plot_what_if"]

_KINDS = {"partition": "", "size": "accelerators: "}
"""What precedes the name of a group, by its kind."""
_WHAT = {
    "mean_wait_s": "mean wait",
    "p95_wait_s": "95th percentile of the wait",
    "mean_total_wait_s": "mean wait over all attempts",
    "p95_total_wait_s": "95th percentile of the wait over all attempts",
    "mean_jct_s": "mean job completion time",
    "p95_jct_s": "95th percentile of the job completion time",
}
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
        ``p95_wait_s``, ``mean_wait_s``, or one of both of ``total_wait_s`` (over all attempts) or
        ``jct_s`` (completion time).
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> groups = pd.DataFrame({"kind": ["all"], "group": ["all"]})
    >>> groups = groups.assign(before_p95_wait_s=600.0, before_p95_wait_s_low=300.0)
    >>> groups = groups.assign(before_p95_wait_s_high=900.0)
    >>> plot_what_if(groups, {"before": "as it is"}).get_xlabel()
    '95th percentile of the wait, min'
    """
    columns = [f"{key}_{metric}" for key in systems]
    rows = groups[groups[columns].notna().any(axis=1)]
    what = _WHAT[metric]
    with wide_panel(ax) as ax:
        values = rows[columns].to_numpy(dtype=np.float64)
        ends = [_ends(rows, name) for name in columns]
        axis = Axis(what, dimension="duration")
        fits = set_axis(ax, "x", axis, values, edges=near_ends(_joined(ends), values, axis))
        ends = [_to_the_edge(ax, each) for each in ends]
        for k, name in enumerate(systems.values()):
            at: Floats = np.arange(len(rows), dtype=np.float64) + _APART * (
                k - (len(systems) - 1) / 2
            )
            draw_bars(ax, at, ends[k], ink=colour(k), along="x", cap=0.0, lw=1.6, alpha=0.5)
            look: dict[str, Any] = {"color": colour(k), "clip_on": True}
            ax.plot(ends[k].middle, at, marker=MARKERS[k], ls="none", label=name, zorder=3, **look)
        fit_rows(ax, group_names(rows, _KINDS), more=30.0)
        legend_below(ax)
        describe(ax, "Marks: the log as it happened. Lines: 95 % intervals of another such period.")
        describe(ax, *[CUT_BARS] * is_cut(ax, "x", _joined(ends)))
        dress(ax, f"{what} by group", x=fits.title)
    return ax


def _ends(rows: pd.DataFrame, name: str) -> Ends:
    """Return the intervals of a column; an infinite end is open."""
    own = rows[[f"{name}{end}" for end in ("", "_low", "_high")]].to_numpy(dtype=np.float64)
    middle, low, high = own.T
    return Ends(middle, low, high, np.isneginf(low), np.isposinf(high))


def _to_the_edge(ax: Axes, ends: Ends) -> Ends:
    """Return the intervals with open ends beyond the axis: such an interval goes on there."""
    far, closed = 2.0 * ax.get_xlim()[1], np.zeros(len(ends.middle), dtype=bool)
    return replace(ends, high=np.where(ends.open_high, far, ends.high), open_high=closed)


def _joined(ends: Sequence[Ends]) -> Ends:
    """Return the intervals of several columns one after the other."""
    names = ("middle", "low", "high", "open_low", "open_high")
    return Ends(*(np.concatenate([getattr(each, name) for each in ends]) for name in names))
