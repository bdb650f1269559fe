"""What policies that preempt jobs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from clustersim.scheduling.decisions import Decision, How, Preempt, Start
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.scheduling.queue import Queue
from clustersim.scheduling.together import places_that_fit
from clustersim.scheduling.view import View

__all__ = ["Preempting", "Preemptive", "cost_of"]


def cost_of(queue: Queue, cost_s: float | None, job: int) -> float | None:
    """Return the time that a preemption costs a job, seconds; None if nothing says it.

    Parameters
    ----------
    queue : Queue
    cost_s : float or None
        What it costs every job. None: what the jobs' column ``restart_delay_s`` says.
    job : int
    """
    if cost_s is None and "restart_delay_s" in queue.jobs.columns:
        delay_s = float(queue.jobs.columns["restart_delay_s"][job])
        return delay_s if delay_s >= 0.0 else None
    return cost_s


class Preempting(PreemptionOptions, Policy):
    """Options of policies that preempt jobs.

    Attributes
    ----------
    preempt_by : {"save", "requeue", "suspend", "cancel"}
        How a job is preempted, see :class:`~clustersim.scheduling.decisions.Preempt`.
    cost : float or None
        Time that a preemption costs a job when it starts again, seconds. By default the job's
        ``restart_delay_s``, if the jobs table has such a column; else that of a checkpoint and a
        restart, if the run has checkpoints, and otherwise none.
    """

    tracks_running: ClassVar[bool] = True
    preempt_by: How = "save"
    cost: float | None = None

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        if cls.cost is not None and not 0 <= cls.cost < float("inf"):
            return f"option cost: must be a number of seconds, at least 0, found {cls.cost}"
        return cls.limits_problem()

    def cost_of(self, job: int) -> float | None:
        """Return the time that a preemption costs a job, seconds; None if nothing says it."""
        return cost_of(self.queue, self.cost, job)

    def resubmit(self, job: int) -> None:
        self.submit(job)


class Preemptive(Preempting):
    """Runs a set of jobs that is chosen anew in every pass."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._seen: set[int] = set()

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        if job not in self._seen:
            self._seen.add(job)
            self.arrive(job)

    def arrive(self, job: int) -> None:
        """React to a job that is submitted for the first time."""

    def run_in_order(self, order: Iterable[int], view: View) -> Iterator[Decision]:
        """Run the jobs of an order that fit together, each in turn, and preempt the others.

        A chosen job waits as long as its accelerators are those of jobs that leave.
        """
        chosen = places_that_fit(self.queue, order)
        for job in view.running.tolist():
            if job not in chosen or chosen[job] is not None:
                yield Preempt(job, self.preempt_by, self.cost_of(job))
        for job, place in chosen.items():
            if job not in self.waiting:
                continue
            if place is None:
                if view.fits(job):
                    yield Start(job)
            elif job in self.queue.own_nodes:  # it was suspended now, because its nodes are taken
                continue
            elif place.partition.placement.has_free(place.nodes, self.n_accelerators(job)):
                yield Start(job, place.partition.name, place.nodes)
