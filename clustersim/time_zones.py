"""Time zones and dates as users write them, and the clock changes of a time zone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from clustersim.errors import shown
from clustersim.posix_zone import MOST_HOURS, is_posix_zone, posix_zone

__all__ = [
    "DAY_S",
    "clock_changes",
    "in_zone",
    "is_twice",
    "parse_start",
    "parse_zone",
    "utc_offset_s",
    "zone_name",
]

DAY_S = 86400.0
_NEAREST_CITY = {
    **dict.fromkeys(("beijing", "shenzhen", "hangzhou", "guangzhou", "china"), "asia/shanghai"),
    **dict.fromkeys(("mumbai", "delhi", "bangalore", "bengaluru", "india"), "asia/kolkata"),
    **dict.fromkeys(("seattle", "san_francisco", "pacific"), "america/los_angeles"),
    **dict.fromkeys(("pst", "pdt", "pt"), "america/los_angeles"),
    **dict.fromkeys(("edt", "et"), "america/new_york"),
}
"""Places and abbreviations that are not names of time zones, each with the zone it belongs to."""
_SHORT = 4
"""Names of at most this length are abbreviations, for which no similar name is suggested."""
_OF_THE_MACHINE = {"localtime", "Factory", "posixrules"}
"""Names in some time zone databases that depend on the machine or do not mean a zone."""
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)


def parse_zone(name: object) -> tzinfo:
    """Return the time zone with a given name.

    Parameters
    ----------
    name : object
        A name from the IANA time zone database such as ``Asia/Shanghai``, a fixed offset from
        UTC such as ``UTC+08:00``, or a POSIX string with its rules
        (:mod:`clustersim.posix_zone`).

    Raises
    ------
    ValueError
        If `name` is none of these; the message suggests the nearest name.

    Examples
    --------
    >>> parse_zone("Asia/Shangai")
    Traceback (most recent call last):
        ...
    ValueError: unknown time zone 'Asia/Shangai'; did you mean 'Asia/Shanghai'? allowed: names of \
