"""What faults leave of trunks and ports: by hand, and compared with the graph of the topology."""

from __future__ import annotations

from collections import defaultdict

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.network import CableState, NetworkFault, trunk_graph
from clustersim.network.trunks import LEAF
from clustersim.topology import Cluster, NetworkParts, build_graph
from tests.examples import examples
from tests.topology.fabric_clusters import FABRICS, fabric_cluster, fabric_spec

WITH_TRUNKS = ["rails", "one rail", "two pods", "planes", "fat tree", "dragonfly"]


def state_of(cluster: Cluster) -> tuple[NetworkParts, CableState]:
    parts = NetworkParts(cluster)
    return parts, CableState(parts, trunk_graph(cluster))


def begun(state: CableState, parts: NetworkParts, name: str, left: float = 0.0) -> NetworkFault:
    fault = NetworkFault(0.0, 1.0, name, parts.cables_of(name), left)
    state.begin(fault)
    return fault


def uplink_parts(cluster: Cluster, state: CableState, level: int = 0) -> list[float]:
    graph = trunk_graph(cluster)
    own = (graph.level == LEAF + level) & graph.upward
    return state.trunk_part[own].tolist()


def test_parts_of_rails_by_hand() -> None:
    """Units of 2 nodes, 8 leaves with an uplink each."""
    cluster = fabric_cluster("rails")
    parts, state = state_of(cluster)
    leaf = begun(state, parts, "a/leaf/3")
    assert uplink_parts(cluster, state) == [7 / 8, 1, 1, 1]
    assert state.node_part.tolist() == [7 / 8] * 2 + [1] * 6
    port = begun(state, parts, "a/node/1/nic/0", 0.5)
    assert state.node_part.tolist()[:2] == [7 / 8, 6.5 / 8]
    same = begun(state, parts, "a/node/1/nic/3", 0.5)  # behind the leaf that is down
    assert state.node_part[1] == 6.5 / 8
    state.end(leaf)
    assert state.node_part.tolist()[:2] == [1, 7 / 8]
    state.end(port)
    state.end(same)
    assert (state.node_part == 1).all()
    assert (state.trunk_part == 1).all()


def test_the_worst_fault_of_a_cable_counts() -> None:
    cluster = fabric_cluster("rails")
    parts, state = state_of(cluster)
    half = begun(state, parts, "a/unit/1/uplinks", 0.5)
    begun(state, parts, "a/spine/0", 0.8)
    assert uplink_parts(cluster, state) == pytest.approx([0.8, 0.5, 0.8, 0.8])
    state.end(half)
    assert uplink_parts(cluster, state) == pytest.approx([0.8] * 4)
    begun(state, parts, "a/leaf/0-spine/0")
    assert uplink_parts(cluster, state) == pytest.approx([0.7, 0.8, 0.8, 0.8])


