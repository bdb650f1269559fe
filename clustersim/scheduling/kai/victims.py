"""Search of victims: whom to evict so that a waiting job can be placed.

Candidates are added one unit at a time, worst first. After each, the units on one node are tried,
then those on growing sets of nodes: they are evicted, and the waiting job and the evicted jobs are
placed again in the order of queues. An evicted task that gets its node back simply runs on.

That order is the order of the next allocation: the first of all jobs that wait in a queue counts,
even if it is another one. Without this, a victim would get its place back in the next round, and
lose it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from clustersim.array_types import Floats
from clustersim.scheduling.kai.allocate import place_job
from clustersim.scheduling.kai.model import TaskState
from clustersim.scheduling.kai.order import Backlog, Victims, WaitingJobs
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["Accept", "Unit", "find_victims"]

Unit = Sequence[TaskInSession]
"""Tasks of a job that are evicted together."""
Accept = Callable[[Sequence[Unit]], bool]
"""Says whether units may be evicted; sees the session with the new places."""


def find_victims(
    session: Session, job: JobInSession, victims: Victims, accept: Accept, backlog: Backlog
) -> bool:
    """Place a waiting job by evicting others; return whether it is placed.

    Parameters
    ----------
    session : Session
        Is changed if the job is placed.
    job : JobInSession
    victims : Victims
        The candidates.
    accept : callable
        Says whether the units that were tried may be evicted.
    backlog : Backlog
        All jobs that wait.
    """
    tasks = job.waiting()
    if not tasks or not _possible(session, job, tasks):
        return False
    units: list[Unit] = []
    while unit := victims.next_unit():
        units.append(unit)
        for chosen in _node_sets(session, units, tasks):
            evicted = _evicted(job, tasks, chosen)
            if _try(session, job, chosen, evicted, accept, backlog):
                for other in evicted:
                    backlog.forget(other.queue)
                return True
    return False


def _possible(session: Session, job: JobInSession, tasks: Unit) -> bool:
    """Return whether the job would fit if it were alone."""
    largest = max(task.size for task in tasks)
    return bool(session.nodes) and largest <= max(session.cluster.nodes.values())


def _node_sets(session: Session, units: Sequence[Unit], tasks: Unit) -> Iterator[list[Unit]]:
    """Yield sets of units whose eviction makes room, from one node to all nodes.

    Sets that free too few accelerators are left out.
    """
    if not _room(session, units, tasks):
        return
    nodes = list(dict.fromkeys(task.node for task in units[-1]))
    for node in nodes:
        chosen = _on(units, {node})
        if _room(session, chosen, tasks):
            yield chosen
    every = list(dict.fromkeys([*nodes, *(task.node for unit in units for task in unit)]))
    previous = 0
    for count in range(2, len(every) + 1):
        chosen = _on(units, set(every[:count]))
        if len(chosen) > previous and _room(session, chosen, tasks):
            yield chosen
        previous = len(chosen)


def _on(units: Sequence[Unit], nodes: set[int]) -> list[Unit]:
    """Return the units with a task on some nodes."""
    return [unit for unit in units if any(task.node in nodes for task in unit)]


def _room(session: Session, units: Iterable[Unit], tasks: Unit) -> bool:
    """Return whether waiting tasks would fit if the evicted ones did not come back."""
    free: Floats = session.fit.copy()
    for unit in units:
        for task in unit:
            free[task.node] += task.size
    smallest = min(task.size for task in tasks)
    if smallest <= 0:
        return True
    return bool((free // smallest).sum() >= len(tasks)) and free.sum() >= session.size_of(tasks)


def _evicted(
    job: JobInSession, tasks: Unit, units: Sequence[Unit]
) -> dict[JobInSession, list[TaskInSession]]:
    """Return what is placed again of each job: waiting tasks and those of units, in order."""
    evicted: dict[JobInSession, list[TaskInSession]] = {job: list(tasks)}
    for unit in units:
        evicted.setdefault(unit[0].job, []).extend(unit)
    for other, lost in evicted.items():
        chosen = set(lost)
        evicted[other] = [task for task in other.tasks if task in chosen]
    return evicted


def _try(
    session: Session,
    job: JobInSession,
    units: Sequence[Unit],
    evicted: dict[JobInSession, list[TaskInSession]],
    accept: Accept,
    backlog: Backlog,
) -> bool:
    """Evict units and place everything again; undo that unless the job is placed and it is fine."""
    mark = session.mark()
    starts = {task: task.node for unit in units for task in unit if task.state is TaskState.BINDING}
    for unit in units:
        for task in unit:
            session.evict(task)
    waiting = WaitingJobs(session, evicted, evicted, backlog)
    placed = False
    while (other := waiting.pop()) is not None:
        fits = place_job(session, other, waiting.tasks_of(other), later=True, starts=starts)
        if other is job and not fits:
            break
        placed = placed or other is job
        if fits and other is not job:
            waiting.push(other)
    if placed and accept(units):
        return True
    session.undo(mark)
    return False
