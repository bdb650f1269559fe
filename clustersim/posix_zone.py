"""Time zones written as in the POSIX variable TZ: ``CET-1CEST,M3.5.0,M10.5.0/3``.

IEEE Std 1003.1, Base Definitions, section 8.3 defines the format: a name and the hours to add to
local time to get UTC (negative east of Greenwich).  If the zone has daylight saving time, its name,
its hours and the rules for its start and end follow.  `zoneinfo` reads such a string at the end of
a database file (RFC 8536, section 3.3), so this module passes it a file with nothing else.
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
"""Rules for a string that has daylight saving time but no rules, such as ``EST5EDT``.  POSIX does
not define a default; these rules are the default of the GNU C library and have applied in the USA
since 2007."""
_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"[+-]?\d{1,3}(?::[0-5]?\d){0,2}"
_STRING = re.compile(
    rf"(?P<standard>{_NAME}(?P<offset>{_TIME}))"
    rf"(?P<summer>{_NAME}(?P<summer_offset>{_TIME})?(?P<rules>,[^,]+,[^,]+)?)?"
)


MOST_HOURS = 14
"""Largest offset from UTC of any zone, including daylight saving time, in hours."""


class PosixZone(ZoneInfo):
    """A zone made by :func:`posix_zone`; its `key` is the POSIX string."""

    def __reduce__(self) -> tuple[Any, ...]:
        return posix_zone, (self.key,)


def is_posix_zone(text: str) -> bool:
    """Return whether a text is a POSIX string that has no other meaning.

    ``UTC8`` is also a POSIX string, for a zone 8 hours west of Greenwich, but a user who writes it
    may mean 8 hours east.

    Examples
    --------
    >>> [is_posix_zone(text) for text in ("<+03>-3", "MET-1MEST", "UTC8", "Europe/Berlin")]
    [True, True, False, False]
    """
    found = _STRING.fullmatch(text)
    return found is not None and (text.startswith("<") or found["summer"] is not None)


def with_rules(text: str) -> str:
    """Append :data:`US_RULES` to a string that has daylight saving time but no rules.

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
    """Return the zone of a POSIX string; its rules apply to all years.

    Raises
    ------
    ValueError
        If `text` is not a POSIX string, or has daylight saving time but no rules.  Also if its
        offset from UTC is not a whole number of minutes or exceeds :data:`MOST_HOURS`.

    Examples
    --------
    >>> datetime(2026, 7, 1, tzinfo=posix_zone("CET-1CEST,M3.5.0,M10.5.0/3")).isoformat()
    '2026-07-01T00:00:00+02:00'
    >>> posix_zone("<+03>-3")
    datetime.timezone(datetime.timedelta(seconds=10800))
    """
    found = _STRING.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time zone in the format of the POSIX variable TZ")
    if with_rules(text) != text:
        raise ValueError(
            f"{text!r} has no rules for daylight saving time; append them, as in "
            f"{with_rules(text)!r} (the rules of the USA)"
        )
    for offset_s in _offsets_s(found):
        if offset_s % 60 or abs(offset_s) > MOST_HOURS * 3600:
            raise ValueError(
                f"{text!r} has an offset of {_clock(offset_s)} from UTC; allowed: "
                f"whole minutes up to {MOST_HOURS} hours"
            )
    try:
        zone: Any = PosixZone.from_file(io.BytesIO(_file(text)), key=text)
    except ValueError as error:
        reason = str(error).partition(" in ")[0]
        raise ValueError(f"{text!r} is not a POSIX time zone: {reason}") from None
    if found["summer"] is None:
        return timezone(datetime(2000, 1, 1, tzinfo=zone).utcoffset() or timedelta())
    return zone  # type: ignore[no-any-return]


def _offsets_s(found: re.Match[str]) -> list[int]:
    """Return the offsets from UTC in seconds: of standard time, and of summer time if any."""
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
    """Return a database file (TZif, version 2) whose only rule is a POSIX string."""
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = header + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return block + block + b"\n" + text.encode("ascii") + b"\n"
