"""Bytes of gangs on trunks: by hand on two pods, and chip by chip along the routes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.network import LEVELS, gang_traffic, trunk_graph
from clustersim.topology import compile_cluster, resolve_cluster


def graph_of_pools(**pools):
    """Pools of nodes of two chips that are joined by a datacenter network."""
    common = {"accelerator": "H20", "chips_per_node": 2, "nic": "10 GB/s"}
    tree = {
        "name": "test",
        "pools": {name: {**common, **pool} for name, pool in pools.items()},
        "datacenter_network": {"rate": "40 GB/s"},
    }
    return trunk_graph(compile_cluster(resolve_cluster(tree, load_catalogue())))


TWO_PODS = {"type": "rail-optimised", "unit_nodes": 2, "units_per_pod": 2, "radix": 4}
HAND = graph_of_pools(p={"nodes": 8, "fabric": TWO_PODS})
MIXED = graph_of_pools(
    two_pods={"nodes": 8, "fabric": TWO_PODS},
    supernodes={"nodes": 6, "fabric": TWO_PODS, "scale_up": {"size": 6}},
    wide={"nodes": 8, "fabric": TWO_PODS, "scale_up": {"size": 8}},
    apart={"nodes": 5, "fabric": {"type": "fat-tree"}, "scale_up": {"shape": "none"}},
    flat={"nodes": 4, "fabric": {"type": "none"}},
)
"""Domains of one node, of three (over two units), of four (as a pod), none, and a pool without
trunks."""


def on_trunks(graph, traffic):
    """Bytes by level, group and direction."""
    return {
        (
            LEVELS[graph.level[trunk]],
            int(graph.group[trunk]),
            "up" if graph.upward[trunk] else "down",
        ): sent
        for trunk, sent in zip(traffic.trunk, traffic.sent_bytes.tolist(), strict=True)
    }


def test_ring_over_two_pods_by_hand():
    """Nodes 0, 1 (unit 0), 2 (unit 1) and 4 (unit 2, pod 1), of two chips each."""
    traffic = gang_traffic(HAND, [0, 1, 2, 4], [2, 2, 2, 2], 1.0)
    near = {("scale-up", node, "up"): 1.0 for node in (0, 1, 2, 4)}
    ports = {("rail", node, way): 1.0 for node in (0, 1, 2, 4) for way in ("up", "down")}
    units = {("leaf", unit, way): 1.0 for unit in (0, 1, 2) for way in ("up", "down")}
    pods = {("spine", pod, way): 1.0 for pod in (0, 1) for way in ("up", "down")}
    assert on_trunks(HAND, traffic) == near | ports | units | pods
    assert traffic.by_level(HAND).tolist() == [[4, 4, 3, 2, 0]]


def test_the_order_of_the_ranks_matters_for_a_ring():
    good = gang_traffic(HAND, [0, 1, 4, 5], [2] * 4, 1.0).by_level(HAND)[0]
    bad = gang_traffic(HAND, [0, 4, 1, 5], [2] * 4, 1.0).by_level(HAND)[0]
    assert good.tolist() == [4, 4, 2, 2, 0]
    assert bad.tolist() == [4, 4, 4, 4, 0]


def test_all_to_all_over_two_pods_by_hand():
    """Each of the 8 chips sends 1 byte to each other one."""
    traffic = gang_traffic(HAND, [0, 1, 2, 4], [2] * 4, 7.0, pattern="all_to_all")
    found = on_trunks(HAND, traffic)
    expected = {("scale-up", node, "up"): 2 * 1 for node in (0, 1, 2, 4)}
    for way in ("up", "down"):
        expected |= {("rail", node, way): 2 * 6 for node in (0, 1, 2, 4)}
        expected |= {("leaf", unit, way): c * (8 - c) for unit, c in ((0, 4), (1, 2), (2, 2))}
        expected |= {("spine", pod, way): c * (8 - c) for pod, c in ((0, 6), (1, 2))}
    assert found == pytest.approx(expected)


def test_a_gang_on_one_node_or_of_one_chip_uses_no_network():
    for pattern in ("ring", "all_to_all"):
        inside = gang_traffic(HAND, [3], [2], 5.0, pattern=pattern)
        assert on_trunks(HAND, inside) == {("scale-up", 3, "up"): 10.0}
        assert gang_traffic(HAND, [3], [1], 5.0, pattern=pattern).trunk.size == 0
    assert gang_traffic(HAND, [], [], 1.0).by_level(HAND).shape == (0, 5)


def test_an_all_reduce_over_two_pools_crosses_the_datacenter():
    traffic = gang_traffic(MIXED, [0, 8], [2, 2], 1.0)
    assert traffic.by_level(MIXED)[0].tolist() == [2, 2, 2, 2, 2]


def chip_by_chip(graph, nodes, chips, sent, pattern):
    """The bytes of one gang along the route of each pair of chips."""
    found = np.zeros(graph.n_trunks)
    homes = [node for node, count in zip(nodes, chips, strict=True) for _ in range(count)]
    n = len(homes)
    for source in range(n):
        targets = [target for target in range(n) if target != source]
        if pattern == "ring":
            targets = [(source + 1) % n] if n > 1 else []
        for target in targets:
            found[graph.route(homes[source], homes[target])] += sent / len(targets)
    return found


gangs = st.lists(
    st.lists(
        st.tuples(st.integers(0, MIXED.n_nodes - 1), st.integers(1, 2)), min_size=1, max_size=7
    ),
    min_size=1,
    max_size=3,
)


@given(gangs, st.sampled_from(["ring", "all_to_all"]))
def test_bytes_are_those_of_all_pairs_of_chips(members, pattern):
    """A node may occur twice in a gang, as if its ranks were not in a row."""
    rows = [(gang, node, chips) for gang, rows in enumerate(members) for node, chips in rows]
    gang, nodes, chips = map(list, zip(*rows, strict=True))
    sent = [1.0 + each for each in range(len(members))]
    traffic = gang_traffic(MIXED, nodes, chips, sent, pattern=pattern, gang=gang)
    found = np.zeros((len(members), MIXED.n_trunks))
    found[traffic.gang, traffic.trunk] = traffic.sent_bytes
    for each, of_gang in enumerate(members):
        expected = chip_by_chip(MIXED, *zip(*of_gang, strict=True), sent[each], pattern)
        assert found[each] == pytest.approx(expected)
    total = [
        sent[each] * sum(chips for _, chips in of_gang) for each, of_gang in enumerate(members)
    ]
    alone = [sum(chips for _, chips in of_gang) == 1 for of_gang in members]
    reached = traffic.by_level(MIXED)[:, :2].sum(axis=1)
    assert reached == pytest.approx(np.where(alone, 0, total))


WRONG = {
    "unknown pattern 'rings'; did you mean 'ring'? allowed: all_to_all, ring": {"pattern": "rings"},
    "nodes[1]: unknown node 8; allowed: 0 to 7": {"nodes": [0, 8]},
    "nodes: must be a list of whole numbers": {"nodes": [0.5, 1]},
    "chips[0]: must be at least 1, found 0": {"chips": [0, 1]},
    "chips: must have one value for each of the 2 rows, found 1": {"chips": [1]},
    "gang[1]: must be the number before it or the next one, from 0; found 2": {"gang": [0, 2]},
    "gang[0]: must be the number before it or the next one, from 0; found -1": {"gang": [-1, 0]},
    "sent: must be a finite number of at least 0, or one for each of the 1 gangs": {"sent": -1.0},
}


@pytest.mark.parametrize("message", WRONG)
def test_an_error_names_the_argument_and_the_index(message):
    right = {"nodes": [0, 1], "chips": [1, 1], "sent": 1.0}
    with pytest.raises(InputError) as caught:
        gang_traffic(HAND, **{**right, **WRONG[message]})
    assert str(caught.value) == f"gang_traffic: {message}"
