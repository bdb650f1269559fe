"""Makes the result of a run: its tables, and what its provenance says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.availability.serving import ServiceDemand, serving_table
from clustersim.engine.record import RunRecord
from clustersim.simulation import tables
from clustersim.simulation.eligibility import Eligibility
from clustersim.simulation.metrics import summary, vc_accelerator_seconds
from clustersim.simulation.result import Result, versions
from clustersim.simulation.run_jobs import Ran
from clustersim.simulation.unfinished import unfinished_reasons, with_awaited
from clustersim.simulation.window_costs import windows_table
from clustersim.topology import Cluster

__all__ = ["fleet_facts", "result_of", "run_facts"]


def result_of(
    jobs: pd.DataFrame,
    ran: Ran,
    cluster: Cluster,
    eligible: Eligibility,
    demands: Sequence[ServiceDemand],
    *,
    spans: bool,
) -> Result:
    """Return the result of a run, with an empty provenance.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The jobs table.
    ran : Ran
    cluster : Cluster
    eligible : Eligibility
    demands : sequence of ServiceDemand
        Those of inference services.
    spans : bool
        Whether jobs may run on several pools.
    """
    rows, partitions, record = ran.rows, ran.partitions, ran.record
    ids = jobs["job_id"].to_numpy()[rows]
    unfinished = unfinished_reasons(
        record,
        partitions,
        jobs["submit_s"].to_numpy(dtype=np.float64)[rows],
        jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows],
        eligible.choices,
        eligible.choice_of[rows],
        ran.held,
        spans=spans,
    )
    unfinished = with_awaited(unfinished, ran.awaited, ids.tolist())
    job_rows = tables.jobs_table(
        jobs, rows, record, cluster, partitions, eligible.reasons, unfinished
    )
    allocated = tables.allocation_ranges(jobs, rows, record, cluster, partitions, ran.work_shares)
    asked = jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows]
    attempts = outages = serving = None
    by_policy = tables.preemptions(record.attempts, len(rows))
    if by_policy.any():
        of_all = np.zeros(len(job_rows), dtype=np.int64)
        of_all[rows] = by_policy
        job_rows["preemptions"] = of_all
    if (
        ran.node_events is not None
        or ran.by_network
        or ran.storage_load is not None
        or by_policy.any()
        or record.attempts.has_sizes(asked)
    ):
        shown = {"network_s": ran.by_network, "storage_s": ran.storage_load is not None}
        attempts = tables.attempts_table(
            jobs, rows, record, cluster, partitions, left_out={n for n in shown if not shown[n]}
        )
    if ran.node_events is not None:
        outages = tables.outages_table(ran.node_events, cluster)
        if demands:
            serving = serving_table(demands, outages, cluster, record.end_s)
    use = tables.utilisation(allocated, cluster, record.end_s, outages, services=bool(demands))
    begin_s = float(job_rows["submit_s"].iloc[0])
    owned = vc_accelerator_seconds(cluster, outages, begin_s, record.end_s)
    total = summary(job_rows, use, allocated, owned, attempts, serving)
    windows = None
    if ran.kept_free is not None:
        assert ran.estimate_s is not None, "they come together"
        windows = windows_table(
            ran.kept_free,
            record,
            cluster,
            partitions,
            ids.tolist(),
            jobs["submit_s"].to_numpy(dtype=np.float64)[rows],
            jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows],
            ran.estimate_s,
            eligible.choices,
            eligible.choice_of[rows],
        )
    return Result(
        job_rows,
        allocated,
        use,
        total,
        {},
        attempts,
        outages,
        serving,
        windows=windows,
        network_load=ran.network_load,
        storage_load=ran.storage_load,
        network_faults=ran.network_faults,
    )


def fleet_facts(cluster: Cluster, placement: str) -> dict[str, Any]:
    """Return what metrics need to know of the cluster, as plain data."""
    pools = {
        pool.name: {
            "accelerator": pool.accelerator,
            "nodes": pool.n_nodes,
            "chips_per_node": pool.chips_per_node,
            "virtual_clusters": {str(k): int(n) for k, n in pool.virtual_clusters.items()},
        }
        for pool in cluster.pools
    }
    return {"placement": placement, "pools": pools}


def run_facts(record: RunRecord, wall_s: float) -> dict[str, Any]:
    """Return the facts that a run adds to the provenance of its result."""
    return {
        "versions": versions(),
        "scheduling_passes": record.passes,
        "simulated_s": record.end_s,
        "wall_s": wall_s,
        "interrupted": record.interrupted,
    }
