"""Efficiency of load balancing: counting by hand, and drawing at random."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.network import GangLinks, ecmp_efficiency, trunk_graph, usable_share
from tests.network.leaf_clusters import PORT_BPS, leaf_cluster, leaf_pool


@pytest.mark.parametrize(("flows", "links"), [(1, 2), (2, 2), (3, 2), (4, 3), (5, 4), (7, 3)])
def test_ecmp_is_the_mean_over_all_ways_to_hash(flows: int, links: int) -> None:
    largest = [max(map(way.count, range(links))) for way in product(range(links), repeat=flows)]
    assert ecmp_efficiency(flows, links) == pytest.approx(
        flows / links / np.mean(largest), rel=1e-9
    )


@pytest.mark.parametrize(("flows", "links"), [(256, 64), (4096, 512)])
def test_ecmp_is_what_random_hashes_give(flows: int, links: int) -> None:
    rng = np.random.default_rng(5)
    largest = [np.bincount(rng.integers(0, links, flows)).max() for _ in range(2000)]
    spread = np.std(largest) / np.mean(largest) / np.sqrt(len(largest))
    found = ecmp_efficiency(flows, links)
    assert found == pytest.approx(flows / links / np.mean(largest), rel=4 * spread)


def test_many_flows_over_two_links() -> None:
    """The larger of two parts has half of the flows and the mean deviation of a binomial."""
    flows = 262_144
    deviation = flows / 2 * (math.comb(flows, flows // 2) / 2**flows)
    assert ecmp_efficiency(flows, 2) == pytest.approx(flows / 2 / (flows / 2 + deviation), rel=1e-9)


def test_more_flows_spread_more_evenly() -> None:
    shares = [usable_share("ecmp", 64, 16, queue_pairs=n) for n in (1, 2, 4, 8, 64)]
    assert shares == sorted(shares)
    assert 0.45 < shares[0] < 0.55
    assert 0.89 < shares[-1] < 1
    assert ecmp_efficiency(5, 1) == 1.0


def test_load_balancing_scales_the_capacity_of_trunks() -> None:
    graph = trunk_graph(leaf_cluster(leaf_pool(ratio=1.0)))
    adaptive = GangLinks(graph, [PORT_BPS], [8], load_balancing="adaptive")
    assert adaptive.capacity_Bps.tolist() == pytest.approx([0.95 * 32 * PORT_BPS] * 2)
    hashed = GangLinks(graph, [PORT_BPS], [8], load_balancing="ecmp", queue_pairs=4)
    expected = ecmp_efficiency(128, 32) * 32 * PORT_BPS
    assert hashed.capacity_Bps.tolist() == pytest.approx([expected] * 2)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown way 'ecpm'.*did you mean.*ecmp"):
        usable_share("ecpm", 8, 8)  # type: ignore[arg-type]
