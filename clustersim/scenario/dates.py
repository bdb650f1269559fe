"""Dates in place of times in a scenario: ``at: 2026-04-01`` or ``at: Q2``.

A date is converted to seconds since time 0 when a scenario is read, by the calendar of its `start`
and `time_zone` or, without `start`, by the clock of its log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clustersim.calendar import Calendar
from clustersim.errors import InputError, shown
from clustersim.scenario.run_calendar import run_calendar
from clustersim.time_zones import parse_start, parse_zone, zone_name
from clustersim.units import parse_quantity

__all__ = [
    "calendar_of",
    "dated_end",
    "instant_s",
    "is_date",
    "seconds_of_date",
    "time_s",
    "with_dates",
]

NAMES = ("at", "until")
"""Keys of points in time, in any part of a scenario in :data:`SECTIONS`."""
SECTIONS = ("supply", "fleet", "software", "failures", "serving", "windows", "network")
SINGLE = (("horizon",), ("workload", "duration"))
"""Further fields with a point in time: the end of the run, and of the submissions."""
_QUARTER = re.compile(r"(?:(\d{4})[- ]?)?Q([1-4])(?:[- ]?(\d{4}))?", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})-(\d\d)")
_AT = re.compile(r"at ([0-9.e+]+) s")
"""An end of a window that is a point in time."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")


_OTHER_DATE = re.compile(
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?:[T ].*)?|\d{4}[./]\d{1,2}[./]\d{1,2}(?:[T ].*)?"
)
"""Dates in other notations, whose order of day and month is not clear."""


def is_date(value: object) -> bool:
    """Return whether a value is meant as a date, a month or a quarter.

    Examples
    --------
    >>> [is_date(each) for each in ("2026-04-01", "2026-04", "Q2", "Q2 2027", "90 d", 5, "q9")]
    [True, True, True, True, False, False, False]
    """
    if not isinstance(value, str):
        return False
    text = value.strip()
    return any(each.fullmatch(text) for each in (_DATE, _MONTH, _QUARTER))


def seconds_of_date(value: str, calendar: Calendar) -> float:
    """Return the time of a date, in seconds since time 0.

    Parameters
    ----------
    value : str
        A date and, optionally, a local time (``2026-04-01``, ``2026-04-01T08:00``), a month
        (``2026-04``) or a quarter (``2026-Q2``, ``Q2 2026``), both of which mean their beginning.
        ``Q2`` is the first second quarter that does not begin before time 0.
    calendar : Calendar
        A calendar with a date.

    Raises
    ------
    ValueError
        If the date does not exist or is before time 0.

    Examples
    --------
    >>> from datetime import datetime
    >>> start = Calendar(datetime(2026, 1, 1))
    >>> [seconds_of_date(each, start) / 86400 for each in ("2026-01-02T12:00", "Q2", "2026-02")]
    [1.5, 90.0, 31.0]
    """
    start, text = calendar.start, value.strip()
    if start is None:
        raise ValueError(f"{shown(value)} needs `start`, such as start: 2026-01-01")
    if quarter := _QUARTER.fullmatch(text):
        year = quarter[1] or quarter[3]
        month = 3 * int(quarter[2]) - 2
        if year is None:
            begin = datetime(start.year, month, 1)
            passed = begin < start.replace(tzinfo=None)
            moment = begin.replace(year=start.year + 1) if passed else begin
        else:
            moment = datetime(int(year), month, 1)
    elif month_found := _MONTH.fullmatch(text):
        moment = parse_start(f"{month_found[1]}-{month_found[2]}-01")
    else:
        moment = parse_start(text)
    seconds = _since(moment, start)
    if seconds < 0:
        raise ValueError(f"{shown(value)} is before the start ({start:%Y-%m-%d %H:%M})")
    return seconds


def time_s(text: str, calendar: Calendar, option: str) -> float:
    """Return the time that an option names, in seconds since time 0.

    Parameters
    ----------
    text : str
        A duration since time 0 (``3 d``), or what :func:`seconds_of_date` allows.
    calendar : Calendar
    option : str
        Name of the option, for messages.

    Raises
    ------
    InputError
        If it is neither, or a date is not allowed.

    Examples
    --------
    >>> from datetime import datetime
    >>> start = Calendar(datetime(2026, 1, 1))
    >>> time_s("2 d", start, "--at"), time_s("2026-01-03", start, "--at")
    (172800.0, 172800.0)
    """
    try:
        if _OTHER_DATE.fullmatch(text.strip()):
            raise ValueError(
                f"a date is written 2026-04-01 (year, month, day), found {shown(text)}"
            )
        if not is_date(text):
            return parse_quantity(text, "duration")
        if not calendar.is_dated:
            raise ValueError(f"{shown(text)} is a date, but the date of time 0 is not known")
        return seconds_of_date(text, calendar)
    except ValueError as error:
        raise InputError(option, str(error)) from None


