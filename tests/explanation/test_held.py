"""Waits outside the queue: for other jobs, an earliest time, and the limit of an array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_clusters import causes, jobs, ran

import clustersim as cs
from clustersim.explanation.holds import holds_of
from clustersim.explanation.state import open_state
from clustersim.scheduling import POLICIES
from tests.examples import examples


def test_a_job_depends_on_another_one() -> None:
    table = jobs((0, 8, 100), (10, 8, 50), after_ok=["", "1"])
    result, known = ran(table)
    assert causes(result, known, 2) == [(10, 100, "dependency")]
    found = cs.explain(result, job=2, **known)
    row = found.intervals.iloc[0]
    assert row["detail"] == "dependency on job 1 (after_ok), until 90 s after its submission"
    assert row["behind"] == "1"
    assert found.queued_s == 100
    # There was room from the beginning.
    assert found.without.to_dict("records") == [
        {"cause": "dependency", "seconds": 90.0, "share": 1.0, "start_s": 10.0, "saved_s": 90.0}
    ]
    assert found.sentence.endswith("100 % of it because jobs for which it waited had not ended.")


def test_after_a_dependency_it_waits_in_the_queue() -> None:
    # Job 3 waits for 1 until 100 s, then for the accelerators that 2 holds until 150 s.
    table = jobs((0, 8, 100), (0, 8, 150), (0, 16, 10), (120, 8, 5), after_any=["", "", "1", ""])
    result, known = ran(table, "fcfs")
    assert causes(result, known, 3) == [(0, 100, "dependency"), (100, 150, "accelerators")]
    found = cs.explain(result, job=3, **known)
    # Without the dependency, job 2 would still have held its accelerators.
    without = found.without.set_index("cause")
    assert without.loc["dependency", ["start_s", "saved_s"]].tolist() == [150, 0]
    assert without.loc["accelerators", ["start_s", "saved_s"]].tolist() == [100, 50]
    # It is ahead of job 4 once it is in the queue.
    other = cs.explain(result, job=4, **known)
    assert (other.behind, other.jobs_ahead) == ("3", 1)
    whole = cs.explain(result, **known).jobs.iloc[2]
    assert whole[["dependency_s", "accelerators_s", "waited_s"]].tolist() == [100, 50, 150]


def test_the_last_of_several_jobs_binds() -> None:
    table = jobs((0, 4, 100), (0, 4, 40), (0, 4, 10), after_any=["", "", "1"])
    result, known = ran(table.assign(after_ok=["", "", "2"]))
    detail = cs.explain(result, job=3, **known).intervals["detail"].tolist()
    assert detail == [
        "dependency on job 1 (after_any), the last of 2 jobs, until 100 s after its submission"
    ]


def test_an_earliest_time_after_a_dependency() -> None:
    table = jobs((0, 4, 50), (0, 4, 10), after_ok=["", "1"], not_before_s=[math.nan, 80.0])
    result, known = ran(table)
    assert causes(result, known, 2) == [(0, 50, "dependency"), (50, 80, "not_before")]
    found = cs.explain(result, job=2, **known)
    assert found.intervals["detail"][1] == "not before 80 s after its submission (not_before_s)"
    without = found.without.set_index("cause")["start_s"]
    assert (without["dependency"], without["not_before"]) == (80, 50)


def test_tasks_of_an_array() -> None:
    # One task at a time: the second waits for the first, the third for the second.
    table = jobs((0, 2, 30), (0, 2, 20), (5, 2, 10), array="a", array_limit=1)
    result, known = ran(table)
    assert causes(result, known, 2) == [(0, 30, "array_limit")]
    assert causes(result, known, 3) == [(5, 50, "array_limit")]
    found = cs.explain(result, job=3, **known)
    assert found.intervals["detail"][0] == (
        "array a runs at most 1 task at a time; the end of job 2 let it in"
    )
    assert found.without["start_s"].tolist() == [5]


def test_a_dependency_that_never_ends() -> None:
    table = jobs((0, 16, 1000), (10, 8, 50), after_any=["", "1"])
    result, known = ran(table, horizon_s=100.0)
    assert causes(result, known, 2) == [(10, 100, "dependency")]
    found = cs.explain(result, job=2, **known)
    assert found.intervals["detail"][0].endswith("which had not ended when the run did")
    assert "and never started" in found.sentence


def test_jobs_that_wait_for_one_that_can_never_run_do_not_wait() -> None:
    table = jobs((0, 99, 10), (0, 8, 10), after_any=["", "1"])
    result, known = ran(table)
    found = cs.explain(result, **known)
    assert found.jobs["waited_s"].tolist() == [0, 0]
    assert "waits for job 1" in cs.explain(result, job=2, **known).reason


def test_a_replay_of_a_table_with_dependencies() -> None:
    table = pd.DataFrame({"job_id": ["sft", "rl"], "submit_s": 0.0, "n_accelerators": 4})
    table = table.assign(duration_s=60.0, after_ok=["", "sft"])
    found = cs.explain(cs.replay(table, policy="fcfs", accelerators=8))
    assert found.jobs["waited_for"].tolist() == ["", "dependency"]
    assert found.hours["dependency"] == pytest.approx(4 * 60 / 3600)
    assert found.sentence.endswith("100 % for other jobs (after_ok, after_any).")


JOB = st.tuples(
    st.integers(0, 20),
    st.integers(1, 9),
    st.integers(1, 20),
    st.sampled_from(["", "a", "b"]),
    st.integers(0, 40),
    st.sets(st.integers(1, 8), max_size=2),
    st.booleans(),
)


@given(st.lists(JOB, min_size=2, max_size=9), st.booleans())
@settings(max_examples=examples(40))
def test_jobs_enter_their_queues_when_the_policy_sees_them(
    rows: list[tuple[Any, ...]], limited: bool
) -> None:
    seen: dict[int, float] = {}

    class Watching(POLICIES["fcfs"]):  # type: ignore[misc]
        def submit(self, job: int) -> None:
            seen.setdefault(job, -1.0)
            super().submit(job)

        def resubmit(self, job: int) -> None:
            seen.setdefault(job, -1.0)
            super().resubmit(job)

        def schedule(self, now: float) -> None:
            seen.update({job: now for job, since in seen.items() if since < 0})
            super().schedule(now)

    rows = sorted(rows, key=lambda row: row[0])
    table = jobs(*(row[:3] for row in rows))
    waits = [
        " ".join(str(job) for job in sorted(row[5]) if job <= at) for at, row in enumerate(rows)
    ]
    table["after_any"] = [each if row[6] else "" for each, row in zip(waits, rows, strict=True)]
    table["after_ok"] = ["" if row[6] else each for each, row in zip(waits, rows, strict=True)]
    table["array"] = [row[3] for row in rows]
    table["array_limit"] = [{"": math.nan, "a": 1, "b": 2}[row[3]] for row in rows]
    table["not_before_s"] = [float(row[4]) if row[4] > 10 else math.nan for row in rows]
    table["user"] = ["ann" if row[1] % 2 else "bo" for row in rows]
    limits = {"limits": {"user": {"ann": 9}}} if limited else None
    result, known = ran(table, Watching, **({} if limits is None else {"quotas": limits}))
    state = open_state(result, known["cluster"], (), known["scheduling"])
    holds = holds_of(state)
    submit_s = result.jobs["submit_s"].to_numpy(dtype=float)
    entered_s = submit_s if holds is None else holds.enters_s
    assert entered_s.tolist() == [seen[job] for job in range(len(rows))]
    found = cs.explain(result, **known)
    names = [f"{name}_s" for name in found.hours]
    np.testing.assert_allclose(found.jobs[names].sum(axis=1), found.jobs["waited_s"])
    for job in found.jobs.loc[found.jobs["waited_s"] > 0, "job_id"].tolist()[:4]:
        one = cs.explain(result, job=job, **known).intervals
        by_cause = (one["end_s"] - one["begin_s"]).groupby(one["cause"]).sum()
        for name in found.hours:
            expected = found.jobs.set_index("job_id").loc[job, f"{name}_s"]
            assert by_cause.get(name, 0.0) == pytest.approx(expected)


def test_a_budget_that_is_spent_until_it_renews() -> None:
    # ann has 900 accelerator-seconds in each 1,000 s: job 1 takes 800, job 2 needs 400.
    quotas = {"budgets": {"user": {"ann": {"accelerator_hours": 0.25, "period": "1000 s"}}}}
    table = jobs((0, 8, 100), (1, 8, 50), (2, 8, 10), (3, 8, 5), user=["ann", "ann", "bob", "ann"])
    result, known = ran(table, "easy", quotas=quotas)
    assert result.jobs["start_s"].tolist() == [0, 1000, 2, 12]
    assert causes(result, known, 2) == [(1, 1000, "limit")]
    assert cs.explain(result, job=2, **known).intervals["detail"][0] == (
        "the budget of user ann is spent, until 16.6 min after its submission"
    )
    assert causes(result, known, 4) == [(3, 12, "accelerators")]
    whole = cs.explain(result, **known)
    assert whole.jobs["limit_s"].tolist() == [0, 999, 0, 0]
    assert not whole.notes


def test_a_budget_from_which_a_job_gives_back_what_it_did_not_use() -> None:
    # Job 1 reserves 80 s and takes 10: then 720 of 800 are left, and job 2 needs 640.
    quotas = {"budgets": {"user": {"ann": {"accelerator_hours": 800 / 3600}}}}
    table = jobs((0, 8, 10), (1, 8, 5), (30, 8, 5), user="ann", estimate_s=[80.0, 80.0, 80.0])
    result, known = ran(table, "easy", quotas=quotas)
    assert causes(result, known, 2) == [(1, 10, "limit")]
    detail = cs.explain(result, job=2, **known).intervals["detail"][0]
    assert detail == (
        "the budget of user ann is spent, and nothing renews it; the end of job 1 let it in"
    )
