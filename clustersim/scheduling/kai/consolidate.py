"""Consolidation: jobs move so that a waiting job finds room, and none of them loses its place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from clustersim.scheduling.kai.order import Backlog, Failed, Loss, Victims, WaitingJobs
from clustersim.scheduling.kai.session import JobInSession, Session
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
    waiting, backlog, failed = WaitingJobs(session, session.jobs), Backlog(session), Failed()
    while (job := waiting.pop()) is not None:
        size = session.size_of(waiting.tasks_of(job))
        if not job.preemptible or session.fit.sum() < size or job in failed:
            continue
        victims = Victims(session, session.jobs_of, partial(_loss, job))
        if find_victims(session, job, victims, _all_placed, backlog):
            waiting.refresh()
        else:
            failed.add(job)


def _loss(waiting: JobInSession, job: JobInSession) -> Loss:
    """Return what a job may lose for another that waits."""
    return Loss.GANG if job.preemptible and job is not waiting else Loss.NOTHING


def _all_placed(units: Sequence[Unit]) -> bool:
    """Return whether all evicted tasks have a place again."""
    return all(task.is_active for unit in units for task in unit)
