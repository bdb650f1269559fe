"""Which jobs could run together on the nodes of their partitions, and on which of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.partition import Partition
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Queue
from clustersim.scheduling.windows import only_in

__all__ = ["NodePlan", "Place", "chosen_on_nodes", "placed_after"]


Held = tuple[int, Ints, Ints]
"""Index of a partition, nodes, and accelerators on each."""


class Place(NamedTuple):
    """Where a waiting job is to start."""

    partition: Partition
    nodes: Nodes


def placed_after(
    queue: Queue, chosen: Sequence[int], stay: Iterable[int]
) -> dict[int, Place | None] | None:
    """Return where chosen jobs start once all jobs but those that stay have left; None if nowhere.

    Parameters
    ----------
    queue : Queue
    chosen : sequence of int
        Waiting and running jobs; a waiting job is placed after those before it, and not on nodes
        of suspended ones.
    stay : iterable of int
        Running jobs that stay.

    Returns
    -------
    dict of int to Place, or None
        The chosen jobs in their order; those that run, have nodes of their own, or start on several
        partitions, without a place. None if there is no place for one of them.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 12], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
    >>> queue = Queue([h200], [0], jobs, print, looks_ahead=False)
    >>> placed_after(queue, [0], stay=[])[0].nodes, placed_after(queue, [0, 1], stay=[])
    (((0, 8),), None)
    """
    free = _Free(queue)
    kept = set(stay)
    for job in queue.running:
        if job not in kept:
            free.add(job)
    for job in chosen:
        if job in queue.own_nodes:
            partition, nodes = queue.own_nodes[job]
            free.take(partition.index, nodes)
    places: dict[int, Place | None] = {}
    for job in chosen:
        places[job] = None
        if job not in queue.running and job not in queue.own_nodes:
            n = queue.jobs.n_accelerators[job]
            places[job] = next(free.places(job, n, queue.choices(job)), None)
            if places[job] is None and not free.take_parts(job):
                return None
    return places


def chosen_on_nodes(
    queue: Queue, order: Sequence[int], *, strict: bool = False
) -> dict[int, Place | None]:
    """Return the jobs of an order that could run together on nodes, and where they start.

    Each job in turn gets nodes that nobody uses, if it fits there, or else those of running jobs
    after it in the order, as far as possible of the last ones. A running job keeps its nodes if no
    job before it takes them, and has a place for another start if it fits elsewhere.
    Protected jobs keep theirs in any case. If jobs span partitions, a waiting job that fits on none
    gets nodes of several; it has no place, because it chooses its nodes when it starts.

    Parameters
    ----------
    queue : Queue
        Whose placements track nodes.
    order : sequence of int
        Waiting and running jobs.
    strict : bool
        Whether to end at the first job that does not fit, instead of skipping it.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 6, 6], [[60.0] * 3], choices=[(0,)], choice_of=[0, 0, 0])
    >>> queue = Queue([h200], [0], jobs, print, looks_ahead=False, tracks_running=True)
    >>> for job in (1, 2):
    ...     h200.nodes_of[job] = h200.placement.take(6)
    ...     queue.start_taken(job, h200, h200.nodes_of[job])  # doctest: +ELLIPSIS
    1 Partition(...
    2 Partition(...
    >>> chosen = chosen_on_nodes(queue, [0, 1, 2])
    >>> list(chosen), chosen[0].nodes
    ([0, 1], ((1, 8),))
    """
    plan = NodePlan(queue, order)
    chosen: dict[int, Place | None] = {}
    for job in order:
        if job in plan.kept or plan.keep(job):
            chosen[job] = None
        elif (place := plan.place(job)) is not None:
            chosen[job] = place
        elif plan.take_parts(job):
            chosen[job] = None
        elif strict:
            break
    return chosen


class _Free:
    """Free accelerators of each node, by partition, from now on changed by hand."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.by_node: dict[int, Ints] = {}
        self._too_small: set[tuple[int, int]] = set()
        for index in queue.members:
            placement = queue.partitions[index].placement
            assert isinstance(placement, NodePlacement), "it was checked"
            self.by_node[index] = np.array(placement.free_by_node(), dtype=np.int64)

    def add(self, job: int, sign: int = 1) -> None:
        """Add the accelerators of a running job."""
        for index, nodes, chips in held_by(self._queue, job):
            self.by_node[index][nodes] += sign * chips

    def has(self, job: int) -> bool:
        """Return whether the accelerators of a running job are free."""
        held = held_by(self._queue, job)
        return all((self.by_node[at][nodes] >= chips).all() for at, nodes, chips in held)

    def places(self, job: int, n: int, choices: Sequence[int]) -> Iterator[Place]:
        """Yield the place of a waiting job on each of some partitions, and take it."""
        for index in choices:
            partition = self._queue.partitions[index]
            open_nodes = self._queue.open_nodes(job, partition)
            key = index, n
            if key in self._too_small:
                continue
            nodes = self.choose(n, partition, self.by_node[index], open_nodes)
            if nodes is not None:
                self.take(index, nodes)
                yield Place(partition, nodes)
            elif open_nodes is None:
                self._too_small.add(key)  # what is free only becomes less

    @staticmethod
    def choose(n: int, partition: Partition, free: Ints, open_nodes: Bools | None) -> Nodes | None:
        placement = partition.placement
        assert isinstance(placement, NodePlacement), "it was checked"
        usable = only_in(free, open_nodes)
        return None if n > usable.sum() else placement.choose_in(n, usable)

    def take_parts(self, job: int) -> list[Place]:
        """Take nodes of several partitions for a waiting job; return none if they do not suffice.

        Each partition in turn gives as much as fits, as when the job starts
        (:func:`~clustersim.scheduling.across.take_across`).
        """
        if self._queue.jobs.split is None:
            return []
        parts = parts_in(self._queue, job, self.by_node)
        for place in parts:
            self.take(place.partition.index, place.nodes)
        return parts

    def take(self, index: int, nodes: Nodes) -> None:
        """Take accelerators, as far as they are free."""
        at, chips = as_arrays(nodes)
        free = self.by_node[index]
        free[at] = np.maximum(free[at] - chips, 0)


class NodePlan:
    """Which nodes are left for the next job of an order, and of whom.

    A plan is made by calling `keep` and `place` for the jobs in turn.

    Parameters
    ----------
    queue : Queue
        Whose placements track nodes.
    order : sequence of int
        Waiting and running jobs. If a job needs the nodes of running jobs, it gets those of the
        last ones.
    kept : iterable of int, optional
        Running jobs that keep their nodes; by default those that must not be preempted.
    """

    def __init__(
        self, queue: Queue, order: Sequence[int], kept: Iterable[int] | None = None
    ) -> None:
        self._queue = queue
        self.kept = set(queue.protected() if kept is None else kept)
        self._idle, self._left = _Free(queue), _Free(queue)
        rank = {job: at for at, job in enumerate(order)}
        self._undecided: dict[int, None] = {}
        self._held: dict[int, list[Held]] = {}
        self._holders: dict[tuple[int, int], list[int]] = {}
        for job in sorted(queue.running, key=lambda job: rank.get(job, len(order))):
            if job not in self.kept:
                self._held[job] = held_by(queue, job)
                self._left.add(job)
                if job in rank:
                    self._undecided[job] = None
                    for index, nodes, _ in self._held[job]:
                        for node in nodes.tolist():
                            self._holders.setdefault((index, node), []).append(job)
        self._too_large: set[tuple[int, int]] = set()

    def keep(self, job: int) -> bool:
        """Keep a running job where it is, or a suspended one, if its nodes are left."""
        queue = self._queue
        if job in queue.own_nodes:
            partition, nodes = queue.own_nodes[job]
            at, chips = as_arrays(nodes)
            if not (self._left.by_node[partition.index][at] >= chips).all():
                return False
            self._took([Place(partition, nodes)])
            return True
        if job not in queue.running:
            return False
        self._undecided.pop(job, None)
        if not self._left.has(job):
            return False
        self._left.add(job, -1)
        return True

    def place(self, job: int) -> Place | None:
        """Return the place of a job that starts at the size it asks for, and take it."""
        if job in self._queue.holdings:
            return None
        return self.place_at(job, self._queue.jobs.n_accelerators[job], self._queue.choices(job))

    def place_at(self, job: int, n: int, choices: Sequence[int]) -> Place | None:
        """Return the place of a job that starts at a size on one of some partitions, and take it.

        None if there is no place, or the job can only start on nodes of its own.
        """
        if job in self._queue.own_nodes:
            return None
        self._undecided.pop(job, None)
        for place in self._idle.places(job, n, choices):
            self._left.take(place.partition.index, place.nodes)
            return place
        for index in choices:
            found = self._place_of_others(job, n, self._queue.partitions[index])
            if found is not None:
                self._took([found])
                return found
        return None

    def take_parts(self, job: int) -> bool:
        """Take nodes of several partitions for a waiting job; return whether they suffice."""
        queue = self._queue
        if queue.jobs.split is None or job in queue.own_nodes or job in queue.running:
            return False
        if parts := self._idle.take_parts(job):
            for place in parts:
                self._left.take(place.partition.index, place.nodes)
            return True
        left, undecided = self._left.by_node, list(self._undecided)
        parts = parts_in(queue, job, left)
        low, high = 0, len(undecided) if parts else 0
        while low < high:  # as in `_place_of_others`
            middle = (low + high + 1) // 2
            if found := parts_in(queue, job, self._without_jobs(undecided[:middle])):
                low, parts = middle, found
            else:
                high = middle - 1
        self._took(parts)
        return bool(parts)

    def _without_jobs(self, jobs: Sequence[int]) -> dict[int, Ints]:
        """Return what is left if some running jobs stay."""
        held: dict[int, list[tuple[Ints, Ints]]] = {}
        for job in jobs:
            for index, nodes, chips in self._held[job]:
                held.setdefault(index, []).append((nodes, chips))
        return {at: _without(own, held.get(at, [])) for at, own in self._left.by_node.items()}

    def _took(self, places: Sequence[Place]) -> None:
        """Take places of running jobs that are not decided yet."""
        for place in places:
            index = place.partition.index
            self._left.take(index, place.nodes)
            self._idle.take(index, place.nodes)
            for node, _ in place.nodes:
                for other in self._holders.get((index, node), ()):
                    if other in self._undecided and not self._left.has(other):
                        del self._undecided[other]

    def _place_of_others(self, job: int, n: int, partition: Partition) -> Place | None:
        """Return a place that is in the way of as few of the first running jobs as possible."""
        queue, index = self._queue, partition.index
        open_nodes = queue.open_nodes(job, partition)
        left = self._left.by_node[index]
        if (index, n) in self._too_large:
            return None
        nodes = _Free.choose(n, partition, left, open_nodes)
        if nodes is None:
            if open_nodes is None:
                self._too_large.add((index, n))
            return None
        holders = [
            (at, chips)
            for other in self._undecided
            for i, at, chips in self._held[other]
            if i == index
        ]
        ends = np.cumsum([0, *(len(at) for at, _ in holders)])
        held_at = np.concatenate([np.zeros(0, np.int64), *(at for at, _ in holders)])
        held = np.concatenate([np.zeros(0, np.int64), *(chips for _, chips in holders)])
        low, high = 0, len(holders)  # it fits if the first `low` stay, and not if `high` + 1 do
        while low < high:
            middle = (low + high + 1) // 2
            end = ends[middle]
            used = np.bincount(held_at[:end], held[:end], len(left)).astype(np.int64)
            found = _Free.choose(n, partition, np.maximum(left - used, 0), open_nodes)
            if found is None:
                high = middle - 1
            else:
                low, nodes = middle, found
        return Place(partition, nodes)


def parts_in(queue: Queue, job: int, free: Mapping[int, Ints]) -> list[Place]:
    """Return where a job starts on several partitions with some free accelerators.

    Parameters
    ----------
    queue : Queue
    job : int
    free : mapping of int to int64 array (nodes,)
        Free accelerators of each node, by partition.

    Returns
    -------
    list of Place
        Empty if there is no place.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> pools = [Partition(k, k, "ab"[k], "", 0, Consolidate(1, 8)) for k in range(2)]
    >>> jobs = JobColumns([12], [[60.0], [90.0]], [(0, 1)], [0], split="equal")
    >>> queue = Queue(pools, [0, 1], jobs, lambda *started: None, looks_ahead=False)
    >>> [place.nodes for place in parts_in(queue, 0, {0: np.array([8]), 1: np.array([5])})]
    [((0, 8),), ((0, 4),)]
    """
    left, found = queue.jobs.n_accelerators[job], []
    for offer in queue.offers(job):
        usable = only_in(free[offer.partition.index], offer.open_nodes)
        placement = offer.partition.placement
        assert isinstance(placement, NodePlacement), "it was checked"
        sizes = np.arange(min(left, int(usable.sum())), 0, -1)
        fitting = sizes[placement.fits_each_of(sizes, usable)] if len(sizes) else sizes
        nodes = placement.choose_in(int(fitting[0]), usable) if len(fitting) else None
        if nodes is not None:
            found.append(Place(offer.partition, nodes))
            left -= int(fitting[0])
    return [] if left else found


def _without(free: Ints, holders: Sequence[tuple[Ints, Ints]]) -> Ints:
    left = free.copy()
    for nodes, chips in holders:
        left[nodes] -= chips
    return np.maximum(left, 0)


def held_by(queue: Queue, job: int) -> list[Held]:
    """Return the nodes of a running job and its accelerators on each, by partition.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([12], [[60.0]], choices=[(0,)], choice_of=[0])
    >>> queue = Queue([h200], [0], jobs, lambda *job: None, looks_ahead=False, tracks_running=True)
    >>> h200.nodes_of[0] = h200.placement.take(12)
    >>> queue.start_taken(0, h200, h200.nodes_of[0])
    >>> held_by(queue, 0)
    [(0, array([0, 1]), array([8, 4]))]
    """
    holding = queue.holdings.get(job) if queue.holdings else None
    if holding is None:
        partitions: Mapping[int, Partition] = {0: queue.running[job].partition}
    else:
        partitions = {part.partition.index: part.partition for part in holding.parts}
    return [
        (each.index, *each.node_arrays(job)) for each in partitions.values() if job in each.nodes_of
    ]


def as_arrays(nodes: Nodes) -> tuple[Ints, Ints]:
    """Return the nodes of a gang, and its accelerators on each.

    Examples
    --------
    >>> as_arrays([(0, 8), (3, 4)])
    (array([0, 3]), array([8, 4]))
    """
    own, chips = zip(*nodes, strict=True)
    return np.array(own), np.array(chips)
