"""Jobs that wait for other jobs, for places in an array, and for a time; worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.scheduling import POLICIES
from clustersim.simulation.unfinished import can_never_run
from clustersim.topology import single_pool


def log(**columns: object) -> pd.DataFrame:
    """Four jobs of 10 s on 4 accelerators each, all submitted at 0."""
    table = {"job_id": ["a", "b", "c", "d"], "submit_s": [0.0] * 4}
    return pd.DataFrame({**table, "n_accelerators": 4, "duration_s": 10.0, **columns})


def starts(jobs: pd.DataFrame, policy: str = "fcfs", accelerators: int = 16) -> list[float]:
    return cs.replay(jobs, policy=policy, accelerators=accelerators).jobs["start_s"].tolist()


@pytest.mark.parametrize(
    "policy", sorted(set(POLICIES) - {"max_throughput_per_cost", "kai", "kueue"})
)
def test_a_chain_runs_in_its_order(policy: str) -> None:
    jobs = log(after_ok=["", "a", "b", "b, a"])
    found = starts(jobs, policy)
    assert found[0] == 0
    assert found[1] >= 10
    assert found[2] == found[3] >= found[1] + 10


@pytest.mark.parametrize("text", ["a:b", "a b", "a,b", "a, b"])
def test_several_jobs_can_be_named_in_several_ways(text: str) -> None:
    assert starts(log(after_any=["", "", text, None])) == [0, 0, 10, 0]


def test_ids_may_be_numbers() -> None:
    jobs = log(job_id=[1, 2, 3, 4], after_ok=[None, 1.0, None, None])
    assert starts(jobs) == [0, 10, 0, 0]


def test_a_held_job_keeps_its_place_in_the_queue() -> None:
    # b waits for a, and is then before c and d, which were submitted after it.
    jobs = log(after_ok=["", "a", "", ""], n_accelerators=[4, 4, 4, 4])
    assert starts(jobs, accelerators=4) == [0, 10, 20, 30]


def test_an_array_runs_so_many_tasks_at_a_time() -> None:
    jobs = log(array=["x", "x", "x", None], array_limit=[2, 2, 2, None])
    assert starts(jobs) == [0, 0, 10, 0]


def test_the_limit_of_an_array_is_that_of_all_its_tasks() -> None:
    assert starts(log(array="x", array_limit=[None, 1, None, None])) == [0, 10, 20, 30]


def test_an_array_without_a_limit_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert starts(log(array=["x", "x", "", ""])) == [0, 0, 0, 0]
    said = capsys.readouterr().err
    assert "Note: 1 array without array_limit (such as x): all tasks may run at a time" in said


def test_a_job_does_not_start_before_its_time() -> None:
    assert starts(log(not_before_s=[None, 25, 3, 0])) == [0, 25, 3, 0]


def test_what_waits_for_a_job_that_can_never_run_can_never_run() -> None:
    jobs = log(n_accelerators=[99, 4, 4, 4], after_any=["", "a", "b", ""])
    result = cs.replay(jobs, policy="easy", accelerators=16).jobs
    assert result["outcome"].tolist() == ["never runnable"] * 3 + ["finished"]
    assert result["reason"].iloc[2] == "it waits for job b, which can never run"


class CancelFirst(cs.Policy):
    """Starts all jobs, and cancels the first one when it is called at 5 s."""

    tracks_running = True

    def decide(self, view):
        from clustersim.scheduling import Preempt, Start, Wake

        for job in view.waiting.tolist():
            yield Start(job)
        if view.now < 5:
            yield Wake(5)
        elif 0 in view.running:
            yield Preempt(0, "cancel")


def test_only_after_any_follows_a_cancelled_job() -> None:
    jobs = log(after_ok=["", "a", "", ""], after_any=["", "", "a", ""])
    result = cs.replay(jobs, policy=CancelFirst, accelerators=16).jobs
    assert result["start_s"].tolist()[2:] == [5, 0]
    assert result["outcome"].tolist() == ["unfinished", "unfinished", "finished", "finished"]


HELD = "held outside the queue when the simulation ended: it waits for job"


def test_what_waits_for_a_cancelled_job_says_so_along_the_chain() -> None:
    # a is cancelled at 5 s: b never runs, nor do c and d, in whatever way they wait for b.
    jobs = log(after_ok=["", "a", "b", ""], after_any=["", "", "", "a b"])
    result = cs.replay(jobs, policy=CancelFirst, accelerators=16).jobs
    assert result["reason"].tolist() == [
        "cancelled by the policy",
        f"{HELD} a, which was cancelled",
        f"{HELD} b, which never ends",
        f"{HELD} b, which never ends",
    ]
    assert can_never_run(result).tolist() == [False, True, True, True]


def test_of_several_jobs_the_cancelled_one_is_named() -> None:
    # At the end of the run at 8 s, b runs until 10 s, and a was cancelled at 5 s.
    jobs = log(after_ok=["", "", "b a", "b"])
    found = cs.simulate(jobs, single_pool(16), cs.Scheduling(policy=CancelFirst), horizon_s=8.0)
    assert found.jobs["reason"].tolist()[2:] == [
        f"{HELD} a, which was cancelled",
        f"{HELD} b, which had not ended",
    ]
    assert can_never_run(found.jobs).tolist() == [False, False, True, False]


def test_what_waits_for_a_job_whose_budget_never_renews_never_runs() -> None:
    # Ann may use 60 accelerator-seconds; a uses 40 of them, and b needs 40, too.
    jobs = log(after_any=["", "", "b", ""], user=["ann", "ann", "bo", "bo"])
    quotas = {"budgets": {"user": {"ann": 60 / 3600}}}
    result = cs.replay(jobs, policy="fcfs", accelerators=16, options={"quotas": quotas}).jobs
    assert result["reason"].tolist()[1].endswith("nothing renews it")
    assert result["reason"].tolist()[2] == f"{HELD} b, which never ends"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"after_ok": ["", "aa", "", ""]}, r"after_ok: job b waits for 'aa', which is no job"),
        ({"after_ok": ["b", "a", "", ""]}, r"jobs wait for each other: a, b"),
        ({"after_any": ["a", "", "", ""]}, r"jobs wait for each other: a"),
        ({"array": "x", "array_limit": [0, 1, 1, 1]}, r"array_limit: must be a number of at least"),
        ({"array_limit": [None, 2, 2, 2]}, r"array_limit: job b is in no array \(column array\)"),
        ({"array": "x", "array_limit": [2, 1, 1, 1]}, r"array x has the limits 2 and 1"),
        ({"not_before_s": ["noon", 1, 1, 1]}, r"not_before_s: must be a number .* 'noon' \(job a"),
        ({"not_before_s": [float("inf"), 1, 1, 1]}, r"not_before_s: must be a number .* \(job a"),
    ],
)
def test_bad_columns_are_refused(columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        starts(log(**columns))
