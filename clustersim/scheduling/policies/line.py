"""The waiting jobs of one queue, alike ones together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

__all__ = ["Kind", "Line"]

_Refusal: TypeAlias = tuple[int, int, int, frozenset[str]]
"""A job that was refused, its size, its priority, and the pools on which it is still refused."""


class Kind(NamedTuple):
    """What decides, with the order of submission, whether a job can get quota."""

    priority: int
    n_accelerators: int
    pools: tuple[str, ...]


class Line:
    """Waiting jobs by priority, higher first, and then in order of submission.

    If a job is refused, so are those that want at least as much, on some of its pools only, without
    a higher priority or an earlier submission. They are put aside until something changes on one of
    their pools.

    Examples
    --------
    >>> line = Line()
    >>> for job, n in enumerate([8, 64, 8, 4]):
    ...     _ = line.add(job, Kind(0, n, ("h200",)))
    >>> line.head()
    (0, Kind(priority=0, n_accelerators=8, pools=('h200',)))
    >>> line.refuse(*line.head())
    >>> line.head()
    (3, Kind(priority=0, n_accelerators=4, pools=('h200',)))
    >>> line.take(*line.head())
    >>> line.head() is None, line.release({"h200"}), line.head()[0]
    (True, True, 0)
    """

    def __init__(self) -> None:
        self._jobs: dict[Kind, list[int]] = {}
        self._heads: list[tuple[int, int, Kind]] = []
        self._aside: set[Kind] = set()
        self._refused: list[_Refusal] = []

    def add(self, job: int, kind: Kind) -> bool:
        """Add a job; return whether it is looked at, because nothing tells that it is refused."""
        insort(self._jobs.setdefault(kind, []), job)
        if self._is_refused(job, kind):
            self._aside.add(kind)
            return False
        heappush(self._heads, (-kind.priority, job, kind))
        return True

    def _push(self, kind: Kind) -> None:
        heappush(self._heads, (-kind.priority, self._jobs[kind][0], kind))

    def _is_refused(self, job: int, kind: Kind) -> bool:
        priority, n, pools = kind
        for first, least, others, of_pools in self._refused:
            if (
                n >= least
                and (priority < others or (priority == others and job >= first))
                and of_pools.issuperset(pools)
            ):
                return True
        return False

    @property
    def has_refused(self) -> bool:
        """Whether jobs have been refused."""
        return bool(self._refused or self._aside)

    def head(self) -> tuple[int, Kind] | None:
        """Return the first job that has not been refused, and its kind; None if there is none."""
        heads = self._heads
        while heads:
            _, job, kind = heads[0]
            jobs = self._jobs.get(kind)
            if jobs and jobs[0] == job:
                if not self._is_refused(job, kind):
                    return job, kind
                self._aside.add(kind)
            heappop(heads)
        return None

    def take(self, job: int, kind: Kind) -> None:
        """Remove a job."""
        jobs = self._jobs[kind]
        del jobs[bisect_left(jobs, job)]
        if jobs:
            self._push(kind)
        else:
            del self._jobs[kind]

    def refuse(self, job: int, kind: Kind) -> None:
        """Put a job aside, and all that are refused with it."""
        self._refuse((job, kind.n_accelerators, kind.priority, frozenset(kind.pools)))

    def _refuse(self, new: _Refusal) -> None:
        """Add a refusal; drop those that follow from it."""
        job, n, priority, pools = new
        self._refused = [
            each
            for each in self._refused
            if not (
                each[1] >= n
                and (each[2] < priority or (each[2] == priority and each[0] >= job))
                and each[3] <= pools
            )
        ]
        self._refused.append(new)

    def release(self, pools: set[str], most: Mapping[str, float] | None = None) -> bool:
        """Look again at refused jobs that can use one of some pools.

        Parameters
        ----------
        pools : set of str
        most : mapping of str to float, optional
            Look only at jobs that are not larger than this, by pool.

        Returns
        -------
        bool
            Whether there are any such jobs.
        """
        refused, self._refused = self._refused, []
        for job, n, priority, own in refused:
            lost = pools if most is None else {pool for pool in pools if n <= most[pool]}
            if left := own - lost:
                self._refuse((job, n, priority, left))
        again = []
        for kind in self._aside:
            jobs = self._jobs.get(kind)
            if not jobs or not self._is_refused(jobs[0], kind):
                again.append(kind)
        self._aside.difference_update(again)
        found = [kind for kind in again if kind in self._jobs]
        for kind in found:
            self._push(kind)
        return bool(found)
