"""The trunk graph: capacities and routes by hand, and against the graph of all switches."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.network import LEVELS, trunk_graph
from clustersim.topology import (
    build_graph,
    compile_cluster,
    resolve_cluster,
    single_pool,
    summarise,
)

GB = 1e9
TWO_PODS = {"type": "rail-optimised", "unit_nodes": 2, "units_per_pod": 2, "radix": 4}
"""Eight nodes of two chips in four units and two pods, 10 GB/s a chip, without oversubscription."""


def cluster_of(*fabrics, nodes=8, chips=2, **network):
    """A cluster with a pool of each fabric."""
    pools = {
        f"p{index}": {
            "accelerator": "H20",
            "nodes": nodes,
            "chips_per_node": chips,
            "nic": "10 GB/s",
            "scale_up": {"bandwidth": "100 GB/s"},
            "fabric": fabric,
        }
        for index, fabric in enumerate(fabrics)
    }
    return resolve_cluster({"name": "test", "pools": pools, **network}, load_catalogue())


def graph_of(*fabrics, **more):
    return trunk_graph(compile_cluster(cluster_of(*fabrics, **more)))


def by_level(graph, values):
    return {name: values[graph.level == level].tolist() for level, name in enumerate(LEVELS)}


def test_two_pods_by_hand():
    graph = graph_of(TWO_PODS)
    capacity = by_level(graph, graph.capacity_Bps / GB)
    assert capacity == {
        "scale-up": [200.0] * 8,
        "rail": [20.0] * 16,  # up and down of each node
        "leaf": [40.0] * 8,
        "spine": [80.0] * 4,
        "datacenter": [],
    }
    latency = by_level(graph, graph.latency_s)
    assert set(latency["scale-up"]) == {0.0}
    assert {*latency["rail"], *latency["leaf"], *latency["spine"]} == {1e-6}
    network = graph.level > 0
    assert np.array_equal(graph.upward[network], np.tile([True, False], 14))


def test_routes_turn_at_the_nearest_common_switch():
    graph = graph_of(TWO_PODS)

    def route(source, target):
        trunks = graph.route(source, target)
        return [
            (LEVELS[graph.level[trunk]], int(graph.group[trunk]), bool(graph.upward[trunk]))
            for trunk in trunks
        ]

    assert route(5, 5) == [("scale-up", 5, True)]
    assert route(0, 1) == [("rail", 0, True), ("rail", 1, False)]
    assert route(1, 2) == [
        ("rail", 1, True),
        ("leaf", 0, True),
        ("leaf", 1, False),
        ("rail", 2, False),
    ]
    assert route(7, 0) == [
        ("rail", 7, True),
        ("leaf", 3, True),
        ("spine", 1, True),
        ("spine", 0, False),
        ("leaf", 0, False),
        ("rail", 0, False),
    ]


def test_oversubscription_divides_trunks():
    """Per edge switch 2 nodes of 20 GB/s over 2; per pod 2 edge switches of 20 GB/s over 4."""
    fabric = {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2, "aggregation": 4}}
    graph = graph_of(fabric, nodes=16)
    capacity = by_level(graph, graph.capacity_Bps / GB)
    assert (capacity["rail"], capacity["leaf"], capacity["spine"]) == (
        [20] * 32,
        [20] * 16,
        [10] * 8,
    )


FABRICS = {
    "two pods": (TWO_PODS, 8, 2),
    "one unit": ({"type": "rail-optimised", "unit_nodes": 8, "radix": 64}, 8, 2),
    "oversubscribed": (
        {**TWO_PODS, "radix": 16, "oversubscription": {"leaf": 2, "spine": 3}},
        16,
        2,
    ),
    "fat tree": ({"type": "fat-tree", "k": 4, "latency": "2 us"}, 16, 2),
    "fat tree, oversubscribed": (
        {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2, "aggregation": 3}},
        16,
        2,
    ),
    "mesh": ({"type": "full-mesh"}, 6, 2),
    "none": ({"type": "none"}, 6, 2),
    "dragonfly": (
        {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 4, "global_links": 2},
        72,
        1,
    ),
    "dragonfly of single routers": (
        {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 1, "global_links": 4},
        10,
        1,
    ),
}


@pytest.fixture(params=sorted(FABRICS))
def case(request):
    fabric, nodes, chips = FABRICS[request.param]
    return cluster_of(fabric, nodes=nodes, chips=chips), nodes


def test_latencies_are_those_of_the_longest_route_over_switches(case):
    spec, nodes = case
    graph, switches = trunk_graph(compile_cluster(spec)), build_graph(spec)
    shortest = nx.single_source_dijkstra_path_length(switches, "p0/node/0", weight="latency_s")
    longest: dict[tuple[int, ...], float] = {}
    for node in range(1, nodes):
        levels = tuple(graph.level[graph.route(0, node)].tolist())
        longest[levels] = max(longest.get(levels, 0.0), shortest[f"p0/node/{node}"])
    for node in range(1, nodes):
        route = graph.route(0, node)
        levels = tuple(graph.level[route].tolist())
        assert graph.latency_s[route].sum() == pytest.approx(longest[levels])


def test_trunks_have_the_capacity_of_all_cables(case):
    """Every unit, pod and tree of these cases is full, and so no cable is without a group."""
    spec, _ = case
    graph = trunk_graph(compile_cluster(spec))
    (pool,) = summarise(spec).pools
    up = {
        name: graph.capacity_Bps[(graph.level == level) & graph.upward].sum()
        for level, name in enumerate(LEVELS)
    }
    down = graph.capacity_Bps[(graph.level > 0) & ~graph.upward].sum()
    assert down == pytest.approx(up["rail"] + up["leaf"] + up["spine"])
    assert up["rail"] == pytest.approx(pool.chips * pool.port_Bps)
    cables = {level.name: level.links * level.link_Bps for level in pool.levels}
    if pool.fabric in ("rail-optimised", "fat-tree"):
        sums = [up[name] for name in ("rail", "leaf", "spine") if up[name]]
        assert sums == pytest.approx(list(cables.values()))


def test_total_oversubscription_is_that_of_the_narrowest_level(case):
    spec, _ = case
    graph = trunk_graph(compile_cluster(spec))
    (pool,) = summarise(spec).pools
    up = [graph.capacity_Bps[(graph.level == level) & graph.upward].sum() for level in (1, 2, 3)]
    assert up[0] / min(filter(None, up)) == pytest.approx(pool.oversubscription)


def test_pools_are_joined_by_the_datacenter_network():
    network = {"rate": "40 GB/s", "rates": {"p1": "30 GB/s"}, "latency": "1 ms"}
    tree = {"type": "fat-tree", "k": 4}
    spec = cluster_of(TWO_PODS, tree, datacenter_network=network)
    graph = trunk_graph(compile_cluster(spec))
    assert graph.first_node.tolist() == [0, 8, 16]
    assert graph.pool_of_node([0, 7, 8, 15]).tolist() == [0, 0, 1, 1]
    assert by_level(graph, graph.capacity_Bps / GB)["datacenter"] == [40, 40, 30, 30]
    route = graph.route(0, 15)
    names = [LEVELS[level] for level in graph.level[route]]
    upward = ["rail", "leaf", "spine", "datacenter"]
    assert names == [*upward, *reversed(upward)]
    path = nx.shortest_path_length(build_graph(spec), "p0/node/0", "p1/node/7", weight="latency_s")
    assert graph.latency_s[route].sum() == pytest.approx(path)


def test_pools_apart_have_no_route():
    graph = graph_of(TWO_PODS, TWO_PODS)
    with pytest.raises(InputError, match="the pools of nodes 0 and 8 are not connected"):
        graph.route(0, 8)
    with pytest.raises(InputError, match=r"nodes\[1\]: unknown node 16; allowed: 0 to 15"):
        graph.route(0, 16)


def test_a_scale_up_domain_of_several_nodes_is_one_trunk():
    spec = cluster_of(TWO_PODS)
    link = spec.pools["p0"].scale_up.model_copy(update={"size": 6})
    pool = spec.pools["p0"].model_copy(update={"scale_up": link})
    graph = trunk_graph(compile_cluster(spec.model_copy(update={"pools": {"p0": pool}})))
    # Domains of three nodes; the last has two.
    assert by_level(graph, graph.capacity_Bps / GB)["scale-up"] == [600, 600, 400]
    assert graph.route(0, 2) == graph.route(1, 1) == [0]
    assert len(graph.route(2, 3)) == 2


def test_a_cluster_without_topology_has_no_limits():
    graph = trunk_graph(single_pool(100))
    assert graph.n_trunks == 3
    assert np.isinf(graph.capacity_Bps).all()
    assert graph.latency_s.tolist() == [0, 0, 0]
