"""Consolidation: jobs move so that a waiting job finds room, and none of them loses its place."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scheduling.kai.backlog import Waiting
from clustersim.scheduling.kai.candidates import Loss, Victims
from clustersim.scheduling.kai.session import Session
from clustersim.scheduling.kai.victims import Unit, place_by_force

__all__ = ["consolidate"]


def consolidate(session: Session) -> None:
    """Move jobs to make room for preemptible jobs that wait.

    Parameters
    ----------
    session : Session
        Is changed.

    Examples
    --------
    Two half-empty nodes: a job moves, and the job that needs a whole node gets one.

    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai import consolidate
    >>> running = TaskState.RUNNING
    >>> jobs = (
    ...     Job("a", "team", (Task(2, running, "node0"),)),
    ...     Job("b", "team", (Task(2, running, "node1"),), submitted_s=1.0),
    ...     Job("whole", "team", (Task(4),), submitted_s=2.0),
    ... )
    >>> session = Session(Cluster({"node0": 4, "node1": 4}, (Queue("team"),), jobs))
    >>> consolidate(session)
    >>> [(str(job.tasks[0].state), job.tasks[0].node) for job in session.jobs]
    [('running', 0), ('pipelined', 0), ('pipelined', 1)]
    """
    place_by_force(session, _Consolidation)


class _Consolidation:
    """A waiting job and those that move for it."""

    def __init__(self, session: Session, entry: Waiting) -> None:
        self._session = session
        self._job = entry.job
        self._size = entry.size

    def is_allowed(self) -> bool:
        """Return whether the job can be preempted, and all free accelerators suffice for it."""
        return self._job.preemptible and float(self._session.fit.sum()) >= self._size

    def victims(self) -> Victims:
        """Return the candidates: all other preemptible jobs."""
        active = self._session.active_of.values()
        others = [
            job for jobs in active for job in jobs if job.preemptible and job is not self._job
        ]
        return Victims(self._session, others, lambda job: Loss.GANG)

    def most_lost(self, units: Sequence[Unit]) -> float:
        """Return how many accelerators some units may lose: none."""
        return 0.0

    def accepts(self, units: Sequence[Unit]) -> bool:
        """Return whether all evicted tasks have a place again."""
        return all(task.is_active for unit in units for task in unit)
