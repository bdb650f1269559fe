"""Faults of a cluster's cables, and what they leave of its trunks and of the ports of its nodes.

Routes avoid cables that are down: a trunk keeps the part of its capacity that its other cables
have, as if load balancing spread the traffic over them, and a node the rate of its other ports. A
cable under several faults has the rate that the worst of them leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.network.trunks import DATACENTER, LEAF, RAIL, TrunkGraph

if TYPE_CHECKING:
    from clustersim.topology import NetworkParts

__all__ = ["CableState", "Changed", "NetworkFault", "instants"]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkFault:
    """A period in which a part of the network is down or degraded.

    Attributes
    ----------
    begin_s, end_s : float
        Start and end, seconds; the end is infinite if it is never repaired.
    part : str
        Name of the part, see :mod:`~clustersim.topology.network_parts`.
    cables : int64 array
        The cables of the part.
    capacity : float
        Part of their rate that is left; 0 if they are down.
    cause : str
        Name of the fault or of its source, for tables.
    """

    begin_s: float
    end_s: float
    part: str
    cables: Ints
    capacity: float = 0.0
    cause: str = ""


def instants(
    faults: Iterable[NetworkFault],
) -> Iterator[tuple[float, list[NetworkFault], list[NetworkFault]]]:
    """Yield each time (seconds) with the faults that end then and those that begin.

    Parameters
    ----------
    faults : iterable of NetworkFault
        In order of their start; the sequence may be infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.network import NetworkFault
    >>> cable = np.array([0])
    >>> faults = [NetworkFault(begin_s, 5, "h200/leaf/0", cable) for begin_s in (1, 3)]
    >>> [(time, len(ended), len(begun)) for time, ended, begun in instants(faults)]
    [(1, 0, 1), (3, 0, 1), (5, 2, 0)]
    """
    ends: list[tuple[float, int, NetworkFault]] = []
    coming = iter(faults)
    following = next(coming, None)
    number = 0
    while following is not None or ends:
        begin_s = math.inf if following is None else following.begin_s
        time_s = min(begin_s, ends[0][0]) if ends else begin_s
        ended: list[NetworkFault] = []
        begun: list[NetworkFault] = []
        while ends and ends[0][0] <= time_s:
            ended.append(heappop(ends)[2])
        while following is not None and following.begin_s <= time_s:
            begun.append(following)
            if following.end_s < math.inf:
                heappush(ends, (following.end_s, number, following))
            number += 1
            following = next(coming, None)
        yield time_s, ended, begun


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Trunks (upward, numbered as in the trunk graph) and nodes that a fault concerns."""

    trunks: Ints
    nodes: Ints


