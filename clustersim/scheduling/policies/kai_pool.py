"""The jobs and nodes of one pool in the terms of KAI-Scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from clustersim.scheduling.decisions import Start
from clustersim.scheduling.kai import (
    NON_PREEMPTIBLE,
    Change,
    Cluster,
    Job,
    Limits,
    MinimumRunTime,
    Queue,
    Session,
    Task,
    TaskState,
    try_round,
)
from clustersim.scheduling.kai.session import JobInSession
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, pool_of
from clustersim.scheduling.queue import JobColumns, Partition
from clustersim.scheduling.queue import Queue as JobQueue
from clustersim.scheduling.quota_use import QuotaUse

__all__ = ["KaiPool", "preemptible"]

_TRAIN = 50
"""Priority of jobs if the table has none."""


class KaiPool:
    """A pool that is scheduled on its own.

    Parameters
    ----------
    queue : Queue
        The queue of the simulation.
    partition : Partition
    queues : tuple of kai.Queue
    jobs : QuotaJobs
    minimum, limits : MinimumRunTime, Limits
    actions : tuple of str
        The actions of a round.
    """

    def __init__(
        self,
        queue: JobQueue,
        partition: Partition,
        queues: tuple[Queue, ...],
        jobs: QuotaJobs,
        minimum: MinimumRunTime,
        limits: Limits,
        actions: tuple[str, ...],
    ) -> None:
        self._queue, self._partition, self._queues = queue, partition, queues
        self._jobs, self._minimum, self._limits = jobs, minimum, limits
        self._actions = actions
        placement = partition.placement
        self._by_node = isinstance(placement, NodePlacement)
        self._node_size = placement.chips_per_node if self._by_node else placement.capacity
        self._names = [f"{node:07d}" for node in range(placement.n_nodes if self._by_node else 1)]
        self._may = {
            choice: partition.index in members for choice, members in enumerate(queue.jobs.choices)
        }
        self._preemptible = preemptible(queue.jobs, jobs.priority)
        self._has_priority = "priority" in queue.jobs.columns
        self._waiting: dict[int, Job] = {}
        self._running: dict[int, tuple[float, bool, bool, Job]] = {}
        self._seniority = _seniority(jobs.submit_s)
        self._out = frozenset(partition.out_of_service)
        self._session = self._empty_session()
        self._in_session: dict[int, tuple[Job, JobInSession]] = {}

    def uses(self) -> Iterator[QuotaUse]:
        """Yield what each queue holds, and the most that it may hold."""
        held: dict[str, int] = {}
        for job in self._here():
            name = self._jobs.name_of(job)
            held[name] = held.get(name, 0) + self._queue.jobs.n_accelerators[job]
        pool = pool_of(self._partition)
        above = {queue.parent for queue in self._queues}
        for queue in self._queues:
            if queue.name not in above:
                yield QuotaUse(f"queue {queue.name}", pool, queue.limit, held.get(queue.name, 0))

    def minimum_run_times(self) -> set[float]:
        """Return the times for which jobs may be protected from others, seconds."""
        own = [(each.preempt_minimum_s, each.reclaim_minimum_s) for each in self._queues]
        of_queues = {seconds for both in own for seconds in both if seconds is not None}
        return {self._minimum.preempt_s, self._minimum.reclaim_s, *of_queues}

    def round(self, waiting: Sequence[int], now: float) -> Iterator[Start | int]:
        """Yield what a round decides: jobs to preempt first, then jobs to start with their nodes.

        Parameters
        ----------
        waiting : sequence of int
        now : float
            Seconds.
        """
        mine = self._mine(waiting)
        if not mine:
            return
        here = self._here()
        jobs = {job: self._running_job(job) for job in here}
        for job in mine:
            jobs[job] = self._waiting.get(job) or self._waiting_job(job)
        if self._partition.windows is not None and self._partition.windows.announced:
            jobs = {job: self._with_windows(known) for job, known in jobs.items()}
        self._update(jobs)
        self._session.begin(now)
        decided = try_round(self._session, self._actions)
        if decided:
            in_order = [job for job in jobs if self._in_session[job][0].name in decided]
            yield from self._decisions({job: decided[jobs[job].name] for job in in_order})

    def _mine(self, waiting: Sequence[int]) -> list[int]:
        """Return the jobs that can run in this pool."""
        choice_of, known = self._queue.jobs.choice_of, self._waiting
        return [
            job
            for job in waiting
            if job in known or (self._may[choice_of[job]] and self._has_quota(job))
        ]

    def _update(self, jobs: Mapping[int, Job]) -> None:
        """Bring the session up to date: jobs that came, went or changed, and nodes."""
        out = frozenset(self._partition.out_of_service)
        if out != self._out:
            self._out = out
            self._session, self._in_session = self._empty_session(), {}
        session, known = self._session, self._in_session
        for job in [job for job, (was, _) in known.items() if jobs.get(job) is not was]:
            session.remove(known.pop(job)[1])
        for job in jobs.keys() - known.keys():
            given = jobs[job]
            known[job] = given, session.add(given, self._seniority[job])

    def _empty_session(self) -> Session:
        cluster = Cluster(
            self._nodes(),
            self._queues,
            (),
            minimum_run_time=self._minimum,
            limits=self._limits,
        )
        return Session(cluster)

    def _decisions(self, changes: Mapping[int, Sequence[Change]]) -> Iterator[Start | int]:
        """Yield the jobs that stop, and then those that start, each in the order of `changes`."""
        starts: dict[int, Nodes] = {}
        stops = []
        for job, of_job in changes.items():
            if any(each.state is TaskState.RELEASING or each.moves_from for each in of_job):
                stops.append(job)
            elif all(each.state is TaskState.BINDING for each in of_job):
                nodes: dict[int, int] = {}
                for each in of_job:
                    size = self._tasks(job)[each.task].accelerators
                    nodes[int(each.node)] = nodes.get(int(each.node), 0) + size
                starts[job] = sorted(nodes.items())
        yield from stops
        for job, held in starts.items():
            yield Start(job, self._partition.name, held if self._by_node else None)

    def _nodes(self) -> dict[str, int]:
        """Return the nodes in service and their accelerators."""
        out = self._partition.out_of_service
        if not self._by_node:
            placement = self._partition.placement
            return {self._names[0]: self._node_size - len(out) * placement.chips_per_node}
        return {name: self._node_size for node, name in enumerate(self._names) if node not in out}

    def _here(self) -> list[int]:
        running = self._queue.running
        return [job for job, at in running.items() if at.partition is self._partition]

    def _has_quota(self, job: int) -> bool:
        return self._partition.index in self._jobs.partitions_of(job)

    def _tasks(self, job: int) -> tuple[Task, ...]:
        """Return a job's parts on nodes: whole nodes, and the rest."""
        n, size = self._queue.jobs.n_accelerators[job], self._node_size
        whole, rest = divmod(n, size)
        return (Task(size),) * whole + ((Task(rest),) if rest else ())

    def _waiting_job(self, job: int) -> Job:
        known = self._waiting[job] = self._job(job, self._tasks(job), None)
        return known

    def _running_job(self, job: int) -> Job:
        queue = self._queue
        start_s, leaves = queue.running[job].start_s, job in queue.leaving
        stays = queue.protects and queue.protected_until_s(job) > queue.now
        known = self._running.get(job)
        if known is None or known[:3] != (start_s, leaves, stays):
            self._waiting.pop(job, None)
            state = TaskState.RELEASING if leaves else TaskState.RUNNING
            held = self._partition.nodes_of.get(job, ()) if self._by_node else ()
            pieces = held or ((0, self._queue.jobs.n_accelerators[job]),)
            tasks = tuple(Task(chips, state, self._names[node]) for node, chips in pieces)
            running = self._job(job, tasks, start_s)
            if stays:
                running = replace(running, protected=True)
            known = start_s, leaves, stays, running
            self._running[job] = known
        return known[3]

    def _with_windows(self, job: Job) -> Job:
        """Return a job with the nodes that windows close to it."""
        open_nodes = self._queue.open_nodes(int(job.name), self._partition)
        if open_nodes is None:
            return job
        closed = frozenset(self._names[node] for node in np.flatnonzero(~open_nodes).tolist())
        return replace(job, closed=closed)

    def forget(self, job: int) -> None:
        """Forget a job that stopped or ended."""
        self._running.pop(job, None)

    def _job(self, job: int, tasks: tuple[Task, ...], start_s: float | None) -> Job:
        return Job(
            f"{job:012d}",
            self._jobs.name_of(job),
            tasks,
            min_tasks=len(tasks),
            priority=self._jobs.priority[job] if self._has_priority else _TRAIN,
            preemptible=self._preemptible[job],
            submitted_s=self._jobs.submit_s[job],
            started_s=start_s,
        )


def preemptible(jobs: JobColumns, priority: Sequence[int]) -> Sequence[bool]:
    """Return which jobs may be stopped, as the table says, or else by their priorities."""
    given = jobs.columns.get("preemptible")
    if given is not None:
        return [value is True or value == 1 for value in given]
    if "priority" not in jobs.columns:
        return [True] * len(jobs.n_accelerators)
    return [each < NON_PREEMPTIBLE for each in priority]


def _seniority(submit_s: Sequence[float]) -> list[int]:
    """Return the rank of each job by time of submission, then number."""
    order = np.argsort(submit_s, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks: list[int] = rank.tolist()
    return ranks
