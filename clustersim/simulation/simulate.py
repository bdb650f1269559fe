"""From a jobs table and a cluster to a result."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.availability.serving import ServiceDemand, serving_table
from clustersim.catalogue import Catalogue
from clustersim.engine.engine import Simulation
from clustersim.engine.invariants import check_accelerators
from clustersim.engine.node_driver import NodeDriver
from clustersim.engine.node_events import NodeEvent, without_overlaps
from clustersim.engine.partitions import build_partitions
from clustersim.engine.record import RunRecord
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import (
    JobColumns,
    NodePlacement,
    Partition,
    Placement,
    Policy,
    find_placement,
    find_policy,
)
from clustersim.scheduling.plugins import error_in_plugin, interrupts_itself, plugin_file
from clustersim.scheduling.stalls import stopped_when_stalled
from clustersim.simulation import tables
from clustersim.simulation.arguments import check_arguments, names_former_arguments
from clustersim.simulation.eligibility import Eligibility, find_eligibility
from clustersim.simulation.metrics import summary, vc_accelerator_seconds
from clustersim.simulation.result import Result, versions
from clustersim.simulation.runtimes import Runtimes, find_runtimes
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.simulation.unfinished import unfinished_reasons
from clustersim.topology import Cluster, single_pool
from clustersim.workload import check_jobs

__all__ = ["NodeEvents", "RunTimeModel", "Scheduling", "replay", "simulate"]


@dataclass(frozen=True, slots=True)
class NodeEvents:
    """What happens to nodes during a run.

    Attributes
    ----------
    events : iterable of NodeEvent
        Nodes that go out of service, in order of their begin; a failure of a node that is out
        already is passed over.
    services : sequence of ServiceDemand
        What serves on some of the nodes; the reservations themselves are among the events.
    """

    events: Iterable[NodeEvent]
    services: Sequence[ServiceDemand] = ()


@names_former_arguments
def simulate(
    jobs: pd.DataFrame,
    cluster: Cluster,
    scheduling: Scheduling | None = None,
    *,
    catalogue: Catalogue | None = None,
    run_times: Runtimes | RunTimeModel | None = None,
    node_events: NodeEvents | Iterable[NodeEvent] | None = None,
    recovery: Recovery | None = None,
    horizon_s: float | None = None,
    by_node: bool = True,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run jobs through a cluster.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    cluster : Cluster
        A compiled topology.
    scheduling : Scheduling, optional
        By default first come, first served, counting accelerators.
    catalogue : Catalogue, optional
        Needed where jobs have models or pools differ in speed.
    run_times : RunTimeModel or Runtimes, optional
        From what run times follow (the chip of recorded durations, models that stand for job
        classes, coefficients, precision), or the run times themselves, for each pool and job, as
        :func:`~clustersim.simulation.runtimes.find_runtimes` gives them.
    node_events : NodeEvents or iterable of NodeEvent, optional
        Nodes that go out of service or become slow, in order of their begin.
    recovery : Recovery, optional
        How jobs save their state and come back after they were stopped, a value for each row of
        `jobs`; by default they save nothing and begin anew at once.
    horizon_s : float, optional
        When the simulation stops; by default when no job runs and nothing that is still to come
        can start one.
    by_node : bool
        Whether to keep on which nodes each attempt ran.
    check : bool
        Whether to check the invariants after every scheduling pass (slow).
    progress : callable, optional
        Called now and then with the number of jobs that have ended, and of all.

    Returns
    -------
    Result
        Of all jobs, also those that never could run (with the reason).  After an
        interrupt, of what was done by then.

    Raises
    ------
    InputError
        If an argument is of another kind, or the jobs, or what `scheduling` names, cannot be used.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> jobs = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8], "duration_s": [60, 60]}
    ... )
    >>> simulate(jobs, single_pool(8), Scheduling(policy="fcfs")).jobs["start_s"].tolist()
    [0.0, 60.0]
    >>> simulate(jobs, "mixed-small")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: cluster: must be a compiled topology, found 'mixed-small'; ...
    """
    began = time.perf_counter()
    scheduling = scheduling if scheduling is not None else Scheduling()
    events = node_events if isinstance(node_events, NodeEvents | None) else NodeEvents(node_events)
    outages = None if events is None else events.events
    check_arguments(jobs, cluster, scheduling, catalogue, run_times, outages, recovery, horizon_s)
    policy = find_policy(scheduling.policy, folder=scheduling.folder)
    make_placement = find_placement(scheduling.placement, folder=scheduling.folder)
    check_jobs(jobs, "jobs")
    runtimes = run_times
    if not isinstance(runtimes, Runtimes):
        runtimes = find_runtimes(jobs, Speeds(cluster, catalogue, runtimes))
    if scheduling.exact_estimates:
        runtimes = replace(runtimes, estimate_s=runtimes.run_s)
    if recovery is not None:
        runtimes = _with_checkpoints(runtimes, recovery)
    services = () if events is None else events.services
    with _errors_of(policy, make_placement):
        with _stopped_when_stalled(lambda: None, [make_placement], scheduling.longest_call_s):
            partitions = build_partitions(cluster, make_placement)
        eligible = find_eligibility(
            jobs,
            cluster,
            partitions,
            runtimes,
            catalogue,
            choose=scheduling.choose,
            wait_for_best=scheduling.wait_for_best,
            lends=[service.pool for service in services if service.lends],
        )
        ran = _run(
            jobs,
            runtimes,
            eligible,
            partitions,
            policy,
            outages=outages,
            recovery=recovery,
            horizon_s=horizon_s,
            longest_call_s=scheduling.longest_call_s,
            by_node=by_node,
            check=check_accelerators if check else None,
            progress=progress,
        )
    result = _result(jobs, ran, cluster, eligible, services)
    told = _provenance(ran.record, time.perf_counter() - began)
    notes = [*runtimes.notes, *eligible.notes]
    if notes:
        told["notes"] = notes
    return replace(result, provenance=told)


