"""Rates that change with time, and their integrals in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clustersim.array_types import Floats
from clustersim.calendar import DAY_S, HOUR_S, UNDATED, Calendar

__all__ = ["HOURS", "DailyRate", "LinearPieces", "Rate"]

HOURS = 24


class Rate(Protocol):
    """A rate that can be integrated over time."""

    def until(self, time_s: Floats) -> Floats:
        """Return the integral of the rate from time 0 to each element of `time_s` (seconds)."""


class DailyRate:
    """A rate that depends on the hour of the local day and is the same every day.

    Parameters
    ----------
    values : float or sequence of float
        The rate, or the rate in each of the 24 hours.
    calendar : Calendar
        The local clock; by default time 0 is midnight and every day has 24 hours.

    Examples
    --------
    >>> evening = [0.0] * 23 + [2.0]
    >>> float(DailyRate(evening).until(np.array(23.5 * 3600)))
    3600.0
    >>> from datetime import datetime
    >>> begin = Calendar(datetime(2026, 1, 1, 23, 15))
    >>> float(DailyRate(evening, begin).until(np.array(3600.0)))
    5400.0
    """

    def __init__(self, values: float | Sequence[float], calendar: Calendar = UNDATED) -> None:
        self._value: Floats = np.broadcast_to(np.asarray(values, dtype=np.float64), HOURS)
        self._before = np.concatenate([[0.0], np.cumsum(self._value)]) * HOUR_S
        self._calendar = calendar

    def until(self, time_s: Floats) -> Floats:
        """Return the integral of the rate from time 0 to each element of `time_s` (seconds)."""
        return self._calendar.integral_until(time_s, self._until_local)

    def _until_local(self, local_s: Floats) -> Floats:
        """Return the integral of the rate over local time, from midnight of the first day."""
        days, second = np.divmod(local_s, DAY_S)
        hour = np.minimum(second // HOUR_S, HOURS - 1).astype(np.int64)
        today = self._before[hour] + self._value[hour] * (second - hour * HOUR_S)
        return np.asarray(days * self._before[-1] + today)


@dataclass(frozen=True, slots=True)
class LinearPieces:
    """A piecewise linear rate.

    Attributes
    ----------
    time_s : float64 array (pieces,)
        Start of each piece, in ascending order from 0; the last piece has no end.
    level : float64 array (pieces,)
        The rate at the start of the piece.
    slope : float64 array (pieces,)
        Increase of the rate per second.
    """

    time_s: Floats
    level: Floats
    slope: Floats

    def until(self, time_s: Floats) -> Floats:
        """Return the integral of the rate from time 0 to each element of `time_s` (seconds)."""
        whole = np.diff(self.time_s)
        passed = whole * (self.level[:-1] + self.slope[:-1] * whole / 2)
        before = np.concatenate([[0.0], np.cumsum(passed)])
        piece = np.searchsorted(self.time_s, time_s, side="right") - 1
        into = time_s - self.time_s[piece]
        return np.asarray(before[piece] + into * (self.level[piece] + self.slope[piece] * into / 2))
