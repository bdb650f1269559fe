"""Shortest remaining time first, with preemption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.scheduling.decisions import Decision
from clustersim.scheduling.policies.preemptive import Preemptive
from clustersim.scheduling.policies.ranks import shortest_first
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.view import View

__all__ = ["Srsf", "Srtf"]


class Srtf(Preemptive):
    """Shortest remaining time first: jobs with less work left preempt those with more.

    In every pass, all waiting and running jobs are sorted by their estimated remaining time, that
    on their preferred pool wherever they run. Jobs with the same time keep their order of the pass
    before; new jobs come last. Each job in turn runs if enough accelerators are left; jobs that do
    not fit are skipped.

    Schrage, "A proof of the optimality of the shortest remaining processing time discipline",
    Operations Research 16(3), 1968; for gangs on accelerators as in Gu et al., "Tiresias: A GPU
    cluster manager for distributed deep learning", NSDI 2019.
    """

    by_size: ClassVar[bool] = False

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        shortest = shortest_first(jobs, partitions)
        if not cls.by_size:
            return shortest
        return [n * time_s for n, time_s in zip(jobs.n_accelerators, shortest, strict=True)]

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._order: list[int] = []

    def arrive(self, job: int) -> None:
        self._order.append(job)

    def decide(self, view: View) -> Iterator[Decision]:
        running, leaving = self.queue.running, self.queue.leaving
        order = np.array(
            [
                job
                for job in self._order
                if job in self.waiting or (job in running and job not in leaving)
            ],
            dtype=np.int64,
        )
        left = self._left_s(order, view)
        if self.by_size:
            left = left * view.n_accelerators(order)
        order = order[np.argsort(left, kind="stable")]
        self._order = [*order.tolist(), *leaving]
        yield from self.run_in_order(order.tolist(), view)

    def _left_s(self, jobs: Ints, view: View) -> Floats:
        """Return what is left of jobs on their preferred pools, seconds.

        Were it that on the pool where a job runs, a job on a slow pool would have more left than
        the same job while it waits, and jobs would take turns in preempting each other.
        """
        queue, left_s = self.queue, view.remaining_s(jobs)
        for row, job in enumerate(jobs.tolist()):
            if (at := queue.running.get(job)) is not None:
                here_s, preferred_s = queue.estimate_s(job, at.partition), queue.estimate_s(job)
                if here_s not in (preferred_s, 0.0):
                    left_s[row] *= preferred_s / here_s
        return left_s


class Srsf(Srtf):
    """Shortest remaining service first: as ``srtf``, by remaining time x accelerators.

    Gu et al., "Tiresias: A GPU cluster manager for distributed deep learning", NSDI 2019.
    """

    by_size: ClassVar[bool] = True
