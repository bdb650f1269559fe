"""Demand of gangs on trunks: by hand, and against the traffic of gangs computed in bytes."""

from __future__ import annotations

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
    # 16 chips in a leaf, 8 in the other: 16 x 8 of the 24 x 23 pairs leave each of them.
    found = nics(links_of(), [(0, 8), (1, 8), (4, 8)], all_to_all)
    assert found == pytest.approx({0: 128 / 23, 1: 128 / 23})


def test_stages_of_a_pipeline_send_to_the_next_one() -> None:
    pipeline = Communication(RESPONSE, ring=0.0, neighbours=0.5, stages=2)
    assert nics(links_of(), [(0, 8), (1, 8), (4, 8), (5, 8)], pipeline) == {0: 8.0, 1: 8.0}
    assert nics(links_of(), [(0, 8), (4, 8), (1, 8), (5, 8)], pipeline) == {}


def test_a_gang_in_one_scale_up_domain_does_not_use_the_network() -> None:
    links = links_of(chips=4, scaleup_size=16)
    assert links.inside([(0, 4), (3, 4)]) == 0
    assert links.inside([(0, 4), (3, 4), (4, 4)]) == 4
    assert nics(links, [(0, 4), (1, 4), (4, 4), (5, 4)], RINGS) == {0: 8.0, 1: 8.0}


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
        times = chips if pattern == "ring" else 1.0  # a ring for each chip of a node
        expected = {
            number: sent[trunk] * times
            for number, trunk in enumerate(links.trunk.tolist())
            if trunk in sent
        }
        assert nics(links, gang, how) == pytest.approx(expected, rel=1e-12)
