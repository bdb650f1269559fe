"""The calendar of a run: the local date and time at each simulated time.

Simulated time is the number of seconds since time 0.  A calendar states the local date, the local
time and the time zone at time 0.  The hour of the day, the day of the week and the month at any
other time follow from these.  Between two changes of daylight saving time, the local clock advances
like simulated time.  A calendar is therefore a short list of shifts, and its functions work on
whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.time_zones import (
    DAY_S,
    clock_changes,
    parse_zone,
    utc_offset_s,
    zone_name,
)
from clustersim.units import SECONDS_PER_YEAR, format_duration

__all__ = [
    "DAY_S",
    "HOUR_S",
    "UNDATED",
    "WEEK_S",
    "Calendar",
    "period_ends_s",
    "piece_of",
]

HOUR_S, WEEK_S = 3600.0, 604800.0
WHOLE_MONTHS_S = 2 * DAY_S
"""Largest difference (seconds) between a horizon and the end of a month for which the horizon
counts as a whole number of months.  It allows for years of 365.25 d."""
LAST_CHANGE_YEARS = 200
"""Clock changes are computed for this many years; later changes are unknown and are ignored."""
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The local date and time at time 0, and the rules by which the local clock advances.

    Attributes
    ----------
    start : datetime or None
        Local date and time at time 0.  If its `tzinfo` is a zone, the local clock follows that zone
        including daylight saving time; otherwise every day has 24 hours.  If `start` is None, no
        date is known: time 0 is midnight on a Monday, and every day has 24 hours.

    Examples
    --------
    >>> night = Calendar(datetime(2026, 3, 28, 18, tzinfo=ZoneInfo("Europe/Berlin")))
    >>> night.hour_of_week(np.array([0.0, 7 * 3600.0, 8 * 3600.0])).tolist()  # clocks skip hour 2
    [138, 145, 147]
    >>> night.text(8 * 3600.0), Calendar().text(8 * 3600.0)
    ('2026-03-29 03:00', 'Monday 08:00')
    """

    start: datetime | None = None

    @property
    def is_dated(self) -> bool:
        """Whether the date of time 0 is known."""
        return self.start is not None

    @property
    def time_zone(self) -> str | None:
        """Name of the zone, such as ``Asia/Shanghai`` or ``UTC+05:30``; None without a zone."""
        return None if self.start is None else zone_name(self.start.tzinfo)

    def __eq__(self, other: object) -> bool:
        """Return whether date, time and zone are equal; the same instant is not enough."""
        return isinstance(other, Calendar) and self.document() == other.document()

    def __hash__(self) -> int:
        return hash(tuple(self.document().values()))

    def document(self) -> dict[str, str]:
        """Return the calendar as plain data; :meth:`of_document` is the inverse.

        Examples
        --------
        >>> Calendar(datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))).document()
        {'start': '2026-01-01T00:00:00+08:00', 'time_zone': 'Asia/Shanghai'}
        """
        if self.start is None:
            return {}
        data = {"start": self.start.isoformat()}
        return data if self.time_zone is None else {**data, "time_zone": self.time_zone}

    @classmethod
    def of_document(cls, data: Mapping[str, Any]) -> Calendar:
        """Create a calendar from the data that :meth:`document` returns.

        Examples
        --------
        >>> there = Calendar(datetime(2026, 10, 25, 1, tzinfo=ZoneInfo("Europe/Berlin")))
        >>> Calendar.of_document(there.document()) == there
        True
        """
        if "start" not in data:
            return cls()
        start = datetime.fromisoformat(data["start"])
        zone = data.get("time_zone")
        return cls(start if zone is None else start.astimezone(parse_zone(zone)))

    def local_s(self, time_s: npt.ArrayLike) -> Floats:
        """Return the local time in seconds since the last Monday midnight at or before time 0.

        Parameters
        ----------
        time_s : array_like of float
            Times of the simulation, in seconds.

        Returns
        -------
        float64 array
            Same shape as `time_s`.  Its value modulo 86,400 is the second of the day; modulo
            604,800, it is the second of the week.
        """
        times = np.asarray(time_s, dtype=np.float64)
        begin_s, shift_s = self.shifts(float(times.max(initial=0.0)))
        return np.asarray(times + shift_s[piece_of(begin_s, times)])

    def times_of(self, local_s: npt.ArrayLike) -> Floats:
        """Return the simulated time at which the local clock first reaches each local time.

        Parameters
        ----------
        local_s : array_like of float
            Local times, as :meth:`local_s` returns them.

        Returns
        -------
        float64 array
            Same shape.  A local time that the clock skips maps to the time of the clock change.

        Examples
        --------
        >>> night = Calendar(datetime(2026, 3, 28, 18, tzinfo=ZoneInfo("Europe/Berlin")))
        >>> night.times_of(night.local_s([0.0, 30000.0])).tolist()
        [0.0, 30000.0]
        """
        local = np.asarray(local_s, dtype=np.float64)
        begin_s, shift_s = self.shifts(float(local.max(initial=0.0)) + DAY_S)
        return _times_of(local, begin_s, shift_s)

    def integral_until(self, time_s: npt.ArrayLike, of_local: Callable[[Floats], Floats]) -> Floats:
        """Integrate a rate that depends on local time, from time 0 to each of the given times.

        Parameters
        ----------
        time_s : array_like of float
            Times of the simulation, in seconds.
        of_local : callable
            Integral of the rate over local time, from any fixed local time to each element of an
            array; see :meth:`local_s`.

        Returns
        -------
        float64 array
            Same shape as `time_s`.  Hours that the clock skips do not count; hours that it repeats
            count twice.
        """
        times = np.asarray(time_s, dtype=np.float64)
        begin_s, shift_s = self.shifts(float(times.max(initial=0.0)))
        first = of_local(begin_s + shift_s)
        whole = of_local(begin_s[1:] + shift_s[:-1]) - first[:-1]
        before = np.concatenate([[0.0], np.cumsum(whole)]) - first
        piece = piece_of(begin_s, times)
        return np.asarray(before[piece] + of_local(times + shift_s[piece]))

    def hour_of_week(self, time_s: npt.ArrayLike) -> Ints:
        """Return the local hour of the week, 0 (Monday, 00:00) to 167."""
        return (self.local_s(time_s) // HOUR_S).astype(np.int64) % 168

    def hour_edges_s(self, until_s: float) -> Floats:
        """Return the starts of local hours: time 0, then each full hour before `until_s`.

        An hour that a clock change shortens ends at the change.

        Examples
        --------
        >>> Calendar(datetime(2026, 1, 1, 8, 45)).hour_edges_s(7200.0).tolist()
        [0.0, 900.0, 4500.0]
        """
        begin_s, shift_s = self.shifts(until_s)
        ends_s = np.append(begin_s[1:], until_s)
        parts = []
        for begin, end, shift in zip(begin_s, ends_s, shift_s, strict=True):
            first = np.ceil((begin + shift) / HOUR_S)
            full = np.arange(first, np.ceil((end + shift) / HOUR_S)) * HOUR_S - shift
            parts += [[begin], full[full > begin]]
        edges = np.concatenate(parts)
        return edges[edges < until_s] if until_s > 0 else edges[:1]

    def month_edges_s(self, until_s: float) -> Floats:
        """Return the starts (local midnight) of the months after time 0 and before `until_s`.

        Raises
        ------
        ValueError
            If the calendar has no date.

        Examples
        --------
        >>> (Calendar(datetime(2026, 1, 31)).month_edges_s(60 * 86400.0) / 86400).tolist()
        [1.0, 29.0]
        """
        if self.start is None:
            raise ValueError("a calendar without a start date has no months")
        begin_s, shift_s = self.shifts(until_s)
        start, monday = _wall(self.start), np.datetime64(_monday(self.start), "s")
        first = np.datetime64(start, "M")
        last = monday + np.timedelta64(int(until_s + shift_s.max() + DAY_S), "s")
        months = np.arange(first + 1, last.astype("datetime64[M]") + 1)
        local_s = (months.astype("datetime64[s]") - monday).astype(np.float64)
        edges = _times_of(local_s, begin_s, shift_s)
        return edges[(edges > 0) & (edges < until_s)]

    def at(self, time_s: float) -> datetime:
        """Return the local date and time at a simulated time.

        Raises
        ------
        ValueError
            If the calendar has no date, or the time is beyond the year 9999.
        """
        if self.start is None:
            raise ValueError("a calendar without a start date has no dates")
        zone = self.start.tzinfo
        try:
            if zone is None:
                return self.start + timedelta(seconds=time_s)
            return (self.start.astimezone(UTC) + timedelta(seconds=time_s)).astimezone(zone)
        except OverflowError:
            raise ValueError(f"{time_s:g} s after {self.start} is beyond the year 9999") from None

    def iso(self, time_s: float) -> str:
        """Return the local date and time in ISO 8601, to the second, with the offset from UTC.

        The text is empty if the calendar has no date or the time is beyond the year 9999.
        """
        try:
            return self.at(time_s).isoformat(timespec="seconds")
        except ValueError:
            return ""

    def iso_texts(self, time_s: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Return :meth:`iso` of each time.

        Fractions of a second are cut off. The text is empty for a time that is NaN.

        Examples
        --------
        >>> Calendar(datetime(2026, 1, 1)).iso_texts([90.5, float("nan")]).tolist()
        ['2026-01-01T00:01:30', '']
        """
        times = np.asarray(time_s, dtype=np.float64)
        texts = np.full(times.shape, "", dtype=object)
        known = np.isfinite(times)
        if self.start is None or not known.any():
            return texts
        last_s = float(times[known].max())
        if not self.iso(last_s):  # beyond the year 9999
            texts[known] = [self.iso(time) for time in times[known].tolist()]
            return texts
        begin_s, shift_s = self.shifts(last_s)
        piece = np.broadcast_to(piece_of(begin_s, times[known]), int(known.sum()))
        monday = np.datetime64(_monday(self.start), "us")
        # Microseconds, as in datetime: rounding to seconds first would move 59.9999999 s.
        micros = np.round(1e6 * (times[known] + shift_s[piece])).astype("timedelta64[us]")
        local = np.datetime_as_string((monday + micros).astype("datetime64[s]")).astype(object)
        if self.start.tzinfo is not None:
            ends = [self.iso(begin)[19:] for begin in begin_s.tolist()]
            local = local + np.array(ends, dtype=object)[piece]
        texts[known] = local
        return texts

    def text(self, time_s: float) -> str:
        """Return the local date and time as a short text, to the minute.

        Without a date, the text is the day of the week and the time.
        """
        if self.start is None:
            day, second = divmod(time_s % WEEK_S, DAY_S)
            return f"{_DAYS[int(day)]} {int(second // HOUR_S):02}:{int(second % HOUR_S // 60):02}"
        try:
            return f"{self.at(time_s):%Y-%m-%d %H:%M}"
        except ValueError:
            return f"{time_s / SECONDS_PER_YEAR:,.0f} years after {self.start:%Y-%m-%d}"

    def period(self, begin_s: float, end_s: float) -> str:
        """Return a period as a text: of dates or, without a date, of times.

        Examples
        --------
        >>> Calendar().period(0.0, 7200.0), Calendar(datetime(2026, 4, 1)).period(0.0, 7200.0)
        ('0 s to 2 h', '2026-04-01 00:00 to 2026-04-01 02:00')
        """
        if self.is_dated:
            return f"{self.text(begin_s)} to {self.text(end_s)}"
        return f"{format_duration(begin_s)} to {format_duration(end_s)}"

    def __str__(self) -> str:
        """Describe time 0 in a phrase."""
        if self.start is None:
            return "midnight on a Monday (no date, days of 24 hours)"
        zone = self.time_zone or "no time zone, days of 24 hours"
        shown = self.start.strftime("%Y-%m-%d %H:%M" + (":%S" if self.start.second else ""))
        return f"{_DAYS[self.start.weekday()]}, {shown} ({zone})"

    def shifts(self, until_s: float) -> tuple[Floats, Floats]:
        """Return the pieces of time in which the local clock is ahead by a constant shift.

        Parameters
        ----------
        until_s : float
            Clock changes up to this time are included, in seconds.

        Returns
        -------
        begin_s : float64 array (pieces,)
            Start of each piece, ascending from 0.
        shift_s : float64 array (pieces,)
            Local time (see :meth:`local_s`) minus simulated time in each piece.
        """
        if self.start is None:
            return np.zeros(1), np.zeros(1)
        zone = self.start.tzinfo
        wall = _wall(self.start)
        shift_s = (wall - _monday(self.start)).total_seconds()
        if not isinstance(zone, ZoneInfo):
            return np.zeros(1), np.array([shift_s])
        first = self.start.astimezone(UTC)
        years = int(min(max(until_s, 0.0) / (365.0 * DAY_S), LAST_CHANGE_YEARS)) + 1
        begin_s, shifts = [0.0], [shift_s]
        own_s = utc_offset_s(self.start)
        epoch_s = first.timestamp()
        for year in range(first.year, min(first.year + years, 9998) + 1):
            for moment_s, offset_s in clock_changes(zone.key, year):
                if moment_s > epoch_s:
                    begin_s.append(moment_s - epoch_s)
                    shifts.append(shift_s + offset_s - own_s)
        kept = np.array(begin_s) <= max(until_s, 0.0)
        return np.array(begin_s)[kept], np.array(shifts)[kept]


def piece_of(begins: Floats, values: Floats) -> npt.NDArray[np.intp] | int:
    """Return the index of the piece that contains each value; the scalar 0 if there is only one.

    Parameters
    ----------
    begins : float64 array (pieces,)
        Start of each piece, ascending; values before the first start belong to the first piece.
    values : float64 array
    """
    return 0 if len(begins) == 1 else np.searchsorted(begins[1:], values, side="right")


UNDATED = Calendar()
"""A calendar without a date: time 0 is midnight on a Monday, and every day has 24 hours."""


def _times_of(local_s: Floats, begin_s: Floats, shift_s: Floats) -> Floats:
    """Return the first simulated time at each local time; see :meth:`Calendar.times_of`."""
    ends_s = np.append(begin_s[1:], np.inf) + shift_s
    piece = np.searchsorted(ends_s, local_s, side="right")
    return np.asarray(np.maximum(local_s - shift_s[piece], begin_s[piece]))


def _wall(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None, fold=0)


def _monday(moment: datetime) -> datetime:
    """Return midnight of the Monday on or before a date, in local time."""
    wall = _wall(moment)
    return datetime(wall.year, wall.month, wall.day) - timedelta(days=wall.weekday())


def period_ends_s(
    horizon_s: float | None, periods: int | None, calendar: Calendar = UNDATED
) -> list[float]:
    """Return the boundaries of the periods of a horizon; empty without a horizon or periods.

    The periods have equal lengths.  There is one exception: if the run starts at the beginning of a
    month and the horizon is, within two days, a number of months divisible by `periods`, each
    period is a whole number of calendar months, and the last one ends with the horizon.

    Examples
    --------
    >>> from datetime import datetime
    >>> year = period_ends_s(365.25 * DAY_S, 4, Calendar(datetime(2026, 1, 1)))
    >>> [end / DAY_S for end in year]
    [0.0, 90.0, 181.0, 273.0, 365.25]
    """
    if horizon_s is None or periods is None:
        return []
    start = calendar.start
    if start is not None and start.replace(day=1, hour=0, minute=0, second=0) == start:
        months = np.append(0.0, calendar.month_edges_s(horizon_s + WHOLE_MONTHS_S + 1.0))
        each, left = divmod(len(months) - 1, periods)
        if each > 0 and left == 0 and abs(months[-1] - horizon_s) <= WHOLE_MONTHS_S:
            return [*months[:-1:each].tolist(), horizon_s]
    return [float(end) for end in np.linspace(0.0, horizon_s, periods + 1)]
