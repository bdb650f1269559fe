"""Candidates: which jobs may be evicted, in which order, and for whom no search is worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from heapq import heapify

from clustersim.scheduling.kai.backlog import Key, Waiting, job_key
from clustersim.scheduling.kai.minimum_run_time import protects
from clustersim.scheduling.kai.order import JobTree
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["Failed", "Loss", "Victims", "loss_of"]


class Loss(Enum):
    """What a job may lose.

    Examples
    --------
    >>> from clustersim.scheduling.kai.candidates import Loss
    >>> Loss.GANG.value
    'gang'
    """

    NOTHING = "nothing"
    ABOVE_GANG = "above gang"
    GANG = "gang"


def loss_of(job: JobInSession, minimum_s: float, now_s: float) -> Loss:
    """Return what a preemptible job may lose, with a minimum run time.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai.candidates import loss_of
    >>> job = Job("a", "team", (Task(4, TaskState.RUNNING, "node0"),), started_s=0.0)
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), (job,)))
    >>> loss_of(session.jobs[0], minimum_s=60.0, now_s=30.0).value
    'above gang'
    """
    protected = protects(minimum_s, job.job.started_s, now_s, left=0, min_tasks=job.min_tasks)
    return Loss.ABOVE_GANG if protected else Loss.GANG


class Failed:
    """Jobs that no victims were found for; a later one that asks for as much is not tried.

    Jobs are compared within a queue; both can be preempted or neither, and the same nodes are
    closed to both.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.candidates import Failed
    >>> jobs = [Job(str(size), "team", (Task(size),)) for size in (4, 8, 2)]
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), tuple(jobs)))
    >>> four, eight, two = [session.backlog.entry(job) for job in session.jobs]
    >>> failed = Failed()
    >>> failed.add(four)
    >>> failed.covers(eight), failed.covers(two)
    (True, False)
    """

    def __init__(self) -> None:
        self._needs: dict[tuple[int, bool, tuple[int, ...]], list[tuple[int, int, int]]] = {}

    def add(self, entry: Waiting) -> None:
        """Note that a job failed."""
        sizes = entry.kind[3]
        need = len(sizes), max(sizes), entry.job.job.priority
        self._needs.setdefault(self._kind(entry), []).append(need)

    def covers(self, entry: Waiting) -> bool:
        """Return whether a job of at least its priority failed that asked for no more."""
        needs = self._needs.get(self._kind(entry))
        if needs is None:
            return False
        sizes = entry.kind[3]
        count, smallest, rank = len(sizes), min(sizes), entry.job.job.priority
        return any(
            count >= tasks and smallest >= largest and rank <= priority
            for tasks, largest, priority in needs
        )

    @staticmethod
    def _kind(entry: Waiting) -> tuple[int, bool, tuple[int, ...]]:
        queue, preemptible, _, _, closed, _ = entry.kind
        return queue, preemptible, closed


class Victims(JobTree[tuple[Key, JobInSession]]):
    """Active jobs, the last to be served first, in units that are evicted together.

    A unit is the last task of a job with more tasks than its gang, or else the whole gang. Units
    that were given out count as gone.

    Parameters
    ----------
    session : Session
    jobs : iterable of JobInSession
        The candidates, which are active.
    may_lose : callable
        Says whether a job may lose its gang, only tasks above it, or nothing.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai.candidates import Loss, Victims
    >>> running = Task(4, TaskState.RUNNING, "node0")
    >>> jobs = (Job("old", "team", (running,)), Job("new", "team", (running,), submitted_s=1.0))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> victims = Victims(session, session.jobs, lambda job: Loss.GANG)
    >>> [task.job.job.name for task in victims.next_unit()]
    ['new']
    """

    def __init__(
        self,
        session: Session,
        jobs: Iterable[JobInSession],
        may_lose: Callable[[JobInSession], Loss],
    ) -> None:
        super().__init__(session, -1)
        self._gone = [0.0] * len(session.queues)
        self._may_lose = may_lose
        self._left: dict[JobInSession, list[TaskInSession]] = {}
        self._least: dict[JobInSession, int] = {}
        self._sorted: set[int] = set()
        for job in jobs:
            if self._can_lose(job):
                # The keys of a queue that never comes are not needed.
                self._jobs.setdefault(job.queue, []).append(((), job))
        self.refresh()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def _can_lose(self, job: JobInSession) -> bool:
        """Return whether a job may lose a task."""
        if job.job.protected:
            return False
        loss = self._may_lose(job)
        self._least[job] = job.min_tasks if loss is Loss.ABOVE_GANG else 0
        return loss is not Loss.NOTHING and job.active > self._least[job]

    def _first(self, queue: int) -> tuple[Key, JobInSession] | None:
        entry = super()._first(queue)
        if entry is not None and entry[1].queue not in self._sorted:
            queue = entry[1].queue
            self._sorted.add(queue)
            entries = self._jobs[queue]
            for _, candidate in entries:
                self._left[candidate] = candidate.active_tasks()
            entries[:] = [(self._job_key(candidate), candidate) for _, candidate in entries]
            heapify(entries)
            entry = entries[0]
        return entry

    def _held(self, queue: int) -> float:
        return self._session.held[queue] - self._gone[queue]

    def _job_key(self, job: JobInSession) -> Key:
        return tuple(-part for part in job_key(job, len(self._left[job])))

    def next_unit(self) -> list[TaskInSession]:
        """Return the tasks that are evicted next; empty if no candidate is left."""
        entry = self._pop()
        if entry is None:
            return []
        _, job = entry
        left = self._left[job]
        unit = left[-1:] if len(left) > job.min_tasks else list(left)
        del left[len(left) - len(unit) :]
        size = self._session.size_of(unit)
        for queue in self._path(job.queue):
            self._gone[queue] += size
        if len(left) > self._least[job]:
            self._push((self._job_key(job), job))
        return unit
