"""Which jobs could run together if all others gave their accelerators back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.placement import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["those_that_fit"]


def those_that_fit(queue: Queue, order: Iterable[int], *, strict: bool = False) -> list[int]:
    """Return the jobs of an order that could run together.

    See :meth:`~clustersim.scheduling.view.View.those_that_fit`.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 16], [[60.0, 300.0]], [(0,)], [0, 0])
    >>> queue = Queue([h200], [0], jobs, print, looks_ahead=False)
    >>> those_that_fit(queue, [1, 0]), those_that_fit(queue, [0, 1])
    ([1], [0])
    """
    sizes, running = queue.jobs.n_accelerators, queue.running
    kept = set(queue.protected())
    left = {index: queue.partitions[index].placement.free for index in queue.members}
    for job, at in running.items():
        if job not in kept:
            left[at.partition.index] += sizes[job]
    rooms = _OwnRooms(queue, kept) if queue.own_nodes else None
    chosen = []
    for job in map(int, order):
        if job in kept:
            chosen.append(job)
            continue
        here = running.get(job)
        own = here.partition if here is not None else queue.own_nodes.get(job, (None,))[0]
        for index in queue.choices(job) if own is None else (own.index,):
            if left[index] >= sizes[job] and (own is None or rooms is None or rooms.take(job, own)):
                left[index] -= sizes[job]
                chosen.append(job)
                break
        else:
            if strict:
                break
    return chosen


class _OwnRooms:
    """The nodes of running jobs and of suspended ones, which can only run on their own."""

    def __init__(self, queue: Queue, kept: set[int]) -> None:
        self._queue = queue
        self._kept = kept
        self._free: dict[int, Ints] = {}

    def take(self, job: int, partition: Partition) -> bool:
        """Take the nodes of a job; return whether nobody before it has taken them."""
        if not isinstance(partition.placement, NodePlacement):
            return True
        free = self._of(partition)
        if job in self._queue.own_nodes:
            nodes, chips = _arrays(self._queue.own_nodes[job][1])
        else:
            nodes, chips = partition.node_arrays(job)
        if (free[nodes] < chips).any():
            return False
        free[nodes] -= chips
        return True

    def _of(self, partition: Partition) -> Ints:
        """Return the free accelerators by node if all jobs but the protected ones had left."""
        free = self._free.get(partition.index)
        if free is None:
            placement = partition.placement
            assert isinstance(placement, NodePlacement)
            free = np.array(placement.free_by_node(), dtype=np.int64)
            for job, at in self._queue.running.items():
                if at.partition is partition and job not in self._kept:
                    nodes, chips = partition.node_arrays(job)
                    free[nodes] += chips
            self._free[partition.index] = free
        return free


def _arrays(held: Nodes) -> tuple[Ints, Ints]:
    nodes, chips = zip(*held, strict=True)
    return np.array(nodes), np.array(chips)
