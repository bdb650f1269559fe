"""Quotas with waiting, borrowing, reclaim and preemption, against EASY on the same jobs.

Teams of a cohort own equal parts of every pool of the 2026 fleet and ask for unequal ones, so that
the larger ones borrow what the smaller ones take back.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, compile_cluster, load_cluster

__all__ = ["quotas_against_easy"]

N_JOBS = 100_000
LOAD = 1.2
"""Work that arrives in the time of the submissions, in parts of what the fleet does in it."""
MOST = 3.0
TEAMS = {"a": 0.4, "b": 0.2, "c": 0.15, "d": 0.1, "e": 0.1, "f": 0.05}
"""Shares of the jobs."""
SIZES = {1: 0.25, 2: 0.1, 4: 0.1, 8: 0.2, 16: 0.1, 32: 0.1, 64: 0.08, 256: 0.04, 512: 0.02}
SIZES |= {1024: 0.01}
MEDIAN_RUN_S = 4 * 3600.0


def quotas_against_easy(n_jobs: int = N_JOBS) -> list[tuple[object, ...]]:
    """Rows of the table of benchmarks: kueue with preemption, at a load above one."""
    cluster = compile_cluster(load_cluster("bytedance-2026", load_catalogue()))
    jobs = _jobs(n_jobs, cluster)
    easy_s, _ = _timed(jobs, cluster, Scheduling(policy="easy", placement="consolidate"))
    options = {"quotas": _quotas(cluster), "by": "team"}
    chosen = Scheduling(policy="kueue", placement="consolidate", options=options)
    seconds, result = _timed(jobs, cluster, chosen)
    assert "preemptions" in result.jobs, "no job was preempted, so preemption is not measured"
    preempted = int(result.jobs["preemptions"].sum())
    ratio = seconds / easy_s
    return [
        (
            f"kueue, 2026 fleet, load {LOAD}, {preempted:,} preemptions",
            f"{n_jobs:,}",
            f"{seconds:.2f}",
            f"{n_jobs / seconds:,.0f}",
            f"{ratio:.1f} x EASY",
            f"<= {MOST:.0f} x EASY",
            "ok" if ratio <= MOST else "MISSED",
        )
    ]


def _timed(jobs: pd.DataFrame, cluster: Cluster, chosen: Scheduling) -> tuple[float, Result]:
    began = time.process_time()
    result = simulate(jobs, cluster, chosen, by_node=False)
    return time.process_time() - began, result


def _quotas(cluster: Cluster) -> dict[str, Any]:
    own = {pool.name: pool.n_nodes * pool.chips_per_node // len(TEAMS) for pool in cluster.pools}
    rules = {"within_queue": "lower", "reclaim_within_cohort": "any"}
    return {
        "queues": {team: {"cohort": "lab", "quotas": own, "preemption": rules} for team in TEAMS}
    }


def _jobs(n: int, cluster: Cluster) -> pd.DataFrame:
    draw = np.random.default_rng(18)
    sizes = draw.choice(list(SIZES), n, p=list(SIZES.values()))
    run_s = draw.lognormal(0, 0.7, n) * MEDIAN_RUN_S
    capacity = sum(pool.n_nodes * pool.chips_per_node for pool in cluster.pools)
    span_s = float((sizes * run_s).sum()) / (LOAD * capacity)
    return pd.DataFrame(
        {
            "job_id": np.arange(n),
            "submit_s": np.sort(draw.uniform(0, span_s, n)),
            "n_accelerators": sizes,
            "duration_s": run_s,
            "team": draw.choice(list(TEAMS), n, p=list(TEAMS.values())),
            "priority": draw.integers(0, 3, n),
        }
    )
