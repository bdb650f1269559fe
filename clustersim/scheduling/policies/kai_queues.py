"""The queues of a file of quotas as KAI-Scheduler sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clustersim.scheduling.kai import UNLIMITED, Queue
from clustersim.scheduling.quotas import (
    ALL_POOLS,
    CohortQuotas,
    PoolQuota,
    QueueQuotas,
    QuotasFile,
)

__all__ = ["kai_queues", "unused_terms"]

_COHORT = "cohort "
"""Begins the name of a cohort, so that a queue may have the same name."""


def kai_queues(file: QuotasFile, pool: str, part: float = 1.0) -> tuple[Queue, ...]:
    """Return the tree of queues of a pool; jobs wait in the queues, which are its leaves.

    A queue deserves what it owns; its limit is that and what it may borrow. A cohort is the queue
    above; it deserves what its members and itself own.

    Parameters
    ----------
    file : QuotasFile
    pool : str
    part : float
        Part of the quotas that is meant, if the quotas are of more than what is scheduled together.

    Examples
    --------
    >>> from clustersim.scheduling.quotas import read_quotas
    >>> quotas = {"h200": {"nominal": 8, "borrow_limit": 4}}
    >>> read = read_quotas({"queues": {"a": {"cohort": "lab", "quotas": quotas}}})
    >>> [(each.name, each.deserved, each.limit) for each in kai_queues(read.file, "h200")]
    [('cohort lab', 8.0, inf), ('a', 8.0, 12.0)]
    """
    named = [*(q.cohort for q in file.queues.values()), *(c.parent for c in file.cohorts.values())]
    cohorts = {name: CohortQuotas() for name in named if name is not None} | dict(file.cohorts)
    deserved = {name: _own(cohort, pool)[0] for name, cohort in cohorts.items()}
    members: list[tuple[str | None, float]] = [
        (queue.cohort, _own(queue, pool)[0]) for queue in file.queues.values()
    ]
    members += [(cohorts[name].parent, own) for name, own in deserved.items()]
    for above, own in members:
        while above is not None:
            deserved[above] += own
            above = cohorts[above].parent
    above_queues = tuple(
        _queue(_COHORT + name, cohort, cohort.parent, deserved[name], pool)
        for name, cohort in cohorts.items()
    )
    tree = above_queues + tuple(
        _queue(name, queue, queue.cohort, _own(queue, pool)[0], pool)
        for name, queue in file.queues.items()
    )
    if part == 1.0:
        return tree
    return tuple(
        replace(queue, deserved=part * queue.deserved, limit=part * queue.limit) for queue in tree
    )


def _own(owner: QueueQuotas | CohortQuotas, pool: str) -> tuple[float, float | None]:
    """Return what a queue or a cohort owns of a pool itself, and how much more it may use."""
    quota = owner.quotas.get(pool, owner.quotas.get(ALL_POOLS, 0.0))
    if isinstance(quota, PoolQuota):
        return quota.nominal, quota.borrow_limit
    return quota, None


def _queue(
    name: str, owner: QueueQuotas | CohortQuotas, above: str | None, deserved: float, pool: str
) -> Queue:
    borrow = _own(owner, pool)[1]
    if isinstance(owner, QueueQuotas) and above is None:
        borrow = 0.0
    return Queue(
        name,
        parent=None if above is None else _COHORT + above,
        deserved=deserved,
        limit=UNLIMITED if borrow is None else deserved + borrow,
        weight=owner.weight,
        priority=owner.priority,
        preempt_minimum_s=owner.minimum_run.preempt,
        reclaim_minimum_s=owner.minimum_run.reclaim,
    )


def unused_terms(file: QuotasFile) -> Iterator[str]:
    """Yield the terms of a file that KAI does not have.

    Examples
    --------
    >>> from clustersim.scheduling.quotas import read_quotas
    >>> quotas = {"h200": {"nominal": 8, "lend_limit": 4}}
    >>> file = read_quotas({"queues": {"a": {"cohort": "lab", "quotas": quotas}}}).file
    >>> list(unused_terms(file))
    ['lend_limit']
    """
    owners: list[QueueQuotas | CohortQuotas] = [*file.queues.values(), *file.cohorts.values()]
    quotas = [quota for owner in owners for quota in owner.quotas.values()]
    if any(isinstance(quota, PoolQuota) and quota.lend_limit is not None for quota in quotas):
        yield "lend_limit"
    terms = ("strategy", "preemption", "when_can_borrow", "when_can_preempt", "preempt_first")
    for term in terms:
        if any(term in queue.model_fields_set for queue in file.queues.values()):
            yield term
