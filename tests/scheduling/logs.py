"""Logs of jobs for the tests, as the twins and as the package want them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from twins import Job

from clustersim.simulation.result import Result
from clustersim.simulation.simulate import replay
from clustersim.topology import Cluster, Pool

WHOLE, TENTHS = 1.0, 0.1
"""Time steps: whole seconds are exact in floating point, tenths are not."""


def table(jobs: list[Job], vcs: list[str] | None = None) -> pd.DataFrame:
    """The jobs as a jobs table."""
    columns = list(zip(*jobs, strict=True)) if jobs else [(), (), (), ()]
    frame = pd.DataFrame(
        {
            "job_id": np.arange(len(jobs)),
            "submit_s": np.array(columns[0], dtype=np.float64),
            "n_accelerators": np.array(columns[1], dtype=np.int64),
            "duration_s": np.array(columns[2], dtype=np.float64),
            "estimate_s": np.array(columns[3], dtype=np.float64),
        }
    )
    if vcs is not None:
        frame["vc"] = vcs
    return frame


def nodes(n_nodes: int, chips: int, virtual_clusters: dict[str, int] | None = None) -> Cluster:
    """A cluster of one pool."""
    pool = Pool(
        name="gpu",
        accelerator="",
        n_nodes=n_nodes,
        chips_per_node=chips,
        nic_Bps=float("inf"),
        scaleup_size=chips,
        leaf_of_node=np.zeros(n_nodes, dtype=np.int32),
        unit_of_node=np.zeros(n_nodes, dtype=np.int32),
        virtual_clusters=virtual_clusters or {},
    )
    return Cluster("test", (pool,))


def pool_result(jobs: list[Job], size: int, policy: str) -> Result:
    """What the package makes of the jobs on a pool that counts accelerators."""
    return replay(table(jobs), policy=policy, accelerators=size)


def starts(result: Result) -> list[float]:
    """Start of each job, in the order of the log."""
    return result.jobs["start_s"].tolist()


def nodes_of_jobs(result: Result) -> dict[int, list[tuple[int, int]]]:
    """Nodes and chips of each job, by node."""
    found: dict[int, list[tuple[int, int]]] = {}
    columns = result.allocations[["job_id", "node", "n_accelerators"]].to_numpy().tolist()
    for job, node, n in columns:
        found.setdefault(job, []).append((node, n))
    return {job: sorted(pairs) for job, pairs in found.items()}


def sorted_nodes(nodes_of: dict[int, list[tuple[int, int]]]) -> dict[int, list[tuple[int, int]]]:
    """The twin's nodes in the same form."""
    return {job: sorted(pairs) for job, pairs in sorted(nodes_of.items())}


@st.composite
def small_logs(
    draw: st.DrawFn, size: int, *, step: float = WHOLE, overrun: bool = False, exact: bool = False
) -> list[Job]:
    """Few jobs, many at one instant, some without duration, that crowd `size` accelerators."""
    gaps = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 7])
    jobs, now = [], 0
    for _ in range(draw(st.integers(1, 24))):
        now += draw(gaps)
        run = draw(st.integers(0, 9))
        slack = 0 if exact else draw(st.integers(-run if overrun else 0, 9))
        n = draw(st.integers(1, size))
        jobs.append(Job(now * step, n, run * step, (run + slack) * step))
    return jobs


def large_log(
    seed: int,
    size: int,
    n_jobs: int,
    *,
    step: float = WHOLE,
    overrun: bool = False,
    overload: float = 1.3,
) -> list[Job]:
    """A log of many jobs that arrive faster than they can be run."""
    draw = np.random.default_rng(seed)
    n = np.minimum(draw.choice([1, 1, 2, 3, 4, 6, 8, 12, 16, 24], n_jobs), size)
    run = draw.choice([0, 1, 5, 10, 10, 30, 60, 200], n_jobs) + draw.integers(0, 3, n_jobs)
    factor = draw.choice([1, 1, 2, 5], n_jobs)
    estimate = run * factor
    if overrun:
        estimate = np.where(draw.random(n_jobs) < 0.3, run // 2, estimate)
    mean_gap = float((n * run).mean()) / size / overload
    gap = draw.choice([0, 0, 1], n_jobs) * np.round(draw.exponential(3 * mean_gap, n_jobs))
    submit = np.cumsum(gap)
    columns = [(submit * step), n, (run * step), (estimate * step)]
    return [Job(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
