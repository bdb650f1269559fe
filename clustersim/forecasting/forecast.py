"""When waiting jobs will start: from the jobs that run and wait now, over uncertain run times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.forecasting.arrivals import Arrivals, arrivals_of
from clustersim.forecasting.asked import check_asked, check_partitions
from clustersim.forecasting.case import Case
from clustersim.forecasting.inputs import Given, cluster_of, read_state, with_queues_of
from clustersim.forecasting.past import Past, past_of
from clustersim.forecasting.priorities import Priorities, priorities_of
from clustersim.forecasting.quotas import quotas_that_hold
from clustersim.forecasting.replicate import Replications, replicate
from clustersim.forecasting.result import Forecast
from clustersim.forecasting.rounds import check_rounds
from clustersim.forecasting.run_times import (
    RunTimes,
    assumed_run_times,
    default_limit_note,
    run_times_of,
)
from clustersim.forecasting.shared_limits import (
    SharedLimit,
    limit_of_users,
    limits_seen,
    note_on_limits,
)
from clustersim.forecasting.snapshot import Snapshot, snapshot_of
from clustersim.forecasting.summary_text import (
    contradictions,
    divided_note,
    foreign_note,
    overflow_note,
)
from clustersim.forecasting.table import forecast_table
from clustersim.scheduling import (
    NodePlacement,
    Placement,
    Policy,
    find_placement,
)
from clustersim.scheduling.holding import Split
from clustersim.simulation.scheduling import Scheduling, policy_of
from clustersim.topology import Cluster
from clustersim.units import counted

__all__ = ["forecast"]

_ARRIVALS = 3.0
"""Jobs arrive for this many times the time until the last job that waits now would start alone."""


def forecast(
    state: Any,
    *,
    cluster: Cluster | str | Path | None = None,
    accelerators: int | Mapping[str, int] | None = None,
    policy: str | type[Policy] | None = None,
    options: Mapping[str, Any] | None = None,
    placement: str | type[Placement] | None = None,
    span_pools: Split | None = None,
    history: str | Path | pd.DataFrame | None = None,
    arrivals: bool = True,
    replications: int = 200,
    seed: int = 1,
    at_s: float | None = None,
    default_limit_s: float | None = None,
    user_limit: int | Mapping[str, int] | None = None,
    time_zone: str | None = None,
    taken_at: str | datetime | None = None,
    columns: Sequence[str] = (),
    gpus_per_node: int | None = None,
    jobs: Sequence[str] = (),
    users: Sequence[str] = (),
    catalogue: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast when the waiting jobs of a state start.

    The state is simulated `replications` times. In each, the running jobs end and the waiting jobs
    take as long as jobs like them took in `history` (or used of their time limit in public logs),
    given the time that they have been running. The policy knows only the time limits.

    Parameters
    ----------
    state : str, Path, QueueState, Result or DataFrame
        What ``squeue``, ``kubectl``, ``qstat -f``, ``bjobs`` or ``condor_q`` printed
        (:func:`clustersim.sites.read_queue`); the folder of a saved run; or a table of jobs with
        ``start_s`` missing for jobs that wait (also as Parquet or CSV).
    cluster : Cluster, str or Path, optional
        A topology; by default that of a saved run.
    accelerators : int or mapping of str to int, optional
        Instead of a cluster: a number that all jobs share, or numbers by partition.
    policy : str or type of Policy, optional
        By default that of a saved run, or ``easy``.
    options : mapping of str to object, optional
        Options of the policy; by default those of a saved run, if its policy is taken.
    placement : str or type of Placement, optional
        By default that of a saved run; without one ``consolidate`` on a `cluster`, as in a replay,
        and ``pooled``, which only counts, if `accelerators` are given. Running jobs are on the
        nodes that the queue names, and are placed anew if it names none.
    span_pools : {"equal", "proportional"}, optional
        Whether jobs that fit on none of their pools may run on several at once, see
        :class:`~clustersim.Scheduling`.
    history : str, Path or DataFrame, optional
        A log of the site. By default, the jobs of a saved run that have ended.
    arrivals : bool
        Whether further jobs arrive as in the history.
    replications : int
    seed : int
    at_s : float, optional
        The time at which a saved run or table is taken, seconds.
    default_limit_s : float, optional
        Limit of jobs without one, seconds; by default the longest of all jobs.
    user_limit : int or mapping of str to int, optional
        Accelerators that the jobs of a user may use together, in all or by partition.
    time_zone, taken_at, columns, gpus_per_node
        See :func:`clustersim.sites.read_queue`.
    jobs, users : sequence of str
        Waiting jobs, and users with waiting jobs, that are asked about.  If one is unknown, an
        error is raised before the simulation.
    catalogue : sequence of str
        Files with the user's own chips.
    progress : callable, optional
        Called with the replications done and their number.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        If an argument or the state cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
    ... )
    >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
    >>> found.jobs["job_id"].tolist()
    ['2']
    """
    _check(replications, user_limit, default_limit_s)
    chips = load_catalogue(*catalogue)
    given = read_state(
        state,
        at_s=at_s,
        time_zone=time_zone,
        taken_at=taken_at,
        columns=columns,
        gpus_per_node=gpus_per_node,
    )
    where, note = cluster_of(given, cluster, accelerators, chips)
    given = with_queues_of(given, where)
    snapshot = snapshot_of(given.state)
    for option, by_partition in (("--accelerators", accelerators), ("--user-limit", user_limit)):
        check_partitions(option, by_partition, snapshot.jobs)
    check_asked(snapshot, jobs, users)
    past = past_of(given, history, time_zone)
    scheduling = Scheduling(
        policy or given.policy or "easy",
        placement or _placement_of(given, counted_only=accelerators is not None, on=cluster),
        options=options or (None if policy else given.options) or {},
        span_pools=span_pools,
    )
    rules = policy_of(scheduling)
    quotas, of_quotas = quotas_that_hold(rules)
    case = Case(
        snapshot=snapshot,
        cluster=where,
        catalogue=chips if all(pool.accelerator for pool in where.pools) else None,
        policy=rules,
        placement=find_placement(scheduling.placement),
        run_times=_run_times(snapshot, past, default_limit_s),
        arrivals=None,
        limits=_limits(snapshot, user_limit, past),
        priorities=_priorities(snapshot, given),
        span_pools=span_pools,
        quotas=quotas,
    )
    check_rounds(case, replications, seed)
    case = _with_later(case, past if arrivals else None, given, min(replications, 10), seed)
    found = replicate(case, replications, seed, progress)
    _refuse_overflow(found, snapshot, accelerators)
    name, placed = _name(scheduling.policy), _name(scheduling.placement)
    notes = [f"policy {name}", *([note] if note else [])]
    notes += [f"placement {placed}"] if placed != "pooled" else []
    notes += [*of_quotas, *given.notes, *(past.notes if past is not None else ())]
    return Forecast(
        jobs=forecast_table(snapshot, found, given),
        state=given.state,
        partitions=given.state.by_partition(),
        start_s=found.start_s,
        policy=name,
        assumptions=(*notes, *_assumptions(case, found)),
        calendar=given.calendar,
        now_s=given.now_s,
        without_room=tuple(overflow_note(found, snapshot)),
        foreign=tuple(foreign_note(found, snapshot, where)),
    )


