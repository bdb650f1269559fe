"""The compiled arrays: against the graph, against hand counts, and the budget of the fleet."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import ClusterSimError, InputError
from clustersim.topology import (
    ClusterSpec,
    build_graph,
    compile_cluster,
    resolve_cluster,
    single_pool,
    topology_names,
)
from tests.examples import examples

CATALOGUE = load_catalogue()

rail = st.fixed_dictionaries(
    {
        "type": st.just("rail-optimised"),
        "unit_nodes": st.integers(1, 6),
        "units_per_pod": st.integers(1, 4),
        "radix": st.just(12),
        "oversubscription": st.fixed_dictionaries(
            {"leaf": st.sampled_from([1, 2, 3]), "spine": st.sampled_from([1, 2])}
        ),
    }
)
fat_tree = st.fixed_dictionaries(
    {
        "type": st.just("fat-tree"),
        "k": st.sampled_from([6, 8]),
        "oversubscription": st.fixed_dictionaries(
            {"edge": st.sampled_from([1, 2.5]), "aggregation": st.sampled_from([1, 4])}
        ),
    }
)
dragonfly = st.fixed_dictionaries(
    {
        "type": st.just("dragonfly"),
        "nodes_per_router": st.integers(1, 3),
        "routers_per_group": st.integers(3, 6),
        "global_links": st.integers(2, 4),
    }
)


def spec_of(fabric, nodes: int, chips: int) -> ClusterSpec:
    pool = {
        "accelerator": "H20",
        "nodes": nodes,
        "chips_per_node": chips,
        "nic": "10 GB/s",
        "fabric": fabric,
    }
    return resolve_cluster({"name": "test", "pools": {"p": pool}}, CATALOGUE)


def index(vertex: str) -> int:
    return int(vertex.rsplit("/", 1)[1])


def capacity_up(graph, vertices) -> float:
    """Capacity from these switches to all other switches, one direction."""
    inside = set(vertices)
    return sum(
        data["bandwidth_Bps"]
        for vertex in vertices
        for _, other, data in graph.edges(vertex, data=True)
        if other not in inside and graph.nodes[other]["level"] > 0
    )


@settings(deadline=None, max_examples=examples(60))
@given(fabric=rail | fat_tree | dragonfly, nodes=st.integers(1, 48), chips=st.sampled_from([1, 4]))
def test_arrays_agree_with_the_graph(fabric, nodes, chips):
    """Leaf of each node, and the capacity of every trunk, read off the graph."""
    try:
        spec = spec_of(fabric, nodes, chips)
    except InputError:  # more nodes than this fabric can join
        return
    graph, pool = build_graph(spec), compile_cluster(spec).pools[0]
    leaves = [graph[f"p/node/{i}"] for i in range(nodes)]
    assert all(len(leaf) == 1 for leaf in leaves)
    assert pool.leaf_of_node.tolist() == [index(next(iter(leaf))) for leaf in leaves]
    port = sum(data["bandwidth_Bps"] for data in graph["p/node/0"].values()) / chips
    assert pool.port_Bps == pytest.approx(port)

    shares = [pool.port_Bps]
    for trunk in pool.trunks:
        ups = [
            capacity_up(graph, inside_of(graph, trunk.name, members, fabric))
            for members in members_by_group(leaves, trunk.group_of_node)
        ]
        if trunk.name == "router":  # global links may not divide evenly among the routers
            spread = fabric["routers_per_group"]
            routers = [f"p/router/{i}" for i in range(spread)]
            ups = [sum(capacity_up(graph, [router]) for router in routers) / spread]
        assert ups == pytest.approx([trunk.up_Bps] * len(ups))
        if trunk.n_groups > 1:
            shares.append(trunk.up_Bps / (trunk.group_nodes * chips))
    assert pool.nic_Bps == pytest.approx(min(shares))


def members_by_group(leaves, group_of_node) -> list[list[str]]:
    """First switches of the nodes of each group."""
    groups: dict[int, set[str]] = {}
    for leaf, group in zip(leaves, group_of_node.tolist(), strict=True):
        groups.setdefault(group, set()).update(leaf)
    return [sorted(members) for members in groups.values()]


def inside_of(graph, trunk: str, members: list[str], fabric) -> list[str]:
    """All switches of a group: the pod's second layer, the group's routers without nodes."""
    if trunk == "pod":
        upper = {v for leaf in members for v in graph[leaf] if graph.nodes[v]["level"] == 2}
        lower = {v for above in upper for v in graph[above] if graph.nodes[v]["level"] == 1}
        return sorted(upper | lower)
    if trunk == "group":
        per_group = fabric["routers_per_group"]
        first = index(members[0]) // per_group * per_group
        return [f"p/router/{i}" for i in range(first, first + per_group)]
    return members


@settings(deadline=None, max_examples=examples(60))
@given(fabric=rail | fat_tree | dragonfly, nodes=st.integers(1, 60))
def test_groups_are_nested_and_consecutive(fabric, nodes):
    try:
        pool = compile_cluster(spec_of(fabric, nodes, 4)).pools[0]
    except InputError:
        return
    for array in (pool.leaf_of_node, pool.unit_of_node):
        assert array.dtype == np.int32
        assert array.shape == (nodes,)
        assert array[0] == 0
        assert set(np.diff(array).tolist()) <= {0, 1}
    units_of_leaf = set(zip(pool.leaf_of_node.tolist(), pool.unit_of_node.tolist(), strict=True))
    assert len(units_of_leaf) == pool.leaf_of_node[-1] + 1


def test_torus_leaf_is_a_ring_and_unit_a_plane():
    pool = compile_cluster(spec_of({"type": "torus", "dims": [2, 3, 4]}, 24, 1)).pools[0]
    assert pool.leaf_of_node.tolist() == [i // 4 for i in range(24)]
    assert pool.unit_of_node.tolist() == [i // 12 for i in range(24)]


def test_values_come_from_the_catalogue_or_the_file():
    pools = {
        "plain": {"accelerator": "910b", "nodes": 4},
        "own": {
            "accelerator": "H200",
            "nodes": 9,
            "chips_per_node": 4,
            "nic": "100 Gb/s",
            "scale_up": {"bandwidth": "1 TB/s", "shape": "switch", "size": 36},
        },
    }
    data = {"name": "x", "pools": pools, "datacenter_network": {"rate": "1 Tb/s"}}
    plain, own = compile_cluster(resolve_cluster(data, CATALOGUE)).pools
    chip = CATALOGUE.accelerator("910B")
    assert (plain.accelerator, plain.chips_per_node) == (chip.name, chip.chips_per_node)
    assert (plain.nic_Bps, plain.scaleup_Bps) == (chip.nic_Bps, chip.scaleup_Bps)
    assert (plain.scaleup_shape, plain.scaleup_size) == ("mesh", 8)
    assert (own.nic_Bps, own.scaleup_Bps, own.scaleup_size) == (12.5e9, 1e12, 36)
    assert (own.n_chips, own.datacenter_Bps) == (36, 125e9)


def test_supernode_of_the_catalogue_spans_nodes():
    """910C: 384 packages in one scale-up domain; no more than the pool has."""
    for nodes, size in ((96, 384), (4, 32)):
        data = {"name": "x", "pools": {"p": {"accelerator": "910C", "nodes": nodes}}}
        assert compile_cluster(resolve_cluster(data, CATALOGUE)).pools[0].scaleup_size == size


def test_virtual_clusters_own_consecutive_ranges():
    pool = {
        "accelerator": "H20",
        "nodes": 10,
        "virtual_clusters": {"b": {"nodes": 3}, "a": {"share": 0.25}, "c": {"share": 0.25}},
    }
    compiled = compile_cluster(resolve_cluster({"name": "v", "pools": {"p": pool}}, CATALOGUE))
    assert compiled.pools[0].virtual_clusters == {"b": 3, "a": 3, "c": 2}
    ranges = compiled.pools[0].virtual_cluster_ranges()
    assert ranges == {"b": range(3), "a": range(3, 6), "c": range(6, 8)}


@settings(deadline=None)
@given(
    nodes=st.integers(20, 5000),
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=12),
)
def test_shares_that_sum_to_one_own_every_node(nodes, weights):
    shares = {f"v{i}": {"share": w / sum(weights)} for i, w in enumerate(weights)}
    pool = {"accelerator": "H20", "nodes": nodes, "virtual_clusters": shares}
    try:
        spec = resolve_cluster({"name": "v", "pools": {"p": pool}}, CATALOGUE)
    except InputError:  # tiny shares were rounded up to a node each
        assert min(weights) / sum(weights) * nodes < 1
        return
    owned = spec.pools["p"].virtual_cluster_nodes()
    assert sum(owned.values()) == nodes
    for name, count in owned.items():
        assert count >= 1
        if min(weights) / sum(weights) * nodes >= 1:
            assert abs(count - shares[name]["share"] * nodes) <= 1


def test_single_pool():
    (pool,) = single_pool(128).pools
    assert (pool.name, pool.n_nodes, pool.chips_per_node, pool.n_chips) == ("pool", 1, 128, 128)
    assert pool.leaf_of_node.tolist() == pool.unit_of_node.tolist() == [0]
    assert pool.virtual_clusters == {}


@pytest.mark.parametrize("number", [0, -3, 10_000_001])
def test_single_pool_refuses(number):
    with pytest.raises(InputError, match="allowed: 1 to 10,000,000"):
        single_pool(number)


def test_unresolved_spec_is_refused():
    spec = ClusterSpec.model_validate(
        {"name": "raw", "pools": {"p": {"accelerator": "H20", "nodes": 2}}}
    )
    with pytest.raises(ClusterSimError, match="use load_cluster"):
        compile_cluster(spec)


FLEET = """
from pathlib import Path
from clustersim.catalogue import load_catalogue
from clustersim.topology import build_graph, compile_cluster, load_cluster, summarise
spec = load_cluster("bytedance-2026", load_catalogue())
cluster = compile_cluster(spec)
graph = build_graph(spec)
assert cluster.n_chips == summarise(spec).chips
# The most that this program held; the kernel's ru_maxrss counts the one that started it too.
status = Path("/proc/self/status").read_text().splitlines()
peak = next(line for line in status if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
"""


def test_fleet_is_built_in_little_memory():
    assert "bytedance-2026" in topology_names()
    out = subprocess.run(
        [sys.executable, "-c", FLEET], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert float(out) < 1000
