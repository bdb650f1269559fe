"""Simulates a state many times, each time with other run times."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.engine.engine import Simulation
from clustersim.engine.gates import Gates
from clustersim.engine.limits import Limits
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.alone import Alone
from clustersim.forecasting.case import LEAD_S, Case, SimulatedQueue, queue_of
from clustersim.forecasting.limits import (
    with_further,
)
from clustersim.forecasting.named_nodes import Places
from clustersim.forecasting.quotas import STATE_COLUMNS
from clustersim.scheduling import JobColumns, Partition
from clustersim.seeds import Streams
from clustersim.simulation.entry_limits import EntryLimits

__all__ = ["Replications", "replicate"]


@dataclass(frozen=True, eq=False)
class Replications:
    """Start times over the replications, and what they need to be explained.

    Attributes
    ----------
    start_s, alone_s, admitted_s : float64 arrays (replications, waiting jobs)
        Seconds from now of the start, of the earliest start if no other job waited, and of the
        time from which on no limit held the job. Infinite if never.
    places : list of Places
        Where each running job runs.
    placed_anew : int
        Number of running jobs that are not on nodes that the queue names.
    free : int64 array (partitions)
        Accelerators free now.
    choices : list of tuple of int
        Partitions of each waiting job; empty if it can never run.
    reasons : dict of int to str
        Why a waiting job can never run, by row.
    groups : tuple of str
        Names of the limits.
    limits_of : dict of int to list of int
        Limits that hold a waiting job, by row.
    after_unknown : dict of int to str
        Why a waiting job is not forecast that depends on a job which is not simulated, by row.
    """

    start_s: Floats
    alone_s: Floats
    admitted_s: Floats
    places: list[Places]
    placed_anew: int
    free: Ints
    choices: list[tuple[int, ...]]
    reasons: dict[int, str]
    groups: tuple[str, ...]
    limits_of: dict[int, list[int]]
    after_unknown: dict[int, str]


def replicate(
    case: Case,
    replications: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Replications:
    """Simulate the state `replications` times.

    Parameters
    ----------
    case : Case
    replications : int
    seed : int
    progress : callable, optional
        Called with the replications done and their number.

    Raises
    ------
    KeyboardInterrupt
        If a simulation was stopped before its end.
    """
    waiting = case.snapshot.waiting
    queue = queue_of(case)
    alone = Alone(queue.places, build_partitions(case.cluster, case.placement))
    draw = case.run_times.drawer(queue.jobs)
    out = np.full((3, replications, len(waiting)), np.inf)
    for k in range(replications):
        streams = Streams(seed, replication=k)
        run_s = draw(streams)
        _simulate(out[:, k], run_s, queue, case, streams)
        _alone(out[1, k], run_s, queue, alone)
        if progress is not None:
            progress(k + 1, replications)
    n_running, eligible = queue.n_running, queue.eligible
    binding, n_groups = _binding(queue), len(queue.limits.groups)
    names = list(dict.fromkeys(name for own in queue.quota_names.values() for name in own))
    return Replications(
        start_s=out[0],
        alone_s=out[1],
        admitted_s=out[2],
        places=queue.places,
        placed_anew=queue.placed_anew,
        free=queue.free,
        choices=[
            eligible.choices[choice] if choice >= 0 else ()
            for choice in eligible.choice_of[n_running:]
        ],
        reasons={
            row - n_running: text for row, text in eligible.reasons.items() if row >= n_running
        },
        groups=(*(name for name, _ in queue.limits.groups), *names),
        limits_of={
            row: [
                *found,
                *(n_groups + names.index(each) for each in queue.quota_names.get(row, ())),
            ]
            for row in {*binding, *queue.quota_names}
            for found in [binding.get(row, [])]
        },
        after_unknown={row - n_running: text for row, text in queue.after_unknown.items()},
    )


def _binding(queue: SimulatedQueue) -> dict[int, list[int]]:
    """Return the limits of each waiting job that all jobs of the state together exceed."""
    total = np.zeros(len(queue.limits.groups))
    for found in queue.limits.of_job.values():
        for group, part in found:
            total[group] += part
    exceeded = [sum_ > most for sum_, (_, most) in zip(total, queue.limits.groups, strict=True)]
    return {
        int(queue.rows[at]) - queue.n_running: [group for group, _ in found if exceeded[group]]
        for at, found in queue.limits.of_job.items()
        if queue.rows[at] >= queue.n_running
    }


def _simulate(
    out: Floats, run_s: Floats, queue: SimulatedQueue, case: Case, streams: Streams
) -> None:
    """Simulate once; fill in the starts (0) and the admissions (2) of the waiting jobs."""
    left = run_s[queue.rows] - queue.elapsed_s
    submit, estimate = queue.submit_s, queue.estimate_s
    sizes, choice_of, choices = queue.sizes, queue.choice_of, list(queue.choices)
    rank = queue.rank
    limits = queue.limits
    if case.arrivals is not None:
        new = case.arrivals.draw(streams)
        submit = np.concatenate([submit, LEAD_S + new.submit_s])
        new_run_s = np.where(new.unended >= 0, run_s[new.unended], new.run_s)
        left = np.concatenate([left, new_run_s])
        estimate = np.concatenate([estimate, new.estimate_s])
        sizes = np.concatenate([sizes, new.n_accelerators])
        choice_of = np.concatenate([choice_of, new.choice_of + len(choices)])
        choices += case.arrivals.choices
        limits = with_further(limits, np.arange(len(queue.rows), len(submit)), new.of, case.limits)
        if case.priorities is not None and rank is not None:
            more = case.priorities.ranks_of_further(new.of, new.submit_s, streams)
            rank = np.concatenate([rank, more])
    order = np.argsort(submit if rank is None else -rank, kind="stable")
    if rank is not None:
        limits = replace(limits, not_before_s=dict(enumerate(submit.tolist())))
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    left, estimate, sizes, choice_of = left[order], estimate[order], sizes[order], choice_of[order]
    limits = _moved(limits, position)
    columns = _columns(queue, None if case.arrivals is None else new.of, submit)
    n_pools = len(case.cluster.pools)
    of_jobs = JobColumns(
        sizes.tolist(),
        [array("d", estimate.tobytes())] * n_pools,
        choices,
        choice_of.tolist(),
        {name: values[order] for name, values in columns.items()},
        split=case.span_pools,
    )
    partitions = build_partitions(case.cluster, case.placement, sizes=sizes[sizes > 0])
    of_jobs, limits = _with_quotas(case, of_jobs, limits, partitions)
    gates = Gates(limits, of_jobs)
    record = Simulation(
        (submit[order] if rank is None else np.zeros(len(order))).tolist(),
        [array("d", left.tobytes())] * n_pools,
        of_jobs,
        partitions,
        case.policy,
        gates=gates if limits.hold else None,
        own_nodes=queue.own_nodes(position),
        by_node=False,
    ).run()
    if record.interrupted:
        raise KeyboardInterrupt
    mine = np.flatnonzero(~queue.is_running)
    row = queue.rows[mine] - queue.n_running
    start = record.start_s[position[mine]] - LEAD_S
    out[0, row] = np.where(np.isfinite(start), np.maximum(0.0, start), np.inf)
    out[2, row] = np.maximum(0.0, submit[mine] - LEAD_S)
    back = {int(at): int(each) for at, each in zip(position[mine], row, strict=True)}
    for job, ended in gates.admitted_by.items():
        if job in back:
            out[2, back[job]] = max(0.0, record.finish_s[ended] - LEAD_S)


def _with_quotas(
    case: Case, jobs: JobColumns, limits: Limits, partitions: list[Partition]
) -> tuple[JobColumns, Limits]:
    """Return the jobs with the sets of partitions that quotas need, and the limits with these.

    Further jobs that they never let in wait for themselves.
    """
    if case.quotas is None:
        return jobs, limits
    policy = case.policy
    entry = EntryLimits.of(case.quotas, jobs, partitions, divides=policy.divides_quotas)
    jobs = replace(jobs, choices=entry.choices)
    after = {**limits.after}
    for job in {*entry.never} - limits.running:
        after[job] = frozenset({job})
    limits = replace(limits, after=after)
    return jobs, entry.limits(limits, policy.rank_held(jobs, partitions))


def _columns(
    queue: SimulatedQueue, further: pd.DataFrame | None, submit_s: Floats
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns of the simulated jobs that policies use."""
    names = [*STATE_COLUMNS]
    own = queue.jobs[names].iloc[queue.rows]
    table = own if further is None else pd.concat([own, further[names]])
    return {"submit_s": submit_s, **{name: table[name].to_numpy(dtype=object) for name in names}}


def _moved(limits: Limits, position: Ints) -> Limits:
    return Limits(
        limits.groups,
        {int(position[at]): found for at, found in limits.of_job.items()},
        {
            int(position[at]): frozenset(int(position[other]) for other in others)
            for at, others in limits.after.items()
        },
        not_before_s={int(position[at]): time for at, time in limits.not_before_s.items()},
        running=frozenset(int(position[at]) for at in limits.running),
    )


def _alone(out: Floats, run_s: Floats, queue: SimulatedQueue, alone: Alone) -> None:
    """Fill in when each waiting job could start if no other job waited."""
    jobs, n_running, eligible = queue.jobs, queue.n_running, queue.eligible
    elapsed = jobs["elapsed_s"].to_numpy(dtype=np.float64)[:n_running]
    end_s = run_s[:n_running] - np.nan_to_num(elapsed, nan=0.0)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    known: dict[tuple[int, int], float] = {}
    for row in range(n_running, len(jobs)):
        choice, n = int(eligible.choice_of[row]), int(sizes[row])
        if choice < 0:
            continue
        if (choice, n) not in known:
            known[choice, n] = alone.first_s(end_s, eligible.choices[choice], n)
        out[row - n_running] = known[choice, n]
