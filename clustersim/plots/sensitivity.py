"""Plot of Sobol indices: the share of the variance of a metric due to each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clustersim.errors import InputError, unknown_name
from clustersim.plots.axis import Axis
from clustersim.plots.figure import SINGLE, describe, dress, panel, plot_style
from clustersim.plots.parts.intervals import draw_bars, ends_of_rows
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.rows import name_rows, rows_height
from clustersim.plots.series import axis_for, check_columns
from clustersim.plots.style import COLOURS
from clustersim.studies.study_result import StudyResult

__all__ = ["plot_indices", "sorted_indices"]

_KINDS = (
    ("first", COLOURS["blue"], "o", -0.14, "● alone (first order)"),
    ("total", COLOURS["vermilion"], "D", 0.14, "◆ with interactions (total)"),
)
"""Column, colour, marker, offset from the row, and label of each of the two indices."""
_OPEN = (
    "Arrow heads: the interval goes beyond 0 or 1, between which a share lies. If it goes below 0, "
    "the parameter may have no influence."
)


def sorted_indices(indices: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of a metric, largest total index first.

    Raises
    ------
    InputError
        If no row has this metric; the message suggests the nearest metric.
    """
    rows = indices[indices["metric"] == metric]
    if len(rows) == 0:
        known = indices["metric"].unique()
        raise InputError("plot_indices", unknown_name("metric", metric, known))
    return rows.sort_values("total", ascending=False, kind="stable").reset_index(drop=True)


def plot_indices(
    indices: pd.DataFrame | StudyResult,
    metric: str,
    *,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot first-order and total Sobol indices of each parameter with their intervals.

    Parameters
    ----------
    indices : DataFrame or StudyResult
        One row per parameter and metric, with ``first``, ``total`` and their ``_low``, ``_high``. A
        study result supplies its table of indices and its labels.
    metric : str
    axes : mapping of str to Axis, optional
        Labels of parameters and metrics that replace the defaults.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as one column of a paper.

    Raises
    ------
    InputError
        If `metric` is unknown or a column is missing.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> indices = pd.DataFrame(
    ...     {
    ...         "parameter": ["workload.load", "scheduler.policy"],
    ...         "metric": "p95_wait_s",
    ...         "first": [0.6, 0.1],
    ...         "total": [0.8, 0.3],
    ...     }
    ... )
    >>> ax = cs.plots.plot_indices(indices, "p95_wait_s")
    >>> ax.get_xlabel()
    'share of variance'
    """
    if isinstance(indices, StudyResult):
        fields, options = {"y": [metric]}, {"axes": axes}
        return plot_of_study("plot_indices", "indices", indices, fields, options, y="metric", ax=ax)
    check_columns(indices, ("parameter", "metric", "first", "total"), "plot_indices")
    rows = sorted_indices(indices, metric)
    names = [axis_for(parameter, axes).label for parameter in rows["parameter"]]
    with plot_style(ax):
        ax = panel(ax, height=1.1 + rows_height(names, SINGLE))
        place = np.arange(len(rows), dtype=np.float64)
        numbers = rows[[kind for kind, *_ in _KINDS]].to_numpy(dtype=np.float64)
        reach = [0.0, 1.0, *numbers[np.isfinite(numbers)]]
        ax.set_xlim(min(reach) - 0.15, max(reach) + 0.15)
        for line, (kind, ink, marker, shift, words) in enumerate(_KINDS):
            middle = rows[kind].to_numpy(dtype=np.float64)
            ends = ends_of_rows(rows, kind, bounds=(0.0, 1.0))
            if ends is not None:
                draw_bars(
                    ax, place + shift, ends, ink=ink, along="x", past=(0.0, 1.0), cap=0.0, lw=1.2
                )
                describe(ax, "Bars: 95 % intervals.")
                if ends.is_open:
                    describe(ax, _OPEN)
            ax.plot(middle, place + shift, linestyle="none", marker=marker, color=ink)
            for at in np.flatnonzero(~np.isfinite(middle)):
                ax.text(0.02, at + shift, "no number", color=ink, va="center")
            look: dict[str, Any] = {
                "color": ink,
                "fontweight": "bold",
                "va": "center",
                "ha": "right",
            }
            ax.text(0.99, -1.7 + 0.8 * line, words, transform=ax.get_yaxis_transform(), **look)
        name_rows(ax, names, above=2)
        ax.axvline(0.0, color="#333333", lw=0.8)
        metric_label = axis_for(metric, axes).label
        dress(ax, f"Sobol indices of {metric_label}", x="share of variance")
    return ax
