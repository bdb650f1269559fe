"""When jobs arrive: Poisson or bursty, at an even rate, in daily and weekly cycles, growing.

Arrivals are drawn in *operational time*, in which they come at one a unit, and
are then mapped to seconds by the inverse of the cumulated rate (E. Çinlar,
Introduction to Stochastic Processes, 1975: for a Poisson process this is exact).
A higher load is another slope of that map; the draws stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from clustersim.array_types import Floats
from clustersim.calendar import HOUR_S, UNDATED, WEEK_S, Calendar, piece_of
from clustersim.files import FileModel
from clustersim.units import SECONDS_PER_YEAR, Duration

__all__ = ["Arrivals", "Batch", "Hyperexponential", "Poisson", "arrival_times"]

_CHUNK = 65536


class Poisson(FileModel):
    """Independent arrivals: exponential gaps, coefficient of variation 1."""

    kind: Literal["poisson"] = "poisson"

    def gaps(self, u: Floats) -> Floats:
        """Gaps of mean 1 from uniform numbers of shape (n, 2)."""
        return -np.log1p(-u[:, 0])

    def cdf(self, x: Floats) -> Floats:
        """Probability that a gap is at most `x`."""
        return np.asarray(-np.expm1(-x))


class Hyperexponential(FileModel):
    """Bursty gaps: a mixture of two exponentials.

    The standard choice for gaps more variable than Poisson's, for its coefficient
    of variation is a parameter (A. Allen, Probability, Statistics, and Queueing
    Theory, 1990).  Of the gaps, the share p = `short_share` has the
    mean 1 - a and the others 1 + a p / (1 - p), relative to the mean of all, with
    a^2 = (cv^2 - 1) (1 - p) / (2 p); without it the means are balanced, which is
    p = (1 + sqrt((cv^2 - 1) / (cv^2 + 1))) / 2.
    """

    kind: Literal["hyperexponential"]
    cv: float = Field(gt=1, le=100, description="coefficient of variation of the gaps")
    short_share: float | None = Field(None, gt=0, lt=1, description="share of short gaps")

    @model_validator(mode="after")
    def _share_can_give_the_variation(self) -> Hyperexponential:
        least = (self.cv**2 - 1) / (self.cv**2 + 1)
        if self.short_share is not None and self.short_share <= least:
            raise ValueError(f"short_share must be above {least:.4g} for a cv of {self.cv:g}")
        return self

    def phases(self) -> tuple[float, float, float]:
        """Share of the short gaps, their mean and the mean of the others."""
        square = self.cv**2
        p = self.short_share
        if p is None:
            p = float((1 + np.sqrt((square - 1) / (square + 1))) / 2)
        a = float(np.sqrt((square - 1) * (1 - p) / (2 * p)))
        return p, 1 - a, 1 + a * p / (1 - p)

    def gaps(self, u: Floats) -> Floats:
        """Gaps of mean 1 from uniform numbers of shape (n, 2)."""
        p, short, long = self.phases()
        return -np.where(u[:, 1] < p, short, long) * np.log1p(-u[:, 0])

    def cdf(self, x: Floats) -> Floats:
        """Probability that a gap is at most `x`."""
        p, short, long = self.phases()
        return np.asarray(-p * np.expm1(-x / short) - (1 - p) * np.expm1(-x / long))


class Batch(FileModel):
    """Jobs that are submitted together (arrays, sweeps): a compound Poisson process.

    Batches arrive as Poisson, their sizes are geometric with the mean `mean_batch`;
    the gaps' coefficient of variation is sqrt(2 mean_batch - 1).
    """

    kind: Literal["batch"]
    mean_batch: float = Field(ge=1, le=1e6, description="mean number of jobs submitted at once")

    def gaps(self, u: Floats) -> Floats:
        """Gaps of mean 1 from uniform numbers of shape (n, 2); 0 inside a batch."""
        first = u[:, 1] * self.mean_batch < 1
        return np.where(first, -self.mean_batch * np.log1p(-u[:, 0]), 0.0)

    def cdf(self, x: Floats) -> Floats:
        """Probability that a gap is at most `x`."""
        return np.asarray(1 - np.exp(-x / self.mean_batch) / self.mean_batch)


class Arrivals(FileModel):
    """The arrival process.

    Hours and days are those of the local clock: a scenario's `start` and `time_zone`; without them
    time 0 is Monday, 00:00.
    """

    mean_interarrival: Duration = Field(gt=0, description="mean time between two jobs")
    process: Annotated[Poisson | Hyperexponential | Batch, Field(discriminator="kind")] = Poisson()
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
        description="factor on the rate each year (365.25 days), exponentially from second 0 on; "
        "mean_interarrival, and the load of a scenario, are those of the begin",
    )

    @model_validator(mode="after")
    def _cycles_are_rates(self) -> Arrivals:
        for name in ("daily", "weekly"):
            weights = getattr(self, name)
            if weights is not None and (min(weights) < 0 or max(weights) <= 0):
                raise ValueError(f"{name}: relative rates are 0 or more, and not all 0")
        return self

    def weekly_profile(self) -> Floats:
        """Relative rate in each of the 168 hours of a week, mean 1."""
        daily = np.ones(24) if self.daily is None else np.array(self.daily)
        weekly = np.ones(7) if self.weekly is None else np.array(self.weekly)
        profile = np.outer(weekly, daily).ravel()
        return np.asarray(profile / profile.mean(), dtype=np.float64)

    def is_even(self) -> bool:
        """Tell whether the rate is the same at all times."""
        return self.daily is None and self.weekly is None

    def to_seconds(
        self, operational: Floats, rate_per_s: float, calendar: Calendar = UNDATED
    ) -> Floats:
        """Map operational time (arrivals expected so far) to seconds.

        Parameters
        ----------
        operational : float64 array
        rate_per_s : float
            Mean arrival rate.
        calendar : Calendar
            What the local clock shows.  An hour that it skips has no arrivals, and one that it
            shows twice has them twice.
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
        """Arrivals expected up to `seconds`: the inverse of :meth:`to_seconds`."""
        clock = self._on_clock(calendar, float(np.max(seconds, initial=0.0)))
        return rate_per_s * clock.to_operational(seconds)

    def _on_clock(self, calendar: Calendar, until_s: float) -> _OnClock:
        growth_per_s = float(np.log(self.growth)) / SECONDS_PER_YEAR
        profile = self.weekly_profile()
        cycle = _GrowingCycle(profile, growth_per_s) if self.growth > 1 else _WeeklyCycle(profile)
        return _OnClock(cycle, growth_per_s, *calendar.shifts(until_s))


