"""Numbers written next to points, for intervals that are too short to read from a picture."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.figure import text_width, type_size
from clustersim.plots.parts.intervals import Ends

__all__ = ["interval_text", "signed", "write_numbers"]

_GAP = 7.0
"""Distance between a point and its number, in points."""


def signed(axis: Axis, value: float) -> str:
    """Return a difference in the unit of an axis, with its sign."""
    text = axis.number(value)
    return f"+{text}" if value > 0 and np.isfinite(value) else text


def interval_text(axis: Axis, ends: Ends | None, row: int, value: float) -> str:
    """Return a difference with its interval, such as ``−0.9 (−1.4 to −0.3)``.

    Parameters
    ----------
    axis : Axis
        Axis with the unit of the numbers.
    ends : Ends or None
        Intervals of all rows.
    row : int
    value : float
    """
    if ends is None or not ends.known[row]:
        return signed(axis, value)
    numbers = np.array([value, ends.low[row], ends.high[row]]) / axis.scale
    largest = np.abs(numbers[np.isfinite(numbers)]).max()
    decimals = max(0, min(3, 2 - math.floor(math.log10(largest)))) if largest else 0
    text, low, high = (f"{number:z,.{decimals}f}".replace("-", "−") for number in numbers)
    text = f"+{text}" if value > 0 else text
    if ends.open_low[row] and ends.open_high[row]:
        return f"{text} (not determined)"
    if ends.open_low[row]:
        return f"{text} (up to {high})"
    return f"{text} (from {low})" if ends.open_high[row] else f"{text} ({low} to {high})"


def write_numbers(
    ax: Axes, x: Floats, values: pd.Series, axis: Axis, ends: Ends | None, slot: float
) -> None:
    """Write each finite difference to the right of its point, with its interval if that fits.

    The x axis becomes longer for the last text.

    Parameters
    ----------
    ax : Axes
    x : array (rows,)
    values : Series (rows,)
    axis : Axis
        Axis with the unit of the numbers.
    ends : Ends or None
        Intervals of the rows.
    slot : float
        Distance between the points, in points.
    """
    size = type_size(ax) - 0.5
    known = [row for row, value in enumerate(values) if np.isfinite(value)]
    whole = {row: interval_text(axis, ends, row, float(values.iloc[row])) for row in known}
    widest = max((text_width(text, size) for text in whole.values()), default=0.0) + 2.0 * _GAP
    low, high = ax.get_xlim()
    length = slot * (high - low)
    # The room of the last text beyond its point, in slots; the slots become smaller by it.
    room = max(0.5, widest * (high - low - 0.5) / max(length - widest, 1.0))
    fits = widest * (high - low - 0.5 + room) < 0.9 * length
    if fits:
        ax.set_xlim(low, high - 0.5 + room)
    for row in known:
        value = float(values.iloc[row])
        ax.annotate(
            whole[row] if fits else signed(axis, value),
            (x[row], value),
            (_GAP, 0),
            textcoords="offset points",
            va="center",
            fontsize=size,
            parse_math=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
