"""Simulates a state many times, each time with other run times."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.catalogue import Catalogue
from clustersim.engine.engine import Simulation
from clustersim.engine.gates import Gates, Limits
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.arrivals import Arrivals
from clustersim.forecasting.limits import (
    limits_of,
    predecessors_of,
    waiting_for_unknown,
    waiting_for_unnamed,
    with_users,
)
from clustersim.forecasting.run_times import RunTimes
from clustersim.forecasting.running import partitions_of_flavor, place_running
from clustersim.forecasting.snapshot import Snapshot
from clustersim.scheduling import JobColumns, Placement, Policy
from clustersim.seeds import Streams
from clustersim.simulation.eligibility import Eligibility, find_eligibility
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster

__all__ = ["Case", "Replications", "replicate"]

LEAD_S = 1.0
"""Running jobs are submitted this long before the others: every policy starts them first."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is simulated.

    Attributes
    ----------
    snapshot : Snapshot
    cluster : Cluster
    catalogue : Catalogue or None
    policy : type of Policy
    placement : type of Placement
    run_times : RunTimes
    arrivals : Arrivals or None
        Jobs that are submitted after now.
    user_limit : int or None
        Accelerators that the jobs of a user may use together.
    """

    snapshot: Snapshot
    cluster: Cluster
    catalogue: Catalogue | None
    policy: type[Policy]
    placement: type[Placement]
    run_times: RunTimes
    arrivals: Arrivals | None
    user_limit: int | None


@dataclass(frozen=True, eq=False)
class Replications:
    """Start times over the replications, and what they need to be explained.

    Attributes
    ----------
    start_s, alone_s, admitted_s : float64 arrays (replications, waiting jobs)
        Seconds from now of the start, of the earliest start if no other job waited, and of the
        time from which on no limit held the job. Infinite if never.
    runs_on : int64 array (running jobs)
        Partition of each running job; -1 if there was no room for it.
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
    runs_on: Ints
    free: Ints
    choices: list[tuple[int, ...]]
    reasons: dict[int, str]
    groups: tuple[str, ...]
    limits_of: dict[int, list[int]]
    after_unknown: dict[int, str]


@dataclass(frozen=True, eq=False)
class _Queue:
    """What all replications have in common; arrays have an element for each simulated job.

    Attributes
    ----------
    jobs : pandas.DataFrame
        Running, then waiting jobs.
    n_running : int
    rows : int64 array
        The row in `jobs` of each simulated job.
    submit_s, elapsed_s, estimate_s : float64 arrays
        Seconds of the simulation; a running job has the time of its lead to go in addition.
    sizes, choice_of : int64 arrays
    choices : list of tuple of int
        The sets of partitions to which `choice_of` refers; a running job has only its own.
    eligible : Eligibility
    limits : Limits
    after_unknown : dict of int to str
        Why jobs are not simulated that depend on jobs which are not, by row of `jobs`.
    runs_on : int64 array (running jobs,)
    """

    jobs: pd.DataFrame
    n_running: int
    rows: Ints
    submit_s: Floats
    elapsed_s: Floats
    estimate_s: Floats
    sizes: Ints
    choice_of: Ints
    choices: list[tuple[int, ...]]
    eligible: Eligibility
    limits: Limits
    after_unknown: dict[int, str]
    runs_on: Ints

    @property
    def is_running(self) -> Bools:
        """Which simulated jobs run now."""
        return self.rows < self.n_running


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
    queue, free = _queue(case)
    draw = case.run_times.drawer(queue.jobs)
    out = np.full((3, replications, len(waiting)), np.inf)
    for k in range(replications):
        streams = Streams(seed, replication=k)
        run_s = draw(streams)
        _simulate(out[:, k], run_s, queue, case, streams)
        _alone(out[1, k], run_s, queue, case)
        if progress is not None:
            progress(k + 1, replications)
    n_running, eligible = queue.n_running, queue.eligible
    return Replications(
        start_s=out[0],
        alone_s=out[1],
        admitted_s=out[2],
        runs_on=queue.runs_on,
        free=free,
        choices=[
            eligible.choices[choice] if choice >= 0 else ()
            for choice in eligible.choice_of[n_running:]
        ],
        reasons={
            row - n_running: text for row, text in eligible.reasons.items() if row >= n_running
        },
        groups=tuple(name for name, _ in queue.limits.groups),
        limits_of={
            int(queue.rows[at]) - n_running: [group for group, _ in found]
            for at, found in queue.limits.of_job.items()
            if queue.rows[at] >= n_running
        },
        after_unknown={row - n_running: text for row, text in queue.after_unknown.items()},
    )


