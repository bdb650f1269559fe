"""Shortest remaining time first, with preemption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from clustersim.scheduling.decisions import Decision
from clustersim.scheduling.policies.preemptive import Preemptive
from clustersim.scheduling.policies.ranks import shortest_first
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.view import View

__all__ = ["Srsf", "Srtf"]


class Srtf(Preemptive):
    """Shortest remaining time first: jobs with less work left preempt those with more.

    In every pass, all waiting and running jobs are sorted by their estimated remaining time. Jobs
    with the same time keep their order of the pass before; new jobs come last. Each job in turn
    runs if enough accelerators are left; jobs that do not fit are skipped.

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
        left = view.remaining_s(order)
        if self.by_size:
            left = left * view.n_accelerators(order)
        order = order[np.argsort(left, kind="stable")]
        self._order = [*order.tolist(), *leaving]
        yield from self.run_these(view.those_that_fit(order.tolist()), view)


class Srsf(Srtf):
    """Shortest remaining service first: as ``srtf``, by remaining time x accelerators.

    Gu et al., "Tiresias: A GPU cluster manager for distributed deep learning", NSDI 2019.
    """

    by_size: ClassVar[bool] = True
