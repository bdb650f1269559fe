"""Placements that find nodes without searching all of them: consolidate and spread."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placement import ManyNodes, NodeFree, NodePlacement, Nodes

__all__ = ["BucketPlacement", "Consolidate", "Spread"]

_MANY = 32
"""Smallest number of nodes for which an array operation is faster than a loop."""


class BucketPlacement(NodePlacement):
    """Keeps the set of nodes with each number of free chips, to avoid a search over all nodes.

    A set has one byte per node, which is 1 for members. The member with the lowest index is found
    by a search for the byte 1. The search begins at a stored index, below which there is no
    member.
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        self._with_free = [bytearray(n_nodes) for _ in range(chips_per_node)]
        self._with_free.append(bytearray(b"\x01") * n_nodes)
        self._hint = [0] * (chips_per_node + 1)
        self._count = [0] * chips_per_node + [n_nodes]
        self._free_view = np.frombuffer(self.node_free, dtype=self.node_free.typecode)
        self._wholly_free = np.frombuffer(self._with_free[chips_per_node], dtype=np.bool_)

    def take_these(self, nodes: Nodes, n: int) -> None:
        pairs = nodes
        if isinstance(nodes, ManyNodes):
            whole, pairs = nodes.whole(self.chips_per_node)
            self._set_taken(whole)
        node_free = self.node_free
        for node, chips in pairs:
            self._set_free(node, node_free[node] - chips)
        self.free -= n

    def give(self, nodes: Nodes, n: int) -> None:
        pairs = nodes
        if isinstance(nodes, ManyNodes):
            whole, pairs = nodes.whole(self.chips_per_node)
            self._set_wholly_free(whole)
        node_free = self.node_free
        for node, chips in pairs:
            self._set_free(node, node_free[node] + chips)
        self.free += n

    def _set_taken(self, nodes: Ints) -> None:
        """Allocate all chips of nodes that are entirely free."""
        self._free_view[nodes] = 0
        self._wholly_free[nodes] = False
        self._count[self.chips_per_node] -= len(nodes)
        self._count[0] += len(nodes)

    def _set_wholly_free(self, nodes: Ints) -> None:
        """Free all chips of nodes that are entirely allocated."""
        if not len(nodes):
            return
        chips = self.chips_per_node
        self._free_view[nodes] = chips
        self._wholly_free[nodes] = True
        self._count[0] -= len(nodes)
        self._count[chips] += len(nodes)
        self._hint[chips] = min(self._hint[chips], int(np.minimum.reduce(nodes)))

    def _set_free(self, node: int, free: int) -> None:
        before = self.node_free[node]
        self._count[before] -= 1
        self._count[free] += 1
        self.node_free[node] = free
        self._with_free[before][node] = 0
        self._with_free[free][node] = 1
        if node < self._hint[free]:
            self._hint[free] = node

    def _lowest(self, free: int) -> int:
        """Return the lowest index of a node with exactly `free` free chips; one must exist."""
        self._hint[free] = node = self._with_free[free].find(1, self._hint[free])
        return node


