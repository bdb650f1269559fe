"""Every policy against its plain twin, job by job, on generated logs."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import (
    TENTHS,
    WHOLE,
    large_log,
    nodes,
    nodes_of_jobs,
    pool_result,
    small_logs,
    sorted_nodes,
    starts,
    table,
)
from twins import Job

from clustersim.simulation.simulate import Scheduling, replay, simulate
from tests.examples import examples

POLICIES = ["fcfs", "sjf", "easy", "easy_sjbf", "conservative"]
ON_NODES = ["fcfs", "sjf", "easy", "easy_sjbf"]
RULES = {"consolidate": twins.consolidate, "spread": twins.spread}
SIZE = 8
repeatable = settings(derandomize=True, deadline=None, max_examples=examples(40))


# --- The twins themselves, by hand --------------------------------------------------

LINE_UP = [Job(0, 6, 10, 10), Job(1, 8, 5, 5), Job(2, 2, 9, 9), Job(3, 2, 7, 7), Job(3, 1, 1, 1)]
"""Eight accelerators: six are taken until 10, the second job waits for all of them."""


@pytest.mark.parametrize(
    ("policy", "by_hand"),
    [
        ("fcfs", [0, 10, 15, 15, 15]),
        ("sjf", [0, 10, 15, 15, 3]),
        ("easy", [0, 10, 15, 3, 15]),
        ("easy_sjbf", [0, 10, 15, 15, 3]),
        ("conservative", [0, 10, 15, 3, 15]),
    ],
)
def test_twin_and_package_make_the_schedule_by_hand(policy: str, by_hand: list[float]) -> None:
    assert twins.pool_starts(LINE_UP, SIZE, policy) == by_hand
    assert starts(pool_result(LINE_UP, SIZE, policy)) == by_hand


# --- On a pool that counts accelerators ---------------------------------------------


@pytest.mark.parametrize("step", [WHOLE, TENTHS], ids=["whole seconds", "tenths"])
@pytest.mark.parametrize("policy", POLICIES)
@repeatable
@given(data=st.data())
def test_small_logs_on_a_pool(policy: str, step: float, data: st.DataObject) -> None:
    jobs = data.draw(small_logs(SIZE, step=step))
    assert starts(pool_result(jobs, SIZE, policy)) == twins.pool_starts(jobs, SIZE, policy)


@pytest.mark.parametrize("policy", POLICIES)
@repeatable
@given(data=st.data())
def test_small_logs_with_exact_estimates(policy: str, data: st.DataObject) -> None:
    jobs = data.draw(small_logs(SIZE, exact=True))
    assert starts(pool_result(jobs, SIZE, policy)) == twins.pool_starts(jobs, SIZE, policy)


@pytest.mark.parametrize("step", [WHOLE, TENTHS], ids=["whole seconds", "tenths"])
@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "easy_sjbf"])
@repeatable
@given(data=st.data())
def test_small_logs_of_jobs_that_outrun_their_estimates(
    policy: str, step: float, data: st.DataObject
) -> None:
    jobs = data.draw(small_logs(SIZE, step=step, overrun=True))
    assert starts(pool_result(jobs, SIZE, policy)) == twins.pool_starts(jobs, SIZE, policy)


@pytest.mark.parametrize(
    ("seed", "step", "overrun"),
    [(1, WHOLE, False), (2, TENTHS, False), (3, WHOLE, True), (4, TENTHS, True)],
)
@pytest.mark.parametrize("policy", ["fcfs", "sjf", "easy", "easy_sjbf"])
def test_large_logs_in_overload_on_a_pool(
    policy: str, seed: int, step: float, overrun: bool
) -> None:
    check_large_log(policy, large_log(seed, 32, 900, step=step, overrun=overrun))


@pytest.mark.parametrize(("seed", "step"), [(1, WHOLE), (2, TENTHS), (5, WHOLE)])
def test_large_logs_in_overload_with_conservative_backfilling(seed: int, step: float) -> None:
    check_large_log("conservative", large_log(seed, 32, 400, step=step))


def check_large_log(policy: str, jobs: list[Job]) -> None:
    expected = twins.pool_starts(jobs, 32, policy)
    assert starts(pool_result(jobs, 32, policy)) == expected
    waiting = sum(begin > job.submit for begin, job in zip(expected, jobs, strict=True))
    assert waiting > len(jobs) / 2, "the log is to be one in which most jobs wait"


@pytest.mark.parametrize("step", [WHOLE, TENTHS], ids=["whole seconds", "tenths"])
@repeatable
@given(data=st.data())
def test_conservative_runs_every_job_though_some_outrun_their_estimates(
    step: float, data: st.DataObject
) -> None:
    jobs = data.draw(small_logs(SIZE, step=step, overrun=True))
    result = pool_result(jobs, SIZE, "conservative")
    assert (result.jobs["outcome"] == "finished").all()


def test_conservative_starts_who_waits_for_a_job_past_its_estimate() -> None:
    jobs = [Job(0, 8, 10.5, 5), Job(10, 8, 1, 1)]
    assert starts(pool_result(jobs, SIZE, "conservative")) == [0, 10.5]


# --- On nodes -----------------------------------------------------------------------


@pytest.mark.parametrize("placement", RULES)
@pytest.mark.parametrize("policy", ON_NODES)
@repeatable
@given(data=st.data())
def test_small_logs_on_nodes(policy: str, placement: str, data: st.DataObject) -> None:
    overrun = data.draw(st.booleans())
    jobs = data.draw(small_logs(12, overrun=overrun))
    cluster = nodes(3, 4)
    result = replay(table(jobs), policy=policy, cluster=cluster, placement=placement)
    expected, nodes_of = twins.node_starts(jobs, 3, 4, policy, RULES[placement])
    assert starts(result) == expected
    assert nodes_of_jobs(result) == sorted_nodes(nodes_of)


@pytest.mark.parametrize(
    ("seed", "step", "overrun"),
    [(11, WHOLE, False), (12, TENTHS, False), (13, WHOLE, True)],
)
@pytest.mark.parametrize("placement", RULES)
@pytest.mark.parametrize("policy", ON_NODES)
def test_large_logs_in_overload_on_nodes(
    policy: str, placement: str, seed: int, step: float, overrun: bool
) -> None:
    jobs = large_log(seed, 48, 500, step=step, overrun=overrun)
    result = replay(table(jobs), policy=policy, cluster=nodes(6, 8), placement=placement)
    expected, nodes_of = twins.node_starts(jobs, 6, 8, policy, RULES[placement])
    assert starts(result) == expected
    assert nodes_of_jobs(result) == sorted_nodes(nodes_of)


SHARES = {"research": 2, "product": 3}


@pytest.mark.parametrize("policy", ON_NODES)
@repeatable
@given(data=st.data())
def test_small_logs_in_virtual_clusters(policy: str, data: st.DataObject) -> None:
    jobs = data.draw(small_logs(4))
    vcs = data.draw(
        st.lists(
            st.sampled_from(["research", "product", ""]), min_size=len(jobs), max_size=len(jobs)
        )
    )
    cluster = nodes(6, 4, SHARES)
    result = replay(table(jobs, vcs), policy=policy, cluster=cluster, placement="consolidate")
    expected, nodes_of = twins.virtual_cluster_starts(jobs, vcs, SHARES, 6, 4, policy)
    assert starts(result) == expected
    assert nodes_of_jobs(result) == sorted_nodes(nodes_of)


@pytest.mark.parametrize("policy", ON_NODES)
def test_large_log_in_virtual_clusters(policy: str) -> None:
    jobs = large_log(21, 16, 900, overload=3.0)
    vcs = [("research", "product", "")[k * k % 7 % 3] for k in range(len(jobs))]
    cluster = nodes(7, 8, SHARES)
    result = replay(table(jobs, vcs), policy=policy, cluster=cluster, placement="consolidate")
    expected, nodes_of = twins.virtual_cluster_starts(jobs, vcs, SHARES, 7, 8, policy)
    assert starts(result) == expected
    assert nodes_of_jobs(result) == sorted_nodes(nodes_of)


# --- Claims on nodes that change as others start -------------------------------------


def test_a_claim_follows_the_nodes_that_are_free_now() -> None:
    """The fourth job passes the reservation; the third's claim then moves to other nodes."""
    log = [Job(0, 6, 23, 23), Job(0, 2, 17, 34), Job(5, 6, 14, 14), Job(6, 2, 20, 40)]
    log.append(Job(12, 2, 15, 15))
    by_twin, _ = twins.node_starts(log, 3, 4, "easy")
    assert by_twin == [0, 0, 23, 6, 12]
    fleet = nodes(3, 4)
    result = simulate(table(log), fleet, Scheduling(policy="easy", placement="consolidate"))
    assert starts(result) == by_twin


@pytest.mark.parametrize("placement", ["consolidate", "spread"])
@pytest.mark.parametrize("policy", ["easy", "easy_sjbf"])
@pytest.mark.parametrize(
    "count", [60, pytest.param(250, marks=[pytest.mark.slow, pytest.mark.full])]
)
def test_many_small_logs_on_three_nodes(count: int, policy: str, placement: str) -> None:
    draw = np.random.Generator(np.random.PCG64(11))
    fleet = nodes(3, 4)
    for _ in range(count):
        submits = np.sort(draw.integers(0, 40, int(draw.integers(6, 16))))
        log = []
        for submit in submits.tolist():
            run = int(draw.integers(1, 25))
            slack = int(draw.integers(0, 25))
            log.append(Job(submit, int(draw.integers(1, 9)), run, run + slack))
        by_twin, _ = twins.node_starts(log, 3, 4, policy, RULES[placement])
        result = simulate(table(log), fleet, Scheduling(policy=policy, placement=placement))
        assert starts(result) == by_twin, log
