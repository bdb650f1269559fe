"""Charges the budgets of jobs that run, and renews budgets at the end of their periods."""

from __future__ import annotations

import math

from simpy.events import Event

from clustersim.engine.clock import NODE_EVENT
from clustersim.engine.engine import Simulation
from clustersim.engine.gates import Gates
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["BudgetDriver"]


class BudgetDriver:
    """Keeps the budgets of a simulation that has not started yet.

    Parameters
    ----------
    simulation : Simulation
    gates : Gates
        The limits of the simulation.
    """

    def __init__(self, simulation: Simulation, gates: Gates) -> None:
        self._simulation, self._gates = simulation, gates
        self._idle: set[float] = set()
        simulation.watch(self)
        periods = {budget.period_s for own in gates.budgets_of_jobs() for budget in own}
        for period_s in sorted(periods - {math.inf}):
            self._plan(period_s, 1)
        if periods - {math.inf}:
            simulation.wait_for(self._awaits)

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Charge the budgets of a job from now on."""
        jobs, now = self._simulation.jobs, self._simulation.clock.now
        attempt = self._simulation.running[job]
        if attempt.holding is not None:
            if partition is attempt.partition:  # its other parts need not be charged again
                self._gates.start(job, now, attempt.holding.size, attempt.holding.estimate_s)
            return
        estimate_s = jobs.estimate_s[partition.pool][job]
        self._gates.start(job, now, jobs.n_accelerators[job], estimate_s)

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Charge the budgets of a job no longer."""
        self._gates.stop(job, self._simulation.clock.now)

    def _plan(self, period_s: float, number: int) -> None:
        """Plan the end of a period."""
        event = self._simulation.clock.at(number * period_s, NODE_EVENT)

        def renew(_event: Event) -> None:
            simulation, entered = self._simulation, False
            now = simulation.clock.now
            for budget in [each for each in self._gates.renewals() if each.period_s == period_s]:
                if jobs := self._gates.renewed(budget, now):
                    simulation.enter(jobs)
                    entered = True
            if entered or simulation.running:
                self._idle.clear()
            else:
                self._idle.add(period_s)
            self._plan(period_s, number + 1)
            simulation.enter(())

        event.callbacks.append(renew)

    def _awaits(self) -> bool:
        """Return whether the end of a period may let jobs in.

        That of a budget does not if nothing ran and nobody entered when the last one ended.
        """
        return any(budget.period_s not in self._idle for budget in self._gates.renewals())
