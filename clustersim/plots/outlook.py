"""The fan of useful capacity by month: a panel for each case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clustersim.errors import InputError, unknown_name
from clustersim.plots.style import colour, new_figure, style
from clustersim.units.formats import scale_of

__all__ = ["draw_outlook", "plot_outlook"]

COLUMNS = 3
"""Largest number of panels in a row."""
_WIDTH, _HEIGHT = 3.6, 2.7
"""Inches of a panel."""
MOST_TICKS = 6


def draw_outlook(table: pd.DataFrame, *, target: float = math.nan, note: str = "") -> Figure:
    """Draw the fan of each case in a panel of its own, on common axes.

    Parameters
    ----------
    table : DataFrame
        See :func:`plot_outlook`.
    target : float
        FLOP/s, drawn as a line; NaN for none.
    note : str
        Assumptions, printed below the panels.
    """
    cases = list(dict.fromkeys(table["case"]))
    n_columns = min(COLUMNS, len(cases))
    n_rows = -(-len(cases) // n_columns)
    with style():
        figure = new_figure(_WIDTH * n_columns + 0.4, _HEIGHT * n_rows + 0.6)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        for number, ax in enumerate(axes.flat):
            if number < len(cases):
                plot_outlook(table, cases[number], target=target, ax=ax)
                ax.tick_params(labelbottom=number + n_columns >= len(cases))
            else:
                ax.set_visible(False)
        for ax in axes[:, 1:].flat:
            ax.set_ylabel("")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
        if note:
            figure.supxlabel(note, fontsize=8.0, color="#444444")
    return figure


def plot_outlook(
    table: pd.DataFrame, case: str, *, target: float = math.nan, ax: Axes | None = None
) -> Axes:
    """Plot the useful capacity of a case by month.

    The band is P10 to P90 of what may be delivered, the line the mean, the dotted lines the 90 %
    interval of the median over the coefficients of the performance model.

    Parameters
    ----------
    table : DataFrame
        ``case``, ``month``, ``mean_flop_per_s``, ``p10_flop_per_s``, ``p90_flop_per_s``,
        ``model_low_flop_per_s`` and ``model_high_flop_per_s``. The axis covers all cases.
    case : str
    target : float
        FLOP/s, drawn as a line; NaN for none.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    InputError
        If the table has no such case.
    """
    own = table[table["case"] == case]
    if not len(own):
        raise InputError("outlook", unknown_name("case", case, list(dict.fromkeys(table["case"]))))
    columns = [name for name in table if str(name).endswith("_flop_per_s")]
    largest = float(np.nanmax([*table[columns].to_numpy().ravel(), target]))
    scale, unit = scale_of("flop rate", [largest])
    with style():
        ax = new_figure().subplots() if ax is None else ax
        at = np.arange(len(own))

        def values(name: str) -> Sequence[float]:
            return (own[f"{name}_flop_per_s"] / scale).to_list()

        band: dict[str, Any] = {"color": colour(0), "alpha": 0.25, "lw": 0}
        ax.fill_between(at, values("p10"), values("p90"), label="P10 to P90", **band)
        ax.plot(at, values("mean"), color=colour(0), label="mean")
        if own["model_low_flop_per_s"].notna().any():
            dots: dict[str, Any] = {"color": "#555555", "ls": ":", "lw": 1.0}
            ax.plot(at, values("model_low"), label="model uncertainty, 90 %", **dots)
            ax.plot(at, values("model_high"), **dots)
        if not math.isnan(target):
            ax.axhline(target / scale, color=colour(1), ls="--", lw=1.0, label="target")
        every = -(-len(own) // MOST_TICKS)
        ax.set_xticks(at[::every], [str(name) for name in own["month"].iloc[::every]])
        ax.tick_params(axis="x", rotation=30)
        ax.set_ylim(0.0, 1.05 * largest / scale)
        ax.set_ylabel(f"useful {unit}")
        ax.set_title(case, loc="left")
    return ax
