"""Order: which queue is served next, and which of its jobs.

`WaitingJobs` gives jobs in the order in which they are placed, `ReturningJobs` those that are
placed again after an eviction, and `candidates.Victims` those that run, last ones first. All
descend from the top of the tree of queues: on each level, to the child that comes first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Any, Generic, TypeVar

from clustersim.scheduling.kai.backlog import Key, Kind, Waiting, is_alone
from clustersim.scheduling.kai.lines import Lines
from clustersim.scheduling.kai.model import UNLIMITED
from clustersim.scheduling.kai.session import JobInSession, Session, TaskInSession

__all__ = ["JobTree", "ReturningJobs", "WaitingJobs", "queue_key"]

Entry = TypeVar("Entry", bound=tuple[Any, ...])
"""Begins with the key of a job and the job."""
_NOTHING_ALLOCATABLE = 1000.0
"""Factor on the share of the cluster of queues that should hold nothing."""
_TOP = -1


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


class JobTree(Generic[Entry]):
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
        self._jobs: dict[int, list[Entry]] = {}
        self._children: dict[int, list[tuple[Key, int]]] = {}
        self._open: list[int] = []

    def _held(self, queue: int) -> float:
        """Return what a queue holds."""
        return self._session.held[queue]

    def _size(self, queue: int) -> float:
        """Return the accelerators that the next job below a queue asks for."""
        return 0.0

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
        key = self._key_of(queue, self._size(queue))
        return (key if self._sign > 0 else tuple([-part for part in key])), queue

    def _key_of(self, queue: int, next_size: float) -> Key:
        return queue_key(self._session, queue, self._held(queue), next_size)

    def _first(self, queue: int) -> Entry | None:
        """Return the entry of the next job below a queue, or of all."""
        while not (jobs := self._jobs.get(queue)):
            children = self._children.get(queue)
            if not children:
                return None
            queue = children[0][1]
        return jobs[0]

    def _close(self) -> None:
        """Sort the queues again through which the last job came, lowest first."""
        for queue in self._open:
            siblings = self._children[self._parent(queue)]
            if self._jobs.get(queue) or self._children.get(queue):
                heapreplace(siblings, self._entry(queue))
            else:
                heappop(siblings)
        self._open.clear()

    def _pop(self) -> Entry | None:
        """Return the next entry and take it out, None if there is none."""
        if self._open:
            self._close()
        entry = self._first(_TOP)
        if entry is not None:
            queue = entry[1].queue
            self._open.extend(self._path(queue))
            heappop(self._jobs[queue])
        return entry

    def _push(self, entry: Entry) -> None:
        """Put the job back that was taken out last."""
        heappush(self._jobs[entry[1].queue], entry)


class WaitingJobs(JobTree[Waiting]):
    """Jobs with tasks to place, in the order in which they are placed.

    Parameters
    ----------
    session : Session
    is_hopeful : callable
        Says whether jobs of a kind are wanted at all; the others are passed over.
    one_by_one : bool
        Whether to look at each job that is passed over, even where it is not needed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.order import WaitingJobs
    >>> jobs = (Job("b", "team", (Task(4),)), Job("a", "team", (Task(4),), priority=75))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> WaitingJobs(session).pop().job.job.name
    'a'
    """

    def __init__(
        self,
        session: Session,
        is_hopeful: Callable[[Waiting], bool] = lambda entry: True,
        *,
        one_by_one: bool = False,
    ) -> None:
        super().__init__(session, 1)
        self._is_hopeful = is_hopeful
        backlog = session.backlog
        self._left = dict(backlog.kinds)
        self._samples = dict(backlog.samples)
        self._hopeful: dict[Kind, bool] = {}
        self._n_hopeful = 0
        self._lines: Lines | None = None
        self.look_again()
        if self._n_hopeful:
            # A sorted list is a heap.
            self._jobs = {queue: list(backlog.of(queue)) for queue in backlog.queues()}
            if len(set(map(self._parent, self._jobs))) == 1 and not one_by_one:
                self._lines = Lines(self._jobs, self._key_of, self._left, self._hopeful)
            self.refresh()

    def refresh(self) -> None:
        if self._lines is None:
            super().refresh()
        else:
            self._lines.refresh()

    def look_again(self) -> None:
        """Ask again which kinds of jobs are wanted."""
        hopeful = self._hopeful
        for kind, n in self._left.items():
            if n:
                hopeful[kind] = self._is_hopeful(self._samples[kind])
        self._n_hopeful = sum(n for kind, n in self._left.items() if n and hopeful[kind])

    def give_up(self, kind: Kind) -> None:
        """Pass over all other jobs of a kind, unless each of them has chances of its own."""
        if not is_alone(kind) and self._hopeful[kind]:
            self._hopeful[kind] = False
            self._n_hopeful -= self._left[kind]

    def give_up_in(self, queue: int, is_lost: Callable[[Waiting], bool]) -> None:
        """Pass over all other jobs of some kinds in a queue."""
        for kind, hopeful in self._hopeful.items():
            if kind[0] == queue and hopeful and self._left[kind] and is_lost(self._samples[kind]):
                self.give_up(kind)

    def pop(self) -> Waiting | None:
        """Return the next job that is wanted and take it out, None if there is none."""
        while self._n_hopeful:
            if self._lines is not None:
                entry = self._lines.pop()
            elif (entry := self._pop()) is not None:
                self._left[entry.kind] -= 1
            if entry is None:
                return None
            if self._hopeful[entry.kind]:
                self._n_hopeful -= 1
                return entry
        return None

    def _size(self, queue: int) -> float:
        entry = self._first(queue)
        return 0.0 if entry is None else entry.size

    def push(self, job: JobInSession) -> None:
        """Put the job back that was taken out last, if it has more tasks to place."""
        entry = self._session.backlog.entry(job)
        if entry is not None:
            kind = entry.kind
            self._left[kind] = self._left.get(kind, 0) + 1
            self._samples.setdefault(kind, entry)
            if self._hopeful.setdefault(kind, True):
                self._n_hopeful += 1
            if self._lines is None:
                self._push(entry)
            else:
                self._lines.push(entry)


class ReturningJobs(JobTree[Waiting]):
    """Jobs that are placed again after an eviction, in the order in which they are placed.

    All other jobs that wait decide about the order of queues and are passed over. Among queues of
    one parent, a queue comes later the larger its next job is, so that the largest job that is
    passed over decides when the one behind it comes, and the others need not be looked at.

    Parameters
    ----------
    session : Session
    tasks : mapping of JobInSession to list of TaskInSession
        For each job the tasks that may be placed. Jobs that cannot make their gang whole are left
        out.
    one_by_one : bool
        Whether to look at each job that is passed over, even where it is not needed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.order import ReturningJobs
    >>> jobs = (Job("b", "team", (Task(4),)), Job("a", "team", (Task(4),), priority=75))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> b = session.jobs[0]
    >>> returning = ReturningJobs(session, {b: b.tasks})
    >>> returning.pop().job.job.name, returning.pop()
    ('b', None)
    """

    def __init__(
        self,
        session: Session,
        tasks: Mapping[JobInSession, list[TaskInSession]],
        *,
        one_by_one: bool = False,
    ) -> None:
        super().__init__(session, 1)
        self._tasks = tasks
        entries = [entry for job in tasks if (entry := self._measured(job)) is not None]
        self._wanted = Counter(entry.job.queue for entry in entries)
        self._last: dict[int, Waiting] = {}
        self._one_by_one = one_by_one or not self._are_siblings(entries)
        for queue in self._wanted if self._one_by_one else ():
            self._jobs[queue] = self._others(queue)
        for entry in entries:
            heappush(self._jobs.setdefault(entry.job.queue, []), entry)
        self.refresh()

    def _are_siblings(self, entries: Sequence[Waiting]) -> bool:
        """Return whether all queues have one parent, and jobs the places that the backlog says."""
        if len({self._parent(queue) for queue in self._wanted}) > 1:
            return False
        places = {entry.job: entry.key for entry in entries}
        known = [self._session.backlog.entry(job) for job in self._tasks]
        return all(each is None or places.get(each.job) == each.key for each in known)

    def _measured(self, job: JobInSession) -> Waiting | None:
        tasks = job.next_of([task for task in self._tasks[job] if not task.is_active])
        return self._session.backlog.measured(job, tasks)

    def _others(self, queue: int) -> list[Waiting]:
        """Return the jobs that wait in a queue and are not placed, in order."""
        backlog = self._session.backlog
        line = list(backlog.of(queue))
        for job in self._tasks:
            if job.queue == queue and (entry := backlog.entry(job)) is not None:
                del line[bisect_left(line, entry)]
        return line

    def pop(self) -> Waiting | None:
        """Return the next job and take it out, None if there is none."""
        entry = self._pop()
        while entry is not None and entry.job not in self._tasks:
            entry = self._pop()
        if entry is not None:
            self._wanted[entry.job.queue] -= 1
            self._last[entry.job.queue] = entry
        return entry

    def _close(self) -> None:
        if self._open and not self._wanted[self._open[0]]:
            self._jobs[self._open[0]].clear()
        super()._close()

    def _size(self, queue: int) -> float:
        entry = self._first(queue)
        if entry is None:
            return 0.0
        if self._one_by_one or len(self._wanted) == 1 or queue not in self._wanted:
            return entry.size
        return self._session.backlog.largest_between(queue, self._last.get(queue), entry)

    def push(self, job: JobInSession) -> None:
        """Put the job back that was taken out last, if it has more tasks to place."""
        entry = self._measured(job)
        if entry is not None:
            self._wanted[job.queue] += 1
            self._push(entry)
