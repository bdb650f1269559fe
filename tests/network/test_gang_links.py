"""Demand of gangs on trunks: by hand, and against the traffic of gangs computed in bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.network import (
    Communication,
    GangLinks,
    NetworkResponse,
    gang_traffic,
    trunk_graph,
)
from clustersim.network.trunks import RAIL
from tests.network.leaf_clusters import PORT_BPS, leaf_cluster, leaf_pool

RESPONSE = NetworkResponse.of_share(0.2)
RINGS = Communication(RESPONSE)


def links_of(**options: float) -> GangLinks:
    pool = leaf_pool(**options)  # type: ignore[arg-type]
    return GangLinks(trunk_graph(leaf_cluster(pool)), [PORT_BPS], [pool.chips_per_node])


def nics(links: GangLinks, gang: list[tuple[int, int]], how: Communication) -> dict[int, float]:
    """Return the NICs that send out of each leaf."""
    trunks, demand_Bps = links.demand(gang, links.inside(gang), how)
    return dict(zip(trunks, np.array(demand_Bps) / PORT_BPS, strict=True))


def test_a_ring_in_the_order_of_nodes_leaves_each_leaf_once() -> None:
    links = links_of()
    assert nics(links, [(0, 8), (1, 8), (4, 8), (5, 8)], RINGS) == {0: 8.0, 1: 8.0}
    assert nics(links, [(0, 8), (4, 8), (1, 8), (5, 8)], RINGS) == {0: 16.0, 1: 16.0}
    assert nics(links, [(0, 1), (1, 1), (4, 1)], RINGS) == {0: 1.0, 1: 1.0}
    assert nics(links, [(0, 8), (1, 8), (4, 3)], RINGS) == {0: 3.0, 1: 3.0}


def test_all_to_all_sends_from_each_chip_to_all_others() -> None:
    all_to_all = Communication(RESPONSE, ring=0.0, all_to_all=1.0)
    # Ports send beyond the node alone: all of the 8 under a leaf, and half of the 16 others.
    found = nics(links_of(), [(0, 8), (1, 8), (4, 8)], all_to_all)
    assert found == pytest.approx({0: 8.0, 1: 8.0})
    # 8 of 12 chips to 4 of the 4 others; 4 to 8 of 8.
    assert nics(links_of(), [(0, 8), (4, 4)], all_to_all) == pytest.approx({0: 8.0, 1: 4.0})


def test_experts_exchange_within_a_stage() -> None:
    gang = [(0, 8), (1, 8), (4, 8), (5, 8)]
    stages = Communication(RESPONSE, ring=0.0, all_to_all=1.0, stages=2)
    assert nics(links_of(), gang, stages) == {}
    apart = nics(links_of(), [gang[0], gang[2], gang[1], gang[3]], stages)
    assert apart == pytest.approx({0: 16.0, 1: 16.0})
    # Each node is a stage.
    assert nics(links_of(), gang, replace(stages, stages=8)) == {}


def test_stages_that_are_no_whole_nodes_have_rings() -> None:
    # Stages of 12 chips: the ring of the first and that of the third are on two nodes.
    gang = [(0, 8), (4, 8), (5, 8), (1, 8), (6, 8), (7, 8)]
    assert nics(links_of(), gang, Communication(RESPONSE, stages=4)) == {0: 16.0, 1: 16.0}


def test_ports_of_a_gang_over_pools_have_the_rate_of_the_slowest() -> None:
    pools = [leaf_pool(name, nodes=4, datacenter_Bps=100e9) for name in ("a", "b", "c")]
    graph = trunk_graph(leaf_cluster(*pools, latency_s=1e-3))
    links = GangLinks(graph, [50e9, 12.5e9, 25e9], [8, 8, 8])
    _, demand_Bps = links.demand([(0, 8), (4, 8), (8, 8)], 8, RINGS)
    assert set(demand_Bps) == {8 * 12.5e9}


def test_stages_of_a_pipeline_send_to_the_next_one() -> None:
    pipeline = Communication(RESPONSE, ring=0.0, neighbours=0.5, stages=2)
    assert nics(links_of(), [(0, 8), (1, 8), (4, 8), (5, 8)], pipeline) == {0: 8.0, 1: 8.0}
    assert nics(links_of(), [(0, 8), (4, 8), (1, 8), (5, 8)], pipeline) == {}


def test_a_gang_in_one_scale_up_domain_does_not_use_the_network() -> None:
    links = links_of(chips=4, scaleup_size=16)
    assert links.inside([(0, 4), (3, 4)]) == 0
    assert links.inside([(0, 4), (3, 4), (4, 4)]) == 4
    assert nics(links, [(0, 4), (1, 4), (4, 4), (5, 4)], RINGS) == {0: 8.0, 1: 8.0}


def test_all_nodes_of_a_domain_send_to_the_next_domain() -> None:
    """Two domains, each over two leaves with 8 ports."""
    links = links_of(chips=4, scaleup_size=16, leaf_nodes=2)
    gang = [(node, 4) for node in range(8)]
    every_port = dict.fromkeys(range(4), 8.0)
    assert nics(links, gang, RINGS) == every_port
    stages = Communication(RESPONSE, ring=0.0, neighbours=1.0, stages=2)
    assert nics(links, gang, stages) == every_port
    # Of the 8 chips of the first domain, 4 send to the last node, and its 4 chips send back.
    halves = links_of(chips=4, scaleup_size=8, leaf_nodes=3)
    assert nics(halves, [(node, 4) for node in range(4)], RINGS) == {0: 4.0, 1: 4.0}


def test_trunks_that_the_ports_below_cannot_fill_are_left_out() -> None:
    assert links_of(ratio=1.0).capacity_Bps.size == 0
    assert links_of(ratio=1.1).capacity_Bps.size == 2
    last_leaf_is_half_full = links_of(ratio=2.0, nodes=6)
    assert last_leaf_is_half_full.capacity_Bps.tolist() == [16 * PORT_BPS]
    assert nics(last_leaf_is_half_full, [(0, 8), (5, 8)], RINGS) == {0: 8.0}


def test_the_share_of_a_gang_alone_is_that_of_its_narrowest_trunk() -> None:
    links = links_of(leaf_nodes=2)  # 4 ports of capacity
    assert links.alone(*links.demand([(0, 8), (2, 8)], 8, RINGS)) == 0.5
    assert links.alone(*links.demand([(0, 4), (2, 4)], 4, RINGS)) == 1.0
    assert links.alone([], []) == 1.0


@given(seed=st.integers(0, 2**32 - 1))
def test_demand_is_the_traffic_of_the_gang_in_a_second(seed: int) -> None:
    rng = np.random.default_rng(seed)
    links = links_of(nodes=24, leaf_nodes=int(rng.integers(2, 7)))
    nodes = rng.choice(24, int(rng.integers(2, 12)), replace=False).tolist()
    chips = int(rng.integers(1, 9))
    gang = [(node, chips) for node in nodes]
    for pattern, how in (
        ("ring", RINGS),
        ("all_to_all", Communication(RESPONSE, ring=0.0, all_to_all=1.0)),
    ):
        traffic = gang_traffic(links.graph, nodes, [chips] * len(nodes), 1.0, pattern=pattern)
        sent = dict(zip(traffic.trunk.tolist(), traffic.sent_bytes.tolist(), strict=True))
        # As many as make each port of the gang send a byte.
        times = chips * len(nodes) / traffic.by_level(links.graph)[0, RAIL]
        expected = {
            number: sent[trunk] * times
            for number, trunk in enumerate(links.trunk.tolist())
            if trunk in sent
        }
        assert nics(links, gang, how) == pytest.approx(expected, rel=1e-12)


# --- What faults may narrow -----------------------------------------------------------


def test_trunks_that_may_narrow_are_kept_and_change_nothing_as_they_are() -> None:
    """Full bisection: no trunk can be full, but one may be narrowed, and the ports of a node."""
    graph = trunk_graph(leaf_cluster(leaf_pool(nodes=4, leaf_nodes=2, ratio=1.0)))
    rings = Communication(NetworkResponse.of_share(0.2))
    gang = [(0, 8), (2, 8)]
    assert GangLinks(graph, [PORT_BPS], [8]).demand(gang, 8, rings) == ([], [])
    up, ports = int(graph.up_of_node[2, 0]), int(graph.up_of_node[1, 2])
    links = GangLinks(graph, [PORT_BPS], [8], may_narrow={up, ports})
    assert (links.trunk.tolist(), links.n_shared) == ([up, ports], 1)
    assert links.capacity_Bps.tolist() == [16 * PORT_BPS, 8 * PORT_BPS]
    assert (links.position(up), links.position(up + 2)) == (0, None)
    found = links.demand(gang, 8, rings)
    assert found == ([0], [8 * PORT_BPS])
    assert links.alone(*found) == 1.0
    narrow = links.demand(gang, 8, rings, {2, 3})
    assert narrow == ([0, 1], [8 * PORT_BPS] * 2), "node 3 is not of the gang"
    assert links.alone(*narrow, np.array([16 * PORT_BPS, 6 * PORT_BPS])) == 0.75
    under_one_leaf = links.demand([(2, 8), (3, 8)], 8, rings, {2})
    assert under_one_leaf == ([1], [8 * PORT_BPS])


def test_ports_carry_what_each_pattern_sends_out_of_a_node() -> None:
    """Half of a node in a ring of 4 chips a node; in exchanges, all 8 chips send."""
    graph = trunk_graph(leaf_cluster(leaf_pool(nodes=4, leaf_nodes=4, ratio=1.0)))
    links = GangLinks(graph, [PORT_BPS], [8], may_narrow=set(graph.up_of_node[1].tolist()))
    response = NetworkResponse.of_share(0.2)
    gang = [(0, 8), (1, 4)]
    rings = Communication(response)
    assert links.demand(gang, 4, rings, {0}) == ([0], [4 * PORT_BPS])
    experts = Communication(response, ring=0.0, all_to_all=1.0)
    trunks, demand = links.demand(gang, 4, experts, {0, 1})
    assert dict(zip(trunks, demand, strict=True)) == {0: 8 * PORT_BPS, 1: 4 * PORT_BPS}
