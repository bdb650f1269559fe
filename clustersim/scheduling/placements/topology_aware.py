"""The placement that keeps a gang within as few levels of the network as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.notes import note
from clustersim.scheduling.placements.groups import Groups, GroupsOfNodes
from clustersim.scheduling.placements.network import Level
from clustersim.scheduling.placements.nodes import NodeFree, Nodes
from clustersim.scheduling.placements.whole_nodes import WholeNodes

__all__ = ["TopologyAware"]


class TopologyAware(WholeNodes):
    """Keeps a gang below the lowest switches of the network that hold it.

    A gang needs the same nodes as with ``consolidate``: entirely free ones, and one more for its
    remainder. It gets them below one leaf (or group of rails) if a leaf has enough, else below one
    pod, and so on, up to the whole pool. Of several groups that have enough, the one with the
    fewest entirely free nodes is used, so that the others stay whole. Within a group, as few of its
    parts as possible are used. A job smaller than a node runs on the fullest node on which it fits,
    of the group with the fewest entirely free nodes. Ties go to the lowest index.

    Attributes
    ----------
    rail_aligned : bool
        Whether a gang that does not fill its nodes has the same number of accelerators on each of
        them, so that each accelerator has a partner on the same rail of every node: 12 are 6 and 6,
        not 8 and 4. It then needs entirely free nodes, at most twice as many as necessary; a gang
        for which this is not possible is placed like others.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import Level, TopologyAware
    >>> placement = TopologyAware(n_nodes=6, chips_per_node=8)
    >>> placement.prepare([Level("leaf", np.array([0, 0, 0, 1, 1, 1]))], np.array([8, 24]))
    >>> [list(placement.take(n)) for n in (8, 24)]
    [[(0, 8)], [(3, 8), (4, 8), (5, 8)]]
    """

    rail_aligned: bool = False

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        self._groups = Groups(GroupsOfNodes(n_nodes, ()), self.free_by_node(), chips_per_node)

    def prepare(self, network: Sequence[Level], sizes: Ints) -> None:
        if not network and self.n_nodes > 1:
            note(
                "the topology names no network of a pool (fabric), so topology_aware can only keep "
                "gangs on few nodes there, as consolidate does"
            )
        tree = GroupsOfNodes(self.n_nodes, network)
        self._groups = Groups(tree, self.free_by_node(), self.chips_per_node)

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        groups = Groups(self._groups.tree, node_free, self.chips_per_node)
        return self._chosen(n, groups, node_free)

    def take(self, n: int) -> Nodes | None:
        if n > self.largest_gang():
            return None
        nodes = self._chosen(n, self._groups, self.free_by_node())
        assert nodes is not None, "a gang that is not larger than the largest one fits"
        self.take_these(nodes, n)
        return nodes

    def _set_free(self, node: int, free: int) -> None:
        self._groups.move(node, self.node_free[node], free)
        super()._set_free(node, free)

    def _set_taken(self, nodes: Ints) -> None:
        self._groups.move_whole(nodes, freed=False)
        super()._set_taken(nodes)

    def _set_wholly_free(self, nodes: Ints) -> None:
        self._groups.move_whole(nodes, freed=True)
        super()._set_wholly_free(nodes)

    def _chosen(self, n: int, groups: Groups, node_free: NodeFree) -> Nodes | None:
        chips = self.chips_per_node
        whole, rest = divmod(n, chips)
        if rest and whole and self.rail_aligned:
            n_nodes = self._aligned(n)
            if n_nodes and n_nodes <= groups.whole[-1][0]:
                found = _Search(groups, node_free, chips).find(n_nodes, 0)
                return list(zip(sorted(found), [n // n_nodes] * n_nodes, strict=True))
        if not groups.holds(groups.tree.n_levels - 1, whole, rest)[0]:
            return None
        search = _Search(groups, node_free, chips)
        nodes = np.array(search.find(whole, rest), dtype=np.int64)
        if not rest:
            return self._gang(np.sort(nodes))
        if not whole:
            return ((int(nodes[0]), n),)
        return self._gang(np.sort(nodes[:-1]), int(nodes[-1]), rest)

    def _aligned(self, n: int) -> int:
        """Return the number of nodes of an aligned gang; 0 if there is none."""
        fewest = -(-n // self.chips_per_node)
        fitting = (count for count in range(fewest, 2 * fewest + 1) if n % count == 0)
        return next(fitting, 0)


class _Search:
    """Finds the nodes of one gang."""

    def __init__(self, groups: Groups, node_free: NodeFree, chips: int) -> None:
        self._groups = groups
        self._node_free = node_free
        self._chips = chips

    def find(self, whole: int, rest: int) -> list[int]:
        """Return `whole` entirely free nodes, and one more for `rest` accelerators, if any.

        There must be enough nodes.
        """
        if whole == 0:
            return [self._in_smallest(self._for_small(rest), 0, rest)[0]]
        level = self._groups.lowest_level(whole, rest)
        assert level is not None, "the gang fits"
        at = self._best(level, whole, rest, np.ones(len(self._groups.whole[level]), dtype=bool))
        assert at is not None, "a group holds the gang"
        return self._within(level, at, whole, rest)

    def _for_small(self, n: int) -> int:
        """Return the smallest group with the fullest node on which a small job fits."""
        whole, with_free = self._groups.whole[0], self._groups.with_free
        for free in range(n, self._chips + 1):
            has = with_free[free] > 0
            if has.any():
                return int(np.where(has, whole, np.iinfo(np.int64).max).argmin())
        raise AssertionError("the job fits")

    def _best(self, level: int, whole: int, rest: int, open_to: Bools) -> int | None:
        """Return the group, of some groups of a level, that holds a gang and has least to spare.

        For a remainder alone, groups with the fullest node on which it fits come first.
        """
        holds = self._groups.holds(level, whole, rest) & open_to
        if not holds.any():
            return None
        if whole == 0:
            holds = self._with_fullest(level, rest, holds)
        free = np.where(holds, self._groups.whole[level], np.iinfo(np.int64).max)
        return int(free.argmin())

    def _with_fullest(self, level: int, rest: int, holds: Bools) -> Bools:
        """Return which groups have a node on which `rest` fits with the fewest free to spare."""
        for free in range(rest, self._chips):
            has = self._groups.has_with(free, free + 1, level) & holds
            if has.any():
                return has
        return holds

    def _within(self, level: int, group: int, whole: int, rest: int) -> list[int]:
        """Return the nodes of a gang in a group that holds it."""
        if level == 0:
            return self._in_smallest(group, whole, rest)
        free = self._groups.whole[level - 1]
        first, end = self._groups.tree.children[level - 1][group : group + 2].tolist()
        open_to, emptied = np.zeros((2, len(free)), dtype=bool)
        open_to[first:end] = True
        nodes: list[int] = []
        while True:
            if whole == 0:
                here = self._groups.has_with(rest, self._chips, level - 1) & emptied
                if here.any():
                    return nodes + self._within(level - 1, int(here.argmax()), 0, rest)
            part = self._best(level - 1, whole, rest, open_to)
            if part is not None:
                return nodes + self._within(level - 1, part, whole, rest)
            part = int(np.where(open_to, free, -1).argmax())
            nodes += self._within(level - 1, part, int(free[part]), 0)
            whole -= int(free[part])
            open_to[part], emptied[part] = False, True
            if not whole and not rest:
                return nodes

    def _in_smallest(self, group: int, whole: int, rest: int) -> list[int]:
        """Return the nodes of a gang in one of the smallest groups."""
        first, end = self._groups.tree.first_node[group : group + 2].tolist()
        free = self._node_free[first:end]
        wholly_free = np.flatnonzero(free == self._chips)
        nodes: list[int] = (wholly_free[:whole] + first).tolist()
        if rest:
            partly = np.where((free >= rest) & (free < self._chips), free, self._chips)
            fullest = int(partly.argmin())
            is_partly = partly[fullest] < self._chips
            nodes.append(first + (fullest if is_partly else int(wholly_free[whole])))
        return nodes
