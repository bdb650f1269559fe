"""Dependencies on jobs that are not simulated, and limits of jobs that already run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.engine.gates import Gates
from clustersim.engine.limits import Limits
from clustersim.errors import InputError
from clustersim.forecasting.limits import with_further
from clustersim.forecasting.shared_limits import limit_of_users
from clustersim.report.of_forecast.answer import forecast_answer
from tests.forecasting.test_forecast import HOUR, exact, running, starts, state, waiting


def test_a_job_after_one_that_is_not_simulated_is_not_forecast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 4, 0.0, HOUR, partition="a"),
        running("2", 8, 0.0, HOUR, partition="a"),
        waiting("3", 1, held="JobHeldUser", partition="a"),
        waiting("4", 64, partition="a"),
        waiting("5", 1, depends_on=("3",), partition="a"),
        waiting("6", 1, depends_on=("4", "1"), partition="a"),
        waiting("7", 1, depends_on=("1",), partition="a"),
        waiting("8", 1, depends_on=("5",), partition="a"),
        waiting("9", 1, depends_on=("99",), partition="a"),
    )
    # One of the running jobs has no room: 4 + 8 accelerators run on 10.
    found = cs.forecast(jobs, accelerators={"a": 10, "b": 1}, replications=2)
    table = found.jobs.set_index("job_id")
    assert table.loc[["3", "4", "5", "6", "7", "8", "9"], "constraint"].tolist() == [
        "held", "never", "dependency", "dependency", "dependency", "dependency", "none",
    ]  # fmt: skip
    assert table.loc[["5", "6", "7", "8"], "median_s"].isna().all()
    assert table.loc["5", "detail"] == "not forecast: after job 3, which is held (JobHeldUser)"
    assert table.loc["6", "detail"].startswith("not forecast: after job ")
    assert table.loc["7", "detail"] == (
        "not forecast: after job 1, which runs, but found no room in the cluster"
    )
    assert table.loc["8", "detail"] == ("not forecast: after job 5, which is not forecast either")
    assert table.loc["9", "behind"] == ""


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative"])
def test_a_limit_holds_no_job_that_runs_but_counts_it(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 4, 0.0, HOUR, user="ann"),
        running("2", 4, 0.0, 2 * HOUR, user="ann"),
        waiting("3", 4, user="bob"),
        waiting("4", 2, user="ann"),
    )
    found = cs.forecast(jobs, accelerators=8, user_limit=4, policy=policy, replications=2)
    assert starts(found) == {"3": HOUR, "4": 2 * HOUR}


def test_the_limit_of_a_user_holds_further_jobs() -> None:
    first = Limits([("user ann may use at most 4 accelerators", 4.0)], {0: [(0, 4.0)]})
    jobs = pd.DataFrame({"user": ["ann", "bob", "bob", ""], "n_accelerators": [1, 4, 1, 64]})
    jobs = jobs.assign(account="", qos="", vc="")
    limits = with_further(first, np.array([1, 2, 3, 4]), jobs, [limit_of_users(4)])
    assert [name for name, _ in limits.groups] == [
        "user ann may use at most 4 accelerators",
        "user bob may use at most 4 accelerators",
    ]
    gates = Gates(limits)
    assert [gates.admits(job, 0.0) for job in range(5)] == [True, False, True, False, True]
    assert gates.end(0, 1.0, done=True) == [1]
    assert gates.end(2, 1.0, done=True) == [3]


def test_a_log_without_users_is_named_where_users_have_a_limit() -> None:
    n = 60
    log = pd.DataFrame(
        {"job_id": np.arange(n), "submit_s": 600.0 * np.arange(n), "n_accelerators": 4,
         "duration_s": HOUR, "estimate_s": HOUR}
    )  # fmt: skip
    jobs = state(running("1", 8, 60.0, HOUR), waiting("2", 4, user="ann"))
    said = "the log names no users, so no limit of a user holds further jobs"
    options = {"accelerators": 8, "replications": 2, "user_limit": 8}
    assert said in cs.forecast(jobs, history=log, **options).assumptions
    named = log.assign(user="bob")
    assert said not in cs.forecast(jobs, history=named, **options).assumptions


def test_a_job_after_one_that_the_file_does_not_name_has_a_lower_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 8, HOUR / 2, HOUR),
        waiting("2", 8),
        waiting("3", 4, after_job=True, reason="Dependency"),
        waiting("4", 4, after_job=True, depends_on=("77",), reason="Dependency"),
        waiting("5", 4, after_job=True, depends_on=("3",), reason="Dependency"),
        waiting("6", 4, after_job=True, depends_on=("1",), reason="Dependency"),
    )
    found = cs.forecast(jobs, accelerators=8, replications=2)
    table = found.jobs.set_index("job_id")
    unknown = ["3", "4", "5"]
    assert (table.loc[unknown, "constraint"] == "dependency").all()
    assert table.loc[unknown, ["median_s", "high_s"]].isna().all(axis=None)
    # Alone, and if the other job ended now, they could start when job 1 ends.
    assert table.loc[unknown, "low_s"].tolist() == [HOUR / 2] * 3
    assert table.loc["3", "detail"] == (
        "not forecast: waits for another job that the file does not name"
    )
    assert table.loc["4", "detail"] == "not forecast: after job 77, which is not simulated"
    assert table.loc["5", "detail"] == "not forecast: after job 3, which is not forecast either"
    assert table.loc["6", "median_s"] == 1.5 * HOUR
    answer = forecast_answer(found)
    assert "3 cannot be forecast, of which 1 wait" in answer.sentence
    assert any("%E" in step for step in answer.next_steps)
    assert not any("Release" in step for step in answer.next_steps)
    assert any("1 job waits for another job" in note for note in found.assumptions)


def test_policies_see_users_and_take_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann and bob have as much, so ann, who comes first, is next; with more weight, it is bob."""
    exact(monkeypatch)
    jobs = state(
        running("1", 2, 0.0, 2 * HOUR, user="ann"),
        running("2", 2, 0.0, 2 * HOUR, user="bob"),
        running("3", 4, 0.0, HOUR, user="cy"),
        waiting("4", 4, user="ann"),
        waiting("5", 4, user="bob"),
    )
    asked = {"accelerators": 8, "policy": "drf", "replications": 2}
    assert starts(cs.forecast(jobs, **asked)) == {"4": HOUR, "5": 2 * HOUR}
    weighed = cs.forecast(jobs, options={"weights": "ann:1,bob:9"}, **asked)
    assert starts(weighed) == {"4": 2 * HOUR, "5": HOUR}
    with pytest.raises(InputError, match="has no option 'weihgts'; did you mean 'weights'"):
        cs.forecast(jobs, options={"weihgts": "ann:9"}, **asked)


