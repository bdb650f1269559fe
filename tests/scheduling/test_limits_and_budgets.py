"""Limits, budgets and quotas of queues under ordinary policies: by hand, a twin, invariants."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits_twin import LimitsTwin, TwinJob
from quota_runs import Row, attempts, moments, run_jobs, spans

from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.scheduling import Policy, Start
from clustersim.simulation.simulate import replay
from tests.examples import examples

HOURS = 1 / 3600
ROWS: list[Row] = [("a", 0, 8, 10), ("a", 0, 8, 10), ("b", 0, 8, 10), ("b", 1, 4, 10)]


def test_a_limit_holds_jobs_and_lets_the_others_pass():
    limited = run_jobs("fcfs", {"limits": {"queue": {"a": 8}}}, ROWS)
    assert spans(limited) == {0: [(0, 10)], 1: [(10, 20)], 2: [(0, 10)], 3: [(10, 20)]}
    each = run_jobs("easy", {"limits": {"queue": {"each": 8}}}, ROWS)
    assert spans(each)[3] == [(10, 20)]


def test_a_limit_of_a_pool_sends_a_job_to_the_next_one():
    result = run_jobs("fcfs", {"limits": {"queue": {"a": {"h200": 8}}}}, ROWS, h20=2)
    assert result.jobs["pool"].tolist() == ["h200", "h20", "h200", "h20"]
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 1]


def test_held_jobs_enter_in_the_order_of_the_policy():
    rows: list[Row] = [("a", 0, 8, 10), ("a", 0, 8, 9), ("a", 1, 8, 3), ("a", 2, 8, 5)]
    limits = {"limits": {"queue": {"a": 8}}}
    assert run_jobs("sjf", limits, rows).jobs["start_s"].tolist() == [0, 18, 10, 13]
    assert run_jobs("fcfs", limits, rows).jobs["start_s"].tolist() == [0, 10, 19, 22]
    ranks = {"priority": [0, 0, 1, 2]}
    result = run_jobs("priority", limits, rows, columns=ranks)
    assert result.jobs["start_s"].tolist() == [0, 18, 15, 10]


def test_quotas_of_queues_without_preemption():
    queues = {name: {"quotas": {"h200": 8}, "cohort": "lab"} for name in "ab"}
    # What a borrows comes back when its jobs end.
    lent = run_jobs("easy", {"queues": queues}, ROWS)
    assert lent.jobs["start_s"].tolist() == [0, 0, 10, 10]
    kept = {**queues, "b": {"quotas": {"h200": {"nominal": 8, "lend_limit": 0}}, "cohort": "lab"}}
    result = run_jobs("easy", {"queues": kept}, ROWS)
    assert result.jobs["start_s"].tolist() == [0, 10, 0, 10]


def test_limits_of_nobody_and_quotas_beyond_the_cluster_are_noted(
    capsys: pytest.CaptureFixture[str],
):
    """16 accelerators of h200; nobody is in the queue c, and a and b own 24 together."""
    forget_notes()
    queues = {name: {"quotas": {"h200": n}, "cohort": "x"} for name, n in (("a", 16), ("b", 8))}
    given = {"queues": queues, "limits": {"queue": {"each": 8, "c": 4, "a": 8}}}
    given["budgets"] = {"queue": {"d": 1, "a": 100}}
    for policy in ("fcfs", "kueue"):
        forget_notes()
        run_jobs(policy, given, ROWS)
        notes = capsys.readouterr().err
        assert "limits.queue: no job has the queue c\n" in notes, policy
        assert "budgets.queue: no job has the queue d\n" in notes
        owned = "the queues and cohorts own 24 accelerators of h200, but the cluster has 16\n"
        assert owned in notes
    forget_notes()
    fits = {name: {"quotas": {"h200": 8}, "cohort": "x"} for name in "ab"}
    run_jobs("fcfs", {"queues": fits, "limits": {"queue": {"each": 8, "a": 8}}}, ROWS)
    assert "Note" not in capsys.readouterr().err


def test_a_strict_queue_waits_for_its_first_job():
    rows: list[Row] = [("a", 0, 4, 10), ("a", 1, 8, 10), ("a", 2, 4, 5)]
    strict = {"a": {"quotas": {"h200": 8}, "strategy": "strict"}}
    assert run_jobs("fcfs", {"queues": strict}, rows).jobs["start_s"].tolist() == [0, 10, 20]
    free = {"a": {"quotas": {"h200": 8}}}
    assert run_jobs("fcfs", {"queues": free}, rows).jobs["start_s"].tolist() == [0, 10, 2]


def test_a_spent_budget_holds_jobs_until_it_renews():
    once = run_jobs("easy", {"budgets": {"queue": {"a": 80 * HOURS}}}, ROWS)
    assert once.jobs["outcome"].tolist() == ["finished", "unfinished", "finished", "finished"]
    reason = once.jobs["reason"].iloc[1]
    assert reason.endswith("the budget of queue a is spent, and nothing renews it")
    renewed = {"a": {"accelerator_hours": 80 * HOURS, "period": "100 s"}}
    result = run_jobs("easy", {"budgets": {"queue": renewed}}, ROWS)
    assert result.jobs["start_s"].tolist() == [0, 100, 0, 10]
    small = run_jobs("easy", {"budgets": {"queue": {"a": 40 * HOURS}}}, ROWS)
    assert small.jobs["outcome"].tolist()[:2] == ["never runnable"] * 2
    assert "whole budget of queue a is 0.01111" in small.jobs["reason"].iloc[0]


def test_a_budget_gives_back_what_was_only_estimated():
    rows: list[Row] = [("a", 0, 8, 2), ("a", 1, 8, 10)]
    estimates = {"estimate_s": [10.0, 10.0]}
    quotas = {"budgets": {"queue": {"a": 100 * HOURS}}}
    result = run_jobs("fcfs", quotas, rows, columns=estimates)
    assert result.jobs["start_s"].tolist() == [0, 2]


def test_a_job_longer_than_a_period_is_charged_in_each():
    rows: list[Row] = [("a", 0, 1, 25), ("a", 1, 1, 5)]
    budget = {"a": {"accelerator_hours": 12 * HOURS, "period": "10 s"}}
    result = run_jobs("fcfs", {"budgets": {"queue": budget}}, rows)
    # It needs 10 in each of the first two periods and 5 in the third.
    assert result.jobs["start_s"].tolist() == [0, 20]


def test_kueue_and_kai_honour_limits_and_budgets_too():
    queues = {name: {"quotas": {"h200": 8}, "cohort": "lab"} for name in "ab"}
    quotas = {
        "queues": queues,
        "limits": {"queue": {"a": 8}},
        "budgets": {"queue": {"b": 80 * HOURS}},
    }
    for policy in ("kueue", "kai"):
        result = run_jobs(policy, quotas, ROWS)
        assert result.jobs["start_s"].tolist()[:3] == [0, 10, 0]
        assert result.jobs["outcome"].iloc[3] == "unfinished"


def test_a_policy_sees_what_is_used():
    seen = []

    class Watching(Policy):
        def decide(self, view: Any) -> Any:
            seen.append([(row.owner, row.most, row.used) for row in view.quotas])
            assert view.quotas.used.tolist() == [used for _, _, used in seen[-1]]
            return [Start(job) for job in view.those_that_fit(view.waiting)]

    jobs = pd.DataFrame(
        {
            "job_id": [1, 2],
            "submit_s": [0, 10],
            "n_accelerators": 4,
            "duration_s": 3600,
            "user": "ann",
        }
    )
    quotas = {"limits": {"user": {"ann": 8}}, "budgets": {"user": {"each": 100}}}
    replay(jobs, policy=Watching, accelerators=8, options={"quotas": quotas})
    assert seen[0] == [("user ann", 8, 4), ("user ann", 100, 0)]
    assert seen[1][0] == ("user ann", 8, 8)
    assert seen[2] == [("user ann", 8, 4), ("user ann", 100, pytest.approx(4 + 4 * 3590 / 3600))]


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({}, "has no queues, limits or budgets"),
        ({"limits": {"team": {"a": 1}}}, "limits.team: the jobs have no such column"),
        ({"limits": {"queue": {"aa": 1, "each": 2}}}, "no job has the queue 'aa'; did you mean"),
        ({"limits": {"queue": {"a": {"h2000": 1}}}}, "no pool 'h2000'; did you mean 'h200'"),
        ({"limits": {"queue": {"a": {}}}}, "limits.queue.a: names no pool"),
        ({"limits": {"queue": {"a": -1}}}, "limits.queue.a"),
        ({"budgets": {"queue": {"a": {"hours": 1}}}}, "budgets.queue.a"),
        ({"budgets": {"queue": {"a": {"accelerator_hours": 1, "period": "0 s"}}}}, "period"),
    ],
)
def test_mistakes_are_named(quotas: dict[str, Any], message: str):
    with pytest.raises(InputError) as error:
        run_jobs("fcfs", quotas, [("a", 0, 1, 1)])
    assert message in str(error.value)


logs = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]),
        st.integers(1, 30), st.sampled_from("xy"),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip
POLICIES = ["fcfs", "sjf", "easy", "conservative", "priority", "srtf", "las", "kai", "kueue"]


@settings(max_examples=examples(60), deadline=None)
@given(
    log=logs,
    policy=st.sampled_from(POLICIES),
    most=st.dictionaries(st.sampled_from("abc"), st.integers(0, 12)),
    h200=st.none() | st.integers(4, 12),
    hours=st.integers(60, 300),
    period_s=st.none() | st.sampled_from([10, 37, 100]),
)
def test_no_limit_is_exceeded_and_no_budget_overspent(
    log: list[tuple[Any, ...]], policy: str, most: dict[str, int], h200: int | None, hours: int,
    period_s: int | None,
):  # fmt: skip
    """Estimates are exact and preemptions free, so no budget is overspent at all."""
    log = sorted(log, key=lambda row: row[1])
    budget = {"accelerator_hours": hours * HOURS, "period": f"{period_s} s" if period_s else None}
    everyone = {"queues": {q: {"quotas": {"h200": 8, "h20": 8}, "cohort": "lab"} for q in "abc"}}
    quotas = {
        **(everyone if policy in ("kai", "kueue") else {}),
        "limits": {
            "queue": most,
            "team": {"each": {"h20": 8, **({"h200": h200} if h200 else {})}},
        },
        "budgets": {"team": {"x": budget}},
    }
    columns = {"team": [row[4] for row in log]}
    result = run_jobs(policy, quotas, [row[:4] for row in log], nodes=3, h20=2, columns=columns)
    team = result.jobs.set_index("job_id")["team"]
    for time, now, _ in moments(result):
        for name, n in now.groupby("queue")["n_accelerators"].sum().items():
            assert n <= most.get(str(name), 99), (name, time)
        by_pool = now.groupby([now["job_id"].map(team), "pool"], observed=True)["n_accelerators"]
        for (_, pool), n in by_pool.sum().items():
            assert n <= {"h20": 8, "h200": h200 or 99}[pool]
    assert_not_overspent(attempts(result), team, hours, period_s)


def assert_not_overspent(
    rows: pd.DataFrame, team: pd.Series[str], most: int, period_s: int | None
) -> None:
    own = rows[rows["job_id"].map(team) == "x"]
    last = rows["end_s"].max() if len(rows) else 0.0
    for begin in range(0, int(last) + 1, period_s or int(last) + 1):
        end = begin + (period_s or last + 1)
        times = (own["end_s"].clip(begin, end) - own["start_s"].clip(begin, end)).clip(lower=0)
        assert (times * own["n_accelerators"]).sum() <= most + 1e-6


@settings(max_examples=examples(60), deadline=None)
@given(
    log=logs,
    most=st.dictionaries(st.sampled_from("abc"), st.integers(8, 12)),
    budget=st.integers(240, 500),
    period_s=st.none() | st.sampled_from([10, 37, 100]),
)
def test_a_plain_twin_agrees(
    log: list[tuple[Any, ...]], most: dict[str, int], budget: int, period_s: int | None
):
    log = sorted(log, key=lambda row: row[1])
    own = {"accelerator_hours": budget * HOURS, "period": f"{period_s} s" if period_s else None}
    quotas = {"limits": {"queue": most}, "budgets": {"team": {"x": own}}}
    columns = {"team": [row[4] for row in log]}
    rows = [row[:4] for row in log]
    until_s = 2000
    result = run_jobs("fcfs", quotas, rows, placement="pooled", columns=columns, horizon_s=until_s)
    jobs = [TwinJob(i, q, team, t, n, s) for i, (q, t, n, s, team) in enumerate(log)]
    twin = LimitsTwin(16, most, {"x": budget}, period_s, jobs).starts(until_s)
    starts = [None if pd.isna(start) else start for start in result.jobs["start_s"]]
    assert starts == twin
