"""Schedules that other simulators computed, job by job (skipped where they are absent)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import twins
from logs import nodes, nodes_of_jobs, sorted_nodes, starts

from clustersim.simulation.simulate import replay

PROCESSORS = {"kth_sp2": 100, "nasa_ipsc": 128}
PHILLY = {
    "fifo_count": ("fcfs", "pooled", 1),
    "sjf_count": ("sjf", "pooled", 1),
    "easy_count_est1x": ("easy", "pooled", 1),
    "easy_count_est2x": ("easy", "pooled", 2),
    "fifo_consolidated": ("fcfs", "consolidate", 1),
    "sjf_consolidated": ("sjf", "consolidate", 1),
}


def reference(shared_data: Path, log: str) -> pd.DataFrame:
    """One of the logs with its schedules."""
    path = shared_data / "schedules" / f"{log}.parquet"
    if not path.is_file():
        pytest.skip(f"no reference schedules at {path}")
    return pd.read_parquet(path)


def our_starts(log: pd.DataFrame, name: str, policy: str, *, exact: bool = False) -> np.ndarray:
    """Start of each job by the package."""
    jobs = log[["job_id", "submit_s", "procs", "run_s", "estimate_s"]].rename(
        columns={"procs": "n_accelerators", "run_s": "duration_s"}
    )
    result = replay(jobs, policy=policy, accelerators=PROCESSORS[name], exact_estimates=exact)
    assert (result.jobs["outcome"] == "finished").all()
    return result.jobs["start_s"].to_numpy()


def twin_jobs(log: pd.DataFrame, *, exact: bool = False) -> list[twins.Job]:
    """The log as the twins want it."""
    columns = ["submit_s", "procs", "run_s", "run_s" if exact else "estimate_s"]
    return [twins.Job(*row) for row in zip(*(log[c].tolist() for c in columns), strict=True)]


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
@pytest.mark.parametrize(("name", "n_jobs"), [("kth_sp2", 27_992), ("nasa_ipsc", 18_066)])
def test_every_start_in_batch_order(shared_data: Path, name: str, n_jobs: int, policy: str) -> None:
    log = reference(shared_data, name)
    assert len(log) == n_jobs
    np.testing.assert_array_equal(our_starts(log, name, policy), log[f"start_s_batch_{policy}"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "exact", "column", "differing"),
    [
        ("easy", False, "easy", 523),
        ("easy", True, "easy_perfect", 0),
        ("easy_sjbf", False, "easy_sjbf", 218),
        ("conservative", False, "conservative", 690),
    ],
)
def test_starts_that_differ_from_pyss_are_those_of_its_order_of_events(
    shared_data: Path, policy: str, exact: bool, column: str, differing: int
) -> None:
    log = reference(shared_data, "kth_sp2")
    ours = our_starts(log, "kth_sp2", policy, exact=exact)
    pyss = log[f"start_s_pyss_{column}"].to_numpy()
    assert np.count_nonzero(ours != pyss) == differing
    jobs = twin_jobs(log, exact=exact)
    if policy == "conservative":
        np.testing.assert_array_equal(pyss, twins.pyss_conservative(jobs, 100))
        log, jobs = log[:6000], jobs[:6000]  # more of it takes long
        ours = our_starts(log, "kth_sp2", policy)
    else:
        np.testing.assert_array_equal(pyss, twins.pyss_easy(jobs, 100, policy))
    np.testing.assert_array_equal(ours, twins.pool_starts(jobs, 100, policy))


def test_easy_on_nasa_in_both_orders(shared_data: Path) -> None:
    log = reference(shared_data, "nasa_ipsc")
    pyss = log["start_s_pyss_easy"].to_numpy()
    jobs = twin_jobs(log)
    np.testing.assert_array_equal(pyss, twins.pyss_easy(jobs, 128, "easy"))
    ours = our_starts(log, "nasa_ipsc", "easy")
    np.testing.assert_array_equal(ours, twins.pool_starts(jobs, 128, "easy"))


@pytest.mark.parametrize("case", PHILLY)
def test_philly_virtual_cluster_on_two_nodes_of_eight(shared_data: Path, case: str) -> None:
    folder = shared_data / "schedulers" / "philly_6c71a0_600_16gpu"
    if not folder.is_dir():
        pytest.skip(f"no reference schedules at {folder}")
    policy, placement, factor = PHILLY[case]
    jobs = pd.read_csv(folder / "jobs.csv").rename(
        columns={"arrival_s": "submit_s", "gpus": "n_accelerators"}
    )
    jobs["estimate_s"] = jobs["duration_s"] * factor
    result = replay(jobs, policy=policy, cluster=nodes(2, 8), placement=placement)
    expected = pd.read_csv(folder / f"expected_{case}.csv")
    assert len(expected) == 600
    np.testing.assert_array_equal(result.jobs["job_id"], expected["job_id"])
    np.testing.assert_array_equal(result.jobs["start_s"], expected["start_s"])
    np.testing.assert_array_equal(result.jobs["finish_s"], expected["end_s"])
    if placement == "consolidate":
        columns = ["submit_s", "n_accelerators", "duration_s", "estimate_s"]
        log = [twins.Job(*row) for row in zip(*(jobs[c].tolist() for c in columns), strict=True)]
        twin_starts, nodes_of = twins.node_starts(log, 2, 8, policy)
        assert starts(result) == twin_starts
        assert nodes_of_jobs(result) == sorted_nodes(nodes_of)


PREEMPTIVE = {
    "fifo_skip_count": ("first_fit", {}),
    "srtf_free_count": ("srtf", {"cost": 0}),
    "dlas_time_count": ("las", {"attained": "time", "thresholds": (3250, 7200)}),
    "dlas_gputime_count": ("las", {"attained": "accelerator_time", "thresholds": (3250, 7200)}),
}
"""Policies of Tiresias' simulator, with their names and options here."""


@pytest.mark.parametrize("case", PREEMPTIVE)
def test_philly_virtual_cluster_with_preemption(shared_data: Path, case: str) -> None:
    folder = shared_data / "schedulers" / "philly_6c71a0_600_16gpu"
    if not folder.is_dir():
        pytest.skip(f"no reference schedules at {folder}")
    policy, options = PREEMPTIVE[case]
    jobs = pd.read_csv(folder / "jobs.csv").rename(
        columns={"arrival_s": "submit_s", "gpus": "n_accelerators"}
    )
    result = replay(jobs, policy=policy, options=options, accelerators=16)
    expected = pd.read_csv(folder / f"expected_{case}.csv")
    assert len(expected) == 600
    np.testing.assert_array_equal(result.jobs["start_s"], expected["start_s"])
    np.testing.assert_array_equal(result.jobs["finish_s"], expected["end_s"])
    if policy == "srtf":
        np.testing.assert_array_equal(result.jobs["preemptions"], expected["preemptions"])
