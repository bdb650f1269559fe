"""A look ahead: what will be free in a partition, and where a waiting job will run.

A reservation is a waiting job's claim on accelerators that running jobs are expected
to give back.  Until then others may use them, if they end in time; what the claim
leaves over they may use for longer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.scheduling.placement import NodeFree, NodePlacement, Nodes, Placement, Pooled
from clustersim.scheduling.queue import Partition

__all__ = ["NodeReservation", "PooledReservation", "Reservation", "reserve", "soonest"]


class Reservation:
    """A waiting job's claim on one partition.

    Attributes
    ----------
    shadow : float
        When the job can start, by the running jobs' estimated ends; seconds.
    """

    shadow: float

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell which sizes fit now on accelerators that the claim leaves over."""
        raise NotImplementedError

    def take_unclaimed(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators that the claim leaves over; None if they do not fit."""
        raise NotImplementedError

    def taken(self, nodes: Nodes) -> None:
        """Note that a job which ends in time has been placed on `nodes`."""
        raise NotImplementedError


class PooledReservation(Reservation):
    """A claim that counts accelerators."""

    def __init__(self, partition: Partition, placement: Pooled, n: int) -> None:
        self.shadow, released = partition.calendar.earliest(n - placement.free)
        self._placement = placement
        self._surplus = placement.free + released - n

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= min(self._placement.free, self._surplus)

    def take_unclaimed(self, n: int) -> Nodes | None:
        if n > self._surplus:
            return None
        nodes = self._placement.take(n)
        if nodes is not None:
            self._surplus -= n
        return nodes

    def taken(self, nodes: Nodes) -> None:
        pass


class NodeReservation(Reservation):
    """A claim on nodes: those that the placement would choose at the shadow time."""

    def __init__(self, partition: Partition, placement: NodePlacement, n: int) -> None:
        self._placement = placement
        self._surplus = np.array(placement.free_by_node())
        self._unclaimed: NodeFree | None = None
        self.shadow = self._find_shadow(partition, n)
        placement.remove(n, self._surplus)

    def _find_shadow(self, partition: Partition, n: int) -> float:
        """Let running jobs end until `n` accelerators fit; return when that is."""
        surplus, free = self._surplus, self._placement.free
        shadow, fits = -np.inf, False
        back_in_service: list[int] = []
        for end, job, n_back in partition.calendar:
            if fits and end > shadow:
                break
            if job < 0:
                back_in_service.append(-1 - job)
            elif len(nodes := partition.nodes_of[job]) == 1:
                surplus[nodes[0][0]] += n_back
            else:
                indices, chips = partition.node_arrays(job)
                surplus[indices] += chips
            free += n_back
            shadow = end
            if not fits and free >= n:
                surplus[back_in_service] = self._placement.chips_per_node
                back_in_service.clear()
                fits = self._placement.fits_in(n, surplus)
        surplus[back_in_service] = self._placement.chips_per_node
        assert fits, "a job that fits on no empty partition is never submitted"
        return shadow

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self._placement.fits_each_of(sizes, self._free_now_and_then())

    def take_unclaimed(self, n: int) -> Nodes | None:
        unclaimed = self._free_now_and_then()
        nodes = self._placement.choose(n, unclaimed) if n <= int(unclaimed.sum()) else None
        if nodes is not None:
            self._placement.take_these(nodes, n)
            for node, chips in nodes:
                self._surplus[node] -= chips
                unclaimed[node] -= chips
        return nodes

    def taken(self, nodes: Nodes) -> None:
        if self._unclaimed is not None:
            now = self._placement.node_free
            for node, _ in nodes:
                self._unclaimed[node] = min(now[node], self._surplus[node])

    def _free_now_and_then(self) -> NodeFree:
        if self._unclaimed is None:
            self._unclaimed = np.minimum(self._placement.free_by_node(), self._surplus)
        return self._unclaimed


def soonest(partition: Partition, n: int) -> float:
    """Return a time before which `n` accelerators that do not fit now cannot be reserved, s."""
    need = n - partition.placement.free
    return partition.calendar.earliest(need)[0] if need > 0 else -np.inf


def reserve(partition: Partition, n: int) -> Reservation:
    """Claim `n` accelerators of `partition` for the earliest time at which they fit."""
    placement: Placement = partition.placement
    if isinstance(placement, Pooled):
        return PooledReservation(partition, placement, n)
    assert isinstance(placement, NodePlacement)
    return NodeReservation(partition, placement, n)
