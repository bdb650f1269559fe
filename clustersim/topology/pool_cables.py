"""The cables of one pool: which switches, ports, links and trunks they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.topology.cluster import Pool
from clustersim.topology.fabric_parts import Wiring

__all__ = ["DATACENTER", "CableLevel", "PartKind", "PoolCables"]

PartKind: TypeAlias = Literal["nic", "link", "leaf", "spine", "switch"]
"""Kinds of parts: the port of a node with its cable, a cable between two switches (or two nodes),
a switch to which nodes are connected, a switch above these, and any switch."""
DATACENTER = -1
"""In place of the position of a trunk: the connection of a pool to the other pools."""
_NO_SWITCH = ("node", "ideal")


@dataclass(frozen=True, slots=True, eq=False)
class CableLevel:
    """Links of one level: `first` is the number of the first cable of each link, and of the end."""

    wiring: Wiring
    first: Ints

    @property
    def n_cables(self) -> int:
        """Number of cables of all links."""
        return int(self.first[-1] - self.first[0])

    def cables(self, links: Ints) -> Ints:
        """Return the cables of some links."""
        count = self.wiring.multiplicity[links]
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(self.first[links], count) + within

    def link_of(self, cables: Ints) -> Ints:
        """Return the link of each cable."""
        return np.searchsorted(self.first, cables, side="right") - 1

    def link_name(self, link: int) -> str:
        """Return the name of a link without that of the pool."""
        wiring = self.wiring
        low, up = int(wiring.lower[link]), int(wiring.upper[link])
        return f"{wiring.lower_kind}/{low}-{wiring.upper_kind}/{up}"

    def cable_name(self, cable: int) -> str:
        """Return the name of a cable without that of the pool."""
        link = int(self.link_of(np.array([cable]))[0])
        alone = self.wiring.multiplicity[link] == 1
        name = self.link_name(link)
        return name if alone else f"{name}/{cable - int(self.first[link])}"


class PoolCables:
    """The cables of one pool; cables and nodes have the numbers that they have in the cluster.

    Parameters
    ----------
    index : int
        Index of the pool in the cluster.
    pool : Pool
        With a fabric.
    first_cable, first_node : int
        Numbers of the first cable and the first node of the pool.
    joined : bool
        Whether the pool is connected to other pools.

    Attributes
    ----------
    levels : list of CableLevel
        From the nodes upward.
    datacenter : int
        The cable to the other pools; -1 if there is none.
    count_of : dict of str to int
        Number of nodes and of switches of each kind.
    switch_kinds : list of str
        From the nodes upward.
    ports : int64 array (nodes, ports)
        Cables of the ports of each node; without columns if nodes are not connected to switches.
    trunks : list of (int64 array, int64 array)
        Group of nodes, and cable, of each cable of each trunk in ``Pool.trunks``.
    """

    def __init__(
        self, index: int, pool: Pool, first_cable: int, first_node: int, *, joined: bool
    ) -> None:
        fabric = pool.fabric
        assert fabric is not None, "it was checked"
        self.pool, self._index, self._first_node = pool, index, first_node
        self.levels: list[CableLevel] = []
        at = first_cable
        for wiring in fabric.wiring(merge=False):
            ends = np.concatenate(([0], np.cumsum(wiring.multiplicity, dtype=np.int64)))
            self.levels.append(CableLevel(wiring, at + ends))
            at += int(ends[-1])
        self.datacenter = at if joined and pool.datacenter_Bps > 0 else -1
        self.n_cables = at - first_cable + (self.datacenter >= 0)
        self.count_of = {each.kind: each.count for each in fabric.vertices(merge=False)}
        self.switch_kinds = [kind for kind in self.count_of if kind not in _NO_SWITCH]
        self.ports = self._ports_by_node()
        self.trunks = self._trunk_members()

    def rate_Bps(self) -> Floats:
        """Return the rate of each cable, one direction (bytes/s)."""
        rates = [np.full(each.n_cables, each.wiring.link_Bps) for each in self.levels]
        outside = [np.array([self.pool.datacenter_Bps])] if self.datacenter >= 0 else []
        return np.concatenate([np.zeros(0), *rates, *outside])

    def _ports_by_node(self) -> Ints:
        level = self.levels[0] if self.levels else None
        if level is None or level.wiring.upper_kind == "node":
            return np.zeros((self.pool.n_nodes, 0), dtype=np.int64)
        node = np.repeat(level.wiring.lower, level.wiring.multiplicity)
        order = np.argsort(node, kind="stable")
        return np.asarray(level.first[0] + order).reshape(self.pool.n_nodes, -1)

    def ports_of_all(self) -> tuple[Ints, Ints]:
        """Return node and cable of all ports; a cable between two nodes is a port of both."""
        if self.ports.size:
            node = np.repeat(np.arange(self.pool.n_nodes), self.ports.shape[1])
            return self._first_node + node, self.ports.ravel()
        nodes, cables = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for level in self.levels:
            for ends in (level.wiring.lower, level.wiring.upper):
                nodes.append(self._first_node + np.repeat(ends, level.wiring.multiplicity))
                cables.append(np.arange(level.first[0], level.first[-1]))
        return np.concatenate(nodes), np.concatenate(cables)

    def members(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Return pool, position, group and cable of each cable of each trunk."""
        none = np.zeros(0, dtype=np.int64)
        rows = [
            (np.full(len(cables), level), groups, cables)
            for level, (groups, cables) in enumerate(self.trunks)
        ]
        if self.datacenter >= 0:
            rows.append((np.array([DATACENTER]), np.array([0]), np.array([self.datacenter])))
        columns = [np.concatenate(each) for each in zip((none, none, none), *rows, strict=True)]
        return np.full(len(columns[0]), self._index), columns[0], columns[1], columns[2]

    def _trunk_members(self) -> list[tuple[Ints, Ints]]:
        """Return the group and the cable of each cable of each trunk of the pool.

        The k-th level of links between switches is the k-th trunk of the groups below it. Links
        between routers (of a dragonfly) belong to the trunks of both ends.
        """
        trunks = self.pool.trunks
        group_of = {"node": [each.group_of_node.astype(np.int64) for each in trunks]}
        found: list[list[tuple[Ints, Ints]]] = [[] for _ in trunks]
        tier = 0
        for level in self.levels if trunks else ():
            wiring, low = level.wiring, group_of[level.wiring.lower_kind]
            if wiring.lower_kind == wiring.upper_kind:
                for members, groups in zip(found, low, strict=True):
                    one, other = groups[wiring.lower], groups[wiring.upper]
                    for ends in (one, other):
                        members.append(_of_groups(level, np.where(one == other, -1, ends)))
                continue
            if wiring.lower_kind != "node":
                found[tier].append(_of_groups(level, low[tier][wiring.lower]))
                tier += 1
            above = [np.full(self.count_of[wiring.upper_kind], -1) for _ in trunks]
            for groups, own in zip(above, low, strict=True):
                np.maximum.at(groups, wiring.upper, own[wiring.lower])
            group_of[wiring.upper_kind] = above
        none = np.zeros(0, dtype=np.int64)
        return [
            (
                np.concatenate([none, *(groups for groups, _ in each)]),
                np.concatenate([none, *(cables for _, cables in each)]),
            )
            for each in found
        ]

    def _switches(self, kind: PartKind) -> list[str]:
        """Return the kinds of switches that a kind of part means."""
        kinds = self.switch_kinds
        return {"leaf": kinds[:1], "spine": kinds[1:]}.get(kind, kinds)

    def _between(self) -> list[CableLevel]:
        """Return the levels of links that are not ports of nodes with switches."""
        return self.levels[1:] if self.ports.size else self.levels

    def _counts(self, kind: PartKind) -> list[int]:
        """Return the number of parts of a kind on each level."""
        if kind == "nic":
            return [self.ports.size]
        if kind == "link":
            return [each.n_cables for each in self._between()]
        return [self.count_of[each] for each in self._switches(kind)]

    def count(self, kind: PartKind) -> int:
        """Return the number of parts of a kind."""
        return sum(self._counts(kind))

    def alike(self, kind: PartKind) -> list[tuple[int, int]]:
        """Return the first part of a kind on each level, and the number of parts there."""
        counts = self._counts(kind)
        return [(after - n, n) for after, n in zip(accumulate(counts), counts, strict=True) if n]

    def part(self, kind: PartKind, number: int) -> tuple[str, Ints]:
        """Return the name and the cables of a part, counted from 0 within its kind."""
        name = self.pool.name
        if kind == "nic":
            node, nic = divmod(number, self.ports.shape[1])
            return f"{name}/node/{node}/nic/{nic}", self.ports[node, nic : nic + 1]
        if kind == "link":
            for level in self._between():
                if number < level.n_cables:
                    cable = int(level.first[0]) + number
                    return f"{name}/{level.cable_name(cable)}", np.array([cable])
                number -= level.n_cables
        else:
            for each in self._switches(kind):
                if number < self.count_of[each]:
                    return f"{name}/{each}/{number}", self.of_vertex(each, number)
                number -= self.count_of[each]
        raise IndexError(f"pool {name} has no {kind} of this number")

    def all_cables(self, kind: PartKind) -> Ints:
        """Return the cables of all parts of a kind."""
        if kind == "nic":
            return self.ports.ravel()
        levels = self._between()
        if kind != "link":
            own = set(self._switches(kind))
            levels = [
                each
                for each in self.levels
                if own & {each.wiring.lower_kind, each.wiring.upper_kind}
            ]
        found = [np.arange(each.first[0], each.first[-1]) for each in levels]
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])

    def of_vertex(self, kind: str, index: int) -> Ints:
        """Return the cables of a switch or a node."""
        found = [np.zeros(0, dtype=np.int64)]
        for level, links in self.links_of_vertex(kind, index):
            found.append(level.cables(np.flatnonzero(links)))
        return np.concatenate(found)

    def links_of_vertex(self, kind: str, index: int) -> Iterator[tuple[CableLevel, Bools]]:
        """Yield each level, and which of its links end at a switch or a node."""
        for level in self.levels:
            wiring = level.wiring
            here = np.zeros(len(wiring.lower), dtype=bool)
            if wiring.lower_kind == kind:
                here |= wiring.lower == index
            if wiring.upper_kind == kind:
                here |= wiring.upper == index
            yield level, here

    def links(self, cables: Ints) -> list[tuple[str, int, float]]:
        """Return the links to which cables belong: name, number of cables, and their rate."""
        rows, pool = [], self.pool
        for level in self.levels:
            own = cables[(cables >= level.first[0]) & (cables < level.first[-1])]
            link = np.unique(level.link_of(own))
            count = level.wiring.multiplicity[link].tolist()
            for each, n in zip(link.tolist(), count, strict=True):
                name = f"{pool.name}/{level.link_name(each)}"
                rows.append((name, n, float(level.wiring.link_Bps)))
        if self.datacenter in cables:
            rows.append((f"{pool.name}/uplinks", 1, float(pool.datacenter_Bps)))
        return rows


def _of_groups(level: CableLevel, groups: Ints) -> tuple[Ints, Ints]:
    """Return the group and the cable of each cable of a level, without the group -1."""
    kept = np.flatnonzero(groups >= 0)
    return np.repeat(groups[kept], level.wiring.multiplicity[kept]), level.cables(kept)
