"""The placement that uses as few nodes as possible."""

from __future__ import annotations

import numpy as np

from clustersim.scheduling.placements import whole_nodes
from clustersim.scheduling.placements.nodes import NodeFree, Nodes
from clustersim.scheduling.placements.whole_nodes import WholeNodes

__all__ = ["Consolidate"]


class Consolidate(WholeNodes):
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
        if whole >= whole_nodes.MANY:
            taken = self._lowest_whole(whole)
            self._set_taken(taken)
            return self._gang(taken, self._take_rest(rest), rest) if rest else self._gang(taken)
        nodes = [(self._take_whole(), chips) for _ in range(whole)]
        if rest:
            nodes.append((self._take_rest(rest), rest))
        return nodes

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
