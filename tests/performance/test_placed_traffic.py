"""Bytes of jobs by level of trunks: by hand, and rank by rank along the routes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.network import LEVELS, trunk_graph
from clustersim.performance import Plans
from clustersim.performance.traffic import (
    KINDS,
    chips_inside,
    path_latency,
    placed_traffic,
    traffic_of,
)
from clustersim.topology import compile_cluster, resolve_cluster
from tests.performance.plain import chip, mixture, model, plain
from tests.performance.strategies import repeatable

SIZE = 4
"""Chips of a node."""
POOL = {
    "accelerator": "H20",
    "chips_per_node": SIZE,
    "nodes": 16,
    "nic": "50 GB/s",
    "fabric": {"type": "rail-optimised", "unit_nodes": 4, "units_per_pod": 2, "radix": 8},
}
GRAPH = trunk_graph(
    compile_cluster(resolve_cluster({"name": "test", "pools": {"p": POOL}}, load_catalogue()))
)


def placed(shape, nodes, chips=None, **sizes):
    return placed_traffic(
        GRAPH,
        nodes,
        [SIZE] * len(nodes) if chips is None else chips,
        shape,
        chip(scaleup_size=float(SIZE)),
        Plans.of(**{name: [value] for name, value in sizes.items()}),
        global_batch=64.0,
        coefficients=plain(),
    )


def levels_used(found):
    return [level for level, sent in zip(LEVELS, found.total, strict=True) if sent]


@pytest.mark.parametrize(
    ("nodes", "levels"),
    [
        ([3], ["scale-up"]),
        ([0, 1, 2, 3], ["scale-up", "rail"]),
        ([0, 4], ["scale-up", "rail", "leaf"]),
        ([0, 8], ["scale-up", "rail", "leaf", "spine"]),
    ],
)
def test_levels_that_a_gang_uses(nodes, levels):
    """Units have four nodes, and pods two units: a gang below a leaf crosses no uplink."""
    found = placed(model(), nodes, dp=SIZE * len(nodes), zero=1)
    assert levels_used(found) == levels
    assert np.isnan(found.rail_aligned) if len(nodes) == 1 else found.rail_aligned == 1.0


def test_order_of_the_nodes_is_that_of_the_ranks():
    """Four stages on nodes of two units: only the middle stages are in different units, or all."""
    together = placed(model(), [0, 1, 4, 5], pp=4, tp=4)
    alternating = placed(model(), [0, 4, 1, 5], pp=4, tp=4)
    rail, leaf = LEVELS.index("rail"), LEVELS.index("leaf")
    crossing = [found.level_bytes["pipeline"] for found in (together, alternating)]
    assert crossing[1][leaf] == pytest.approx(3 * crossing[0][leaf])
    assert crossing[1][rail] == pytest.approx(crossing[0][rail])


def test_experts_over_two_nodes_use_all_rails():
    """Of the four chips on the other node, one has the sender's position."""
    found = placed(mixture(), [0, 1], dp=8, ep=8, dispatcher=1)
    far = found.level_bytes["expert"][LEVELS.index("rail")]
    # Experts have no copies, and the weights that all ranks share are reduced on their rails.
    data = found.level_bytes["data"][LEVELS.index("rail")]
    assert found.rail_aligned == pytest.approx((far / 4 + data) / (far + data))


def test_tensor_parallel_groups_across_nodes_of_three_chips():
    """Chips 0-2 are on one node, chip 3 on the next, and so on: rings leave their rails."""
    found = placed(model(), [0, 1, 2, 3], chips=[3, 3, 3, 3], tp=4, dp=3)
    assert found.inside == 3
    assert 0.0 < found.rail_aligned < 1.0
    assert found.level_bytes["tensor"][LEVELS.index("rail")] > 0


