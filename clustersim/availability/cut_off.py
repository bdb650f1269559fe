"""Nodes that faults cut off from the network, as node events.

A node is cut off if none of its network ports works, or if all cables are down that lead from a
group of nodes to which it belongs to the rest of the network. It is then out of service: its jobs
stop without warning, including those on this node alone, because schedulers, storage and users
cannot reach it either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from clustersim.array_types import Ints
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.network import CableState, NetworkFault, TrunkGraph
from clustersim.network.cable_faults import instants
from clustersim.network.trunks import DATACENTER, LEAF
from clustersim.topology import NetworkParts

__all__ = ["nodes_cut_off"]


_MOST_FAULTS = 32
"""Number of instants with faults, but without an event, after which there is a pause."""


def nodes_cut_off(
    faults: Iterable[NetworkFault],
    parts: NetworkParts,
    graph: TrunkGraph,
    *,
    pauses: bool = False,
) -> Iterator[NodeEvent]:
    """Yield the periods in which nodes are cut off, in order of their start.

    The end of a period is known from the faults that have begun at its start. If a later fault
    makes it longer, another period follows at its end.

    Parameters
    ----------
    faults : iterable of NetworkFault
        In order of their start.
    parts : NetworkParts
    graph : TrunkGraph
        The trunk graph of the same cluster.
    pauses : bool
        Whether to add pauses, for a simulation with an infinite sequence of faults: it must not
        look for the next node that is cut off longer than it lasts itself.

    Examples
    --------
    All 8 leaves of a unit are down from 60 s to 120 s, and one of them for longer:

    >>> import clustersim as cs
    >>> from clustersim.network import NetworkFault, trunk_graph
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> parts, graph = cs.topology.NetworkParts(cluster), trunk_graph(cluster)
    >>> leaves = [f"h200/leaf/{index}" for index in range(8)]
    >>> ends_s = [120.0] * 7 + [300.0]
    >>> faults = [
    ...     NetworkFault(60.0, end_s, leaf, parts.cables_of(leaf))
    ...     for leaf, end_s in zip(leaves, ends_s)
    ... ]
    >>> events = list(nodes_cut_off(faults, parts, graph))
    >>> len(events), events[31].node, events[31].begin_s, events[31].end_s
    (32, 31, 60.0, 120.0)
    """
    state = _Reach(parts, graph)
    quiet = 0
    for time_s, ended, begun in instants(faults):
        touched = [state.end(fault) for fault in ended]
        touched += [state.begin(fault) for fault in begun]
        cause = begun[-1].cause if begun else ""
        quiet += 1
        for event in state.cut_off(np.unique(np.concatenate(touched)), time_s, cause):
            yield event
            quiet = 0
        if pauses and quiet >= _MOST_FAULTS:
            yield NodeEvent(time_s, time_s, -1, -1)
            quiet = 0


class _Reach:
    """Which nodes reach the rest of the network, and when the others will."""

    def __init__(self, parts: NetworkParts, graph: TrunkGraph) -> None:
        self._graph = graph
        self._state = CableState(parts, graph)
        self._down_until_s: dict[int, list[float]] = {}
        self._out_until_s: dict[int, float] = {}
        self._cause: dict[int, str] = {}
        # The trunk of a single group is only crossed on the way to other pools.
        joined = bool((graph.up_of_node[DATACENTER] >= 0).any()) and len(graph.first_node) > 2
        self._trunks_of = []
        for level in range(LEAF, DATACENTER):
            up = graph.up_of_node[level]
            groups = np.array(
                [
                    len(np.unique(up[first:last]))
                    for first, last in zip(graph.first_node[:-1], graph.first_node[1:], strict=True)
                ]
            )
            crossed = (groups > 1) | joined
            own = np.where(crossed[graph.pool_of_node(np.arange(graph.n_nodes))], up, -1)
            self._trunks_of.append(own)

    def begin(self, fault: NetworkFault) -> Ints:
        """Apply a fault, and return the nodes that it may cut off."""
        changed = self._state.begin(fault)
        if fault.capacity > 0.0:
            return np.zeros(0, dtype=np.int64)
        for cable in fault.cables.tolist():
            self._down_until_s.setdefault(cable, []).append(fault.end_s)
        return self._touched(changed.trunks, changed.nodes)

    def end(self, fault: NetworkFault) -> Ints:
        """Repair a fault, and return the nodes that it may have cut off."""
        changed = self._state.end(fault)
        if fault.capacity > 0.0:
            return np.zeros(0, dtype=np.int64)
        for cable in fault.cables.tolist():
            self._down_until_s[cable].remove(fault.end_s)
        return self._touched(changed.trunks, changed.nodes)

    def _touched(self, trunks: Ints, nodes: Ints) -> Ints:
        dead = trunks[self._state.trunk_part[trunks] == 0.0]
        if not len(dead) and not self._out_until_s:
            return nodes
        below = [np.flatnonzero(np.isin(own, trunks)) for own in self._trunks_of]
        return np.concatenate([nodes, *below])

    def cut_off(self, nodes: Ints, now_s: float, cause: str) -> Iterator[NodeEvent]:
        """Yield the periods of nodes that are cut off from now on, or still after a period."""
        until_s: dict[int, float] = {}
        for node in nodes.tolist():
            end_s = self._until_s(node, now_s, until_s)
            if end_s <= now_s:
                self._cause.pop(node, None)
                continue
            why = self._cause.setdefault(node, cause)
            if self._out_until_s.get(node, -1.0) <= now_s:
                self._out_until_s[node] = end_s
                pool = int(self._graph.pool_of_node(node))
                number = node - int(self._graph.first_node[pool])
                yield NodeEvent(now_s, end_s, pool, number, why, NodeEventKind.CUT_OFF)

    def _until_s(self, node: int, now_s: float, of_trunk: dict[int, float]) -> float:
        """Return until when a node is cut off, with the faults so far."""
        state, end_s = self._state, now_s
        if state.node_part[node] == 0.0:
            end_s = self._first_back_s(state.cables_of_node(node))
        for own in self._trunks_of:
            trunk = int(own[node])
            if trunk >= 0 and state.trunk_part[trunk] == 0.0:
                if trunk not in of_trunk:
                    of_trunk[trunk] = self._first_back_s(state.cables_of_trunk(trunk))
                end_s = max(end_s, of_trunk[trunk])
        return end_s

    def _first_back_s(self, cables: Ints) -> float:
        """Return when the first of some cables, which are all down, works again."""
        return min(max(self._down_until_s[cable]) for cable in cables.tolist())
