"""Order: which queue is served next, and which of its jobs.

`WaitingJobs` gives jobs in the order in which they are placed, `Victims` in the reverse order.
Both descend from the top of the tree of queues: on each level, to the child that comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from heapq import heapify, heappop, heappush, heapreplace

from clustersim.scheduling.kai.minimum_run_time import protects
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["Backlog", "Failed", "Loss", "Victims", "WaitingJobs", "job_key", "loss_of", "queue_key"]

_NOTHING_ALLOCATABLE = 1000.0
"""Factor on the share of the cluster of queues that should hold nothing."""
_TOP = -1

Key = tuple[float, ...]


def queue_key(session: Session, queue: int, held: float, next_size: float) -> Key:
    """Return the key by which queues of a level are sorted.

    Parameters
    ----------
    session : Session
    queue : int
    held : float
        Accelerators that it holds.
    next_size : float
        Accelerators that the next job below it asks for.
    """
    entry, allocatable = session.queues[queue], session.allocatable[queue]
    whole = allocatable if 0 < allocatable <= session.total else session.total or 1.0
    if allocatable <= 0:
        whole /= _NOTHING_ALLOCATABLE
    return (
        held + next_size > entry.deserved,
        -entry.priority,
        allocatable <= 0,
        (held + next_size) / whole,
        held / whole,
        allocatable,
        queue,
    )


def job_key(job: JobInSession, active: int) -> Key:
    """Return the key by which jobs of a queue are sorted, with some of its tasks active."""
    return (-job.job.priority, (active >= job.min_tasks) + (active > job.min_tasks), job.seniority)


class _Tree:
    """Jobs below a tree of queues; gives the first one, or the last one, of all that are left."""

    def __init__(self, session: Session, sign: int) -> None:
        self._session = session
        self._sign = sign
        self._jobs: dict[int, list[tuple[Key, JobInSession]]] = {}
        self._children: dict[int, list[tuple[Key, int]]] = {}
        self._open: list[int] = []

    def _held(self, queue: int) -> float:
        """Return what a queue holds."""
        return self._session.held[queue]

    def _size(self, queue: int) -> float:
        """Return the accelerators that the next job below a queue asks for."""
        return 0.0

    def _job_key(self, job: JobInSession) -> Key:
        """Return the place of a job in its queue."""
        raise NotImplementedError

    def _fill(self, jobs: Iterable[JobInSession]) -> None:
        """Take jobs in."""
        for job in jobs:
            self._jobs.setdefault(job.queue, []).append((self._job_key(job), job))
        for heap in self._jobs.values():
            heapify(heap)
        self.refresh()

    def refresh(self) -> None:
        """Sort the queues again, after the state of the cluster changed."""
        self._children.clear()
        self._open.clear()
        queues = {queue for leaf, jobs in self._jobs.items() if jobs for queue in self._path(leaf)}
        for queue in sorted(queues, key=lambda queue: -len(self._path(queue))):
            heappush(self._children.setdefault(self._parent(queue), []), self._entry(queue))

    def _path(self, queue: int) -> list[int]:
        return self._session.paths[queue]

    def _parent(self, queue: int) -> int:
        return self._session.parents[queue]

    def _entry(self, queue: int) -> tuple[Key, int]:
        """Return the place of a queue among its siblings."""
        key = queue_key(self._session, queue, self._held(queue), self._size(queue))
        return (key if self._sign > 0 else tuple(-part for part in key)), queue

    def _first_job(self, queue: int) -> JobInSession | None:
        """Return the next job below a queue, or of all."""
        while not self._jobs.get(queue):
            children = self._children.get(queue)
            if not children:
                return None
            queue = children[0][1]
        return self._jobs[queue][0][1]

    def _close(self) -> None:
        """Sort the queues again through which the last job came, lowest first."""
        for queue in self._open:
            siblings = self._children[self._parent(queue)]
            if self._jobs.get(queue) or self._children.get(queue):
                heapreplace(siblings, self._entry(queue))
            else:
                heappop(siblings)
        self._open.clear()

    def pop(self) -> JobInSession | None:
        """Return the next job and take it out, None if there is none."""
        self._close()
        job = self._first_job(_TOP)
        if job is not None:
            self._open.extend(self._path(job.queue))
            heappop(self._jobs[job.queue])
        return job

    def _push(self, job: JobInSession) -> None:
        """Put the job back that was taken out last."""
        heappush(self._jobs[job.queue], (self._job_key(job), job))


class Loss(Enum):
    """What a job may lose.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Loss
    >>> Loss.GANG.value
    'gang'
    """

    NOTHING = "nothing"
    ABOVE_GANG = "above gang"
    GANG = "gang"


def loss_of(job: JobInSession, minimum_s: float, now_s: float) -> Loss:
    """Return what a preemptible job may lose, with a minimum run time."""
    protected = protects(minimum_s, job.job.started_s, now_s, left=0, min_tasks=job.min_tasks)
    return Loss.ABOVE_GANG if protected else Loss.GANG


class Backlog:
    """Waiting jobs of each queue, in their order; kept while their tasks do not change.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._jobs = session.jobs_of
        self._entries: dict[int, list[tuple[Key, JobInSession]]] = {}

    def of(self, queue: int) -> list[tuple[Key, JobInSession]]:
        """Return the waiting jobs of a queue and their keys, in order."""
        entries = self._entries.get(queue)
        if entries is None:
            waiting = [job for job in self._jobs.get(queue, []) if job.waiting()]
            entries = sorted((job_key(job, job.active), job) for job in waiting)
            self._entries[queue] = entries
        return entries

    def forget(self, queue: int) -> None:
        """Sort the waiting jobs of a queue again the next time."""
        self._entries.pop(queue, None)


