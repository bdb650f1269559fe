"""Dependencies on jobs that are not simulated, and limits of jobs that already run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.engine.gates import Gates, Limits
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
