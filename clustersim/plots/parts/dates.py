"""Axes of simulated time that show dates, if the date of time 0 is known."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from clustersim.array_types import Floats
from clustersim.calendar import Calendar
from clustersim.plots.axis import Axis
from clustersim.plots.figure import SINGLE, panel_width
from clustersim.plots.parts.ticks import finite, set_axis

__all__ = ["date_axis", "date_ticks", "date_title", "set_time_axis"]

_FEWEST, _MOST, _MOST_NARROW = 3, 7, 4
_UNTYPED: Any = dates
"""Functions of matplotlib without types."""


def date_ticks(
    calendar: Calendar, begin_s: float, end_s: float, *, most: int = _MOST
) -> tuple[Floats, list[str]]:
    """Return ticks at round local dates, and their labels.

    Parameters
    ----------
    calendar : Calendar
        A calendar with a date.
    begin_s, end_s : float
        Ends of the axis, in seconds since time 0.
    most : int
        Most ticks.

    Returns
    -------
    tick_s : float64 array
        Seconds since time 0.
    labels : list of str
        What differs from tick to tick; :func:`date_title` has the rest.

    Raises
    ------
    ValueError
        If the calendar has no date, or an end is beyond the year 9999.

    Examples
    --------
    >>> tick_s, labels = date_ticks(Calendar(datetime(2026, 1, 29)), 0.0, 4 * 86400.0)
    >>> (tick_s / 86400).tolist(), labels
    ([0.0, 1.0, 2.0, 3.0, 4.0], ['29', '30', '31', 'Feb', '02'])
    """
    zone: tzinfo = UTC if calendar.start is None else calendar.start.tzinfo or UTC
    locator = _UNTYPED.AutoDateLocator(tz=zone, minticks=_FEWEST, maxticks=most)
    formatter = _UNTYPED.ConciseDateFormatter(locator, tz=zone)
    begin, end = (_zoned(calendar.at(time_s), zone) for time_s in (begin_s, end_s))
    numbers = locator.tick_values(begin, end)
    # In UTC, because the difference of two local times leaves out clock changes.
    first = _zoned(calendar.at(0.0), zone).astimezone(UTC)
    tick_s = np.array(
        [(_UNTYPED.num2date(each, tz=UTC) - first).total_seconds() for each in numbers]
    )
    inside = (tick_s >= begin_s - 1e-6) & (tick_s <= end_s + 1e-6)
    kept = [number for number, keep in zip(numbers, inside, strict=True) if keep]
    return np.round(tick_s[inside], 3), formatter.format_ticks(kept)


def _zoned(moment: datetime, zone: tzinfo) -> datetime:
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def set_time_axis(
    ax: Axes,
    which: Literal["x", "y"],
    times_s: npt.ArrayLike,
    calendar: Calendar,
    *,
    label: str = "simulated time",
    room: tuple[float, float] = (0.0, 0.01),
    from_zero: bool = True,
) -> str:
    """Set limits and ticks of an axis of simulated seconds; return its title.

    With a date at time 0, the ticks are at local dates; otherwise they are durations. The
    coordinates are seconds in either case.

    Parameters
    ----------
    ax : Axes
    which : {"x", "y"}
    times_s : array_like
        Values that determine the limits.
    calendar : Calendar
    label : str
        Label of the axis without dates.
    room, from_zero
        As in :func:`~clustersim.plots.parts.ticks.set_axis`.

    Examples
    --------
    >>> from clustersim.plots import study_figure
    >>> ax = study_figure().panels[0]
    >>> set_time_axis(ax, "x", [0.0, 86400.0], Calendar(datetime(2026, 4, 1)))
    'date and time from 2026-04-01'
    >>> set_time_axis(ax, "x", [0.0, 86400.0], Calendar())
    'simulated time, h'
    """
    axis = Axis(label, dimension="duration", logarithmic=False)
    fits = set_axis(ax, which, axis, times_s, room=room, from_zero=from_zero)
    if not calendar.is_dated or not len(finite(times_s)):
        return fits.title
    try:
        return date_axis(ax, which, calendar)
    except ValueError:  # beyond the year 9999
        return f"{label} since {calendar.text(0.0)}, {fits.unit}"


def date_axis(ax: Axes, which: Literal["x", "y"], calendar: Calendar) -> str:
    """Put dates on an axis of simulated seconds whose limits are set; return its title."""
    line: Any = ax.xaxis if which == "x" else ax.yaxis
    low, high = sorted(line.get_view_interval())
    few = which == "x" and panel_width(ax) < 1.4 * SINGLE
    most = _MOST_NARROW if few else _MOST
    tick_s, labels = date_ticks(calendar, float(low), float(high), most=most)
    line.set_major_locator(FixedLocator(tick_s.tolist()))
    line.set_major_formatter(FixedFormatter(labels))
    line.set_minor_locator(NullLocator())
    return date_title(calendar, tick_s)


def date_title(calendar: Calendar, tick_s: Floats) -> str:
    """Return the title of an axis with ticks at dates: what their labels lack, and the time zone.

    Examples
    --------
    >>> start = Calendar(datetime(2026, 4, 1))
    >>> date_title(start, np.array([0.0, 5 * 86400.0])), date_title(start, np.array([3600.0]))
    ('date in 2026-04', 'time on 2026-04-01')
    """
    if not len(tick_s):
        return f"time since {calendar.text(0.0)}"
    moments = [calendar.at(float(time_s)) for time_s in tick_s]
    first, last = moments[0], moments[-1]
    if any(moment.hour or moment.minute or moment.second for moment in moments):
        same = first.date() == last.date()
        title = f"time on {first:%Y-%m-%d}" if same else f"date and time from {first:%Y-%m-%d}"
    elif (first.year, first.month) == (last.year, last.month):
        title = f"date in {first:%Y-%m}"
    elif any(moment.day > 1 for moment in moments):
        title = f"date from {first:%Y-%m-%d}"
    elif first.year == last.year:
        title = f"date in {first:%Y}"
    else:
        title = f"date from {first:%Y-%m}"
    return f"{title} ({calendar.time_zone})" if calendar.time_zone else title