PLANS = st.sampled_from(
    [
        {"tp": 2, "dp": 4, "cp": 2, "pp": 2, "zero": 1},
        {"tp": 4, "dp": 2, "pp": 4, "vpp": 3},
        {"tp": 8, "dp": 4, "zero": 3},
        {"dp": 16, "pp": 2, "zero": 2, "zero_group": 4},
        {"tp": 2, "cp": 4, "dp": 4},
        {"dp": 32, "ep": 8, "dispatcher": 1},
        {"tp": 2, "dp": 8, "pp": 2, "ep": 4, "etp": 2, "dispatcher": 1},
        {"dp": 16, "pp": 2, "ep": 4, "dispatcher": 2},
    ]
)


@repeatable
@given(PLANS, st.permutations(range(16)))
def test_bytes_rank_by_rank(sizes, nodes):
    """Every pair of ranks that exchanges bytes, one after the other, on eight nodes."""
    nodes = nodes[:8]
    found = placed(mixture() if "ep" in sizes else model(), nodes, **sizes)
    plain_bytes = rank_by_rank(sizes, nodes)
    for kind in KINDS:
        sent = plain_bytes.get(kind, np.zeros(len(LEVELS)))
        assert found.level_bytes[kind] == pytest.approx(sent, rel=1e-9), kind


