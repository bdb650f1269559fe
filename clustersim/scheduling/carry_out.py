"""Checks the decisions of a policy and carries them out."""

from __future__ import annotations

import numpy as np

from clustersim.errors import ClusterSimError, nearest_hint, shown
from clustersim.scheduling.decisions import Decision, Migrate, Preempt, Resize, Start, Wake
from clustersim.scheduling.holding import Part
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition, Queue
from clustersim.units import counted

__all__ = ["carry_out", "room_to_move"]


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
        if isinstance(decision, Start | Preempt | Resize | Migrate):
            _check_job(decision.job, queue)
        if isinstance(decision, Start):
            _start(decision, queue, waiting)
        elif isinstance(decision, Preempt):
            _preempt(decision, queue)
        elif isinstance(decision, Resize):
            _resize(decision, queue)
        elif isinstance(decision, Migrate):
            _migrate(decision, queue)
        elif isinstance(decision, Wake):
            queue.wake_at(decision.at_s)
        else:
            raise ClusterSimError(
                f"decides {decision!r}; decisions are Start, Preempt, Resize, Migrate and Wake"
            )
    except ClusterSimError as error:
        raise ClusterSimError(f"policy {policy}: {error}") from error.__cause__


def _check_job(job: object, queue: Queue) -> None:
    if not isinstance(job, int | np.integer) or isinstance(job, bool):
        raise ClusterSimError(
            f"decides about job {shown(job)}; a job is a whole number, its position among the jobs "
            "that can run (counted from 0)"
        )
    n_jobs = len(queue.jobs.n_accelerators)
    if not 0 <= job < n_jobs:
        raise ClusterSimError(f"there is no job {job}; jobs are 0 to {n_jobs - 1}")


def _start(decision: Start, queue: Queue, waiting: dict[int, None]) -> None:
    job = int(decision.job)
    if job not in waiting:
        state = "it is already running" if job in queue.running else "it does not wait"
        raise ClusterSimError(f"job {job} (counted from 0) cannot be started: {state}")
    asked = queue.jobs.n_accelerators[job]
    n = asked if decision.size is None else int(decision.size)
    if job in queue.own_nodes:
        own = queue.own_nodes[job][0].name
        elsewhere = decision.nodes is not None or decision.pool not in (None, own)
        if elsewhere or decision.parts is not None or n != asked:
            raise ClusterSimError(
                f"job {job} (counted from 0) can only start on its own accelerators of {own}"
            )
    _check_size(job, n, queue)
    if decision.parts is not None:
        queue.start_on(job, _parts(decision, queue))
    elif n == asked and (
        job in queue.own_nodes or (decision.pool is None and decision.nodes is None)
    ):
        mine = [queue.partitions[index] for index in queue.choices(job)]
        _check_limits(job, mine, n, queue)
        if not queue.start_anywhere(job):
            raise ClusterSimError(_no_room(job, n, mine))
    else:
        partition = _partition(decision, queue)
        _check_pace(job, partition, n, queue)
        _check_limits(job, [partition], n, queue)
        queue.start_on(job, [Part(partition, n, _take(decision, n, partition, queue))])
    del waiting[job]


def _take(decision: Start, n: int, partition: Partition, queue: Queue) -> Nodes:
    """Allocate accelerators of a partition, on the nodes that the policy chose if it did."""
    placement, job = partition.placement, int(decision.job)
    if decision.nodes is None:
        usual = n == queue.jobs.n_accelerators[job]
        taken = queue.take(job, partition) if usual else queue.take_size(job, partition, n)
        if taken is None:
            raise ClusterSimError(_no_room(job, n, [partition]))
        return taken
    total = sum(chips for _, chips in decision.nodes)
    if total != n:
        raise ClusterSimError(
            f"job {job} (counted from 0) is a gang of {n:,} accelerators, and is started on "
            f"{total:,}"
        )
    if not isinstance(placement, NodePlacement):
        raise ClusterSimError(
            f"job {job} (counted from 0) is started on nodes, but the placement only counts "
            "accelerators; use one that tracks nodes, such as consolidate"
        )
    if not placement.has_free(decision.nodes, n):
        raise ClusterSimError(
            f"job {job} (counted from 0) is started on accelerators of {partition.name} that are "
            "not free"
        )
    placement.take_these(decision.nodes, n)
    return decision.nodes


