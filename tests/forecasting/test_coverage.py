"""How often forecasts are right: intervals of replayed logs against what then happened.

``pytest tests/forecasting/test_coverage.py -m full -s`` prints the figures of docs/forecast.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.forecasting.coverage import Coverage, check_forecast

HOUR = 3600.0
TIMES, REPLICATIONS = 40, 40


def drawn(n_jobs: int, seed: int) -> pd.DataFrame:
    """Return jobs of 20 users in batches, on a cluster of 64 accelerators, three quarters full."""
    draw = np.random.default_rng(seed)
    users = draw.integers(0, 20, n_jobs)
    limit = draw.choice([1.0, 4.0, 12.0, 24.0], n_jobs, p=[0.3, 0.3, 0.25, 0.15]) * HOUR
    share = draw.beta(0.5 + (users % 4) * 0.5, 1.2)
    size = draw.choice([1, 2, 4, 8, 16, 32], n_jobs, p=[0.35, 0.15, 0.2, 0.15, 0.1, 0.05])
    run = np.maximum(60.0, share * limit)
    gaps = draw.exponential((run * size).mean() / 64 / 0.75, n_jobs)
    return pd.DataFrame(
        {"job_id": np.arange(n_jobs), "submit_s": np.cumsum(gaps).round(), "user": users,
         "n_accelerators": size, "duration_s": run.round(), "estimate_s": limit}
    )  # fmt: skip


def part(folder: Path, name: str, first: int, jobs: int) -> pd.DataFrame:
    """Return jobs of a log without the recorded starts and partitions, from second 0."""
    log = cs.read_jobs(folder / "traces" / f"{name}.parquet").jobs[first : first + jobs]
    log = log.drop(columns=["start_s", "vc"], errors="ignore").reset_index(drop=True)
    return log.assign(submit_s=log["submit_s"] - log["submit_s"].min())


def with_limits(log: pd.DataFrame) -> pd.DataFrame:
    """Return jobs with the next of five limits above their run time, for a log without limits."""
    limits = np.array([900.0, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR])
    return log.assign(estimate_s=limits[np.searchsorted(limits, log["duration_s"])])


LOGS: dict[str, tuple[Callable[[Path], pd.DataFrame], int]] = {
    "KTH SP2, jobs 1 to 8,000": (lambda data: part(data, "swf_kth_sp2", 0, 8000), 100),
    "KTH SP2, jobs 8,001 to 18,000": (lambda data: part(data, "swf_kth_sp2", 8000, 10000), 100),
    "KTH SP2, the rest": (lambda data: part(data, "swf_kth_sp2", 18000, 10000), 100),
    "NASA iPSC, 80 nodes, limits added": (
        lambda data: with_limits(part(data, "swf_nasa_ipsc", 0, 8000)).query(
            "n_accelerators <= 80"
        ),
        80,
    ),
    "CEA Curie, 4,000 jobs, 70,000 cores": (
        lambda data: part(data, "swf_cea_curie", 150_000, 4000).query("n_accelerators <= 30000"),
        70_000,
    ),
}


def measure(log: pd.DataFrame, accelerators: int, policy: str, times: int) -> Coverage:
    result = cs.replay(log, policy=policy, accelerators=accelerators)
    return check_forecast(
        result, times=times, accelerators=accelerators, policy=policy, replications=REPLICATIONS
    )


def line(name: str, policy: str, found: Coverage) -> str:
    weight = found.times["jobs"] / found.times["jobs"].sum()
    by_job = [f"{(found.times[key] * weight).sum():.3f}" for key in ("within", "earlier", "later")]
    by_time = [f"{found.times[key].mean():.3f}" for key in ("within", "earlier", "later")]
    jobs = int(found.times["jobs"].sum())
    return f"{name} | {policy} | {jobs} | {' | '.join(by_job)} | {' | '.join(by_time)}"


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_intervals_cover_what_then_happened(policy: str) -> None:
    """Starts of waiting jobs in three drawn logs: 85 to 95 % are within intervals of 90 %."""
    inside = []
    for seed in (11, 12, 13):
        found = measure(drawn(1500, seed), 64, policy, TIMES)
        print(line(f"drawn log {seed}", policy, found))
        inside.append(found.by_time)
    assert 0.85 <= np.mean(inside) <= 0.95


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
@pytest.mark.parametrize("policy", ["easy", "fcfs"])
@pytest.mark.parametrize("name", LOGS)
def test_intervals_in_a_real_log(name: str, policy: str, shared_data: Path) -> None:
    """The times of one log have few queues in common, so the share is known to some per cent."""
    log, accelerators = LOGS[name][0](shared_data), LOGS[name][1]
    found = measure(log, accelerators, policy, TIMES)
    print(line(name, policy, found))
    assert 0.75 <= found.by_time <= 0.99


def test_the_coverage_of_a_run_whose_run_times_are_known() -> None:
    """All jobs run for their limit, as the history says: the forecasts are exact."""
    n = 120
    log = pd.DataFrame(
        {"job_id": np.arange(n), "submit_s": 600.0 * np.arange(n), "n_accelerators": 4,
         "duration_s": HOUR, "estimate_s": HOUR, "user": "ann"}
    )  # fmt: skip
    result = cs.replay(log, policy="fcfs", accelerators=16)
    found = check_forecast(
        result, times=3, accelerators=16, policy="fcfs", replications=5, arrivals=False
    )
    assert len(found.times) == 3
    assert found.by_job == found.by_time == 1.0
    assert np.allclose(found.jobs["median_s"], found.jobs["start_s"])
    idle = cs.replay(log.assign(submit_s=2 * log["submit_s"]), policy="fcfs", accelerators=16)
    with pytest.raises(InputError, match="no job of this run waits"):
        check_forecast(idle, times=3, accelerators=16)
