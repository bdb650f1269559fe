"""What a forecast learns from a log, and what it takes from a saved run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import clustersim as cs
from clustersim.forecasting.arrivals import arrivals_of
from clustersim.forecasting.coverage import waiting_times
from clustersim.forecasting.inputs import read_state
from clustersim.scheduling import find_placement
from clustersim.seeds import Streams
from clustersim.topology import Cluster, Pool, single_pool
from tests.forecasting.test_coverage import drawn
from tests.forecasting.test_forecast import HOUR, running, state, waiting

DAY = 24 * HOUR


def test_jobs_of_a_log_without_a_limit_tell_nothing_of_shares(tmp_path: Path) -> None:
    """No job uses more than a fifth of its limit; two in five have none."""
    draw = np.random.default_rng(0)
    n = 200
    log = pd.DataFrame(
        {"job_id": np.arange(n), "submit_s": 3600 * np.arange(n), "n_accelerators": 4,
         "duration_s": (DAY * draw.uniform(0.02, 0.2, n)).round(), "user": "ann",
         "estimate_s": np.where(np.arange(n) % 5 < 2, np.nan, DAY)}
    )  # fmt: skip
    log.to_csv(tmp_path / "log.csv", index=False)
    jobs = state(running("1", 8, 100.0, DAY, user="ann"), waiting("2", 8, DAY, user="ann"))
    found = cs.forecast(
        jobs, accelerators=8, history=tmp_path / "log.csv", arrivals=False, replications=40
    )
    assert found.jobs["high_s"].iloc[0] < 0.2 * DAY
    assert "80 of 200 jobs of the log have no time limit" in found.assumptions
    whole = cs.read_jobs(tmp_path / "log.csv")
    assert whole.estimate_filled is not None
    assert (
        np.flatnonzero(whole.estimate_filled).tolist()
        == np.flatnonzero(log["estimate_s"].isna()).tolist()
    )


def test_the_jobs_without_an_estimate_are_known_after_sorting(tmp_path: Path) -> None:
    log = pd.DataFrame(
        {"job_id": ["a", "b", "c"], "submit_s": [20, 0, 10], "n_accelerators": 1,
         "duration_s": 60, "estimate_s": [np.nan, 90, 90]}
    )  # fmt: skip
    log.to_csv(tmp_path / "log.csv", index=False)
    found = cs.read_jobs(tmp_path / "log.csv", sort=True)
    assert found.estimate_filled is not None
    assert found.jobs["job_id"][found.estimate_filled].tolist() == ["a"]


def test_a_saved_run_keeps_its_placement() -> None:
    """6 + 6 of 2 x 8 accelerators run: a job with 4 has room in all, but on no node."""
    zero = np.zeros(2, dtype=np.int32)
    two = Cluster("two", (Pool("p", "", 2, 8, float("inf"), 8, zero, zero),))
    jobs = pd.DataFrame(
        {"job_id": [1, 2, 3], "submit_s": [0, 1, 2], "n_accelerators": [6, 6, 4],
         "duration_s": 9000, "estimate_s": 9000}
    )  # fmt: skip
    facts = {"replay": {"policy": "fcfs", "placement": "consolidate", "exact_estimates": True}}
    run = cs.replay(jobs, policy="fcfs", cluster=two, placement="consolidate", provenance=facts)
    assert run.jobs["start_s"].tolist() == [0.0, 1.0, 9000.0]
    found = cs.forecast(run, cluster=two, at_s=100.0, replications=5)
    assert found.jobs["low_s"].iloc[0] > 0.0
    assert "placement consolidate" in found.assumptions
    assert (
        "the run had exact estimates of run times, which the forecast does not continue"
        in found.assumptions
    )
    pooled = cs.forecast(run, cluster=two, at_s=100.0, replications=5, placement="pooled")
    assert pooled.jobs["high_s"].iloc[0] == 0.0
    assert "placement consolidate" not in pooled.assumptions


def test_further_jobs_of_a_saved_run_arrive_as_at_the_same_time_of_day() -> None:
    run = cs.replay(drawn(900, 11), policy="fcfs", accelerators=64)
    at_s = float(waiting_times(run.jobs, 3)[-1])
    given = read_state(
        run, at_s=at_s, time_zone=None, taken_at=None, columns=(), gpus_per_node=None
    )
    submitted = given.submitted
    assert submitted is not None
    before = run.jobs[run.jobs["submit_s"] <= at_s]
    assert submitted["job_id"].tolist() == before["job_id"].tolist()
    assert (submitted["duration_s"].isna() == (before["finish_s"] > at_s)).all()
    found = cs.forecast(run, accelerators=64, policy="fcfs", at_s=at_s, replications=2)
    assert any("at the same time of day" in note for note in found.assumptions)


def test_a_window_of_arrivals_may_contain_jobs_that_have_not_ended() -> None:
    n = 240
    log = pd.DataFrame(
        {"job_id": np.arange(n), "submit_s": HOUR * np.arange(n), "n_accelerators": 1,
         "duration_s": np.where(np.arange(n) < n - 5, 600.0, np.nan), "estimate_s": HOUR}
    )  # fmt: skip
    found = arrivals_of(
        log.iloc[::-1], single_pool(8), find_placement("pooled"), window_s=DAY, now_s=n * HOUR,
        unended={str(n - 5 + row): row for row in range(5)}, default_limit_s=HOUR, catalogue=None,
    )  # fmt: skip
    assert found is not None
    windows = [found.draw(Streams(1, replication=k)) for k in range(100)]
    last = max(windows, key=lambda jobs: jobs.unended.max())
    assert last.unended[-5:].tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(last.run_s[-5:]).all()
    assert all((np.isnan(jobs.run_s) == (jobs.unended >= 0)).all() for jobs in windows)
    assert all(jobs.submit_s[0] % DAY == 0 and len(jobs.submit_s) == 24 for jobs in windows)