class _Cycle(Protocol):
    """The map between local seconds from a Monday midnight on and operational time, both ways."""

    def to_operational(self, seconds: Floats) -> Floats: ...

    def to_seconds(self, operational: Floats) -> Floats: ...


class _OnClock:
    """A cycle on a local clock, whose arrival rate grows from time 0 on.

    Where local time is ahead of simulated time by `s`, the rate at time t is that of the cycle at
    t + s times exp(-growth_per_s * s), for the cycle grows from its own second 0 on.

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
        """Cumulated rate from time 0 to each of some times."""
        at = piece_of(self._begin_s, seconds)
        since = self._cycle.to_operational(seconds + self._shift_s[at]) - self._first[at]
        return np.asarray(self._before[at] + self._scale[at] * since)

    def to_seconds(self, operational: Floats) -> Floats:
        """The inverse of :meth:`to_operational`."""
        at = piece_of(self._before, operational)
        since = (operational - self._before[at]) / self._scale[at]
        seconds = self._cycle.to_seconds(self._first[at] + since) - self._shift_s[at]
        return np.clip(seconds, self._begin_s[at], self._end_s[at])


class _WeeklyCycle:
    """The map between seconds and operational time of a weekly profile.

    Parameters
    ----------
    profile : float64 array (168,)
        Relative rate in each hour of a week, mean 1.
    """

    def __init__(self, profile: Floats) -> None:
        self._done = np.concatenate([[0.0], np.cumsum(profile * HOUR_S)])

    def to_operational(self, seconds: Floats) -> Floats:
        """Cumulated rate up to `seconds`."""
        weeks, rest = np.divmod(seconds, WEEK_S)
        within = np.interp(rest, np.arange(169) * HOUR_S, self._done)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)

    def to_seconds(self, operational: Floats) -> Floats:
        """The inverse of :meth:`to_operational`."""
        weeks, rest = np.divmod(operational, WEEK_S)
        within = np.interp(rest, self._done, np.arange(169) * HOUR_S)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)


class _GrowingCycle:
    """The map between seconds and operational time of a weekly profile that grows.

    The rate is ``profile(t) * exp(growth_per_s * t)``.  In an hour of it the cumulated rate is an
    exponential, and each week has ``exp(growth_per_s * WEEK_S)`` times as much as the one before:
    both ways are closed forms.

    Parameters
    ----------
    profile : float64 array (168,)
        Relative rate in each hour of a week.
    growth_per_s : float
        Above 0.
    """

    def __init__(self, profile: Floats, growth_per_s: float) -> None:
        self._growth = growth_per_s
        begin_s = np.arange(168) * HOUR_S
        self._rate = profile * np.exp(growth_per_s * begin_s)
        of_hour = self._rate * np.expm1(growth_per_s * HOUR_S) / growth_per_s
        self._done = np.concatenate([[0.0], np.cumsum(of_hour)])

    def to_operational(self, seconds: Floats) -> Floats:
        """Cumulated rate up to `seconds`."""
        weeks, rest = np.divmod(seconds, WEEK_S)
        hour = np.minimum(rest // HOUR_S, 167).astype(np.intp)
        of_hour = np.expm1(self._growth * (rest - hour * HOUR_S)) / self._growth
        within = self._done[hour] + self._rate[hour] * of_hour
        return np.asarray(self._before(weeks) + np.exp(self._growth * WEEK_S * weeks) * within)

    def to_seconds(self, operational: Floats) -> Floats:
        """The inverse of :meth:`to_operational`."""
        a_week = self._growth * WEEK_S
        ratio = operational / self._done[-1] * np.expm1(a_week)
        weeks = np.floor(np.log1p(ratio) / a_week)
        rest = (operational - self._before(weeks)) / np.exp(a_week * weeks)
        rest = np.clip(rest, 0.0, self._done[-1])
        hour = np.minimum(np.searchsorted(self._done, rest, side="right") - 1, 167)
        # At the very end of a week `hour` is its last, which may be one without arrivals.
        rate = np.where(self._rate[hour] > 0, self._rate[hour], np.inf)
        since_s = np.log1p(self._growth * (rest - self._done[hour]) / rate) / self._growth
        within = hour * HOUR_S + np.minimum(since_s, HOUR_S)
        return np.asarray(weeks * WEEK_S + within, dtype=np.float64)

    def _before(self, weeks: Floats) -> Floats:
        """Cumulated rate of so many whole weeks: a geometric series."""
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
    """Draw submit times in seconds, in order.

    Parameters
    ----------
    arrivals : Arrivals
        The process.
    rng : numpy.random.Generator
        The stream of arrivals.
    n_jobs, horizon_s : int, float
        How many jobs, or up to which time (exclusive); both: whichever ends first.
    rate_scale : float
        Factor on the rate: the same arrivals, closer together.
    calendar : Calendar
        What the local clock shows, for daily and weekly cycles.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    if n_jobs is None and horizon_s is None:
        raise ValueError("give n_jobs or horizon_s")
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
        drawn = np.maximum.accumulate(drawn)  # in order also where a map rounds
    return drawn if horizon_s is None else drawn[: np.searchsorted(drawn, horizon_s)]


def _chunks(
    arrivals: Arrivals, rng: np.random.Generator, rate: float, calendar: Calendar
) -> Iterator[Floats]:
    reached = 0.0
    while True:
        gaps = arrivals.process.gaps(rng.random((_CHUNK, 2)))
        gaps[0] += reached
        operational = np.cumsum(gaps)
        reached = float(operational[-1])
        yield arrivals.to_seconds(operational, rate, calendar)
