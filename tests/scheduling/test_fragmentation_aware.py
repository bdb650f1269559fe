"""The fragmentation gradient: by hand, and against a search over all nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling import FragmentationAware, find_placement
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(60))


def with_free(free: list[int], sizes: list[int], chips: int = 8) -> FragmentationAware:
    placement = FragmentationAware(len(free), chips)
    placement.prepare([], np.array(sizes))
    held = [(node, chips - left) for node, left in enumerate(free) if left < chips]
    placement.take_these(held, sum(n for _, n in held))
    return placement


@pytest.mark.parametrize(
    ("free", "sizes", "n", "node"),
    [
        # Jobs need 1 or 4. With 4 free, a job of 1 leaves 3 on which a 4 cannot run: +1.5.
        # With 5 free, it leaves 4, on which both can run: no change. Best fit would take node 0.
        ([4, 5], [1, 4], 1, 1),
        # With 3 free, it uses up a fragment: -0.5. It is the best.
        ([3, 4, 5], [1, 4], 1, 0),
        # With jobs of 2 and 8 alike, all nodes with 2 or more lose 2 x 0.5; the fullest is used.
        ([6, 4, 2], [2, 8], 2, 2),
        # Only jobs of 8: partly used nodes are fragments as a whole, a free node is none.
        ([8, 2], [8], 2, 1),
    ],
)
def test_by_hand(free: list[int], sizes: list[int], n: int, node: int) -> None:
    assert list(with_free(free, sizes).take(n) or ()) == [(node, n)]


def test_the_remainder_of_a_gang_is_placed_like_a_small_job() -> None:
    assert list(with_free([8, 8, 4, 5], [1, 4], 8).take(9) or ()) == [(0, 8), (3, 1)]


def test_the_option_gives_the_workload() -> None:
    kind = find_placement("fragmentation_aware", options={"sizes": "1:1,4:1"})
    placement = kind(2, 8)
    placement.prepare([], np.array([8]))
    placement.take_these([(0, 4), (1, 3)], 7)
    assert list(placement.take(1) or ()) == [(1, 1)]
    with pytest.raises(InputError, match="option sizes: must be numbers of accelerators"):
        find_placement("fragmentation_aware", options={"sizes": "0:1"})


def fragmentation(free: list[int], sizes: list[int], chips: int) -> int:
    """The measure of all nodes, times the number of jobs: job by job, node by node."""
    return sum(left for size in sizes for left in free if left < min(size, chips))


@repeatable
@given(
    free=st.lists(st.integers(0, 8), min_size=1, max_size=6),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    n=st.integers(1, 30),
)
def test_no_other_choice_leaves_less_fragmentation(
    free: list[int], sizes: list[int], n: int
) -> None:
    placement = with_free(free, sizes)
    taken = placement.take(n)
    whole, rest = divmod(n, 8)
    whole_ones = [node for node, left in enumerate(free) if left == 8][:whole]
    for node in whole_ones:
        free[node] = 0
    after = {
        (fragmentation([*free[:node], left - rest, *free[node + 1 :]], sizes, 8), left, node)
        for node, left in enumerate(free)
        if left >= rest
    }
    if len(whole_ones) < whole or (rest and not after):
        assert taken is None
        return
    expected = [(node, 8) for node in whole_ones]
    assert list(taken or ()) == expected + ([(min(after)[2], rest)] if rest else [])
