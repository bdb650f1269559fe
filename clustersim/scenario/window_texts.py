"""Windows as an operator types them: ``gpu@2026-03-01T08:00+8h``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clustersim.calendar import Calendar
from clustersim.errors import InputError, shown
from clustersim.scenario.dates import time_s

__all__ = ["windows_of_texts"]


def windows_of_texts(
    maintenance: Sequence[str], reserve: Sequence[str], calendar: Calendar
) -> dict[str, Any]:
    """Return the section ``windows`` of a scenario that options stand for; empty without options.

    Parameters
    ----------
    maintenance, reserve : sequence of str
        Values of the options ``--maintenance`` and ``--reserve``.
    calendar : Calendar
        For dates.

    Raises
    ------
    InputError
        If a text is not of the form that the help shows.

    Examples
    --------
    >>> from clustersim.calendar import Calendar
    >>> windows_of_texts(["gpu:0-3@2d+4h"], [], Calendar())["maintenance"]
    [{'name': 'gpu:0-3@2d+4h', 'at': '172800.0 s', 'duration': '4h', 'pools': ['gpu'], \
'nodes': '0-3'}]
    >>> windows_of_texts([], ["gpu:64@2d+4h=ann,bo"], Calendar())["reservations"][0]["users"]
    ['ann', 'bo']
    """
    found: dict[str, Any] = {}
    for text in maintenance:
        pool, nodes, window = _parts(text, calendar, "--maintenance")
        if pool != "all":
            window["pools"] = [pool]
        if nodes:
            window["nodes"] = nodes
        found.setdefault("maintenance", []).append(window)
    for text in reserve:
        which, equals, users = text.rpartition("=")
        pool, n, window = _parts(which if equals else text, calendar, "--reserve")
        if not (equals and users.strip() and n.isdecimal()):
            raise InputError("--reserve", f"must be as gpu:64@2d+4h=ann, found {shown(text)}")
        names = [user.strip() for user in users.split(",") if user.strip()]
        window |= {"pool": pool, "accelerators": int(n), "users": names}
        found.setdefault("reservations", []).append(window)
    return found


def _parts(text: str, calendar: Calendar, option: str) -> tuple[str, str, dict[str, Any]]:
    """Return the pool, what follows it after a colon, and the name and the times of a window."""
    where, at, times = text.partition("@")
    begin, plus, duration = times.rpartition("+")
    if not (at and plus and where.strip() and begin.strip() and duration.strip()):
        form = "POOL@START+DURATION, such as gpu@2026-03-01T08:00+8h"
        raise InputError(option, f"must be {form}, found {shown(text)}")
    pool, _, part = where.partition(":")
    begin_s = time_s(begin, calendar, option)
    window = {"name": text, "at": f"{begin_s!r} s", "duration": duration.strip()}
    return pool.strip(), part.strip(), window