def _with_later(case: Case, past: Past | None, given: Given, replications: int, seed: int) -> Case:
    """Return a case with what a few replications tell: further jobs, and when others are held.

    Further jobs arrive as in `past`; none do if it is None.
    """
    waiting = case.snapshot.waiting
    after = waiting["depends_on"].map(len).to_numpy() > 0
    arrive = past is not None and len(waiting) > 0
    if not arrive and (case.priorities is None or not after.any()):
        return case
    few = replicate(case, replications, seed)
    admitted_s = np.median(few.admitted_s, axis=0)
    case = replace(case, admitted_s=np.where(after & np.isfinite(admitted_s), admitted_s, 0.0))
    if past is None or not arrive:
        return case
    return replace(case, arrivals=_arrivals(case, past, given, few))


def _placement_of(
    given: Given, *, counted_only: bool, on: Cluster | str | Path | None
) -> str | type[Placement]:
    """Return the placement if none is asked for: that of a saved run, unless only numbers count."""
    own = None if counted_only else given.placement
    return own or ("pooled" if on is None else "consolidate")


def _name(chosen: str | type[object]) -> str:
    return chosen if isinstance(chosen, str) else chosen.__name__


def _limits(
    snapshot: Snapshot, user_limit: int | Mapping[str, int] | None, past: Past | None
) -> tuple[SharedLimit, ...]:
    """Return the limits that are given or seen; a given one holds instead of those of users."""
    log = None if past is None else past.further
    seen = limits_seen(snapshot.jobs, len(snapshot.running), log)
    if user_limit is None:
        return tuple(seen)
    others = (limit for limit in seen if limit.scope != "user" or limit.counts_jobs)
    if not isinstance(user_limit, Mapping):
        return (limit_of_users(user_limit), *others)
    return (*(limit_of_users(n, name) for name, n in user_limit.items()), *others)


