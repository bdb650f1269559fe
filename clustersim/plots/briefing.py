"""The four figures of a briefing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clustersim.array_types import Floats
from clustersim.plots.outlook import plot_outlook
from clustersim.plots.style import colour, new_figure, style
from clustersim.plots.training.days_to_train import plot_days_to_train
from clustersim.units.formats import scale_of

__all__ = ["draw_days", "draw_divided_budget", "draw_fan", "draw_frontier"]

WIDTH, HEIGHT = 5.2, 3.3
"""Inches of a figure."""
FARTHEST = 4.0
"""Multiple of what the fleet serves up to which demand is shown."""


def draw_fan(months: pd.DataFrame, case: str, target: float) -> Figure:
    """Draw the useful capacity of a case by month.

    Parameters
    ----------
    months : DataFrame
        As for :func:`~clustersim.plots.outlook.plot_outlook`.
    case : str
    target : float
        FLOP/s.
    """
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        ax = plot_outlook(months[months["case"] == case], case, target=target, ax=_axes(figure))
        ax.set_title("", loc="left")
        ax.legend(loc="upper left", fontsize=8)
    return figure


def draw_days(table: pd.DataFrame, training: str) -> Figure:
    """Draw the days of a training by chip and number of chips.

    Parameters
    ----------
    table : DataFrame
        From :func:`clustersim.training.named_trainings.compare_trainings`.
    training : str
    """
    own = table[table["training"] == training]
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        ax = plot_days_to_train(own, training, ax=_axes(figure))
        ax.set_title("", loc="left")
    return figure


def draw_divided_budget(
    names: tuple[str, str],
    shares: Floats,
    with_stop: Floats,
    without_stop: Floats,
    expected: Floats,
    *,
    break_even: float = math.nan,
    probability: float = math.nan,
) -> Figure:
    """Draw capacity against the share of the budget for the first of two chips.

    Parameters
    ----------
    names : tuple of str
        The chips.
    shares : float array (n,)
    with_stop, without_stop, expected : float array (n,)
        Useful FLOP/s at the end.
    break_even : float
        Probability of the stop at which both ends are equally good; NaN if there is none.
    probability : float
        Assumed probability, of which `expected` is the expectation.
    """
    scale, unit = scale_of("flop rate", [float(max(with_stop.max(), without_stop.max()))])
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        ax = _axes(figure)
        for number, (values, label) in enumerate(
            ((without_stop, "without a stop"), (with_stop, "with a stop"))
        ):
            ax.plot(100 * shares, values / scale, color=colour(number), marker="o", label=label)
        label = f"expected, P(stop) {100 * probability:.0f} %"
        ax.plot(100 * shares, expected / scale, color=colour(6), ls="--", label=label)
        ax.set_ylim(0.0, 1.1 * max(with_stop.max(), without_stop.max()) / scale)
        ax.set_xlabel(f"% of the budget for {names[0]}; the rest for {names[1]}")
        ax.set_ylabel(f"useful {unit}, last months")
        title = (
            "break-even: none"
            if math.isnan(break_even)
            else (f"equally good at P(stop) = {100 * break_even:.0f} %")
        )
        ax.legend(loc="lower left", fontsize=8, title=title, title_fontsize=8)
    return figure


def draw_frontier(
    served: Sequence[float],
    trained: Sequence[float],
    equal: tuple[float, float],
    demand: Sequence[tuple[str, float]],
) -> Figure:
    """Draw training against the share of the demand that is served.

    Parameters
    ----------
    served, trained : sequence of float
        Corners of the frontier: share of the demand, and useful FLOP/s.
    equal : tuple of float
        The point at which each pool trains with its share in the file.
    demand : sequence of (str, float)
        Dates, and the demand there as a share of that on the axis.
    """
    scale, unit = scale_of("flop rate", [max(trained)])
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        ax = _axes(figure)
        x, y = 100 * np.array(served), np.array(trained) / scale
        ax.plot(x, y, color=colour(0), label="chips assigned by what they do best")
        ax.fill_between(x, y, color=colour(0), alpha=0.12, lw=0)
        mark: dict[str, Any] = {"color": colour(1), "marker": "o", "ls": "none"}
        ax.plot([100 * equal[0]], [equal[1] / scale], label="training share of the file", **mark)
        shown = [share for _, share in demand if 100 * share <= FARTHEST * x.max()]
        most = 1.05 * max(float(x.max()), *(100 * share for share in shown), 0.0)
        for date, share in demand:
            if 100 * share <= most:
                ax.axvline(100 * share, color="#777777", ls=":", lw=1.0)
                ax.annotate(
                    f"demand, {date}", (100 * share, 1.05 * float(y.max())), rotation=90,
                    fontsize=8, ha="right", va="top",
                )  # fmt: skip
        ax.set_xlim(0.0, most)
        ax.set_ylim(0.0, 1.1 * float(y.max()))
        ax.set_xlabel("% of the demand at the end that is served")
        ax.set_ylabel(f"training, useful {unit}")
        ax.legend(loc="center right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="white")
    return figure


def _axes(figure: Figure) -> Axes:
    return figure.subplots()
