"""Replays of a case: its jobs under a policy, on its cluster or on a changed one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.scheduling import Placement, Policy
from clustersim.simulation.never_runnable import why_never_run
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.topology import Cluster, Pool, single_pool
from clustersim.units import counted
from clustersim.validation.case import Case

__all__ = [
    "by_partition",
    "pooled",
    "replayed",
    "runnable",
]


def replayed(
    case: Case,
    policy: str | type[Policy],
    *,
    jobs: pd.DataFrame | None = None,
    cluster: Cluster | None = None,
    placement: str | type[Placement] | None = None,
) -> Floats:
    """Return the simulated starts of the jobs of a case (seconds); NaN for jobs that never start.

    Parameters
    ----------
    case : Case
    policy : str or type of Policy
    jobs, cluster, placement : optional
        What replaces that of the case.

    Raises
    ------
    KeyboardInterrupt
        If the replay was stopped before its end.
    """
    result = simulate(
        case.jobs if jobs is None else jobs,
        case.cluster if cluster is None else cluster,
        Scheduling(
            policy=case.policy(policy) if isinstance(policy, str) else policy,
            placement=case.placement if placement is None else placement,
            placement_options=case.placement_options if placement is None else {},
        ),
        by_node=False,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    return result.jobs["start_s"].to_numpy(dtype=np.float64)


def runnable(case: Case) -> Case:
    """Return the case without the jobs that can never run on the cluster, with a note.

    Raises
    ------
    InputError
        If none of the jobs whose waits are compared can run.
    """
    jobs = _replayed_at_once(case)
    runs = np.asarray(jobs["outcome"] != NEVER_RUNNABLE, dtype=bool)
    if not (runs & case.compared).any():
        why = why_never_run(jobs[case.compared], case.cluster)
        raise InputError(case.source, f"no job of the log can run on the cluster: {why}")
    if runs.all():
        return case
    left_out = int((~runs).sum())
    verb = "is" if left_out == 1 else "are"
    text = f"{counted(left_out, 'job')} can never run on the cluster and {verb} left out"
    return case.only(runs, [text, f"why: {why_never_run(jobs, case.cluster)}"])


def _replayed_at_once(case: Case) -> pd.DataFrame:
    """Return the table of jobs of a replay in which every job ends at once."""
    jobs = case.jobs.assign(duration_s=0.0)
    if "estimate_s" in jobs:
        jobs["estimate_s"] = 0.0
    scheduling = Scheduling(placement=case.placement, placement_options=case.placement_options)
    result = simulate(jobs, case.cluster, scheduling, by_node=False)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.jobs


def pooled(case: Case) -> Cluster:
    """Return the cluster without virtual clusters."""
    return case.cluster.undivided()


def by_partition(capacity: dict[str, int]) -> Cluster:
    """Return a cluster in which every partition of the log has accelerators of its own.

    Examples
    --------
    >>> by_partition({"a100": 8, "h100": 16}).n_chips
    24
    """
    total = sum(capacity.values())
    plain: Pool = single_pool(total).pools[0]
    zero = np.zeros(total, dtype=np.int32)
    pool = replace(
        plain,
        n_nodes=total,
        chips_per_node=1,
        leaf_of_node=zero,
        unit_of_node=zero,
        virtual_clusters=dict(capacity),
    )
    return Cluster("by partition", (pool,))
