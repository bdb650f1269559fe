"""How many nodes are free in each group of a network, and which groups hold a gang."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.network import Level
from clustersim.scheduling.placements.nodes import NodeFree

__all__ = ["Groups", "GroupsOfNodes"]


class GroupsOfNodes:
    """The groups of nodes of a partition at all levels, the smallest first; the last has one group.

    Parameters
    ----------
    n_nodes : int
    network : sequence of Level

    Attributes
    ----------
    group_of_node : list of int array (nodes,)
        For each level, the group of each node.
    first_node : int array (smallest groups + 1,)
        First node of each of the smallest groups, and the number of nodes.
    children : list of int array (groups + 1,)
        For each level but the lowest: the first group of the level below in each of its groups, and
        the number of groups there.

    Examples
    --------
    >>> tree = GroupsOfNodes(6, [Level("leaf", np.array([0, 0, 1, 1, 2, 2]))])
    >>> tree.first_node.tolist(), [level.tolist() for level in tree.children]
    ([0, 2, 4, 6], [[0, 3]])
    """

    def __init__(self, n_nodes: int, network: Sequence[Level]) -> None:
        whole = np.zeros(n_nodes, dtype=np.int64)
        self.group_of_node = [level.group_of_node for level in network] + [whole]
        self.first_node = _bounds(self.group_of_node[0])
        self.children = []
        firsts = self.first_node[:-1]
        for group in self.group_of_node[1:]:
            self.children.append(_bounds(group[firsts]))
            firsts = firsts[self.children[-1][:-1]]

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.group_of_node)


def _bounds(group: Ints) -> Ints:
    """Return where each group begins, and the number of members of all groups."""
    return np.append(np.flatnonzero(np.diff(group, prepend=-1)), len(group))


class Groups:
    """Counts of free nodes by group, kept up to date.

    Parameters
    ----------
    tree : GroupsOfNodes
    node_free : int array (nodes,)
        Free accelerators of each node.
    chips : int
        Accelerators of a node.

    Attributes
    ----------
    whole : list of int array (groups,)
        For each level, the number of entirely free nodes in each group.
    with_free : int array (chips + 1, smallest groups)
        Nodes of each of the smallest groups by number of free accelerators.

    Examples
    --------
    >>> tree = GroupsOfNodes(4, [Level("leaf", np.array([0, 0, 1, 1]))])
    >>> groups = Groups(tree, np.array([8, 3, 8, 8]), chips=8)
    >>> [level.tolist() for level in groups.whole], groups.with_free[3].tolist()
    ([[1, 2], [3]], [1, 0])
    >>> groups.lowest_level(2, 0), groups.lowest_level(2, 3), groups.lowest_level(3, 4)
    (0, 1, None)
    """

    def __init__(self, tree: GroupsOfNodes, node_free: NodeFree, chips: int) -> None:
        self.tree = tree
        self._chips = chips
        n_small = len(tree.first_node) - 1
        cell = np.asarray(node_free, dtype=np.int64) * n_small + tree.group_of_node[0]
        counts = np.bincount(cell, minlength=(chips + 1) * n_small)
        self.with_free: Ints = counts.reshape(chips + 1, n_small)
        self.whole: list[Ints] = [self.with_free[chips].copy()]
        for bounds in tree.children:
            self.whole.append(np.add.reduceat(self.whole[-1], bounds[:-1]))

    def move(self, node: int, before: int, after: int) -> None:
        """Note that a node has another number of free accelerators."""
        tree, chips = self.tree, self._chips
        small = tree.group_of_node[0][node]
        self.with_free[before, small] -= 1
        self.with_free[after, small] += 1
        change = (after == chips) - (before == chips)
        if change:
            for counts, group in zip(self.whole, tree.group_of_node, strict=True):
                counts[group[node]] += change

    def move_whole(self, nodes: Ints, *, freed: bool) -> None:
        """Note that nodes that were entirely allocated are entirely free, or the reverse."""
        tree, change = self.tree, 1 if freed else -1
        for level, (counts, group) in enumerate(zip(self.whole, tree.group_of_node, strict=True)):
            per_group = np.bincount(group[nodes], minlength=len(counts)) * change
            counts += per_group
            if level == 0:
                self.with_free[self._chips] += per_group
                self.with_free[0] -= per_group

    def holds(self, level: int, whole: int, rest: int) -> Bools:
        """Return which groups of a level have `whole` entirely free nodes and room for `rest`."""
        free = self.whole[level]
        if rest == 0:
            return free >= whole
        found: Bools = free > whole
        exactly = free == whole
        if exactly.any():
            found |= exactly & self.has_with(rest, self._chips, level)
        return found

    def has_with(self, least: int, end: int, level: int) -> Bools:
        """Return which groups have a node with `least` free accelerators or more, below `end`."""
        has: Bools = np.any(self.with_free[least:end], axis=0)
        for bounds in self.tree.children[:level]:
            has = np.asarray(np.logical_or.reduceat(has, bounds[:-1]))
        return has

    def lowest_level(self, whole: int, rest: int) -> int | None:
        """Return the lowest level with a group that holds a gang; None if there is none.

        Parameters
        ----------
        whole, rest : int
            Number of entire nodes of the gang, and its accelerators on one more node.
        """
        for level in range(self.tree.n_levels):
            if self.holds(level, whole, rest).any():
                return level
        return None
