"""How much longer jobs ran because of the network, from the attempts of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.analysis.policy.preemption import lost_to_s, sum_of_attempts
from clustersim.analysis.size_waits import ENOUGH_JOBS, sizes_with_jobs
from clustersim.array_types import Floats
from clustersim.simulation.result import Result

__all__ = ["SLOWED", "has_network", "network_slowdown", "slowdowns_by_size"]

SLOWED = 1.01
"""A job with a larger slowdown counts as slowed down."""


def has_network(result: Result) -> bool:
    """Return whether a run simulated the network, so that it slowed jobs down."""
    return result.attempts is not None and "network_s" in result.attempts


def network_slowdown(result: Result) -> Floats:
    """Return the slowdown of each job by the network (jobs,); NaN for a job that did not finish.

    It is the time for which a job held its accelerators in all its attempts, divided by the time
    that an ideal network would have left of it, and 1 in a run that did not simulate the network.

    Examples
    --------
    Four nodes under two leaves of 4:1. A job fills both leaves and communicates half of the time:

    >>> import clustersim as cs
    >>> over = {"leaf": 4}
    >>> fabric = {"type": "rail-optimised", "rails": 1, "unit_nodes": 2, "oversubscription": over}
    >>> pool = {"accelerator": "H200", "nodes": 4, "fabric": fabric}
    >>> spec = cs.topology.resolve_cluster({"name": "four", "pools": {"a": pool}},
    ...                                    cs.load_catalogue())
    >>> jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 32, "duration_s": 60})
    >>> scheduling = cs.Scheduling(placement="consolidate")
    >>> network = {"communication_share": 0.5}
    >>> result = cs.simulate(jobs, cs.compile_cluster(spec), scheduling, network=network)
    >>> network_slowdown(result).round(3).tolist()
    [1.5]
    """
    jobs, table = result.jobs, result.attempts
    finished = np.isfinite(jobs["finish_s"].to_numpy(dtype=np.float64))
    if table is None or "network_s" not in table:
        return np.where(finished, 1.0, np.nan)
    held_s = sum_of_attempts(result, table["end_s"] - table["start_s"])
    left_s = held_s - lost_to_s(result, "network_s")
    slowdown = np.divide(held_s, left_s, out=np.ones(len(jobs)), where=left_s > 0)
    return np.where(finished, np.maximum(slowdown, 1.0), np.nan)


def slowdowns_by_size(result: Result) -> pd.DataFrame:
    """Return the slowdown of finished jobs by the network, by number of accelerators.

    Returns
    -------
    pandas.DataFrame
        A row for all jobs, then one for each range of sizes with jobs: ``size`` (``all``, ``1``,
        ``2``, ``3-4``, ...), ``jobs``, ``slowed`` (share of jobs with a slowdown above
        :data:`SLOWED`), ``lost`` (share of the accelerator time that is lost to the network), and
        ``mean``, ``median``, ``p95`` (NaN for fewer than 20 jobs) and ``most``: the slowdown.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 8, "duration_s": 60})
    >>> slowdowns_by_size(cs.replay(jobs, policy="fcfs", accelerators=8))["most"].tolist()
    [1.0, 1.0]
    """
    slowdown, jobs = network_slowdown(result), result.jobs
    done = np.isfinite(slowdown)
    n = jobs["n_accelerators"].to_numpy(dtype=np.float64)[done]
    slowdown, lost_s = slowdown[done], lost_to_s(result, "network_s")[done]
    held_s = np.ones(len(n))
    if result.attempts is not None:
        times = result.attempts["end_s"] - result.attempts["start_s"]
        held_s = sum_of_attempts(result, times)[done]
    rows = []
    for name, chosen in sizes_with_jobs(n):
        own, weight = slowdown[chosen], n[chosen]
        total = float(weight @ held_s[chosen])
        rows.append(
            {
                "size": name,
                "jobs": len(own),
                "slowed": float(np.mean(own > SLOWED)),
                "lost": float(weight @ lost_s[chosen]) / total if total else 0.0,
                **_statistics(own),
            }
        )
    return pd.DataFrame(rows)


def _statistics(values: Floats) -> Mapping[str, float]:
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)) if len(values) >= ENOUGH_JOBS else np.nan,
        "most": float(values.max()),
    }
