"""Strict queue orders: if the first job of the queue cannot start, the jobs behind it wait.

If a job cannot start, the jobs behind it may not use the partitions on which it could run. They
may use other partitions.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from operator import index, itemgetter
from typing import Any, ClassVar

from clustersim.scheduling.policies.base import JobFits, Policy
from clustersim.scheduling.policies.partial import start_smaller
from clustersim.scheduling.policies.ranks import shortest_first
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["Fcfs", "Sjf"]


class _StrictOrder(Policy):
    """Keeps one line of waiting jobs for each distinct set of partitions on which jobs can run.

    Attributes
    ----------
    partial : bool
        Whether a job that does not fit at the size that it asks for starts at the largest smaller
        size in its range that does (partial admission, as in Kueue).
    """

    partial: bool = False

    starts_first: ClassVar[bool] = True

    @classmethod
    def smaller_sizes(cls, least: int, asked: int, partition: Partition) -> Sequence[int]:
        return range(least, asked) if cls.partial else ()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._lines: dict[int, Any] = {}
        self._begin_first: Callable[[int], bool] = (
            self._begin if self.partial else queue.start_anywhere
        )

    def schedule(self, now: float) -> None:
        if len(self._lines) == 1:
            (line,) = self._lines.values()
            while line and self._begin_first(self._job(line[0])):
                self._drop_head(line)
            return
        closed = 0
        lines = [(choice, line) for choice, line in self._lines.items() if line]
        while lines:
            choice, line = min(lines, key=lambda entry: entry[1][0])
            if self._begin(self._job(line[0]), closed):
                self._drop_head(line)
                if not line:
                    lines.remove((choice, line))
            else:
                closed |= self._mask(choice)
                lines = [entry for entry in lines if self._mask(entry[0]) & ~closed]

    def start_first(self, job: int) -> bool:
        if not self.queue.start_anywhere(job):
            return False
        line = self._lines[self.queue.jobs.choice_of[job]]
        line.remove(next(head for head in line if self._job(head) == job))
        self._in_order(line)
        return True

    def _in_order(self, line: Any) -> None:
        """Restore the order of a line from which a job was removed."""

    def _begin(self, job: int, closed: int = 0) -> bool:
        """Start a job, at a smaller size if need be and allowed; return whether it started."""
        queue = self.queue
        if queue.start_anywhere(job, closed=closed):
            return True
        return self.partial and start_smaller(queue, job, closed=closed)

    def would_start(self, fits: JobFits) -> bool:
        closed = 0
        heads = sorted((line[0], choice) for choice, line in self._lines.items() if line)
        for head, choice in heads:
            if fits(self._job(head), closed):
                return True
            closed |= self._mask(choice)
        return False

    def _mask(self, choice: int) -> int:
        return sum(1 << partition for partition in self.queue.jobs.choices[choice])

    _job: ClassVar[Any]
    """Returns the job of an entry of a line."""
    _drop_head: ClassVar[Any]
    """Removes the first entry of a line."""


class Fcfs(_StrictOrder):
    """First come, first served: if the first job cannot start, all jobs behind it wait."""

    _job = staticmethod(index)
    _drop_head = staticmethod(deque.popleft)

    def submit(self, job: int) -> None:
        choice = self.queue.jobs.choice_of[job]
        line = self._lines.get(choice)
        if line is None:
            line = self._lines[choice] = deque()
        line.append(job)

    def resubmit(self, job: int) -> None:
        insort(self._lines.setdefault(self.queue.jobs.choice_of[job], deque()), job)


class Sjf(_StrictOrder):
    """Shortest job first by estimated run time, without preemption; ties in order of submission.

    The estimate refers to the job's preferred partition.
    """

    _job = staticmethod(itemgetter(1))
    _drop_head = staticmethod(heappop)

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        return shortest_first(jobs, partitions)

    def submit(self, job: int) -> None:
        line = self._lines.setdefault(self.queue.jobs.choice_of[job], [])
        heappush(line, (self.queue.estimate_s(job), job))

    def _in_order(self, line: list[tuple[float, int]]) -> None:
        heapify(line)
