"""Jobs with a range of sizes, and the policies that choose sizes; worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from elastic_twin import TwinJob, equal_shares, shared_out
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim import Scheduling
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import Policy, Preempt, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import simulate
from tests.examples import examples
from tests.simulation.fleets import cluster, jobs
from tests.simulation.fleets import pool as a_pool

RATES = {"steps_per_s.a@1": [1.0], "steps_per_s.a@4": [4.0], "steps_per_s.b@1": [3.0]}


def run(table: pd.DataFrame, policy: str | type[Policy], *sizes: int, **options: Any) -> Result:
    """Simulate with free changes on pools a, b, ... of one node each."""
    pools = [a_pool(name, 1, chips) for name, chips in zip("ab", sizes, strict=False)]
    scheduling = Scheduling(policy=policy, options=options, placement="pooled")
    return simulate(table, cluster(*pools), scheduling, check=True)


def spans(result: Result) -> list[tuple[int, str, int, float, float]]:
    """Job, pool, size, start and end of each attempt."""
    held = result.allocation_ranges
    columns = ["job_id", "pool", "n_accelerators", "start_s", "end_s"]
    rows = held[columns].astype({"pool": str}).to_numpy().tolist()
    return [(job, at, n, start, round(end, 6)) for job, at, n, start, end in rows]


def test_a_job_doubles_in_every_round() -> None:
    # 800 accelerator-seconds: 60 x 1, 60 x 2, 60 x 4, and the other 380 on 8.
    table = jobs([(0, 8, 100)], min_accelerators=1, restart_delay_s=0)
    assert spans(run(table, "sia", 8)) == [
        (1, "a", 1, 0, 60),
        (1, "a", 2, 60, 120),
        (1, "a", 4, 120, 180),
        (1, "a", 8, 180, 227.5),
    ]


def test_without_a_limit_of_growth_it_has_all_at_once() -> None:
    table = jobs([(0, 8, 100)], min_accelerators=1, restart_delay_s=0)
    assert spans(run(table, "sia", 8, growth=0)) == [(1, "a", 8, 0, 100)]


@pytest.mark.parametrize("policy", ["sia", "pollux"])
def test_rounds_go_on_while_no_job_can_be_decided_about(policy: str) -> None:
    table = jobs([(0, 8, 500)], min_accelerators=8, restart_delay_s=0)
    assert spans(run(table, policy, 8, min_run=100)) == [(1, "a", 8, 0, 500)]
    # It saves its state for longer than a round lasts, and starts again at the next round.
    slow = Recovery([[float("inf")]], [0.0], restart_s=[5.0], write_s=[90.0])
    scheduling = Scheduling(policy, "pooled")
    table = jobs([(0, 8, 100)], min_accelerators=4, max_accelerators=8)
    result = simulate(table, cluster(a_pool("a", 1, 8)), scheduling, recovery=slow, check=True)
    # On 4, 60 s of 200 are done before it saves; the other 70 on 8 end 75 s after the next round.
    assert spans(result) == [(1, "a", 4, 0, 150), (1, "a", 8, 180, 255)]


@pytest.mark.parametrize("policy", ["sia", "pollux", "fcfs", "first_fit"])
def test_a_job_that_fits_only_at_a_smaller_size_runs(policy: str) -> None:
    table = jobs([(0, 16, 100), (0, 16, 10)], min_accelerators=[4, 16], restart_delay_s=0)
    options = {"partial": True} if policy in ("fcfs", "first_fit") else {"growth": 0}
    result = run(table, policy, 8, **options)
    assert spans(result) == [(1, "a", 8, 0, 200)]
    assert result.jobs["outcome"].tolist() == ["finished", "never runnable"]
    without = run(table, "fcfs", 8).jobs
    assert without["outcome"].tolist() == ["never runnable"] * 2
    # It prefers a pool that holds the size that it asks for, however slow.
    table["steps"] = 100.0
    table["steps_per_s.a@4"], table["steps_per_s.a@16"] = 40.0, 160.0
    table["steps_per_s.b@4"], table["steps_per_s.b@16"] = 4.0, 16.0
    if policy == "fcfs":
        assert run(table[:1], policy, 8, 16, partial=True).jobs["pool"].tolist() == ["b"]


def test_a_restart_is_worth_it_only_late() -> None:
    """Twice the speed: (T - 0) / (T + 30) x 2 must exceed 1, so T must exceed 30: at 60 s.

    On 1 accelerator it does 1/400 each second; after 60 s and a restart of 30 s, 340/400 are left.
    """
    table = jobs([(0, 2, 200)], min_accelerators=1, restart_delay_s=30)
    assert spans(run(table, "sia", 2)) == [(1, "a", 1, 0, 60), (1, "a", 2, 60, 260)]


def test_sia_gives_the_slow_pool_to_the_job_that_loses_least() -> None:
    # Job 1 is 4 times as fast on a, job 2 is as fast on b.
    table = jobs([(0, 1, 90), (0, 1, 90)], steps=90.0, restart_delay_s=0)
    table["steps_per_s.a"], table["steps_per_s.b"] = [4.0, 1.0], [1.0, 1.0]
    assert spans(run(table, "sia", 1, 1)) == [(1, "a", 1, 0, 22.5), (2, "b", 1, 0, 90)]


def test_pollux_divides_a_pool_by_what_further_accelerators_give() -> None:
    """Sizes are 1, 2 and 4, and an equal share of 4 accelerators is 2.

    The first job does not scale: 1 accelerator is a speed-up of 1, as 2 are. The second one has a
    speed-up of 1 on 2 and of 2 on 4, but then nothing is left for the first.
    """
    table = jobs([(0, 1, 60), (0, 1, 240)], max_accelerators=4, restart_delay_s=0)
    table["serial_share"] = [1.0, 0.0]
    found = run(table, "pollux", 4, growth=0, learns=False)
    # 60 s on 2 accelerators and 30 s on 4 are 240 accelerator-seconds.
    assert spans(found) == [(1, "a", 1, 0, 60), (2, "a", 2, 0, 60), (2, "a", 4, 60, 90)]


def test_pollux_does_not_see_which_pool_is_fast() -> None:
    # Job 1 wants 1 accelerator; b has more free ones, and is slow.
    table = jobs([(0, 1, 40)], steps=40.0)
    table["steps_per_s.a"], table["steps_per_s.b"] = 4.0, 1.0
    assert spans(run(table, "pollux", 1, 2)) == [(1, "b", 1, 0, 40)]
    assert spans(run(table, "pollux", 1, 2, heterogeneity_aware=True)) == [(1, "a", 1, 0, 10)]


def test_speed_is_projected_until_a_job_has_run_at_a_size() -> None:
    """It is the same on 2 as on 1: a policy that learns tries 2, and goes back then."""
    table = jobs([(0, 1, 0), (0, 1, 400)], steps=400.0, max_accelerators=2, restart_delay_s=0)
    table["steps_per_s.a@1"], table["steps_per_s.a@2"] = 1.0, 1.0
    tried = [n for job, _, n, _, _ in spans(run(table.iloc[1:], "sia", 2)) if job == 2]
    assert tried == [1, 2]
    known = [n for job, _, n, _, _ in spans(run(table.iloc[1:], "sia", 2, learns=False))]
    assert known == [1]


def test_rigid_jobs_run_at_their_size() -> None:
    found = run(jobs([(0, 3, 50), (10, 5, 50)]), "sia", 8)
    assert spans(found) == [(1, "a", 3, 0, 50), (2, "a", 5, 60, 110)]


def test_measured_rates_at_sizes_give_run_times_between_them() -> None:
    table = pd.DataFrame({"job_id": [1], "submit_s": [0], "n_accelerators": [2], "steps": [90.0]})
    table = table.assign(**RATES, min_accelerators=1, max_accelerators=4)
    # On a, 2 accelerators do 2 steps per second; there is no rate for 2 on b.
    assert spans(run(table, "fcfs", 4, 4)) == [(1, "a", 2, 0, 45)]


def test_speed_without_more_is_linear_and_said_to_be() -> None:
    found = run(jobs([(0, 8, 100)], min_accelerators=1), "sia", 8)
    notes = found.provenance["notes"]
    assert any("number of accelerators for 1 job with a range of sizes" in n for n in notes)


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "first_fit", "largest_first", "easy"])
def test_partial_admission_starts_a_job_on_what_is_left(policy: str) -> None:
    # 2 of 8 are left for the second job: half of the 4 that it asks for, at half the pace.
    table = jobs([(0, 6, 100), (10, 4, 30)], min_accelerators=[6, 1])
    assert spans(run(table, policy, 8))[1] == (2, "a", 4, 100, 130)
    if policy != "easy":
        assert spans(run(table, policy, 8, partial=True))[1] == (2, "a", 2, 10, 70)


def test_partial_admission_takes_the_pool_where_the_job_is_fastest() -> None:
    # 2 of 4 on a, at 100 s on 4, are as fast as 1 of 4 on b at 50 s; 3 on b are faster.
    table = jobs([(0, 2, 300), (0, 1, 300), (0, 4, 100)], steps=100.0, min_accelerators=1)
    table["steps_per_s.a"], table["steps_per_s.b"] = [1.0, 0.0, 1.0], [0.0, 1.0, 2.0]
    found = spans(run(table, "fcfs", 4, 4, partial=True))
    assert found[2] == (3, "b", 3, 0, 66.666667)


def test_a_strict_order_holds_with_partial_admission() -> None:
    # The second job cannot have less than 3, so the third waits behind it.
    table = jobs([(0, 6, 100), (10, 4, 30), (20, 1, 5)], min_accelerators=[6, 3, 1])
    assert spans(run(table, "fcfs", 8, partial=True))[1:] == [
        (2, "a", 4, 100, 130),
        (3, "a", 1, 100, 105),
    ]
    assert spans(run(table, "first_fit", 8, partial=True))[2] == (3, "a", 1, 20, 25)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("min_accelerators", 9, "whole number from 1 to n_accelerators (row 1: 9)"),
        ("min_accelerators", "few", "whole number from 1 to n_accelerators (row 1: 'few')"),
        ("max_accelerators", 7, "whole number of at least n_accelerators (row 1: 7)"),
        ("max_accelerators", 8.5, "whole number of at least n_accelerators (row 1: 8.5)"),
        ("serial_share", 2, "number from 0 to 1 (row 1: 2)"),
    ],
)
def test_a_wrong_range_is_refused(column: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match="1 of 1 rows") as error:
        run(jobs([(0, 8, 100)], **{column: value}), "fcfs", 8)
    assert message in str(error.value)


class TwiceAsLarge(Policy):
    """Starts jobs on twice as many accelerators as they ask for."""

    def decide(self, view: View) -> Iterator[Decision]:
        for job in view.waiting.tolist():
            yield Start(job, size=2 * self.n_accelerators(job))


@pytest.mark.slow
def test_the_plan_of_a_model_is_chosen_again_at_each_size() -> None:
    catalogue = cs.load_catalogue()
    machines = cs.compile_cluster(cs.load_cluster("mixed-small", catalogue))
    table = jobs([(0, 8, np.nan)], model="llama3-8b", tokens=1e9, max_accelerators=16)
    ends = [
        simulate(each, machines, Scheduling(policy=policy), catalogue=catalogue, check=True).jobs
        for each, policy in (
            (table, TwiceAsLarge),
            (table.assign(n_accelerators=16), "fcfs"),
            (table, "fcfs"),
        )
    ]
    double, wide, usual = (float(each["finish_s"].iloc[0]) for each in ends)
    assert double == pytest.approx(wide, rel=1e-12)
    assert usual / 2 < double < usual


class TooSmall(Policy):
    """Starts jobs on one accelerator."""

    def decide(self, view: View) -> Iterator[Decision]:
        yield from (Start(job, size=1) for job in view.waiting.tolist())


def test_a_size_outside_the_range_is_refused() -> None:
    with pytest.raises(ClusterSimError, match="cannot have 1 accelerators; it can have 2 to 8"):
        run(jobs([(0, 8, 100)], min_accelerators=2), TooSmall, 8)


class EqualShares(Policy):
    """Divides the accelerators equally, within the ranges, in rounds of 7 s."""

    tracks_running: ClassVar[bool] = True
    whole_cluster: ClassVar[bool] = True
    cost: float = 0.0

    def decide(self, view: View) -> Iterator[Decision]:
        now, elastic = view.now, self.queue.jobs.elastic
        assert elastic is not None
        if now % 7 == 0:
            active = view.active.tolist()
            ranges = [elastic.range(job) for job in active]
            total = self.queue.partitions[0].placement.capacity
            sizes = dict(zip(active, shared_out(ranges, total), strict=True))
            for job in view.running.tolist():
                if self.queue.size_of(job) != sizes[job]:
                    yield Preempt(job, cost_s=self.cost)
            for job in list(self.waiting):
                if sizes[job]:
                    yield Start(job, size=sizes[job])
        if self.waiting or self.queue.running:
            yield Wake((now // 7 + 1) * 7)


@st.composite
def elastic_logs(draw: st.DrawFn) -> list[tuple[int, int, int, int, int, int]]:
    """Rows of submission, smallest, usual and largest size, run time, and percent serial."""
    rows, now = [], 0
    for _ in range(draw(st.integers(1, 8))):
        now += draw(st.sampled_from([0, 0, 3, 11]))
        least, asked, most = sorted(draw(st.integers(1, 8)) for _ in range(3))
        serial = draw(st.sampled_from([0, 10, 50]))
        rows.append((now, least, asked, most, draw(st.integers(1, 60)), serial))
    return rows


def table_of(log: list[tuple[int, int, int, int, int, int]]) -> pd.DataFrame:
    submit, least, asked, most, run_s, serial = (np.array(c) for c in zip(*log, strict=True))
    return jobs(
        list(zip(submit.tolist(), asked.tolist(), run_s.tolist(), strict=True)),
        min_accelerators=least,
        max_accelerators=most,
        serial_share=serial / 100,
    )


@settings(max_examples=examples(24), deadline=None)
@given(log=elastic_logs(), restart_s=st.integers(0, 5))
def test_sizes_chosen_in_rounds_are_those_of_a_plain_twin(
    log: list[tuple[int, int, int, int, int, int]], restart_s: int
) -> None:
    result = run(table_of(log), EqualShares, 8, cost=float(restart_s))
    twin = [TwinJob(*row[:5], Fraction(row[5], 100)) for row in log]
    ends = equal_shares(twin, 8, round_s=7, restart_s=restart_s)
    np.testing.assert_allclose(result.jobs["finish_s"], np.array(ends, dtype=float), atol=1e-6)


@pytest.mark.parametrize("policy", ["sia", "pollux"])
@settings(max_examples=examples(8), deadline=None)
@given(
    log=elastic_logs(),
    learns=st.booleans(),
    growth=st.sampled_from([0.0, 2.0]),
    cost=st.sampled_from([0.0, 4.0]),
    placement=st.sampled_from(["pooled", "consolidate"]),
)
def test_work_is_conserved_and_sizes_are_in_the_range(
    policy: str,
    log: list[tuple[int, int, int, int, int, int]],
    learns: bool,
    growth: float,
    cost: float,
    placement: str,
) -> None:
    options = {"round": 9.0, "learns": learns, "growth": growth, "cost": cost}
    pools = [a_pool("a", 1, 8), a_pool("b", 3, 4)]
    table = table_of(log)
    scheduling = Scheduling(policy=policy, options=options, placement=placement)
    result = simulate(table, cluster(*pools), scheduling, check=True)
    assert (result.jobs["outcome"] == "finished").all()
    held = result.allocation_ranges.merge(table, on="job_id", suffixes=("", "_asked"))
    n = held["n_accelerators"]
    assert n.between(held["min_accelerators"], held["max_accelerators"]).all()
    if result.attempts is None:
        return
    tries = result.attempts.merge(table, on="job_id", suffixes=("", "_asked"))
    share = tries["serial_share"]
    speed, usual = (
        1 / (share + (1 - share) / tries[name])
        for name in ("n_accelerators", "n_accelerators_asked")
    )
    done = (tries["kept_s"] * speed / usual / tries["duration_s"]).groupby(tries["job_id"]).sum()
    np.testing.assert_allclose(done, 1.0, atol=1e-9)


def test_a_first_start_can_take_the_time_of_a_restart() -> None:
    table = jobs([(0, 8, 100)])
    recovery = Recovery([[np.inf]], [0.0], [25.0], at_first=True)
    result = simulate(table, cluster(a_pool("a", 1, 8)), recovery=recovery, check=True)
    assert result.jobs["finish_s"].tolist() == [125]