def test_a_saved_run_is_continued_with_the_options_of_its_policy(tmp_path: Path) -> None:
    """Bob's job starts before ann's, although it comes later."""
    jobs = pd.DataFrame(
        {"job_id": [1, 2, 3, 4, 5], "submit_s": 0.0, "n_accelerators": [2, 2, 4, 4, 4],
         "duration_s": [2 * HOUR, 2 * HOUR, HOUR, HOUR, HOUR],
         "user": ["ann", "bob", "cy", "ann", "bob"]}
    )  # fmt: skip
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    words = ["replay", str(tmp_path / "jobs.csv"), "--out", str(tmp_path / "run"), "--no-report"]
    words += ["--accelerators", "8", "--policy", "drf", "--option", "weights=ann:1,bob:9"]
    assert main(words) == 0
    result = cs.Result.load(tmp_path / "run")
    found = cs.forecast(tmp_path / "run", at_s=60.0, replications=2)
    then = result.jobs.set_index("job_id")["start_s"].astype(float)
    assert then[4] > then[5] > 60.0
    median = found.jobs.set_index("job_id")["median_s"]
    assert median["4"] > median["5"] > 0.0


def test_limits_and_quotas_of_the_policy_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 of 16 accelerators are free: ann has her 8, bob may start, and eve can never have 12.
    exact(monkeypatch)
    jobs = state(
        running("1", 8, 0.0, HOUR, user="ann"),
        waiting("2", 8, user="ann"),
        waiting("3", 8, HOUR / 2, user="bob"),
        waiting("4", 12, user="eve"),
    )
    quotas = {"limits": {"user": {"each": 8}}}
    found = cs.forecast(
        jobs, accelerators=16, policy="easy", options={"quotas": quotas}, replications=2
    )
    table = found.jobs.set_index("job_id")
    assert table["median_s"].tolist()[:2] == [HOUR, 0.0]
    assert table["constraint"].tolist() == ["limit", "none", "never"]
    assert table.loc["2", "detail"] == "user ann may use 8"
    assert table.loc["4", "detail"] == "user eve may use at most 8 accelerators at once"
    assert any(note.startswith("limits and quotas of") for note in found.assumptions)


def test_quotas_of_queues_and_what_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 8, 0.0, HOUR, partition="a"),
        waiting("2", 8, partition="a"),
        waiting("3", 8, partition="b"),
    )
    quotas = {
        "queues": {"a": {"quotas": {"all": 8}}, "b": {"quotas": {"all": 8}}},
        "limits": {"team": {"each": 8}},
        "budgets": {"user": {"each": {"accelerator_hours": 1}}},
    }
    found = cs.forecast(
        jobs, accelerators=24, policy="fcfs", options={"quotas": quotas}, replications=2
    )
    assert starts(found) == {"2": HOUR, "3": 0.0}
    assert found.jobs["detail"].iloc[0] == "quota of its queue"
    assert "budgets do not hold: what was spent of them is not known" in found.assumptions
    assert "limits by team do not hold: the state has no such column" in found.assumptions


def test_windows_of_a_saved_run_are_named() -> None:
    jobs = pd.DataFrame(
        {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "duration_s": [600.0, 60.0]}
    )
    update = {"pools": ["pool"], "at": "10 min", "duration": "10 min"}
    run = cs.replay(jobs, policy="fcfs", accelerators=8, windows={"maintenance": [update]})
    found = cs.forecast(run, accelerators=8, at_s=300.0, replications=2)
    text = "the run had windows planned ahead, which the forecast does not continue"
    assert text in found.assumptions


def test_too_many_rounds_of_a_program_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # 3 days of rounds of 60 s are 4,320; 20,000 rounds are 4 replications, or rounds of 13 min.
    exact(monkeypatch)
    jobs = state(running("1", 8, 0.0, 72 * HOUR), waiting("2", 8))
    with pytest.raises(InputError) as refused:
        cs.forecast(jobs, accelerators=16, policy="sia", replications=60)
    assert "60 replications of about 3 d are 259,200 rounds, more than 20,000" in str(refused.value)
    assert "give --replications 4, longer rounds (--option round=780)" in str(refused.value)
    found = cs.forecast(
        jobs, accelerators=16, policy="sia", options={"round": 12 * HOUR}, replications=1
    )
    # The first round began with the running job, a second before now.
    assert starts(found) == {"2": 12 * HOUR - 1}
