"""Cost of the network in a simulation, relative to the same run without it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, compile_cluster, resolve_cluster

__all__ = ["network"]

JOBS = 100_000
BOUNDS = {"topology_aware": 1.3, "random": 6.0}


def network() -> list[tuple[object, ...]]:
    """CPU time of a run packed and random at 4:1, with and without the network."""
    jobs, cluster = gangs(JOBS), four_to_one()
    seconds(jobs.head(1000), cluster, "random", {})  # warm up
    rows: list[tuple[object, ...]] = []
    for placement, bound in BOUNDS.items():
        without = seconds(jobs, cluster, placement, None)
        with_network = seconds(jobs, cluster, placement, {})
        ratio = with_network / without
        rows.append(
            (
                f"network at 4:1, {placement}",
                f"{len(jobs):,}",
                f"{with_network:.2f}",
                f"{len(jobs) / with_network:,.0f}",
                f"{ratio:.2f} x without",
                f"<= {bound:g} x",
                "ok" if ratio <= bound else "MISSED",
            )
        )
    return rows


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


def seconds(
    jobs: pd.DataFrame, cluster: Cluster, placement: str, settings: dict[str, Any] | None
) -> float:
    """CPU time of a run."""
    began = time.process_time()
    scheduling = Scheduling(policy="easy", placement=placement)
    simulate(jobs, cluster, scheduling, network=settings, by_node=False)
    return time.process_time() - began