def _parts(decision: Start, queue: Queue) -> list[Part]:
    """Allocate the accelerators of a job over several pools."""
    job, wanted = int(decision.job), decision.parts or {}
    if queue.jobs.split is None:
        raise ClusterSimError(
            f"job {job} (counted from 0) is started on several pools, which no job may use at "
            "once; set scheduler.span_pools to equal or proportional"
        )
    if decision.pool is not None or decision.nodes is not None or decision.size is not None:
        raise ClusterSimError(
            f"job {job} (counted from 0) is started with parts, so without pool, nodes and size"
        )
    total = sum(wanted.values())
    if min(wanted.values(), default=0) < 1 or total != queue.jobs.n_accelerators[job]:
        raise ClusterSimError(
            f"job {job} (counted from 0) is a gang of {queue.jobs.n_accelerators[job]:,} "
            f"accelerators, and is started on {dict(wanted)}"
        )
    partitions = [_partition(Start(job, pool=pool), queue) for pool in wanted]
    parts: list[Part] = []
    for partition, n in zip(partitions, wanted.values(), strict=True):
        nodes = queue.take_size(job, partition, n)
        if nodes is None:
            for part in parts:
                part.partition.placement.give(part.nodes, part.n)
            raise ClusterSimError(_no_room(job, n, [partition]))
        parts.append(Part(partition, n, nodes))
    return parts


def _check_size(job: int, n: int, queue: Queue) -> None:
    """Raise an error if a size is outside the range of a job."""
    asked, elastic = queue.jobs.n_accelerators[job], queue.jobs.elastic
    least, most = (asked, asked) if elastic is None else elastic.range(job)
    if n != asked and not least <= n <= most:
        allowed = f"{least:,} to {most:,}" if least < most else f"{asked:,}"
        raise ClusterSimError(
            f"job {job} (counted from 0) cannot have {n:,} accelerators; it can have {allowed}"
        )


def _check_pace(job: int, partition: Partition, n: int, queue: Queue) -> None:
    """Raise an error if a job cannot run at a size on a partition."""
    elastic = queue.jobs.elastic
    if n == queue.jobs.n_accelerators[job] or elastic is None:
        return
    if not elastic.pace(job, partition.pool, n) > 0.0:
        raise ClusterSimError(
            f"job {job} (counted from 0) cannot run on {n:,} accelerators of {partition.name}"
        )


def _check_limits(job: int, partitions: list[Partition], n: int, queue: Queue) -> None:
    """Raise an error if limits, quotas or budgets do not allow a job a size on any partition."""
    if not any(queue.allows(job, partition, n) for partition in partitions):
        raise ClusterSimError(
            f"job {job} (counted from 0) cannot have {n:,} accelerators now: limits, quotas and "
            f"budgets leave it at most {queue.most_size(job):,.0f}"
        )


def _preempt(decision: Preempt, queue: Queue) -> None:
    if queue.most_victims > 0:  # those of a pass beyond the limit of an hour wait for the next one
        queue.preempt(int(decision.job), decision.how, decision.cost_s)


def _resize(decision: Resize, queue: Queue) -> None:
    job, n = int(decision.job), int(decision.size)
    running = _running(job, queue, "resized")
    if job in queue.holdings and len(queue.holdings[job].parts) > 1:
        raise ClusterSimError(
            f"job {job} (counted from 0) is on several pools, so that it cannot be resized"
        )
    if n == queue.size_of(job):
        raise ClusterSimError(f"job {job} (counted from 0) has {n:,} accelerators already")
    _move(job, running, n, queue, decision.cost_s)


