"""Simulates a state many times, each time with other run times."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.catalogue import Catalogue
from clustersim.engine.engine import Simulation
from clustersim.engine.gates import Gates, Limits
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.alone import Alone
from clustersim.forecasting.arrivals import Arrivals
from clustersim.forecasting.limits import (
    limits_of,
    predecessors_of,
    waiting_for_unknown,
    waiting_for_unnamed,
    with_further,
)
from clustersim.forecasting.named_nodes import Place
from clustersim.forecasting.priorities import Priorities
from clustersim.forecasting.run_times import RunTimes
from clustersim.forecasting.running import places_of_running
from clustersim.forecasting.shared_limits import SharedLimit
from clustersim.forecasting.snapshot import Snapshot
from clustersim.scheduling import JobColumns, Placement, Policy
from clustersim.scheduling.placement import Nodes
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
    limits : tuple of SharedLimit
        Limits that jobs share.
    priorities : Priorities or None
        None if the order of the queue is that of submission.
    admitted_s : float64 array (waiting jobs,) or None
        Seconds from now until about which other jobs, or times, hold each job; None if not known.
    """

    snapshot: Snapshot
    cluster: Cluster
    catalogue: Catalogue | None
    policy: type[Policy]
    placement: type[Placement]
    run_times: RunTimes
    arrivals: Arrivals | None
    limits: tuple[SharedLimit, ...]
    priorities: Priorities | None
    admitted_s: Floats | None = None


@dataclass(frozen=True, eq=False)
class Replications:
    """Start times over the replications, and what they need to be explained.

    Attributes
    ----------
    start_s, alone_s, admitted_s : float64 arrays (replications, waiting jobs)
        Seconds from now of the start, of the earliest start if no other job waited, and of the
        time from which on no limit held the job. Infinite if never.
    places : list of Place
        Where each running job runs.
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
    places: list[Place]
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
    rank : float64 array or None
        The first jobs of the queue have the highest; None for the order of submission.
    after_unknown : dict of int to str
        Why jobs are not simulated that depend on jobs which are not, by row of `jobs`.
    places : list of Place
        Where each running job runs.
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
    rank: Floats | None
    after_unknown: dict[int, str]
    places: list[Place]

    @property
    def is_running(self) -> Bools:
        """Which simulated jobs run now."""
        return self.rows < self.n_running

    def own_nodes(self, position: Ints) -> dict[int, tuple[int, Nodes]]:
        """Return the accelerators of the running jobs, by their `position` in a simulation."""
        running = np.flatnonzero(self.is_running)
        places = [self.places[row] for row in self.rows[running]]
        at = position[running].tolist()
        return {job: (place.partition, place.nodes) for job, place in zip(at, places, strict=True)}


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
    return Replications(
        start_s=out[0],
        alone_s=out[1],
        admitted_s=out[2],
        places=queue.places,
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
    jobs = case.snapshot.jobs
    n_running = len(running)
    eligible = _eligible(jobs, case)
    places, free = _place(running, eligible, case)
    runs_on = np.array([place.partition for place in places], dtype=np.int64)
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
    followed = set().union(*predecessors.values())
    jobs["followed"] = [row in followed for row in range(len(jobs))]
    eligible_s = np.nan_to_num(jobs["eligible_s"].to_numpy(dtype=np.float64), nan=0.0)
    eligible_s = np.maximum(0.0, eligible_s)
    eligible_s[:n_running] = -LEAD_S
    order = np.argsort(eligible_s, kind="stable")
    rows = np.asarray(order[can[order]], dtype=np.int64)
    elapsed = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64)[rows], nan=0.0)
    lead = np.where(rows < n_running, LEAD_S, 0.0)
    limit = case.run_times.limits(jobs)[rows]
    choices, choice_of = _choices(eligible, runs_on)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64, copy=True)
    sizes[:n_running] = [place.n for place in places]
    queue = _Queue(
        jobs=jobs,
        n_running=n_running,
        rows=rows,
        submit_s=LEAD_S + eligible_s[rows],
        elapsed_s=elapsed - lead,
        estimate_s=np.maximum(limit - elapsed, 1.0) + lead,
        sizes=sizes[rows],
        choices=choices,
        choice_of=choice_of[rows],
        eligible=eligible,
        limits=limits_of(jobs, rows, n_running, predecessors, case.limits),
        rank=None if case.priorities is None else _ranks(case.priorities, case, eligible_s)[rows],
        after_unknown=after_unknown,
        places=places,
    )
    return queue, free


def _ranks(priorities: Priorities, case: Case, eligible_s: Floats) -> Floats:
    """Return the ranks of all jobs of the state."""
    starts_s = np.maximum(0.0, eligible_s)
    if case.admitted_s is not None:
        waiting = slice(len(eligible_s) - len(case.admitted_s), None)
        starts_s[waiting] = np.maximum(starts_s[waiting], case.admitted_s)
    return priorities.ranks(starts_s)


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


def _place(running: pd.DataFrame, eligible: Eligibility, case: Case) -> tuple[list[Place], Ints]:
    """Return where each running job runs, and what is free by partition."""
    partitions = build_partitions(case.cluster, case.placement)
    choice_of = eligible.choice_of[: len(running)]
    allowed = [eligible.choices[choice] if choice >= 0 else () for choice in choice_of]
    places = places_of_running(running, allowed, partitions, case.cluster, case.catalogue)
    return places, np.array([each.placement.free for each in partitions], dtype=np.int64)


def _simulate(out: Floats, run_s: Floats, queue: _Queue, case: Case, streams: Streams) -> None:
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
    gates = Gates(limits)
    n_pools = len(case.cluster.pools)
    record = Simulation(
        (submit[order] if rank is None else np.zeros(len(order))).tolist(),
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


def _alone(out: Floats, run_s: Floats, queue: _Queue, alone: Alone) -> None:
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
