"""Runs of jobs in queues with quotas, and what holds at every moment of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, Pool

__all__ = ["Row", "a_pool", "attempts", "moments", "run_jobs", "spans"]

Row = tuple[str, float, int, float]
"""Queue, submission, size and duration of a job."""


def a_pool(name: str, nodes: int, size: int = 8) -> Pool:
    return Pool(
        name=name,
        accelerator=name,
        n_nodes=nodes,
        chips_per_node=size,
        nic_Bps=float("inf"),
        scaleup_size=size,
        leaf_of_node=np.zeros(nodes, dtype=np.int32),
        unit_of_node=np.zeros(nodes, dtype=np.int32),
        virtual_clusters={},
    )


def run_jobs(
    policy: str,
    quotas: Mapping[str, Any],
    rows: list[Row],
    *,
    nodes: int = 2,
    h20: int = 0,
    placement: str = "consolidate",
    columns: Mapping[str, Any] | None = None,
    horizon_s: float | None = None,
    recovery: Any = None,
    **options: Any,
) -> Result:
    """Simulate jobs on a pool h200, and a pool h20 if it has nodes."""
    names, submit_s, sizes, run_s = (list(column) for column in zip(*rows, strict=True))
    table = {"submit_s": submit_s, "n_accelerators": sizes, "duration_s": run_s, "queue": names}
    jobs = pd.DataFrame({"job_id": range(len(rows)), **table, **(columns or {})})
    pools = (a_pool("h200", nodes), *([a_pool("h20", h20)] if h20 else []))
    given = {"quotas": quotas, **options}
    scheduling = Scheduling(policy=policy, placement=placement, options=given, choose="listed")
    cluster = Cluster("lab", pools)
    return simulate(jobs, cluster, scheduling, horizon_s=horizon_s, recovery=recovery, check=True)


def attempts(result: Result) -> pd.DataFrame:
    """The attempts at jobs, with the columns of the jobs."""
    columns = ["job_id", "queue", "submit_s", "n_accelerators", "duration_s", "pool"]
    if result.attempts is None:
        own = result.jobs[result.jobs["start_s"].notna()]
        return own.rename(columns={"finish_s": "end_s"})[[*columns, "start_s", "end_s"]]
    own = result.attempts[["job_id", "pool", "start_s", "end_s"]]
    return own.merge(result.jobs[columns[:-1]], on="job_id")


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    """Start and end of each attempt by job."""
    return {
        int(job): list(zip(own["start_s"], own["end_s"], strict=True))
        for job, own in attempts(result).groupby("job_id")
    }


def moments(result: Result) -> Iterator[tuple[float, pd.DataFrame, pd.DataFrame]]:
    """Each time at which something happens, with the jobs that run and those that wait then."""
    rows, jobs = attempts(result), result.jobs
    rows = rows[rows["end_s"] > rows["start_s"]]
    times = {*rows["start_s"], *rows["end_s"], *jobs["submit_s"]}
    for time in sorted(times):
        now = rows[(rows["start_s"] <= time) & (rows["end_s"] > time)]
        left = (jobs["submit_s"] <= time) & ~(jobs["finish_s"] <= time)
        waits = jobs[left & ~jobs["job_id"].isin(now["job_id"])]
        yield time, now, waits
