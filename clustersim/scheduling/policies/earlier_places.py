"""Which waiting jobs may find earlier places than those that they have reserved."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.scheduling.policies.profile import ROUNDING_S, Profile
from clustersim.scheduling.queue import Queue

__all__ = ["EarlierPlaces", "Reserved"]

Reserved: TypeAlias = tuple[int, float, float]
"""Index of a partition, start and end of a reservation (seconds)."""


@dataclass(slots=True)
class _Alike:
    """Jobs of one size that can use one partition.

    Attributes
    ----------
    jobs, run_s, before, held
        As :meth:`Profile.may_be_earlier` takes them.
    may : set of int
        Those that may find an earlier place there.
    starts, by_start : list
        The starts of their reservations on this partition, ascending, and the jobs in this order.
    shortest_s : float
        The least of their run times, seconds.
    """

    jobs: Ints
    run_s: Floats
    before: Floats
    held: Bools
    may: set[int] = field(default_factory=set)
    starts: list[float] = field(init=False)
    by_start: list[int] = field(init=False)
    shortest_s: float = field(init=False)

    def __post_init__(self) -> None:
        starts = self.before[self.held]
        order = starts.argsort()
        self.starts = starts[order].tolist()
        self.by_start = self.jobs[self.held][order].tolist()
        self.shortest_s = float(self.run_s.min())

    def within(self, begin: float, until: float) -> list[int]:
        """Return the jobs for which what is free from `begin` to `until` is an earlier place.

        It is long enough for them, or begins in front of their reservation and reaches it.
        """
        first, last = bisect_right(self.starts, begin), bisect_right(self.starts, until)
        found = self.by_start[first:last]
        longest_s = until - begin + ROUNDING_S
        if longest_s >= self.shortest_s:
            found += self.jobs[(self.run_s <= longest_s) & (self.before > begin)].tolist()
        return found


class EarlierPlaces:
    """Tells which of many jobs are worth a search for an earlier place, and on which partitions.

    It leaves out no job that would find one. At first, all jobs of one size are looked at together
    in the profile of each partition. When a job moves, others can find a place that was not there
    before only if accelerators were given back during it, and only at a time at which fewer than
    they need were free until then. That place lies in the time around this one in which enough are
    free, so only the jobs for which that time is an earlier place are added. Most jobs move by
    little, and make room for few others or for none.

    A job that is named in vain, because others have taken the place, costs a search.

    Parameters
    ----------
    queue : Queue
    profiles : mapping of int to Profile
        Profile of each partition of the queue. The caller changes them, and replaces them only
        before it calls :meth:`look`.

    Attributes
    ----------
    candidates : set of int
        All jobs that may find an earlier place, and some that cannot any more.

    Examples
    --------
    The second of two jobs can start when the first, which was to wait for 16, starts now on 8:

    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 16], [[60.0, 90.0]], choices=[(0,)], choice_of=[0, 0])
    >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=True)
    >>> profile = Profile(0.0, 16)
    >>> profile.change(0.0, 60.0, -8)
    >>> profile.change(60.0, 120.0, -8)
    >>> profile.change(120.0, 210.0, -16)
    >>> places = EarlierPlaces(queue, {0: profile})
    >>> places.look([0, 1], {0: (0, 60.0, 120.0), 1: (0, 120.0, 210.0)})
    >>> places.candidates, places.where(0, 8, (0,))
    ({0}, [0])
    >>> profile.change(0.0, 60.0, -8)
    >>> profile.change(60.0, 120.0, 8)
    >>> places.given_back(0, 60.0, 120.0, 8)
    >>> places.where(1, 16, (0,))
    [0]
    """

    def __init__(self, queue: Queue, profiles: Mapping[int, Profile]) -> None:
        self._columns, self._profiles = queue.jobs, profiles
        self._n = np.array(queue.jobs.n_accelerators)
        self._run_s = {
            index: np.array(queue.jobs.estimate_s[queue.partitions[index].pool])
            for index in queue.members
        }
        self._alike: dict[int, dict[int, _Alike]] = {}
        self.candidates: set[int] = set()

    def look(self, jobs: Sequence[int], reserved: Mapping[int, Reserved]) -> None:
        """Look at jobs with reservations; each of them may move once after that."""
        self.candidates.clear()
        if not jobs:
            return
        numbers, places = np.array(jobs), np.array([reserved[job] for job in jobs])
        choice = np.array([self._columns.choice_of[job] for job in jobs])
        for index in self._profiles:
            allows = np.array([index in each for each in self._columns.choices])
            rows = allows[choice].nonzero()[0]
            mine = numbers[rows]
            at, start, end = places[rows].T
            run_s, n, held = self._run_s[index][mine], self._n[mine], at == index
            before = np.where(held, start, end - run_s + ROUNDING_S)
            self._alike[index] = {}
            for size in np.unique(n).tolist():
                own = (n == size).nonzero()[0]
                self._alike[index][size] = _Alike(mine[own], run_s[own], before[own], held[own])
                self._look(index, size)

    def where(self, job: int, n: int, choices: Sequence[int]) -> list[int]:
        """Return on which of some partitions a job of `n` accelerators may find a place."""
        return [index for index in choices if job in self._alike[index][n].may]

    def failed(self, index: int, n: int) -> None:
        """Note that a job of `n` accelerators found no place, so that others may not, either."""
        self._look(index, n)

    def given_back(self, index: int, start: float, end: float, n: int) -> None:
        """Note that `n` accelerators of a partition were given back from `start` to `end`."""
        if end <= start:
            return
        profile, alike = self._profiles[index], self._alike[index]
        least, most = profile.range(start, end)
        sizes = list(alike)
        for size in sizes[bisect_right(sizes, least - n) : bisect_right(sizes, most)]:
            found = alike[size].within(*profile.hole_around(size, start, end))
            alike[size].may.update(found)
            self.candidates.update(found)

    def _look(self, index: int, n: int) -> None:
        alike = self._alike[index][n]
        may = self._profiles[index].may_be_earlier(n, alike.run_s, alike.before, alike.held)
        alike.may = set(alike.jobs[may].tolist())
        self.candidates |= alike.may
