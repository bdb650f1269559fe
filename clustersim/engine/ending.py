"""Ends a run without a horizon when no future event can start a waiting job.

The check runs at the end of an instant. Earlier in the instant, its answer could be wrong: a node
that returns at this instant has not received a job yet, and a node that is delivered at this
instant may turn out to have no power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized

import numpy as np
from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.engine.clock import END_OF_INSTANT, Clock
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.queue import JobColumns, Partition

__all__ = ["Ending"]


class Ending:
    """Stops a run as soon as no job runs and no waiting job can ever start.

    A waiting job can start if one of its partitions has enough nodes that are in service or will
    return to service. It may still wait forever behind a job that cannot start. The policy reports
    this (:meth:`~clustersim.scheduling.policies.Policy.would_start`). Otherwise it is inferred
    when the policy starts nothing although each waiting job that can ever start has room on every
    partition that it can use.

    Parameters
    ----------
    clock : Clock
    jobs : JobColumns
    partitions : sequence of Partition
    policies : sequence of Policy
        Policy for each set of partitions in `jobs.choices`.
    running : sized
        The running jobs; the caller keeps this collection up to date.
    partition_of : sequence of int
        Partition of each job that runs or has ended, -1 for others; the caller keeps this list up
        to date.
    awaits : callable
        Returns whether something will happen at a known time: a pass that a policy asked for, or a
        job that enters its queue.
    held : callable, optional
        Returns whether a job is not in its queue, because it waits for another job or a limit. Such
        a job starts only after another one has ended.

    Attributes
    ----------
    came : bool
        Whether the run was stopped by this object.
    """

    def __init__(
        self,
        clock: Clock,
        jobs: JobColumns,
        partitions: Sequence[Partition],
        policies: Sequence[Policy],
        running: Sized,
        partition_of: Sequence[int],
        awaits: Callable[[], bool],
        *,
        held: Callable[[int], bool] = lambda job: False,
    ) -> None:
        self.came = False
        self._clock = clock
        self._jobs = jobs
        self._partitions = partitions
        self._policies = policies
        self._running = running
        self._partition_of = partition_of
        self._awaits = awaits
        self._held = held
        self._asked = False
        self._n_ended = self._n_ended_then = -1
        self._waiting: dict[tuple[int, int], int] = {}

    def ask(self, n_ended: int) -> None:
        """Request a check, at the end of this instant, of whether the run is over.

        Parameters
        ----------
        n_ended : int
            Number of jobs that have ended. All jobs have been submitted and none runs at present.
        """
        self._n_ended = n_ended
        if not self._asked:
            self._asked = True
            self._clock.at(self._clock.now, END_OF_INSTANT).callbacks.append(self._answer)

    def _answer(self, event: Event) -> None:
        self._asked = False
        if not self._running and not self._awaits() and not self._one_can_start():
            self.came = True
            StopSimulation.callback(event)

    def _one_can_start(self) -> bool:
        """Return whether a waiting job can start when nodes return, given that no job runs."""
        choices = self._jobs.choices
        policies = dict.fromkeys(
            self._policies[choice]
            for choice, n in self._waiting_jobs()
            if any(self._waits_for_nodes(index, n) for index in choices[choice])
            or self._waits_for_nodes_of_several(choices[choice], n)
        )
        return any(policy.would_start(self._job_fits) for policy in policies)

    def _waiting_jobs(self) -> dict[tuple[int, int], int]:
        """Return one waiting job by set of partitions and size, given that no job runs."""
        jobs = self._jobs
        if self._n_ended_then != self._n_ended:
            self._n_ended_then = self._n_ended
            self._waiting = {
                (jobs.choice_of[job], jobs.n_accelerators[job]): job
                for job, partition in enumerate(self._partition_of)
                if partition < 0 and not self._held(job)
            }
        return self._waiting

    def _job_fits(self, job: int, closed: int) -> bool:
        """Return whether a job fits on one of its open partitions once all nodes have returned."""
        n = self._jobs.n_accelerators[job]
        choice = self._jobs.choices[self._jobs.choice_of[job]]
        most = [self._most(index) for index in choice if not closed >> index & 1]
        return n <= (max(most, default=0) if self._jobs.split is None else sum(most))

    def _waits_for_nodes(self, index: int, n: int) -> bool:
        """Return whether a gang does not fit on a partition now, but may fit when nodes return."""
        placement, most = self._partitions[index].placement, self._most(index)
        return n <= most and placement.free < most and not placement.fits_each(np.array([n]))[0]

    def _waits_for_nodes_of_several(self, choice: Sequence[int], n: int) -> bool:
        """Return whether a gang may fit on several partitions together only when nodes return."""
        if self._jobs.split is None:
            return False
        free = sum(self._partitions[index].placement.free for index in choice)
        return free < n <= sum(self._most(index) for index in choice)

    def _most(self, index: int) -> int:
        """Number of accelerators of a partition that are in service or will return to service."""
        partition = self._partitions[index]
        placement = partition.placement
        return placement.capacity - partition.n_gone * placement.chips_per_node
