"""Ranks of jobs that limits hold outside the queue: those of the policy's own order."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.scheduling.queue import JobColumns, Partition

__all__ = ["shortest_first"]


def shortest_first(jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
    """Return the estimated time of each job on its preferred partition, seconds.

    Examples
    --------
    >>> from clustersim.scheduling import Pooled
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> shortest_first(JobColumns([8, 16], [[60.0, 30.0]], [(0,)], [0, 0]), [h200])
    [60.0, 30.0]
    """
    pools = [partitions[choice[0]].pool for choice in jobs.choices]
    return [jobs.estimate_s[pools[choice]][job] for job, choice in enumerate(jobs.choice_of)]
