"""The limits and quotas of a policy in a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from clustersim.engine.limits import Count
from clustersim.scheduling import JobColumns, Partition, Policy
from clustersim.scheduling.policies.quota_jobs import QUEUE_COLUMNS
from clustersim.scheduling.quotas import Quotas
from clustersim.simulation.eligibility import Eligibility
from clustersim.simulation.entry_limits import EntryLimits, quotas_of_policy
from clustersim.units import listed

__all__ = ["STATE_COLUMNS", "names_of_limits", "quotas_that_hold", "with_quotas"]

STATE_COLUMNS = ("user", "account", "qos", "vc")
"""Columns of the jobs of a state that policies use."""


def quotas_that_hold(policy: type[Policy]) -> tuple[Quotas | None, list[str]]:
    """Return the quotas of a policy that a forecast can apply, and notes on what it leaves out.

    Parameters
    ----------
    policy : type of Policy

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.simulation.scheduling import policy_of
    >>> given = {"quotas": {"budgets": {"user": {"ann": {"accelerator_hours": 8}}}}}
    >>> quotas_that_hold(policy_of(cs.Scheduling("easy", options=given)))
    (None, ['budgets do not hold: what was spent of them is not known'])
    """
    quotas = quotas_of_policy(policy)
    if quotas is None:
        return None, []
    notes, file = [], quotas.file
    if file.budgets:
        notes.append("budgets do not hold: what was spent of them is not known")
    lacking = [name for name in file.limits if name not in STATE_COLUMNS]
    if lacking:
        notes.append(f"limits by {listed(lacking)} do not hold: the state has no such column")
    limits = {name: own for name, own in file.limits.items() if name not in lacking}
    by = file.by or next(name for name in QUEUE_COLUMNS if name in STATE_COLUMNS)
    if quotas.queues and not policy.divides_quotas and by not in STATE_COLUMNS:
        notes.append(f"quotas of queues do not hold: the state has no column {by}")
        quotas = replace(quotas, queues=(), cohorts=())
    if not limits and (not quotas.queues or policy.divides_quotas):
        return None, notes
    notes.append(f"limits and quotas of {quotas.source} hold")
    return replace(quotas, file=file.model_copy(update={"limits": limits, "budgets": {}})), notes


def with_quotas(
    quotas: Quotas | None,
    policy: type[Policy],
    jobs: pd.DataFrame,
    n_running: int,
    eligible: Eligibility,
    partitions: Sequence[Partition],
) -> tuple[Eligibility, dict[int, list[str]]]:
    """Return the jobs that can run with quotas, and the names of the limits of the others.

    Parameters
    ----------
    quotas : Quotas or None
    policy : type of Policy
    jobs : pandas.DataFrame
        Running, then waiting jobs.
    n_running : int
        Number of running jobs, which no limit holds.
    eligible : Eligibility
    partitions : sequence of Partition

    Returns
    -------
    Eligibility
    dict of int to list of str
        Limits that can hold a waiting job, by its row among the waiting jobs.

    Raises
    ------
    InputError
        If a name of the quotas looks misspelt.
    """
    if quotas is None:
        return eligible, {}
    rows = np.flatnonzero(eligible.choice_of >= 0)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows].tolist()
    columns = JobColumns(
        sizes,
        [np.ones(len(rows)).tolist()] * (1 + max(part.pool for part in partitions)),
        list(eligible.choices),
        eligible.choice_of[rows].tolist(),
        {name: jobs[name].to_numpy(dtype=object)[rows] for name in STATE_COLUMNS},
    )
    entry = EntryLimits.of(quotas, columns, partitions, divides=policy.divides_quotas)
    never = {int(rows[at]): why for at, why in entry.never.items() if rows[at] >= n_running}
    names = names_of_limits(entry, sizes)
    own = {int(rows[at]) - n_running: each for at, each in names.items() if rows[at] >= n_running}
    return eligible.without(never), own


def names_of_limits(entry: EntryLimits, sizes: Sequence[int]) -> dict[int, list[str]]:
    """Return the limits of each job that all jobs together exceed, and its queue's quota.

    Parameters
    ----------
    entry : EntryLimits
    sizes : sequence of int
        Accelerators of the jobs.
    """
    total: dict[Count, float] = {}
    of_job: dict[int, list[Count | None]] = {}
    for job, ways in entry.ways.items():
        found = dict.fromkeys(
            limit if isinstance(limit, Count) else None
            for way in ways
            for limit, _, _ in way.charges
        )
        of_job[job] = [*found]
        for limit in found:
            if limit is not None:
                total[limit] = total.get(limit, 0.0) + sizes[job]
    return {
        job: [
            "quota of its queue" if limit is None else f"{limit.name} may use {limit.most:,.0f}"
            for limit in found
            if limit is None or total[limit] > limit.most
        ]
        for job, found in of_job.items()
    }
