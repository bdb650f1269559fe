"""Which waiting jobs may find earlier places than those that they have reserved."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.scheduling.policies.profile import ROUNDING_S, Profile
from clustersim.scheduling.queue import Queue

__all__ = ["Freed", "Outlook"]

_FEW_JOBS = 200
"""Number of jobs from which on it is faster to look at all of them together."""
_MOST_FAILED = 400
"""Number of failed searches that take longer than to look at all jobs together."""


class Freed:
    """The times in which accelerators of one profile were given back.

    A job that found no earlier place before can find one now only if it uses some of them. There
    must then be enough free accelerators at such a time, and before the job's reservation ends.
    What is free between two of these times counts, too, which makes no job miss a place.

    Parameters
    ----------
    profile : Profile

    Examples
    --------
    >>> profile = Profile(0.0, 10)
    >>> profile.change(0.0, 60.0, -8)
    >>> freed = Freed(profile)
    >>> freed.may_help(2, 90.0)
    False
    >>> profile.change(30.0, 60.0, 4)
    >>> freed.add(30.0, 60.0)
    >>> freed.may_help(6, 90.0), freed.may_help(7, 90.0), freed.may_help(6, 30.0)
    (True, False, False)
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._start_s, self._end_s = math.inf, -math.inf
        self._stairs: tuple[list[int], list[float]] = [], []
        self._stale = False

    def add(self, start: float, end: float) -> None:
        """Note that accelerators were given back from `start` to `end` (seconds)."""
        self._start_s = min(self._start_s, start)
        self._end_s = max(self._end_s, end)
        self._look()

    def taken(self) -> None:
        """Note that some were taken, so that jobs may find less than :meth:`may_help` says."""
        self._stale = True

    def may_help(self, n: int, end: float) -> bool:
        """Return whether `n` accelerators may be free earlier for a job reserved to `end`."""
        free, times = self._stairs
        at = bisect_left(free, n)
        return at < len(free) and times[at] < end

    def did_not_help(self) -> None:
        """Note that a job found no place although there might have been one."""
        if self._stale:
            self._look()

    def _look(self) -> None:
        self._stairs = self._profile.stairs(self._start_s, self._end_s)
        self._stale = False


Reserved = tuple[int, float, float]
"""Index of a partition, start and end of a reservation (seconds)."""


class Outlook:
    """Which jobs, in their order, are worth a search for an earlier place, and where.

    All jobs are looked at together in the beginning. After that, places can only become free
    where a job gives up its reservation for an earlier one.

    Parameters
    ----------
    queue : Queue
    profiles : mapping of int to Profile
    order : sequence of int
        Jobs with and without reservations.
    reserved : mapping of int to (int, float, float)
        Partition, start and end of each reservation, seconds.
    """

    def __init__(
        self,
        queue: Queue,
        profiles: Mapping[int, Profile],
        order: Sequence[int],
        reserved: Mapping[int, Reserved],
    ) -> None:
        jobs = queue.jobs
        self._jobs = jobs
        self._freed = {index: Freed(profile) for index, profile in profiles.items()}
        self._n_failed = 0
        mine = [job for job in order if job in reserved]
        self._may = {index: set(mine) for index in profiles}
        if len(mine) >= _FEW_JOBS:
            self._look(mine, queue, profiles, reserved)

    def _look(
        self,
        mine: Sequence[int],
        queue: Queue,
        profiles: Mapping[int, Profile],
        reserved: Mapping[int, Reserved],
    ) -> None:
        """Find out on which partitions each job is worth a search."""
        jobs = self._jobs
        at, start, end = (
            np.array(column) for column in zip(*(reserved[job] for job in mine), strict=True)
        )
        n = np.array([jobs.n_accelerators[job] for job in mine], dtype=np.int64)
        numbers, choice = np.array(mine), np.array([jobs.choice_of[job] for job in mine])
        for index, profile in profiles.items():
            allows = np.array([index in each for each in jobs.choices])[choice]
            estimate_s = jobs.estimate_s[queue.partitions[index].pool]
            run_s = np.array([estimate_s[job] for job in mine])
            held = at == index
            before = np.where(held, start, end - run_s + ROUNDING_S)
            rows = allows.nonzero()[0]
            may = profile.may_be_earlier(n[rows], run_s[rows], before[rows], held[rows])
            self._may[index] = set(numbers[rows[may]].tolist())

    @property
    def is_poor(self) -> bool:
        """Whether so many searches failed that it is better to look at all jobs again."""
        return self._n_failed > _MOST_FAILED

    def where(self, job: int, end: float) -> list[int]:
        """Return the partitions on which a job, reserved to `end` (seconds), is to be tried."""
        n = self._jobs.n_accelerators[job]
        return [
            index
            for index in self._jobs.choices[self._jobs.choice_of[job]]
            if job in self._may[index] or self._freed[index].may_help(n, end)
        ]

    def failed(self, where: Sequence[int]) -> None:
        """Note that a job found no earlier place on some partitions."""
        self._n_failed += 1
        for index in where:
            self._freed[index].did_not_help()

    def moved(self, before: Reserved, to: Reserved) -> None:
        """Note that a job gave up its reservation for another one."""
        index, start, end = before
        if end > start:
            self._freed[index].add(start, end)
        self._freed[to[0]].taken()
