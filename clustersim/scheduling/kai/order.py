"""Order: which queue is served next, and which of its jobs.

`WaitingJobs` gives jobs in the order in which they are placed, and `candidates.Victims` those that
run, last ones first. Both descend from the top of the tree of queues: on each level, to the child
that comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace

from clustersim.scheduling.kai.model import UNLIMITED
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["Backlog", "JobTree", "WaitingJobs", "job_key", "queue_key"]

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

    Examples
    --------
    A queue that would stay within what it deserves comes before one that would not.

    >>> from clustersim.scheduling.kai import Cluster, Queue, Session
    >>> from clustersim.scheduling.kai.order import queue_key
    >>> queues = (Queue("a", deserved=2), Queue("b", deserved=4))
    >>> session = Session(Cluster({"node0": 8}, queues, ()))
    >>> queue_key(session, 0, held=0.0, next_size=4) > queue_key(session, 1, 0.0, 4)
    True
    """
    entry, allocatable = session.queues[queue], session.allocatable[queue]
    whole = allocatable
    if allocatable <= 0 or allocatable == UNLIMITED:
        whole = (session.total or 1.0) / (_NOTHING_ALLOCATABLE if allocatable <= 0 else 1.0)
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
    """Return the key by which jobs of a queue are sorted, with some of its tasks active.

    Higher priority comes first, then a job without its gang, then one with only its gang, then the
    older one.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.order import job_key
    >>> gang = Job("gang", "team", (Task(1),) * 3, min_tasks=2)
    >>> job = Session(Cluster({"node0": 8}, (Queue("team"),), (gang,))).jobs[0]
    >>> [job_key(job, active)[1] for active in range(4)]
    [0, 0, 1, 2]
    """
    return (-job.job.priority, (active >= job.min_tasks) + (active > job.min_tasks), job.seniority)


class JobTree:
    """Jobs below a tree of queues; gives the first one, or the last one, of all that are left.

    Every queue keeps its jobs in a heap, and its children in another, by the key of the first job
    below each. Only queues on the path of the last job are sorted again.

    Parameters
    ----------
    session : Session
    sign : int
        1: the first one comes first; -1: the last one.
    """

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


class Backlog:
    """Waiting jobs of each queue, in their order; kept while their tasks do not change.

    Parameters
    ----------
    session : Session

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.order import Backlog
    >>> jobs = (Job("b", "team", (Task(4),)), Job("a", "team", (Task(4),), priority=75))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> [job.job.name for _, job in Backlog(session).of(0)]
    ['a', 'b']
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


class WaitingJobs(JobTree):
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
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.order import WaitingJobs
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