def test_a_spine_and_a_core_take_their_share_of_every_trunk() -> None:
    """Two pods of two units; a leaf has 1 uplink, and a spine a port for each of the 16 leaves."""
    cluster = fabric_cluster("two pods")
    parts, state = state_of(cluster)
    counts = {each.kind: (each.count, each.cables) for each in parts.listed()}
    assert counts["switch (spine)"] == (2, 16 * 2 + 2 * counts["link (spine-core)"][1] // 2)
    begun(state, parts, "a/spine/0")
    assert uplink_parts(cluster, state) == [0, 0, 1, 1]
    assert uplink_parts(cluster, state, 1) == [0, 1]
    assert (state.node_part == 1).all()


def test_the_connection_of_a_pool() -> None:
    cluster = fabric_cluster("rails", "none", joined=True)
    parts, state = state_of(cluster)
    begun(state, parts, "b/uplinks", 0.25)
    graph = trunk_graph(cluster)
    narrow = np.flatnonzero(state.trunk_part < 1)
    assert graph.pool[narrow].tolist() == [1]
    assert graph.up_of_node[-1, -1] == narrow[0]


# --- A plain twin --------------------------------------------------------------------


def trunk_rates(graph: nx.Graph[str], cluster: Cluster) -> dict[tuple[int, int], float]:
    """The rate that leaves each group of nodes upward, from the edges that are left."""
    pool = cluster.pools[0]
    found: dict[tuple[int, int], float] = defaultdict(float)
    for level, trunk in enumerate(pool.trunks):
        group = {f"a/node/{node}": int(g) for node, g in enumerate(trunk.group_of_node)}
        routers = any(kind == "router" for _, kind in graph.nodes(data="kind"))
        below = 1 if routers else level + 1  # the layer of switches whose uplinks they are
        own: dict[str, set[int]] = defaultdict(set)
        for node, g in group.items():
            reached = {node}
            for _ in range(below):
                reached = {
                    up
                    for low in reached
                    for up in graph[low]
                    if graph.nodes[up]["level"] > graph.nodes[low]["level"]
                }
            for vertex in reached:
                own[vertex].add(g)
        for vertex, groups in own.items():
            [g] = groups
            for other in graph[vertex]:
                higher = graph.nodes[other]["level"] > graph.nodes[vertex]["level"]
                away = routers and other in own and own[other] != groups
                if higher or away:
                    found[level, g] += graph[vertex][other]["left_Bps"]
    return found


@pytest.mark.parametrize("name", WITH_TRUNKS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_capacities_are_those_of_the_edges_that_are_left(name: str, seed: int) -> None:
    """Random faults of links, switches and ports, some of which overlap and some of which end.

    Full groups only: the twin follows the cables from the nodes, with all their routes.
    """
    rng = np.random.default_rng(seed)
    cluster = fabric_cluster(name, nodes=16)
    parts, state = state_of(cluster)
    full = build_graph(fabric_spec(FABRICS[name], nodes=16), merge_rails=False)
    running: list[NetworkFault] = []
    vertices = [v for v, kind in full.nodes(data="kind") if kind != "node"]
    edges = list(full.edges)
    for _ in range(int(rng.integers(1, 12))):
        if running and rng.random() < 0.3:
            state.end(running.pop(int(rng.integers(len(running)))))
            continue
        if rng.random() < 0.4:
            part = vertices[int(rng.integers(len(vertices)))]
        else:
            one, other = edges[int(rng.integers(len(edges)))]
            part = f"{one}-{other.removeprefix('a/')}"
        running.append(begun(state, parts, part, float(rng.choice([0.0, 0.25, 0.5]))))
    left: dict[frozenset[str], float] = {}
    for fault in running:
        one, _, other = fault.part.partition("-")
        ends = [frozenset((one, f"a/{other}"))] if other else map(frozenset, full.edges(fault.part))
        for edge in ends:
            left[edge] = min(left.get(edge, 1.0), fault.capacity)
    for one, other, edge in full.edges(data=True):
        edge["left_Bps"] = edge["bandwidth_Bps"] * left.get(frozenset((one, other)), 1.0)
    rates = trunk_rates(full, cluster)
    for edge in full.edges.values():
        edge["left_Bps"] = edge["bandwidth_Bps"]
    whole = trunk_rates(full, cluster)
    graph = trunk_graph(cluster)
    for trunk in np.flatnonzero(graph.upward & (graph.level >= LEAF)).tolist():
        key = int(graph.level[trunk]) - LEAF, int(graph.group[trunk])
        assert state.trunk_part[trunk] == pytest.approx(rates[key] / whole[key])
    for node in range(16):
        ports = full.edges(f"a/node/{node}", data="bandwidth_Bps")
        has = sum(r * left.get(frozenset((one, other)), 1.0) for one, other, r in ports)
        assert state.node_part[node] == pytest.approx(has / sum(r for *_, r in ports))
    assert ((state.trunk_part >= 0) & (state.trunk_part <= 1)).all()
    for fault in running:
        state.end(fault)
    assert (state.trunk_part == 1.0).all(), "after all repairs exactly what it was"
    assert (state.node_part == 1.0).all()
