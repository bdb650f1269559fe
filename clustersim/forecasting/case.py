"""What a forecast simulates: the jobs of a state on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.catalogue import Catalogue
from clustersim.engine.limits import Limits
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.arrivals import Arrivals
from clustersim.forecasting.limits import (
    limits_of,
    predecessors_of,
    waiting_for_unknown,
    waiting_for_unnamed,
)
from clustersim.forecasting.named_nodes import Place, Places
from clustersim.forecasting.priorities import Priorities
from clustersim.forecasting.quotas import with_quotas
from clustersim.forecasting.run_times import RunTimes
from clustersim.forecasting.running import places_of_running
from clustersim.forecasting.shared_limits import SharedLimit
from clustersim.forecasting.snapshot import Snapshot
from clustersim.scheduling import Placement, Policy
from clustersim.scheduling.holding import Split
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.quotas import Quotas
from clustersim.simulation.eligibility import Eligibility, find_eligibility
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster

__all__ = ["LEAD_S", "Case", "SimulatedQueue", "queue_of"]

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
    span_pools : {"equal", "proportional"} or None
        Whether waiting jobs can run on several pools at once, see
        :class:`~clustersim.Scheduling`.
    quotas : Quotas or None
        Limits and quotas of the policy.
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
    span_pools: Split | None = None
    quotas: Quotas | None = None
    admitted_s: Floats | None = None


@dataclass(frozen=True, eq=False)
class SimulatedQueue:
    """What all replications have in common; arrays have an element for each simulated job.

    A running job that is on several partitions is simulated once for each of them.

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
    quota_names : dict of int to list of str
        Limits and quotas of the policy that can hold a waiting job, by its row.
    after_unknown : dict of int to str
        Why jobs are not simulated that depend on jobs which are not, by row of `jobs`.
    places : list of Places
        Where each running job runs.
    placed_anew : int
        Number of running jobs that are not on nodes that the queue names.
    own : list of Place or None
        Where each simulated job runs; None if it waits.
    free : int64 array (partitions,)
        Accelerators free now.
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
    quota_names: dict[int, list[str]]
    after_unknown: dict[int, str]
    places: list[Places]
    placed_anew: int
    own: list[Place | None]
    free: Ints

    @property
    def is_running(self) -> Bools:
        """Which simulated jobs run now."""
        return self.rows < self.n_running

    def own_nodes(self, position: Ints) -> dict[int, tuple[int, Nodes]]:
        """Return the accelerators of the running jobs, by their `position` in a simulation."""
        at = zip(position.tolist(), self.own, strict=False)
        return {job: (place.partition, place.nodes) for job, place in at if place is not None}


def queue_of(case: Case) -> SimulatedQueue:
    """Return what all replications of a case have in common."""
    running, waiting = case.snapshot.running, case.snapshot.waiting
    jobs = case.snapshot.jobs
    n_running = len(running)
    eligible, quota_names = with_quotas(
        case.quotas,
        case.policy,
        jobs,
        n_running,
        _eligible(jobs, case),
        build_partitions(case.cluster, case.placement),
    )
    places, placed_anew, free = _place(running, eligible, case)
    can = eligible.choice_of >= 0
    can[:n_running] = [len(each) > 0 for each in places]
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
    parts: list[Sequence[Place | None]] = [*places, *[[None]] * len(waiting)]
    simulated = [(int(row), place) for row in order[can[order]] for place in parts[row]]
    rows = np.array([row for row, _ in simulated], dtype=np.int64)
    own = [place for _, place in simulated]
    elapsed = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64)[rows], nan=0.0)
    lead = np.where(rows < n_running, LEAD_S, 0.0)
    limit = case.run_times.limits(jobs)[rows]
    choices, choice_of = _choices(eligible, rows, own)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows]
    return SimulatedQueue(
        jobs=jobs,
        n_running=n_running,
        rows=rows,
        submit_s=LEAD_S + eligible_s[rows],
        elapsed_s=elapsed - lead,
        estimate_s=np.maximum(limit - elapsed, 1.0) + lead,
        sizes=np.where(rows < n_running, [0 if each is None else each.n for each in own], sizes),
        choices=choices,
        choice_of=choice_of,
        eligible=eligible,
        limits=limits_of(jobs, rows, n_running, predecessors, case.limits),
        rank=None if case.priorities is None else _ranks(case.priorities, case, eligible_s)[rows],
        quota_names=quota_names,
        after_unknown=after_unknown,
        places=places,
        placed_anew=placed_anew,
        own=own,
        free=free,
    )


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


def _choices(
    eligible: Eligibility, rows: Ints, own: Sequence[Place | None]
) -> tuple[list[tuple[int, ...]], Ints]:
    """Return the sets of partitions, with that of each running job alone, and the set of each."""
    choices, choice_of = list(eligible.choices), eligible.choice_of[rows]
    number = {choice: at for at, choice in enumerate(choices)}
    for at, place in enumerate(own):
        if place is not None:
            alone = (place.partition,)
            choice_of[at] = number.setdefault(alone, len(choices))
            if choice_of[at] == len(choices):
                choices.append(alone)
    return choices, choice_of


def _eligible(jobs: pd.DataFrame, case: Case) -> Eligibility:
    ones = np.ones((len(case.cluster.pools), len(jobs)))
    table = jobs.assign(duration_s=1.0)
    if case.catalogue is not None:
        table["accelerators"] = [_chips(kinds, case) for kinds in jobs["kinds"]]
    partitions = build_partitions(case.cluster, case.placement)
    return find_eligibility(
        table,
        case.cluster,
        partitions,
        Runtimes(ones, ones, {}),
        case.catalogue,
        choose="listed",
        spans=case.span_pools is not None,
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
    running: pd.DataFrame, eligible: Eligibility, case: Case
) -> tuple[list[Places], int, Ints]:
    """Return where running jobs run, how many are placed anew, and what is free by partition."""
    partitions = build_partitions(case.cluster, case.placement)
    choice_of = eligible.choice_of[: len(running)]
    allowed = [eligible.choices[choice] if choice >= 0 else () for choice in choice_of]
    places, anew = places_of_running(running, allowed, partitions, case.cluster, case.catalogue)
    return places, anew, np.array([each.placement.free for each in partitions], dtype=np.int64)
