"""Welch's plot: how long a simulation takes to reach its steady state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown
from clustersim.plots.axis import Axis
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.figure import describe, dress, panel, plot_style
from clustersim.plots.parts.of_study import plot_of_study
from clustersim.plots.parts.ticks import set_axis
from clustersim.plots.style import COLOURS
from clustersim.studies.study_result import StudyResult

__all__ = ["moving_average", "plot_warm_up"]

_THIN, _MEAN, _SMOOTH, _CUT = "#9a9a9a", "#222222", COLOURS["blue"], COLOURS["vermilion"]


def moving_average(values: npt.ArrayLike, half: int) -> Floats:
    """Average each value with `half` neighbours on each side, or fewer near the ends.

    Welch (1983), as in Law, "Simulation Modeling and Analysis", section 9.5.1; here the window
    also narrows at the end, so that there are as many averages as values.

    Parameters
    ----------
    values : array_like (bins,)
        Values that are not finite are ignored.
    half : int
        Neighbours on each side, at least 0.

    Examples
    --------
    >>> moving_average([1.0, 3.0, 8.0], 1).tolist()
    [1.0, 4.0, 8.0]
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    at = np.arange(len(numbers))
    reach = np.minimum(half, np.minimum(at, at[::-1]))
    sums, counts = (
        np.concatenate(([0.0], np.cumsum(column)))
        for column in (np.where(known, numbers, 0.0), known)
    )
    count = counts[at + reach + 1] - counts[at - reach]
    total = sums[at + reach + 1] - sums[at - reach]
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))


def plot_warm_up(
    series: npt.ArrayLike | StudyResult,
    *,
    warm_up: float | npt.ArrayLike | None = None,
    reached: bool = True,
    where: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Plot the mean wait of consecutive groups of jobs, and where the measurement starts.

    Parameters
    ----------
    series : array_like (replications, bins), or StudyResult
        Mean wait (s) of equal shares of the jobs in order of submission. A study result supplies
        the series of a point whose waits still rise after the warm-up or, without one, of the
        point with the longest waits that meets its objective, and the rest.
    warm_up : float or array_like (replications,), optional
        Share of the jobs that is left out: one number for all replications, or one for each.
    reached : bool
        Whether a steady state was found; if not, the plot says so.
    where : str
        Description of the point of the study.
    ax : Axes, optional
        Where to draw; by default in a new figure as wide as one column of a paper.

    Raises
    ------
    InputError
        If `series` is not two-dimensional or empty, or a share is not between 0 and 1.

    Examples
    --------
    >>> import clustersim as cs
    >>> import numpy as np
    >>> waits_s = 1800 * (1 - np.exp(-np.arange(40) / 6))
    >>> ax = cs.plots.plot_warm_up([waits_s, 1.1 * waits_s], warm_up=0.3)
    >>> ax.get_xlabel()
    'jobs in order of submission, %'
    """
    if isinstance(series, StudyResult):
        options = {"warm_up": warm_up, "where": where or None}
        return plot_of_study("plot_warm_up", "warm-up", series, {}, options, ax=ax)
    waits = np.asarray(series, dtype=np.float64)
    if waits.ndim != 2 or waits.size == 0:
        raise InputError(
            "plot_warm_up", f"series must have the shape (replications, bins), found {waits.shape}"
        )
    cuts = np.atleast_1d(np.asarray([] if warm_up is None else warm_up, dtype=np.float64))
    if not ((cuts >= 0) & (cuts <= 1)).all():
        raise InputError("plot_warm_up", f"warm_up must be between 0 and 1, found {shown(warm_up)}")
    bins = waits.shape[1]
    place = (np.arange(bins) + 0.5) / bins
    mean = np.ma.masked_invalid(waits).mean(axis=0).filled(np.nan)
    smooth = moving_average(mean, max(1, bins // 10))
    with plot_style(ax):
        ax = panel(ax)
        share = Axis("jobs in order of submission", "%", 0.01, logarithmic=False)
        x_axis = set_axis(ax, "x", share, [0.0, 1.0], room=(0.0, 0.0), from_zero=False)
        wait = Axis("mean wait of a share of the jobs", dimension="duration", logarithmic=False)
        y_axis = set_axis(ax, "y", wait, waits, room=(0.06, 0.16))
        for replication in waits:
            ax.plot(place, replication, color=_THIN, lw=0.6, alpha=0.8)
        ax.plot(place, mean, color=_MEAN, lw=0.9)
        ax.plot(place, smooth, color=_SMOOTH, lw=2.2)
        _draw_cuts(ax, cuts, reached)
        ends = [EndLabel("moving average", place[-1], float(smooth[-1]), _SMOOTH)]
        if len(waits) > 1:
            highest = float(np.fmax.reduce(waits[:, -1]))
            ends += [
                EndLabel("mean", place[-1], float(mean[-1]), _MEAN),
                EndLabel(f"each of {len(waits)} runs", place[-1], highest, "#6b6b6b"),
            ]
        label_ends(ax, ends)
        at = f": {where}" if where else ""
        dress(ax, f"mean wait of consecutive jobs{at}", x=x_axis.title, y=y_axis.title)
    return ax


def _draw_cuts(ax: Axes, cuts: Floats, reached: bool) -> None:
    """Draw where the warm-up ends, and label the side with more space."""
    if not reached:
        describe(ax, "The waits still change at the end: longer runs are needed.")
    middle = float(np.median(cuts)) if len(cuts) else 0.0
    words: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "color": _CUT, "va": "top"}
    if not reached:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        ax.text(0.5, 0.96, "no steady state found", ha="center", bbox=box, **words)
    elif len(cuts) and middle < 0.5:
        ax.text(middle + 0.015, 0.96, "measured →", ha="left", **words)
    elif len(cuts):
        ax.text(middle - 0.015, 0.96, "← left out", ha="right", **words)
    if len(cuts):
        ax.axvspan(0.0, middle, color="#999999", alpha=0.15, lw=0)
        ax.axvline(middle, color=_CUT, lw=1.2)
        describe(ax, f"Grey: the first {100 * middle:.3g} % of the jobs, left out as warm-up.")
    if len(cuts) and cuts.max() > cuts.min():
        ax.axvspan(float(cuts.min()), float(cuts.max()), color=_CUT, alpha=0.2, lw=0)
        describe(ax, "Band: start of the measurement in each run; line: its median.")
