"""Orders in which every job that fits starts, without reservations."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.policies.backlog import REMOVED, Backlog
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.policies.partial import least_size, start_smaller
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["FirstFit", "LargestFirst", "SmallestFirst"]


class FirstFit(Policy):
    """First come, first served, but jobs that do not fit are skipped.

    The whole queue is scanned in order of submission. Nothing is reserved, so a stream of small
    jobs can keep a large one waiting.

    Attributes
    ----------
    partial : bool
        Whether a job that does not fit at the size that it asks for starts at the largest smaller
        size in its range that does (partial admission, as in Kueue).
    """

    partial: bool = False

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._backlog = Backlog(queue)
        self._n_seen = 0
        self._released = True
        self._allows = {
            index: np.array([index in choice for choice in queue.jobs.choices])
            for index in queue.members
        }

    def submit(self, job: int) -> None:
        self._backlog.append(job)

    def resubmit(self, job: int) -> None:
        self._backlog.insert(job)
        self._released = True

    def finish(self, job: int, partition: Partition) -> None:
        self._released = True

    def service_changed(self, partition: Partition) -> None:
        self._released = True

    def schedule(self, now: float) -> None:
        backlog = self._backlog
        first = self._n_seen
        if self._released:
            self._released = False
            backlog.compact()
            first = backlog.begin
        positions = self._in_order(np.arange(first, backlog.end))
        positions = positions[self._fit(positions)]
        while len(positions):
            at = int(positions[0])
            job, positions = backlog.job(at), positions[1:]
            if self.queue.start_anywhere(job) or (self.partial and start_smaller(self.queue, job)):
                backlog.remove(at)
                positions = positions[self._fit(positions)]
        self._n_seen = backlog.end

    def _in_order(self, positions: Ints) -> Ints:
        """Return the positions of waiting jobs in the order in which they are tried."""
        return positions

    def _fit(self, positions: Ints) -> Ints:
        """Return which of the positions have a job that fits on one of its partitions."""
        partitions, sizes = self.queue.partitions, self._backlog.size[positions]
        if self.partial and self.queue.jobs.elastic is not None:
            jobs = self._backlog.jobs_at(positions).tolist()
            least = np.array([least_size(self.queue, job) for job in jobs], dtype=np.int64)
            sizes = np.where(sizes == REMOVED, sizes, least)
        free = [partitions[index].placement.largest_gang() for index in self.queue.members]
        if self.queue.jobs.split is not None:
            together = dict(zip(self.queue.members, free, strict=True))
            choices = self.queue.jobs.choices
            most = np.array([sum(together.get(at, 0) for at in choice) for choice in choices])
            found: Ints = np.flatnonzero(sizes <= most[self._backlog.choice[positions]])
            return found
        rows: Ints = np.flatnonzero(sizes <= max(free))
        if not len(rows):
            return rows
        fits = np.zeros(len(rows), dtype=bool)
        choice = self._backlog.choice[positions[rows]]
        for index in self.queue.members:
            fits |= partitions[index].placement.fits_each(sizes[rows]) & self._allows[index][choice]
        return rows[fits]


class LargestFirst(FirstFit):
    """Largest gang first; jobs that do not fit are skipped; ties in order of submission."""

    def _in_order(self, positions: Ints) -> Ints:
        order = np.argsort(-self._backlog.size[positions], kind="stable")
        in_order: Ints = positions[order]
        return in_order


class SmallestFirst(FirstFit):
    """Smallest gang first; jobs that do not fit are skipped; ties in order of submission."""

    def _in_order(self, positions: Ints) -> Ints:
        in_order: Ints = positions[np.argsort(self._backlog.size[positions], kind="stable")]
        return in_order
