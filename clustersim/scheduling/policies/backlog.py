"""Waiting jobs in queue order, stored as arrays for scans without a Python loop."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.scheduling.queue import Queue

__all__ = ["REMOVED", "Backlog", "CountedBacklog"]

REMOVED = np.iinfo(np.int64).max
"""Size that marks a removed row; larger than any partition."""


class Backlog:
    """A list of waiting jobs that supports removal at any position and scans of its columns.

    A removed row stays in place, with a size larger than any partition, until
    ``compact`` closes the gaps. Positions stay valid until then.

    Parameters
    ----------
    queue : Queue
        Provides the jobs' columns and the partitions.

    Attributes
    ----------
    begin, end : int
        All jobs are at positions in ``[begin, end)``.
    size : int64 array
        Requested accelerators; :data:`REMOVED` for a removed row.
    choice : int32 array
        Index of the job's set of partitions.
    """

    def __init__(self, queue: Queue, *, capacity: int = 256) -> None:
        self._queue = queue
        self._pools = sorted({queue.partitions[index].pool for index in queue.members})
        self._row_of_pool = {pool: row for row, pool in enumerate(self._pools)}
        self._job = np.zeros(capacity, dtype=np.int64)
        self.size = np.zeros(capacity, dtype=np.int64)
        self.choice = np.zeros(capacity, dtype=np.int32)
        self._estimate = np.zeros((len(self._pools), capacity))
        self.begin = self.end = 0
        self._removed = 0
        self._n = 0

    def __len__(self) -> int:
        """Number of jobs."""
        return self._n

    def append(self, job: int) -> None:
        """Append `job` at the end."""
        if self.end == len(self._job):
            self._grow()
        self._write(self.end, job)
        self.end += 1

    def insert(self, job: int) -> None:
        """Insert `job` at its place in order of submission; positions may change."""
        begin = self.begin
        at = begin + int(np.searchsorted(self._job[begin : self.end], job))
        if at < self.end and self._job[at] == job:  # the removed row of the same job
            self._removed -= 1
        elif begin:  # a row in front of the first job is free
            self._move(slice(begin, at), -1)
            at -= 1
            self.begin -= 1
            self._removed -= 1
        else:
            if self.end == len(self._job):
                self._grow()
            self._move(slice(at, self.end), 1)
            self.end += 1
        self._write(at, job)

    def jobs_at(self, positions: Ints | slice) -> Ints:
        """Return the jobs at positions."""
        jobs: Ints = self._job[positions]
        return jobs

    def position(self, job: int) -> int:
        """Return the position of a job."""
        rows = slice(self.begin, self.end)
        found = np.flatnonzero((self._job[rows] == job) & (self.size[rows] != REMOVED))
        return int(found[0]) + self.begin

    def waiting(self) -> Ints:
        """Return the positions of all jobs."""
        held = np.flatnonzero(self.size[self.begin : self.end] != REMOVED)
        return held + self.begin

    def arrange(self, positions: Ints) -> None:
        """Keep only the rows at `positions`, in this order."""
        n = len(positions)
        for column in (self._job, self.size, self.choice, *self._estimate):
            column[:n] = column[positions]
        self.begin, self.end, self._removed, self._n = 0, n, 0, n

    def _move(self, rows: slice, by: int) -> None:
        """Move rows by `by` positions."""
        if rows.start < rows.stop:
            there = slice(rows.start + by, rows.stop + by)
            for column in (self._job, self.size, self.choice, *self._estimate):
                column[there] = column[rows]

    def _write(self, at: int, job: int) -> None:
        self._n += 1
        columns = self._queue.jobs
        self._job[at] = job
        self.size[at] = columns.n_accelerators[job]
        self.choice[at] = columns.choice_of[job]
        for row, pool in enumerate(self._pools):
            self._estimate[row, at] = columns.estimate_s[pool][job]

    def job(self, at: int) -> int:
        """Return the job at position `at`."""
        return self._job.item(at)

    def estimate_s(self, pool: int) -> Floats:
        """Return the estimated run times on `pool` by position, seconds."""
        row: Floats = self._estimate[self._row_of_pool[pool]]
        return row

    def preferred_estimate_s(self, positions: Ints) -> Floats:
        """Return estimated run times (s) of the jobs at `positions` on their preferred pools."""
        queue = self._queue
        if len(self._pools) == 1:
            only: Floats = self._estimate[0, positions]
            return only
        preferred = np.array(
            [self._row_of_pool.get(queue.partitions[c[0]].pool, 0) for c in queue.jobs.choices]
        )
        row: Floats = self._estimate[preferred[self.choice[positions]], positions]
        return row

    def remove(self, at: int) -> None:
        """Remove the row at position `at`."""
        self._n -= 1
        self.size[at] = REMOVED
        self._removed += 1

    def holds(self, at: int) -> bool:
        """Whether there is a job at position `at`."""
        return self.size.item(at) != REMOVED

    def compact(self) -> None:
        """Drop removed rows at the front; close all gaps once they outnumber the jobs."""
        while self.begin < self.end and not self.holds(self.begin):
            self.begin += 1
        if self._removed <= 32 or self._removed * 2 < self.end:
            return
        kept = np.flatnonzero(self.size[: self.end] != REMOVED)
        for column in (self._job, self.size, self.choice, *self._estimate):
            column[: len(kept)] = column[kept]
        self.begin, self.end, self._removed = 0, len(kept), 0

    def _grow(self) -> None:
        pad = len(self._job)
        self._job = np.pad(self._job, (0, pad))
        self.size = np.pad(self.size, (0, pad))
        self.choice = np.pad(self.choice, (0, pad))
        self._estimate = np.pad(self._estimate, ((0, 0), (0, pad)))


class CountedBacklog(Backlog):
    """A backlog that counts its jobs by what decides whether they fit.

    Attributes
    ----------
    kinds : dict of (int, int) to int
        Number of jobs of each set of partitions (its index) and size (accelerators).
    """

    def __init__(self, queue: Queue, *, capacity: int = 256) -> None:
        super().__init__(queue, capacity=capacity)
        self.kinds: dict[tuple[int, int], int] = {}

    def _write(self, at: int, job: int) -> None:
        super()._write(at, job)
        kind = self._queue.jobs.choice_of[job], self._queue.jobs.n_accelerators[job]
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def remove(self, at: int) -> None:
        kind = self.choice.item(at), self.size.item(at)
        super().remove(at)
        if self.kinds[kind] > 1:
            self.kinds[kind] -= 1
        else:
            del self.kinds[kind]
