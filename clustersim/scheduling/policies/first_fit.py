"""Orders in which every job that fits starts, without reservations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.notes import note
from clustersim.scheduling.policies.backlog import REMOVED
from clustersim.scheduling.policies.backlog_policy import BacklogPolicy
from clustersim.scheduling.policies.partial import least_size, start_smaller
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["EarliestDeadline", "FirstFit", "LargestFirst", "SmallestFirst"]


class FirstFit(BacklogPolicy):
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

    @classmethod
    def smaller_sizes(cls, least: int, asked: int, partition: Partition) -> Sequence[int]:
        return range(least, asked) if cls.partial else ()

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
            here = partitions[index].placement.fits_each(sizes[rows]) & self._allows[index][choice]
            if partitions[index].has_announced_windows and np.count_nonzero(here):
                own = here.nonzero()[0]
                jobs = self._backlog.jobs_at(positions[rows[own]])
                here[own] = self.queue.fit_each(jobs, partitions[index])
            fits |= here
        return rows[fits]


class LargestFirst(FirstFit):
    """Largest gang first; jobs that do not fit are skipped; ties in order of submission."""

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        return [-n for n in jobs.n_accelerators]

    def _in_order(self, positions: Ints) -> Ints:
        order = np.argsort(-self._backlog.size[positions], kind="stable")
        in_order: Ints = positions[order]
        return in_order


class SmallestFirst(FirstFit):
    """Smallest gang first; jobs that do not fit are skipped; ties in order of submission."""

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        return jobs.n_accelerators

    def _in_order(self, positions: Ints) -> Ints:
        in_order: Ints = positions[np.argsort(self._backlog.size[positions], kind="stable")]
        return in_order


class EarliestDeadline(FirstFit):
    """Earliest deadline first; jobs that do not fit are skipped; ties in order of submission.

    The deadline is ``deadline_s``, or ``slo_s`` seconds after the submission, columns of the jobs
    table; with both, the earlier one. Jobs without a deadline come last.

    Liu and Layland, "Scheduling algorithms for multiprogramming in a hard-real-time environment",
    Journal of the ACM 20(1), 1973, section 7, here for gangs and without preemption.

    Attributes
    ----------
    late_last : bool
        Whether jobs that would miss their deadline if they started now come after all others.
    """

    late_last: bool = False

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._deadline_s = _deadlines_s(queue)

    def _in_order(self, positions: Ints) -> Ints:
        backlog = self._backlog
        due_s = self._deadline_s[backlog.jobs_at(positions)]
        keys: list[Floats] = [due_s]
        if self.late_last:
            ends_s = self.queue.now + backlog.preferred_estimate_s(positions)
            keys.append(np.asarray(ends_s > due_s, dtype=np.float64))
        in_order: Ints = positions[np.lexsort(keys)]
        return in_order


def _deadlines_s(queue: Queue) -> Floats:
    """Return the deadline of each job, seconds; infinite without one."""
    columns, n = queue.jobs.columns, len(queue.jobs.n_accelerators)
    due_s = np.full(n, np.nan)
    if "slo_s" in columns:
        due_s = _numbers(columns["slo_s"]) + _numbers(columns["submit_s"])
    if "deadline_s" in columns:
        due_s = np.fmin(due_s, _numbers(columns["deadline_s"]))
    if not np.isfinite(due_s).any():
        note(
            "no job has a deadline (columns deadline_s or slo_s), so all are in order of submission"
        )
    return np.where(np.isnan(due_s), np.inf, due_s)


def _numbers(values: npt.NDArray[np.generic]) -> Floats:
    numbers = pd.to_numeric(pd.Series(values).astype(object), errors="coerce")
    found: Floats = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    return found
