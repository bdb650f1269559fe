"""Buddy cells: by hand, and invariants of the cells against a plain map of all accelerators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling import BuddyCells
from clustersim.scheduling.placements.buddies import Buddies
from clustersim.scheduling.placements.buddy_cells import Cells
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from tests.examples import examples
from tests.simulation.fleets import cluster, crowd, pool

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(60))


def test_cells_split_and_merge_by_hand() -> None:
    placement = BuddyCells(1, 8)
    one, quad = placement.take(1), placement.take(4)  # the node is 1, 1, 2, 4
    assert placement.free == 3
    assert placement.fits_each(np.array([1, 2, 3, 4])).tolist() == [True, True, True, False]
    pair = placement.take(2)
    assert isinstance(one, Cells)
    assert isinstance(quad, Cells)
    assert isinstance(pair, Cells)
    assert [each.pieces for each in (one, pair, quad)] == [[((0, 1),)], [((2, 2),)], [((4, 4),)]]
    placement.give(one, 1)
    assert placement.largest_gang() == 2  # accelerators 0 and 1 are merged again
    placement.give(pair, 2)
    assert placement.largest_gang() == 4
    placement.give(quad, 4)
    assert placement.largest_gang() == 8


def test_two_free_accelerators_are_not_always_a_pair() -> None:
    placement = BuddyCells(1, 4)
    ones = [placement.take(1) for _ in range(4)]
    for at in (1, 2):
        placement.give(ones[at] or (), 1)
    assert placement.free == 2
    assert placement.take(2) is None
    placement.give(ones[0] or (), 1)
    assert list(placement.take(2) or ()) == [(0, 2)]


def test_a_job_of_three_gives_the_fourth_back() -> None:
    placement = BuddyCells(1, 4)
    assert list(placement.take(3) or ()) == [(0, 3)]
    assert list(placement.take(1) or ()) == [(0, 1)]


def test_gangs_get_cells_of_nodes() -> None:
    placement = BuddyCells(6, 8)
    assert list(placement.take(8) or ()) == [(4, 8)]  # the cells are of 4 and 2 nodes
    assert [node for node, _ in placement.take(32) or ()] == [0, 1, 2, 3]
    assert list(placement.take(8) or ()) == [(5, 8)]


def test_a_gang_without_a_cell_of_its_size_gets_the_largest_ones() -> None:
    placement = BuddyCells(4, 8)
    first = placement.take(8)
    assert [node for node, _ in placement.take(20) or ()] == [2, 3, 1]
    placement.give(first or (), 8)
    assert placement.largest_gang() == 8 + 4
    assert list(placement.take(12) or ()) == [(0, 8), (1, 4)]


def test_a_job_of_six_gets_a_quad_and_a_pair_if_there_is_no_cell_for_it() -> None:
    placement = BuddyCells(1, 8)
    one = placement.take(1)  # the node is 1, 1, 2, 4
    six = placement.take(6)
    assert isinstance(six, Cells)
    assert list(six) == [(0, 6)]
    assert six.pieces == [((4, 4), (2, 2))]
    placement.give(six, 6)
    placement.take(2)  # the node is 1, 1, 2, 4
    assert placement.fits_each(np.array([4, 5, 6])).tolist() == [True, True, False]
    placement.give(one or (), 1)
    assert placement.take(6) == [(0, 6)]


def test_nodes_whose_size_is_not_a_power_of_two() -> None:
    placement = BuddyCells(1, 6)  # a quad and a pair
    assert [list(placement.take(n) or ()) for n in (2, 4)] == [[(0, 2)], [(0, 4)]]
    placement = BuddyCells(2, 6)
    assert list(placement.take(5) or ()) == [(0, 5)]
    assert placement.largest_gang() == 6 + 1


def test_accelerators_that_are_not_known_one_by_one() -> None:
    placement = BuddyCells(1, 8)
    placement.take_these([(0, 3)], 3)  # the smallest cell that holds them
    quad = placement.take(4)
    placement.give([(0, 3)], 3)
    assert placement.largest_gang() == 4
    placement.give(quad or (), 4)
    assert placement.largest_gang() == 8
    ones = [placement.take(1) for _ in range(8)]
    for at in (1, 2, 4):
        placement.give(ones[at] or (), 1)
    placement.take_these([(0, 3)], 3)  # no cell: one here, one there
    assert placement.free == 0
    assert not placement.has_free([(0, 1)], 1)


# --- Invariants ---------------------------------------------------------------------


def free_cells(cells: Buddies) -> list[tuple[int, int]]:
    return [(first, order) for order, free in enumerate(cells.free) for first in free]


def check_cells(cells: Buddies, is_free: list[bool]) -> None:
    """Free cells are aligned, apart from each other, cover what is free, and are merged."""
    covered = [False] * len(is_free)
    found = free_cells(cells)
    for first, order in found:
        assert first % (1 << order) == 0
        for at in range(first, first + (1 << order)):
            assert not covered[at]
            covered[at] = True
        assert order == cells.largest_order or (first ^ (1 << order), order) not in found
    assert covered == is_free
    assert cells.n_free == sum(is_free)


@repeatable
@given(data=st.data())
def test_buddies_against_a_map_of_positions(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 24))
    cells, is_free = Buddies(n), [True] * n
    held: list[tuple[int, int]] = []
    cells.give_range(0, n)
    for _ in range(data.draw(st.integers(1, 25))):
        check_cells(cells, is_free)
        if held and data.draw(st.integers(0, 1)):
            first, order = held.pop(data.draw(st.integers(0, len(held) - 1)))
            cells.give(first, order)
            is_free[first : first + (1 << order)] = [True] * (1 << order)
            continue
        order = data.draw(st.integers(0, cells.largest_order))
        size = 1 << order
        aligned = [at for at in range(0, n - size + 1, size) if all(is_free[at : at + size])]
        assert [cells.is_free(at, size) for at in aligned] == [True] * len(aligned)
        if data.draw(st.integers(0, 1)):
            taken = cells.take(order)
            assert (taken is None) == (not aligned)
            if taken is None:
                continue
            assert taken in aligned
            first = taken
        else:
            first = data.draw(st.sampled_from(range(0, n, size)))
            assert cells.take_at(first, order) == (first in aligned)
            if first not in aligned:
                continue
        is_free[first : first + size] = [False] * size
        held.append((first, order))


@repeatable
@given(data=st.data())
def test_no_power_of_two_is_refused_while_a_cell_is_free(data: st.DataObject) -> None:
    n_nodes, chips = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([1, 2, 4, 6, 8]))
    placement = BuddyCells(n_nodes, chips)
    is_free = [[True] * chips for _ in range(n_nodes)]
    held: list[tuple[Cells, int]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        if held and data.draw(st.integers(0, 2)) == 0:
            cells, n = held.pop(data.draw(st.integers(0, len(held) - 1)))
            placement.give(cells, n)
            mark(is_free, cells, free=True)
            continue
        n = data.draw(st.integers(1, chips * n_nodes + 1))
        fits = plainly_fits(is_free, chips, n)
        assert placement.fits_each(np.array([n])).tolist() == [fits]
        taken = placement.take(n)
        assert (taken is not None) == fits
        if taken is None:
            continue
        assert isinstance(taken, Cells)
        cells = taken
        assert sum(count for _, count in cells) == n
        mark(is_free, cells, free=False)
        if n & (n - 1) == 0 and n <= chips:
            ((first, count),) = cells.pieces[0]
            assert (len(cells), count, first % n) == (1, n, 0)
        held.append((cells, n))
        assert list(placement.node_free) == [sum(own) for own in is_free]
        assert placement.free == sum(map(sum, is_free))
    for cells, n in held:
        placement.give(cells, n)
    assert placement.largest_gang() == n_nodes * chips


def mark(is_free: list[list[bool]], cells: Cells, *, free: bool) -> None:
    for (node, count), pieces in zip(cells, cells.pieces, strict=True):
        assert count == sum(size for _, size in pieces)
        for first, size in pieces:
            for at in range(first, first + size):
                assert is_free[node][at] != free, "no accelerator is taken or given twice"
                is_free[node][at] = free


def plainly_fits(is_free: list[list[bool]], chips: int, n: int) -> bool:
    """Whether there are enough free nodes, and on one more node cells for the remainder."""
    whole, rest = divmod(n, chips)
    whole_ones = sum(all(own) for own in is_free)
    if whole_ones > whole or (whole_ones == whole and not rest):
        return True
    powers = [1 << k for k in range(8, -1, -1) if rest >> k & 1]
    return whole_ones == whole and any(
        has_cells(own, [1 << (rest - 1).bit_length()]) or has_cells(own, powers)
        for own in is_free
        if not all(own)
    )


def has_cells(own: list[bool], sizes: list[int]) -> bool:
    """Whether a node has free, aligned cells of some sizes apart from each other: all are tried."""
    if not sizes:
        return True
    size = sizes[0]
    for at in range(0, len(own) - size + 1, size):
        if all(own[at : at + size]):
            left = [*own[:at], *[False] * size, *own[at + size :]]
            if has_cells(left, sizes[1:]):
                return True
    return False


@pytest.mark.parametrize("policy", ["easy", "first_fit", "srtf", "priority"])
def test_runs_on_cells_lose_no_accelerator(policy: str) -> None:
    fleet = cluster(pool("gpu", 5, 8))
    log = crowd(5, 80).assign(priority=np.arange(80) % 3)
    scheduling = Scheduling(policy=policy, placement="buddy_cells")
    result = simulate(log, fleet, scheduling, check=True)
    assert (result.jobs["outcome"] == "finished").all()
