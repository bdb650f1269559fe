"""Arrival processes: Poisson, bursty or in sessions, with daily and weekly cycles and growth.

Arrivals are drawn in *operational time*, in which the mean rate is one arrival per unit. They are
then mapped to seconds by the inverse of the cumulative rate (E. Çinlar, Introduction to Stochastic
Processes, 1975; exact for a Poisson process). A higher load changes only the slope of this map; the
random draws stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field, model_validator

from clustersim.array_types import Floats
from clustersim.calendar import HOUR_S, UNDATED, WEEK_S, Calendar, piece_of
from clustersim.files import FileModel
from clustersim.units import SECONDS_PER_YEAR, Duration
from clustersim.workload.arrival_gaps import Batch, Hyperexponential, Poisson
from clustersim.workload.sessions import Sessions

__all__ = ["Arrivals", "arrival_times"]

_CHUNK = 65536


class Arrivals(FileModel):
    """The arrival process of a workload model.

    Hours and days refer to the local clock, which a scenario sets with `start` and `time_zone`. By
    default, time 0 is Monday, 00:00.

    Examples
    --------
    >>> from clustersim.workload import Arrivals
    >>> Arrivals(mean_interarrival="5 min").mean_interarrival
    300.0
    """

    mean_interarrival: Duration = Field(gt=0, description="mean time between two jobs")
    process: Annotated[
        Poisson | Hyperexponential | Batch | Sessions, Field(discriminator="kind")
    ] = Poisson()
    daily: tuple[float, ...] | None = Field(
        None, min_length=24, max_length=24, description="relative rate in each hour of the day"
    )
    weekly: tuple[float, ...] | None = Field(
        None, min_length=7, max_length=7, description="relative rate on each day, Monday first"
    )
    growth: float = Field(
        1.0,
        ge=1,
        le=100,
        description="factor by which the rate grows each year (365.25 days), exponentially from "
        "time 0; mean_interarrival and the load of a scenario refer to the rate at time 0",
    )

    @model_validator(mode="after")
    def _cycles_are_rates(self) -> Arrivals:
        for name in ("daily", "weekly"):
            weights = getattr(self, name)
            if weights is not None and (min(weights) < 0 or max(weights) <= 0):
                raise ValueError(f"{name}: relative rates must be 0 or more, and not all 0")
        return self

    def weekly_profile(self) -> Floats:
        """Return the relative rate in each of the 168 hours of a week, with mean 1.

        Examples
        --------
        >>> from clustersim.workload import Arrivals
        >>> weekdays = Arrivals(mean_interarrival="1 min", weekly=(1, 1, 1, 1, 1, 0, 0))
        >>> weekdays.weekly_profile()[[0, 167]].tolist()
        [1.4, 0.0]
        """
        daily = np.ones(24) if self.daily is None else np.array(self.daily)
        weekly = np.ones(7) if self.weekly is None else np.array(self.weekly)
        profile = np.outer(weekly, daily).ravel()
        return np.asarray(profile / profile.mean(), dtype=np.float64)

    def is_even(self) -> bool:
        """Return whether the rate has neither a daily nor a weekly cycle.

        Examples
        --------
        >>> from clustersim.workload import Arrivals
        >>> Arrivals(mean_interarrival="1 min").is_even()
        True
        """
        return self.daily is None and self.weekly is None

    def to_seconds(
        self, operational: Floats, rate_per_s: float, calendar: Calendar = UNDATED
    ) -> Floats:
        """Map operational time (arrivals expected so far) to seconds.

        Parameters
        ----------
        operational : float64 array
            Expected number of arrivals up to each time.
        rate_per_s : float
            Mean arrival rate (1/s).
        calendar : Calendar
            The local clock. An hour that it skips has no arrivals; an hour that it shows twice has
            arrivals both times.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.workload import Arrivals
        >>> arrivals = Arrivals(mean_interarrival="1 min")
        >>> arrivals.to_seconds(np.array([1.0, 10.0]), 1 / 60).round(6).tolist()
        [60.0, 600.0]
        """
        mean_s = operational / rate_per_s
        if self.is_even() and self.growth == 1:
            return mean_s
        until_s = float(mean_s.max(initial=0.0)) + WEEK_S
        while True:
            seconds = self._on_clock(calendar, until_s).to_seconds(mean_s)
            if seconds.max(initial=0.0) <= until_s:
                return seconds
            until_s *= 2

    def to_operational(
        self, seconds: Floats, rate_per_s: float, calendar: Calendar = UNDATED
    ) -> Floats:
        """Return the number of arrivals expected up to `seconds` (inverse of `to_seconds`).

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.workload import Arrivals
        >>> arrivals = Arrivals(mean_interarrival="1 min")
        >>> arrivals.to_operational(np.array([60.0, 600.0]), 1 / 60).round(6).tolist()
        [1.0, 10.0]
        """
        clock = self._on_clock(calendar, float(np.max(seconds, initial=0.0)))
        return rate_per_s * clock.to_operational(seconds)

    def _on_clock(self, calendar: Calendar, until_s: float) -> _OnClock:
        growth_per_s = float(np.log(self.growth)) / SECONDS_PER_YEAR
        profile = self.weekly_profile()
        cycle = _GrowingCycle(profile, growth_per_s) if self.growth > 1 else _WeeklyCycle(profile)
        return _OnClock(cycle, growth_per_s, *calendar.shifts(until_s))


class _Cycle(Protocol):
    """A map between local seconds since Monday, 00:00, and operational time, in both directions."""

    def to_operational(self, seconds: Floats) -> Floats: ...

    def to_seconds(self, operational: Floats) -> Floats: ...


class _OnClock:
    """A cycle that follows the local clock, with an arrival rate that grows from time 0.

    If local time is `s` ahead of simulated time, the rate at time `t` is the rate of the cycle at
    local time `t + s`, multiplied by ``exp(-growth_per_s * s)``. The factor is needed because the
    cycle grows from second 0 of its local time.

    Parameters
    ----------
    cycle : _Cycle
    growth_per_s : float
    begin_s, shift_s : float64 array (pieces,)
        See :meth:`~clustersim.calendar.Calendar.shifts`.
    """

    def __init__(
        self, cycle: _Cycle, growth_per_s: float, begin_s: Floats, shift_s: Floats
    ) -> None:
        self._cycle, self._shift_s = cycle, shift_s
        self._begin_s, self._end_s = begin_s, np.append(begin_s[1:], np.inf)
        self._scale = np.exp(-growth_per_s * shift_s)
        self._first = cycle.to_operational(begin_s + shift_s)
        whole = cycle.to_operational(begin_s[1:] + shift_s[:-1]) - self._first[:-1]
        self._before = np.concatenate([[0.0], np.cumsum(self._scale[:-1] * whole)])

    def to_operational(self, seconds: Floats) -> Floats:
        """Return the cumulative rate from time 0 to each of the given times."""
        at = piece_of(self._begin_s, seconds)
        since = self._cycle.to_operational(seconds + self._shift_s[at]) - self._first[at]
        return np.asarray(self._before[at] + self._scale[at] * since)

    def to_seconds(self, operational: Floats) -> Floats:
        """Return the inverse of :meth:`to_operational`."""
        at = piece_of(self._before, operational)
        since = (operational - self._before[at]) / self._scale[at]
        seconds = self._cycle.to_seconds(self._first[at] + since) - self._shift_s[at]
        return np.clip(seconds, self._begin_s[at], self._end_s[at])


class _WeeklyCycle:
    """The map between seconds and operational time for a weekly profile.

    Parameters
    ----------
    profile : float64 array (168,)
        Relative rate in each hour of a week, with mean 1.
    """

    def __init__(self, profile: Floats) -> None:
        self._done = np.concatenate([[0.0], np.cumsum(profile * HOUR_S)])

    def to_operational(self, seconds: Floats) -> Floats:
        """Return the cumulative rate up to `seconds`."""
        weeks, rest = np.divmod(seconds, WEEK_S)
        within = np.interp(rest, np.arange(169) * HOUR_S, self._done)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)

    def to_seconds(self, operational: Floats) -> Floats:
        """Return the inverse of :meth:`to_operational`."""
        weeks, rest = np.divmod(operational, WEEK_S)
        within = np.interp(rest, self._done, np.arange(169) * HOUR_S)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)


class _GrowingCycle:
    """The map between seconds and operational time for a weekly profile that grows exponentially.

    The rate is ``profile(t) * exp(growth_per_s * t)``. Within an hour, the cumulative rate is an
    exponential function. Each week has ``exp(growth_per_s * WEEK_S)`` times the arrivals of the
    previous week. Both directions of the map therefore have closed forms.

    Parameters
    ----------
    profile : float64 array (168,)
        Relative rate in each hour of a week.
    growth_per_s : float
        Exponential growth rate (1/s), above 0.
    """

    def __init__(self, profile: Floats, growth_per_s: float) -> None:
        self._growth = growth_per_s
        begin_s = np.arange(168) * HOUR_S
        self._rate = profile * np.exp(growth_per_s * begin_s)
        of_hour = self._rate * np.expm1(growth_per_s * HOUR_S) / growth_per_s
        self._done = np.concatenate([[0.0], np.cumsum(of_hour)])

    def to_operational(self, seconds: Floats) -> Floats:
        """Return the cumulative rate up to `seconds`."""
        weeks, rest = np.divmod(seconds, WEEK_S)
        hour = np.minimum(rest // HOUR_S, 167).astype(np.intp)
        of_hour = np.expm1(self._growth * (rest - hour * HOUR_S)) / self._growth
        within = self._done[hour] + self._rate[hour] * of_hour
        return np.asarray(self._before(weeks) + np.exp(self._growth * WEEK_S * weeks) * within)

    def to_seconds(self, operational: Floats) -> Floats:
        """Return the inverse of :meth:`to_operational`."""
        a_week = self._growth * WEEK_S
        ratio = operational / self._done[-1] * np.expm1(a_week)
        weeks = np.floor(np.log1p(ratio) / a_week)
        rest = (operational - self._before(weeks)) / np.exp(a_week * weeks)
        rest = np.clip(rest, 0.0, self._done[-1])
        hour = np.minimum(np.searchsorted(self._done, rest, side="right") - 1, 167)
        # At the end of a week `hour` is the last hour, which may have no arrivals.
        rate = np.where(self._rate[hour] > 0, self._rate[hour], np.inf)
        since_s = np.log1p(self._growth * (rest - self._done[hour]) / rate) / self._growth
        within = hour * HOUR_S + np.minimum(since_s, HOUR_S)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)

    def _before(self, weeks: Floats) -> Floats:
        """Return the cumulative rate over a number of whole weeks (a geometric series)."""
        a_week = self._growth * WEEK_S
        return np.asarray(self._done[-1] * np.expm1(a_week * weeks) / np.expm1(a_week))


def arrival_times(
    arrivals: Arrivals,
    rng: np.random.Generator,
    *,
    n_jobs: int | None = None,
    horizon_s: float | None = None,
    rate_scale: float = 1.0,
    calendar: Calendar = UNDATED,
) -> Floats:
    """Draw submit times in ascending order (seconds).

    Parameters
    ----------
    arrivals : Arrivals
        The arrival process.
    rng : numpy.random.Generator
        Random stream for arrivals.
    n_jobs, horizon_s : int, float
        Number of jobs, and the time up to which jobs arrive (exclusive). If both are given,
        arrivals stop at the limit that is reached first.
    rate_scale : float
        Factor by which the arrival rate is multiplied. The random draws do not depend on it.
    calendar : Calendar
        The local clock, for daily and weekly cycles.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    if n_jobs is None and horizon_s is None:
        raise ValueError("n_jobs or horizon_s must be given")
    rate = rate_scale / arrivals.mean_interarrival
    pieces: list[Floats] = []
    count = 0
    for times in _chunks(arrivals, rng, rate, calendar):
        pieces.append(times)
        count += len(times)
        if n_jobs is not None and count >= n_jobs:
            break
        if horizon_s is not None and times[-1] >= horizon_s:
            break
    drawn = np.concatenate(pieces)[:n_jobs]
    if arrivals.growth > 1 or calendar.is_dated:
        drawn = np.maximum.accumulate(drawn)  # rounding in the map must not change the order
    return drawn if horizon_s is None else drawn[: np.searchsorted(drawn, horizon_s)]


def _chunks(
    arrivals: Arrivals, rng: np.random.Generator, rate: float, calendar: Calendar
) -> Iterator[Floats]:
    assert not isinstance(arrivals.process, Sessions), "sessions belong to classes of jobs"
    reached = 0.0
    while True:
        gaps = arrivals.process.gaps(rng.random((_CHUNK, 2)))
        gaps[0] += reached
        operational = np.cumsum(gaps)
        reached = float(operational[-1])
        yield arrivals.to_seconds(operational, rate, calendar)
