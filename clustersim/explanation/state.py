"""A finished run with what its waits depend on: cluster, policy, and where each job may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.availability.serving import service_demands
from clustersim.engine.partitions import build_partitions
from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError
from clustersim.explanation.run_settings import (
    RunSettings,
    counts_accelerators,
    name_of_policy,
    placement_of,
    pools_of,
    rules_of,
    settings_of,
)
from clustersim.scenario.resolved import run_times_of
from clustersim.scheduling import (
    POLICIES,
    Partition,
    Policy,
    options_of,
)
from clustersim.scheduling.elastic import Elastic
from clustersim.scheduling.quotas import Quotas, read_quotas
from clustersim.simulation.attempt_parts import attempt_of_ranges
from clustersim.simulation.eligibility import Eligibility, find_eligibility
from clustersim.simulation.entry_limits import least_sizes
from clustersim.simulation.result import Result
from clustersim.simulation.run_jobs import job_columns
from clustersim.simulation.runtimes import Runtimes, find_runtimes
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.speeds import Speeds
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.simulation.windows import PLANNED_WINDOWS, planned_of
from clustersim.topology import Cluster

__all__ = ["RunState", "open_state"]


_NO_POLICY = (
    "the result does not say under which policy and options it ran, so waits for quotas, limits "
    "and budgets count as order or accelerators; give them with scheduling=cs.Scheduling(...)"
)


@dataclass(frozen=True, eq=False)
class RunState:
    """A finished run with what its waits depend on.

    Attributes
    ----------
    jobs, ranges, outages : pandas.DataFrame
        Tables of the result; `outages` may be None.
    attempt_of : int64 array (ranges,)
        The attempt of each row of `ranges`: rows with the same number are parts of one attempt.
    stopped : pandas.Series (attempts,)
        Why each attempt was stopped, as in ``attempts``; empty if it was not.
    end_s : float
        End of the run, seconds.
    cluster : Cluster
    partitions : list of Partition
    choices, others : list of tuple of int
        The distinct sets of partitions on which jobs may run, and for each of them the other
        partitions with the same accelerators, or on which its jobs could run but wait for the best.
    choice_of : int64 array (jobs,)
        The set of each job; -1 for a job that can never run.
    estimate_s : float64 array (jobs,)
        Estimated run time on the preferred partition, seconds.
    estimates : float64 array (pools, jobs)
        Estimated run times on all pools, seconds.
    windows : pandas.DataFrame or None
        Table of the result.
    planned : tuple of PlannedWindow
        The windows of the run.
    policy : str
        Empty if it is not known.
    options : mapping of str to object
        Options of the policy.
    rules : type of Policy or None
        The policy with its options; None if it is not known.
    quotas : Quotas or None
        Quotas and limits.
    elastic : Elastic or None
        The sizes at which jobs can run; None if all run only at the one that they ask for.
    needs : int64 array (jobs,)
        Accelerators with which each job can start: its smallest size, if the policy chooses sizes.
    spans : bool
        Whether a job that fits on none of its partitions can run on several at once.
    counts : bool
        Whether a gang fits as soon as enough accelerators of a partition are free.
    notes : tuple of str
    """

    jobs: pd.DataFrame
    ranges: pd.DataFrame
    outages: pd.DataFrame | None
    attempt_of: Ints
    stopped: pd.Series[Any]
    end_s: float
    cluster: Cluster
    partitions: list[Partition]
    choices: list[tuple[int, ...]]
    others: list[tuple[int, ...]]
    choice_of: Ints
    estimate_s: Floats
    estimates: Floats
    windows: pd.DataFrame | None
    planned: tuple[PlannedWindow, ...]
    policy: str
    options: Mapping[str, Any]
    rules: type[Policy] | None
    quotas: Quotas | None
    elastic: Elastic | None
    needs: Ints
    spans: bool
    counts: bool
    notes: tuple[str, ...]

    @property
    def sizes(self) -> Ints:
        """Accelerators of each job."""
        return self.jobs["n_accelerators"].to_numpy(dtype=np.int64)

    @property
    def first_rows(self) -> npt.NDArray[np.intp]:
        """Row of `ranges` with the first part of each attempt."""
        return np.flatnonzero(np.diff(self.attempt_of, prepend=-1))

    def where(self, choice: int) -> str:
        """Return the names of the partitions of a set, in the order of the cluster."""
        return ", ".join(self.partitions[index].name for index in sorted(self.choices[choice]))


def open_state(
    result: Result,
    cluster: Cluster | str | Path | None = None,
    catalogue: Sequence[str | Path] = (),
    scheduling: Scheduling | None = None,
) -> RunState:
    """Return a finished run with what its waits depend on.

    Parameters
    ----------
    result : Result
    cluster : Cluster, str or Path, optional
        The cluster on which it ran, if its provenance does not say that.
    catalogue : sequence of str or Path
        Files with chips of the user, for `cluster`.
    scheduling : Scheduling, optional
        Its policy and placement, if its provenance does not say them.

    Raises
    ------
    InputError
        If the cluster is not known, or a file that the run used cannot be read any more.
    """
    settings = settings_of(result, cluster, catalogue)
    if scheduling is not None:
        settings = replace(settings, scheduling=scheduling)
    scheduling = settings.scheduling
    notes: list[str] = []
    if not scheduling.policy:
        notes.append(_NO_POLICY)
    placement = placement_of(scheduling, notes)
    policy, rules = name_of_policy(scheduling.policy), rules_of(scheduling, notes)
    options = {} if rules is None else options_of(rules)
    partitions = build_partitions(settings.cluster, placement)
    names = {pool.name for pool in settings.cluster.pools}
    unknown = sorted(pools_of(result) - names)
    if unknown:
        raise InputError(
            "--cluster", f"has no pool {unknown[0]!r}, on which jobs of the result ran"
        )
    run_times, lends = _run_times(result, settings)
    eligible = _eligible(result, settings, partitions, run_times, lends, rules)
    choices = eligible.choices
    others = _others(result, settings, partitions, run_times, lends, rules, eligible)
    preferred = np.array([partitions[choice[0]].pool for choice in choices] or [0])
    rows, attempt_of = np.arange(len(result.jobs)), _attempt_of(result)
    estimates = run_times.run_s if scheduling.exact_estimates else run_times.estimate_s
    return RunState(
        jobs=result.jobs,
        ranges=result.allocation_ranges,
        outages=result.outages,
        attempt_of=attempt_of,
        stopped=_stopped(result, int(attempt_of.max(initial=-1)) + 1),
        end_s=float(result.utilisation["time_s"].max()),
        cluster=settings.cluster,
        partitions=partitions,
        choices=choices,
        others=others,
        choice_of=np.where(result.jobs["outcome"] == NEVER_RUNNABLE, -1, eligible.choice_of),
        estimate_s=estimates[preferred[np.maximum(eligible.choice_of, 0)], rows],
        estimates=estimates,
        windows=result.windows,
        planned=_planned(result, settings.cluster, notes),
        policy=policy,
        options=options,
        rules=rules,
        quotas=_quotas(rules, policy, notes),
        elastic=run_times.elastic,
        needs=_needs(result, run_times, partitions, eligible, policy, rules, notes),
        spans=scheduling.span_pools is not None,
        counts=counts_accelerators(placement, result, notes),
        notes=tuple(notes),
    )


def _quotas(rules: type[Policy] | None, policy: str, notes: list[str]) -> Quotas | None:
    """Return the quotas and limits of the run; None if it has none."""
    if rules is None or rules.quotas is None:
        return None
    quotas = read_quotas(rules.quotas)
    if quotas.queues and rules.divides_quotas and policy != "kueue":
        notes.append(f"waits for the quotas of queues of policy {policy} count as order")
    return quotas


def _run_times(result: Result, settings: RunSettings) -> tuple[Runtimes, list[int]]:
    """Return the run times of the jobs, and the pools whose services lend accelerators."""
    if settings.scenario is None:
        return find_runtimes(result.jobs, Speeds(settings.cluster, settings.catalogue)), []
    loaded, platform = settings.scenario
    demands = service_demands(
        loaded.scenario.serving, settings.cluster, loaded.scenario.horizon, result.calendar
    )
    lends = [demand.pool for demand in demands if demand.lends]
    return run_times_of(loaded, platform, result.jobs, result.calendar), lends


def _eligible(
    result: Result,
    settings: RunSettings,
    partitions: list[Partition],
    run_times: Runtimes,
    lends: list[int],
    rules: type[Policy] | None,
    *,
    wait_for_best: bool | None = None,
) -> Eligibility:
    scheduling = settings.scheduling
    return find_eligibility(
        result.jobs,
        settings.cluster,
        partitions,
        run_times,
        settings.catalogue,
        choose=scheduling.choose,
        wait_for_best=scheduling.wait_for_best if wait_for_best is None else wait_for_best,
        spans=scheduling.span_pools is not None,
        lends=lends,
        smaller_sizes=None if rules is None else rules.smaller_sizes,
    )


def _planned(result: Result, cluster: Cluster, notes: list[str]) -> tuple[PlannedWindow, ...]:
    """Return the windows of the run, with a note if they are not known."""
    if result.windows is None:
        return ()
    given = result.provenance.get(PLANNED_WINDOWS)
    if given is None:
        notes.append("the result does not say which nodes its windows take: such waits are order")
        return ()
    pools = [pool.name for pool in cluster.pools]
    return tuple(planned_of(each, pools) for each in given)


def _needs(
    result: Result,
    run_times: Runtimes,
    partitions: list[Partition],
    eligible: Eligibility,
    policy: str,
    rules: type[Policy] | None,
    notes: list[str],
) -> Ints:
    """Return with how many accelerators each job can start."""
    sizes = result.jobs["n_accelerators"].to_numpy(dtype=np.int64)
    if run_times.elastic is None:
        return sizes
    rows = np.flatnonzero(eligible.choice_of >= 0)
    columns = job_columns(result.jobs, rows, run_times, eligible)
    least = None if rules is None else least_sizes(rules, columns, partitions)
    if least is not None:
        sizes = sizes.copy()
        sizes[rows] = least
        return sizes
    if rules is None or policy not in POLICIES:
        notes.append(
            "whether the policy starts jobs at other sizes is not known: room is tested for the "
            "size that they ask for"
        )
    return sizes


def _others(
    result: Result,
    settings: RunSettings,
    partitions: list[Partition],
    run_times: Runtimes,
    lends: list[int],
    rules: type[Policy] | None,
    eligible: Eligibility,
) -> list[tuple[int, ...]]:
    """Return for each set the partitions that its jobs may not use, but others like them."""
    chips = [settings.cluster.pools[part.pool].accelerator for part in partitions]
    found = []
    for choice in eligible.choices:
        own = {chips[index] for index in choice}
        found.append({index for index, chip in enumerate(chips) if chip in own} - {*choice})
    if settings.scheduling.wait_for_best:
        free = _eligible(result, settings, partitions, run_times, lends, rules, wait_for_best=False)
        pairs = np.unique(np.stack([eligible.choice_of, free.choice_of]), axis=1).T
        for own_set, all_of in pairs[pairs[:, 0] >= 0].tolist():
            found[own_set] |= {*free.choices[all_of]} - {*eligible.choices[own_set]}
    return [tuple(sorted(each)) for each in found]


def _attempt_of(result: Result) -> Ints:
    """Return the attempt of each row of allocations; parts of an attempt follow each other."""
    ranges = result.allocation_ranges
    if result.attempts is not None:
        of_attempts = attempt_of_ranges(ranges, result.attempts)
        if of_attempts is not None:
            return of_attempts
    new = np.zeros(len(ranges), dtype=bool)
    for name in ("job_id", "start_s", "end_s"):
        values = ranges[name].to_numpy()
        new[1:] |= values[1:] != values[:-1]
    found: Ints = np.cumsum(new)
    return found


def _stopped(result: Result, n_attempts: int) -> pd.Series[Any]:
    """Return why each attempt was stopped; results of earlier versions know only node events."""
    if result.attempts is None:
        return pd.Series("", index=range(n_attempts), dtype="category")
    if "stopped" in result.attempts:
        return result.attempts["stopped"]
    return pd.Series("node", index=result.attempts.index, dtype="category")
