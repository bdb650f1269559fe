"""Preempt: a job takes the place of jobs of lower priority in its own queue."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scheduling.kai.backlog import Waiting
from clustersim.scheduling.kai.candidates import Loss, Victims, loss_of
from clustersim.scheduling.kai.minimum_run_time import minimum_preempt_s
from clustersim.scheduling.kai.session import JobInSession, Session
from clustersim.scheduling.kai.victims import Unit, has_waited, place_by_force

__all__ = ["preempt"]


def preempt(session: Session) -> None:
    """Let waiting jobs preempt jobs of lower priority.

    Parameters
    ----------
    session : Session
        Is changed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState, preempt
    >>> low = Job("low", "team", (Task(8, TaskState.RUNNING, "node0"),))
    >>> high = Job("high", "team", (Task(4),), priority=75)
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), (low, high)))
    >>> preempt(session)
    >>> [str(job.tasks[0].state) for job in session.jobs]
    ['releasing', 'pipelined']
    """
    place_by_force(session, _Preemptor)


class _Preemptor:
    """A waiting job and the jobs of lower priority in its queue."""

    def __init__(self, session: Session, entry: Waiting) -> None:
        self._session = session
        self._job = job = entry.job
        self._size = entry.size
        cluster = session.cluster
        self._minimum_s = minimum_preempt_s(
            session.by_name, job.job.queue, cluster.minimum_run_time
        )

    def is_allowed(self) -> bool:
        """Return whether the job has waited long enough and stays within its quotas.

        One that cannot be preempted must stay within what is deserved by its queue and those above.
        """
        session, job = self._session, self._job
        if not has_waited(session, job):
            return False
        return job.preemptible or all(
            session.held_for_good[queue] + self._size <= session.queues[queue].deserved
            for queue in session.paths[job.queue]
        )

    def victims(self) -> Victims:
        """Return the candidates."""
        priority = self._job.priority
        active = self._session.active_of.get(self._job.queue, {})
        lower = [other for other in active if other.priority < priority and other.preemptible]
        return Victims(self._session, lower, self._loss)

    def _loss(self, other: JobInSession) -> Loss:
        """Return what a preemptible job of lower priority may lose."""
        return loss_of(other, self._minimum_s, self._session.cluster.now_s)

    def most_lost(self, units: Sequence[Unit]) -> float:
        """Return an upper bound on the accelerators that some units may lose: there is none."""
        return float("inf")

    def accepts(self, units: Sequence[Unit]) -> bool:
        """Return whether units may be evicted: all candidates may."""
        return True
