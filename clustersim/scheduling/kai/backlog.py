"""Backlog: the jobs that wait in each queue, in order, kept up to date while tasks change."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from clustersim.scheduling.kai.session import JobInSession, TaskInSession

__all__ = ["Backlog", "Key", "Kind", "Waiting", "is_alone", "job_key"]

Key: TypeAlias = tuple[float, ...]
Kind: TypeAlias = tuple[int, bool, int, tuple[int, ...], tuple[int, ...], int]
"""Queue, whether it can be preempted, priority, sizes of the tasks, closed nodes, and the job
itself unless others are like it."""


class Waiting(NamedTuple):
    """A job that waits: its place in the queue, and the tasks that would be placed next."""

    key: Key
    job: JobInSession
    tasks: list[TaskInSession]
    size: float
    kind: Kind


def _key(entry: Waiting) -> Key:
    return entry.key


def job_key(job: JobInSession, active: int) -> Key:
    """Return the key by which jobs of a queue are sorted, with some of its tasks active.

    Higher priority comes first, then a job without its gang, then one with only its gang, then the
    older one.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.backlog import job_key
    >>> gang = Job("gang", "team", (Task(1),) * 3, min_tasks=2)
    >>> job = Session(Cluster({"node0": 8}, (Queue("team"),), (gang,))).jobs[0]
    >>> [job_key(job, active)[1] for active in range(4)]
    [0, 0, 1, 2]
    """
    return (-job.priority, (active >= job.min_tasks) + (active > job.min_tasks), job.seniority)


def is_alone(kind: Kind) -> bool:
    """Return whether no other job has the chances of this one."""
    return kind[-1] >= 0


class Backlog:
    """Waiting jobs of each queue, in their order.

    Jobs of a kind have the same chances: where one finds no place, or may not look for victims,
    neither may the next one. With tasks of different sizes this holds only for whole nodes and a
    rest, because a gang may find its places on a cluster with less room and miss them with more.

    Parameters
    ----------
    largest_node : float
        Accelerators of the largest node.

    Attributes
    ----------
    kinds : mapping of Kind to int
        How many jobs of each kind wait.
    samples : mapping of Kind to Waiting
        One of them, or one that was like them.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> jobs = (Job("b", "team", (Task(4),)), Job("a", "team", (Task(4),), priority=75))
    >>> session = Session(Cluster({"node0": 8}, (Queue("team"),), jobs))
    >>> [entry.job.job.name for entry in session.backlog.of(0)]
    ['a', 'b']
    """

    def __init__(self, largest_node: float) -> None:
        self._largest_node = largest_node
        self._lines: dict[int, list[Waiting]] = {}
        self._entries: dict[JobInSession, Waiting] = {}
        self._kinds: dict[Kind, int] = {}
        self.samples: dict[Kind, Waiting] = {}
        self._largest: dict[int, list[float]] = {}
        """Of each queue: the size of the largest job up to each place."""
        self._changed: dict[JobInSession, None] = {}

    def change(self, job: JobInSession) -> None:
        """Note that tasks of a job began or ceased to wait."""
        self._changed[job] = None

    def remove(self, job: JobInSession) -> None:
        """Forget a job."""
        self._changed.pop(job, None)
        self._put(job, None)

    def of(self, queue: int) -> list[Waiting]:
        """Return the waiting jobs of a queue, in order; the list must not be changed."""
        self._update()
        return self._lines.get(queue, [])

    def queues(self) -> list[int]:
        """Return the queues in which jobs wait."""
        self._update()
        return [queue for queue, line in self._lines.items() if line]

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """How many jobs of each kind wait."""
        self._update()
        return self._kinds

    def largest_between(self, queue: int, since: Waiting | None, entry: Waiting) -> float:
        """Return the most accelerators of a job that waits between two others, 0 if none does.

        Parameters
        ----------
        queue : int
        since : Waiting or None
            None: the beginning of the queue.
        entry : Waiting
            Its size is included.
        """
        line = self.of(queue)
        end = bisect_left(line, entry.key, key=_key)
        if since is None:
            known = self._largest.get(queue)
            if known is None:
                known = list(accumulate((each.size for each in line), max))
                self._largest[queue] = known
            most = known[end - 1] if end else 0.0
        else:
            begin = bisect_right(line, since.key, key=_key)
            most = max((each.size for each in line[begin:end]), default=0.0)
        return max(most, entry.size)

    def entry(self, job: JobInSession) -> Waiting | None:
        """Return the entry of a job, None if it does not wait."""
        self._update()
        return self._entries.get(job)

    def _update(self) -> None:
        """Take the changes of jobs into account."""
        if self._changed:
            for job in self._changed:
                self._put(job, self.measured(job, job.waiting()))
            self._changed.clear()

    def _put(self, job: JobInSession, new: Waiting | None) -> None:
        """Replace the entry of a job."""
        old = self._entries.get(job)
        if old is new or (old is not None and old == new):
            return
        line = self._lines.setdefault(job.queue, [])
        self._largest.pop(job.queue, None)
        if old is not None:
            del line[bisect_left(line, old)], self._entries[job]
            self._kinds[old.kind] -= 1
            if not self._kinds[old.kind]:
                del self._kinds[old.kind], self.samples[old.kind]
        if new is not None:
            insort(line, new)
            self._entries[job] = new
            self._kinds[new.kind] = self._kinds.get(new.kind, 0) + 1
            self.samples.setdefault(new.kind, new)

    def measured(self, job: JobInSession, tasks: list[TaskInSession]) -> Waiting | None:
        """Return the entry of a job of which some tasks would be placed next, None without any."""
        if not tasks:
            return None
        sizes = tuple([task.size for task in tasks])
        alone = job.active > 0 or job.job.preemption_delay_s > 0 or not self._is_regular(sizes)
        return Waiting(
            job_key(job, job.active),
            job,
            tasks,
            float(sum(sizes)),
            (
                job.queue,
                job.preemptible,
                job.priority,
                sizes,
                tuple(job.closed),
                job.seniority if alone else -1,
            ),
        )

    def _is_regular(self, sizes: tuple[int, ...]) -> bool:
        """Return whether places of tasks depend on nothing but how many nodes have room."""
        first = sizes[0]
        if sizes[-1] == first:
            return sizes.count(first) == len(sizes)
        return first == self._largest_node and sizes.count(first) == len(sizes) - 1
