"""Placement: on which nodes of a partition does a job run.

A placement owns the free chips of one partition.  ``take`` hands out chips for a
gang or refuses it, ``give`` takes them back; the built-in ones do neither by looking
at every node.

A placement decides which nodes stay free for other jobs.  It does not change how fast a job runs:
run times are those of a gang on nodes of its pool, wherever in the network these are.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clustersim.errors import ClusterSimError

__all__ = [
    "SPEED_NOTE",
    "BucketPlacement",
    "Consolidate",
    "NodePlacement",
    "Nodes",
    "Placement",
    "Pooled",
    "Spread",
]

SPEED_NOTE = (
    "placement decides which nodes stay free for other jobs; how fast a job runs does not depend "
    "on where in the network its nodes are (slow nodes and failures aside)"
)
"""What a placement does not change, wherever placements are offered."""
_MANY = 32
"""Nodes from which on an array is faster than a loop."""
_SCANNED = 512
"""Nodes of a pool that are looked at in the time in which one is taken from a heap."""

Nodes: TypeAlias = Sequence[tuple[int, int]]
"""Chips of one job: (node, chips) pairs; empty where nodes are not told apart."""
NodeFree: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Free chips by node."""


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

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.n_nodes = n_nodes
        self.chips_per_node = chips_per_node
        self.capacity = self.free = n_nodes * chips_per_node

    def take(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators now, or return None where they do not fit."""
        raise NotImplementedError

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate just these accelerators, which must be free."""
        raise NotImplementedError

    def give(self, nodes: Nodes, n: int) -> None:
        """Free the `n` accelerators that ``take`` returned as `nodes`."""
        raise NotImplementedError

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell for each of `sizes`, an int array (k,), whether ``take`` would succeed."""
        raise NotImplementedError


class Pooled(Placement):
    """Counts only: a job fits where enough accelerators are free."""

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        self.free -= n
        return ()

    def take_these(self, nodes: Nodes, n: int) -> None:
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        self.free += n

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free


class NodePlacement(Placement):
    """Tells nodes apart; the base of a user's own placement, which defines ``choose``.

    What it chooses decides which nodes stay free for other jobs. It does not change how fast a job
    runs.

    Attributes
    ----------
    node_free : array of int
        Free chips of each node.

    Examples
    --------
    A placement that fills nodes from the last to the first:

    >>> class FromTheEnd(NodePlacement):
    ...     def choose(self, n, node_free):
    ...         nodes = []
    ...         for node in reversed(range(self.n_nodes)):
    ...             chips = min(n, int(node_free[node]))
    ...             if chips:
    ...                 nodes.append((node, chips))
    ...                 n -= chips
    ...         return nodes if n == 0 else None
    >>> FromTheEnd(n_nodes=3, chips_per_node=8).take(12)
    [(2, 8), (1, 4)]
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        typecode = "h" if chips_per_node < 2**15 else "l"
        self.node_free = array(typecode, [chips_per_node]) * n_nodes

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose the chips of a gang, a function of its arguments alone.

        Parameters
        ----------
        n : int
            Size of the gang; at least that many chips are free.
        node_free : int array (nodes,)
            Free chips of each node; not to be changed.

        Returns
        -------
        sequence of (node, chips), or None
            None where the gang does not fit.
        """
        raise NotImplementedError

    def take(self, n: int) -> Nodes | None:
        nodes = self.choose(n, self.free_by_node()) if n <= self.free else None
        if nodes is not None:
            self.take_these(nodes, n)
        return nodes

    def take_these(self, nodes: Nodes, n: int) -> None:
        self._check_choice(nodes, n)
        for node, chips in nodes:
            self.node_free[node] -= chips
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        for node, chips in nodes:
            self.node_free[node] += chips
        self.free += n

    def _check_choice(self, nodes: Nodes, n: int) -> None:
        """Refuse a choice that breaks the rules."""
        on_node: dict[int, int] = {}
        for node, chips in nodes:
            if not 0 <= node < self.n_nodes or chips < 1:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node} for a job of {n}; nodes are "
                    f"0 to {self.n_nodes - 1}, accelerators 1 or more"
                )
            on_node[node] = on_node.get(node, 0) + chips
        for node, chips in on_node.items():
            if chips > self.node_free[node]:
                raise ClusterSimError(
                    f"chose {chips} accelerators on node {node}, where {self.node_free[node]} "
                    "are free"
                )
        if sum(on_node.values()) != n:
            raise ClusterSimError(
                f"chose {sum(on_node.values())} accelerators for a job of {n}: {list(nodes)!r}"
            )

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self.fits_each_of(sizes, self.free_by_node())

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        """Tell for each of `sizes` whether it fits in `node_free`."""
        distinct, index = np.unique(sizes, return_inverse=True)
        return np.array([self.fits_in(int(n), node_free) for n in distinct], dtype=bool)[index]

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        """Tell whether a gang of `n` fits in `node_free`."""
        return n <= int(node_free.sum()) and self.choose(n, node_free) is not None

    def remove(self, n: int, node_free: NodeFree) -> None:
        """Take the chips that ``choose`` chooses, which there are, out of `node_free`."""
        for node, chips in self.choose(n, node_free) or ():
            node_free[node] -= chips

    def free_by_node(self) -> NodeFree:
        """Return a read-only view of the free chips of each node."""
        view = np.frombuffer(self.node_free, dtype=self.node_free.typecode)
        view.flags.writeable = False
        return view


class BucketPlacement(NodePlacement):
    """Keeps nodes in buckets by their number of free chips, so that none is searched.

    A bucket is a heap of node indices with at most one entry a node; an entry whose
    node has moved to another bucket is stale and is dropped when it surfaces.
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        levels = chips_per_node + 1
        self._bucket: list[list[int]] = [[] for _ in range(levels)]
        self._bucket[chips_per_node] = list(range(n_nodes))
        self._listed = [bytearray(n_nodes) for _ in range(levels)]
        self._listed[chips_per_node] = bytearray(b"\x01") * n_nodes
        self._count = [0] * chips_per_node + [n_nodes]

    def take_these(self, nodes: Nodes, n: int) -> None:
        node_free = self.node_free
        for node, chips in nodes:
            self._set_free(node, node_free[node] - chips)
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        if len(nodes) >= _MANY and n == len(nodes) * self.chips_per_node:
            self._give_whole([node for node, _ in nodes])
        else:
            node_free = self.node_free
            for node, chips in nodes:
                self._set_free(node, node_free[node] + chips)
        self.free += n

    def _give_whole(self, nodes: list[int]) -> None:
        """Set nodes of which nothing was free wholly free."""
        chips = self.chips_per_node
        np.frombuffer(self.node_free, dtype=self.node_free.typecode)[nodes] = chips
        self._count[0] -= len(nodes)
        self._count[chips] += len(nodes)
        listed = np.frombuffer(self._listed[chips], dtype=np.uint8)
        for at in np.flatnonzero(listed[nodes] == 0).tolist():
            self._listed[chips][nodes[at]] = 1
            heappush(self._bucket[chips], nodes[at])

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


class Consolidate(BucketPlacement):
    """As few nodes as can be.

    Up to a node's chips: on one node, the fullest on which the job fits, ties by the
    lowest index.  Multiples of a node: wholly free nodes, lowest index first.  Other
    sizes: whole free nodes, and the remainder on the next node in the order of
    decreasing free chips.
    """

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        if n <= chips:
            fitting = np.where(node_free >= n, node_free, chips + 1)
            node = int(fitting.argmin())
            return ((node, n),) if fitting[node] <= chips else None
        whole, rest = divmod(n, chips)
        wholly_free = np.flatnonzero(node_free == chips)
        if len(wholly_free) < whole:
            return None
        nodes = [(node, chips) for node in wholly_free[:whole].tolist()]
        if rest == 0:
            return nodes
        if len(wholly_free) > whole:
            return [*nodes, (int(wholly_free[whole]), rest)]
        partly_free = np.where(node_free == chips, 0, node_free)
        node = int(partly_free.argmax())
        return [*nodes, (node, rest)] if partly_free[node] >= rest else None

    def take(self, n: int) -> Nodes | None:
        if n > self.free:
            return None
        chips, count = self.chips_per_node, self._count
        if n <= chips:
            for free in range(n, chips + 1):
                if count[free]:
                    node = self._lowest(free)
                    self._set_free(node, free - n)
                    self.free -= n
                    return ((node, n),)
            return None
        if n > self._largest():
            return None
        whole, rest = divmod(n, chips)
        nodes = [(node, chips) for node in self._empty_out(whole)]
        if rest:
            free = max(level for level, nodes_there in enumerate(count) if nodes_there)
            node = self._lowest(free)
            self._set_free(node, free - rest)
            nodes.append((node, rest))
        self.free -= n
        return nodes

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self._largest()

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        return sizes <= self._largest_of(node_free)

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        return n <= self._largest_of(node_free)

    def _largest(self) -> int:
        """Largest gang that fits: the wholly free nodes and the freest of the others."""
        chips, count = self.chips_per_node, self._count
        partly_free = max((free for free in range(chips) if count[free]), default=0)
        return count[chips] * chips + partly_free

    def _largest_of(self, node_free: NodeFree) -> int:
        wholly_free = node_free == self.chips_per_node
        partly_free = int(np.where(wholly_free, 0, node_free).max())
        return int(np.count_nonzero(wholly_free)) * self.chips_per_node + partly_free

    def remove(self, n: int, node_free: NodeFree) -> None:
        whole, rest = divmod(n, self.chips_per_node)
        if whole == 0 or rest:
            super().remove(n, node_free)
        else:
            node_free[np.flatnonzero(node_free == self.chips_per_node)[:whole]] = 0

    def _empty_out(self, n_nodes: int) -> list[int]:
        """Take all chips of the wholly free nodes with the lowest indices."""
        chips = self.chips_per_node
        if n_nodes * _SCANNED < self.n_nodes:
            taken = self._pop_whole(n_nodes)
        else:
            node_free = np.frombuffer(self.node_free, dtype=self.node_free.typecode)
            taken = np.flatnonzero(node_free == chips)[:n_nodes].tolist()
            node_free[taken] = 0  # their entries in the bucket are stale until they are free again
        self._count[chips] -= n_nodes
        self._count[0] += n_nodes
        return taken

    def _pop_whole(self, n_nodes: int) -> list[int]:
        """Take the lowest of the wholly free nodes from their bucket."""
        chips, node_free = self.chips_per_node, self.node_free
        bucket, listed = self._bucket[chips], self._listed[chips]
        taken: list[int] = []
        while len(taken) < n_nodes:
            node = heappop(bucket)
            listed[node] = 0
            if node_free[node] == chips:
                node_free[node] = 0
                taken.append(node)
        return taken


class Spread(BucketPlacement):
    """As many nodes as can be: each chip from the node with most free chips.

    Ties go to the lowest index, so a job of n chips on an empty partition takes one
    chip on each of the first n nodes.
    """

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        if n > int(node_free.sum()):
            return None
        level = int(node_free.max())
        while level > 0 and int(np.maximum(node_free - level + 1, 0).sum()) < n:
            level -= 1
        taken = np.maximum(node_free - level, 0)
        last = np.flatnonzero(node_free >= level)[: n - int(taken.sum())]
        taken[last] += 1
        return [(int(node), int(taken[node])) for node in np.flatnonzero(taken)]

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
        return sorted(taken.items())

    def fits_each(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return sizes <= self.free

    def fits_each_of(
        self, sizes: npt.NDArray[np.int64], node_free: NodeFree
    ) -> npt.NDArray[np.bool_]:
        return sizes <= int(node_free.sum())
