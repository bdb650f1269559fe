"""Names of the parts of a network, and their cables: compared with the graph of the topology."""

from __future__ import annotations

import re

import networkx as nx
import numpy as np
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.topology import Cluster, NetworkParts, PartKind, build_graph, is_datacenter
from clustersim.topology.part_names import range_text
from tests.network.leaf_clusters import leaf_cluster
from tests.topology.fabric_clusters import FABRICS, fabric_cluster, fabric_spec

KINDS: tuple[PartKind, ...] = ("nic", "link", "leaf", "spine", "switch")


def graph_of(name: str) -> nx.Graph[str]:
    return build_graph(fabric_spec(FABRICS[name]), merge_rails=False)


@pytest.mark.parametrize("name", FABRICS)
def test_every_vertex_and_edge_of_the_graph_has_its_cables(name: str) -> None:
    graph, parts = graph_of(name), NetworkParts(fabric_cluster(name))
    n_cables = sum(cables for *_, cables in graph.edges(data="multiplicity"))
    assert len(parts.rate_Bps) == n_cables
    rates = [rate for *_, rate in graph.edges(data="bandwidth_Bps")]
    assert parts.rate_Bps.sum() == pytest.approx(sum(rates))
    seen: list[int] = []
    for one, other, edge in graph.edges(data=True):
        link = f"{one}-{other.removeprefix('a/')}"
        back = f"{other}-{one.removeprefix('a/')}"
        cables = parts.cables_of(link)
        assert parts.cables_of(back).tolist() == cables.tolist()
        assert len(cables) == edge["multiplicity"]
        assert parts.rate_Bps[cables].sum() == pytest.approx(edge["bandwidth_Bps"])
        assert [parts.cables_of(f"{link}/{k}").tolist() for k in range(len(cables))] == [
            [cable] for cable in cables.tolist()
        ]
        seen += cables.tolist()
    assert sorted(seen) == list(range(n_cables)), "each cable belongs to one link"
    for vertex, kind in graph.nodes(data="kind"):
        if kind not in ("node", "ideal"):
            at = sum(cables for *_, cables in graph.edges(vertex, data="multiplicity"))
            assert len(parts.cables_of(vertex)) == at


@pytest.mark.parametrize("name", FABRICS)
def test_ports_and_trunks_have_the_capacity_that_the_pool_says(name: str) -> None:
    cluster = fabric_cluster(name)
    parts, pool = NetworkParts(cluster), cluster.pools[0]
    ports = np.bincount(parts.port_node, parts.rate_Bps[parts.port_cable])
    np.testing.assert_allclose(ports, pool.chips_per_node * pool.port_Bps)
    for level, trunk in enumerate(pool.trunks):
        own = parts.trunk_level == level
        groups, cables = parts.trunk_group[own], parts.trunk_cable[own]
        rates = np.bincount(groups, parts.rate_Bps[cables], minlength=trunk.n_groups)
        assert rates.mean() == pytest.approx(trunk.up_Bps)
        for group in range(trunk.n_groups):
            uplinks = parts.cables_of(f"a/{trunk.name}/{group}/uplinks")
            assert sorted(uplinks) == sorted(cables[groups == group])


@pytest.mark.parametrize("name", ["h200-superpod", "philly-like", "mixed-small"])
def test_trunks_of_shipped_topologies_have_all_their_cables(name: str) -> None:
    cluster = cs.compile_cluster(cs.load_cluster(name, cs.load_catalogue()))
    parts = NetworkParts(cluster)
    for index, pool in enumerate(cluster.pools):
        for level, trunk in enumerate(pool.trunks):
            own = (parts.trunk_pool == index) & (parts.trunk_level == level)
            cables = parts.trunk_cable[own]
            rates = np.bincount(parts.trunk_group[own], parts.rate_Bps[cables])
            np.testing.assert_allclose(rates, trunk.up_Bps)


@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_part_by_number_is_the_part_of_its_name(name: str, kind: PartKind) -> None:
    parts = NetworkParts(fabric_cluster("rails", name, joined=True))
    names, cables = [], [np.zeros(0, dtype=np.int64)]
    for number in range(parts.count(1, kind)):
        part, own = parts.part(1, kind, number)
        assert parts.cables_of(part).tolist() == own.tolist()
        names.append(part)
        cables.append(own)
    assert len(set(names)) == len(names)
    every = np.unique(np.concatenate(cables)).tolist()
    assert every == np.unique(parts.all_cables(1, kind)).tolist()
    assert sum(count for _, count in parts.alike(1, kind)) == len(names)
    with pytest.raises(IndexError):
        parts.part(1, "switch", parts.count(1, "switch"))