def _since(moment: datetime, start: datetime) -> float:
    """Return the seconds from the start to a moment, local if it has no offset from UTC."""
    zone = start.tzinfo
    if zone is None:
        if moment.tzinfo is not None:
            raise ValueError(f"{moment.isoformat()} has an offset from UTC, but `start` has none")
        return (moment - start).total_seconds()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    begin = start - (start.utcoffset() or timedelta())
    return (
        (moment - (moment.utcoffset() or timedelta())).replace(tzinfo=None)
        - begin.replace(tzinfo=None)
    ).total_seconds()


def instant_s(value: object) -> float | None:
    """Return the time of an end of a window in seconds; None if it is a share or a duration.

    Examples
    --------
    >>> instant_s("at 86400.0 s"), instant_s("1 d"), instant_s(0.25)
    (86400.0, None, None)
    """
    found = _AT.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else float(found[1])


def dated_end(value: float | str, calendar: Calendar) -> float | str:
    """Return an end of a window, with a date replaced by its time.

    Raises
    ------
    ValueError
        If a date does not exist, is before time 0, or the calendar has no date.

    Examples
    --------
    >>> from datetime import datetime
    >>> dated_end("2026-02", Calendar(datetime(2026, 1, 1))), dated_end("2 d", Calendar())
    ('at 2678400.0 s', '2 d')
    """
    if not isinstance(value, str) or not is_date(value):
        return value
    return f"at {seconds_of_date(value, calendar)!r} s"


def with_dates(
    tree: dict[str, Any], source: str | Path, clock: Callable[[], datetime | None]
) -> dict[str, Any]:
    """Replace the dates in the data of a scenario by durations since time 0, in place.

    `clock` returns the date and time at second 0 of the log, if it is known; it is only called if
    there are dates and no `start`.

    Raises
    ------
    InputError
        If a date has no calendar, does not exist or is before time 0; the message lists all.  If
        the log cannot be read.
    """
    places = [*_places(tree)]
    if not places:
        return tree
    known = None if tree.get("start") is not None else clock()
    try:
        calendar = calendar_of(tree, known)
    except (InputError, ValueError):  # validation reports `start` and `time_zone`
        return tree
    problems = []
    for path, value, put in places:
        try:
            put(f"{seconds_of_date(value, calendar)!r} s")
        except ValueError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise InputError(source, problems)
    return tree


def calendar_of(tree: Mapping[str, Any], clock: datetime | None = None) -> Calendar:
    """Return the calendar of the `start` and `time_zone` in the data of a scenario.

    `clock` is the date and time at second 0 of its log, if it is known.
    """
    start, zone = tree.get("start"), tree.get("time_zone")
    if start is None and clock is None:
        return Calendar()
    name = None if zone is None else zone_name(parse_zone(zone))
    return run_calendar(None if start is None else parse_start(start), name, clock).calendar


def _places(tree: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[str], None]]]:
    """Yield the path, the text and a setter of each date."""
    for section in SECTIONS:
        yield from _within(tree.get(section), section)
    for keys in SINGLE:
        here: Any = tree
        for key in keys[:-1]:
            here = here.get(key) if isinstance(here, dict) else None
        if isinstance(here, dict) and is_date(here.get(keys[-1])):
            yield ".".join(keys), here[keys[-1]], _setter(here, keys[-1])


def _within(part: Any, path: str) -> Iterator[tuple[str, str, Callable[[str], None]]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key in NAMES and is_date(value):
                yield f"{path}.{key}", value, _setter(part, key)
            else:
                yield from _within(value, f"{path}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            name = value.get("name") if isinstance(value, dict) else None
            yield from _within(value, f"{path}.{name or number}")


def _setter(mapping: dict[str, Any], key: str) -> Callable[[str], None]:
    def put(text: str) -> None:
        mapping[key] = text

    return put
