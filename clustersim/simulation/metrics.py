"""Metrics of a schedule: pure functions of the result tables.

The definitions follow the literature: wait = first start - submit; JCT = finish - submit;
bounded slowdown = max(1, JCT / max(run time, 10 s)) (Feitelson et al., "Theory and
practice in parallel job scheduling", JSSPP 1997). A job that is stopped waits again. Its total wait
is the time in the queue over all its attempts; without stops it equals the wait. Its run time is
the time during which it held accelerators, over all its attempts: JCT = total wait + run time. The
run time includes lost work, checkpoints and restarts; the share of useful work is the ETTR
(:func:`ettr`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.simulation.attempt_parts import attempts_by_pool
from clustersim.simulation.scopes import WHOLE, with_column
from clustersim.simulation.tables import FINISHED, NEVER_RUNNABLE, UNFINISHED
from clustersim.topology import ALL, Cluster
from clustersim.workload.jobs import texts_of

__all__ = [
    "accelerator_seconds",
    "bounded_slowdown",
    "ettr",
    "in_service",
    "jct_s",
    "lost_work",
    "mean_utilisation",
    "network_loss",
    "pool_utilisation",
    "run_s",
    "served",
    "storage_loss",
    "summary",
    "vc_accelerator_seconds",
    "wait_s",
]

SHORTEST_RUN_S = 10.0
"""Lower bound on the run time in the bounded slowdown, seconds."""


def wait_s(jobs: pd.DataFrame) -> pd.Series:
    """Seconds from submission to the first start; NaN for a job that has not started."""
    return jobs["start_s"] - jobs["submit_s"]


def run_s(jobs: pd.DataFrame) -> pd.Series:
    """Seconds during which a job held accelerators; NaN for a job that has not finished.

    This is the time from its start to its finish, without the waits between its attempts.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``submit_s``, ``start_s``, ``finish_s``, and ``total_wait_s``, which may be absent if no job
        was stopped.

    Examples
    --------
    A job runs from 10 s to 30 s, waits again until 45 s, and ends at 60 s:

    >>> job = {"submit_s": [0.0], "start_s": [10.0], "finish_s": [60.0], "total_wait_s": [25.0]}
    >>> run_s(pd.DataFrame(job)).tolist()
    [35.0]
    """
    since_start_s = jobs["finish_s"] - jobs["start_s"]
    if "total_wait_s" not in jobs:
        return since_start_s
    return since_start_s - (jobs["total_wait_s"] - wait_s(jobs))


def jct_s(jobs: pd.DataFrame) -> pd.Series:
    """Job completion time: seconds from submission to finish."""
    return jobs["finish_s"] - jobs["submit_s"]


def bounded_slowdown(jobs: pd.DataFrame) -> pd.Series:
    """JCT divided by the run time (:func:`run_s`, at least 10 s); the result is at least 1."""
    return (jct_s(jobs) / run_s(jobs).clip(lower=SHORTEST_RUN_S)).clip(lower=1.0)


def accelerator_seconds(
    utilisation: pd.DataFrame, *, begin_s: float = 0.0, end_s: float = np.inf
) -> pd.DataFrame:
    """Allocated and available accelerator-seconds of each pool.

    Parameters
    ----------
    utilisation : pandas.DataFrame
        Utilisation table of a result.
    begin_s, end_s : float
        The time window, seconds.

    Returns
    -------
    pandas.DataFrame
        ``allocated`` and ``available`` in accelerator-seconds, indexed by pool.
    """
    rows = [
        (pool, *_accelerator_seconds(steps, begin_s, end_s))
        for pool, steps in utilisation.groupby("pool", observed=True, sort=False)
    ]
    return pd.DataFrame(rows, columns=["pool", "allocated", "available"]).set_index("pool")


def _accelerator_seconds(steps: pd.DataFrame, begin_s: float, end_s: float) -> tuple[float, float]:
    held = np.diff(np.clip(steps["time_s"].to_numpy(), begin_s, end_s))
    # Not np.dot: the order of BLAS additions depends on its threads, which also keep spinning.
    return (
        float((held * steps["allocated"].to_numpy()[:-1]).sum()),
        float((held * in_service(steps)[:-1]).sum()),
    )


def pool_utilisation(steps: pd.DataFrame, *, begin_s: float, end_s: float) -> float:
    """Allocated divided by available accelerator-seconds of one pool; 0 if none are available."""
    allocated, available = _accelerator_seconds(steps, begin_s, end_s)
    return allocated / available if available > 0 else 0.0


def in_service(steps: pd.DataFrame) -> Ints:
    """Number of accelerators in service and not reserved by services, for each step."""
    there = steps["installed"].to_numpy()
    for name in ("out", "serving"):
        if name in steps:
            there = there - steps[name].to_numpy()
    return there


def mean_utilisation(
    utilisation: pd.DataFrame, *, begin_s: float = 0.0, end_s: float = np.inf
) -> float:
    """Allocated divided by available accelerator-seconds of all pools; 0 if none are available."""
    total = accelerator_seconds(utilisation, begin_s=begin_s, end_s=end_s).sum()
    return float(total["allocated"] / total["available"]) if total["available"] > 0 else 0.0


def summary(
    jobs: pd.DataFrame,
    utilisation: pd.DataFrame,
    allocations: pd.DataFrame,
    virtual_clusters: Mapping[str, float],
    attempts: pd.DataFrame | None = None,
    serving: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Summarise a result with one row for all pools, each pool and each virtual cluster.

    Parameters
    ----------
    jobs, utilisation, allocations : pandas.DataFrame
        Tables of the result.
    virtual_clusters : mapping of str to float
        Accelerator-seconds in service of each virtual cluster, see
        :func:`vc_accelerator_seconds`.
    attempts : pandas.DataFrame, optional
        Attempts of the result, if there were node events.
    serving : pandas.DataFrame, optional
        Serving table of the result, if there are services.

    Returns
    -------
    pandas.DataFrame
        ``scope`` (``all``, a pool, or ``vc NAME``), its ``kind`` (``all``, ``pool`` or ``vc``);
        counts of jobs by outcome (jobs that never ran are not counted in any pool, and a job on
        several pools only in the first one); mean, median,
        95th and 99th percentile of the wait; mean JCT, run time (without waits between attempts)
        and bounded slowdown; utilisation from the first submission on, accelerator-seconds used,
        and makespan. With `attempts`, the rows for all and for pools also have ``ettr``:
        accelerator-seconds of kept work divided by all accelerator-seconds that attempts used.
        An attempt on several pools counts in each of them with the accelerators that it held
        there. This is the ETTR of Kokolis et al., "Revisiting Reliability in Large-Scale Machine
        Learning Research Clusters", arXiv 2410.21680, section II-E, but without waiting times.
        With `serving`, the row for all also has ``served``, see :func:`served`.
    """
    begin_s = float(jobs["submit_s"].iloc[0])
    use = accelerator_seconds(utilisation, begin_s=begin_s)
    columns = _Columns.of(jobs)
    rows = [_summary_row("all", ALL, columns, use.sum())]
    rows += [
        _summary_row(
            "pool", str(pool), columns.of_jobs((jobs["pool"] == pool).to_numpy()), use.loc[pool]
        )
        for pool in use.index
    ]
    held = allocations["n_accelerators"] * (allocations["end_s"] - allocations["start_s"])
    for name, available in virtual_clusters.items():
        own = pd.Series(
            {
                "allocated": held[(allocations["virtual_cluster"] == name).to_numpy()].sum(),
                "available": available,
            }
        )
        mine = texts_of(jobs["vc"]) == name if "vc" in jobs else np.zeros(len(jobs), dtype=bool)
        rows.append(_summary_row("vc", f"vc {name}", columns.of_jobs(mine), own))
    table = pd.DataFrame(rows)
    if attempts is None:
        return table
    shares = {WHOLE: ettr(attempts)}
    by_pool = attempts_by_pool(attempts, allocations).groupby("pool", observed=True)
    shares |= {("pool", str(name)): ettr(part) for name, part in by_pool}
    table = with_column(table, "ettr", shares)
    if serving is None:
        return table
    return with_column(table, "served", {WHOLE: served(serving)})