@dataclass(frozen=True, slots=True)
class _Ran:
    """What happened to the jobs at some rows, and where."""

    rows: npt.NDArray[np.intp]
    partitions: list[Partition]
    record: RunRecord
    node_events: list[NodeEvent] | None


def _run(
    jobs: pd.DataFrame,
    runtimes: Runtimes,
    eligible: Eligibility,
    partitions: list[Partition],
    policy: type[Policy],
    *,
    outages: Iterable[NodeEvent] | None,
    recovery: Recovery | None,
    horizon_s: float | None,
    longest_call_s: float,
    **options: Any,
) -> _Ran:
    """Simulate the jobs that can run."""
    rows = np.flatnonzero(eligible.choice_of >= 0)
    if outages is not None:
        _check_nodes_are_told_apart(partitions)
    simulation: Simulation | None = None

    def progress() -> tuple[int, float] | None:
        return None if simulation is None else (simulation.passes, simulation.clock.now)

    placements = [type(partition.placement) for partition in partitions]
    with _stopped_when_stalled(progress, (policy, *placements), longest_call_s):
        simulation = Simulation(
            jobs["submit_s"].to_numpy(dtype=np.float64)[rows].tolist(),
            _columns(runtimes.run_s, rows),
            _job_columns(jobs, rows, runtimes, eligible),
            partitions,
            policy,
            recovery=None if recovery is None else recovery.of_jobs(rows.tolist()),
            horizon_s=horizon_s,
            **options,
        )
        driver = None if outages is None else NodeDriver(simulation, without_overlaps(outages))
        record = simulation.run()
    if horizon_s is None and outages is None and not record.interrupted:
        _check_all_started(record.partition)
    return _Ran(rows, partitions, record, None if driver is None else driver.log)


def _result(
    jobs: pd.DataFrame,
    ran: _Ran,
    cluster: Cluster,
    eligible: Eligibility,
    demands: Sequence[ServiceDemand],
) -> Result:
    """Make the tables of what happened; the provenance is still to come."""
    rows, partitions, record = ran.rows, ran.partitions, ran.record
    unfinished = unfinished_reasons(
        record,
        partitions,
        jobs["submit_s"].to_numpy(dtype=np.float64)[rows],
        jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows],
        eligible.choices,
        eligible.choice_of[rows],
    )
    job_rows = tables.jobs_table(
        jobs, rows, record, cluster, partitions, eligible.reasons, unfinished
    )
    allocated = tables.allocation_ranges(jobs, rows, record, cluster, partitions)
    attempts = outages = serving = None
    if ran.node_events is not None:
        attempts = tables.attempts_table(jobs, rows, record, cluster, partitions)
        outages = tables.outages_table(ran.node_events, cluster)
        if demands:
            serving = serving_table(demands, outages, cluster, record.end_s)
    use = tables.utilisation(allocated, cluster, record.end_s, outages, services=bool(demands))
    begin_s = float(job_rows["submit_s"].iloc[0])
    owned = vc_accelerator_seconds(cluster, outages, begin_s, record.end_s)
    total = summary(job_rows, use, allocated, owned, attempts, serving)
    return Result(job_rows, allocated, use, total, {}, attempts, outages, serving)


def _with_checkpoints(runtimes: Runtimes, recovery: Recovery) -> Runtimes:
    """Add the checkpoints to exact estimates; what users tell is the whole time already."""
    exact = runtimes.estimate_s == runtimes.run_s
    standing_s = recovery.standing_s(runtimes.run_s)
    return replace(runtimes, estimate_s=runtimes.estimate_s + np.where(exact, standing_s, 0.0))


