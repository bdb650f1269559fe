"""Durations, times, memory and counts as schedulers print them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from clustersim.time_zones import is_twice, zone_name
from clustersim.units import counted

__all__ = [
    "ABSENT",
    "UNLIMITED",
    "Times",
    "duration_s",
    "memory_mb",
    "number_of",
    "whole",
]

ABSENT = frozenset(
    {"", "-", "--", "n/a", "na", "none", "null", "(null)", "unknown", "nan", "not_set", "invalid"}
)
"""Texts that mean that there is no value, in lower case."""
UNLIMITED = frozenset({"unlimited", "infinite", "infinity", "partition_limit"})
"""Texts that mean that a time has no limit, in lower case."""
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+)(?:\.\d+)?)?$")
_UNITS_MB = {
    "": 1.0,
    **dict.fromkeys(("b",), 1 / 1024**2),
    **dict.fromkeys(("k", "kb", "ki", "kib"), 1 / 1024),
    **dict.fromkeys(("m", "mb", "mi", "mib"), 1.0),
    **dict.fromkeys(("g", "gb", "gi", "gib"), 1024.0),
    **dict.fromkeys(("t", "tb", "ti", "tib"), 1024.0**2),
}


def duration_s(text: object, *, bare: str = "minutes") -> float | None:
    """Return a duration in seconds; infinite if unlimited, None if there is none.

    ``D-HH:MM:SS``, ``D-HH:MM``, ``D-HH``, ``HH:MM:SS`` and, as Slurm writes less than an hour,
    ``MM:SS``.

    Parameters
    ----------
    text : object
    bare : {"minutes", "seconds"}
        What a number without colons counts.

    Examples
    --------
    >>> duration_s("1-02:03:04"), duration_s("3:30:00"), duration_s("09:00")
    (93784.0, 12600.0, 540.0)
    >>> duration_s("UNLIMITED"), duration_s("INVALID")
    (inf, None)
    """
    shown = str(text).strip().lower()
    if text is None or shown in ABSENT:
        return None
    if shown in UNLIMITED:
        return math.inf
    found = _CLOCK.match(shown)
    if found is None:
        return None
    days, first, second, third = (None if part is None else int(part) for part in found.groups())
    if days is not None:
        return float(days * 86400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0))
    if second is None:
        return float(first or 0) * (60.0 if bare == "minutes" else 1.0)
    if third is None:
        return float((first or 0) * 60 + second)
    return float((first or 0) * 3600 + second * 60 + third)


def memory_mb(text: object, *, bare: str = "m") -> int | None:
    """Return an amount of memory in units of 2^20 bytes; None if there is none.

    Examples
    --------
    >>> memory_mb("1031000"), memory_mb("2Gi"), memory_mb("527831088kb"), memory_mb("1T")
    (1031000, 2048, 515460, 1048576)
    """
    found = re.match(r"([\d.]+)\s*([a-zA-Z]*)\+?$", str(text).strip())
    if found is None:
        return None
    scale = _UNITS_MB.get((found[2] or bare).lower())
    value = _float(found[1])
    return None if scale is None or value is None else int(value * scale)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def whole(text: object) -> int | None:
    """Return a count such as ``8``, ``8+`` or ``2K``; None if there is none.

    Examples
    --------
    >>> whole("96+"), whole("2K"), whole("n/a"), whole(3.0)
    (96, 2048, None, 3)
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        return int(text) if math.isfinite(text) else None
    found = re.match(r"(\d+)(?:\.0+)?([kKmM]?)\+?$", str(text).strip())
    if found is None:
        return None
    return int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[found[2].lower()]


def number_of(value: object) -> float | None:
    """Return a number of Slurm's JSON: plain, as text, or ``{"set": ..., "infinite", "number"}``.

    Returns
    -------
    float or None
        Infinite if it says so; None if it is not set.

    Examples
    --------
    >>> number_of({"set": True, "infinite": False, "number": 60}), number_of(60), number_of(None)
    (60.0, 60.0, None)
    >>> number_of({"set": False, "infinite": True, "number": 0})
    inf
    """
    if isinstance(value, Mapping):
        if value.get("infinite"):
            return math.inf
        return number_of(value.get("number")) if value.get("set", True) else None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    return _float(text) if re.fullmatch(r"-?[\d.]+", text) else None


class Times:
    """Reads times of a site.

    Parameters
    ----------
    zone : tzinfo, optional
        Zone of times that do not name one; without it they are taken for UTC, so that only
        differences are right.

    Attributes
    ----------
    unzoned : int
        How many times without a zone were read.
    twice : set of datetime
        Those of them, each once, that the clocks of the zone show twice.

    Examples
    --------
    >>> Times(None).parse("2025-05-12T05:11:38").isoformat()
    '2025-05-12T05:11:38+00:00'
    """

    _FORMATS = (
        "%a %b %d %H:%M:%S %Y",
        "%a %b %d %H:%M:%S %Z %Y",
        "%b %d %H:%M:%S %Y",
        "%b %d %H:%M %Y",
        "%m/%d/%Y %H:%M:%S",
        "%d %b %Y %H:%M:%S",
    )

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone
        self.unzoned = 0
        self.twice: set[datetime] = set()

    def notes(self) -> list[str]:
        """Return a note on the times that the clocks show twice, if there are any.

        Examples
        --------
        >>> from zoneinfo import ZoneInfo
        >>> times = Times(ZoneInfo("Europe/Zurich"))
        >>> times.parse("2025-10-26T02:30:00").isoformat()
        '2025-10-26T00:30:00+00:00'
        >>> times.notes()
        ['1 time is in an hour that the clocks of Europe/Zurich show twice: the first is assumed']
        """
        if not self.twice:
            return []
        times = counted(len(self.twice), "time is", "times are")
        clocks = f"the clocks of {zone_name(self.zone)} show twice"
        return [f"{times} in an hour that {clocks}: the first is assumed"]

    def parse(self, text: object) -> datetime | None:
        """Return the instant in UTC; None if there is no time.

        Numbers are seconds since 1970, or milliseconds if they are too large for seconds.

        Examples
        --------
        >>> Times(None).parse(1747162304).isoformat(), Times(None).parse("N/A")
        ('2025-05-13T18:51:44+00:00', None)
        """
        if isinstance(text, datetime):
            return self._in_utc(text)
        if isinstance(text, int | float) and not isinstance(text, bool):
            return _of_epoch(float(text))
        shown = str(text).strip()
        if text is None or shown.lower() in ABSENT:
            return None
        if re.fullmatch(r"\d{9,}(\.\d+)?", shown):
            return _of_epoch(float(shown))
        try:
            return self._in_utc(datetime.fromisoformat(shown))
        except ValueError:
            pass
        for form in self._FORMATS:
            try:
                return self._in_utc(datetime.strptime(" ".join(shown.split()), form))
            except ValueError:
                continue
        return None

    def _in_utc(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            self.unzoned += 1
            moment = moment.replace(tzinfo=self.zone or UTC)
            if is_twice(moment):
                self.twice.add(moment)
        return moment.astimezone(UTC)


def _of_epoch(seconds: float) -> datetime | None:
    if seconds > 1e11:
        seconds /= 1000.0
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return datetime.fromtimestamp(seconds, UTC)