class CableState:
    """The rates that faults leave, at one time.

    Parameters
    ----------
    parts : NetworkParts
    graph : TrunkGraph
        The trunk graph of the same cluster.

    Attributes
    ----------
    trunk_part : float64 array (trunks of the graph,)
        Part of its capacity that each trunk upward has left; it is the same downward.
    node_part : float64 array (nodes,)
        Part of the rate of its ports that each node has left.

    Examples
    --------
    One of the 16 spines of a SuperPOD, and a leaf, which is one of the 8 leaves of its unit:

    >>> import clustersim as cs
    >>> from clustersim.network import CableState, NetworkFault, trunk_graph
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> parts, graph = cs.topology.NetworkParts(cluster), trunk_graph(cluster)
    >>> state = CableState(parts, graph)
    >>> for name in ("h200/spine/0", "h200/leaf/0"):
    ...     changed = state.begin(NetworkFault(0.0, 60.0, name, parts.cables_of(name)))
    ...     print(state.trunk_part[changed.trunks], state.node_part[changed.nodes][:2])
    [0.9375 0.9375 0.9375 0.9375] []
    [0.8203125] [0.875 0.875]
    """

    def __init__(self, parts: NetworkParts, graph: TrunkGraph) -> None:
        self._rate_Bps = parts.rate_Bps
        trunk = _trunks_of_members(parts, graph)
        self._of_trunk = _Members(trunk, parts.trunk_cable, graph.n_trunks)
        self._of_node = _Members(parts.port_node, parts.port_cable, graph.n_nodes)
        self._trunk_of = _Members(parts.trunk_cable, trunk, len(parts.rate_Bps))
        self._node_of = _Members(parts.port_cable, parts.port_node, len(parts.rate_Bps))
        self._ports_of_node = graph.up_of_node[RAIL]
        self._left = np.ones(len(parts.rate_Bps))
        self._faults: dict[int, list[float]] = {}
        self.trunk_part: Floats = np.ones(graph.n_trunks)
        self.node_part: Floats = np.ones(graph.n_nodes)

    def concerned(self, cables: Ints) -> Changed:
        """Return the trunks and the nodes to which cables belong."""
        return Changed(
            np.unique(self._trunk_of.of_all(cables)), np.unique(self._node_of.of_all(cables))
        )

    def narrowed_by(self, cables: Ints) -> frozenset[int]:
        """Return the trunks upward, and the ports of nodes, that lose capacity with cables.

        Ports have the number of the trunk from the node to its switches.
        """
        changed = self.concerned(cables)
        ports = self._ports_of_node[changed.nodes]
        return frozenset([*changed.trunks.tolist(), *ports.tolist()])

    def cables_of_trunk(self, trunk: int) -> Ints:
        """Return the cables of a trunk upward."""
        return self._of_trunk.of(trunk)

    def cables_of_node(self, node: int) -> Ints:
        """Return the cables of the ports of a node."""
        return self._of_node.of(node)

    def begin(self, fault: NetworkFault) -> Changed:
        """Apply a fault."""
        for cable in fault.cables.tolist():
            faults = self._faults.setdefault(cable, [])
            faults.append(fault.capacity)
            self._left[cable] = min(faults)
        return self._update(fault.cables)

    def end(self, fault: NetworkFault) -> Changed:
        """Repair what a fault that began has broken."""
        for cable in fault.cables.tolist():
            faults = self._faults[cable]
            faults.remove(fault.capacity)
            self._left[cable] = min(faults, default=1.0)
            if not faults:
                del self._faults[cable]
        return self._update(fault.cables)

    def _update(self, cables: Ints) -> Changed:
        changed = self.concerned(cables)
        for trunk in changed.trunks.tolist():
            self.trunk_part[trunk] = self._part(self._of_trunk.of(trunk))
        for node in changed.nodes.tolist():
            self.node_part[node] = self._part(self._of_node.of(node))
        return changed

    def _part(self, cables: Ints) -> float:
        """Return the rate that some cables have left, divided by their rate without faults."""
        rate = self._rate_Bps[cables]
        return float((rate * self._left[cables]).sum() / rate.sum())


class _Members:
    """For each owner, its members, from pairs of an owner and a member."""

    def __init__(self, owner: Ints, member: Ints, n_owners: int) -> None:
        self._member = member[np.argsort(owner, kind="stable")]
        self._first = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=n_owners))))

    def of(self, owner: int) -> Ints:
        return self._member[self._first[owner] : self._first[owner + 1]]

    def of_all(self, owners: Ints) -> Ints:
        found = [self.of(owner) for owner in owners.tolist()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def _trunks_of_members(parts: NetworkParts, graph: TrunkGraph) -> Ints:
    """Return the trunk upward of each cable of a trunk."""
    level = np.where(parts.trunk_level < 0, DATACENTER, LEAF + parts.trunk_level)
    upward = np.flatnonzero(graph.upward & (graph.level >= LEAF))
    most = int(graph.group.max(initial=0)) + 1
    key = (graph.pool[upward] * (DATACENTER + 1) + graph.level[upward]) * most
    key += graph.group[upward]
    order = np.argsort(key)
    asked = (parts.trunk_pool * (DATACENTER + 1) + level) * most + parts.trunk_group
    found: Ints = upward[order[np.searchsorted(key[order], asked)]]
    return found
