"""What placements have in common that give a gang whole nodes, and its remainder one more node."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.buckets import BucketPlacement
from clustersim.scheduling.placements.nodes import ManyNodes, NodeFree, Nodes

__all__ = ["MANY", "WholeNodes"]

MANY = 32
"""Smallest number of nodes for which an array operation is faster than a loop."""


class WholeNodes(BucketPlacement):
    """A gang fits if there are entirely free nodes for it, and one more node for its remainder.

    A gang smaller than a node fits on one node. Subclasses choose among the nodes.
    """

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

    def _gang(self, whole: Ints, node: int = 0, rest: int = 0) -> Nodes:
        """Return the chips of a gang that fills the nodes `whole`, with `rest` chips on `node`."""
        nodes = np.append(whole, node) if rest else whole
        chips = np.full(len(nodes), self.chips_per_node)
        if rest:
            chips[-1] = rest
        gang = ManyNodes(nodes, chips)
        return gang if len(nodes) >= MANY else list(gang)

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
