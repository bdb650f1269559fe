"""Notes on a file of quotas that says something without effect, or more than the cluster has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clustersim.scheduling.job_columns import JobColumns
from clustersim.scheduling.limits_file import EACH
from clustersim.scheduling.partition import Partition
from clustersim.scheduling.policies.names import texts_of_jobs
from clustersim.scheduling.policies.quota_jobs import pool_of
from clustersim.scheduling.quotas import ALL_POOLS, PoolQuota, Quotas
from clustersim.units import format_number

__all__ = ["quota_notes"]

_FEW = 3


def quota_notes(quotas: Quotas, jobs: JobColumns, partitions: Sequence[Partition]) -> Iterator[str]:
    """Yield notes on limits and budgets of nobody, and on quotas that exceed the cluster.

    Parameters
    ----------
    quotas : Quotas
    jobs : JobColumns
    partitions : sequence of Partition

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import Pooled
    >>> from clustersim.scheduling.quotas import read_quotas
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8], [[60.0]], [(0,)], [0], {"user": np.array(["ann"], dtype=object)})
    >>> quotas = read_quotas({
    ...     "limits": {"user": {"ann": 8, "zoe": 4}}, "queues": {"ann": {"quotas": {"h200": 24}}}
    ... })
    >>> print(*quota_notes(quotas, jobs, [h200]), sep=chr(10))
    quotas: limits.user: no job has the user zoe
    quotas: the queues and cohorts own 24 accelerators of h200, but the cluster has 16
    """
    for section, columns in (("limits", quotas.file.limits), ("budgets", quotas.file.budgets)):
        for column, given in columns.items():
            texts = texts_of_jobs(jobs, [column])
            used = set() if texts is None else {*texts.tolist()}
            unused = [name for name in given if name != EACH and name not in used]
            if texts is not None and unused:
                more = len(unused) - _FEW
                named = [*unused[:_FEW], *([f"one of {more:,} more"] if more > 0 else [])]
                nobody = f"no job has the {column} {' or '.join(named)}"
                yield f"{quotas.source}: {section}.{column}: {nobody}"
    yield from _oversized(quotas, partitions)


def _oversized(quotas: Quotas, partitions: Sequence[Partition]) -> Iterator[str]:
    owned: dict[str, float] = {}
    owners = [each.quotas for each in quotas.file.queues.values()]
    owners += [each.quotas for each in quotas.file.cohorts.values()]
    for own in owners:
        for pool, quota in own.items():
            n = quota.nominal if isinstance(quota, PoolQuota) else quota
            owned[pool] = owned.get(pool, 0.0) + n
    for pool, n in owned.items():
        there = sum(
            part.placement.capacity for part in partitions if pool in (ALL_POOLS, pool_of(part))
        )
        if n > there:
            of_pool = "" if pool == ALL_POOLS else f" of {pool}"
            yield (
                f"{quotas.source}: the queues and cohorts own {format_number(n, 6)} "
                f"accelerators{of_pool}, but the cluster has {there:,}"
            )
