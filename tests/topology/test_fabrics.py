"""Counts and bandwidths of each fabric: closed forms, reference designs, and max-flow."""

from __future__ import annotations

import math

import networkx as nx
import pytest

from clustersim.topology import build_graph, resolve_cluster, summarise

NIC = 10e9


def counts(spec) -> dict[str, int]:
    return {tier.kind: tier.switches for tier in summarise(spec).pools[0].tiers}


def links(spec) -> dict[str, int]:
    return {level.name: level.links for level in summarise(spec).pools[0].levels}


def graph_counts(graph) -> dict[str, int]:
    """Physical switches by kind: vertices times their multiplicity."""
    found: dict[str, int] = {}
    for _, data in graph.nodes(data=True):
        if data["level"]:
            found[data["kind"]] = found.get(data["kind"], 0) + data["multiplicity"]
    return found


def graph_links(graph) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, _, data in graph.edges(data=True):
        found[data["level"]] = found.get(data["level"], 0) + data["multiplicity"]
    return found


FABRICS = {
    "fat tree": ({"type": "fat-tree", "k": 4}, 16, 1),
    "fat tree, planes": ({"type": "fat-tree", "k": 4, "planes": 2}, 16, 4),
    "fat tree, oversubscribed": (
        {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2, "aggregation": 3}},
        16,
        2,
    ),
    "rail, one unit": ({"type": "rail-optimised", "unit_nodes": 8}, 8, 4),
    "rail, two tiers": ({"type": "rail-optimised", "unit_nodes": 4, "radix": 8}, 8, 4),
    "rail, leaf oversubscribed": (
        {"type": "rail-optimised", "unit_nodes": 4, "radix": 8, "oversubscription": {"leaf": 2}},
        8,
        4,
    ),
    "rail, three tiers": (
        {"type": "rail-optimised", "unit_nodes": 4, "radix": 8, "units_per_pod": 2},
        32,
        4,
    ),
    "rail, spine oversubscribed": (
        {
            "type": "rail-optimised",
            "unit_nodes": 3,
            "radix": 6,
            "units_per_pod": 2,
            "oversubscription": {"spine": 2},
        },
        12,
        2,
    ),
    "rail, faster switches": (
        {"type": "rail-optimised", "unit_nodes": 4, "radix": 8, "link_rate": "20 GB/s"},
        16,
        2,
    ),
    "torus 2-D": ({"type": "torus", "dims": [6, 4]}, 24, 2),
    "torus 3-D": ({"type": "torus", "dims": [4, 2, 3]}, 24, 1),
    "dragonfly, even": (
        {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 3, "global_links": 1},
        24,
        2,
    ),
    "dragonfly, one group": (
        {"type": "dragonfly", "nodes_per_router": 4, "routers_per_group": 4, "global_links": 1},
        16,
        1,
    ),
    "full mesh": ({"type": "full-mesh"}, 8, 2),
    "none": ({"type": "none"}, 6, 2),
}


@pytest.fixture(params=sorted(FABRICS))
def case(request, make_spec):
    fabric, nodes, chips = FABRICS[request.param]
    return make_spec(fabric, nodes, chips), nodes


@pytest.mark.parametrize("merge", [True, False])
def test_graph_has_the_switches_and_links_of_the_closed_forms(case, merge):
    spec, nodes = case
    graph = build_graph(spec, merge_rails=merge)
    found = graph_counts(graph)
    found.pop("ideal", None)
    assert found == counts(spec)
    assert graph_links(graph) == links(spec)
    assert sum(data["kind"] == "node" for _, data in graph.nodes(data=True)) == nodes
    assert nx.is_connected(graph)


@pytest.mark.parametrize("merge", [True, False])
def test_bisection_is_the_maximum_flow_between_halves(case, half_cut, merge):
    spec, nodes = case
    expected = summarise(spec).pools[0].bisection_Bps
    assert half_cut(build_graph(spec, merge_rails=merge), nodes) == pytest.approx(expected)


def test_edges_carry_rate_latency_and_multiplicity(case):
    spec, _ = case
    levels = {level.name: level for level in summarise(spec).pools[0].levels}
    for _, _, data in build_graph(spec).edges(data=True):
        level = levels[data["level"]]
        assert data["bandwidth_Bps"] == pytest.approx(data["multiplicity"] * level.link_Bps)
        assert data["latency_s"] == level.latency_s == pytest.approx(1e-6)


