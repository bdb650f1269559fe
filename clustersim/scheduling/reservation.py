"""Reservations: when and where a waiting job will run in a partition.

A reservation is a waiting job's claim on accelerators that running jobs are expected to
release. Until then, other jobs may use these accelerators if they are expected to end in
time. There is no such limit for unclaimed accelerators.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.calendar import NODE, Release
from clustersim.scheduling.claims import Claim
from clustersim.scheduling.placements import (
    ManyNodes,
    NodeFree,
    NodePlacement,
    Nodes,
    Placement,
    Pooled,
)
from clustersim.scheduling.queue import Partition
from clustersim.scheduling.windows import Windows, only_in

__all__ = [
    "Ahead",
    "NodeReservation",
    "PooledReservation",
    "Reservation",
    "reserve",
    "reserve_free",
    "soonest",
]


class Reservation:
    """A waiting job's claim on one partition.

    Attributes
    ----------
    shadow : float
        Time at which the job can start if running jobs end at their estimates, seconds.
    """

    shadow: float

    def fits_each(self, sizes: Ints) -> Bools:
        """Return which sizes fit now on unclaimed accelerators."""
        raise NotImplementedError

    def take_unclaimed(self, n: int, open_nodes: Bools | None = None) -> Nodes | None:
        """Allocate `n` unclaimed accelerators, or return None if they do not fit.

        With `open_nodes` (bool by node), only on these nodes.
        """
        raise NotImplementedError

    def unclaimed(self) -> NodeFree:
        """Return the accelerators of each node that are free now and not claimed."""
        raise NotImplementedError

    def taken(self, nodes: Nodes) -> None:
        """Record that `nodes` were allocated to a job that should end before the shadow time."""
        raise NotImplementedError


class PooledReservation(Reservation):
    """A claim on a number of accelerators, in a partition that does not track nodes."""

    def __init__(self, partition: Partition, placement: Pooled, n: int) -> None:
        self.shadow, released = -np.inf, 0
        if n > placement.free:
            self.shadow, released = partition.calendar.earliest(n - placement.free)
        self._placement = placement
        self._surplus = placement.free + released - n

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= min(self._placement.free, self._surplus)

    def take_unclaimed(self, n: int, open_nodes: Bools | None = None) -> Nodes | None:
        if n > self._surplus:
            return None
        nodes = self._placement.take(n)
        if nodes is not None:
            self._surplus -= n
        return nodes

    def taken(self, nodes: Nodes) -> None:
        pass


class NodeReservation(Reservation):
    """A claim on the nodes that the placement would choose at the shadow time."""

    def __init__(self, placement: NodePlacement, claim: Claim) -> None:
        self.shadow = claim.shadow
        self._placement = placement
        self._claim = claim
        self._shared = True

    def fits_each(self, sizes: Ints) -> Bools:
        placement, claim = self._placement, self._claim
        if np.minimum.reduce(sizes) > claim.largest(placement):
            return np.zeros(len(sizes), dtype=bool)
        return placement.fits_each_of(sizes, claim.unclaimed(placement))

    def take_unclaimed(self, n: int, open_nodes: Bools | None = None) -> Nodes | None:
        placement, claim = self._placement, self._claim
        if n > claim.largest(placement):
            return None
        nodes = placement.choose_in(n, only_in(claim.unclaimed(placement), open_nodes))
        if nodes is not None:
            left = Claim(claim.shadow, claim.surplus.copy() if self._shared else claim.surplus)
            _take_from(left.surplus, nodes)
            placement.take_these(nodes, n)
            self._claim, self._shared = left, False
        return nodes

    def unclaimed(self) -> NodeFree:
        return self._claim.unclaimed(self._placement)

    def taken(self, nodes: Nodes) -> None:
        self._claim = Claim(self._claim.shadow, self._claim.surplus)


def _take_from(node_free: NodeFree, nodes: Nodes) -> None:
    """Subtract the chips of a job from the free chips of each node."""
    if isinstance(nodes, ManyNodes):
        node_free[nodes.nodes] -= nodes.chips.astype(node_free.dtype)
    else:
        for node, chips in nodes:
            node_free[node] -= chips


def soonest(partition: Partition, n: int) -> float:
    """Return a lower bound (seconds) on the shadow time of a reservation of `n` accelerators."""
    known = partition.claims
    if n in known.claims:
        return known.claims[n].shadow
    if n not in known.soonest_s:
        need = n - partition.placement.free
        known.soonest_s[n] = partition.calendar.earliest(need)[0] if need > 0 else -np.inf
    return known.soonest_s[n]


def reserve(
    partition: Partition, n: int, *, job: int = -1, now: float = 0.0, estimate_s: float = 0.0
) -> Reservation:
    """Claim `n` accelerators of `partition` for the earliest time at which they fit.

    Claims depend only on the running jobs of the partition and are cached until these jobs
    change. If several partitions share a queue, most events change only one partition.  If windows
    have been announced, a claim also depends on the job and its estimated run time.
    """
    placement: Placement = partition.placement
    if isinstance(placement, Pooled):
        return PooledReservation(partition, placement, n)
    assert isinstance(placement, NodePlacement)
    if partition.windows is not None and partition.windows.announced:
        ahead = Ahead(partition, placement, partition.windows, now)
        return NodeReservation(placement, ahead.claim(n, job, estimate_s)[0])
    known = partition.claims.claims
    if n not in known:
        shadow, surplus = _find_shadow(partition, placement, n)
        placement.remove(n, surplus)
        known[n] = Claim(shadow, surplus)
    return NodeReservation(placement, known[n])


def reserve_free(partition: Partition, n: int) -> Reservation:
    """Claim `n` accelerators of `partition` that are free now."""
    placement: Placement = partition.placement
    if isinstance(placement, Pooled):
        return PooledReservation(partition, placement, n)
    assert isinstance(placement, NodePlacement)
    surplus = np.array(placement.free_by_node())
    placement.remove(n, surplus)
    return NodeReservation(placement, Claim(-np.inf, surplus))


def _find_shadow(partition: Partition, placement: NodePlacement, n: int) -> tuple[float, NodeFree]:
    """Return the shadow time of a gang of `n`, and the free chips of each node at that time."""
    surplus, free = np.array(placement.free_by_node()), placement.free
    shadow, fits = -np.inf, False
    whole_again: list[Ints] = []
    back_in_service: list[int] = []
    chips_per_node = placement.chips_per_node
    nodes_of = partition.nodes_of
    for end, holder, number, n_back in partition.calendar:
        if fits and end > shadow:
            break
        if holder == NODE:
            back_in_service.append(number)
        elif len(nodes := nodes_of[number]) == 1:
            surplus[nodes[0][0]] += n_back
        else:
            indices, chips = partition.node_arrays(number)
            if n_back == len(indices) * chips_per_node:
                whole_again.append(indices)
            else:
                surplus[indices] += chips
        free += n_back
        shadow = end
        if not fits and free >= n:
            _set_whole(surplus, whole_again, back_in_service, chips_per_node)
            fits = placement.fits_in(n, surplus)
    _set_whole(surplus, whole_again, back_in_service, chips_per_node)
    assert fits, "a job that does not fit an empty partition is never submitted"
    return shadow, surplus


class Ahead:
    """The free accelerators of a partition in the future, with its windows.

    Parameters
    ----------
    partition : Partition
    placement : NodePlacement
        That of the partition.
    windows : Windows
        Those of the partition.
    now : float
        Seconds.
    coming : iterable of Release, optional
        What becomes free, in order of time; by default the calendar of the partition.
    """

    def __init__(
        self,
        partition: Partition,
        placement: NodePlacement,
        windows: Windows,
        now: float,
        coming: Iterable[Release] | None = None,
    ) -> None:
        self._partition, self._placement, self._windows = partition, placement, windows
        self._now = now
        self._coming = list(partition.calendar if coming is None else coming)
        self._free = np.array(placement.free_by_node())
        self._total = placement.free

    def claim(self, n: int, job: int, estimate_s: float) -> tuple[Claim, Nodes]:
        """Return the earliest claim of a gang that no window interrupts, and its accelerators."""
        coming, at = self._coming, 0
        times = {max(end, self._now) for end, *_ in coming} | {self._now}
        for time in sorted(times | set(self._windows.openings(self._now))):
            while at < len(coming) and coming[at][0] <= time:
                self._release(*coming[at][1:])
                at += 1
            if self._total < n:
                continue
            open_nodes = self._windows.open_nodes(job, time, time + estimate_s)
            there = only_in(self._free, open_nodes)
            if self._placement.fits_in(n, there):
                chosen = self._placement.choose_in(n, there)
                assert chosen is not None, "it fits"
                _take_from(self._free, chosen)
                return Claim(time, self._free), chosen
        raise AssertionError("a job that does not fit an empty partition is never submitted")

    def _release(self, holder: int, number: int, n: int) -> None:
        self._total += n
        if holder == NODE:
            self._free[number] = self._placement.chips_per_node
        else:
            nodes, chips = self._partition.node_arrays(number)
            self._free[nodes] += chips.astype(self._free.dtype)


def _set_whole(surplus: NodeFree, gangs: list[Ints], nodes: list[int], chips_per_node: int) -> None:
    """Mark the nodes of `gangs` and the nodes in `nodes` as entirely free, and clear both lists."""
    if gangs:
        surplus[np.concatenate(gangs)] = chips_per_node
    if nodes:
        surplus[nodes] = chips_per_node
    gangs.clear()
    nodes.clear()