def _check_nodes_are_told_apart(partitions: list[Partition]) -> None:
    """Refuse outages of nodes where a placement only counts accelerators."""
    if not all(isinstance(part.placement, NodePlacement) for part in partitions):
        raise InputError(
            "placement", "nodes that go out of service need one that tells nodes apart: consolidate"
        )


def _provenance(record: RunRecord, wall_s: float) -> dict[str, Any]:
    """What a run itself adds to the provenance of its result."""
    return {
        "versions": versions(),
        "scheduling_passes": record.passes,
        "simulated_s": record.end_s,
        "wall_s": wall_s,
        "interrupted": record.interrupted,
    }


def _job_columns(
    jobs: pd.DataFrame, rows: npt.NDArray[np.intp], runtimes: Runtimes, eligible: Eligibility
) -> JobColumns:
    """What the scheduler knows of the jobs at `rows`."""
    return JobColumns(
        n_accelerators=jobs["n_accelerators"].to_numpy(dtype=np.int64)[rows].tolist(),
        estimate_s=_columns(runtimes.estimate_s, rows),
        choices=eligible.choices,
        choice_of=eligible.choice_of[rows].tolist(),
    )


@contextmanager
def _errors_of(policy: type[Policy], placement: type[Placement]) -> Iterator[None]:
    """Name the user's file where a policy or placement of their own fails or breaks a rule."""
    try:
        yield
    except InputError:
        raise
    except KeyboardInterrupt as error:
        if not interrupts_itself(error, (policy, placement)):
            raise
        raise _problem(error, policy, placement) from error
    except BaseException as error:
        raise _problem(error, policy, placement) from error


def _problem(
    error: BaseException, policy: type[Policy], placement: type[Placement]
) -> BaseException:
    """Return what to raise instead of an error: itself, where no class of the user's led to it."""
    return error_in_plugin(error, (policy, placement)) or error


def _stopped_when_stalled(
    progress: Callable[[], object],
    plugins: Iterable[type[Policy] | type[Placement]],
    longest_call_s: float,
) -> AbstractContextManager[None]:
    """Stop a policy or placement of the user's own that does not come to an end."""
    if any(map(plugin_file, plugins)):
        return stopped_when_stalled(progress, longest_call_s)
    return nullcontext()


def _check_all_started(partition: npt.NDArray[np.int32]) -> None:
    """Refuse a schedule that leaves jobs waiting for ever though they could run."""
    waiting = np.flatnonzero(partition < 0)
    if len(waiting):
        raise ClusterSimError(
            f"{len(waiting):,} of {len(partition):,} jobs that can run were never started"
        )


def _columns(by_pool: npt.NDArray[np.float64], rows: npt.NDArray[np.intp]) -> list[array[float]]:
    """Copy the chosen rows of each pool, in a form that Python reads fast."""
    return [array("d", column[rows].tobytes()) for column in by_pool]


def replay(
    jobs: pd.DataFrame,
    *,
    policy: str | type[Policy],
    accelerators: int | None = None,
    cluster: Cluster | None = None,
    placement: str | type[Placement] | None = None,
    exact_estimates: bool = False,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Result:
    """Schedule a log of jobs again, each running just as long as the log says.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``job_id``, ``submit_s``, ``n_accelerators``, ``duration_s``, optionally
        ``estimate_s``, ``vc``, ``user`` and any other column.
    policy : str or type of Policy
        See :class:`Scheduling`.
    accelerators : int, optional
        Size of a pool without topology; this or `cluster` is needed.
    cluster : Cluster, optional
        A compiled topology.
    placement : str or type of Placement, optional
        By default ``consolidate`` on a cluster; a pool without topology has only
        ``pooled``.
    exact_estimates : bool
        Whether to ignore the jobs' own estimates.
    check, progress
        See :func:`simulate`.
    provenance : mapping, optional
        What to keep with the result beside what the run itself tells.

    Returns
    -------
    Result
        ``result.jobs`` has every column of the input, ``start_s`` and ``finish_s``.

    Raises
    ------
    InputError
        If the input cannot be used.

    Examples
    --------
    >>> log = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8], "duration_s": [60, 60]}
    ... )
    >>> replay(log, policy="fcfs", accelerators=8).jobs["start_s"].tolist()
    [0.0, 60.0]
    """
    if (accelerators is None) == (cluster is None):
        raise InputError("replay", "needs either a number of accelerators or a cluster")
    if cluster is None:
        assert accelerators is not None
        if placement not in (None, "pooled"):
            raise InputError("placement", f"{placement!r} needs nodes; give a cluster instead")
        cluster, placement = single_pool(accelerators), "pooled"
    scheduling = Scheduling(
        policy=policy, placement=placement or "consolidate", exact_estimates=exact_estimates
    )
    result = simulate(jobs, cluster, scheduling, check=check, progress=progress)
    return result.with_provenance(provenance or {})
