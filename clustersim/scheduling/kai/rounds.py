"""Rounds: the actions of KAI in their order, and what they decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from clustersim.scheduling.kai.allocation import allocate
from clustersim.scheduling.kai.consolidation import consolidate
from clustersim.scheduling.kai.model import Cluster, Job, Task, TaskState
from clustersim.scheduling.kai.preemption import preempt
from clustersim.scheduling.kai.reclaimer import reclaim
from clustersim.scheduling.kai.session import JobInSession, Session

__all__ = ["ACTIONS", "Change", "act", "evict_stale_gangs", "next_round", "run_round", "try_round"]


def evict_stale_gangs(session: Session) -> None:
    """Evict jobs that hold accelerators for fewer tasks than their gang has.

    Parameters
    ----------
    session : Session
        Is changed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai import evict_stale_gangs
    >>> half = Job("half", "team", (Task(4, TaskState.RUNNING, "node0"), Task(4)), min_tasks=2)
    >>> session = Session(Cluster({"node0": 4}, (Queue("team"),), (half,)))
    >>> evict_stale_gangs(session)
    >>> str(session.jobs[0].tasks[0].state)
    'releasing'
    """
    for job in session.jobs:
        if 0 < job.active < job.min_tasks:
            for task in job.active_tasks():
                session.evict(task)


ACTIONS: dict[str, Callable[[Session], None]] = {
    "allocate": allocate,
    "consolidation": consolidate,
    "reclaim": reclaim,
    "preempt": preempt,
    "stale_gangs": evict_stale_gangs,
}
"""The actions by name, in the order of a round."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a round decides about a task.

    Attributes
    ----------
    job : str
    task : int
        Its place in the job's tasks.
    state : TaskState
        Binding: it starts now. Pipelined: it starts on `node` when accelerators are free there.
        Releasing: it stops.
    node : str
        Where it starts, or stops.
    moves_from : str or None
        Where a pipelined task stops first.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Change, TaskState
    >>> Change("train", 0, TaskState.BINDING, "node0").moves_from is None
    True
    """

    job: str
    task: int
    state: TaskState
    node: str
    moves_from: str | None = None


def act(cluster: Cluster, *actions: str) -> Cluster:
    """Return the cluster after some actions.

    Parameters
    ----------
    cluster : Cluster
    *actions : str
        Names of `ACTIONS`; all of them by default.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Task, act
    >>> cluster = Cluster({"node0": 8}, (Queue("team"),), (Job("train", "team", (Task(4),)),))
    >>> str(act(cluster, "allocate").jobs[0].tasks[0].state)
    'binding'
    """
    session = _after(cluster, actions or tuple(ACTIONS))
    jobs = tuple(_job_after(session, job) for job in session.jobs)
    return replace(cluster, jobs=jobs)


def run_round(cluster: Cluster, actions: tuple[str, ...] = tuple(ACTIONS)) -> list[Change]:
    """Return what a round decides.

    Parameters
    ----------
    cluster : Cluster
    actions : tuple of str
        Names of `ACTIONS`, in order.

    Returns
    -------
    changes : list of Change
        Evictions first, then moves and starts, each in the order of `Cluster.jobs`.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Task, run_round
    >>> cluster = Cluster({"node0": 8}, (Queue("team"),), (Job("train", "team", (Task(4),)),))
    >>> [(change.job, str(change.state), change.node) for change in run_round(cluster)]
    [('train', 'binding', 'node0')]
    """
    session = _after(cluster, actions)
    changes = list(_changes(session, session.jobs))
    changes.sort(key=lambda change: change.state is not TaskState.RELEASING)
    return changes


def _after(cluster: Cluster, actions: tuple[str, ...]) -> Session:
    session = Session(cluster)
    _act(session, actions)
    return session


def _act(session: Session, actions: tuple[str, ...]) -> None:
    for action in actions:
        ACTIONS[action](session)


def try_round(session: Session, actions: tuple[str, ...]) -> dict[str, list[Change]]:
    """Return what a round decides about each job, and undo it.

    Parameters
    ----------
    session : Session
    actions : tuple of str
        Names of `ACTIONS`, in order.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, try_round
    >>> cluster = Cluster({"node0": 8}, (Queue("team"),), (Job("train", "team", (Task(4),)),))
    >>> session = Session(cluster)
    >>> [len(changes) for changes in try_round(session, ("allocate",)).values()], session.idle
    ([1], array([8.]))
    """
    _act(session, actions)
    decided: dict[str, list[Change]] = {}
    for change in _changes(session, session.changed()):
        decided.setdefault(change.job, []).append(change)
    session.undo()
    return decided


def _changes(session: Session, jobs: Iterable[JobInSession]) -> Iterator[Change]:
    """Yield what differs from the cluster at the start."""
    nodes = session.nodes
    for job in jobs:
        for task in job.tasks:
            before = job.job.tasks[task.number]
            if task.state is before.state:
                continue
            moves = task.state is TaskState.PIPELINED and task.origin >= 0
            origin = nodes[task.origin] if moves else None
            yield Change(job.job.name, task.number, task.state, nodes[task.node], origin)


def _job_after(session: Session, job: JobInSession) -> Job:
    """Return a job with the present states of its tasks."""
    tasks = list(job.job.tasks)
    for task in job.tasks:
        node = session.nodes[task.node] if task.node >= 0 else None
        tasks[task.number] = replace(tasks[task.number], state=task.state, node=node)
    return replace(job.job, tasks=tuple(tasks))


def next_round(cluster: Cluster) -> Cluster:
    """Return the cluster when a round's decisions have taken effect.

    Starting tasks run, released ones wait, and those that waited for released accelerators wait
    again; the next round places them.

    Parameters
    ----------
    cluster : Cluster
        As `act` returns it.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Task, act, next_round
    >>> cluster = Cluster({"node0": 8}, (Queue("team"),), (Job("train", "team", (Task(4),)),))
    >>> str(next_round(act(cluster)).jobs[0].tasks[0].state)
    'running'
    """
    jobs = tuple(replace(job, tasks=tuple(map(_settled, job.tasks))) for job in cluster.jobs)
    return replace(cluster, jobs=jobs)


def _settled(task: Task) -> Task:
    """Return a task as the next round finds it."""
    if task.state is TaskState.BINDING:
        return replace(task, state=TaskState.RUNNING)
    if task.state in (TaskState.RELEASING, TaskState.PIPELINED):
        return replace(task, state=TaskState.PENDING, node=None)
    return task
