"""Placement: on which nodes of a partition does a job run.

A placement owns the free chips of one partition.  ``take`` hands out chips for a
gang or refuses it, ``give`` takes them back; neither looks at every node.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Consolidate", "NodePlacement", "Nodes", "Placement", "Pooled", "Spread"]

Nodes: TypeAlias = Sequence[tuple[int, int]]
"""Chips of one job: (node, chips) pairs; empty where nodes are not told apart."""


class Placement:
    """What every placement offers.

    Parameters
    ----------
    n_nodes, chips_per_node : int
        Size of the partition.

    Attributes
    ----------
    capacity, free : int
        Accelerators installed and accelerators free now.
    """

    tells_nodes = True

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.n_nodes = n_nodes
        self.chips_per_node = chips_per_node
        self.capacity = self.free = n_nodes * chips_per_node

    def take(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators now, or return None where they do not fit."""
        raise NotImplementedError

    def give(self, nodes: Nodes, n: int) -> None:
        """Free the `n` accelerators that ``take`` returned as `nodes`."""
        raise NotImplementedError

    def fits(self, n: int) -> bool:
        """Whether ``take(n)`` would succeed now."""
        raise NotImplementedError

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate just these accelerators, which must be free."""
        raise NotImplementedError

    def copy(self) -> Placement:
        """Return an independent copy, for a look into the future."""
        raise NotImplementedError

    def common(self, other: Placement) -> Placement:
        """Return the accelerators that are free both here and in `other`."""
        raise NotImplementedError

    def limit_to(self, other: Placement, nodes: Nodes) -> None:
        """Drop accelerators, on `nodes`, that are not free in `other`."""
        raise NotImplementedError

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """``fits`` for each of `sizes`, an int array (k,)."""
        return np.fromiter((self.fits(int(n)) for n in sizes), dtype=bool, count=len(sizes))


class Pooled(Placement):
    """Counts only: a job fits where enough accelerators are free."""

    tells_nodes = False

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        self.free -= n
        return ()

    def give(self, nodes: Nodes, n: int) -> None:
        self.free += n

    def fits(self, n: int) -> bool:
        return n <= self.free

    def take_these(self, nodes: Nodes, n: int) -> None:
        self.free -= n

    def copy(self) -> Pooled:
        return copy.copy(self)

    def common(self, other: Placement) -> Pooled:
        twin = copy.copy(self)
        twin.free = min(self.free, other.free)
        return twin

    def limit_to(self, other: Placement, nodes: Nodes) -> None:
        self.free = min(self.free, other.free)

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free


class NodePlacement(Placement):
    """Tells nodes apart; the base of a user's own placement, which defines ``choose``.

    Nodes lie in buckets by their number of free chips.  A bucket is a heap of node
    indices with at most one entry a node; an entry whose node has moved to another
    bucket is stale and is dropped when it surfaces.

    Attributes
    ----------
    node_free : array of int
        Free chips of each node.

    Examples
    --------
    A placement that fills nodes from the last to the first:

    >>> class FromTheEnd(NodePlacement):
    ...     def choose(self, n):
    ...         nodes = []
    ...         for node in range(self.n_nodes - 1, -1, -1):
    ...             chips = min(n, self.node_free[node])
    ...             if chips:
    ...                 nodes.append((node, chips))
    ...                 n -= chips
    ...         return nodes if n == 0 else None
    >>> FromTheEnd(n_nodes=3, chips_per_node=8).take(12)
    [(2, 8), (1, 4)]
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        self._fill(np.full(n_nodes, chips_per_node, dtype=np.int64))

    def choose(self, n: int) -> Nodes | None:
        """Return free (node, chips) pairs for a gang of `n`, or None; changes nothing."""
        raise NotImplementedError

    def take(self, n: int) -> Nodes | None:
        nodes = self.choose(n) if n <= self.free else None
        if nodes is not None:
            self.take_these(nodes, n)
        return nodes

    def fits(self, n: int) -> bool:
        return n <= self.free and self.choose(n) is not None

    def give(self, nodes: Nodes, n: int) -> None:
        node_free = self.node_free
        for node, chips in nodes:
            self._set_free(node, node_free[node] + chips)
        self.free += n

    def take_these(self, nodes: Nodes, n: int) -> None:
        node_free = self.node_free
        for node, chips in nodes:
            self._set_free(node, node_free[node] - chips)
        self.free -= n

    def copy(self) -> NodePlacement:
        twin = copy.copy(self)
        twin.node_free = self.node_free[:]
        twin._bucket = [bucket[:] for bucket in self._bucket]
        twin._listed = [listed[:] for listed in self._listed]
        twin._count = self._count[:]
        return twin

    def common(self, other: Placement) -> NodePlacement:
        assert isinstance(other, NodePlacement)
        twin = copy.copy(self)
        twin._fill(
            np.minimum(np.frombuffer(self.node_free, "l"), np.frombuffer(other.node_free, "l"))
        )
        return twin

    def limit_to(self, other: Placement, nodes: Nodes) -> None:
        assert isinstance(other, NodePlacement)
        for node, _ in nodes:
            excess = self.node_free[node] - other.node_free[node]
            if excess > 0:
                self._set_free(node, other.node_free[node])
                self.free -= excess

    def _fill(self, node_free: npt.NDArray[np.int64]) -> None:
        """Set the free chips of every node."""
        levels = self.chips_per_node + 1
        members = [np.flatnonzero(node_free == level) for level in range(levels)]
        self.node_free = array("l", node_free.tobytes())
        self._count = [len(nodes) for nodes in members]
        self._bucket = [nodes.tolist() for nodes in members]
        self._listed = []
        for nodes in members:
            listed = np.zeros(self.n_nodes, dtype=np.uint8)
            listed[nodes] = 1
            self._listed.append(bytearray(listed))
        self.free = int(node_free.sum())

    def _set_free(self, node: int, free: int) -> None:
        self._count[self.node_free[node]] -= 1
        self._count[free] += 1
        self.node_free[node] = free
        if free and not self._listed[free][node]:
            self._listed[free][node] = 1
            heappush(self._bucket[free], node)

    def _lowest(self, free: int) -> int:
        """Lowest index of a node with exactly `free` free chips, of which there is one."""
        bucket, node_free = self._bucket[free], self.node_free
        while node_free[bucket[0]] != free:
            self._listed[free][heappop(bucket)] = 0
        return bucket[0]


