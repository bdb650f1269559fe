"""Prices of networks: by hand, and in proportion to ports, rates and numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.catalogue.assumptions import BUILT_IN
from clustersim.costs.network_price import network_price
from clustersim.report.of_study.network_designs import kept_goodput
from clustersim.topology import resolve_cluster, summarise
from tests.examples import examples

CATALOGUE = cs.load_catalogue()
ROUND = replace(BUILT_IN, switch_price=(6400.0, "CNY"), link_price=(10.0, "CNY"))
"""100 CNY for a port of 400 Gb/s, and 10 for a link."""


def spec_of(fabric: dict[str, Any], nodes: int, nic: str = "400 Gb/s") -> cs.ClusterSpec:
    pool = {"accelerator": "H200", "nodes": nodes, "nic": nic, "fabric": fabric}
    return resolve_cluster({"name": "c", "pools": {"a": pool}}, CATALOGUE)


def prices(fabric: dict[str, Any], nodes: int, nic: str = "400 Gb/s") -> dict[str, float]:
    table = network_price(spec_of(fabric, nodes, nic), ROUND)
    return dict(zip(table["name"], table["price_cny"], strict=True))


def test_by_hand() -> None:
    """Two units of 4 nodes: 16 leaves with 4 + 2 of 16 ports in use, 32 uplinks to 2 spines."""
    fabric = {"type": "rail-optimised", "unit_nodes": 4, "radix": 16}
    assert prices({**fabric, "oversubscription": {"leaf": 2}}, 8) == {
        "leaf": 16 * 1600,
        "spine": 2 * 1600,
        "node-leaf": 64 * 10,
        "leaf-spine": 32 * 10,
    }


def test_slower_ports_cost_in_proportion() -> None:
    fabric = {"type": "rail-optimised", "unit_nodes": 4, "radix": 16}
    slow, fast = prices(fabric, 8, "200 Gb/s"), prices(fabric, 8)
    assert slow == {name: price / 2 for name, price in fast.items()}
    mixed = prices({**fabric, "link_rate": "400 Gb/s"}, 8, "200 Gb/s")
    assert mixed["leaf"] == fast["leaf"], "a leaf has the rate of its fastest ports"
    assert mixed["node-leaf"] == slow["node-leaf"]


def test_other_fabrics() -> None:
    tree = prices({"type": "fat-tree", "k": 4, "planes": 1, "oversubscription": {"edge": 2}}, 16)
    assert tree["edge"] == 8 * 4 * 100 * 8, "ports of 8 x 400 Gb/s"
    assert tree["aggregation"] == tree["edge"] / 2
    fly = {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 4, "global_links": 2}
    assert prices({**fly, "planes": 8}, 72)["router"] == 36 * 8 * (2 + 3 + 2) * 100
    assert list(prices({"type": "torus", "dims": [4, 4]}, 16)) == [
        level.name
        for level in summarise(spec_of({"type": "torus", "dims": [4, 4]}, 16)).pools[0].levels
    ]
    assert prices({"type": "none"}, 16) == {}


def test_the_two_designs_of_the_experiment_have_the_same_switches_and_links() -> None:
    for leaf in (1, 2, 4, 8):
        over = {"type": "rail-optimised", "oversubscription": {"leaf": leaf}}
        rail, tree = (
            network_price(spec_of({**over, **more}, 128), ROUND)
            for more in ({"unit_nodes": 32}, {"unit_nodes": 4, "rails": 1})
        )
        pd.testing.assert_frame_equal(rail, tree)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(1, 300), st.sampled_from([8, 16, 32]), st.sampled_from([1, 2, 4, 8]))
def test_a_larger_oversubscription_is_never_dearer(nodes: int, unit: int, leaf: int) -> None:
    def total(ratio: int) -> float:
        over = {"leaf": ratio}
        fabric = {"type": "rail-optimised", "unit_nodes": unit, "oversubscription": over}
        return float(network_price(spec_of(fabric, nodes), ROUND)["price_cny"].sum())

    assert total(2 * leaf) <= total(leaf)


def test_goodput_by_hand() -> None:
    """Pools that do 8 and 3 of the 10 and 4 that they would do without losses."""
    work = {"a": np.array([8.0, 1.0]), "b": np.array([3.0, 1.0])}
    loss = {"a": np.array([0.2, np.nan]), "b": np.array([0.25, 0.0])}
    assert kept_goodput(work, loss).tolist() == pytest.approx([11 / 14, 1.0])
