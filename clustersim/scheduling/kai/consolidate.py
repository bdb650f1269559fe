"""Consolidation: running jobs move so that a waiting job finds room; none of them loses its place."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scheduling.kai.order import Backlog, Victims, WaitingJobs
from clustersim.scheduling.kai.session import Session
from clustersim.scheduling.kai.victims import Unit, find_victims

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
    waiting, backlog = WaitingJobs(session, session.jobs), Backlog(session)
    while (job := waiting.pop()) is not None:
        size = session.size_of(waiting.tasks_of(job))
        if not job.preemptible or session.fit.sum() < size:
            continue
        candidates = [
            other
            for other in session.jobs
            if other is not job and other.preemptible and other.active
        ]
        if find_victims(session, job, Victims(session, candidates), _all_placed, backlog):
            waiting.refresh()


def _all_placed(units: Sequence[Unit]) -> bool:
    """Return whether all evicted tasks have a place again."""
    return all(task.is_active for unit in units for task in unit)
