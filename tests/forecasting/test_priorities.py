"""The order of a queue whose jobs have priorities, with jobs that come or may start later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.forecasting.priorities import Priorities, priorities_of
from clustersim.seeds import Streams
from tests.forecasting.test_forecast import HOUR, exact, running, starts, state, waiting

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def queued(number: str, priority: float, age_h: float, **more: Any) -> Any:
    submit = NOW - timedelta(hours=age_h)
    return waiting(number, 8, priority=priority, submit=submit, **more)


def table(*rows: tuple[str, float, float]) -> pd.DataFrame:
    """Return waiting jobs: user, priority, age in hours."""
    jobs = pd.DataFrame(rows, columns=["user", "priority", "age"])
    return jobs.assign(
        row_id=range(len(jobs)), account="", qos="", vc="gpu", n_accelerators=1,
        submit_s=-HOUR * jobs["age"], eligible_s=np.nan, after_job=False, held="",
        depends_on=[()] * len(jobs),
    )  # fmt: skip


def test_growth_is_seen_in_jobs_that_are_alike() -> None:
    """Priorities grow by 10 an hour; ann begins at 100, bob at 500."""
    rows = [("ann", 100.0 + 10 * age, age) for age in range(6)]
    found = priorities_of(table(*rows, ("bob", 520.0, 2.0)), 0)
    assert found is not None
    assert found.per_s == pytest.approx(10 / HOUR)
    assert found.of_user["ann", "gpu"] == pytest.approx(np.full(6, 100.0))
    assert found.of_user["bob", ""] == pytest.approx(np.array([500.0]))
    later = pd.DataFrame({"user": ["ann", "bob", "ann"], "vc": ["gpu", "other", "gpu"]})
    rank = found.ranks_of_further(later, np.array([0.0, HOUR, 2 * HOUR]), Streams(1))
    assert rank == pytest.approx([100.0, 490.0, 80.0])
    # What was submitted an hour from now is ahead of what was two hours from now.
    assert found.ranks(np.array([0, 0, 0, 0, 0, HOUR, 0]))[5:] == pytest.approx([140.0, 520.0])


@pytest.mark.parametrize(
    "rows",
    [
        [("ann", 5.0, 1.0), ("bob", 5.0, 2.0)],  # all equal
        [("ann", 5.0, 1.0), ("bob", 9.0, 2.0), ("cy", 11.0, 3.0)],  # the order of submission
        [("ann", float("nan"), 1.0), ("bob", 9.0, 2.0)],
    ],
)
def test_priorities_that_tell_nothing(rows: list[tuple[str, float, float]]) -> None:
    assert priorities_of(table(*rows), 0) is None


def test_growth_that_is_not_seen_is_none() -> None:
    found = priorities_of(table(("ann", 5.0, 1.0), ("ann", 90.0, 0.5)), 0)
    assert isinstance(found, Priorities)
    assert found.per_s == 0.0


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_a_job_of_higher_priority_passes_those_that_wait(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A job that may start in half an hour passes one of lower priority, and the other not."""
    exact(monkeypatch)
    jobs = state(
        running("1", 8, 0.0, HOUR),
        queued("2", 500.0, 1.0, user="ann"),
        queued("3", 300.0, 2.0, user="bob"),
        queued("4", 400.0, 0.0, user="cy", eligible=NOW + timedelta(minutes=30)),
        taken_at=NOW,
    )
    found = cs.forecast(jobs, accelerators=8, policy=policy, replications=2)
    assert starts(found) == {"2": HOUR, "4": 2 * HOUR, "3": 3 * HOUR}


def test_jobs_that_arrive_pass_those_of_lower_priority() -> None:
    """In the log, ann submits a job of all accelerators each hour, and bob none."""
    n = 400
    log = pd.DataFrame(
        {"job_id": [f"h{at}" for at in range(n)], "submit_s": HOUR * np.arange(n),
         "n_accelerators": 8, "duration_s": 0.7 * HOUR, "estimate_s": HOUR, "user": "ann"}
    )  # fmt: skip
    low, high = (
        state(
            running("1", 8, 0.0, HOUR, user="ann"),
            queued("2", priority, 0.5, user="bob"),
            queued("3", 50.0, 0.2, user="ann"),
            taken_at=NOW,
        )
        for priority in (10.0, 90.0)
    )
    asked = {"accelerators": 8, "history": log, "replications": 20, "policy": "fcfs"}
    assert starts(cs.forecast(high, **asked))["2"] < HOUR
    assert starts(cs.forecast(low, **asked))["2"] > HOUR
    said = "jobs that arrive later have priorities of the waiting jobs of their users"
    assert any(note.startswith(said) for note in cs.forecast(low, **asked).assumptions)


def test_a_job_after_another_ages_only_when_it_may_start() -> None:
    """A chain of bob's is passed by what waits by the time at which its second link may start."""
    rows = [("ann", 100.0 + 10 * age, age) for age in range(6)]
    jobs = table(*rows, ("bob", 130.0, 20.0))
    jobs.at[6, "depends_on"] = ("1",)
    found = priorities_of(jobs, 0)
    assert found is not None
    assert found.of_user["bob", "gpu"].tolist() == [130.0]
    rank = found.ranks(np.array([0.0] * 6 + [4 * HOUR]))
    assert rank[6] == pytest.approx(90.0)


def test_held_jobs_tell_nothing() -> None:
    """Slurm gives them priority 0."""
    rows = [("ann", 100.0 + 10 * age, age) for age in range(6)]
    jobs = table(*rows, ("bob", 520.0, 2.0), *[("ann", 0.0, 7.0)] * 6)
    jobs.loc[7:, "held"] = "held"
    found = priorities_of(jobs, 0)
    assert found is not None
    assert found.per_s == pytest.approx(10 / HOUR)
    assert found.of_user["ann", ""] == pytest.approx(np.full(6, 100.0))
    assert priorities_of(jobs, 0, grow=False).per_s == 0.0  # type: ignore[union-attr]


def test_an_order_that_the_file_tells_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The priorities of HTCondor order the jobs of one user only."""
    exact(monkeypatch)
    jobs = state(
        running("1", 8, 0.0, HOUR),
        queued("2", 0.0, 3.0, user="ann"),
        queued("3", 20.0, 1.0, user="bob"),
        taken_at=NOW,
        order="the queue is in order of submission",
    )
    found = cs.forecast(jobs, accelerators=8, policy="fcfs", replications=2)
    assert starts(found) == {"2": HOUR, "3": 2 * HOUR}
