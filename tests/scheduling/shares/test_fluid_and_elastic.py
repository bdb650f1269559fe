"""Fluid schedules against a schedule of small quanta, and elastic shares against all choices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.shares import (
    divide_by_gain,
    finish_time_ratios,
    least_attained_service,
    minimum_share,
    processor_sharing,
)

JOBS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 6)), min_size=1, max_size=6)
QUANTUM = 1 / 64


def quanta(jobs: list[tuple[int, int]], servers: int) -> list[float]:
    """Run the jobs with the least service, one quantum at a time."""
    left = [int(work / QUANTUM) for _, work in jobs]
    had = [0] * len(jobs)
    ends = [0.0] * len(jobs)
    for tick in itertools.count():
        now = tick * QUANTUM
        present = [i for i, (arrival, _) in enumerate(jobs) if arrival <= now and left[i]]
        for i in sorted(present, key=lambda i: (had[i], i))[:servers]:
            had[i] += 1
            left[i] -= 1
            ends[i] = now + QUANTUM
        if not any(left):
            return ends
    raise AssertionError


@given(JOBS, st.integers(1, 3))
def test_least_attained_service_is_the_limit_of_small_quanta(
    jobs: list[tuple[int, int]], servers: int
) -> None:
    arrival, work = np.array(jobs, dtype=float).T
    found = least_attained_service(arrival, work, servers=servers)
    assert found.tolist() == pytest.approx(quanta(jobs, servers), abs=3 * len(jobs) * QUANTUM)


@given(JOBS)
def test_one_server_is_never_idle_while_there_is_work(jobs: list[tuple[int, int]]) -> None:
    arrival, work = np.array(jobs, dtype=float).T
    free = 0.0
    for begin, amount in sorted(jobs):
        free = max(free, begin) + amount
    for schedule in (least_attained_service, processor_sharing):
        ends = schedule(arrival, work)
        assert ends.max() == pytest.approx(free)
        assert (ends >= arrival + work - 1e-9).all()
    alone = processor_sharing(arrival, work, servers=len(jobs))
    assert alone.tolist() == pytest.approx((arrival + work).tolist())


def test_by_hand() -> None:
    """Two jobs share until 2; the third runs alone until 3; all three share until it ends at 6."""
    assert least_attained_service([0, 0, 2], [3, 3, 2]).tolist() == pytest.approx([8, 8, 6])
    assert processor_sharing([0, 1], [2, 2]).tolist() == pytest.approx([3, 4])
    assert least_attained_service([0, 0, 0], [1, 1, 1], servers=2).tolist() == pytest.approx(
        [1.5] * 3
    )
    assert least_attained_service([5], [0]).tolist() == [5]
    assert finish_time_ratios([2, 0], [6, 3], [2, 6]).tolist() == [2.0, 0.5]
    with pytest.raises(InputError, match="0 or more"):
        processor_sharing([0], [-1])


# --- Elastic jobs ---------------------------------------------------------------------


def concave(gains: list[int]) -> dict[int, float]:
    return dict(enumerate(np.cumsum(sorted(gains, reverse=True)).astype(float), start=1))


GAINS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(st.lists(GAINS, min_size=1, max_size=3), st.integers(0, 8))
def test_dividing_by_gain_is_the_best_of_all_divisions(gains: list[list[int]], n: int) -> None:
    throughputs = [concave(each) for each in gains]
    found = divide_by_gain(throughputs, n)
    assert sum(found) <= n

    def total(sizes: tuple[int, ...] | list[int]) -> float:
        return sum(line.get(size, 0.0) for line, size in zip(throughputs, sizes, strict=True))

    sizes = itertools.product(*(range(len(line) + 1) for line in throughputs))
    assert total(found) == max(total(each) for each in sizes if sum(each) <= n)


def test_what_gains_nothing_gets_nothing_more() -> None:
    assert divide_by_gain([{1: 5.0, 2: 5.0, 4: 4.0}], 8) == [1]
    assert divide_by_gain([], 8) == []
    with pytest.raises(InputError, match=r"throughputs\[0\]: must be by 1 or more"):
        divide_by_gain([{0: 1.0}], 2)


@given(st.dictionaries(st.integers(1, 8), st.integers(1, 20), min_size=1), st.integers(1, 100))
def test_the_minimum_share_is_in_time_and_no_smaller_one_is(
    scaling: dict[int, int], work: int
) -> None:
    found = minimum_share({n: float(rate) for n, rate in scaling.items()}, work, 5.0)
    in_time = [n for n, rate in scaling.items() if 5 * rate >= work]
    assert found == (min(in_time) if in_time else None)
