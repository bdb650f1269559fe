"""Reclaim: a queue takes back from others what is its fair share."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scheduling.kai.backlog import Waiting
from clustersim.scheduling.kai.candidates import Loss, Victims, loss_of
from clustersim.scheduling.kai.minimum_run_time import minimum_reclaim_s
from clustersim.scheduling.kai.session import JobInSession, Session
from clustersim.scheduling.kai.victims import Unit, has_waited, place_by_force

__all__ = ["Reclaimer", "reclaim"]


def reclaim(session: Session) -> None:
    """Let waiting jobs reclaim accelerators from jobs of other queues.

    Parameters
    ----------
    session : Session
        Is changed.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState, reclaim
    >>> queues = (Queue("a", deserved=4), Queue("b", deserved=4))
    >>> running = Task(4, TaskState.RUNNING, "node0")
    >>> jobs = (Job("a0", "a", (running,)), Job("a1", "a", (running,)), Job("b0", "b", (Task(4),)))
    >>> session = Session(Cluster({"node0": 8}, queues, jobs))
    >>> reclaim(session)
    >>> [str(job.tasks[0].state) for job in session.jobs]
    ['running', 'releasing', 'pipelined']
    """
    place_by_force(session, Reclaimer)


class Reclaimer:
    """A waiting job that wants accelerators of other queues, and what it may take.

    Parameters
    ----------
    session : Session
    entry : Waiting

    Examples
    --------
    >>> from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task
    >>> from clustersim.scheduling.kai.reclaimer import Reclaimer
    >>> sizes = {"a0": 2, "a1": 6, "b0": 8}
    >>> jobs = tuple(Job(name, name[0], (Task(size),)) for name, size in sizes.items())
    >>> queues = (Queue("a", deserved=4), Queue("b", deserved=4))
    >>> session = Session(Cluster({"node0": 8}, queues, jobs))
    >>> [Reclaimer(session, session.backlog.entry(job)).is_allowed() for job in session.jobs]
    [True, False, False]
    """

    def __init__(self, session: Session, entry: Waiting) -> None:
        self._session = session
        self._job = job = entry.job
        self._size = entry.size
        self._held = list(session.held)
        self._path = session.paths[job.queue]
        self._sides_of: dict[int, tuple[int, int]] = {}
        self._minimum_s: dict[int, float] = {}

    def is_allowed(self) -> bool:
        """Return whether the job would stay within its queue's fair share, or what it deserves."""
        session, queue = self._session, self._job.queue
        if not has_waited(session, self._job):
            return False
        if self._held[queue] + self._size > session.fair_share[queue]:
            return False
        deserved = session.queues[queue].deserved
        return self._job.preemptible or session.held_for_good[queue] + self._size <= deserved

    def victims(self) -> Victims:
        """Return the candidates: preemptible jobs of queues that have more than they are owed."""
        session = self._session
        jobs = [
            job
            for queue, active in session.active_of.items()
            if queue != self._job.queue and session.held[queue] and self._may_lose(queue)
            for job in active
            if job.preemptible
        ]
        return Victims(session, jobs, self._loss)

    def _loss(self, job: JobInSession) -> Loss:
        """Return what a preemptible job may lose."""
        if job.job.started_s is None:
            return Loss.GANG
        cluster = self._session.cluster
        if job.queue not in self._minimum_s:
            self._minimum_s[job.queue] = minimum_reclaim_s(
                self._session.by_name, self._job.job.queue, job.job.queue, cluster.minimum_run_time
            )
        return loss_of(job, self._minimum_s[job.queue], cluster.now_s)

    def _sides(self, queue: int) -> tuple[int, int]:
        """Return the siblings below the common ancestor of the reclaimer's queue and another."""
        mine, other = list(self._path), list(self._session.paths[queue])
        while mine[-1] == other[-1] and len(mine) > 1 and len(other) > 1:
            mine.pop()
            other.pop()
        return mine[-1], other[-1]

    def _stays_within_deserved(self, side: int) -> bool:
        return self._held[side] + self._size <= self._session.queues[side].deserved

    def _may_lose(self, queue: int) -> bool:
        """Return whether jobs of a queue can be victims at all."""
        mine, other = self._sides(queue)
        if self._stays_within_deserved(mine):
            return self._held[other] >= self._session.queues[other].deserved
        return self._held[other] > self._session.allocatable[other]

    def most_lost(self, units: Sequence[Unit]) -> float:
        """Return an upper bound on the accelerators that some units may lose.

        The last unit that a side of the tree loses must find it above what it keeps.
        """
        session, sides = self._session, self._sides_of
        total: dict[int, float] = {}
        largest: dict[int, float] = {}
        for unit in units:
            queue = unit[0].job.queue
            if queue not in sides:
                sides[queue] = self._sides(queue)
            side, size = sides[queue][1], session.size_of(unit)
            total[side] = total.get(side, 0.0) + size
            largest[side] = max(largest.get(side, 0.0), size)
        most = 0.0
        for side, lost in total.items():
            keeps = min(session.queues[side].deserved, session.allocatable[side])
            above = self._held[side] - keeps
            most += min(lost, above + largest[side]) if above > 0 else 0.0
        return most

    def accepts(self, units: Sequence[Unit]) -> bool:
        """Return whether the rules allow to evict some units."""
        session = self._session
        remaining: dict[int, float] = {}
        for unit in units:
            lost = sum(task.size for task in unit if not task.is_active)
            if not lost:
                continue
            queue = unit[0].job.queue
            mine, other = self._sides(queue)
            left = remaining.get(other, self._held[other])
            within = self._stays_within_deserved(mine)
            above = within and left > session.queues[other].deserved
            if not above and not left > session.allocatable[other]:
                return False
            for above_queue in session.paths[queue]:
                left = remaining.get(above_queue, self._held[above_queue])
                remaining[above_queue] = left - lost
        return self._stays_fairest(remaining)

    def _stays_fairest(self, remaining: dict[int, float]) -> bool:
        """Return whether no queue that lost something ends with less of its share than ours."""
        session = self._session
        for queue in self._path:
            mine = remaining.get(queue, self._held[queue]) + self._size
            my_ratio = _ratio(mine, session.fair_share[queue])
            if my_ratio <= 1:
                continue
            for other, left in remaining.items():
                sibling = other != queue and session.parents[other] == session.parents[queue]
                if sibling and my_ratio >= _ratio(left, session.fair_share[other]):
                    return False
        return True


def _ratio(held: float, share: float) -> float:
    """Return what is held by share, infinite for a share of nothing."""
    return held / share if share else float("inf") if held else 0.0
