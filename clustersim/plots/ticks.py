"""Scales, limits and ticks of an axis, in a suitable unit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.figure import SINGLE, panel_width
from clustersim.units import format_duration

__all__ = ["finite", "set_axis", "set_ticks"]

_DURATIONS = (1e-3, 1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
_FINE_DURATIONS = tuple(
    step * unit
    for unit, steps in (
        (1.0, (1, 2, 5, 10, 20, 30)),
        (60.0, (1, 2, 5, 10, 20, 30)),
        (3600.0, (1, 2, 4, 8, 12)),
        (86400.0, (1, 2, 4, 7, 14, 30, 60, 120, 365)),
    )
    for step in steps
)
_SPAN = 1e4
"""The logarithmic part of a duration scale spans at most this factor, up to the largest value."""
_MOST_TICKS, _FEWEST_TICKS = 7, 3
_CLOSEST_TICKS = 0.09
"""Least distance between two parameter values that both get a tick, as a share of the axis."""


def finite(*columns: npt.ArrayLike) -> Floats:
    """Return all finite numbers of some columns, concatenated."""
    numbers = np.concatenate([np.asarray(column, dtype=np.float64).ravel() for column in columns])
    return np.asarray(numbers[np.isfinite(numbers)])


def set_axis(
    ax: Axes,
    which: Literal["x", "y"],
    axis: Axis,
    values: npt.ArrayLike,
    *,
    edges: npt.ArrayLike = (),
    room: tuple[float, float] = (0.04, 0.06),
    from_zero: bool = True,
) -> Axis:
    """Set scale, limits and ticks of an axis for the data along it.

    Durations over a wide range get a scale that is linear up to a round duration and logarithmic
    above it, so that waits of zero are visible.

    Parameters
    ----------
    ax : Axes
    which : {"x", "y"}
    axis : Axis
    values : array_like
        Values that determine the scale; values that are not finite are ignored.
    edges : array_like
        Edges of bands. They are visible too, unless the axis would then extend below zero or far
        down a logarithmic scale.
    room : (float, float)
        Margins below the smallest and above the largest value, as shares of their distance.
    from_zero : bool
        Whether a linear axis of positive numbers starts at zero, if the numbers then still fill
        half of it.

    Returns
    -------
    Axis
        The axis with the chosen unit; its title is the label to write.
    """
    numbers = finite(values)
    fits = axis.fitted(numbers)
    line: Any = ax.xaxis if which == "x" else ax.yaxis
    if len(numbers) == 0:
        line.set_major_locator(NullLocator())
        return fits
    low, high = _span(numbers, finite(edges), fits)
    if fits.logarithmic and axis.dimension == "duration":
        threshold = _threshold(numbers)
        low = 0.0
        getattr(ax, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
        fits = replace(
            fits,
            label=f"{axis.label} (log above {format_duration(threshold, whole=True)})",
            unit="",
        )
    elif fits.logarithmic:
        getattr(ax, f"set_{which}scale")("log")
    elif from_zero and 0 <= low <= 0.5 * high:
        low = 0.0
    if low == 0 and (from_zero or fits.logarithmic):
        room = (0.0, room[1])
    limits = _with_room(line.get_transform(), low, high, room)
    getattr(ax, f"set_{which}lim")(*limits)
    set_ticks(line, fits, numbers, limits, few=which == "x" and panel_width(ax) < 1.4 * SINGLE)
    return fits


def _span(numbers: Floats, edges: Floats, axis: Axis) -> tuple[float, float]:
    """Return the smallest and the largest number to show, which are never equal."""
    low, high = float(numbers.min()), float(numbers.max())
    least = low / 3.0 if axis.logarithmic else min(low, 0.0)
    if low >= 0:
        edges = np.maximum(edges, least)
    if axis.dimension == "share" and high <= 1:
        edges = np.minimum(edges, 1.0)
    low, high = min(low, *edges, low), max(high, *edges, high)
    if low < high:
        return low, high
    if axis.logarithmic and low > 0:
        return low / 2.0, high * 2.0
    return (low - 0.1 * abs(low), high + 0.1 * abs(high)) if low else (0.0, axis.scale)


def _threshold(numbers: Floats) -> float:
    """Return the round duration below which the scale is linear."""
    positive = numbers[numbers > 0]
    if len(positive) == 0:
        return 1.0
    least = max(float(positive.min()), float(positive.max()) / _SPAN)
    return max((tick for tick in _DURATIONS if tick <= least), default=min(_DURATIONS))


def _with_room(
    transform: Any, low: float, high: float, room: tuple[float, float]
) -> tuple[float, float]:
    ends = transform.transform(np.array([low, high]))
    span = float(ends[1] - ends[0])
    wider = np.array([ends[0] - room[0] * span, ends[1] + room[1] * span])
    lower, upper = transform.inverted().transform(wider)
    return float(lower), float(upper)


def set_ticks(
    line: Any,
    axis: Axis,
    numbers: npt.ArrayLike,
    limits: tuple[float, float],
    *,
    few: bool = False,
) -> None:
    """Set the ticks of a matplotlib axis (or colour bar) for numbers in SI.

    Parameters
    ----------
    line : matplotlib.axis.Axis
    axis : Axis
        Axis fitted to the numbers. On a logarithmic axis, each tick of a duration shows its unit.
    numbers : array_like
    limits : (float, float)
        Limits of the axis.
    few : bool
        Whether there is room for only about four ticks.
    """
    known = finite(numbers)
    line.set_minor_locator(NullLocator())
    if axis.logarithmic and axis.dimension == "duration":
        ticks = _duration_ticks(known, limits)
        line.set_major_locator(FixedLocator(ticks))
        labels = [format_duration(tick, whole=True) if tick else "0" for tick in ticks]
        line.set_major_formatter(FixedFormatter(labels))
        return
    line.set_major_formatter(FuncFormatter(lambda value, _: axis.number(value, 6)))
    if axis.logarithmic:
        line.set_major_locator(FixedLocator(_logarithmic_ticks(known, axis, limits)))
    else:
        line.set_major_locator(_UnitLocator(axis.scale, 4 if few else 6))


def _duration_ticks(numbers: Floats, limits: tuple[float, float]) -> list[float]:
    """Return ticks at round durations (coarser over a wide range), and at zero if it is visible."""
    least = max(_threshold(numbers), limits[0])
    for ladder in (_DURATIONS, _FINE_DURATIONS):
        ticks = [tick for tick in ladder if least <= tick <= limits[1]]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return [0.0, *ticks] if limits[0] <= 0 else ticks


def _logarithmic_ticks(numbers: Floats, axis: Axis, limits: tuple[float, float]) -> list[float]:
    """Return the values themselves if they are few and far apart, else round numbers."""
    own = np.unique(numbers[numbers > 0])
    span = math.log(limits[1] / limits[0])
    if len(own) <= _MOST_TICKS and (np.diff(np.log(own)) > _CLOSEST_TICKS * span).all():
        return [float(value) for value in own]
    first = math.floor(math.log10(limits[0] / axis.scale))
    last = math.ceil(math.log10(limits[1] / axis.scale))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**k * axis.scale for k in range(first, last + 1) for step in steps]
        ticks = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
        if len(ticks) <= _MOST_TICKS:
            break
    return ticks


class _UnitLocator(MaxNLocator):
    """Places ticks at round numbers of a unit, on an axis in SI."""

    def __init__(self, unit: float, most: int) -> None:
        super().__init__(nbins=most, steps=[1, 2, 2.5, 5, 10])
        self.unit = unit

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        values = super().tick_values(vmin / self.unit, vmax / self.unit)
        return [value * self.unit for value in values]
