"""Checks the decisions of a policy and carries them out."""

from __future__ import annotations

import numpy as np

from clustersim.errors import ClusterSimError, nearest_hint
from clustersim.scheduling.decisions import Decision, Migrate, Preempt, Start, Wake
from clustersim.scheduling.placement import NodePlacement
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["carry_out"]


def carry_out(decision: Decision, queue: Queue, waiting: dict[int, None], policy: str) -> None:
    """Carry out one decision of a policy.

    Parameters
    ----------
    decision : Decision
    queue : Queue
    waiting : dict
        The waiting jobs; a job that starts is removed.
    policy : str
        Name of the policy, for messages.

    Raises
    ------
    ClusterSimError
        If the decision breaks a rule. The message names the policy, the job and the rule.
    """
    try:
        if isinstance(decision, Start | Preempt | Migrate):
            _check_job(int(decision.job), queue)
        if isinstance(decision, Start):
            _start(decision, queue, waiting)
        elif isinstance(decision, Preempt):
            _preempt(decision, queue)
        elif isinstance(decision, Migrate):
            _migrate(decision, queue, waiting)
        elif isinstance(decision, Wake):
            queue.wake_at(decision.at_s)
        else:
            raise ClusterSimError(
                f"decides {decision!r}; decisions are Start, Preempt, Migrate and Wake"
            )
    except ClusterSimError as error:
        raise ClusterSimError(f"policy {policy}: {error}") from error.__cause__


def _check_job(job: int, queue: Queue) -> None:
    n_jobs = len(queue.jobs.n_accelerators)
    if not 0 <= job < n_jobs:
        raise ClusterSimError(f"there is no job {job}; jobs are 0 to {n_jobs - 1}")


def _start(decision: Start, queue: Queue, waiting: dict[int, None]) -> None:
    job = int(decision.job)
    if job not in waiting:
        state = "it is already running" if job in queue.running else "it does not wait"
        raise ClusterSimError(f"job {job} (counted from 0) cannot be started: {state}")
    n = queue.jobs.n_accelerators[job]
    if job in queue.own_nodes:
        own = queue.own_nodes[job][0].name
        if decision.nodes is not None or decision.pool not in (None, own):
            raise ClusterSimError(
                f"job {job} (counted from 0) can only start on its own accelerators of {own}"
            )
    if job in queue.own_nodes or (decision.pool is None and decision.nodes is None):
        if not queue.start_anywhere(job):
            raise ClusterSimError(
                _no_room(job, n, [queue.partitions[i] for i in queue.choices(job)])
            )
    else:
        partition = _partition(decision, queue)
        placement = partition.placement
        if decision.nodes is not None:
            total = sum(chips for _, chips in decision.nodes)
            if total != n:
                raise ClusterSimError(
                    f"job {job} (counted from 0) is a gang of {n:,} accelerators, and is started "
                    f"on {total:,}"
                )
            if not isinstance(placement, NodePlacement):
                raise ClusterSimError(
                    f"job {job} (counted from 0) is started on nodes, but the placement only "
                    "counts accelerators; use one that tracks nodes, such as consolidate"
                )
            if not placement.has_free(decision.nodes, n):
                raise ClusterSimError(
                    f"job {job} (counted from 0) is started on accelerators of {partition.name} "
                    "that are not free"
                )
            placement.take_these(decision.nodes, n)
            nodes = decision.nodes
        else:
            taken = placement.take(n)
            if taken is None:
                raise ClusterSimError(_no_room(job, n, [partition]))
            nodes = taken
        queue.start_taken(job, partition, nodes)
    del waiting[job]


def _preempt(decision: Preempt, queue: Queue) -> None:
    queue.preempt(int(decision.job), decision.how, decision.cost_s)


def _migrate(decision: Migrate, queue: Queue, waiting: dict[int, None]) -> None:
    job = int(decision.job)
    target = _partition(Start(job, pool=decision.pool), queue)
    n = queue.jobs.n_accelerators[job]
    if not target.placement.fits_each(np.array([n]))[0]:
        raise ClusterSimError(_no_room(job, n, [target]))
    queue.preempt(job, "save", decision.cost_s)
    if job in waiting:
        _start(Start(job, pool=decision.pool), queue, waiting)


def _partition(decision: Start, queue: Queue) -> Partition:
    """Return the partition of a pool on which a job can run."""
    own = {
        queue.partitions[index].name: queue.partitions[index]
        for index in queue.choices(decision.job)
    }
    if decision.pool is None:
        return next(iter(own.values()))
    if decision.pool not in own:
        raise ClusterSimError(
            f"job {decision.job} (counted from 0) cannot run on pool {decision.pool!r}; "
            f"{nearest_hint(decision.pool, own)}"
        )
    return own[decision.pool]


def _no_room(job: int, n: int, partitions: list[Partition]) -> str:
    free = ", ".join(f"{part.name} has {part.placement.free:,} free" for part in partitions)
    return f"job {job} (counted from 0) needs {n:,} accelerators at once and does not fit: {free}"