class Failed:
    """Jobs that no victims were found for; a later one that asks for as much is not tried.

    Jobs are compared within a queue, and if one of them can be preempted, so can the other.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Failed, Job, Queue, Session, Task
    >>> jobs = [Job(str(size), "team", (Task(size),)) for size in (4, 8, 2)]
    >>> four, eight, two = Session(Cluster({"node0": 8}, (Queue("team"),), tuple(jobs))).jobs
    >>> failed = Failed()
    >>> failed.add(four)
    >>> eight in failed, two in failed
    (True, False)
    """

    def __init__(self) -> None:
        self._needs: dict[tuple[int, bool], list[tuple[int, int, int]]] = {}

    def add(self, job: JobInSession) -> None:
        """Note that a job failed."""
        self._needs.setdefault((job.queue, job.preemptible), []).append(_need(job))

    def __contains__(self, job: object) -> bool:
        """Whether a job with no higher priority that asks for no more failed."""
        if not isinstance(job, JobInSession):
            return False
        count, size, rank = _need(job)
        return any(
            count >= other_count and size >= other_size and rank >= other_rank
            for other_count, other_size, other_rank in self._needs.get(
                (job.queue, job.preemptible), []
            )
        )


def _need(job: JobInSession) -> tuple[int, int, int]:
    """Return how many tasks a job would place next, the smallest one, and the lower rank."""
    tasks = job.waiting()
    return len(tasks), min(task.size for task in tasks), -job.job.priority


