"""Gangs below as few levels of the network as possible: by hand, and against a plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.partitions import build_partitions
from clustersim.scheduling import Level, TopologyAware, find_placement, levels_of
from clustersim.scheduling.placements import Nodes
from clustersim.topology import Cluster, Pool
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(60))
LEAF = Level("leaf", np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]))
POD = Level("pod", np.array([0] * 6 + [1] * 6))


class Aligned(TopologyAware):
    rail_aligned = True


def with_free(free: list[int], kind: type[TopologyAware] = TopologyAware) -> TopologyAware:
    """Twelve nodes in four leaves and two pods, with some of their accelerators taken."""
    placement = kind(12, 8)
    placement.prepare([LEAF, POD], np.array([1]))
    held = [(node, 8 - left) for node, left in enumerate(free) if left < 8]
    placement.take_these(held, sum(n for _, n in held))
    return placement


@pytest.mark.parametrize(
    ("free", "n", "nodes"),
    [
        # Two nodes: the leaf that has exactly two, not the first one with three.
        ([8, 8, 8, 8, 0, 8, 8, 8, 8, 8, 8, 8], 16, [(3, 8), (5, 8)]),
        # Four nodes: no leaf has them; of the pods, the second one has fewer to spare.
        ([8, 8, 8, 8, 8, 8, 8, 8, 0, 8, 8, 8], 32, [(6, 8), (9, 8), (10, 8), (11, 8)]),
        # Seven nodes: the whole pool; first the larger part of it, then the leaf with two.
        (
            [8] * 6 + [8, 8, 8, 8, 0, 0],
            56,
            [(0, 8), (1, 8), (2, 8), (3, 8), (4, 8), (5, 8), (9, 8)],
        ),
        # A node and a half: below one leaf, though another leaf has a fuller node for the half.
        ([8, 8, 8, 0, 0, 4, 8, 6, 0, 0, 0, 0], 12, [(6, 8), (7, 4)]),
        # A part of a node: the fullest on which it fits, of the leaf with fewer free nodes.
        ([4, 8, 8, 4, 8, 0, 8, 8, 8, 8, 8, 8], 3, [(3, 3)]),
        ([8, 8, 8, 8, 8, 0, 8, 8, 8, 8, 8, 8], 3, [(3, 3)]),
        # The remainder is in the leaf that gave the whole node, or else nearby.
        ([8, 0, 0, 0, 4, 0, 0, 0, 0, 4, 0, 0], 12, [(0, 8), (4, 4)]),
        ([8, 8, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0], 28, [(0, 8), (1, 8), (6, 8), (2, 4)]),
        ([7] * 12, 8, None),
    ],
)
def test_by_hand(free: list[int], n: int, nodes: list[tuple[int, int]] | None) -> None:
    placement = with_free(free)
    assert placement.fits_each(np.array([n])).tolist() == [nodes is not None]
    taken = placement.take(n)
    assert (taken if taken is None else list(taken)) == nodes


@pytest.mark.parametrize(
    ("n", "nodes"),
    [
        (12, [(0, 6), (1, 6)]),
        (9, [(0, 3), (1, 3), (2, 3)]),
        (20, [(0, 5), (1, 5), (2, 5), (3, 5)]),
        (16, [(0, 8), (1, 8)]),
        (5, [(0, 5)]),
        (11, [(0, 8), (1, 3)]),  # a prime number: no even split over two to four nodes
    ],
)
def test_rails_by_hand(n: int, nodes: list[tuple[int, int]]) -> None:
    assert list(with_free([8] * 12, Aligned).take(n) or ()) == nodes


def test_a_gang_is_not_aligned_if_there_are_too_few_free_nodes() -> None:
    free = [8, 5] + [0] * 10
    assert list(with_free(free, Aligned).take(12) or ()) == [(0, 8), (1, 4)]


# --- Plain twin ---------------------------------------------------------------------


def plain_level(free: list[int], whole: int, rest: int) -> int | None:
    """The lowest level with a group that holds a gang: each group is tried, node by node."""
    for level, groups in enumerate([LEAF.group_of_node, POD.group_of_node, np.zeros(12, int)]):
        for group in set(groups.tolist()):
            own = [left for left, other in zip(free, groups, strict=True) if other == group]
            whole_ones = own.count(8)
            partly = any(rest <= left < 8 for left in own)
            if whole_ones > whole or (whole_ones == whole and (not rest or partly)):
                return level
    return None


def level_of(nodes: list[int]) -> int:
    """The level below which some nodes are."""
    if len(set(LEAF.group_of_node[nodes].tolist())) == 1:
        return 0
    return 1 if len(set(POD.group_of_node[nodes].tolist())) == 1 else 2


@repeatable
@given(data=st.data())
def test_no_gang_is_spread_over_more_levels_than_necessary(data: st.DataObject) -> None:
    placement, free = with_free([8] * 12), [8] * 12
    held: list[tuple[Nodes, int]] = []
    for _ in range(data.draw(st.integers(1, 20))):
        if held and data.draw(st.integers(0, 2)) == 0:
            nodes, n = held.pop(data.draw(st.integers(0, len(held) - 1)))
            placement.give(nodes, n)
            for node, chips in nodes:
                free[node] += chips
            continue
        n = data.draw(st.one_of(st.integers(1, 8), st.integers(1, 6).map(lambda k: 8 * k),
                                st.integers(9, 60)))  # fmt: skip
        level = plain_level(free, *divmod(n, 8))
        choice = placement.choose(n, np.array(free))
        taken = placement.take(n)
        assert (taken is None) == (level is None) == (choice is None)
        if taken is None or choice is None:
            continue
        assert list(taken) == list(choice)
        assert level_of([node for node, _ in taken]) == level
        assert sorted((chips for _, chips in taken), reverse=True) == [8] * (n // 8) + (
            [n % 8] if n % 8 else []
        )
        for node, chips in taken:
            free[node] -= chips
        held.append((taken, n))
        assert placement.free_by_node().tolist() == free


# --- The levels of a pool -----------------------------------------------------------


def test_levels_are_those_that_say_something() -> None:
    each, all_one = np.arange(6), np.zeros(6, dtype=int)
    leaf, pod = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
    across = np.array([0, 0, 0, 1, 1, 1])
    found = levels_of([("pool", all_one), ("pod", pod), ("leaf", leaf), ("node", each)])
    assert [(level.name, level.group_of_node.tolist()) for level in found] == [
        ("leaf", leaf.tolist()),
        ("pod", pod.tolist()),
    ]
    assert [level.name for level in levels_of([("leaf", leaf), ("row", across)])] == ["leaf"]
    assert [level.name for level in levels_of([("a", leaf), ("b", leaf)])] == ["a"]
    assert levels_of([]) == []


def test_partitions_know_the_levels_of_their_own_nodes() -> None:
    pool = Pool(
        name="gpu",
        accelerator="",
        n_nodes=8,
        chips_per_node=8,
        nic_Bps=float("inf"),
        scaleup_size=8,
        leaf_of_node=np.array([0, 0, 1, 1, 2, 2, 3, 3], dtype=np.int32),
        unit_of_node=np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.int32),
        virtual_clusters={"a": 3},
    )
    parts = build_partitions(Cluster("c", (pool,)), find_placement("topology_aware"))
    own, others = (part.placement for part in parts)
    # The nodes of virtual cluster a are 0, 1 | 2; the others are 3 | 4, 5 | 6, 7.
    assert list(own.take(8) or ()) == [(2, 8)]
    assert list(others.take(16) or ()) == [(1, 8), (2, 8)]
    assert list(others.take(8) or ()) == [(0, 8)]