def vc_accelerator_seconds(
    cluster: Cluster, outages: pd.DataFrame | None, begin_s: float, end_s: float
) -> dict[str, float]:
    """Accelerator-seconds in service of each virtual cluster, over all pools.

    Parameters
    ----------
    cluster : Cluster
    outages : pandas.DataFrame or None
        Outages of the result.
    begin_s, end_s : float
        The time window, seconds.
    """
    found: dict[str, float] = {}
    for pool in cluster.pools:
        for name, nodes in pool.virtual_cluster_ranges().items():
            node_s = len(nodes) * (end_s - begin_s)
            if outages is not None:
                own = outages[
                    (outages["pool"] == pool.name)
                    & outages["node"].between(nodes.start, nodes.stop - 1)
                    & (outages["slowdown"] == np.inf)
                ]
                gone = own["end_s"].clip(begin_s, end_s) - own["begin_s"].clip(begin_s, end_s)
                node_s -= float(gone.sum())
            found[name] = found.get(name, 0.0) + node_s * pool.chips_per_node
    return found


def served(serving: pd.DataFrame, *, begin_s: float = 0.0, end_s: float = np.inf) -> float:
    """Return the share of the services' demand that was met; NaN if there was no demand.

    The demand is measured in accelerator-seconds.
    """
    needed = met = 0.0
    for _, steps in serving.groupby("service", observed=True, sort=False):
        held = np.diff(np.clip(steps["time_s"].to_numpy(), begin_s, end_s))
        needed += float((held * steps["needed"].to_numpy()[:-1]).sum())
        met += float((held * (steps["needed"] - steps["short"]).to_numpy()[:-1]).sum())
    return met / needed if needed > 0 else float("nan")