class WaitingJobs(_Tree):
    """Jobs with tasks to place, in the order in which they are placed.

    Parameters
    ----------
    session : Session
    jobs : iterable of JobInSession
        Those that cannot make their gang whole are left out.
    tasks : dict
        For each job the tasks that may be placed. By default those that are pending.
    backlog : Backlog
        Further jobs, which decide about the order of queues and are passed over.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, WaitingJobs
    >>> jobs = (Job("b", "team", (Task(4),)), Job("a", "team", (Task(4),), priority=75))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> WaitingJobs(session, session.jobs).pop().job.name
    'a'
    """

    def __init__(
        self,
        session: Session,
        jobs: Iterable[JobInSession],
        tasks: dict[JobInSession, list[TaskInSession]] | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        super().__init__(session, 1)
        self._tasks = tasks
        self._next: dict[JobInSession, list[TaskInSession]] = {}
        self._sizes: dict[JobInSession, float] = {}
        entries = [job for job in jobs if self._measure(job)]
        self._wanted = Counter(job.queue for job in entries)
        if backlog is not None:
            for queue in {job.queue for job in entries}:
                others = [entry for entry in backlog.of(queue) if entry[1] not in self._next]
                self._jobs[queue] = others
        self._fill(entries)

    def pop(self) -> JobInSession | None:
        """Return the next job and take it out, None if there is none."""
        job = super().pop()
        while job is not None and job not in self._next:
            job = super().pop()
        if job is not None:
            self._wanted[job.queue] -= 1
        return job

    def _close(self) -> None:
        if self._open and not self._wanted[self._open[0]]:
            self._jobs[self._open[0]].clear()
        super()._close()

    def tasks_of(self, job: JobInSession) -> list[TaskInSession]:
        """Return the tasks of a job that are placed next."""
        return self._next[job]

    def _measure(self, job: JobInSession) -> bool:
        """Note what a job asks for; return whether it asks for anything."""
        if self._tasks is None:
            tasks = job.waiting()
        else:
            tasks = job.next_of([task for task in self._tasks[job] if not task.is_active])
        self._next[job] = tasks
        self._sizes[job] = self._session.size_of(tasks)
        return bool(tasks)

    def _size(self, queue: int) -> float:
        job = self._first_job(queue)
        if job is None:
            return 0.0
        if job not in self._sizes:
            self._sizes[job] = self._session.size_of(job.waiting())
        return self._sizes[job]

    def _job_key(self, job: JobInSession) -> Key:
        return job_key(job, job.active)

    def push(self, job: JobInSession) -> None:
        """Put the job back that was taken out last, if it has more tasks to place."""
        if self._measure(job):
            self._wanted[job.queue] += 1
            self._push(job)


class Victims(_Tree):
    """Active jobs, the last to be served first, in units that are evicted together.

    A unit is the last task of a job with more tasks than its gang, or else the whole gang. Units
    that were given out count as gone.

    Parameters
    ----------
    session : Session
    queues : iterable of int
        Queues whose jobs are candidates.
    may_lose : callable
        Says whether a job may lose its gang, only tasks above it, or nothing.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Loss, Queue, Session, Task, TaskState
    >>> from clustersim.scheduling.kai import Victims
    >>> running = Task(4, TaskState.RUNNING, "node0")
    >>> jobs = (Job("old", "team", (running,)), Job("new", "team", (running,), submitted_s=1.0))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> victims = Victims(session, [0], lambda job: Loss.GANG)
    >>> [task.job.job.name for task in victims.next_unit()]
    ['new']
    """

    def __init__(
        self, session: Session, queues: Iterable[int], may_lose: Callable[[JobInSession], Loss]
    ) -> None:
        super().__init__(session, -1)
        self._gone = [0.0] * len(session.queues)
        self._may_lose = may_lose
        self._left: dict[JobInSession, list[TaskInSession]] = {}
        self._least: dict[JobInSession, int] = {}
        self._sorted: set[int] = set()
        for queue in queues:
            candidates = [job for job in session.jobs_of.get(queue, ()) if self._can_lose(job)]
            if candidates:
                # The keys of a queue that never comes are not needed.
                self._jobs[queue] = [((), job) for job in candidates]
        self.refresh()

    def _can_lose(self, job: JobInSession) -> bool:
        """Return whether a job may lose a task."""
        if not job.active:
            return False
        loss = self._may_lose(job)
        self._least[job] = job.min_tasks if loss is Loss.ABOVE_GANG else 0
        return loss is not Loss.NOTHING and job.active > self._least[job]

    def _first_job(self, queue: int) -> JobInSession | None:
        job = super()._first_job(queue)
        if job is not None and job.queue not in self._sorted:
            self._sorted.add(job.queue)
            entries = self._jobs[job.queue]
            for _, candidate in entries:
                self._left[candidate] = candidate.active_tasks()
            entries[:] = [(self._job_key(candidate), candidate) for _, candidate in entries]
            heapify(entries)
            job = entries[0][1]
        return job

    def _held(self, queue: int) -> float:
        return self._session.held[queue] - self._gone[queue]

    def _job_key(self, job: JobInSession) -> Key:
        return tuple(-part for part in job_key(job, len(self._left[job])))

    def next_unit(self) -> list[TaskInSession]:
        """Return the tasks that are evicted next; empty if no candidate is left."""
        job = self.pop()
        if job is None:
            return []
        left = self._left[job]
        unit = left[-1:] if len(left) > job.min_tasks else list(left)
        del left[len(left) - len(unit) :]
        size = self._session.size_of(unit)
        for queue in self._path(job.queue):
            self._gone[queue] += size
        if len(left) > self._least[job]:
            self._push(job)
        return unit
