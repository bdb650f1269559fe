"""Times in the status of Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

__all__ = ["condition", "condition_time", "instant", "seconds_between"]


def condition(item: Mapping[str, Any], kind: str, status: str = "True") -> dict[str, Any] | None:
    """Return the condition of a type with a status (any, if it is empty); None without one.

    Examples
    --------
    >>> waits = {"type": "Admitted", "status": "False", "reason": "NoReservation"}
    >>> item = {"status": {"conditions": [waits]}}
    >>> condition(item, "Admitted"), condition(item, "Admitted", "")["reason"]
    (None, 'NoReservation')
    """
    for one in (item.get("status") or {}).get("conditions") or []:
        if one.get("type") == kind and (not status or str(one.get("status")) == status):
            return dict(one)
    return None


def condition_time(item: Mapping[str, Any], *kinds: str, status: str = "True") -> str | None:
    """Return the time of the first of some conditions that has a status.

    Examples
    --------
    >>> ends = {"type": "Failed", "status": "True", "lastTransitionTime": "2025-01-01T03:00:00Z"}
    >>> condition_time({"status": {"conditions": [ends]}}, "Complete", "Failed")
    '2025-01-01T03:00:00Z'
    """
    for kind in kinds:
        found = condition(item, kind, status)
        if found is not None:
            when = found.get("lastTransitionTime")
            return None if when is None else str(when)
    return None


def instant(text: str) -> datetime:
    """Return the instant of a time as Kubernetes writes it.

    Raises
    ------
    ValueError
        If the text is no time.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds_between(first: str, last: str) -> float:
    """Return the seconds from one time to another.

    Examples
    --------
    >>> seconds_between("2025-01-01T01:00:00Z", "2025-01-01T03:00:00Z")
    7200.0
    """
    return (instant(last) - instant(first)).total_seconds()
