"""The waiting jobs of one queue, alike ones together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import TypeAlias

__all__ = ["Kind", "Line"]

Kind: TypeAlias = tuple[int, Hashable]
"""The priority of a job, and what else decides whether it can start."""


class Line:
    """Waiting jobs by priority, higher first, and then in order of submission.

    If a job of a kind is refused, the whole kind can be put aside until something changes.

    Examples
    --------
    >>> line = Line()
    >>> for job, kind in enumerate([(0, "8 chips"), (1, "64 chips"), (0, "8 chips")]):
    ...     _ = line.add(job, kind)
    >>> line.head()
    (1, (1, '64 chips'))
    >>> line.put_aside((1, "64 chips"))
    >>> line.head()
    (0, (0, '8 chips'))
    >>> line.take(0, (0, "8 chips"))
    >>> line.head()
    (2, (0, '8 chips'))
    """

    def __init__(self) -> None:
        self._jobs: dict[Kind, list[int]] = {}
        self._heads: list[tuple[int, int, Kind]] = []
        self._aside: set[Kind] = set()

    def add(self, job: int, kind: Kind) -> bool:
        """Add a job; return whether it is looked at, because its kind has not been put aside."""
        insort(self._jobs.setdefault(kind, []), job)
        if kind in self._aside:
            return False
        self._push(kind)
        return True

    def _push(self, kind: Kind) -> None:
        heappush(self._heads, (-kind[0], self._jobs[kind][0], kind))

    def head(self) -> tuple[int, Kind] | None:
        """Return the first job and its kind, without kinds that are aside; None if there is none."""
        heads = self._heads
        while heads:
            _, job, kind = heads[0]
            jobs = self._jobs.get(kind)
            if jobs and jobs[0] == job and kind not in self._aside:
                return job, kind
            heappop(heads)  # the job has been taken, or an earlier one of its kind was added
        return None

    def take(self, job: int, kind: Kind) -> None:
        """Remove a job."""
        jobs = self._jobs[kind]
        del jobs[bisect_left(jobs, job)]
        if jobs:
            self._push(kind)
        else:
            del self._jobs[kind]

    def put_aside(self, kind: Kind) -> None:
        """Do not look at jobs of a kind until `release` is called."""
        self._aside.add(kind)

    def release(self) -> bool:
        """Look at all jobs again; return whether some were put aside."""
        kinds = [kind for kind in self._aside if kind in self._jobs]
        self._aside.clear()
        for kind in kinds:
            self._push(kind)
        return bool(kinds)
