"""Search of victims: whom to evict so that a waiting job can be placed.

Candidates are added one unit at a time, worst first. After each, the units on one node are tried,
then those on growing sets of nodes: they are evicted, and the waiting job and the evicted jobs are
placed again in the order of queues. An evicted task that gets its node back simply runs on.

That order is the order of the next allocation: the first of all jobs that wait in a queue counts,
even if it is another one. Without this, a victim would get its place back in the next round, and
lose it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from clustersim.array_types import Floats
from clustersim.scheduling.kai.allocation import has_room, place_job
from clustersim.scheduling.kai.backlog import Waiting, is_alone
from clustersim.scheduling.kai.candidates import Failed, Victims
from clustersim.scheduling.kai.model import TaskState
from clustersim.scheduling.kai.order import ReturningJobs, WaitingJobs
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["Rules", "Unit", "find_victims", "has_waited", "place_by_force"]

Unit = Sequence[TaskInSession]
"""Tasks of a job that are evicted together."""
_EACH_SET = 8
"""Up to this many nodes, growing sets grow by one; beyond it, by half."""


class Rules(Protocol):
    """What an action may do to victims for a waiting job."""

    def is_allowed(self) -> bool:
        """Return whether the job may look for victims."""

    def victims(self) -> Victims:
        """Return the candidates."""

    def most_lost(self, units: Sequence[Unit]) -> float:
        """Return an upper bound on the accelerators that some units may lose."""

    def accepts(self, units: Sequence[Unit]) -> bool:
        """Return whether units may be evicted; the session holds the new places."""


def place_by_force(session: Session, rules_of: Callable[[Session, Waiting], Rules]) -> None:
    """Place waiting jobs by evicting others, in the order of queues and jobs.

    Parameters
    ----------
    session : Session
        Is changed.
    rules_of : callable
        Returns the rules of an action for a waiting job.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai.reclaimer import Reclaimer
    >>> from clustersim.scheduling.kai.victims import place_by_force
    >>> queues = (Queue("a", deserved=4), Queue("b", deserved=4))
    >>> large = Job("large", "a", (Task(8, TaskState.RUNNING, "node0"),))
    >>> session = Session(Cluster({"node0": 8}, queues, (large, Job("b0", "b", (Task(4),)))))
    >>> place_by_force(session, Reclaimer)
    >>> [str(job.tasks[0].state) for job in session.jobs]
    ['releasing', 'pipelined']
    """
    failed = Failed()
    considered: Counter[int] = Counter()
    most = session.cluster.limits.jobs_per_queue

    def is_lost(entry: Waiting) -> bool:
        """Return whether a job is not tried, because of those that were."""
        if most is not None and considered[entry.job.queue] >= most:
            return True
        return failed.covers(entry)

    def is_hopeful(entry: Waiting) -> bool:
        if is_alone(entry.kind):
            return True
        return not is_lost(entry) and rules_of(session, entry).is_allowed()

    waiting = WaitingJobs(session, is_hopeful)
    while (popped := waiting.pop()) is not None:
        # A job that became a victim meanwhile may have nothing left that it could place.
        entry = session.backlog.entry(popped.job)
        if entry is None or is_lost(entry):
            continue
        rules = rules_of(session, entry)
        if not rules.is_allowed():
            continue
        considered[entry.job.queue] += 1
        if find_victims(session, entry, rules):
            waiting.refresh()
            waiting.look_again()
        else:
            failed.add(entry)
            waiting.give_up_in(entry.job.queue, is_lost)


def has_waited(session: Session, job: JobInSession) -> bool:
    """Return whether a job has waited long enough to take accelerators from others.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.victims import has_waited
    >>> job = Job("train", "team", (Task(4),), preemption_delay_s=60.0)
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), (job,), now_s=30.0))
    >>> has_waited(session, session.jobs[0])
    False
    """
    delay_s = job.job.preemption_delay_s
    return delay_s <= 0 or session.cluster.now_s - job.job.submitted_s >= delay_s


def find_victims(session: Session, entry: Waiting, rules: Rules) -> bool:
    """Place a waiting job by evicting others; return whether it is placed.

    Parameters
    ----------
    session : Session
        Is changed if the job is placed.
    entry : Waiting
    rules : Rules
        Who may be evicted.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai.reclaimer import Reclaimer
    >>> from clustersim.scheduling.kai.victims import find_victims
    >>> queues = (Queue("a", deserved=4), Queue("b", deserved=4))
    >>> fair = Job("fair", "a", (Task(4, TaskState.RUNNING, "node0"),))
    >>> session = Session(Cluster({"node0": 4}, queues, (fair, Job("b0", "b", (Task(4),)))))
    >>> waiting = session.backlog.entry(session.jobs[1])
    >>> find_victims(session, waiting, Reclaimer(session, waiting))
    False
    """
    job, tasks = entry.job, entry.tasks
    if max(entry.kind[3]) > session.largest_node:
        return False
    victims = rules.victims()
    if not victims:
        return False
    search = _Search(session, tasks, rules, victims)
    trials = session.cluster.limits.trials
    left = float("inf") if trials is None else trials
    while search.add():
        for chosen in search.sets():
            if left <= 0:
                return False
            left -= 1
            evicted = _evicted(job, tasks, chosen)
            if _try(session, job, chosen, evicted, rules):
                return True
    return False


class _Search:
    """Units that were added, and sets of them whose eviction may make room."""

    def __init__(self, session: Session, tasks: Unit, rules: Rules, victims: Victims) -> None:
        self._session = session
        self._rules = rules
        self._victims = victims
        self._sizes = [task.size for task in tasks]
        self._must_lose = session.size_of(tasks) - float(session.fit.sum())
        self._units: list[Unit] = []
        self._free: Floats = session.fit.copy()
        self._units_of: dict[JobInSession, list[int]] = {}
        self._nodes: dict[int, set[int]] = {}

    def add(self) -> bool:
        """Add the next unit; return whether there was one."""
        unit = self._victims.next_unit()
        if not unit:
            return False
        job = unit[0].job
        taken = self._units_of.setdefault(job, [])
        taken.append(len(self._units))
        self._units.append(unit)
        # Without its gang, a job does not keep tasks above it.
        is_last = job.active == sum(len(self._units[number]) for number in taken)
        for task in unit:
            self._free[task.node] += task.size
            self._nodes.setdefault(task.node, set()).update(taken if is_last else taken[-1:])
        return True

    def sets(self) -> Iterator[list[Unit]]:
        """Yield sets of units, on one node and then on more and more nodes.

        Sets that free too little are left out, and sets of which too little may be lost.
        """
        if not has_room(self._free, self._sizes) or not self._may_lose_enough(self._units):
            return
        latest = list(dict.fromkeys(task.node for task in self._units[-1]))
        for node in latest:
            chosen = [self._units[number] for number in sorted(self._nodes[node])]
            if self._is_worth_it(chosen):
                yield chosen
        nodes = [*latest, *(node for node in self._nodes if node not in latest)]
        numbers, previous, count = set(self._nodes[nodes[0]]), 0, 1
        while count < len(nodes):
            step = max(1, count // 2) if count >= _EACH_SET else 1
            for node in nodes[count : count + step]:
                numbers.update(self._nodes[node])
            count += step
            if len(numbers) > previous:
                previous = len(numbers)
                chosen = [self._units[number] for number in sorted(numbers)]
                if self._is_worth_it(chosen):
                    yield chosen

    def _is_worth_it(self, units: Sequence[Unit]) -> bool:
        free = self._session.fit.copy()
        for unit in units:
            for task in unit:
                free[task.node] += task.size
        return has_room(free, self._sizes) and self._may_lose_enough(units)

    def _may_lose_enough(self, units: Sequence[Unit]) -> bool:
        return self._must_lose <= 0 or self._rules.most_lost(units) >= self._must_lose


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
    rules: Rules,
) -> bool:
    """Evict units and place everything again; undo that unless the job is placed and it is fine."""
    mark = session.mark()
    starts = {task: task.node for unit in units for task in unit if task.state is TaskState.BINDING}
    for unit in units:
        for task in unit:
            session.evict(task)
    returning = ReturningJobs(session, evicted)
    placed = False
    while (entry := returning.pop()) is not None:
        other = entry.job
        fits = place_job(session, other, entry.tasks, later=True, starts=starts)
        if other is job and not fits:
            break
        placed = placed or other is job
        if fits and other is not job:
            returning.push(other)
    if placed and rules.accepts(units):
        return True
    session.undo(mark)
    return False
