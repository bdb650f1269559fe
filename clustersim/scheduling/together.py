"""Which jobs could run together if all others gave their accelerators back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.together_on_nodes import Place, chosen_on_nodes, placed_after

__all__ = ["places_that_fit", "those_that_fit"]


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
    chosen = places_that_fit(queue, order, strict=strict)
    return [job for job, place in chosen.items() if place is None or job not in queue.running]


def places_that_fit(
    queue: Queue, order: Iterable[int], *, strict: bool = False
) -> dict[int, Place | None]:
    """Return the jobs of an order that could run together, and where they start.

    Accelerators are counted first. If placements track nodes, and a job that waits has no place on
    them, the jobs are chosen anew on nodes.

    Returns
    -------
    dict of int to Place or None
        None for jobs that go on where they are or were suspended, for those that start on several
        partitions, and for all jobs if the placement only counts accelerators. A running job with a
        place moves.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 16], [[60.0, 300.0]], [(0,)], [0, 0])
    >>> queue = Queue([h200], [0], jobs, print, looks_ahead=False)
    >>> places_that_fit(queue, [0, 1])[0].nodes
    ((0, 8),)
    """
    jobs = [int(job) for job in order]
    chosen = _chosen_by_count(queue, jobs, strict=strict)
    placements = [queue.partitions[index].placement for index in queue.members]
    by_node = all(isinstance(placement, NodePlacement) for placement in placements)
    if not by_node:
        return dict.fromkeys(chosen)
    if all(job in queue.running for job in chosen):
        return dict.fromkeys(chosen)
    places = placed_after(queue, chosen, stay={*chosen, *queue.protected()})
    return chosen_on_nodes(queue, jobs, strict=strict) if places is None else places


def _chosen_by_count(queue: Queue, order: Iterable[int], *, strict: bool) -> list[int]:
    """Return the jobs that could run together as far as numbers of accelerators go."""
    sizes, running = queue.jobs.n_accelerators, queue.running
    kept = set(queue.protected())
    unused = {index: queue.partitions[index].placement.free for index in queue.members}
    left = unused.copy()
    for job, at in running.items():
        if job not in kept:
            for index, n in _held(queue, job, at.partition):
                left[index] += n
    rooms = _OwnRooms(queue, kept) if queue.own_nodes else None
    chosen = []
    for job in order:
        if job in kept:
            chosen.append(job)
            continue
        here = running.get(job)
        own = here.partition if here is not None else queue.own_nodes.get(job, (None,))[0]
        if here is not None and job in queue.holdings:
            taken = _of_holding(queue, job, left)
        else:
            choices = queue.choices(job) if own is None else (own.index,)
            if here is None and queue.has_windows:
                choices = tuple(at for at in choices if sizes[job] <= queue.most(job, at))
            taken = _of_one(choices, sizes[job], unused) if here is None else []
            taken = taken or _of_one(choices, sizes[job], left)
            if not taken and own is None and queue.jobs.split is not None:
                taken = _of_several(queue.choices(job), sizes[job], left)
        if taken and (own is None or rooms is None or rooms.take(job)):
            for index, n in taken:
                left[index] -= n
                if here is None:
                    unused[index] -= min(n, unused[index])
            chosen.append(job)
        elif strict:
            break
    return chosen


def _held(queue: Queue, job: int, partition: Partition) -> list[tuple[int, int]]:
    """Return the accelerators that a running job holds, by partition."""
    if queue.holdings and job in queue.holdings:
        return [(part.partition.index, part.n) for part in queue.holdings[job].parts]
    return [(partition.index, queue.jobs.n_accelerators[job])]


def _of_holding(queue: Queue, job: int, left: Mapping[int, int]) -> list[tuple[int, int]]:
    held = [(part.partition.index, part.n) for part in queue.holdings[job].parts]
    return held if all(left[index] >= n for index, n in held) else []


def _of_one(choices: Iterable[int], n: int, left: Mapping[int, int]) -> list[tuple[int, int]]:
    return next(([(index, n)] for index in choices if left[index] >= n), [])


def _of_several(choices: Sequence[int], n: int, left: Mapping[int, int]) -> list[tuple[int, int]]:
    taken = []
    for index in choices:
        taken.append((index, min(left[index], n)))
        n -= taken[-1][1]
    return [] if n else taken


class _OwnRooms:
    """The nodes of running jobs and of suspended ones, which can only run on their own."""

    def __init__(self, queue: Queue, kept: set[int]) -> None:
        self._queue = queue
        self._kept = kept
        self._free: dict[int, Ints] = {}

    def take(self, job: int) -> bool:
        """Take the nodes of a job; return whether nobody before it has taken them."""
        queue = self._queue
        if job in queue.own_nodes:
            partition, own = queue.own_nodes[job]
            held = [(partition, _arrays(own))] if own else []
        else:
            at = queue.running[job].partition
            on = [queue.partitions[index] for index, _ in _held(queue, job, at)]
            held = [(each, each.node_arrays(job)) for each in on if job in each.nodes_of]
        frees = [(self._of(partition), nodes, chips) for partition, (nodes, chips) in held]
        if any((free[nodes] < chips).any() for free, nodes, chips in frees):
            return False
        for free, nodes, chips in frees:
            free[nodes] -= chips
        return True

    def _of(self, partition: Partition) -> Ints:
        """Return the free accelerators by node if all jobs but the protected ones had left."""
        free = self._free.get(partition.index)
        if free is None:
            placement = partition.placement
            assert isinstance(placement, NodePlacement)
            free = np.array(placement.free_by_node(), dtype=np.int64)
            for job in partition.nodes_of:
                if job in self._queue.running and job not in self._kept:
                    nodes, chips = partition.node_arrays(job)
                    free[nodes] += chips
            self._free[partition.index] = free
        return free


def _arrays(held: Nodes) -> tuple[Ints, Ints]:
    nodes, chips = zip(*held, strict=True)
    return np.array(nodes), np.array(chips)
