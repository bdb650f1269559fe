"""When a run without a horizon ends: nothing that is still to come can start a waiting job.

The question is asked once an instant is over.  In mid-instant the answer can be wrong: the node
that comes back has not started its job yet, and the one that is delivered may find no power.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

import numpy as np
from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.engine.clock import END_OF_INSTANT

if TYPE_CHECKING:
    from clustersim.engine.engine import Simulation

__all__ = ["Ending"]


class Ending:
    """Stops a run as soon as no job runs and none can ever start.

    A waiting job can start if one of its partitions has enough nodes that are in service or will
    be again.  It may still wait for ever behind a job that cannot: the policy says so
    (:meth:`~clustersim.scheduling.policies.Policy.would_start`), or shows it by starting nothing
    although each waiting job that can ever start has room on every partition it can use.

    Parameters
    ----------
    simulation : Simulation
    running : sized
        The jobs that run, kept up to date by its owner.
    """

    def __init__(self, simulation: Simulation, running: Sized) -> None:
        self._simulation = simulation
        self._running = running
        self._wanted = False
        self._asked = False
        self._n_ended = -1
        self._waiting: dict[tuple[int, int], int] = {}

    def stop_when_nothing_can_start(self) -> None:
        """Stop the run by itself; without this nothing is stopped."""
        self._wanted = True

    def ask(self) -> None:
        """Ask at the end of this instant whether the run is over; needless while jobs run."""
        if self._wanted and not (self._asked or self._running) and self._simulation.all_submitted:
            self._asked = True
            clock = self._simulation.clock
            clock.at(clock.now, END_OF_INSTANT).callbacks.append(self._answer)

    def _answer(self, event: Event) -> None:
        self._asked = False
        if not self._running and not self._one_can_start():
            StopSimulation.callback(event)

    def _one_can_start(self) -> bool:
        """Whether a job that waits can start when nodes come back, while none runs."""
        simulation = self._simulation
        policies = dict.fromkeys(
            simulation.policy_of(job)
            for (choice, n), job in self._waiting_jobs().items()
            if any(self._waits_for_nodes(index, n) for index in simulation.jobs.choices[choice])
        )
        return any(policy.would_start(self._job_fits) for policy in policies)

    def _waiting_jobs(self) -> dict[tuple[int, int], int]:
        """One waiting job of each set of partitions and size, while none runs."""
        simulation, jobs = self._simulation, self._simulation.jobs
        if self._n_ended != simulation.n_ended:
            self._n_ended = simulation.n_ended
            self._waiting = {
                (jobs.choice_of[job], jobs.n_accelerators[job]): job
                for job, partition in enumerate(simulation.partition_of)
                if partition < 0
            }
        return self._waiting

    def _job_fits(self, job: int, closed: int) -> bool:
        """Whether a job fits one of its partitions that are not closed, once all nodes are back."""
        jobs = self._simulation.jobs
        n = jobs.n_accelerators[job]
        return any(
            not closed >> index & 1 and self._fits(index, n)
            for index in jobs.choices[jobs.choice_of[job]]
        )

    def _fits(self, index: int, n: int) -> bool:
        return n <= self._most(index)

    def _waits_for_nodes(self, index: int, n: int) -> bool:
        """Whether a gang has no room on a partition, but may when nodes are back; no job runs."""
        placement, most = self._simulation.partitions[index].placement, self._most(index)
        return n <= most and placement.free < most and not placement.fits_each(np.array([n]))[0]

    def _most(self, index: int) -> int:
        """Accelerators of a partition that are in service or will be again."""
        partition = self._simulation.partitions[index]
        placement = partition.placement
        return placement.capacity - partition.n_gone * placement.chips_per_node