class Consolidate(NodePlacement):
    """As few nodes as can be.

    Up to a node's chips: on one node, the fullest on which the job fits, ties by the
    lowest index.  Multiples of a node: wholly free nodes, lowest index first.  Other
    sizes: whole free nodes, and the remainder on the next node in the order of
    decreasing free chips.
    """

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        chips = self.chips_per_node
        if n <= chips:
            count = self._count
            for free in range(n, chips + 1):
                if count[free]:
                    node = self._lowest(free)
                    self._set_free(node, free - n)
                    self.free -= n
                    return ((node, n),)
            return None
        if not self.fits(n):
            return None
        whole, rest = divmod(n, chips)
        nodes = [(node, chips) for node in self._empty_out(whole)]
        if rest:
            free = self._freest()
            node = self._lowest(free)
            self._set_free(node, free - rest)
            nodes.append((node, rest))
        self.free -= n
        return nodes

    def fits(self, n: int) -> bool:
        chips, count = self.chips_per_node, self._count
        if n <= chips:
            return any(count[n:])
        whole, rest = divmod(n, chips)
        if count[chips] < whole:
            return False
        return rest == 0 or count[chips] > whole or any(count[rest:chips])

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        chips, wholly_free = self.chips_per_node, self._count[self.chips_per_node]
        whole, rest = np.divmod(sizes, chips)
        partly_free = max((free for free in range(chips) if self._count[free]), default=0)
        most_free = chips if wholly_free else partly_free
        several = (whole <= wholly_free) & (
            (rest == 0) | (whole < wholly_free) | (rest <= partly_free)
        )
        return np.where(sizes <= chips, sizes <= most_free, several)

    def _empty_out(self, n_nodes: int) -> list[int]:
        """Take all chips of the wholly free nodes with the lowest indices."""
        chips, node_free, taken = self.chips_per_node, self.node_free, []
        bucket, listed = self._bucket[chips], self._listed[chips]
        while len(taken) < n_nodes:
            node = heappop(bucket)
            listed[node] = 0
            if node_free[node] == chips:
                node_free[node] = 0
                taken.append(node)
        self._count[chips] -= n_nodes
        self._count[0] += n_nodes
        return taken

    def _freest(self) -> int:
        return max(free for free, count in enumerate(self._count) if count)


class Spread(NodePlacement):
    """As many nodes as can be: each chip from the node with most free chips.

    Ties go to the lowest index, so a job of n chips on an empty partition takes one
    chip on each of the first n nodes.
    """

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        taken: dict[int, int] = {}
        free = self.chips_per_node
        for _ in range(n):
            while not self._count[free]:
                free -= 1
            node = self._lowest(free)
            self._set_free(node, free - 1)
            taken[node] = taken.get(node, 0) + 1
        self.free -= n
        return tuple(taken.items())

    def fits(self, n: int) -> bool:
        return n <= self.free

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free