@pytest.mark.parametrize("k", [2, 4, 6, 8, 12])
def test_fat_tree_has_the_counts_of_the_paper(make_spec, k):
    """Al-Fares et al. 2008: k^3/4 hosts, 5 k^2/4 switches of k ports, full bisection."""
    spec = make_spec({"type": "fat-tree", "k": k}, k**3 // 4)
    summary = summarise(spec).pools[0]
    assert summary.switches == 5 * k**2 // 4
    assert counts(spec) == {"edge": k**2 // 2, "aggregation": k**2 // 2, "core": k**2 // 4}
    assert summary.links == 3 * k**3 // 4
    assert summary.bisection_Bps == k**3 // 4 * NIC / 2
    graph = build_graph(spec)
    switches = [vertex for vertex, data in graph.nodes(data=True) if data["level"] > 0]
    assert {graph.degree(vertex) for vertex in switches} == {k}


def test_fat_tree_chooses_the_smallest_k(make_spec):
    assert counts(make_spec({"type": "fat-tree"}, 17))["core"] == 9
    assert counts(make_spec({"type": "fat-tree"}, 16))["core"] == 4


@pytest.mark.parametrize(
    ("units", "leaf", "spine", "core"),
    [(4, 32, 16, 0), (8, 64, 32, 0), (16, 128, 128, 64), (32, 256, 256, 128), (64, 512, 512, 256)],
)
def test_superpod_has_the_counts_of_the_reference_architecture(make_spec, units, leaf, spine, core):
    """NVIDIA DGX SuperPOD reference architecture, table of larger SuperPOD component counts."""
    spec = make_spec({"type": "rail-optimised"}, 32 * units, 8)
    expected = {"leaf": leaf, "spine": spine, **({"core": core} if core else {})}
    assert counts(spec) == expected
    assert set(links(spec).values()) == {256 * units}  # cables of every level
    assert summarise(spec).pools[0].oversubscription == 1


def test_no_switch_has_more_links_than_ports(make_spec):
    for units in (3, 5, 8, 11, 24, 40):
        fabric = {"type": "rail-optimised", "unit_nodes": 4, "radix": 16, "units_per_pod": 5}
        graph = build_graph(make_spec(fabric, 4 * units, 8), merge_rails=False)
        for vertex, data in graph.nodes(data=True):
            if data["level"]:
                ports = sum(edge["multiplicity"] for *_, edge in graph.edges(vertex, data=True))
                assert ports <= 16, vertex


def test_units_of_a_rail_reach_each_other_over_one_spine(make_spec):
    fabric = {"type": "rail-optimised", "unit_nodes": 4, "radix": 16, "units_per_pod": 6}
    graph = build_graph(make_spec(fabric, 48, 8), merge_rails=False)
    for rail in range(8):
        spines = [
            {v for v in graph[f"p/leaf/{unit * 8 + rail}"] if "/spine/" in v} for unit in range(6)
        ]
        assert all(group == spines[0] for group in spines)


@pytest.mark.parametrize("dims", [[4, 4], [2, 6], [1, 8], [2, 2, 2], [4, 3, 2], [6, 1, 4]])
def test_torus_counts(make_spec, dims):
    nodes = 1
    for size in dims:
        nodes *= size
    spec = make_spec({"type": "torus", "dims": dims, "link_rate": "1 GB/s"}, nodes)
    assert links(spec) == {
        f"torus-{'xyz'[axis]}": nodes for axis, size in enumerate(dims) if size > 1
    }
    assert summarise(spec).pools[0].bisection_Bps == 2 * nodes / max(dims) * 1e9
    graph = build_graph(spec)
    degree = 2 * sum(size > 1 for size in dims)
    for vertex in graph:
        assert sum(data["multiplicity"] for *_, data in graph.edges(vertex, data=True)) == degree


def test_balanced_dragonfly_counts(make_spec):
    """Kim et al. 2008: a = 2p = 2h, g = a h + 1; N = 72 for p = 2."""
    fabric = {
        "type": "dragonfly",
        "nodes_per_router": 2,
        "routers_per_group": 4,
        "global_links": 2,
    }
    spec = make_spec(fabric, 72)
    assert counts(spec) == {"router": 36}
    assert links(spec) == {"node-router": 72, "local": 9 * 6, "global": 36}
    graph = build_graph(spec)
    routers = [vertex for vertex, data in graph.nodes(data=True) if data["kind"] == "router"]
    assert {graph.degree(router) for router in routers} == {2 + 3 + 2}
    groups = nx.quotient_graph(
        graph.subgraph(routers), [routers[4 * g : 4 * g + 4] for g in range(9)]
    )
    assert groups.number_of_edges() == 36
    # any two routers are at most local, global, local apart
    assert (
        max(dict(nx.all_pairs_shortest_path_length(graph.subgraph(routers)))[routers[0]].values())
        <= 3
    )


def test_dragonfly_with_few_groups_shares_its_global_links(make_spec):
    fabric = {
        "type": "dragonfly",
        "nodes_per_router": 2,
        "routers_per_group": 4,
        "global_links": 2,
        "groups": 3,
    }
    spec = make_spec(fabric, 24)
    assert links(spec)["global"] == 3 * (4 * 2 // 2)
    graph = build_graph(spec)
    ports = {router: 0 for router in graph if "/router/" in router}
    for one, other, data in graph.edges(data=True):
        if data["level"] == "global":
            ports[one] += data["multiplicity"]
            ports[other] += data["multiplicity"]
    assert max(ports.values()) <= 2


def test_full_mesh_counts(make_spec):
    spec = make_spec({"type": "full-mesh"}, 8)
    assert links(spec) == {"mesh": 28}
    assert summarise(spec).pools[0].bisection_Bps == pytest.approx(16 * NIC / 7)


def test_oversubscription_divides_the_effective_rate(make_spec):
    rail = {"type": "rail-optimised", "unit_nodes": 4, "radix": 12, "units_per_pod": 2}
    for over, factor in (({"leaf": 2}, 2), ({"spine": 2}, 2), ({"leaf": 2, "spine": 2}, 4)):
        spec = make_spec({**rail, "oversubscription": over}, 32, 4)
        assert summarise(spec).pools[0].oversubscription == pytest.approx(factor)
    tree = {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2, "aggregation": 3}}
    pool = summarise(make_spec(tree, 16)).pools[0]
    assert pool.nic_Bps == pytest.approx(NIC / 6)
    assert [level.oversubscription for level in pool.levels] == [None, 2, 3]


def test_total_oversubscription_is_the_product_of_the_levels(case):
    spec, _ = case
    (pool,) = summarise(spec).pools
    factors = pool.oversubscription_by_level
    assert math.prod(factors.values()) == pytest.approx(pool.oversubscription, rel=1e-12)
    assert all(factor >= 1 for factor in factors.values())


def test_oversubscription_by_level(make_spec):
    tree = {"type": "fat-tree", "k": 4, "oversubscription": {"edge": 2, "aggregation": 3}}
    (pool,) = summarise(make_spec(tree, 16)).pools
    assert pool.oversubscription_by_level == pytest.approx({"edge": 2, "pod": 3})
    (pool,) = summarise(make_spec(tree, 4)).pools  # one pod: nothing crosses the cores
    assert pool.oversubscription_by_level == pytest.approx({"edge": 2})
    (pool,) = summarise(make_spec({"type": "torus", "dims": [16, 4]}, 64)).pools
    assert pool.oversubscription_by_level == pytest.approx({"bisection": 8})


def test_oversubscription_above_the_only_unit_does_not_count(make_spec):
    fabric = {"type": "rail-optimised", "unit_nodes": 8, "oversubscription": {"leaf": 4}}
    assert summarise(make_spec(fabric, 8, 4)).pools[0].nic_Bps == NIC


def test_torus_rate_is_bound_by_its_bisection(make_spec):
    pool = summarise(make_spec({"type": "torus", "dims": [16, 4]}, 64)).pools[0]
    # 2 * 64/16 links of 10/4 GB/s; 4 B / n
    assert pool.bisection_Bps == pytest.approx(8 * NIC / 4)
    assert pool.nic_Bps == pytest.approx(4 * 8 * NIC / 4 / 64)


def test_pools_are_joined_by_the_datacenter_network_or_apart(catalogue):
    pool = {"accelerator": "H20", "nodes": 8, "fabric": {"type": "rail-optimised", "unit_nodes": 4}}
    data = {"name": "two", "pools": {"one": pool, "two": pool}}
    apart = build_graph(resolve_cluster(data, catalogue))
    assert nx.number_connected_components(apart) == 2
    data["datacenter_network"] = {"rate": "1 GB/s", "rates": {"two": "3 GB/s"}, "latency": "2 ms"}
    for merge in (True, False):
        joined = build_graph(resolve_cluster(data, catalogue), merge_rails=merge)
        assert nx.is_connected(joined)
        flow = nx.maximum_flow_value(joined, "one/node/0", "two/node/5", capacity="bandwidth_Bps")
        assert flow == pytest.approx(1e9)
    path = nx.shortest_path_length(joined, "one/gateway/0", "two/gateway/0", weight="latency_s")
    assert path == pytest.approx(2e-3)
