"""Gavel's rounds in simulations: saving jobs, nodes out of service, tiny jobs, and prices."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preemption_cases import INF, a_pool, a_table, run, spans

from clustersim.engine import departures
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import POLICIES
from clustersim.scheduling.policies.elastic_rounds import ElasticRounds
from clustersim.scheduling.policies.in_rounds import InRounds
from clustersim.scheduling.programs import gavel
from clustersim.scheduling.programs.problem import AllocationProblem
from tests.examples import examples


def test_the_next_job_starts_when_the_one_before_it_has_saved():
    """Two jobs of one node in turns of 100 s; each saves for 10 s and restarts for 5 s."""
    recovery = Recovery([[INF] * 2], [10.0] * 2, restart_s=[5.0] * 2)
    result = run("max_min_fairness", a_table([250, 250], 8), recovery, round=100, reset=100)
    # Once the first has left, a round begins for the second.
    assert spans(result) == {
        1: [(0, 110), (220, 330), (440, 500)],
        2: [(110, 220), (330, 440), (500, 560)],
    }


def test_the_next_job_of_a_round_starts_within_it():
    """As above, beside a small job that always runs, so that rounds end at multiples of 100 s."""
    recovery = Recovery([[INF] * 3], [10.0] * 3, restart_s=[5.0] * 3)
    jobs = a_table([250, 250, 1000], [12, 12, 4])
    pools = [a_pool("gpu", 2)]
    result = run("max_min_fairness", jobs, recovery, pools, "pooled", round=100, reset=100)
    # Job 2 starts 10 s late, and has another turn for it; job 1 starts 10 s late after that.
    assert spans(result)[1][:2] == [(0, 110), (310, 465)]
    assert spans(result)[2][0] == (110, 310)


def test_a_job_that_came_after_the_program_starts_on_an_empty_cluster():
    """Job 2 comes at 37 s and waits for another solution, but not beyond the end of job 1.

    Job 3 comes at 460 s, when job 2 runs on half of the node. The solution of 450 s holds for
    1920 s, so that it waits, too, until nothing runs.
    """
    jobs = a_table([450, 900, 100], [8, 4, 4], submit_s=[0.0, 37.0, 460.0])
    result = run("max_min_fairness", jobs, round=100, reset=1920)
    assert result.jobs["start_s"].tolist() == [0, 450, 1350]


IN_ROUNDS = sorted(
    name
    for name, policy in POLICIES.items()
    if issubclass(policy, InRounds | ElasticRounds) and name != "max_throughput_per_cost"
)


@pytest.mark.parametrize("policy", IN_ROUNDS)
@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**31))
def test_no_job_waits_for_an_empty_cluster(policy: str, seed: int):
    """At no time are all accelerators free while a job waits that could run on them.

    Sia and Pollux decide at the start of rounds only, so that a job may wait for the next one.
    """
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 6))
    jobs = a_table(
        draw.choice([20.0, 130.0, 500.0, 900.0], n),
        draw.integers(1, 9, n),
        submit_s=np.cumsum(draw.choice([0.0, 0.0, 37.0, 400.0], n)),
    )
    placement = str(draw.choice(["pooled", "consolidate"]))
    options: dict[str, float] = {"round": float(draw.choice([100, 360]))}
    if issubclass(POLICIES[policy], InRounds):
        options["reset"] = float(draw.choice([100, 360, 1920]))
    result = run(policy, jobs, None, [a_pool("a"), a_pool("b", 2)], placement, **options)
    done, held = result.jobs, result.allocation_ranges
    patience_s = 0.0 if issubclass(POLICIES[policy], InRounds) else options["round"]
    times = sorted({*done["submit_s"], *held["start_s"], *held["end_s"]})
    idle_s = 0.0
    for begin, end in pairwise(times):
        empty = not ((held["start_s"] <= begin) & (held["end_s"] > begin)).any()
        waits = ((done["submit_s"] <= begin) & (done["finish_s"] > begin)).any()
        idle_s = idle_s + end - begin if empty and waits else 0.0
        assert idle_s <= patience_s, f"nothing runs until {end} s"


def test_a_gang_without_nodes_leaves_its_accelerators_to_others_and_has_the_next_round():
    """Two nodes of 8: beside two jobs of 6 are 2 + 2 accelerators, but no node for job 3 with 3.

    Job 4 with 1 starts. In the next round job 3 comes first and takes the node of job 2.
    """
    jobs = a_table([1000, 1000, 100, 50], [6, 6, 3, 1])
    result = run("max_min_fairness", jobs, pools=[a_pool("gpu", 2)], round=100, reset=100)
    assert result.jobs["start_s"].tolist() == [0, 0, 100, 0]
    assert result.jobs["finish_s"].tolist() == [1000, 1100, 200, 50]


@pytest.mark.parametrize("policy", ["sia", "pollux"])
def test_a_chosen_size_without_nodes_becomes_smaller(policy: str):
    """As above; job 3 can have 1 to 4 accelerators, and has 2 of them for twice the time."""
    jobs = a_table([1000, 1000, 100], [6, 6, 4], restart_delay_s=0.0)
    jobs = jobs.assign(min_accelerators=[6, 6, 1], max_accelerators=[6, 6, 4])
    result = run(policy, jobs, pools=[a_pool("gpu", 2)], growth=0)
    assert result.jobs["start_s"].tolist() == [0, 0, 0]
    assert result.jobs["finish_s"].tolist() == [1000, 1000, 200]
    assert len(spans(result)[3]) == 1


@pytest.mark.parametrize(
    ("policy", "moves_s"), [("sia", 60), ("pollux", 60), ("max_min_fairness", 120)]
)
def test_a_small_job_moves_out_of_the_way_of_a_large_one(policy: str, moves_s: float):
    """Jobs 1 and 2 share a node of 8 until job 2 ends at 50 s; job 3 has half of the other.

    Job 4 with 8 comes at 30 s. In the round from 60 s it has the node of job 3, which moves. Gavel
    solves its program at 60 s, after which all jobs are alike; job 4 comes first a round later.
    """
    jobs = a_table([500, 50, 500, 100], [4, 4, 4, 8], submit_s=[0.0, 0.0, 0.0, 30.0])
    jobs["restart_delay_s"] = 0.0
    options = {"round": 60, "reset": 60} if policy == "max_min_fairness" else {"growth": 0}
    result = run(policy, jobs, pools=[a_pool("gpu", 2)], **options)
    assert result.jobs["start_s"].tolist() == [0, 0, 0, moves_s]
    assert result.jobs["finish_s"].tolist() == [500, 50, 500, moves_s + 100]
    held = result.allocations
    assert held[held["job_id"] == 3]["node"].tolist() == [1, 0]


def test_rounds_use_the_nodes_in_service():
    """A job of both nodes cannot run while one is out; the other job has the node left alone."""
    result = run(
        "max_min_fairness", a_table([3000, 3000], [16, 8]), pools=[a_pool("gpu", 2)],
        node_events=[NodeEvent(0.5, 20_000, 0, 1)], round=360, reset=360,
    )  # fmt: skip
    assert result.attempts is not None
    second = result.attempts[result.attempts["job_id"] == 2]
    assert second["end_s"].max() <= 0.5 + 360 + 3000
    assert result.jobs["finish_s"].iloc[0] == 20_000 + 3000


def test_a_service_without_nodes_waits_for_them():
    result = run("max_min_fairness", a_table([100], 8), node_events=[NodeEvent(0, 500, 0, 0)])
    assert result.jobs["start_s"].tolist() == [500]


@pytest.mark.parametrize("policy", ["finish_time_fairness", "min_makespan", "max_min_fairness"])
@pytest.mark.parametrize("estimate_s", [0.0, 1.0])
def test_tiny_jobs_and_estimates_are_no_obstacle(policy: str, estimate_s: float):
    for submit_s in (1.0, 3000.0):
        jobs = a_table(
            [5000, estimate_s], 8, submit_s=[0.0, submit_s], estimate_s=[max(estimate_s, 1.0), 1e-3]
        )
        assert (run(policy, jobs).jobs["outcome"] == "finished").all()


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 2**31))
def test_programs_solve_problems_of_very_different_sizes(seed: int):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 8))
    problem = AllocationProblem(
        rates=draw.choice([0.0, 0.5, 1.0, 4.0], (n, 2)),
        gangs=draw.choice([1, 2, 8], n),
        accelerators=draw.choice([0, 8, 16], 2),
        remaining_steps=10.0 ** draw.uniform(-15, 8, n),
        since_arrival_s=draw.choice([0.0, 1e-3, 10.0, 1e6], n),
        isolated_so_far_s=draw.choice([0.0, 1.0, 1e4], n),
    )
    for program in (gavel.min_makespan, gavel.min_finish_time_ratio):
        fractions = program(problem).fractions
        assert np.isfinite(fractions).all()
        assert (fractions.sum(axis=1) <= 1 + 1e-6).all()
        used = (fractions * problem.gangs[:, None]).sum(axis=0)
        assert (used <= problem.accelerators + 1e-5).all()


def test_a_cost_of_a_round_or_more_is_refused():
    with pytest.raises(InputError, match="option cost: is 400 s, and a round has 360 s, so a job"):
        run("max_min_fairness", a_table([100], 8), cost=400)


def test_restarts_that_take_whole_rounds_end_a_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(departures, "MOST_FRUITLESS_STOPS", 50)
    recovery = Recovery([[INF] * 2], [0.0] * 2, restart_s=[10.0] * 2)
    with pytest.raises(ClusterSimError, match="no job makes progress"):
        run("max_min_fairness", a_table([100, 100], 8), recovery, round=5, reset=5)


def test_prices_are_by_pool():
    """The cheap pool a is worth more to job 2, and the cheap pool b as well, but by far more."""
    rates = {"steps": 100, "steps_per_s.a": [2.0, 3.0], "steps_per_s.b": [1.0, 3.0]}
    jobs = a_table([1, 1], 8, **rates).drop(columns="duration_s")
    pools = [a_pool("a"), a_pool("b")]
    # Job 1 on a and job 2 on b: 2 / price of a + 3 / price of b; the other way 3 / a + 1 / b.
    for prices, expected in (({"b": 4, "a": 1}, ["b", "a"]), ({"a": 4, "b": 1}, ["a", "b"])):
        result = run("max_throughput_per_cost", jobs, pools=pools, prices=prices)
        assert result.jobs["pool"].tolist() == expected
    for prices, message in (
        ({"a": 1}, "needs a price for each pool, such as b:2.5; it has none for b"),
        ({"a": 1, "b": 2, "bb": 3}, "has 'bb', which is no pool; did you mean 'b'"),
        ({"a": 0, "b": 2}, "must be above 0, found 0.0 for 'a'"),
    ):
        with pytest.raises(InputError, match=f"option prices: {message}"):
            run("max_throughput_per_cost", jobs, pools=pools, prices=prices)


def test_prices_of_pools_that_share_no_jobs():
    rates = {"steps": 100, "steps_per_s.a": [1.0, 0.0], "steps_per_s.b": [0.0, 1.0]}
    jobs = a_table([1, 1], 8, **rates).drop(columns="duration_s")
    result = run(
        "max_throughput_per_cost", jobs, pools=[a_pool("a"), a_pool("b")], prices="a:1,b:2"
    )
    assert result.jobs["pool"].tolist() == ["a", "b"]