def _migrate(decision: Migrate, queue: Queue) -> None:
    job = int(decision.job)
    own = _running(job, queue, "moved")
    target = _partition(Start(job, pool=decision.pool), queue)
    if target is own and job not in queue.holdings:
        raise ClusterSimError(f"job {job} (counted from 0) is on pool {decision.pool} already")
    n = queue.size_of(job) if decision.size is None else int(decision.size)
    _move(job, target, n, queue, decision.cost_s)


def _running(job: int, queue: Queue, what: str) -> Partition:
    """Return the partition of a running job."""
    if job not in queue.running:
        raise ClusterSimError(f"job {job} (counted from 0) cannot be {what}: it is not running")
    return queue.running[job].partition


def _move(job: int, target: Partition, n: int, queue: Queue, cost_s: float | None) -> None:
    _check_size(job, n, queue)
    _check_pace(job, target, n, queue)
    _check_limits(job, [target], n, queue)
    if not queue.move(job, target, n, cost_s):
        more = _more(job, target, n, queue)
        raise ClusterSimError(_no_room(job, more, [target], more="" if more == n else " more"))


def _more(job: int, target: Partition, n: int, queue: Queue) -> int:
    """Return how many free accelerators a running job needs to have `n` on a partition."""
    several = job in queue.holdings and len(queue.holdings[job].parts) > 1
    stays = queue.running[job].partition is target and not several
    return n - queue.size_of(job) if stays else n


def room_to_move(queue: Queue, job: int, target: Partition, n: int) -> bool:
    """Return whether a running job could start again with `n` accelerators on a partition.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=1, chips_per_node=8))
    >>> jobs = JobColumns([8], [[60.0], [90.0]], choices=[(0, 1)], choice_of=[0])
    >>> queue = Queue([h200, h20], [0, 1], jobs, lambda *started: None, looks_ahead=False,
    ...               tracks_running=True)
    >>> queue.start_anywhere(0), room_to_move(queue, 0, h20, 8), room_to_move(queue, 0, h20, 16)
    (True, True, False)
    """
    try:
        _check_size(job, n, queue)
        _check_pace(job, target, n, queue)
    except ClusterSimError:
        return False
    more = _more(job, target, n, queue)
    return queue.allows(job, target, n) and (more <= 0 or queue.has_free(job, target, more))


def _partition(decision: Start, queue: Queue) -> Partition:
    """Return the partition of a pool on which a job can run."""
    own = {
        queue.partitions[index].name: queue.partitions[index]
        for index in queue.choices(decision.job)
    }
    if decision.pool is None:
        return next(iter(own.values()))
    if decision.pool not in own:  # a pool that virtual clusters share
        own = {
            queue.partitions[i].pool_name: queue.partitions[i]
            for i in queue.choices(decision.job)[::-1]
        } | own
    if decision.pool not in own:
        raise ClusterSimError(
            f"job {decision.job} (counted from 0) cannot run on pool {decision.pool!r}; "
            f"{nearest_hint(decision.pool, own)}"
        )
    return own[decision.pool]


def _no_room(job: int, n: int, partitions: list[Partition], *, more: str = "") -> str:
    free = ", ".join(_free_text(part, n) for part in partitions)
    return (
        f"job {job} (counted from 0) needs {n:,}{more} accelerators at once and does not fit: "
        f"{free}"
    )


def _free_text(partition: Partition, n: int) -> str:
    """Return what is free; also on how many nodes if the number alone would be enough."""
    placement = partition.placement
    text = f"{partition.name} has {placement.free:,} free"
    if n > placement.free or not isinstance(placement, NodePlacement):
        return text
    by_node = placement.free_by_node()
    nodes = counted(int((by_node > 0).sum()), "node")
    closed = partition.windows is not None and partition.windows.announced
    maybe = ", and windows close some of them" if closed else ""
    return f"{text}, but scattered over {nodes} with at most {int(by_node.max()):,} each{maybe}"
