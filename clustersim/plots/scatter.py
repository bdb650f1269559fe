"""Scatter plot of a metric at sampled values of a parameter, with binned means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.curves import curve_data
from clustersim.plots.direct_labels import EndLabel
from clustersim.plots.figure import describe, panel, plot_style
from clustersim.plots.parts.multiples import Only, finish, kept
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.series import axis_for, check_columns, place_x, series_of
from clustersim.plots.study_axes import study_axes
from clustersim.plots.style import COLOURS
from clustersim.studies.study_result import StudyResult

__all__ = ["binned_means", "plot_scatter"]

MOST_BINS, LEAST_PER_BIN = 8, 4


def binned_means(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the means of x and y over bins with equal numbers of points, in order of x.

    Parameters
    ----------
    x, y : array_like (points,)
        Finite values.

    Returns
    -------
    x, y : array (bins,)
        At most 8 bins of at least 4 points each; no bins if there are fewer than 8 points.

    Examples
    --------
    >>> binned_means([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 1, 1, 1, 1])[1].tolist()
    [0.0, 1.0]
    """
    order = np.argsort(np.asarray(x, dtype=np.float64), kind="stable")
    bins = min(MOST_BINS, len(order) // LEAST_PER_BIN)
    if bins < 2:
        return np.empty(0), np.empty(0)
    columns = [np.asarray(values, dtype=np.float64)[order] for values in (x, y)]
    along, means = ([part.mean() for part in np.array_split(v, bins)] for v in columns)
    return np.array(along), np.array(means)


def plot_scatter(
    points: pd.DataFrame | StudyResult,
    x: str,
    y: str,
    *,
    by: str | None = None,
    only: Only | None = None,
    axes: Mapping[str, Axis] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric against a parameter whose values were sampled.

    Parameters
    ----------
    points : DataFrame or StudyResult
        One row per point of the parameter space.  Overloaded points have no finite wait and are
        left out; the caption gives their number.  A study result supplies its table of points and
        its labels.
    x, y : str
        Columns with numbers.
    by : str, optional
        Column whose values have different colours and separate means.
    only : (str, object), optional
        A column and a value: the panel shows the rows with this value.
    axes : mapping of str to Axis, optional
        Labels, units or scales that replace the defaults.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as one column of a paper.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If a column is unknown.

    Examples
    --------
    >>> import clustersim as cs
    >>> import numpy as np
    >>> import pandas as pd
    >>> loads = np.linspace(0.3, 0.9, 40)
    >>> points = pd.DataFrame({"workload.load": loads, "mean_wait_s": 600 * loads / (1 - loads)})
    >>> ax = cs.plots.plot_scatter(points, "workload.load", "mean_wait_s")
    >>> ax.get_ylabel()
    'mean wait, min'
    """
    if isinstance(points, StudyResult):
        axes = {**study_axes(points), **(axes or {})}
        points = points.points
    check_columns(points, (x, y, by, only[0] if only else None), "plot_scatter")
    table = curve_data(points, y)
    shown = table[np.isfinite(table[y].to_numpy(dtype=np.float64))]
    with plot_style(ax):
        ax = panel(ax)
        places, x_title = place_x(ax, table, x, axis_for(x, axes))
        y_axis = set_axis(ax, "y", axis_for(y, axes), shown[y])
        ends = []
        for one in kept(series_of(shown, by, axes), only):
            if one.rows.empty:
                continue
            along, means = binned_means(one.rows[x], one.rows[y])
            look: dict[str, Any] = {"linestyle": "none", "alpha": 0.55, "mec": "none"}
            ax.plot(
                places.of(one.rows), one.rows[y], marker=one.marker, ms=3.2, color=one.ink, **look
            )
            ax.plot(along, means, color=COLOURS["vermilion"] if by is None else one.ink)
            if one.name:
                last = means[-1] if len(means) else one.rows[y].iloc[-1]
                ends.append(EndLabel(one.name, np.inf, float(last), one.ink, one.marker))
        title = f"{axis_for(y, axes).label} by {axis_for(by or x, axes).label}"
        finish(ax, title, ends, only=only, axes=axes, x=x_title, y=y_axis.title)
        lines = "line: their mean" if by is None else "lines: their means"
        describe(ax, f"Dots: points at sampled values of all parameters; {lines}.")
        left_out = len(table) - len(shown)
        if left_out:
            describe(ax, f"{left_out} points are left out: overloaded, or without a result.")
    return ax