def _queue(case: Case) -> tuple[_Queue, Ints]:
    """Return what all replications have in common, and the accelerators free now by partition."""
    running, waiting = case.snapshot.running, case.snapshot.waiting
    jobs = pd.concat([running, waiting], ignore_index=True)
    n_running = len(running)
    eligible = _eligible(jobs, case)
    runs_on, free = _place(n_running, jobs, eligible, case)
    can = eligible.choice_of >= 0
    can[:n_running] = runs_on >= 0
    can[n_running:] &= waiting["held"].to_numpy(dtype=object) == ""
    predecessors = {
        row: others for row, others in predecessors_of(jobs).items() if row >= n_running
    }
    unknown = {int(row): _unknown(int(row), jobs, n_running) for row in np.flatnonzero(~can)}
    unnamed = waiting_for_unnamed(jobs, predecessors)
    unknown = dict.fromkeys(unnamed, "is not forecast either") | unknown
    after_unknown = unnamed | waiting_for_unknown(predecessors, unknown, jobs["job_id"])
    can[list(after_unknown)] = False
    eligible_s = np.nan_to_num(jobs["eligible_s"].to_numpy(dtype=np.float64), nan=0.0)
    eligible_s = np.maximum(0.0, eligible_s)
    eligible_s[:n_running] = -LEAD_S
    order = np.argsort(eligible_s, kind="stable")
    rows = np.asarray(order[can[order]], dtype=np.int64)
    elapsed = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64)[rows], nan=0.0)
    lead = np.where(rows < n_running, LEAD_S, 0.0)
    limit = case.run_times.limits(jobs)[rows]
    choices, choice_of = _choices(eligible, runs_on)
    queue = _Queue(
        jobs=jobs,
        n_running=n_running,
        rows=rows,
        submit_s=LEAD_S + eligible_s[rows],
        elapsed_s=elapsed - lead,
        estimate_s=np.maximum(limit - elapsed, 1.0) + lead,
        sizes=jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows],
        choices=choices,
        choice_of=choice_of[rows],
        eligible=eligible,
        limits=limits_of(jobs, rows, n_running, predecessors, case.user_limit),
        after_unknown=after_unknown,
        runs_on=runs_on,
    )
    return queue, free


def _unknown(row: int, jobs: pd.DataFrame, n_running: int) -> str:
    """Return what is said of a job that is not simulated."""
    if row < n_running:
        return "runs, but found no room in the cluster"
    held = str(jobs["held"].iloc[row])
    return f"is held ({held})" if held else "can never run"


def _choices(eligible: Eligibility, runs_on: Ints) -> tuple[list[tuple[int, ...]], Ints]:
    """Return the sets of partitions, with that of each running job alone, and the set of each."""
    choices, choice_of = list(eligible.choices), eligible.choice_of.copy()
    number = {choice: at for at, choice in enumerate(choices)}
    for row, partition in enumerate(runs_on.tolist()):
        if partition >= 0:
            own = (partition,)
            choice_of[row] = number.setdefault(own, len(choices))
            if choice_of[row] == len(choices):
                choices.append(own)
    return choices, choice_of


def _eligible(jobs: pd.DataFrame, case: Case) -> Eligibility:
    ones = np.ones((len(case.cluster.pools), len(jobs)))
    table = jobs.assign(duration_s=1.0)
    if case.catalogue is not None:
        table["accelerators"] = [_chips(kinds, case) for kinds in jobs["kinds"]]
    partitions = build_partitions(case.cluster, case.placement)
    return find_eligibility(
        table, case.cluster, partitions, Runtimes(ones, ones, {}), case.catalogue, choose="listed"
    )


def _chips(kinds: tuple[str, ...], case: Case) -> str:
    """Return the chips of the cluster for which a job asks by type; empty if any will do."""
    from clustersim.sites.chips import guess_chip

    assert case.catalogue is not None
    held = {pool.accelerator for pool in case.cluster.pools}
    guesses = (guess_chip(kind, [], case.catalogue) for kind in kinds)
    wanted = [guess.name for guess in guesses if guess.basis == "type"]
    return ",".join(wanted) if wanted and set(wanted) <= held else ""


def _place(
    n_running: int, jobs: pd.DataFrame, eligible: Eligibility, case: Case
) -> tuple[Ints, Ints]:
    """Return the partition of each running job (-1 without room), and what is free by partition."""
    partitions = build_partitions(case.cluster, case.placement)
    allowed = [
        eligible.choices[choice] if choice >= 0 else () for choice in eligible.choice_of[:n_running]
    ]
    flavors = jobs["flavor"].iloc[:n_running].tolist()
    allowed = [
        partitions_of_flavor(flavor, may, partitions, case.cluster, case.catalogue)
        for flavor, may in zip(flavors, allowed, strict=True)
    ]
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)[:n_running]
    recorded = jobs["pool"].iloc[:n_running].tolist()
    runs_on = place_running(sizes, allowed, partitions, recorded)
    return runs_on, np.array([each.placement.free for each in partitions], dtype=np.int64)


