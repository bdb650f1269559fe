"""Time zones that are written as in the variable TZ of POSIX: ``CET-1CEST,M3.5.0,M10.5.0/3``.

IEEE Std 1003.1, Base Definitions, section 8.3: a name, the hours to add to local time to get UTC
(so east of Greenwich they are negative), and where there is daylight saving time its name, its
hours, and the rules by which it begins and ends.  `zoneinfo` reads such a string at the end of a
file of its database (RFC 8536, section 3.3), so here it is given a file with nothing else.
"""

from __future__ import annotations

import io
import re
import struct
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["MOST_HOURS", "US_RULES", "PosixZone", "is_posix_zone", "posix_zone", "with_rules"]

US_RULES = ",M3.2.0,M11.1.0"
"""Rules where a string names daylight saving time and gives none, as in ``EST5EDT``: POSIX leaves
them open, and the C library of GNU takes these, the ones of the USA since 2007."""
_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"[+-]?\d{1,3}(?::[0-5]?\d){0,2}"
_STRING = re.compile(
    rf"(?P<standard>{_NAME}(?P<offset>{_TIME}))"
    rf"(?P<summer>{_NAME}(?P<summer_offset>{_TIME})?(?P<rules>,[^,]+,[^,]+)?)?"
)


MOST_HOURS = 14
"""The largest offset from UTC of any zone, daylight saving time included."""


class PosixZone(ZoneInfo):
    """A zone of :func:`posix_zone`; its `key` is the string."""

    def __reduce__(self) -> tuple[Any, ...]:
        return posix_zone, (self.key,)


def is_posix_zone(text: str) -> bool:
    """Whether a text is such a string that can mean nothing else.

    ``UTC8`` is one too, of a zone eight hours west; but who writes it may mean the east.

    Examples
    --------
    >>> [is_posix_zone(text) for text in ("<+03>-3", "MET-1MEST", "UTC8", "Europe/Berlin")]
    [True, True, False, False]
    """
    found = _STRING.fullmatch(text)
    return found is not None and (text.startswith("<") or found["summer"] is not None)


def with_rules(text: str) -> str:
    """Return a string with :data:`US_RULES` where it has daylight saving time but no rules.

    Examples
    --------
    >>> with_rules("MET-1MEST"), with_rules("<+03>-3")
    ('MET-1MEST,M3.2.0,M11.1.0', '<+03>-3')
    """
    found = _STRING.fullmatch(text)
    lacking = found is not None and found["summer"] is not None and found["rules"] is None
    return text + US_RULES if lacking else text


@lru_cache(maxsize=64)
def posix_zone(text: str) -> tzinfo:
    """Return the zone of a string; its rules hold in all years.

    Raises
    ------
    ValueError
        If it is no such string, has daylight saving time without rules, or an offset from UTC that
        is not of whole minutes or beyond :data:`MOST_HOURS`.

    Examples
    --------
    >>> datetime(2026, 7, 1, tzinfo=posix_zone("CET-1CEST,M3.5.0,M10.5.0/3")).isoformat()
    '2026-07-01T00:00:00+02:00'
    >>> posix_zone("<+03>-3")
    datetime.timezone(datetime.timedelta(seconds=10800))
    """
    found = _STRING.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time zone as in the variable TZ of POSIX")
    if with_rules(text) != text:
        raise ValueError(
            f"{text!r} names no rules for its daylight saving time; append them, as in "
            f"{with_rules(text)!r} (those of the USA)"
        )
    for offset_s in _offsets_s(found):
        if offset_s % 60 or abs(offset_s) > MOST_HOURS * 3600:
            raise ValueError(
                f"{text!r} is {_clock(offset_s)} off UTC; offsets of whole minutes up to "
                f"{MOST_HOURS} hours are allowed"
            )
    try:
        zone: Any = PosixZone.from_file(io.BytesIO(_file(text)), key=text)
    except ValueError as error:
        told = str(error).partition(" in ")[0]
        raise ValueError(f"{text!r} is no time zone as in POSIX: {told}") from None
    if found["summer"] is None:
        return timezone(datetime(2000, 1, 1, tzinfo=zone).utcoffset() or timedelta())
    return zone  # type: ignore[no-any-return]


def _offsets_s(found: re.Match[str]) -> list[int]:
    """Return how far local time is ahead of UTC, in seconds: in standard and in summer time."""
    standard = -_seconds(found["offset"])
    if found["summer"] is None:
        return [standard]
    own = found["summer_offset"]
    return [standard, standard + 3600 if own is None else -_seconds(own)]


def _seconds(time: str) -> int:
    parts = [int(part) for part in time.lstrip("+-").split(":")]
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    return -total if time.startswith("-") else total


def _clock(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{hours}:{rest // 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")
    return f"{'-' if seconds < 0 else '+'}{text}"


def _file(text: str) -> bytes:
    """Contents of a file of the database (TZif, version 2) whose only rule is a string."""
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = header + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return block + block + b"\n" + text.encode("ascii") + b"\n"
