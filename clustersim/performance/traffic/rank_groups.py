"""Groups of ranks on the nodes of a job: their bytes by level of trunks, and rail alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.network import LEVELS, TrunkGraph, gang_traffic
from clustersim.network.trunks import SCALE_UP

__all__ = ["LevelBytes", "Ranks", "groups_of_ranks", "pairs_of_stages"]


@dataclass(frozen=True, slots=True, eq=False)
class LevelBytes:
    """Bytes of a set of groups.

    Attributes
    ----------
    by_level : array of float, shape (n_levels,)
        Bytes on the trunks of each level of :data:`clustersim.network.LEVELS`, upward.
    far, aligned : float
        Bytes between scale-up domains, and those of them whose sender and receiver have the same
        position in their nodes.
    """

    by_level: Floats
    far: float
    aligned: float

    def __add__(self, other: LevelBytes) -> LevelBytes:
        return LevelBytes(
            self.by_level + other.by_level, self.far + other.far, self.aligned + other.aligned
        )


def groups_of_ranks(count: int, ranks: float, stride: float) -> Ints:
    """Return the chips of each group of `ranks` ranks at a distance of `stride` chips.

    Returns
    -------
    array of int, shape (n_groups, ranks)

    Raises
    ------
    InputError
        If the groups do not divide the chips.

    Examples
    --------
    >>> groups_of_ranks(8, 2, 2).tolist()
    [[0, 2], [1, 3], [4, 6], [5, 7]]
    """
    block = ranks * stride
    if ranks % 1 or stride % 1 or count % block:
        raise InputError(
            "plan",
            f"groups of {ranks:g} ranks at a distance of {stride:g} chips do not divide {count:,} "
            "chips",
        )
    chips = np.arange(count).reshape(-1, int(ranks), int(stride))
    return chips.transpose(0, 2, 1).reshape(-1, int(ranks))


def pairs_of_stages(count: int, stages: float, *, wrap: bool) -> Ints:
    """Return the pairs of chips that exchange data between stages, an array of shape (n, 2).

    These are a chip of each stage and that of the next one; with `wrap`, a chip of the last stage
    and that of the first one.

    Examples
    --------
    >>> pairs_of_stages(6, 3, wrap=False).tolist(), pairs_of_stages(6, 3, wrap=True).tolist()
    ([[0, 2], [1, 3], [2, 4], [3, 5]], [[4, 0], [5, 1]])
    """
    chips = np.arange(count).reshape(int(stages), -1)
    if wrap:
        return np.stack([chips[-1], chips[0]], axis=1)
    return np.stack([chips[:-1].ravel(), chips[1:].ravel()], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """The chips of a job in the order of their ranks.

    Attributes
    ----------
    graph : TrunkGraph
    node, domain, position : array of int, shape (n_chips,)
        Node and scale-up domain of each chip, and its number in its node.
    """

    graph: TrunkGraph
    node: Ints
    domain: Ints
    position: Ints

    @classmethod
    def of(cls, graph: TrunkGraph, nodes: Ints, chips: Ints) -> Ranks:
        """Fill nodes with ranks, in the order in which the nodes are given."""
        node = np.repeat(nodes, chips)
        first = np.repeat(np.cumsum(chips) - chips, chips)
        return cls(graph, node, graph.domain_of_node(node), np.arange(node.size) - first)

    def ring(self, groups: Ints, sent: float) -> LevelBytes:
        """Return the bytes of rings in which each chip sends `sent` bytes to the next one.

        If a group has several chips on each of two nodes, the ring between these has a lane for
        each chip, which starts and ends at the same position.
        """
        node, chips, gang, row_of_chip = self._rows(groups)
        traffic = gang_traffic(self.graph, node, chips, sent, pattern="ring", gang=gang)
        last = np.append(gang[1:] != gang[:-1], True)
        following = np.where(last, np.searchsorted(gang, gang), np.arange(gang.size) + 1)
        domain = self.graph.domain_of_node(node)
        far = domain != domain[following]
        width = int(self.position.max()) + 1
        position = self.position[groups]
        there = np.isin(
            following[row_of_chip] * width + position, row_of_chip * width + position
        ).ravel()
        alike = np.bincount(row_of_chip.ravel(), there, node.size) / chips
        return LevelBytes(
            traffic.by_level(self.graph).sum(axis=0),
            sent * np.count_nonzero(far),
            sent * float(alike[far].sum()),
        )

    def all_to_all(self, groups: Ints, near: float, far: float) -> LevelBytes:
        """Return the bytes of exchanges within groups.

        `near` and `far` are what a chip would send to all others if it sent as much to each of them
        as it sends to a chip in its domain, and to one beyond.
        """
        node, chips, gang, _ = self._rows(groups)
        both = [
            gang_traffic(self.graph, node, chips, sent, pattern="all_to_all", gang=gang)
            .by_level(self.graph)
            .sum(axis=0)
            for sent in (near, far)
        ]
        by_level = np.where(np.arange(len(LEVELS)) == SCALE_UP, both[0], both[1])
        each = far / (groups.shape[1] - 1)
        group = np.broadcast_to(np.arange(len(groups))[:, None], groups.shape)
        columns = (self.domain[groups], self.position[groups])
        pairs = groups.size * groups.shape[1] - _alike(group, columns[0])
        aligned = _alike(group, columns[1]) - _alike(group, *columns)
        return LevelBytes(by_level, each * pairs, each * aligned)

    def _rows(self, groups: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Return node, chips and group of each run of chips on one node, and the run of a chip."""
        node = self.node[groups]
        starts: Bools = np.ones(node.shape, dtype=bool)
        starts[:, 1:] = node[:, 1:] != node[:, :-1]
        row_of_chip = np.cumsum(starts).reshape(node.shape) - 1
        return node[starts], np.bincount(row_of_chip.ravel()), np.nonzero(starts)[0], row_of_chip


def _alike(*columns: Ints) -> float:
    """Return the number of ordered pairs, each with itself included, that agree in all columns."""
    _, counts = np.unique(np.stack([column.ravel() for column in columns]), axis=1,
                          return_counts=True)  # fmt: skip
    return float((counts.astype(np.float64) ** 2).sum())
