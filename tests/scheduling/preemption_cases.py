"""Small pools, tables and policies for tests of preemption."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.scheduling import Policy, Preempt, Start, View
from clustersim.scheduling.decisions import Decision, How
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, Pool

INF = float("inf")


def a_pool(name: str, nodes: int = 1, **virtual_clusters: int) -> Pool:
    return Pool(
        name=name,
        accelerator="",
        n_nodes=nodes,
        chips_per_node=8,
        nic_Bps=INF,
        scaleup_size=8,
        leaf_of_node=np.zeros(nodes, dtype=np.int32),
        unit_of_node=np.zeros(nodes, dtype=np.int32),
        virtual_clusters=virtual_clusters,
    )


class Later(Policy):
    """A job that is submitted later takes the place of one that runs."""

    tracks_running: ClassVar[bool] = True
    how: How = "save"
    cost: float | None = None

    def decide(self, view: View) -> Iterable[Decision]:
        for job in view.waiting.tolist()[::-1]:
            for other in view.running.tolist():
                if not view.fits(job) and other < job:
                    yield Preempt(other, self.how, self.cost)
            if view.fits(job):
                yield Start(job)


def two_jobs(**columns: Any) -> pd.DataFrame:
    """A job of 100 s at 0, and one of 20 s at 50 s, on all 8 accelerators."""
    changed = {"n_accelerators": 8, "submit_s": [0.0, 50.0], **columns}
    return a_table([100.0, 20.0], **changed)


def a_table(duration_s: list[float], n_accelerators: Any, **columns: Any) -> pd.DataFrame:
    """Jobs that are submitted at 0 by default."""
    table = {"job_id": range(1, len(duration_s) + 1), "submit_s": 0.0}
    table |= {"n_accelerators": n_accelerators, "duration_s": np.array(duration_s, dtype=float)}
    return pd.DataFrame({**table, **columns})


def run(
    policy: str | type[Policy],
    jobs: pd.DataFrame,
    recovery: Recovery | None = None,
    pools: Iterable[Pool] | None = None,
    placement: str = "consolidate",
    node_events: Iterable[NodeEvent] | None = None,
    **options: object,
) -> Result:
    """Run jobs on a small cluster, and check the accelerators after every pass."""
    cluster = Cluster("small", tuple(pools or [a_pool("gpu")]))
    scheduling = Scheduling(policy=policy, placement=placement, options=options)
    return simulate(
        jobs, cluster, scheduling, recovery=recovery, check=True, node_events=node_events
    )


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    """Return the start and the end of each attempt by job."""
    assert result.attempts is not None
    return {
        int(job): list(zip(own["start_s"], own["end_s"], strict=True))
        for job, own in result.attempts.groupby("job_id")
    }
