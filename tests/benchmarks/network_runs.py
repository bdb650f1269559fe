"""Cost of the network in a simulation, relative to the same run without it."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, compile_cluster, resolve_cluster

__all__ = ["network", "network_million"]

JOBS, MILLION, FEW = 100_000, 1_000_000, 20_000
BOUNDS = {"topology_aware": 1.3, "random": 6.0}
FULL = {"communication_share": 0.5}


def network() -> list[tuple[object, ...]]:
    """CPU time of a run packed and random at 4:1, with and without the network.

    With full trunks, jobs on random nodes take so long that they queue. A run without the network
    has the same queue if its jobs are given the run times that they had with it.
    """
    cluster = four_to_one()
    rows = [_ratio(gangs(JOBS), cluster, placement) for placement in BOUNDS]
    jobs = gangs(FEW)
    full = timed(jobs, cluster, "random", FULL)
    times = full.result.jobs
    as_long = jobs.assign(duration_s=(times["finish_s"] - times["start_s"]).to_numpy())
    ratio, queued = (
        full.seconds / timed(each, cluster, "random", None).seconds for each in (jobs, as_long)
    )
    shown = f"{ratio:.2f} x without, {queued:.2f} x with as long jobs"
    name = "network at 4:1, random, full trunks"
    return [*rows, (*_speed(name, FEW, full.seconds), shown, "", "")]


def network_million() -> list[tuple[object, ...]]:
    """CPU time of a million jobs that are packed at 4:1."""
    return [_ratio(gangs(MILLION), four_to_one(), "topology_aware")]


def _ratio(jobs: pd.DataFrame, cluster: Cluster, placement: str) -> tuple[object, ...]:
    timed(jobs.head(1000), cluster, placement, {})  # warm up
    without = timed(jobs, cluster, placement, None).seconds
    seconds = timed(jobs, cluster, placement, {}).seconds
    ratio, bound = seconds / without, BOUNDS[placement]
    kept = "ok" if ratio <= bound else "MISSED"
    speed = _speed(f"network at 4:1, {placement}", len(jobs), seconds)
    return (*speed, f"{ratio:.2f} x without", f"<= {bound:g} x", kept)


def _speed(name: str, n_jobs: int, seconds: float) -> tuple[object, ...]:
    return name, f"{n_jobs:,}", f"{seconds:.2f}", f"{n_jobs / seconds:,.0f}"


def four_to_one() -> Cluster:
    """8,192 H200 in units of 16 nodes, with a quarter of the uplinks."""
    fabric = {"type": "rail-optimised", "unit_nodes": 16, "oversubscription": {"leaf": 4}}
    pool = {"accelerator": "H200", "nodes": 1024, "fabric": fabric}
    return compile_cluster(
        resolve_cluster({"name": "four to one", "pools": {"gpu": pool}}, load_catalogue())
    )


def gangs(n_jobs: int) -> pd.DataFrame:
    """Jobs at a load of 0.85, two fifths of them on several nodes."""
    rng = np.random.default_rng(1)
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    size = rng.choice(sizes, n_jobs, p=[0.2, 0.1, 0.1, 0.2, 0.15, 0.1, 0.06, 0.05, 0.03, 0.01])
    duration_s = rng.lognormal(np.log(3600), 1.2, n_jobs)
    gap_s = (size * duration_s).mean() / (0.85 * 8192)
    return pd.DataFrame(
        {
            "job_id": np.arange(n_jobs),
            "submit_s": np.cumsum(rng.exponential(gap_s, n_jobs)),
            "n_accelerators": size,
            "duration_s": duration_s,
        }
    )


class Timed(NamedTuple):
    """Result of a run, and its CPU time."""

    result: Result
    seconds: float


def timed(
    jobs: pd.DataFrame, cluster: Cluster, placement: str, settings: dict[str, Any] | None
) -> Timed:
    """Run jobs with settings of the network; without it if there are none."""
    began = time.process_time()
    scheduling = Scheduling(policy="easy", placement=placement)
    result = simulate(jobs, cluster, scheduling, network=settings, by_node=False)
    return Timed(result, time.process_time() - began)