the IANA time zone database, or an offset such as UTC+08:00
    """
    text = name.strip() if isinstance(name, str) else ""
    if text.upper() in ("UTC", "Z", "GMT"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes <= MOST_HOURS * 60:
            return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    known = _zone_names()
    if text.lower() in known:
        return ZoneInfo(known[text.lower()])
    if is_posix_zone(text):
        return posix_zone(text)
    near = known.get(_nearest_zone(text.lower().replace(" ", "_"), known) or "")
    near = near or _hours_as_offset(name)
    hint = f"did you mean {near!r}? " if near else ""
    raise ValueError(
        f"unknown time zone {shown(name)}; {hint}allowed: names of the IANA time zone database, "
        "or an offset such as UTC+08:00"
    )


def _hours_as_offset(name: object) -> str | None:
    """Convert a number of hours (YAML reads ``+8`` as 8) to an offset from UTC, or return None."""
    if isinstance(name, bool) or not isinstance(name, (int, float)) or not abs(name) <= MOST_HOURS:
        return None
    minutes = round(abs(name) * 60)
    return f"{'-' if name < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _nearest_zone(name: str, known: Mapping[str, str]) -> str | None:
    """Return the most likely zone: by city if the name is a known city, otherwise by spelling."""
    if len(name) > 60:
        return None
    city = name.rpartition("/")[2]
    cities = {key.rpartition("/")[2]: key for key in known} | _NEAREST_CITY
    if city in cities:
        return cities[city]
    if len(name) <= _SHORT:
        return None
    for names, text, cutoff in ((known, name, 0.6), (cities, city, 0.7)):
        if near := difflib.get_close_matches(text, names, n=1, cutoff=cutoff):
            return cities.get(near[0], near[0])
    return None


def zone_name(zone: tzinfo | None) -> str | None:
    """Return the name by which :func:`parse_zone` finds a time zone; None without a zone."""
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo):
        return zone.key
    offset = zone.utcoffset(None)
    if offset is None:
        return str(zone)
    minutes = round(offset.total_seconds() / 60)
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    return "UTC" if minutes == 0 else f"UTC{sign}{minutes // 60:02}:{minutes % 60:02}"


def parse_start(value: object) -> datetime:
    """Parse a date and time such as ``2026-01-01`` or ``2026-01-01T08:00+08:00``.

    Raises
    ------
    ValueError
        If `value` is not a date, is before 1900 or after 2200, or has an offset from UTC that is
        more than 14 hours or not a whole number of minutes.

    Examples
    --------
    >>> parse_start("2026-01-01")
    datetime.datetime(2026, 1, 1, 0, 0)
    """
    allowed = "write a date such as 2026-01-01, or a date and time such as 2026-01-01T08:00"
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, str):
        text = value
        try:
            value = datetime.fromisoformat(text.strip())
        except ValueError as error:
            why = f": {error}" if re.fullmatch(r"\d{4}-\d\d-\d\d.{,20}", text) else ""
            raise ValueError(f"{shown(text)} is not a date{why}; {allowed}") from None
    if not isinstance(value, datetime):
        raise ValueError(f"{shown(value)} is not a date; {allowed}")
    offset = value.utcoffset()
    if offset is not None and (
        offset % timedelta(minutes=1) or abs(offset) > timedelta(hours=MOST_HOURS)
    ):
        raise ValueError(
            f"{shown(str(value))} has an offset from UTC that no time zone uses; allowed: whole "
            f"minutes up to {MOST_HOURS} hours"
        )
    if not 1900 <= value.year <= 2200:
        raise ValueError(f"{value.date().isoformat()} is not between the years 1900 and 2200")
    return value


def in_zone(start: datetime, zone: tzinfo | None) -> datetime:
    """Return a start time in a time zone.

    A time without an offset is interpreted as local time in the zone; a time with an offset is
    converted to the zone.

    Raises
    ------
    ValueError
        If the zone's clocks skip that local time.

    Examples
    --------
    >>> in_zone(datetime(2026, 3, 29, 2, 30), ZoneInfo("Europe/Berlin"))
    Traceback (most recent call last):
        ...
    ValueError: 2026-03-29 02:30 does not exist in Europe/Berlin, whose clocks skip it
    """
    if zone is None:
        return start
    if start.tzinfo is not None:
        return start.astimezone(zone)
    there = start.replace(tzinfo=zone)
    if there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != start:
        raise ValueError(
            f"{start:%Y-%m-%d %H:%M} does not exist in {zone_name(zone)}, whose clocks skip it"
        )
    return there


def is_twice(start: datetime) -> bool:
    """Return whether the clocks of the time's zone show this local time twice."""
    return utc_offset_s(start.replace(fold=0)) > utc_offset_s(start.replace(fold=1))


def utc_offset_s(moment: datetime) -> float:
    """Return the offset of a local time from UTC, in seconds; 0 without a zone."""
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


@lru_cache(maxsize=1)
def _zone_names() -> dict[str, str]:
    return {name.lower(): name for name in sorted(available_timezones() - _OF_THE_MACHINE)}


@lru_cache(maxsize=4096)
def clock_changes(key: str, year: int) -> tuple[tuple[float, float], ...]:
    """Return the clock changes of a zone in a year: Unix time, and the offset from then on.

    The offsets at the start of all days are compared, and a change within a day is located by
    bisection.
    """
    zone = parse_zone(key)

    def offset_s(moment_s: int) -> float:
        return utc_offset_s(datetime.fromtimestamp(moment_s, zone))

    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    days = range(first, last + 1, int(DAY_S))
    offsets = [offset_s(moment) for moment in days]
    found = []
    for day, before, after in zip(days, offsets, offsets[1:], strict=False):
        if before != after:
            found.append((float(_bisect(offset_s, before, day, day + int(DAY_S))), after))
    return tuple(found)


def _bisect(offset_s: Callable[[int], float], before: float, low: int, high: int) -> int:
    """Return the first second at which the offset differs from `before`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_s(middle) == before else (low, middle)
    return high
