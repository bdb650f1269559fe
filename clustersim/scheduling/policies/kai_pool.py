"""The jobs and nodes of one pool in the terms of KAI-Scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from clustersim.array_types import Bools
from clustersim.scheduling.decisions import Start
from clustersim.scheduling.kai import (
    Change,
    Cluster,
    Job,
    Limits,
    MinimumRunTime,
    Queue,
    Task,
    TaskState,
    run_round,
)
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, pool_of
from clustersim.scheduling.queue import JobColumns, Partition
from clustersim.scheduling.queue import Queue as JobQueue
from clustersim.scheduling.quota_use import QuotaUse

__all__ = ["KaiPool"]

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
        self._preemptible = _preemptible(queue.jobs)
        self._has_priority = "priority" in queue.jobs.columns
        self._waiting: dict[int, Job] = {}
        self._running: dict[int, tuple[float, bool, bool, Job]] = {}

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
        choice_of = self._queue.jobs.choice_of
        mine = [job for job in waiting if self._may[choice_of[job]] and self._has_quota(job)]
        if not mine:
            return
        jobs = [self._running_job(job) for job in self._here()]
        jobs += [self._waiting_job(job) for job in mine]
        if self._partition.windows is not None and self._partition.windows.announced:
            jobs = [self._with_windows(job) for job in jobs]
        cluster = Cluster(
            self._nodes(),
            self._queues,
            tuple(jobs),
            now_s=now,
            minimum_run_time=self._minimum,
            limits=self._limits,
        )
        yield from self._decisions(run_round(cluster, self._actions))

    def _decisions(self, changes: Sequence[Change]) -> Iterator[Start | int]:
        starts: dict[int, dict[int, int]] = {}
        stops: dict[int, None] = {}
        later: set[int] = set()
        for change in changes:
            job = int(change.job)
            if change.state is TaskState.RELEASING or change.moves_from is not None:
                stops[job] = None
            elif change.state is TaskState.BINDING:
                size = self._tasks(job)[change.task].accelerators
                nodes = starts.setdefault(job, {})
                nodes[int(change.node)] = nodes.get(int(change.node), 0) + size
            else:
                later.add(job)
        yield from stops
        pool = self._partition.name
        for job, nodes in starts.items():
            if job not in later:
                held: Nodes | None = sorted(nodes.items()) if self._by_node else None
                yield Start(job, pool, held)

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
        known = self._waiting.get(job)
        if known is None:
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
            preemptible=None if self._preemptible is None else bool(self._preemptible[job]),
            submitted_s=self._jobs.submit_s[job],
            started_s=start_s,
        )


def _preemptible(jobs: JobColumns) -> Bools | None:
    """Return which jobs may be stopped, if the table says so."""
    given = jobs.columns.get("preemptible")
    return None if given is None else np.array([value is True or value == 1 for value in given])
