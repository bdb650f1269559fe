"""Named and random faults of a network, published rates, and the nodes that faults cut off."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.availability.cut_off import nodes_cut_off
from clustersim.availability.network_fault_spec import (
    NetworkFaults,
    network_fault_sources,
    published_network_faults,
)
from clustersim.availability.network_faults import FaultSequence
from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.network import CableState, NetworkFault, trunk_graph
from clustersim.network.trunks import DATACENTER, LEAF
from clustersim.simulation.networked.run_faults import RunFaults
from clustersim.topology import Cluster, NetworkParts
from tests.examples import examples
from tests.topology.fabric_clusters import fabric_cluster

DAY_S = 86400.0


def spec_of(**fields: Any) -> NetworkFaults:
    return validate(NetworkFaults, fields, "network")


def source(of: str, mean: str = "100 d", repair: str = "1 d", **fields: Any) -> dict[str, Any]:
    life = {"kind": "exponential", "average": mean}
    return {
        "name": of,
        "of": of,
        "time_to_failure": life,
        "repair": {"kind": "constant", "value": repair},
        **fields,
    }


def sequence(cluster: Cluster, seed: int = 0, *, until_s: float = 1e12, **fields: Any) -> Any:
    parts = NetworkParts(cluster)
    return FaultSequence(spec_of(**fields), cluster, parts, cs.Streams(seed), until_s=until_s)


# --- Sequences ------------------------------------------------------------------------


def test_named_faults_begin_and_end_when_they_say() -> None:
    events = [
        {"of": "a/leaf/0", "at": "2 d"},
        {"name": "both", "of": ["a/spine/0", "a/node/0/nic/1"], "at": "1 d", "until": "3 d"},
        {"of": "a/leaf/1", "at": "1 d", "duration": "1 h", "capacity": 0.5},
    ]
    found = [
        (each.begin_s / DAY_S, each.end_s / DAY_S, each.part, each.capacity, each.cause)
        for each in sequence(fabric_cluster("rails"), events=events)
    ]
    assert found == [
        (1, 3, "a/spine/0", 0, "both"),
        (1, 3, "a/node/0/nic/1", 0, "both"),
        (1, 1 + 1 / 24, "a/leaf/1", 0.5, "a/leaf/1"),
        (2, math.inf, "a/leaf/0", 0, "a/leaf/0"),
    ]


def test_random_faults_are_as_frequent_as_their_rate_says() -> None:
    """64 ports and 32 leaves that fail every 100 days; repairs take no time to speak of.

    Counts are Poisson: 6,400 and 3,200 in 10,000 days; 5 standard deviations are 400 and 283.
    """
    faults = sequence(
        fabric_cluster("rails"),
        until_s=10_000 * DAY_S,
        sources=[source("nic", repair="1 s"), source("leaf", repair="1 s", capacity=0.5)],
        rate=1.0,
    )
    found = Counter((each.cause, each.capacity) for each in faults)
    assert abs(found["nic", 0.0] - 6400) < 400
    assert abs(found["leaf", 0.5] - 3200) < 283
    assert [each.begin_s for each in faults] == sorted(each.begin_s for each in faults)
    assert len({each.part for each in faults if each.cause == "nic"}) == 64
    twice = sequence(
        fabric_cluster("rails"), until_s=10_000 * DAY_S, sources=[source("nic")], rate=2.0
    )
    assert 1.8 * 6400 < len(list(twice)) < 12800, "some would fail while they are down"
    none = sequence(fabric_cluster("rails"), sources=[source("nic")], rate=0.0)
    assert list(none) == []


def test_a_part_that_is_down_does_not_fail_again() -> None:
    faults = list(
        islice(
            sequence(fabric_cluster("rails"), sources=[source("spine", mean="1 h", repair="1 d")]),
            200,
        )
    )
    for before, after in pairwise(faults):
        assert after.begin_s >= before.end_s, "there is one spine"


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    def drawn(seed: int, *kinds: str) -> list[tuple[float, float, str]]:
        own = sequence(fabric_cluster("rails"), seed, sources=[source(kind) for kind in kinds])
        first = [(each.begin_s, each.end_s, each.part) for each in islice(own, 300)]
        again = [(each.begin_s, each.end_s, each.part) for each in islice(own, 300)]
        assert first == again
        return first

    assert drawn(1, "nic") == drawn(1, "nic") != drawn(2, "nic")
    both = [each for each in drawn(1, "nic", "leaf") if "nic" in each[2]]
    assert drawn(1, "nic")[: len(both)] == both, "each source has its own random numbers"


def test_what_may_fail_is_what_fails() -> None:
    cluster = fabric_cluster("rails", "fat tree")
    own = sequence(
        cluster,
        sources=[source("nic", pools=["a"]), source("spine", pools=["b"])],
        events=[{"of": "a/leaf/1-spine/0", "at": "1 d"}],
    )
    cables = np.concatenate([each.cables for each in islice(own, 2000)])
    assert set(cables.tolist()) <= set(own.may_fail().tolist())
    assert len(set(cables.tolist())) > 0.9 * len(own.may_fail())


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown part": (
        {"events": [{"of": "a/leaf/0", "at": 0}, {"of": "a/laef/0", "at": 0}]},
        r"faults.events\[1\].of: a/laef/0: unknown kind of switch 'laef'; did you mean 'leaf'\?",
    ),
    "of an event with a name": (
        {"events": [{"name": "cut", "of": ["a/leaf/0", "b/leaf/0"], "at": 0}]},
        "faults.events.cut.of: 'b/leaf/0': unknown pool 'b'; allowed: a",
    ),
    "unknown rates": ({"sources": "alibaba"}, "faults.sources: .*did you mean 'alibaba-hpn'"),
    "unknown pool": ({"sources": [source("nic", pools=["b"])]}, "sources.nic.pools: .*'b'"),
    "too many": (
        {"sources": [source("nic", mean="10 s")]},
        "faults.sources.nic: pool a would have a failure every 156 ms on average",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_wrong_is_said(problem: str) -> None:
    fields, message = PROBLEMS[problem]
    with pytest.raises(InputError, match=message):
        sequence(fabric_cluster("rails"), **fields)


def test_fabrics_without_such_parts_are_left_out_unless_there_is_none() -> None:
    both = sequence(fabric_cluster("torus", "rails"), sources=[source("leaf")])
    assert {each.part.partition("/")[0] for each in islice(both, 50)} == {"b"}
    with pytest.raises(InputError, match=r"sources.leaf.of: no pool has a leaf in its network"):
        sequence(fabric_cluster("torus"), sources=[source("leaf")])


def test_the_connection_of_a_pool_can_only_be_degraded() -> None:
    cluster = fabric_cluster("rails", "rails", joined=True)
    with pytest.raises(InputError, match=r"events\[0\].capacity: must be above 0 for a/uplinks"):
        sequence(cluster, events=[{"of": "a/uplinks", "at": 0}])
    found = sequence(cluster, events=[{"of": "a/uplinks", "at": 0, "capacity": 0.1}])
    assert len(list(found)) == 1


def test_published_rates_by_hand() -> None:
    published = published_network_faults()
    assert all(each.source for sources in published.values() for each in sources)
    month_s = 30.44 * DAY_S
    link, switch = published["alibaba-hpn"]
    assert month_s / link.time_to_failure.mean() == pytest.approx(0.057e-2)
    assert month_s / switch.time_to_failure.mean() == pytest.approx(0.051e-2)
    # 40 cables of 400 servers with 8 each in 348 days, and a mean repair of 4.98 days.
    cable, _ = published["stepfun-infinitehbd"]
    assert cable.time_to_failure.mean() == pytest.approx(400 * 8 * 348 / 40 * DAY_S)
    assert cable.repair.mean() == pytest.approx(4.98 * DAY_S, rel=1e-3)
    # 35 interruptions of 16,384 chips in 54 days: 1.5 days between two of them.
    one, _ = published["meta-llama3"]
    assert one.time_to_failure.mean() / 16384 == pytest.approx(54 / 35 * DAY_S)
    [azure] = published["azure-switches"]
    survives = math.exp(-91.31 * DAY_S / azure.time_to_failure.mean())
    assert survives == pytest.approx(0.98, abs=1e-5)
    assert azure.repair.quantile(np.array([0.5, 0.95])) == pytest.approx([360, DAY_S], rel=1e-3)
    names = [each.name for each in network_fault_sources(spec_of(sources=["alibaba-hpn"]))]
    assert names == ["nic-tor link", "tor switch"]


# --- Nodes that are cut off -----------------------------------------------------------


def cut_off(cluster: Cluster, faults: list[tuple[str, float, float, float]]) -> list[NodeEvent]:
    parts = NetworkParts(cluster)
    own = [
        NetworkFault(begin, end, name, parts.cables_of(name), left, name)
        for name, begin, end, left in faults
    ]
    return list(nodes_cut_off(own, parts, trunk_graph(cluster)))


def periods(events: list[NodeEvent]) -> list[tuple[int, float, float]]:
    assert all(event.kind is NodeEventKind.CUT_OFF for event in events)
    return [(event.node, event.begin_s, event.end_s) for event in events]


def test_a_leaf_without_redundancy_cuts_off_its_nodes() -> None:
    found = cut_off(fabric_cluster("one rail"), [("a/leaf/1", 5, 9, 0)])
    assert periods(found) == [(2, 5, 9), (3, 5, 9)]
    assert [event.cause for event in found] == ["a/leaf/1"] * 2
    assert cut_off(fabric_cluster("one rail"), [("a/leaf/1", 5, 9, 0.1)]) == []
    assert cut_off(fabric_cluster("rails"), [("a/leaf/1", 5, 9, 0)]) == []


def test_uplinks_that_are_all_down_cut_off_their_group() -> None:
    for faults in (
        [("a/unit/1/uplinks", 5, 9, 0)],
        [(f"a/leaf/{leaf}-spine/0", 1 + leaf / 2, 9, 0) for leaf in range(8, 16)],
    ):
        found = periods(cut_off(fabric_cluster("rails"), faults))
        begin_s = max(begin for _, begin, *_ in faults)
        assert found == [(2, begin_s, 9), (3, begin_s, 9)]
    # A single spine connects all units: without it, each is cut off from all others.
    assert len(cut_off(fabric_cluster("rails"), [("a/spine/0", 5, 9, 0)])) == 8
    # The trunk of the only pod is on no way between two nodes.
    tree = [(f"a/core/{core}", 1, 2, 0.0) for core in range(8)]
    assert cut_off(fabric_cluster("fat tree", nodes=4), tree) == []
    assert len(cut_off(fabric_cluster("fat tree", "rails", nodes=4, joined=True), tree)) == 4


def test_a_period_that_a_later_fault_makes_longer_is_followed_by_another() -> None:
    faults = [("a/leaf/1", 5.0, 9.0, 0.0), ("a/unit/1/uplinks", 7.0, 12.0, 0.0)]
    found = cut_off(fabric_cluster("one rail"), faults)
    assert periods(found) == [(2, 5, 9), (3, 5, 9), (2, 9, 12), (3, 9, 12)]
    assert periods(list(without_overlaps(found))) == periods(found)
    # Ports fail one by one; the first one that is repaired connects the node again.
    nics = [(f"a/node/0/nic/{k}", float(k), 20.0 + k, 0.0) for k in range(8)]
    assert periods(cut_off(fabric_cluster("rails"), nics)) == [(0, 7, 20)]


def test_a_node_out_of_service_is_cut_off_when_it_returns() -> None:
    repair = NodeEvent(0.0, 7.0, 0, 2, "gpu")
    late = NodeEvent(8.0, 9.5, 0, 2, "gpu")
    found = cut_off(fabric_cluster("one rail"), [("a/leaf/1", 5, 9, 0)])
    events = list(without_overlaps(sorted([repair, late, *found])))
    assert periods([each for each in events if each.cause != "gpu"]) == [(3, 5, 9), (2, 7, 9)]
    assert [each for each in events if each.cause == "gpu"] == [repair], "only a node in service"
    over = list(without_overlaps([repair._replace(end_s=9.0), *found]))
    assert [(each.node, each.begin_s) for each in over] == [(2, 0), (3, 5)]


def reached(state: CableState, cluster: Cluster) -> list[bool]:
    """Which nodes reach the rest of their pool (a plain twin of the rule)."""
    graph = trunk_graph(cluster)
    found = []
    for node in range(graph.n_nodes):
        trunks = [graph.up_of_node[level, node] for level in range(LEAF, DATACENTER)]
        ways = [state.trunk_part[trunk] > 0 for trunk in trunks if trunk >= 0]
        found.append(bool(state.node_part[node] > 0 and all(ways)))
    return found


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["one rail", "rails", "dragonfly"]))
@settings(max_examples=examples(80))
def test_a_node_is_cut_off_exactly_while_it_reaches_nothing(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    cluster = fabric_cluster(name)
    parts = NetworkParts(cluster)
    faults = []
    for _ in range(int(rng.integers(1, 15))):
        kind = ("nic", "link", "leaf", "spine", "switch")[int(rng.integers(5))]
        if parts.count(0, kind):
            part, cables = parts.part(0, kind, int(rng.integers(parts.count(0, kind))))
            begin_s = float(rng.integers(20))
            end_s = begin_s + float(rng.integers(1, 15))
            if rng.random() < 0.1:
                end_s = math.inf
            faults.append(NetworkFault(begin_s, end_s, part, cables, 0.5 * rng.integers(2)))
    faults.sort(key=lambda fault: fault.begin_s)
    events = list(nodes_cut_off(faults, parts, trunk_graph(cluster)))
    assert [each.begin_s for each in events] == sorted(each.begin_s for each in events)
    assert list(without_overlaps(events)) == events
    for time_s in np.arange(0.5, 60.0):
        state = CableState(parts, trunk_graph(cluster))
        for fault in faults:
            if fault.begin_s <= time_s < fault.end_s:
                state.begin(fault)
        out = {each.node for each in events if each.begin_s <= time_s < each.end_s}
        assert out == {n for n, way in enumerate(reached(state, cluster)) if not way}


def test_how_often_single_faults_stop_a_gang() -> None:
    """4 leaves with 2 nodes each: a gang of 3 nodes depends on 2 of them, one of 8 on all."""
    sizes = np.array([8, 24, 64])

    def per_day(name: str, *sources: dict[str, Any]) -> list[float]:
        cluster = fabric_cluster(name)
        faults = RunFaults.of(spec_of(sources=list(sources)), cluster, cs.Streams(0))
        [rates] = faults.stops_per_s(sizes)
        assert faults.stops_jobs == bool(rates.any())
        return (rates * DAY_S).tolist()

    assert per_day("one rail", source("leaf")) == pytest.approx([0.01, 0.02, 0.04])
    assert per_day("one rail", source("leaf", capacity=0.5)) == [0, 0, 0]
    assert per_day("rails", source("leaf"), source("nic")) == [0, 0, 0]
    assert per_day("rails", source("switch")) == pytest.approx([0.01] * 3), "the only spine"
