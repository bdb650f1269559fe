"""Placements that find nodes without searching all of them, by their number of free chips."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.placements.by_node import NodePlacement
from clustersim.scheduling.placements.nodes import ManyNodes, Nodes

__all__ = ["BucketPlacement"]


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
