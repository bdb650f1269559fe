"""Shares of jobs on shared trunks: cases by hand, known theory, and plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.network import NetworkResponse, SharedTrunks
from tests.network.on_off_jobs import max_min_shares, mean_steps_s


def shared(capacity: Floats, demand: Floats, shares: Floats, tolerance: float) -> SharedTrunks:
    """Return trunks with one job a row of `demand` (jobs, trunks), after they have settled."""
    trunks = SharedTrunks(capacity, tolerance=tolerance)
    for job, (row, share) in enumerate(zip(demand, shares, strict=True)):
        used = np.flatnonzero(row)
        trunks.add(job, used, row[used], NetworkResponse.of_share(float(share)))
    trunks.settle()
    return trunks


def random_jobs(rng: np.random.Generator, most: int) -> tuple[Floats, Floats]:
    """Return capacities and demands of up to `most` jobs on up to four trunks."""
    jobs, trunks = int(rng.integers(2, most)), int(rng.integers(1, 5))
    demand = rng.uniform(0.25, 2.0, (jobs, trunks)) * (rng.random((jobs, trunks)) < 0.6)
    return rng.uniform(1.0, 4.0, trunks), demand


def test_two_jobs_on_one_trunk() -> None:
    # x = C / (d + p d) and p = (1 / x) / (1 + 1 / x) give x (1 + x + 1) = 1 + x: the golden ratio.
    trunks = shared(np.ones(1), np.ones((2, 1)), np.full(2, 0.5), 1e-12)
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    assert trunks.share(0) == trunks.share(1) == pytest.approx(golden, rel=1e-9)
    assert trunks.slowdown(0) == pytest.approx(0.5 + 0.5 / golden, rel=1e-9)
    assert trunks.utilisation()[0] == pytest.approx(2 * (1 / (1 + golden)) * golden, rel=1e-9)


def test_jobs_that_always_send_have_max_min_fair_shares() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        capacity, demand = random_jobs(rng, 12)
        n = len(demand)
        trunks = shared(capacity, demand, np.ones(n), 1e-10)
        fair = max_min_shares(capacity, demand, np.ones(n, dtype=bool))
        assert [trunks.share(job) for job in range(n)] == pytest.approx(fair.tolist(), rel=1e-7)


def test_a_trunk_with_room_for_all_changes_nothing() -> None:
    trunks = shared(np.array([3.0]), np.full((3, 1), 1.0), np.full(3, 0.9), 0.01)
    assert [trunks.slowdown(job) for job in range(3)] == [1.0, 1.0, 1.0]


def test_one_job_alone_sends_at_the_rate_of_its_narrowest_trunk() -> None:
    trunks = shared(np.array([2.0, 1.0]), np.array([[4.0, 4.0]]), np.array([0.3]), 0.01)
    assert trunks.share(0) == pytest.approx(0.25, rel=1e-12)
    assert trunks.slowdown(0) == pytest.approx(0.7 + 0.3 * 4, rel=1e-12)


def test_a_job_that_leaves_gives_its_rate_back() -> None:
    trunks = shared(np.ones(1), np.ones((2, 1)), np.full(2, 0.5), 0.01)
    trunks.remove(0)
    assert trunks.settle() == [1]
    assert (trunks.share(1), trunks.slowdown(1)) == (1.0, 1.0)
    assert trunks.utilisation()[0] == pytest.approx(0.5)


@pytest.mark.parametrize("capacity_Bps", [0.0, -1.0, float("nan")])
def test_a_trunk_without_capacity_is_refused(capacity_Bps: float) -> None:
    with pytest.raises(InputError, match=r"capacity_Bps\[1\]: must be above 0, found"):
        SharedTrunks(np.array([1.0, capacity_Bps]))
    trunks = shared(np.ones(2), np.ones((2, 2)), np.full(2, 0.5), 1e-9)
    before = trunks.slowdown(0)
    with pytest.raises(InputError, match=r"capacity_Bps\[1\]: must be above 0, found"):
        trunks.set_capacity(1, capacity_Bps)
    assert (trunks.settle(), trunks.slowdown(0)) == ([], before)


def test_a_trunk_that_loses_capacity_slows_its_jobs() -> None:
    trunks = shared(np.array([2.0]), np.ones((2, 1)), np.full(2, 0.5), 1e-9)
    trunks.set_capacity(0, 1.0)
    assert trunks.settle() == [0, 1]
    assert trunks.share(0) == pytest.approx((np.sqrt(5.0) - 1.0) / 2.0)


@given(seed=st.integers(0, 2**32 - 1))
def test_changes_one_by_one_end_where_one_solution_of_all_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    capacity, demand = random_jobs(rng, 10)
    part = rng.uniform(0.05, 0.95, len(demand))
    trunks = SharedTrunks(capacity, tolerance=1e-8)
    present: set[int] = set()
    for _ in range(30):
        job = int(rng.integers(len(demand)))
        if job in present:
            trunks.remove(job)
            present.remove(job)
        else:
            used = np.flatnonzero(demand[job])
            trunks.add(job, used, demand[job, used], NetworkResponse.of_share(float(part[job])))
            present.add(job)
        trunks.settle()
    left = sorted(present)
    whole = shared(capacity, demand[left], part[left], 1e-8)
    found = [trunks.share(job) for job in left]
    assert found == pytest.approx([whole.share(row) for row in range(len(left))], rel=1e-4)


@given(seed=st.integers(0, 2**32 - 1), wider=st.floats(1.0, 4.0))
def test_wider_trunks_slow_no_job(seed: int, wider: float) -> None:
    rng = np.random.default_rng(seed)
    capacity, demand = random_jobs(rng, 10)
    part = rng.uniform(0.05, 0.95, len(demand))
    one = shared(capacity[:1], demand[:, :1], part, 1e-8)
    other = shared(wider * capacity[:1], demand[:, :1], part, 1e-8)
    for job in range(len(demand)):
        assert other.slowdown(job) <= one.slowdown(job) * (1 + 1e-5)


def test_expected_demand_agrees_with_jobs_that_send_in_turns() -> None:
    rng = np.random.default_rng(1)
    errors: list[float] = []
    always: list[float] = []
    for _ in range(25):
        capacity, demand = random_jobs(rng, 13)
        n = len(demand)
        part, step_s = rng.uniform(0.05, 0.6, n), rng.uniform(1.0, 10.0, n)
        trunks = shared(capacity, demand, part, 1e-6)
        compute_s, send_s = step_s * (1 - part), step_s * part
        simulated = mean_steps_s(capacity, demand, compute_s, send_s, steps=60, rng=rng)
        found = step_s * [trunks.slowdown(job) for job in range(n)]
        errors += (found / simulated - 1).tolist()
        at_once = max_min_shares(capacity, demand, np.ones(n, dtype=bool))
        always += ((compute_s + send_s / at_once) / simulated - 1).tolist()
    print(f"mean {np.mean(errors):+.3%}, mean absolute {np.mean(np.abs(errors)):.3%}")
    assert np.mean(np.abs(errors)) <= 0.03
    assert abs(np.mean(errors)) <= 0.015
    # Without duties, the error is several times as large.
    assert np.mean(always) > 0.1
