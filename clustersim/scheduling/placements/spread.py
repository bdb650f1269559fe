"""The placement that uses as many nodes as possible."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.buckets import BucketPlacement
from clustersim.scheduling.placements.nodes import NodeFree, Nodes

__all__ = ["Spread"]


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
