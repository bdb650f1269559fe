"""Days to train on each chip, by the number of chips, on a logarithmic axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from clustersim.errors import InputError, unknown_name
from clustersim.plots.style import MARKERS, colour, new_figure, style
from clustersim.units import format_count, format_quantity

__all__ = ["draw_days_to_train", "plot_days_to_train"]

ROOM = 0.78
"""Share of the height of a chip's row that the numbers of chips occupy."""
MARKS = {1.0: "1 d", 7.0: "1 week", 30.0: "30 d", 90.0: "90 d", 365.0: "1 yr", 3650.0: "10 yr"}
"""Days at which the axis has a tick, with its text."""
MARGIN = 1.6
"""Factor by which the axis goes beyond the intervals."""


def draw_days_to_train(table: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw the days of each training in a panel of its own.

    Parameters
    ----------
    table : DataFrame
        From :func:`clustersim.training.named_trainings.compare_trainings`.
    note : str
        Assumptions, printed below the panels.
    """
    trainings = list(dict.fromkeys(table["training"]))
    n_chips, n_columns = table["accelerator"].nunique(), min(2, len(trainings))
    n_rows = -(-len(trainings) // n_columns)
    with style():
        height = n_rows * (0.9 + 0.5 * n_chips) + 0.5 + 0.16 * (note.count("\n") + bool(note))
        figure = new_figure(6.2 * n_columns, height)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
        for ax, training in zip(axes.flat, trainings, strict=False):
            plot_days_to_train(table, training, legend=False, ax=ax)
        for ax in axes.flat[len(trainings) :]:
            ax.set_visible(False)
        for ax in axes[:-1].flat:
            ax.set_xlabel("")
        for ax in axes[:, 1:].flat:
            ax.tick_params(axis="y", left=False)
        handles = _handles(table)
        labels = [str(handle.get_label()) for handle in handles]
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
        if note:
            figure.supxlabel(note, fontsize=8.5, color="#444444")
    return figure


def plot_days_to_train(
    table: pd.DataFrame, training: str, *, legend: bool = True, ax: Axes | None = None
) -> Axes:
    """Plot the days of one training: a row for each chip, a mark for each number of chips.

    Lines are 90 % intervals. A number of chips on which no plan fits has a cross at the right edge.
    Hypothetical chips have hollow marks and dotted lines.

    Parameters
    ----------
    table : DataFrame
        From :func:`clustersim.training.named_trainings.compare_trainings`. The axis covers all its
        trainings.
    training : str
    legend : bool
        Whether to name the numbers of chips next to the axes.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    InputError
        If the table has no such training.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.training.named_trainings import NamedTrainings, compare_trainings
    >>> small = {"name": "small", "model": "llama3-8b", "tokens": 1e12}
    >>> spec = NamedTrainings(name="one", trainings=[small], accelerators=["H200"], counts=[64])
    >>> ax = cs.plots.plot_days_to_train(compare_trainings(spec)[0], "small")
    >>> ax.get_xlabel()
    'Time to train, failures included (90 % interval)'
    """
    trainings = list(dict.fromkeys(table["training"]))
    if training not in trainings:
        raise InputError("plot_days_to_train", unknown_name("training", training, trainings))
    chips = list(dict.fromkeys(table["accelerator"]))
    counts = sorted(set(table["count"]))
    rows = table[table["training"] == training]
    low, high = _span(table)
    with style():
        ax = new_figure(7.0, 1.0 + 0.55 * len(chips)).subplots() if ax is None else ax
        for row in rows.to_dict("records"):
            number = counts.index(row["count"])
            place = chips.index(row["accelerator"]) + ROOM * ((number + 0.5) / len(counts) - 0.5)
            _mark(ax, row, number, place, high)
        for edge in np.arange(1, len(chips)) - 0.5:
            ax.axhline(edge, color="#bbbbbb", lw=0.6)
        guessed = {row["accelerator"] for row in rows.to_dict("records") if row["hypothetical"]}
        names = [f"{chip}\n(hypothetical)" if chip in guessed else chip for chip in chips]
        ax.set_yticks(range(len(chips)), names)
        ax.set_ylim(len(chips) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        ticks = [day for day in MARKS if low <= day <= high]
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(ticks, [MARKS[day] for day in ticks])
        ax.set_xlabel("Time to train, failures included (90 % interval)")
        tokens = format_quantity(float(rows["tokens"].iloc[0]), "count", 3)
        ax.set_title(f"{training}, {tokens} tokens", loc="left")
        if legend:
            ax.legend(handles=_handles(table), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _span(table: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis, days."""
    days = table[["days_lo", "days_hi"]].to_numpy(dtype=np.float64)
    days = days[np.isfinite(days)]
    if not days.size:
        return 1.0, 1000.0
    return float(days.min()) / MARGIN, float(days.max()) * MARGIN


def _mark(ax: Axes, row: dict[Any, Any], number: int, place: float, edge: float) -> None:
    """Draw the days of one gang, or a cross at the edge if no plan fits or it never ends."""
    look: dict[str, Any] = {"color": colour(number)}
    if not np.isfinite(row["days"]):
        ax.plot(
            edge, place, marker="x", markersize=5.0, mew=1.6, clip_on=False, linestyle="none",
            gid="no plan fits", **look,
        )  # fmt: skip
        return
    guess = bool(row["hypothetical"])
    ax.hlines(place, row["days_lo"], row["days_hi"], lw=1.4, ls=":" if guess else "-", **look)
    ax.plot(
        row["days"],
        place,
        linestyle="none",
        marker=MARKERS[number % len(MARKERS)],
        markersize=4.8,
        markerfacecolor="white" if guess else colour(number),
        **look,
    )


def _handles(table: pd.DataFrame) -> list[Line2D]:
    """Return the entries of the legend: one for each number of chips, and one for the cross."""
    handles = [
        Line2D([], [], color=colour(number), marker=MARKERS[number % len(MARKERS)],
               markersize=5.0, lw=1.4, label=f"{format_count(count)} chips")
        for number, count in enumerate(sorted(set(table["count"])))
    ]  # fmt: skip
    if not np.isfinite(table["days"].to_numpy(dtype=np.float64)).all():
        label = "does not fit in memory"
        handles.append(Line2D([], [], color="#444444", marker="x", mew=1.6, lw=0.0, label=label))
    return handles