class Consolidate(BucketPlacement):
    """Uses as few nodes as possible.

    A job that needs at most one node runs on the fullest node on which it fits; ties go to the
    lowest index. A job whose size is a multiple of a node runs on entirely free nodes, lowest index
    first. A job of any other size uses as many entirely free nodes as it can fill, and its
    remainder runs on the node with the most free chips among the other nodes.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate
    >>> placement = Consolidate(n_nodes=3, chips_per_node=8)
    >>> list(placement.take(6)), list(placement.take(2)), list(placement.take(8))
    ([(0, 6)], [(0, 2)], [(1, 8)])
    """

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        if n <= chips:
            too_full = node_free < n
            least = int((node_free + too_full * node_free.dtype.type(chips + 1)).min())
            return ((int((node_free == least).argmax()), n),) if least <= chips else None
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        if len(wholly_free) < whole:
            return None
        if rest == 0:
            return self._gang(wholly_free[:whole])
        if len(wholly_free) > whole:
            return self._gang(wholly_free[:whole], int(wholly_free[whole]), rest)
        partly_free = np.where(node_free == chips, 0, node_free)
        node = int(partly_free.argmax())
        return self._gang(wholly_free, node, rest) if partly_free[node] >= rest else None

    def _gang(self, whole: Ints, node: int = 0, rest: int = 0) -> Nodes:
        """Return the chips of a gang that fills the nodes `whole`, with `rest` chips on `node`."""
        nodes = np.append(whole, node) if rest else whole
        chips = np.full(len(nodes), self.chips_per_node)
        if rest:
            chips[-1] = rest
        gang = ManyNodes(nodes, chips)
        return gang if len(nodes) >= _MANY else list(gang)

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
        if n > self.largest_gang():
            return None
        self.free -= n
        whole, rest = divmod(n, chips)
        if whole >= _MANY:
            taken = self._lowest_whole(whole)
            self._set_taken(taken)
            return self._gang(taken, self._take_rest(rest), rest) if rest else self._gang(taken)
        nodes = [(self._take_whole(), chips) for _ in range(whole)]
        if rest:
            nodes.append((self._take_rest(rest), rest))
        return nodes

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= self.largest_gang()

    def fits_each_of(self, sizes: Ints, node_free: NodeFree) -> Bools:
        return sizes <= self.largest_gang_in(node_free)

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        chips = self.chips_per_node
        wholly_free = node_free == chips
        room = int(np.count_nonzero(wholly_free)) * chips
        return n <= room or (n < room + chips and n <= room + _freest(node_free, ~wholly_free))

    def choose_in(self, n: int, node_free: NodeFree) -> Nodes | None:
        return self.choose(n, node_free)  # `choose` returns None if the gang does not fit

    def largest_gang(self) -> int:
        """Return the size of the largest gang that fits.

        This gang uses all entirely free nodes and, of the others, the node with the most free
        chips.
        """
        chips, count = self.chips_per_node, self._count
        partly_free = chips - 1
        while partly_free and not count[partly_free]:
            partly_free -= 1
        return count[chips] * chips + partly_free

    def largest_gang_in(self, node_free: NodeFree) -> int:
        wholly_free = node_free == self.chips_per_node
        room = int(np.count_nonzero(wholly_free)) * self.chips_per_node
        return room + _freest(node_free, ~wholly_free)

    def remove(self, n: int, node_free: NodeFree) -> None:
        whole, rest = divmod(n, self.chips_per_node)
        if whole == 0 or rest:
            super().remove(n, node_free)
        else:
            node_free[(node_free == self.chips_per_node).nonzero()[0][:whole]] = 0

    def _take_whole(self) -> int:
        """Allocate all chips of the first entirely free node, and return the index of the node."""
        node = self._lowest(self.chips_per_node)
        self._set_free(node, 0)
        return node

    def _take_rest(self, rest: int) -> int:
        """Allocate `rest` chips on a node with the most free chips, and return its index."""
        free = max(level for level, nodes_there in enumerate(self._count) if nodes_there)
        node = self._lowest(free)
        self._set_free(node, free - rest)
        return node

    def _lowest_whole(self, n_nodes: int) -> Ints:
        """Find the `n_nodes` entirely free nodes with the lowest indices, which must exist."""
        start, window = self._lowest(self.chips_per_node), 4 * n_nodes
        found: list[Ints] = []
        missing = n_nodes
        while missing > 0:
            part = self._wholly_free[start : start + window].nonzero()[0] + start
            found.append(part[:missing])
            missing -= len(part)
            start, window = start + window, 2 * window
        return found[0] if len(found) == 1 else np.concatenate(found)


def _freest(node_free: NodeFree, where: Bools) -> int:
    """Return the largest number of free chips of a node in `where`; 0 if there is no such node."""
    return int((node_free * where).max())  # a product is vectorised; np.where is not


class Spread(BucketPlacement):
    """Uses as many nodes as possible: each chip is placed on the node with the most free chips.

    Ties go to the lowest index. A job of n chips on an empty partition therefore takes one
    chip on each of the first n nodes.

    Examples
    --------
    >>> from clustersim.scheduling import Spread
    >>> placement = Spread(n_nodes=3, chips_per_node=8)
    >>> list(placement.take(6)), list(placement.take(2)), list(placement.take(8))
    ([(0, 2), (1, 2), (2, 2)], [(0, 1), (1, 1)], [(0, 3), (1, 2), (2, 3)])
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

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= self.free

    def fits_each_of(self, sizes: Ints, node_free: NodeFree) -> Bools:
        return sizes <= int(node_free.sum())
