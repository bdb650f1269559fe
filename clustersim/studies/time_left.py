"""Estimate of the time that a study still needs, from the durations of its finished runs.

The rate of the runs so far does not tell how long a study takes.  The first run of each worker is
slow, because it loads files and searches for parallelism plans that later runs reuse.  The runs of
one point, for example at a high load, can take ten times as long as those of another.  A capacity
search or a stopping rule needs more runs than those known at any time.  The estimate is therefore a
range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clustersim.units import format_duration

__all__ = ["UNKNOWN", "RequestState", "TimeLeft", "TimedRun", "time_left"]

SLOW, SLOWEST = 0.25, 0.1
"""Shares of runs that count as slow.  A run that a request may still need is assumed to take as
long as the mean of the slow runs of this request (first share).  A run of a request without a
finished run is assumed to take as long as the mean of the slow runs of all requests (second
share)."""
MARGIN = 1.25
"""Factor on both ends for changes in the speed of the machine and for scatter of the durations."""
WARM = 2
"""Number of runs per worker, besides its first run, from which the lower end is known."""
MEASURED = 0.5
"""If a smaller share of the requests has a finished run, the upper end is unknown.  If this share
of the requests is finished, the others are expected to need as many runs as these did."""
RECENT, MOST_OVERHEAD = 8, 3.0
"""Number of recent runs per worker from which the overhead between runs is computed, and the
largest factor for this overhead."""
NARROW = 1.6
"""A range whose ends differ by at most this factor is shown as one number, the middle."""


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A finished run.

    Attributes
    ----------
    start_s : float
        When it began, in seconds on any clock.
    wall_s : float
        How long it took.
    """

    start_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class RequestState:
    """The runs of one request: of one point, or of one capacity search.

    Attributes
    ----------
    runs : sequence of TimedRun
        Runs made for this request in this execution.
    total : int
        Runs known to be needed, including finished and reused ones.
    left : int
        Those of them that are not finished.
    most : int
        Largest number of runs that the request can need in total.
    """

    runs: Sequence[TimedRun]
    total: int
    left: int
    most: int

    @property
    def is_open(self) -> bool:
        """Whether it may need more runs than are known."""
        return self.most > self.total

    @property
    def is_finished(self) -> bool:
        """Whether it needs no more runs."""
        return not (self.left or self.is_open)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Range of the time that the runs of a study still need.

    Attributes
    ----------
    low_s, high_s : float
        Ends of the range in seconds.  The upper end is infinite if it is unknown.
    """

    low_s: float
    high_s: float

    @property
    def text(self) -> str:
        """The range in words.

        Examples
        --------
        >>> TimeLeft(20.0, 93.0).text, TimeLeft(20.0, 31.0).text
        ('20 s to 93 s left', 'about 25 s left')
        >>> TimeLeft(20.0, 350.0).text
        '20 s to 5.8 min left'
        >>> TimeLeft(20.0, float("inf")).text, TimeLeft(0.0, 23.0).text
        ('at least 20 s left', 'up to 23 s left')
        >>> TimeLeft(0.2, 0.9).text, TimeLeft(0.0, 0.0).text
        ('less than 1 s left', 'all done')
        """
        if self.high_s < 1:
            return "less than 1 s left" if self.high_s else "all done"
        low, high = _rounded(self.low_s), _rounded(self.high_s)
        if math.isinf(self.high_s):
            return f"at least {low} left" if self.low_s >= 1 else "time left unknown"
        if self.low_s < 1:
            return f"up to {high} left"
        if self.high_s <= NARROW * self.low_s:
            return f"about {_rounded(math.sqrt(self.low_s * self.high_s))} left"
        return f"{low} to {high} left"


UNKNOWN = TimeLeft(0.0, math.inf)


def time_left(requests: Sequence[RequestState], *, workers: int) -> TimeLeft:
    """Estimate the time that the remaining runs need.

    The lower end counts the runs that are known to be needed, as if those under way were almost
    done.  Each takes as long as the mean of the runs of its request, or of all runs if its request
    has none.  The upper end counts the largest number of runs that open requests may need.  A run
    that is not known yet takes as long as the slowest quarter of the runs of its request.  A run of
    a request without a finished run takes as long as the slowest tenth of all runs.  Both ends
    include the time between runs and a margin.

    Parameters
    ----------
    requests : sequence of RequestState
    workers : int
        Number of runs made at the same time.  The first run of each worker is left out of the means
        if others are known.  Until each worker has made :data:`WARM` more, the lower end is 0.

    Returns
    -------
    TimeLeft
        The upper end is infinite if less than half of the requests have a finished run.  It is also
        infinite if a search has none, unless half of the requests are finished.

    Examples
    --------
    Two points need ten runs each; one worker has made six runs of the first, each of 3 s:

    >>> done = [TimedRun(start, 3.0) for start in range(0, 18, 3)]
    >>> found = time_left(
    ...     [RequestState(done, 10, 4, 10), RequestState([], 10, 10, 10)], workers=1
    ... )
    >>> found.low_s * MARGIN, found.high_s / MARGIN
    (42.0, 42.0)
    """
    pending = [request for request in requests if not request.is_finished]
    if not pending:
        return TimeLeft(0.0, 0.0)
    made = sorted((run for each in requests for run in each.runs), key=lambda run: run.start_s)
    if not made:
        return UNKNOWN
    first = set(map(id, made[:workers]))
    warm = [run.wall_s for run in made if id(run) not in first]
    walls = warm or [run.wall_s for run in made]
    totals = _usual_totals(requests)
    slowest = _slow(walls, SLOWEST)
    low = high = 0.0
    for request in pending:
        own = [run.wall_s for run in request.runs if id(run) not in first]
        most = request.most
        if totals:
            most = min(most, max(request.total, *totals))
        low += request.left * _mean(own or walls)
        high += request.left * (_mean(own) if own else slowest)
        high += (most - request.total) * (max(_slow(own, SLOW), _mean(walls)) if own else slowest)
    at_once = max(1, min(workers, sum(request.left for request in pending)))
    low = max(0.0, low - (at_once - 1) * _mean(walls))
    overhead = _overhead(made, workers)
    return TimeLeft(
        low / at_once * overhead / MARGIN if len(warm) >= WARM * workers else 0.0,
        high / at_once * overhead * MARGIN if _is_measured(requests, totals) else math.inf,
    )


def _is_measured(requests: Sequence[RequestState], totals: Sequence[int]) -> bool:
    """Return whether the finished runs say enough about those that are left."""
    if not totals and any(each.is_open and not each.runs for each in requests):
        return False
    return sum(bool(each.runs) for each in requests) >= MEASURED * len(requests)


def _usual_totals(requests: Sequence[RequestState]) -> list[int]:
    """Return how many runs the finished requests needed; none while they are a minority.

    Requests that need few runs are finished first, so a minority does not represent the others.
    """
    totals = [each.total for each in requests if each.is_finished and each.runs]
    return totals if len(totals) >= MEASURED * len(requests) else []


def _overhead(made: Sequence[TimedRun], workers: int) -> float:
    """Return the time of workers divided by the time of runs, from the recent runs; at least 1.

    Runs that are not finished are not counted, so half a run is subtracted at each end.
    """
    recent = made[-RECENT * workers :]
    if len(recent) < RECENT * workers:
        return 1.0
    walls = [run.wall_s for run in recent]
    span = max(run.start_s + run.wall_s for run in recent) - recent[0].start_s
    busy = math.fsum(walls)
    return min(max(1.0, workers * (span - _mean(walls)) / busy), MOST_OVERHEAD) if busy else 1.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _slow(values: Sequence[float], share: float) -> float:
    """Return the mean of the slowest share of some durations."""
    count = math.ceil(share * len(values))
    return _mean(sorted(values)[-count:])


def _rounded(seconds: float) -> str:
    """Format a time with two significant digits; an estimate is not more accurate than that."""
    if not math.isfinite(seconds):
        return ""
    size = next((size for size in (86400.0, 3600.0, 60.0) if seconds >= 2 * size), 1.0)
    return format_duration(float(f"{seconds / size:.2g}") * size)
