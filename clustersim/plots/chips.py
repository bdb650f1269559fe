"""Figures that compare chips by the step time and the cost per token of the same jobs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from clustersim.errors import InputError, unknown_name
from clustersim.plots.style import MARKERS, colour, new_figure, style
from clustersim.units import counted

__all__ = ["draw_chip_comparison", "plot_chips"]

MEASURES = {
    "step_time_s": ("lo_s", "hi_s", "Step time", "step time (s)"),
    "cny_per_mtoken": ("lo_cny", "hi_cny", "Cost", "CNY per million tokens"),
}
ROOM = 0.72
"""Share of the height of a model's row that the markers of its chips occupy."""


def draw_chip_comparison(table: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw the step time and the cost per token of each job on each chip, in two panels.

    Parameters
    ----------
    table : DataFrame
        From :func:`clustersim.estimation.chip_comparison.compare_chips`.
    note : str
        Assumptions, printed below the panels.
    """
    models = table["model"].nunique()
    with style():
        figure = new_figure(10.0, 2.2 + 0.78 * models)
        axes = figure.subplots(1, 2, sharey=True)
        for ax, measure in zip(axes, MEASURES, strict=True):
            plot_chips(table, measure, legend=False, ax=ax)
        axes[1].tick_params(axis="y", left=False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
        if note:
            figure.supxlabel(note, fontsize=8.5, color="#444444")
    return figure


def plot_chips(
    table: pd.DataFrame, measure: str, *, legend: bool = True, ax: Axes | None = None
) -> Axes:
    """Plot one measure: a row for each model and a marker with a 90 % band for each chip.

    Parameters
    ----------
    table : DataFrame
        From :func:`clustersim.estimation.compare_chips`. Hypothetical chips have
        hollow markers and dashed bands.
    measure : {"step_time_s", "cny_per_mtoken"}
        Seconds for one optimizer step, or CNY per million tokens.
    legend : bool
        Whether to name the chips next to the axes.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    InputError
        If the measure is unknown.

    Examples
    --------
    >>> import clustersim as cs
    >>> table = cs.estimation.compare_chips({"llama3-8b": 64}, ["H200", "H20"])
    >>> ax = cs.plots.plot_chips(table, "step_time_s")
    >>> ax.get_xlabel()
    'step time (s)'
    """
    if measure not in MEASURES:
        raise InputError("plot_chips", unknown_name("measure", measure, MEASURES))
    low, high, title, unit = MEASURES[measure]
    models = list(dict.fromkeys(table["model"]))
    chips = list(dict.fromkeys(table["accelerator"]))
    with style():
        ax = new_figure().subplots() if ax is None else ax
        for index, chip in enumerate(chips):
            rows = table[table["accelerator"] == chip]
            shift = ROOM * ((index + 0.5) / len(chips) - 0.5)
            place = np.array([models.index(model) for model in rows["model"]]) + shift
            guess = bool(rows["hypothetical"].iloc[0])
            look: dict[str, Any] = {"color": colour(index)}
            ax.hlines(place, rows[low], rows[high], lw=1.5, ls=":" if guess else "-", **look)
            ax.plot(
                rows[measure],
                place,
                linestyle="none",
                marker=MARKERS[index % len(MARKERS)],
                markersize=5.5,
                markerfacecolor="white" if guess else colour(index),
                label=f"{chip} (hypothetical)" if guess else chip,
                **look,
            )
        for edge in np.arange(1, len(models)) - 0.5:
            ax.axhline(edge, color="#bbbbbb", lw=0.6)
        count = table.groupby("model")["chips"].first()
        ax.set_yticks(
            range(len(models)),
            [f"{model}\n{counted(int(count[model]), 'chip')}" for model in models],
        )
        ax.set_ylim(len(models) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlabel(unit)
        ax.set_title(title, loc="left")
        if legend:
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
