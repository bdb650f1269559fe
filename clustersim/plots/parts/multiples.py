"""Small multiples: one panel for each value of a parameter, with shared axes and one set of labels.

A plot function that can draw one panel takes `only`, a column and a value.  It derives scales,
units and colours from all rows, and draws the rows with this value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from clustersim.plots.axis import Axis, value_text
from clustersim.plots.direct_labels import EndLabel, label_ends
from clustersim.plots.figure import StudyFigure, dress
from clustersim.units import capital

if TYPE_CHECKING:
    from clustersim.plots.series import Series

__all__ = ["GROUP", "Only", "chosen", "finish", "kept", "own_rows"]

GROUP = "group of values"
"""Column of small multiples whose panels have different values on their x axes."""
Only = tuple[str, object]
"""A column, and the value in this column that a panel shows."""


def chosen(rows: pd.DataFrame, only: Only | None) -> pd.DataFrame:
    """Return the rows that a panel shows."""
    return rows if only is None else rows[(rows[only[0]] == only[1]).to_numpy()]


def own_rows(rows: pd.DataFrame, only: Only | None) -> pd.DataFrame | None:
    """Return the rows whose values alone are on the x axis of a panel; None for all rows."""
    return chosen(rows, only) if only is not None and only[0] == GROUP else None


def kept(series: Sequence[Series], only: Only | None) -> list[Series]:
    """Return the lines that a panel shows, with the colours that they have in all panels."""
    return [replace(one, rows=chosen(one.rows, only)) for one in series]


def finish(
    ax: Axes,
    title: str,
    labels: Sequence[EndLabel],
    *,
    only: Only | None,
    axes: Mapping[str, Axis] | None,
    x: str,
    y: str = "",
    heading: str = "",
) -> None:
    """Write the title, the labels of the axes and the names of the lines of a panel.

    In small multiples, the title goes above all panels, and each panel is named after its value.
    Labels and tick labels appear only at the left and at the bottom, and the names of the lines
    only at the right.  A panel has the title `heading` instead if it is given.
    """
    if only is None:
        label_ends(ax, labels)
        dress(ax, title, x=x, y=y)
        return
    figure, place = ax.figure, ax.get_subplotspec()
    if isinstance(figure, StudyFigure):
        figure.entitle(capital(title))
    last = place is None or place.colspan.stop == place.get_gridspec().ncols
    if last:
        label_ends(ax, labels)
    name = heading or value_text(*only, axes)
    dress(ax, name, x=x, y=y, capital=bool(heading) or not isinstance(only[1], str))
    if place is None:
        return
    if place.colspan.start > 0:
        ax.tick_params(axis="y", labelleft=False)
        ax.yaxis.label.set_visible(False)
    if isinstance(figure, StudyFigure) and ax in figure.panels:
        columns = place.get_gridspec().ncols
        if figure.panels.index(ax) + columns < len(figure.panels):
            # If the last row is not full, all panels have tick labels, so that none stands out.
            named = only[0] == GROUP or len(figure.panels) % columns > 0
            ax.tick_params(axis="x", labelbottom=named)
            ax.set_xlabel("")
