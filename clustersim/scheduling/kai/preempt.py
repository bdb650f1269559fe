"""Preempt: a job takes the place of jobs of lower priority in its own queue."""

from __future__ import annotations

from clustersim.scheduling.kai.minimum_run_time import minimum_preempt_s
from clustersim.scheduling.kai.order import Backlog, Failed, Loss, Victims, WaitingJobs, loss_of
from clustersim.scheduling.kai.session import JobInSession, Session
from clustersim.scheduling.kai.victims import find_victims

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
    waiting, backlog, failed = WaitingJobs(session, session.jobs), Backlog(session), Failed()
    while (job := waiting.pop()) is not None:
        waited_s = session.cluster.now_s - job.job.submitted_s
        if waited_s < job.job.preemption_delay_s or not _is_allowed(session, job) or job in failed:
            continue
        if find_victims(session, job, _victims(session, job), lambda units: True, backlog):
            waiting.refresh()
        else:
            failed.add(job)


def _is_allowed(session: Session, job: JobInSession) -> bool:
    """Return whether a job that cannot be preempted stays within what is deserved above it."""
    size = session.size_of(job.waiting())
    return job.preemptible or all(
        session.held_for_good[queue] + size <= session.queues[queue].deserved
        for queue in session.paths[job.queue]
    )


def _victims(session: Session, job: JobInSession) -> Victims:
    """Return the candidates: preemptible jobs of lower priority in the same queue."""
    cluster = session.cluster
    minimum_s = minimum_preempt_s(session.by_name, job.job.queue, cluster.minimum_run_time)

    def loss(other: JobInSession) -> Loss:
        if not other.preemptible or other.job.priority >= job.job.priority:
            return Loss.NOTHING
        return loss_of(other, minimum_s, cluster.now_s)

    return Victims(session, [job.queue], loss)
