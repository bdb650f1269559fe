"""Scales, limits and ticks of an axis, in a suitable unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from clustersim.array_types import Floats
from clustersim.plots.axis import Axis
from clustersim.plots.figure import SINGLE, panel_width

__all__ = ["finite", "set_axis", "set_ticks"]

_SPAN = 1e4
"""The logarithmic part of a duration scale spans at most this factor, up to the largest value."""
_TICKED = 0.06
"""Room for ticks beyond the values, as a share of their span; marks may have more room."""
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
    below_zero: bool = False,
) -> Axis:
    """Set scale, limits and ticks of an axis for the data along it.

    Durations over a wide range get a scale that is linear up to a power of ten of its unit and
    logarithmic above it, so that waits of zero are visible.

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
    below_zero : bool
        Whether the room below a smallest value of zero is kept, for marks that are not values.

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
        threshold = _threshold(numbers, fits)
        low = 0.0
        getattr(ax, f"set_{which}scale")("symlog", linthresh=threshold, linscale=0.5)
        fits = replace(
            fits,
            label=f"{axis.label} (log above {fits.number(threshold)} {fits.unit})",
        )
    elif fits.logarithmic:
        getattr(ax, f"set_{which}scale")("log")
    elif from_zero and 0 <= low <= 0.5 * high:
        low = 0.0
    if low == 0 and (from_zero or fits.logarithmic) and not below_zero:
        room = (0.0, room[1])
    getattr(ax, f"set_{which}lim")(*_with_room(line.get_transform(), low, high, room))
    near = min(room[0], _TICKED), min(room[1], _TICKED)
    limits = _with_room(line.get_transform(), low, high, near)
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


def _threshold(numbers: Floats, axis: Axis) -> float:
    """Return the power of ten of the unit below which the scale is linear."""
    positive = numbers[numbers > 0]
    if len(positive) == 0:
        return axis.scale
    least = max(float(positive.min()), float(positive.max()) / _SPAN)
    return float(10.0 ** math.floor(math.log10(least / axis.scale) + 1e-9) * axis.scale)


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
        Axis fitted to the numbers. All ticks are in its unit.
    numbers : array_like
    limits : (float, float)
        Limits of the ticks.
    few : bool
        Whether there is room for only about four ticks.
    """
    known = finite(numbers)
    line.set_minor_locator(NullLocator())
    if axis.logarithmic and axis.dimension == "duration":
        ticks = _duration_ticks(known, axis, limits)
        line.set_major_locator(FixedLocator(ticks))
        line.set_major_formatter(FixedFormatter([axis.number(tick, 6) for tick in ticks]))
        return
    line.set_major_formatter(FuncFormatter(lambda value, _: axis.number(value, 6)))
    if axis.logarithmic:
        line.set_major_locator(FixedLocator(_logarithmic_ticks(known, axis, limits)))
    else:
        least = limits[0] if (known < 0).any() else max(limits[0], 0.0)
        line.set_major_locator(_UnitLocator(axis.scale, 4 if few else 6, (least, limits[1])))


def _duration_ticks(numbers: Floats, axis: Axis, limits: tuple[float, float]) -> list[float]:
    """Return ticks at round numbers of the unit, and at zero if it is visible."""
    least = max(_threshold(numbers, axis), limits[0])
    ticks = _round_ticks(axis, (least, max(limits[1], least)), ((1,), (1, 3), (1, 2, 5)))
    return [0.0, *ticks] if limits[0] <= 0 else ticks


def _round_ticks(
    axis: Axis, limits: tuple[float, float], ladders: Sequence[Sequence[int]]
) -> list[float]:
    """Return round numbers of the unit, from the first ladder that gives enough of them."""
    first = math.floor(math.log10(limits[0] / axis.scale) + 1e-9)
    last = math.ceil(math.log10(limits[1] / axis.scale))
    ticks: list[float] = []
    for steps in ladders:
        ticks = [step * 10.0**k * axis.scale for k in range(first, last + 1) for step in steps]
        ticks = [tick for tick in ticks if limits[0] * (1 - 1e-9) <= tick <= limits[1]]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks


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
    """Places ticks at round numbers of a unit, within limits, on an axis in SI."""

    def __init__(self, unit: float, most: int, limits: tuple[float, float]) -> None:
        super().__init__(nbins=most, steps=[1, 2, 2.5, 5, 10])
        self.unit, self.limits = unit, limits

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        values = super().tick_values(vmin / self.unit, vmax / self.unit)
        low, high = self.limits
        slack = 1e-9 * (high - low)
        ticks = [value * self.unit for value in values]
        return [tick for tick in ticks if low - slack <= tick <= high + slack]
