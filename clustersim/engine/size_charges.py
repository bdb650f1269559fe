"""Charges limits and quotas for the sizes at which jobs run, if these may differ from those asked.

A job in the queue counts with the size with which it entered, a running job with what it holds, and
a job that saves its state to grow with what is held for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clustersim.engine.attempts import Attempt
from clustersim.engine.clock import SUBMISSION, Clock
from clustersim.engine.gates import Gates
from clustersim.scheduling.holding import Part, SizeRange, job_s
from clustersim.scheduling.job_columns import JobColumns
from clustersim.scheduling.partition import Partition

__all__ = ["SizeCharges"]


class SizeCharges:
    """Which sizes limits, quotas and budgets allow, and what jobs are charged.

    Parameters
    ----------
    gates : Gates
    clock : Clock
    jobs : JobColumns
        With ranges of sizes.
    partitions : sequence of Partition
        All partitions of the cluster, in order of their index.
    running : mapping of int to Attempt
        The running jobs; the caller keeps it up to date.
    enter : callable
        Called with jobs that may enter their queues, outside of scheduling passes.

    Attributes
    ----------
    n_due : int
        Number of times that jobs may still enter at this instant.
    """

    def __init__(
        self,
        gates: Gates,
        clock: Clock,
        jobs: JobColumns,
        partitions: Sequence[Partition],
        running: Mapping[int, Attempt],
        enter: Callable[[Sequence[int]], None],
    ) -> None:
        assert jobs.elastic is not None, "otherwise all jobs run at the size that they ask for"
        self.n_due = 0
        self._gates, self._clock, self._jobs = gates, clock, jobs
        self._elastic: SizeRange = jobs.elastic
        self._partitions, self._running, self._enter = partitions, running, enter

    def most(self, job: int) -> float:
        """Return the largest size that a job may have now; infinite without a limit."""
        most = self._gates.most(job)
        if not self._gates.has_budgets(job):
            return most
        low, high = self._jobs.n_accelerators[job], int(min(most, self._elastic.range(job)[1]))
        if low >= high:
            return most
        choice = self._jobs.choices[self._jobs.choice_of[job]]
        while low < high:  # a larger size seldom needs less of a budget
            middle = (low + high + 1) // 2
            if all(self._affords(job, self._partitions[index], middle) for index in choice):
                low = middle
            else:
                high = middle - 1
        return low

    def allows(self, job: int, partition: Partition, size: int) -> bool:
        """Return whether a job may have a size on a partition now."""
        return size <= self._gates.most(job) and self._affords(job, partition, size)

    def charge(self, job: int, size: int) -> None:
        """Charge a job for a size from now on; others may enter if this is less than before."""
        if self._gates.resize(job, size):
            self._let_others_in(job)

    def waits(self, job: int) -> None:
        """Charge a job that waits again for no more than that with which it entered."""
        if self._gates.wait_again(job):
            self._let_others_in(job)

    def _let_others_in(self, job: int) -> None:
        self.n_due += 1

        def due(_event: object) -> None:
            self.n_due -= 1
            self._enter(self._gates.freed(job, self._clock.now))

        self._clock.at(self._clock.now, SUBMISSION).callbacks.append(due)

    def _affords(self, job: int, partition: Partition, size: int) -> bool:
        """Return whether the budgets of a job allow a size, which only a larger one may exceed."""
        jobs = self._jobs
        if size <= jobs.n_accelerators[job] or not self._gates.has_budgets(job):
            return True
        seconds = job_s(jobs, jobs.estimate_s, job, [Part(partition, size, ())])
        if (attempt := self._running.get(job)) is not None:
            holding, own = attempt.holding, attempt.partition
            whole_s = jobs.estimate_s[own.pool][job] if holding is None else holding.estimate_s
            ran_s = self._clock.now - attempt.began_s
            seconds *= max(0.0, 1.0 - ran_s / whole_s) if whole_s > 0 else 0.0
        return self._gates.affords_change(job, self._clock.now, size, seconds)
