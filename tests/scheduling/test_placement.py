"""Placements: rules by hand, and the quick ones against their own plain choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling import (
    Consolidate,
    FragmentationAware,
    NodePlacement,
    Pooled,
    Spread,
    TopologyAware,
)
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(150))
QUICK = [Consolidate, Spread, FragmentationAware, TopologyAware]


def with_free(kind: type[NodePlacement], free: list[int], chips: int) -> NodePlacement:
    """A placement some of whose chips are taken."""
    placement = kind(len(free), chips)
    held = [(node, chips - left) for node, left in enumerate(free) if left < chips]
    placement.take_these(held, sum(n for _, n in held))
    return placement


# --- By hand ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "n", "nodes"),
    [
        # Up to a node: the fullest that fits, ties by the lowest index.
        ([8, 3, 5, 3], 3, [(1, 3)]),
        ([8, 3, 5, 3], 4, [(2, 4)]),
        ([8, 3, 5, 3], 6, [(0, 6)]),
        ([2, 8, 2, 8], 8, [(1, 8)]),
        ([2, 7, 2, 7], 8, None),
        # Multiples of a node: wholly free nodes, lowest index first.
        ([7, 8, 8, 8], 16, [(1, 8), (2, 8)]),
        ([7, 8, 7, 7], 16, None),
        # Other sizes: whole nodes, the rest on the next in the order of decreasing free chips.
        ([8, 4, 6, 8], 12, [(0, 8), (3, 4)]),
        ([5, 6, 6, 8], 12, [(3, 8), (1, 4)]),
        ([3, 3, 3, 8], 12, None),
        ([8, 8, 1, 8], 20, [(0, 8), (1, 8), (3, 4)]),
        ([8, 8, 4, 5], 21, [(0, 8), (1, 8), (3, 5)]),
    ],
)
def test_consolidate_by_hand(free: list[int], n: int, nodes: list[tuple[int, int]] | None) -> None:
    placement = with_free(Consolidate, free, 8)
    assert placement.fits_each(np.array([n])).tolist() == [nodes is not None]
    taken = placement.take(n)
    assert (taken if taken is None else list(taken)) == nodes
    assert placement.free == sum(free) - (n if nodes else 0)


@pytest.mark.parametrize(
    ("free", "n", "nodes"),
    [
        ([4, 4, 4], 2, [(0, 1), (1, 1)]),
        ([4, 4, 4], 7, [(0, 3), (1, 2), (2, 2)]),
        ([1, 4, 2], 3, [(1, 3)]),
        ([1, 4, 2], 4, [(1, 3), (2, 1)]),
        ([1, 4, 2], 7, [(0, 1), (1, 4), (2, 2)]),
        ([1, 4, 2], 8, None),
    ],
)
def test_spread_by_hand(free: list[int], n: int, nodes: list[tuple[int, int]] | None) -> None:
    taken = with_free(Spread, free, 4).take(n)
    assert (taken if taken is None else list(taken)) == nodes


def test_pooled_counts() -> None:
    placement = Pooled(2, 4)
    assert placement.fits_each(np.array([8, 9])).tolist() == [True, False]
    assert placement.take(5) == ()
    assert placement.take(4) is None
    placement.give((), 5)
    assert placement.free == placement.capacity == 8


# --- In general ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", QUICK)
@repeatable
@given(data=st.data())
def test_every_step_of_take_and_give_is_the_plain_choice(
    kind: type[NodePlacement], data: st.DataObject
) -> None:
    n_nodes, chips = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    placement = kind(n_nodes, chips)
    expected_free = np.full(n_nodes, chips)
    held: list[tuple[list[tuple[int, int]], int]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        if held and data.draw(st.booleans()):
            nodes, n = held.pop(data.draw(st.integers(0, len(held) - 1)))
            placement.give(nodes, n)
            for node, part in nodes:
                expected_free[node] += part
        else:
            n = data.draw(st.integers(1, n_nodes * chips + 1))
            choice = placement.choose(n, expected_free) if n <= expected_free.sum() else None
            taken = placement.take(n)
            assert (taken is None) == (choice is None)
            if taken is None or choice is None:
                continue
            assert sorted(taken) == sorted(choice)
            assert sum(part for _, part in taken) == n
            assert len({node for node, _ in taken}) == len(taken)
            held.append((list(taken), n))
            for node, part in taken:
                expected_free[node] -= part
        assert list(placement.node_free) == expected_free.tolist()
        assert expected_free.min() >= 0
        assert placement.free == expected_free.sum()
        sizes = np.arange(1, n_nodes * chips + 3)
        fits = [
            n <= placement.free and placement.choose(int(n), expected_free) is not None
            for n in sizes
        ]
        assert placement.fits_each(sizes).tolist() == fits
        assert placement.fits_each_of(sizes, expected_free).tolist() == fits


@pytest.mark.parametrize("kind", QUICK)
@repeatable
@given(free=st.lists(st.integers(0, 4), min_size=1, max_size=6), n=st.integers(1, 24))
def test_remove_takes_out_what_choose_chooses(
    kind: type[NodePlacement], free: list[int], n: int
) -> None:
    placement = with_free(kind, free, 4)
    choice = placement.choose(n, np.array(free)) if n <= sum(free) else None
    if choice is None:
        return
    left = np.array(free)
    placement.remove(n, left)
    for node, part in choice:
        free[node] -= part
    assert left.tolist() == free


def test_the_view_of_free_chips_cannot_be_written() -> None:
    view = Consolidate(2, 4).free_by_node()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_a_placement_of_ones_own_needs_only_choose() -> None:
    class LastNode(NodePlacement):
        def choose(self, n: int, node_free: np.ndarray) -> list[tuple[int, int]] | None:
            node = self.n_nodes - 1
            return [(node, n)] if node_free[node] >= n else None

    placement = LastNode(3, 4)
    assert placement.fits_each(np.array([1, 4, 5, 20])).tolist() == [True, True, False, False]
    assert placement.take(3) == [(2, 3)]
    assert placement.take(2) is None
    assert list(placement.node_free) == [4, 4, 1]
