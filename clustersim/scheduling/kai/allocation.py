"""Allocate: jobs start where there is room, in the order of queues and jobs.

A gang starts whole or not at all. An elastic job that has its gang grows by one task at a time, and
other jobs get their turn between two tasks. Tasks go to the node with the fewest idle accelerators
that suffice (bin packing); if no node has enough, to one where they will be released.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.array_types import Floats
from clustersim.scheduling.kai.backlog import Waiting, is_alone
from clustersim.scheduling.kai.model import TaskState
from clustersim.scheduling.kai.order import WaitingJobs
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["allocate", "choose_node", "has_room", "place_job"]

BINDING, PIPELINED, RUNNING = TaskState.BINDING, TaskState.PIPELINED, TaskState.RUNNING
NO_STARTS: Mapping[TaskInSession, int] = {}


def allocate(session: Session) -> None:
    """Start all jobs that fit.

    Parameters
    ----------
    session : Session
        Is changed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, allocate
    >>> gang, one = Job("gang", "team", (Task(4),) * 2, min_tasks=2), Job("one", "team", (Task(4),))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), (gang, one)))
    >>> allocate(session)
    >>> [str(job.tasks[0].state) for job in session.jobs]
    ['binding', 'pending']
    """

    def may_fit(entry: Waiting) -> bool:
        return is_alone(entry.kind) or _may_fit(session, entry)

    waiting = WaitingJobs(session, may_fit)
    while (entry := waiting.pop()) is not None:
        if place_job(session, entry.job, entry.tasks):
            waiting.push(entry.job)
        else:
            waiting.give_up(entry.kind)


def _may_fit(session: Session, entry: Waiting) -> bool:
    """Return whether a job may fit; if not, it does not."""
    sizes = entry.kind[3]
    if sizes[0] > session.largest() or not session.allows(entry.job, entry.size):
        return False
    return len(sizes) == 1 or has_room(session.fit, sizes)


def has_room(free: Floats, sizes: Sequence[int]) -> bool:
    """Return whether tasks may find room, if each takes as little as the smallest one.

    Parameters
    ----------
    free : float array (nodes,)
    sizes : sequence of int
        Accelerators of each task.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling.kai.allocation import has_room
    >>> [has_room(np.array([8.0, 4.0]), sizes) for sizes in ([4, 4, 4], [8, 6])]
    [True, False]
    """
    smallest = min(sizes)
    if free.sum() < sum(sizes):
        return False
    return smallest <= 0 or bool((free // smallest).sum() >= len(sizes))


def place_job(
    session: Session,
    job: JobInSession,
    tasks: Sequence[TaskInSession],
    *,
    later: bool = False,
    starts: Mapping[TaskInSession, int] = NO_STARTS,
) -> bool:
    """Place all tasks of a job that are given, or none; return whether they are placed.

    Parameters
    ----------
    session : Session
        Is changed.
    job : JobInSession
    tasks : sequence of TaskInSession
        In the order in which they are placed.
    later : bool
        Whether the tasks wait until the evicted ones are gone, even on idle accelerators.
    starts : mapping of TaskInSession to int
        Nodes on which evicted tasks were about to start.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.allocation import place_job
    >>> queues = (Queue("team", limit=6),)
    >>> session = Session(Cluster({"node0": 8}, queues, (Job("train", "team", (Task(4),) * 2),)))
    >>> job = session.jobs[0]
    >>> [place_job(session, job, job.waiting()) for _ in range(2)]
    [True, False]
    """
    size = session.size_of(tasks)
    if not tasks or tasks[0].size > session.largest() or not session.allows(job, size):
        return False
    mark = session.mark()
    for task in tasks:
        node = choose_node(session, task.size, [at for at in job.closed if at != task.origin])
        if node < 0:
            session.undo(mark)
            return False
        if node == task.origin:
            state = RUNNING
        elif session.idle[node] >= task.size and (not later or starts.get(task) == node):
            state = BINDING
        else:
            state = PIPELINED
        session.change(task, state, node)
    _wait_together(session, job)
    return True


def _wait_together(session: Session, job: JobInSession) -> None:
    """Let a gang that cannot start whole wait for the accelerators of its pipelined tasks."""
    pipelined = sum(task.state is PIPELINED for task in job.tasks)
    if pipelined and job.active - pipelined < job.min_tasks:
        for task in job.tasks:
            if task.state is BINDING:
                session.change(task, PIPELINED, task.node)


def choose_node(session: Session, size: float, closed: Sequence[int] = ()) -> int:
    """Return the node for a task, -1 if none has room that is not closed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Session
    >>> from clustersim.scheduling.kai.allocation import choose_node
    >>> choose_node(Session(Cluster({"a": 8, "b": 4, "c": 4}, (), ())), 3)
    1
    """
    if size > session.largest():
        return -1
    fits = session.fit >= size
    if closed:
        fits[closed] = False
    for free in (session.idle, session.fit):
        candidates = np.where(fits & (free >= size), free, np.inf)
        node = int(candidates.argmin())
        if candidates[node] < np.inf:
            return node
    return -1
