"""Minimum run time: how long a job runs before others may stop it."""

from __future__ import annotations

from clustersim.scheduling.kai.model import MinimumRunTime, Queue

__all__ = ["minimum_preempt_s", "minimum_reclaim_s", "protects"]


def _chain(queues: dict[str, Queue], name: str) -> list[Queue]:
    """Return a queue and those above it, none if there is no such queue."""
    chain: list[Queue] = []
    queue = queues.get(name)
    while queue is not None and queue not in chain:
        chain.append(queue)
        queue = None if queue.parent is None else queues.get(queue.parent)
    return chain


def minimum_preempt_s(queues: dict[str, Queue], victim: str, default: MinimumRunTime) -> float:
    """Return how long a job runs before another of its queue may preempt it, seconds.

    Parameters
    ----------
    queues : dict of str to Queue
        The queues by name.
    victim : str
        Name of the job's queue. The nearest value at it or above it counts.
    default : MinimumRunTime
        What counts if there is none.

    Examples
    --------
    >>> from clustersim.scheduling.kai import MinimumRunTime, Queue, minimum_preempt_s
    >>> queues = {"lab": Queue("lab", preempt_minimum_s=60.0), "a": Queue("a", "lab")}
    >>> minimum_preempt_s(queues, "a", MinimumRunTime())
    60.0
    """
    values = (queue.preempt_minimum_s for queue in _chain(queues, victim))
    return next((value for value in values if value is not None), default.preempt_s)


def minimum_reclaim_s(
    queues: dict[str, Queue], reclaimer: str, victim: str, default: MinimumRunTime
) -> float:
    """Return how long a job runs before a job of another queue may reclaim its place, seconds.

    Parameters
    ----------
    queues : dict of str to Queue
        The queues by name.
    reclaimer, victim : str
        Names of the two queues. The nearest value at the victim's queue or above it counts or,
        with `MinimumRunTime.reclaim_from_ancestor`, at the queue below the common ancestor or above
        it. Queues at the top count as siblings.
    default : MinimumRunTime
        What counts if there is none.

    Examples
    --------
    >>> from clustersim.scheduling.kai import MinimumRunTime, Queue, minimum_reclaim_s
    >>> queues = {
    ...     "lab": Queue("lab", reclaim_minimum_s=60.0),
    ...     "a": Queue("a", "lab", reclaim_minimum_s=5.0),
    ...     "b": Queue("b"),
    ... }
    >>> minimum_reclaim_s(queues, "b", "a", MinimumRunTime())
    60.0
    >>> minimum_reclaim_s(queues, "b", "a", MinimumRunTime(reclaim_from_ancestor=False))
    5.0
    """
    chain = _chain(queues, victim)
    if default.reclaim_from_ancestor and chain:
        above = {queue.name for queue in _chain(queues, reclaimer)}
        apart = [queue.name not in above for queue in chain]
        chain = chain[max(sum(apart) - 1, 0) :]
    values = (queue.reclaim_minimum_s for queue in chain)
    return next((value for value in values if value is not None), default.reclaim_s)


def protects(
    minimum_s: float, started_s: float | None, now_s: float, *, left: int, min_tasks: int
) -> bool:
    """Return whether a minimum run time forbids to evict tasks of a job.

    Parameters
    ----------
    minimum_s : float
        The minimum run time, seconds.
    started_s : float or None
        When the job started. None: nothing protects it.
    now_s : float
        The time, seconds.
    left : int
        Active tasks that the eviction leaves.
    min_tasks : int
        Size of the gang; tasks above it are never protected.

    Examples
    --------
    >>> from clustersim.scheduling.kai import protects
    >>> [protects(60.0, 0.0, now_s, left=0, min_tasks=1) for now_s in (30.0, 60.0)]
    [True, False]
    """
    return started_s is not None and now_s < started_s + minimum_s and left < min_tasks