def rank_by_rank(sizes, nodes):
    """Bytes by kind and level, with what a chip sends in a group as `traffic_of` has it."""
    shape = mixture() if "ep" in sizes else model()
    per_chip = traffic_of(
        shape,
        chip(scaleup_size=float(SIZE)),
        Plans.of(**{name: [value] for name, value in sizes.items()}),
        global_batch=[64.0],
        coefficients=plain(),
    )
    of = {kind: float(per_chip.nic_bytes[kind][0] + per_chip.scaleup_bytes[kind][0])
          for kind in KINDS}  # fmt: skip
    tp, cp, dp, pp = (sizes.get(name, 1) for name in ("tp", "cp", "dp", "pp"))
    ranks = {
        (t, c, d, p): t + tp * (c + cp * (d + dp * p))
        for t, c, d, p in product(range(tp), range(cp), range(dp), range(pp))
    }
    found = {}

    def send(kind, source, target, size):
        sent = found.setdefault(kind, np.zeros(len(LEVELS)))
        one, other = nodes[source // SIZE], nodes[target // SIZE]
        if one == other:
            sent[0] += size
        for level in range(1, len(LEVELS)):
            leaving, entering = GRAPH.up_of_node[level, one], GRAPH.up_of_node[level, other]
            sent[level] += size if leaving != entering else 0.0

    def ring(kind, members):
        for source, target in zip(members, members[1:] + members[:1], strict=True):
            send(kind, source, target, of[kind])

    for c, d, p in product(range(cp), range(dp), range(pp)):
        if tp > 1:
            ring("tensor", [ranks[t, c, d, p] for t in range(tp)])
    for t, d, p in product(range(tp), range(dp), range(pp)):
        if cp > 1:
            ring("context", [ranks[t, c, d, p] for c in range(cp)])
    for t, p in product(range(tp), range(pp)):
        same = [ranks[t, c, d, p] for d in range(dp) for c in range(cp)]
        group = sizes.get("zero_group", len(same))
        if "ep" not in sizes:
            for first in range(0, len(same), group):
                ring("data", same[first : first + group])
            for lane in range(group if group < len(same) else 0):
                ring("hybrid", same[lane::group])
    if pp > 1:
        vpp = sizes.get("vpp", 1)
        chunk = of["pipeline"] / (2 * vpp - (pp == 2))
        for (t, c, d, p), rank in ranks.items():
            following, more = ranks[t, c, d, (p + 1) % pp], vpp if p + 1 < pp else vpp - 1
            send("pipeline", rank, following, chunk * more)
            send("pipeline", following, rank, chunk * more)
    if "ep" in sizes:
        experts(sizes, of, ring, send)
        # Rings of dense weights and of experts have different sizes; see the next test.
        found["data"] = placed(shape, nodes, **sizes).level_bytes["data"]
    return found


def experts(sizes, of, ring, send):
    """Exchanges among `ep` ranks at a distance of `etp`, and rings of the ranks of an expert."""
    ep, etp = sizes["ep"], sizes.get("etp", 1)
    count = 32
    for first in range(0, count, ep * etp):
        for lane in range(etp):
            members = [first + lane + etp * place for place in range(ep)]
            if sizes["dispatcher"] == 2:
                ring("expert", members)
                continue
            # Split experts also gather the tokens of their ranks, as many as they exchange.
            exchanged = of["expert"] * exchange_share(ep, etp)
            for source, target in product(members, members):
                if source != target:
                    send("expert", source, target, exchanged / (ep - 1))
        if etp > 1:
            for place in range(ep):
                gathered = of["expert"] * (1 - exchange_share(ep, etp))
                split = [first + etp * place + lane for lane in range(etp)]
                for source, target in zip(split, split[1:] + split[:1], strict=True):
                    send("expert", source, target, gathered)


def exchange_share(ep, etp):
    """Part of the bytes that is exchanged: tokens of a chip against those that `etp` chips have."""
    exchange, gather = (ep - 1) / ep, etp * (etp - 1) / etp
    return exchange / (exchange + gather)


def test_dense_and_expert_gradients_have_rings_of_their_own():
    """16 chips, experts on 4 of them each: dense rings over all nodes, expert rings at stride 4."""
    found = placed(mixture(), [0, 1, 4, 5], dp=16, ep=4, zero=1, dispatcher=1)
    alone = placed(mixture(), [0, 1, 4, 5], dp=16, ep=16, zero=1, dispatcher=1)
    dense = alone.level_bytes["data"]  # experts without copies
    layer_experts = 24 * 2 * 2 * 1024 * 4096  # two experts on a chip, of two matrices each
    ring = 2 * 3 / 4 * 2 * layer_experts
    more = found.level_bytes["data"] - dense
    assert more == pytest.approx([0, 16 * ring, 8 * ring, 0, 0])


def test_a_packed_gang_fills_whole_domains():
    assert chips_inside(GRAPH, [0, 1, 2], [4, 4, 2], SIZE) == SIZE
    assert chips_inside(GRAPH, [0, 1, 2], [4, 4, 1], SIZE) == SIZE
    assert chips_inside(GRAPH, [0, 1, 2, 3], [4, 3, 2, 1], SIZE) == 1


def test_latency_of_paths_by_hand():
    """In a ring over nodes 0, 1 and 4, two of three hops lead to another unit and back."""
    above = GRAPH.latency_s[GRAPH.up_of_node[LEVELS.index("leaf"), 0]]
    assert path_latency(GRAPH, [0, 1, 2]) == 0.0
    assert path_latency(GRAPH, [0, 1, 4]) == pytest.approx(2 / 3 * 2 * above)


@pytest.mark.parametrize(
    ("nodes", "chips", "sizes", "problem"),
    [
        ([0, 0], [4, 4], {"dp": 8}, "nodes: must not contain a node twice"),
        ([0, 16], [4, 4], {"dp": 8}, "unknown node 16"),
        ([0, 1], [4, 4], {"dp": 9}, "must add up to the 9 chips of the plan, found 8"),
        ([0, 1], [4, 0], {"dp": 4}, "chips_on_node: must have a whole number of at least 1"),
        ([0.5], [4], {"dp": 4}, "nodes: must be a list of whole numbers"),
        ([0, 1], [4, 4], {"dp": 8, "zero": 1, "zero_group": 3}, "groups of 3 ranks"),
    ],
)
def test_unusable_placements_are_refused(nodes, chips, sizes, problem):
    with pytest.raises(InputError, match=problem.replace("[", r"\[")):
        placed(model(), nodes, chips, **sizes)
