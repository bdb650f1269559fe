"""Small clusters and jobs tables for the tests of the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clustersim.topology import Cluster, Pool


def pool(
    name: str,
    n_nodes: int = 1,
    chips: int = 8,
    *,
    accelerator: str = "",
    virtual_clusters: dict[str, int] | None = None,
) -> Pool:
    """A pool whose network does not matter."""
    return Pool(
        name=name,
        accelerator=accelerator,
        n_nodes=n_nodes,
        chips_per_node=chips,
        nic_Bps=50e9,
        scaleup_size=chips,
        leaf_of_node=np.zeros(n_nodes, dtype=np.int32),
        unit_of_node=np.zeros(n_nodes, dtype=np.int32),
        virtual_clusters=virtual_clusters or {},
    )


def cluster(*pools: Pool) -> Cluster:
    """A cluster of these pools."""
    return Cluster("test", pools)


def jobs(rows: list[tuple[float, int, float]], **columns: Any) -> pd.DataFrame:
    """A jobs table from (submit, accelerators, duration), numbered from 1."""
    frame = pd.DataFrame(rows, columns=["submit_s", "n_accelerators", "duration_s"])
    frame.insert(0, "job_id", np.arange(1, len(frame) + 1))
    frame = frame.astype({"submit_s": np.float64, "duration_s": np.float64})
    for name, values in columns.items():
        frame[name] = values
    return frame


def crowd(seed: int, n_jobs: int, *, largest: int = 24, whole: bool = True) -> pd.DataFrame:
    """Random jobs, more than a few nodes of eight can hold, some at one instant."""
    draw = np.random.default_rng(seed)
    duration = draw.integers(0, 50, n_jobs) if whole else draw.exponential(25.0, n_jobs)
    submit = np.sort(draw.integers(0, 2 * n_jobs, n_jobs))
    sizes = np.array([1, 2, 3, 4, 8, 12, 16, 24])
    rows = zip(submit, draw.choice(sizes[sizes <= largest], n_jobs), duration, strict=True)
    estimate = duration * draw.integers(1, 4, n_jobs)
    return jobs([(float(a), int(b), float(c)) for a, b, c in rows], estimate_s=estimate)


def scenario(*, jobs: int, load: float, sizes: dict[int, int], average: str) -> dict[str, Any]:
    """A scenario of eight nodes of H200 under EASY, with exponential run times."""
    job_class = {
        "name": "job",
        "weight": 1,
        "sizes": sizes,
        "duration": {"kind": "exponential", "average": average},
    }
    generate = {"arrivals": {"mean_interarrival": "1 h"}, "classes": [job_class]}
    return {
        "cluster": {"name": "one", "pools": {"gpu": {"accelerator": "H200", "nodes": 8}}},
        "workload": {"generate": generate, "jobs": jobs, "load": load},
        "scheduler": {"policy": "easy"},
        "seed": 4,
    }