def _simulate(out: Floats, run_s: Floats, queue: _Queue, case: Case, streams: Streams) -> None:
    """Simulate once; fill in the starts (0) and the admissions (2) of the waiting jobs."""
    left = run_s[queue.rows] - queue.elapsed_s
    submit, estimate = queue.submit_s, queue.estimate_s
    sizes, choice_of, choices = queue.sizes, queue.choice_of, list(queue.choices)
    position = np.arange(len(queue.rows))
    limits = queue.limits
    if case.arrivals is not None:
        new = case.arrivals.draw(streams)
        submit, order = _merged(submit, LEAD_S + new.submit_s)
        new_run_s = np.where(new.unended >= 0, run_s[new.unended], new.run_s)
        left = np.concatenate([left, new_run_s])[order]
        estimate = np.concatenate([estimate, new.estimate_s])[order]
        sizes = np.concatenate([sizes, new.n_accelerators])[order]
        choice_of = np.concatenate([choice_of, new.choice_of + len(choices)])[order]
        position = np.empty(len(order), dtype=np.int64)
        position[order] = np.arange(len(order))
        choices += case.arrivals.choices
        limits = _moved(limits, position)
        if case.user_limit is not None:
            at = position[len(queue.rows) :]
            limits = with_users(limits, at, new.user, new.n_accelerators, case.user_limit)
    gates = Gates(limits)
    n_pools = len(case.cluster.pools)
    record = Simulation(
        submit.tolist(),
        [array("d", left.tobytes())] * n_pools,
        JobColumns(
            sizes.tolist(),
            [array("d", estimate.tobytes())] * n_pools,
            choices,
            choice_of.tolist(),
        ),
        build_partitions(case.cluster, case.placement),
        case.policy,
        gates=gates if limits.hold else None,
        by_node=False,
    ).run()
    if record.interrupted:
        raise KeyboardInterrupt
    mine = np.flatnonzero(~queue.is_running)
    row = queue.rows[mine] - queue.n_running
    start = record.start_s[position[mine]] - LEAD_S
    out[0, row] = np.where(np.isfinite(start), np.maximum(0.0, start), np.inf)
    out[2, row] = np.maximum(0.0, submit[position[mine]] - LEAD_S)
    back = {int(at): int(each) for at, each in zip(position[mine], row, strict=True)}
    for job, ended in gates.admitted_by.items():
        if job in back:
            out[2, back[job]] = max(0.0, record.finish_s[ended] - LEAD_S)


def _merged(submit: Floats, more: Floats) -> tuple[Floats, Ints]:
    together = np.concatenate([submit, more])
    order = np.argsort(together, kind="stable")
    return together[order], order


def _moved(limits: Limits, position: Ints) -> Limits:
    return Limits(
        limits.groups,
        {int(position[at]): found for at, found in limits.of_job.items()},
        {
            int(position[at]): frozenset(int(position[other]) for other in others)
            for at, others in limits.after.items()
        },
        running=frozenset(int(position[at]) for at in limits.running),
    )


def _alone(out: Floats, run_s: Floats, queue: _Queue, case: Case) -> None:
    """Fill in when each waiting job could start if no other job waited."""
    jobs, n_running, runs_on = queue.jobs, queue.n_running, queue.runs_on
    elapsed = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64)[:n_running], nan=0.0)
    ends = run_s[:n_running] - elapsed
    eligible = queue.eligible
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    partitions = build_partitions(case.cluster, case.placement)
    known: dict[tuple[int, int], float] = {}
    releases: dict[int, tuple[Floats, Ints]] = {}
    for index, partition in enumerate(partitions):
        here = np.flatnonzero(runs_on == index)
        order = here[np.argsort(ends[here], kind="stable")]
        free = partition.placement.capacity - int(sizes[here].sum())
        releases[index] = (
            np.concatenate([[0.0], ends[order]]),
            np.concatenate([[free], free + np.cumsum(sizes[order])]),
        )
    for row in range(n_running, len(jobs)):
        choice, n = int(eligible.choice_of[row]), int(sizes[row])
        if choice < 0:
            continue
        if (choice, n) not in known:
            known[choice, n] = min(_first(*releases[at], n) for at in eligible.choices[choice])
        out[row - n_running] = known[choice, n]


def _first(times: Floats, free: Ints, n: int) -> float:
    enough = np.flatnonzero(free >= n)
    return float(times[enough[0]]) if len(enough) else float("inf")
