"""Small clusters and runs for the tests of explanations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import clustersim as cs
from clustersim.engine.node_events import NodeEvent
from clustersim.scheduling.holding import Split
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import NodeEvents
from clustersim.topology import Cluster, Pool

INF = float("inf")


def pool(
    name: str = "gpu",
    nodes: int = 2,
    chips: int = 8,
    virtual_clusters: Mapping[str, int] | None = None,
) -> Pool:
    zeros = np.zeros(nodes, dtype=np.int32)
    return Pool(
        name=name,
        accelerator="",
        n_nodes=nodes,
        chips_per_node=chips,
        nic_Bps=INF,
        scaleup_size=chips,
        leaf_of_node=zeros,
        unit_of_node=zeros,
        virtual_clusters=dict(virtual_clusters or {}),
    )


def jobs(*rows: tuple[float, int, float], **columns: Sequence[Any]) -> pd.DataFrame:
    """Jobs 1, 2, ... as (submission, accelerators, duration)."""
    table = pd.DataFrame(rows, columns=["submit_s", "n_accelerators", "duration_s"])
    return table.assign(job_id=range(1, len(rows) + 1), **columns)


def ran(
    table: pd.DataFrame,
    policy: Any = "fcfs",
    *,
    cluster: Cluster | None = None,
    events: NodeEvents | Iterable[NodeEvent] | None = None,
    horizon_s: float | None = None,
    placement: str = "consolidate",
    span_pools: Split | None = None,
    **options: object,
) -> tuple[Result, dict[str, Any]]:
    """Simulate jobs, by default on two nodes of 8; return the result and arguments for explain."""
    cluster = cluster or Cluster("small", (pool(),))
    scheduling = cs.Scheduling(
        policy=policy, placement=placement, options=options, span_pools=span_pools
    )
    result = cs.simulate(
        table, cluster, scheduling, node_events=events, horizon_s=horizon_s, check=True
    )
    return result, {"cluster": cluster, "scheduling": scheduling}


def causes(result: Result, known: Mapping[str, Any], job: int) -> list[tuple[float, float, str]]:
    """Return the intervals of a wait as (begin, end, cause)."""
    found = cs.explain(result, job=job, **known).intervals
    return list(found[["begin_s", "end_s", "cause"]].itertuples(index=False, name=None))