def ettr(attempts: pd.DataFrame) -> float:
    """Kept work as a share of the accelerator-seconds that attempts used; NaN if none were used."""
    return _share_of_time(attempts, "kept_s")


def lost_work(attempts: pd.DataFrame) -> float:
    """Lost work as a share of the accelerator-seconds that attempts used; NaN if none were used."""
    return _share_of_time(attempts, "lost_s")


def network_loss(attempts: pd.DataFrame) -> float:
    """Time lost to the network as a share of the accelerator-seconds that attempts used."""
    return _share_of_time(attempts, "network_s")


def storage_loss(attempts: pd.DataFrame) -> float:
    """Time lost to other jobs on the storage, by accelerator-seconds that attempts used."""
    return _share_of_time(attempts, "storage_s")


def _share_of_time(attempts: pd.DataFrame, part: str) -> float:
    n = attempts["n_accelerators"].to_numpy(dtype=np.float64)
    held = float((n * (attempts["end_s"] - attempts["start_s"]).to_numpy()).sum())
    return float((n * attempts[part].to_numpy()).sum()) / held if held > 0 else float("nan")


@dataclass(frozen=True)
class _Columns:
    """The columns of a jobs table that a summary needs; each array has the shape (jobs,)."""

    outcome: Mapping[str, Bools]
    submit_s: Floats
    finish_s: Floats
    wait_s: Floats
    total_wait_s: Floats
    jct_s: Floats
    run_s: Floats
    slowdown: Floats

    @classmethod
    def of(cls, jobs: pd.DataFrame) -> _Columns:
        names = (FINISHED, UNFINISHED, NEVER_RUNNABLE)
        return cls(
            {name: (jobs["outcome"] == name).to_numpy() for name in names},
            jobs["submit_s"].to_numpy(),
            jobs["finish_s"].to_numpy(),
            wait_s(jobs).to_numpy(),
            jobs["total_wait_s"].to_numpy(),
            jct_s(jobs).to_numpy(),
            run_s(jobs).to_numpy(),
            bounded_slowdown(jobs).to_numpy(),
        )

    def of_jobs(self, chosen: Bools) -> _Columns:
        """Return the same columns with only the chosen jobs."""
        outcome, *rest = (getattr(self, each.name) for each in fields(self))
        return _Columns(
            {name: flags[chosen] for name, flags in outcome.items()},
            *(column[chosen] for column in rest),
        )


def _summary_row(kind: str, scope: str, jobs: _Columns, use: pd.Series) -> dict[str, object]:
    wait = jobs.wait_s[np.isfinite(jobs.wait_s)]
    total, finish = _known(jobs.total_wait_s), _known(jobs.finish_s)
    return {
        "scope": scope,
        "kind": kind,
        "jobs": len(jobs.submit_s),
        "finished": int(jobs.outcome[FINISHED].sum()),
        "unfinished": int(jobs.outcome[UNFINISHED].sum()),
        "never_runnable": int(jobs.outcome[NEVER_RUNNABLE].sum()),
        "mean_wait_s": _mean(wait),
        "median_wait_s": _quantile(wait, 0.5),
        "p95_wait_s": _quantile(wait, 0.95),
        "p99_wait_s": _quantile(wait, 0.99),
        "mean_total_wait_s": _mean(total),
        "median_total_wait_s": _quantile(total, 0.5),
        "p95_total_wait_s": _quantile(total, 0.95),
        "p99_total_wait_s": _quantile(total, 0.99),
        "mean_jct_s": _mean(_known(jobs.jct_s)),
        "mean_run_s": _mean(_known(jobs.run_s)),
        "mean_bounded_slowdown": _mean(_known(jobs.slowdown)),
        "utilisation": float(use["allocated"] / use["available"]) if use["available"] > 0 else 0.0,
        "accelerator_s": float(use["allocated"]),
        "makespan_s": float(finish.max() - jobs.submit_s.min()) if len(finish) else float("nan"),
    }


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _quantile(values: Floats, q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else float("nan")