def test_counts_by_hand() -> None:
    """8 nodes of 8 chips, units of 2 nodes with a leaf for each of 8 rails, at 4:1."""
    parts = NetworkParts(fabric_cluster("rails"))
    # A leaf has 2 ports down and 1 up; 32 of them need a spine of 64 ports.
    assert [parts.count(0, kind) for kind in KINDS] == [64, 32, 32, 1, 33]
    assert parts.part(0, "nic", 11) == ("a/node/1/nic/3", [11])
    assert [each.kind for each in parts.listed()] == [
        *("network port", "switch (leaf)", "switch (spine)", "link (node-leaf)"),
        *("link (leaf-spine)", "uplinks (unit)"),
    ]
    assert parts.links_of("a/leaf/3") == [
        ("a/node/0-leaf/3", 1, 50e9),
        ("a/node/1-leaf/3", 1, 50e9),
        ("a/leaf/3-spine/0", 1, 50e9),
    ]
    both = NetworkParts(fabric_cluster("rails", "none", joined=True))
    assert both.links_of("b/uplinks") == [("b/uplinks", 1, 50e9)]
    assert is_datacenter("b/uplinks")
    assert not is_datacenter("b/unit/0/uplinks")


WRONG = {
    "c/leaf/0": "'c/leaf/0': unknown pool 'c'; allowed: a",
    "a/leaf/32": "there is no a/leaf/32; allowed: a/leaf/0 to a/leaf/31",
    "a/leef/1": "a/leef/1: unknown kind of switch 'leef'; did you mean 'leaf'? allowed: leaf, ",
    "a/node/1": "a/node/1 is a node, not a part of the network; name its ports or links",
    "a/node/9/nic/0": "there is no a/node/9; allowed: a/node/0 to a/node/7",
    "a/node/1/nic/8": "there is no a/node/1/nic/8; allowed: nic/0 to nic/7",
    "a/unit/4/uplinks": "there is no a/unit/4/uplinks; allowed: a/unit/0/uplinks to a/unit/3/upl",
    "a/pod/0/uplinks": "a/pod/0/uplinks: unknown group with uplinks 'pod'; allowed: unit",
    "a/uplinks": "there is no a/uplinks: the topology has no datacenter_network",
    "a/leaf/0-spin/0": "a/spin/0: unknown kind 'spin'; did you mean 'spine'?",
    "a/leaf/0-leaf/1": "there is no link a/leaf/0-leaf/1; allowed at a/leaf/0: node/0, node/1, sp",
    "a/leaf/0-spine/0/1": "there is no a/leaf/0-spine/0/1; allowed: a/leaf/0-spine/0",
    "a/everything": "'a/everything' is not the name of a part; allowed: names such as a/node/0/",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_name_is_told_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(WRONG[name])}"):
        NetworkParts(fabric_cluster("rails")).cables_of(name)


def test_a_single_part_is_no_range() -> None:
    alone = NetworkParts(fabric_cluster("one rail"))
    with pytest.raises(ValueError, match=r"there is no a/node/0/nic/9; allowed: nic/0 to nic/7$"):
        alone.cables_of("a/node/0/nic/9")
    assert range_text("g/spine/0", "g/spine/0") == "g/spine/0"
    assert range_text("g/spine/0", "g/spine/3") == "g/spine/0 to g/spine/3"


def test_what_has_no_cables_says_so() -> None:
    with pytest.raises(InputError, match="pool gpu has no topology with cables"):
        NetworkParts(leaf_cluster())
    torus = NetworkParts(fabric_cluster("torus"))
    with pytest.raises(ValueError, match="no switch connects the nodes; name a link"):
        torus.cables_of("a/node/0/nic/0")
    alone: Cluster = fabric_cluster("mesh", nodes=1)
    assert NetworkParts(alone).listed() == []
    with pytest.raises(ValueError, match="allowed: none, as the pool has no cables"):
        NetworkParts(alone).cables_of("a/x")
