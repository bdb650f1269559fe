"""Convert local wall-clock times to instants, taking daylight saving time into account."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from clustersim.units import counted

__all__ = ["Clock", "instants", "local_start"]

_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)\s*$"
_SKIPPED = pd.Timedelta(hours=1)


class Clock:
    """The local clock of a site, which converts wall-clock times of successive events to UTC.

    The clock shows some times twice when daylight saving time ends. Such a time is read as the
    first of the two instants that is not before the previous event. A time that the clock skips is
    read as one hour later.

    Parameters
    ----------
    zone : str
        A name of the IANA time zone database.

    Attributes
    ----------
    twice, skipped : int
        Number of converted times that the clock shows twice, and that it skips.

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
        """Convert columns of times to UTC; each column is the next event of the same jobs."""
        converted: list[pd.Series] = []
        last: pd.Series | None = None
        for wall in walls:
            first, second = self.both(wall)
            if last is not None:
                first = first.where(~((first < last) & (second >= last)), second)
            last = first if last is None else first.where(first.notna(), last)
            converted.append(first)
        return converted

    def notes(self) -> list[str]:
        """Return notes on times that the clock shows twice or skips."""
        notes = []
        if self.twice:
            notes.append(
                f"{counted(self.twice, 'time is', 'times are')} in an hour that the clocks of "
                f"{self.zone} show twice: the first instant that keeps the order of events is used"
            )
        if self.skipped:
            they = "it is" if self.skipped == 1 else "they are"
            notes.append(
                f"{counted(self.skipped, 'time is', 'times are')} in an hour that the clocks of "
                f"{self.zone} skip: {they} read as one hour later"
            )
        return notes


def instants(columns: list[pd.Series], clock: Clock) -> list[pd.Series]:
    """Convert columns of ISO 8601 texts to UTC; the columns must be in the order of events.

    A text without an offset from UTC is a local time of `clock`. A text that is not a time becomes
    NaT.
    """
    moments, walls = zip(*(_parsed(column) for column in columns), strict=True)
    local = clock.in_order(list(walls))
    return [
        wall if known is None else known.where(known.notna(), wall)
        for known, wall in zip(moments, local, strict=True)
    ]


def _parsed(column: pd.Series) -> tuple[pd.Series | None, pd.Series]:
    """Return the instants of texts with an offset from UTC, and the local times of the others.

    The instants are None if no text has an offset.
    """
    if column.notna().any():
        try:
            times = pd.to_datetime(column, format="ISO8601")
        except ValueError:  # blank cells, words, or an offset in only some cells
            return _parsed_one_by_one(column)
        if times.dt.tz is None:
            return None, times.astype("datetime64[ns]")
        return times.dt.tz_convert("UTC").astype("datetime64[ns, UTC]"), _no_times(column.index)
    return None, _no_times(column.index)


def _parsed_one_by_one(column: pd.Series) -> tuple[pd.Series, pd.Series]:
    text = column.astype("string").str.strip()
    has = text.str.contains(_OFFSET, regex=True, na=False) & text.str.contains(":", na=False)
    known = pd.to_datetime(text.where(has), format="ISO8601", errors="coerce", utc=True)
    wall = pd.to_datetime(text.mask(has), format="ISO8601", errors="coerce")
    return known.astype("datetime64[ns, UTC]"), wall.astype("datetime64[ns]")


def _no_times(index: pd.Index) -> pd.Series:
    return pd.Series(pd.NaT, index=index, dtype="datetime64[ns]")


def local_start(instant: Any, zone: str) -> datetime | None:
    """Return the local time of an instant; None if the instant is unknown."""
    from zoneinfo import ZoneInfo

    return (
        None if pd.isna(instant) else instant.to_pydatetime(warn=False).astimezone(ZoneInfo(zone))
    )
