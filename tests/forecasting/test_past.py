"""What a forecast learns from a log, and what it takes from a saved run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

import clustersim as cs
from clustersim.forecasting.arrivals import arrivals_of
from clustersim.forecasting.coverage import waiting_times
from clustersim.forecasting.inputs import read_state
from clustersim.forecasting.past import Past, past_of
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


def test_a_cluster_has_nodes_by_default() -> None:
    """6 + 6 of 2 x 8 accelerators run: a job with 4 has room in all, but on no node."""
    zero = np.zeros(2, dtype=np.int32)
    nodes = Cluster("nodes", (Pool("a", "", 2, 8, float("inf"), 8, zero, zero),))
    jobs = state(running("1", 6, 0.0, HOUR), running("2", 6, 0.0, HOUR), waiting("3", 4, HOUR))
    found = cs.forecast(jobs, cluster=nodes, replications=2)
    assert found.jobs["low_s"].iloc[0] > 0
    assert "placement consolidate" in found.assumptions
    counted = cs.forecast(jobs, cluster=nodes, replications=2, placement="pooled")
    assert counted.jobs["high_s"].iloc[0] == 0


def test_a_log_up_to_now_tells_how_the_jobs_of_users_run_now(tmp_path: Path) -> None:
    """A job starts each hour for 20 days and runs for 2 h; the last ones end after now."""
    now = datetime(2026, 3, 21, tzinfo=UTC)
    rows = []
    for hour in range(20 * 24 + 1):
        begin = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
        end = begin + timedelta(hours=2)
        times = [f"{each:%Y-%m-%dT%H:%M:%S}" for each in (begin, begin, end)]
        rows.append("|".join([str(hour), "ann", *times, "COMPLETED", "gres/gpu=8", "1", "1440"]))
    head = "JobID|User|Submit|Start|End|State|AllocTRES|NNodes|TimelimitRaw"
    (tmp_path / "jobs.txt").write_text("\n".join([head, *rows]) + "\n")

    def past(taken_at: datetime, zone: str | None = "UTC") -> Past:
        found = read_state(
            state(running("x", 8, 60.0, HOUR), taken_at=taken_at), at_s=None, time_zone=zone,
            taken_at=None, columns=(), gpus_per_node=None,
        )  # fmt: skip
        known = past_of(found, tmp_path / "jobs.txt", zone)
        assert known is not None
        return known

    known = past(now)
    assert known.recent is not None
    # Those that ended by now, of the last 7 days: 168 h to 2 h ago.
    assert known.recent["submit_s"].tolist() == [-HOUR * hour for hour in range(168, 1, -1)]
    assert len(known.jobs) == 479
    assert len(known.further) == 481
    # No start is known to be of the last 7 days if the log is older or its clock is another one.
    assert past(now + timedelta(days=9)).recent is None
    assert past(now, None).recent is None