def _priorities(snapshot: Snapshot, given: Given) -> Priorities | None:
    """Return the priorities of a queue whose order they are; they grow under Slurm only."""
    if given.state.order:
        return None
    grow = given.state.format.startswith(("squeue", "scontrol"))
    return priorities_of(snapshot.jobs, len(snapshot.running), grow=grow)


def _run_times(
    snapshot: Snapshot,
    past: Past | None,
    default_limit_s: float | None,
) -> RunTimes:
    """Return the run times of the jobs, from a log if there is one."""
    if past is None:
        return assumed_run_times(snapshot.jobs, default_limit_s)
    return run_times_of(past.jobs, snapshot.jobs, default_limit_s, past.recent)


def _assumptions(case: Case, found: Replications) -> Iterator[str]:
    """Yield what was assumed about the state, the run times and further jobs."""
    snapshot, arrivals = case.snapshot, case.arrivals
    yield from snapshot.notes
    if case.priorities is not None:
        yield from case.priorities.notes()
    if found.placed_anew and issubclass(case.placement, NodePlacement):
        they = counted(found.placed_anew, "running job", "running jobs")
        yield f"the nodes of {they} are not named or not free, so they are placed anew"
    if case.span_pools is None:
        yield from divided_note(snapshot, case.cluster)
    else:
        yield f"jobs may run on several pools at once ({case.span_pools})"
    yield case.run_times.what
    limits = pd.concat([snapshot.running["limit_s"], snapshot.waiting["limit_s"]])
    if without := default_limit_note(limits, case.run_times):
        yield without
    yield arrivals.what if arrivals is not None else "no further jobs arrive"
    of_users = any(limit.scope == "user" for limit in case.limits)
    if arrivals is not None and of_users and not arrivals.jobs.of["user"].any():
        yield "the log names no users, so no limit of a user holds further jobs"
    yield from note_on_limits(case.limits)
    yield from overflow_note(found, snapshot)
    yield from contradictions(found, snapshot, case.limits)


def _check(
    replications: int,
    user_limit: int | Mapping[str, int] | None,
    default_limit_s: float | None,
) -> None:
    problems = []
    if not 1 <= replications <= 100_000:
        problems.append(f"replications: found {replications}; allowed: 1 to 100,000")
    limits = user_limit.values() if isinstance(user_limit, Mapping) else [user_limit]
    if any(limit is not None and limit < 1 for limit in limits):
        problems.append(f"user_limit: found {user_limit}; at least 1 is needed")
    if default_limit_s is not None and not 0 < default_limit_s < float("inf"):
        problems.append(f"default_limit_s: found {default_limit_s}; more than 0 is needed")
    if problems:
        raise InputError("forecast", problems)


def _arrivals(case: Case, past: Past, given: Given, few: Replications) -> Arrivals | None:
    """Return the jobs that arrive until well after the last job starts that waits now.

    The start is that of a few replications without them.
    """
    starts = few.start_s[np.isfinite(few.start_s)]
    last = float(starts.max()) if len(starts) else 0.0
    if last <= 0:
        return None
    snapshot = case.snapshot
    unended = pd.concat([snapshot.running["job_id"], snapshot.waiting["job_id"]])
    return arrivals_of(
        past.further,
        case.cluster,
        case.placement,
        window_s=_ARRIVALS * last,
        now_s=None if past.submitted is None else given.now_s,
        unended={str(job_id): row for row, job_id in enumerate(unended)},
        default_limit_s=case.run_times.default_limit_s,
        catalogue=case.catalogue,
        spans=case.span_pools is not None,
    )


def _refuse_overflow(
    found: Replications, snapshot: Snapshot, accelerators: int | Mapping[str, int] | None
) -> None:
    if accelerators is None or isinstance(accelerators, Mapping):
        return
    sizes = snapshot.running["n_accelerators"].to_numpy(dtype=np.int64)
    if len(sizes) and not all(found.places):
        raise InputError(
            "--accelerators",
            f"the running jobs use {int(sizes.sum()):,} accelerators, but there are only "
            f"{accelerators:,}",
        )
