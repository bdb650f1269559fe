"""Who got what: accelerator time of users, virtual clusters and teams next to their entitlement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.policy.fairness import accelerator_s_of_jobs, user_index
from clustersim.analysis.policy.goodput_split import pools_of
from clustersim.analysis.policy.names import name_codes
from clustersim.analysis.policy.preemption import by_policy, lost_accelerator_s
from clustersim.array_types import Bools, Floats
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.workload.jobs import partition_column

__all__ = ["scheduler_options", "shares_table"]

_TEAMS = ("team", "account", "queue")
"""Columns that name a team, besides the one by which quotas divide the cluster."""


_Group = tuple[str, npt.NDArray[np.int64], list[str], Mapping[str, float]]
"""Kind, the number of each job's name, the names, and the shares that they own."""


def shares_table(result: Result) -> pd.DataFrame | None:
    """Return what each user, virtual cluster and team got, and what it was entitled to.

    Teams are the names in a column ``team``, ``account`` or ``queue``, and in the column that the
    option ``by`` of a policy with quotas names, unless this is that of the users or virtual
    clusters.  The entitlement of a virtual cluster is the share of its nodes in the
    accelerator-seconds in service from the first submission on.  Without nodes of its own, and for
    users and teams, the entitlement follows from the run: whoever had no job that waited got what
    was asked for, and is entitled to that; the rest is divided equally among those who had a job
    that waited.

    Parameters
    ----------
    result : Result

    Returns
    -------
    pandas.DataFrame or None
        ``kind`` (``user``, ``vc`` or the column of a team), ``name``, ``jobs`` (that can run and
        were submitted before the end), ``waited`` (of them, those that waited for any attempt),
        ``accelerator_s`` (held by them), ``share`` (of the accelerator-seconds that all jobs held),
        ``entitlement`` (a share, too), ``preemptions`` (times that the policy stopped one of the
        jobs) and ``lost_accelerator_s`` (accelerator-seconds of work that was lost, for any
        reason); most accelerator-seconds first.  None without several users, virtual clusters or
        teams.

    Examples
    --------
    Bo gets three times as much as Ann, and both have to wait:

    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": 0, "n_accelerators": [8, 8, 8],
    ...                     "duration_s": [60, 10, 20], "user": ["bo", "ann", "cy"]})
    >>> result = cs.replay(log, policy="fcfs", accelerators=8)
    >>> table = shares_table(result)
    >>> table[["name", "waited", "accelerator_s", "share", "entitlement"]].round(3).values.tolist()
    [['bo', 0, 480.0, 0.667, 0.667], ['cy', 1, 160.0, 0.222, 0.167], ['ann', 1, 80.0, 0.111, 0.167]]
    """
    jobs = result.jobs
    submitted = jobs["submit_s"].to_numpy(dtype=np.float64) <= result.provenance["simulated_s"]
    counted = submitted & (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
    index, names = user_index(jobs)
    groups: list[_Group] = []
    if len(names) > 1:
        groups.append(("user", index, names, {}))
    column = partition_column(jobs)
    if column is not None:
        index, names = name_codes(jobs[column], len(jobs))
        if len(names) > 1:
            groups.append(("vc", index, names, _owned(result)))
    groups += _of_teams(result, [own for _, own, *_ in groups])
    if not groups:
        return None
    held, _ = accelerator_s_of_jobs(result)
    waited = counted & _waited(jobs)
    stopped = by_policy(result)
    lost = lost_accelerator_s(result)
    tables = []
    for kind, of_job, known, owned in groups:
        own = [_sums(of_job, values, len(known)) for values in (counted, waited, held)]
        n_jobs, n_waited, accelerator_s = own
        share = accelerator_s / held.sum() if held.sum() > 0 else np.full(len(known), math.nan)
        table = pd.DataFrame(
            {
                "kind": kind,
                "name": known,
                "jobs": n_jobs.astype(np.int64),
                "waited": n_waited.astype(np.int64),
                "accelerator_s": accelerator_s,
                "share": share,
                "entitlement": _entitlement(known, share, n_waited > 0, owned),
                "preemptions": _sums(of_job, stopped, len(known)).astype(np.int64),
                "lost_accelerator_s": _sums(of_job, lost, len(known)),
            }
        )
        table = table[table["jobs"] > 0]
        tables.append(table.sort_values("accelerator_s", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def _of_teams(result: Result, known: list[npt.NDArray[np.int64]]) -> list[_Group]:
    """Return the groups of jobs by team; groups that are `known` already are not repeated."""
    jobs = result.jobs
    columns = dict.fromkeys((*_TEAMS, str(scheduler_options(result).get("by", ""))))
    seen, found = [*known], list[_Group]()
    for column in columns:
        if column not in jobs or column == "user" or column == partition_column(jobs):
            continue
        index, names = name_codes(jobs[column], len(jobs))
        if len(names) > 1 and not any(np.array_equal(index, other) for other in seen):
            seen.append(index)
            found.append((column, index, names, {}))
    return found


def scheduler_options(result: Result) -> dict[str, Any]:
    """Return the options of the policy of a run, from its scenario or from ``--option``.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 8, "duration_s": 60})
    >>> scheduler_options(cs.replay(log, policy="fcfs", accelerators=8))
    {}
    """
    facts = result.provenance
    scheduler = (facts.get("scenario") or {}).get("scheduler") or {}
    given = scheduler.get("options") or {}
    texts = (facts.get("replay") or {}).get("option") or ()
    return {**given, **dict(text.split("=", 1) for text in texts)}


def _sums(of_job: npt.NDArray[np.int64], values: npt.ArrayLike, count: int) -> Floats:
    """Return the sum of a quantity of jobs for each name."""
    named = of_job >= 0
    weights = np.asarray(values, dtype=np.float64)[named]
    return np.bincount(of_job[named], weights, minlength=count).astype(np.float64)


def _waited(jobs: pd.DataFrame) -> Bools:
    """Return which jobs waited for any attempt, or had not started at the end."""
    name = "total_wait_s" if "total_wait_s" in jobs else "wait_s"
    wait_s = jobs[name].to_numpy(dtype=np.float64)
    waited: Bools = np.isnan(wait_s) | (wait_s > 0)
    return waited


def _entitlement(
    names: list[str], share: Floats, waited: Bools, owned: Mapping[str, float]
) -> Floats:
    """Return the entitlement of each name; see :func:`shares_table`."""
    if owned:
        return np.array([owned.get(name, 0.0) for name in names])
    rest = 1.0 - float(share[~waited].sum())
    equal = rest / max(1, int(waited.sum()))
    return np.where(waited, equal, share)


def _owned(result: Result) -> dict[str, float]:
    """Return the share of the fleet's accelerator-seconds that each virtual cluster owns.

    Empty if the cluster has no virtual clusters.
    """
    rows = result.summary[result.summary["kind"] == "vc"]
    if rows.empty:
        return {}
    begin_s = float(result.jobs["submit_s"].iloc[0])
    total = float(accelerator_seconds(result.utilisation, begin_s=begin_s)["available"].sum())
    nodes = _nodes_share(result)
    found = {}
    for scope, used, utilisation in rows[["scope", "accelerator_s", "utilisation"]].to_numpy():
        name = str(scope).removeprefix("vc ")
        if utilisation > 0 and total > 0:
            found[name] = float(used) / float(utilisation) / total
        else:  # its nodes were idle all the time
            found[name] = nodes.get(name, math.nan)
    return found


def _nodes_share(result: Result) -> dict[str, float]:
    """Return the share of the accelerators that the nodes of each virtual cluster have."""
    total, found = 0, dict[str, int]()
    for pool in pools_of(result).values():
        chips = int(pool.get("chips_per_node", 0))
        total += int(pool.get("nodes", 0)) * chips
        for name, nodes in (pool.get("virtual_clusters") or {}).items():
            count = nodes if isinstance(nodes, int) else int(nodes.get("nodes", 0))
            found[name] = found.get(name, 0) + count * chips
    return {name: chips / total for name, chips in found.items()} if total else {}
