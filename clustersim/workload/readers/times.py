"""From what local clocks showed to instants, daylight saving time included."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Clock", "instants", "local_start"]

_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)\s*$"
_SKIPPED = pd.Timedelta(hours=1)


class Clock:
    """The local clock of a site, which reads wall-clock times in the order of events.

    A time that the clock showed twice, when daylight saving time ended, is the first of the two
    that is not before the event that came before it; a time that the clock skipped is taken an
    hour later.

    Parameters
    ----------
    zone : str
        A name of the IANA time zone database.

    Attributes
    ----------
    twice, skipped : int
        How many such times there were.

    Examples
    --------
    >>> clock = Clock("America/Los_Angeles")
    >>> shown = [pd.Timestamp("2017-11-05 01:50"), pd.Timestamp("2017-11-05 01:10")]
    >>> start, end = clock.in_order([pd.Series([time]) for time in shown])
    >>> (end - start).dt.total_seconds().tolist()
    [1200.0]
    """

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.twice = 0
        self.skipped = 0

    def both(self, wall: pd.Series) -> tuple[pd.Series, pd.Series]:
        """Return the first and the second instant at which the clock showed each time (UTC)."""
        first, second = (
            wall.dt.tz_localize(
                self.zone,
                ambiguous=np.full(len(wall), summer),
                nonexistent=_SKIPPED,
            )
            for summer in (True, False)
        )
        self.skipped += int((first.dt.tz_localize(None) != wall)[wall.notna()].sum())
        self.twice += int((first != second)[wall.notna()].sum())
        return first.dt.tz_convert("UTC"), second.dt.tz_convert("UTC")

    def in_order(self, walls: list[pd.Series]) -> list[pd.Series]:
        """Read columns of times, each of which is not before the one to its left (UTC)."""
        told: list[pd.Series] = []
        last: pd.Series | None = None
        for wall in walls:
            first, second = self.both(wall)
            if last is not None:
                first = first.where(~((first < last) & (second >= last)), second)
            last = first if last is None else first.where(first.notna(), last)
            told.append(first)
        return told

    def notes(self) -> list[str]:
        """Say which times were not plain."""
        told = []
        if self.twice:
            told.append(
                f"{self.twice:,} times lie in an hour that the clocks of {self.zone} show twice: "
                "the first that keeps the order of events is taken"
            )
        if self.skipped:
            told.append(
                f"{self.skipped:,} times lie in an hour that the clocks of {self.zone} skip: "
                "they are taken an hour later"
            )
        return told


def instants(columns: list[pd.Series], clock: Clock) -> list[pd.Series]:
    """Read columns of ISO 8601 texts in the order of their events (UTC); NaT where one is no time.

    A text without an offset from UTC is a time of `clock`.
    """
    texts = [column.astype("string").str.strip() for column in columns]
    offset = [
        text.str.contains(_OFFSET, regex=True, na=False) & text.str.contains(":") for text in texts
    ]
    parsed = [
        pd.to_datetime(text.where(has.fillna(False)), format="ISO8601", errors="coerce", utc=True)
        for text, has in zip(texts, offset, strict=True)
    ]
    walls = [
        pd.to_datetime(text.mask(has.fillna(False)), format="ISO8601", errors="coerce")
        for text, has in zip(texts, offset, strict=True)
    ]
    local = clock.in_order([pd.Series(wall, dtype="datetime64[ns]") for wall in walls])
    return [known.where(known.notna(), wall) for known, wall in zip(parsed, local, strict=True)]


def local_start(instant: Any, zone: str) -> datetime | None:
    """Return the local time of an instant; None where it is not known."""
    from zoneinfo import ZoneInfo

    return (
        None if pd.isna(instant) else instant.to_pydatetime(warn=False).astimezone(ZoneInfo(zone))
    )
