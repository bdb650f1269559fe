"""Simulates a table of jobs on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clustersim.availability.checkpointing import recovery_in
from clustersim.availability.failure_spec import Failures
from clustersim.availability.serving import ServiceDemand
from clustersim.availability.windows import planned_windows
from clustersim.availability.windows_spec import WindowsSpec
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.engine.invariants import check_accelerators
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.partitions import build_partitions
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError, names_former_arguments
from clustersim.files import validate
from clustersim.notes import note
from clustersim.scheduling import (
    Partition,
    Placement,
    Policy,
    find_placement,
)
from clustersim.scheduling.holding import Split
from clustersim.scheduling.plugins import error_in_plugin, ids_in_errors, interrupts_itself
from clustersim.scheduling.quotas import Quotas
from clustersim.seeds import Streams
from clustersim.simulation.arguments import FORMER, check_arguments
from clustersim.simulation.dependencies import Dependencies
from clustersim.simulation.eligibility import Eligibility, find_eligibility
from clustersim.simulation.entry_limits import quotas_of_policy
from clustersim.simulation.networked.network_model import (
    NetworkModel,
    at_port_rate,
    network_model,
)
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.simulation.networked.unused_settings import unused_settings
from clustersim.simulation.no_progress import checkpoint_notes
from clustersim.simulation.outcome import fleet_facts, result_of, run_facts
from clustersim.simulation.preemption_notes import no_length_notes, preemption_notes
from clustersim.simulation.result import Result
from clustersim.simulation.run_jobs import (
    Setting,
    job_columns,
    limits_of,
    run_jobs,
    stopped_if_stalled,
)
from clustersim.simulation.runtimes import Runtimes, find_runtimes
from clustersim.simulation.scheduling import Scheduling, policy_of
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.simulation.windows import (
    NOTHING_PLANNED,
    PLANNED_WINDOWS,
    Planned,
    check_windows,
    notes_on_windows,
    plain_windows,
    with_nodes,
)
from clustersim.topology import Cluster, single_pool
from clustersim.workload import check_jobs
from clustersim.workload.measured_rates import with_durations

__all__ = ["NodeEvents", "RunTimeModel", "Scheduling", "replay", "simulate"]


@dataclass(frozen=True, slots=True)
class NodeEvents:
    """The node events of a run.

    Attributes
    ----------
    events : iterable of NodeEvent
        Node events in order of their start. A failure of a node that is out of service is ignored.
    services : sequence of ServiceDemand
        Inference services. `events` must include the reservations of their nodes.
    planned : Planned
        What is known in advance: maintenance, reservations, and whether nodes are drained for hero
        jobs. `events` need not include the maintenance.
    """

    events: Iterable[NodeEvent]
    services: Sequence[ServiceDemand] = ()
    planned: Planned = NOTHING_PLANNED


@names_former_arguments(**FORMER)
def simulate(
    jobs: pd.DataFrame,
    cluster: Cluster,
    scheduling: Scheduling | None = None,
    *,
    catalogue: Catalogue | None = None,
    run_times: Runtimes | RunTimeModel | None = None,
    node_events: NodeEvents | Iterable[NodeEvent] | None = None,
    recovery: Recovery | None = None,
    network: NetworkSpec | NetworkModel | Mapping[str, Any] | None = None,
    horizon_s: float | None = None,
    by_node: bool = True,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Simulate jobs on a cluster.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table, in order of submission.
    cluster : Cluster
        A compiled topology.
    scheduling : Scheduling, optional
        By default first come, first served, with a placement that only counts accelerators.
    catalogue : Catalogue, optional
        Needed if jobs have models or pools differ in speed.
    run_times : RunTimeModel or Runtimes, optional
        Settings for computing run times (the chip of recorded durations, models that represent job
        classes, coefficients, precision), or the run times of each job on each pool, as returned by
        :func:`~clustersim.simulation.runtimes.find_runtimes`.
    node_events : NodeEvents or iterable of NodeEvent, optional
        Nodes that leave service or become slow, in order of their start.
    recovery : Recovery, optional
        How jobs save their state and restart after they are stopped, with a value for each row of
        `jobs`. By default they save nothing and restart from the beginning without a delay.
    network : NetworkSpec, mapping or NetworkModel, optional
        How the network slows jobs down, as in the section ``network`` of a scenario; random faults
        are those of the seed 0, as in a scenario without a seed. By default the speed of a job does
        not depend on where its nodes are. `run_times` computed in advance must be those of
        :func:`~clustersim.simulation.networked.network_model.at_port_rate`.
    horizon_s : float, optional
        Time (seconds) at which the simulation stops. By default it stops when no job runs and no
        future event can start a job.
    by_node : bool
        Whether to record the nodes of each attempt.
    check : bool
        Whether to check the invariants after every scheduling pass (slow).
    progress : callable, optional
        Called regularly with the number of jobs that have ended and the total number of jobs. If
        it has a method ``at``, this is called about twice a second with the simulated time in
        seconds.

    Returns
    -------
    Result
        The result for all jobs. For jobs that can never run, it contains the reason. If the run was
        interrupted, the result ends at that time.

    Raises
    ------
    InputError
        If an argument has the wrong type, or the jobs or the names in `scheduling` are invalid.

    Examples
    --------
    >>> from clustersim import Scheduling, simulate
    >>> import pandas as pd
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
    planned = NOTHING_PLANNED if events is None else events.planned
    folder = scheduling.folder
    policy = policy_of(scheduling)
    make_placement = find_placement(
        scheduling.placement, options=scheduling.placement_options, folder=folder
    )
    jobs = with_durations(jobs)
    check_jobs(jobs, "jobs")
    if isinstance(network, NetworkModel):
        model: NetworkModel | None = network
    else:
        model = network_model(network, cluster, streams=Streams(0), horizon_s=horizon_s)
    if not isinstance(run_times, Runtimes):
        fastest = cluster if model is None else at_port_rate(cluster)
        run_times = find_runtimes(jobs, Speeds(fastest, catalogue, run_times))
    run_s = run_times.run_s
    runtimes = _with_estimates(run_times, recovery, exact=scheduling.exact_estimates)
    if model is not None:
        model = model.of_jobs(jobs, runtimes.speeds)
        runtimes = model.expected(runtimes, jobs, exact=scheduling.exact_estimates)
    services = () if events is None else events.services
    with _errors_of(policy, make_placement):
        with stopped_if_stalled(lambda: None, [make_placement], scheduling.longest_call_s):
            partitions = build_partitions(
                cluster, make_placement, sizes=jobs["n_accelerators"].to_numpy(dtype=np.int64)
            )
        check_windows(planned, cluster, partitions, policy)
        eligible, depend, quotas = _eligible(
            jobs, cluster, partitions, runtimes, catalogue, scheduling, policy, services
        )
        setting = Setting(
            outages=outages,
            planned=planned,
            recovery=recovery,
            horizon_s=horizon_s,
            longest_call_s=scheduling.longest_call_s,
            split=scheduling.span_pools,
            by_node=by_node,
            network=model,
            check=check_accelerators if check else None,
            progress=progress,
        )
        runtimes = replace(runtimes, run_s=run_s)
        with ids_in_errors(jobs["job_id"].to_numpy(dtype=object)[eligible.choice_of >= 0].tolist()):
            ran = run_jobs(jobs, runtimes, eligible, depend, quotas, partitions, policy, setting)
    spans = scheduling.span_pools is not None
    result = result_of(jobs, ran, cluster, eligible, services, spans=spans)
    facts = run_facts(ran.record, time.perf_counter() - began)
    facts["fleet"] = fleet_facts(cluster, make_placement.__name__)
    if not planned.is_empty:
        names = [pool.name for pool in cluster.pools]
        facts[PLANNED_WINDOWS] = plain_windows(planned.windows, names)
    notes = [*runtimes.notes, *eligible.notes, *ran.notes]
    if model is not None:
        end_s = None if ran.record.interrupted else ran.record.end_s
        notes = [*unused_settings(model.spec, end_s), *notes, *model.notes()]
    notes += notes_on_windows(planned, jobs, ran.record.end_s)
    if recovery is None:
        notes += preemption_notes(ran.record.attempts, policy)
    notes += no_length_notes(ran.record.attempts, policy)
    return replace(result, provenance={**facts, **({"notes": notes} if notes else {})})


def _eligible(
    jobs: pd.DataFrame,
    cluster: Cluster,
    partitions: list[Partition],
    runtimes: Runtimes,
    catalogue: Catalogue | None,
    scheduling: Scheduling,
    policy: type[Policy],
    services: Sequence[ServiceDemand],
) -> tuple[Eligibility, Dependencies | None, Quotas | None]:
    """Return where each job can run, the dependencies of the jobs, and the quotas."""
    eligible = find_eligibility(
        jobs,
        cluster,
        partitions,
        runtimes,
        catalogue,
        choose=scheduling.choose,
        wait_for_best=scheduling.wait_for_best,
        spans=scheduling.span_pools is not None,
        lends=[service.pool for service in services if service.lends],
        smaller_sizes=policy.smaller_sizes,
    )
    eligible = _without_refused(eligible, policy, jobs, runtimes, partitions)
    quotas = quotas_of_policy(policy)
    if quotas is not None:
        rows = np.flatnonzero(eligible.choice_of >= 0)
        own = job_columns(jobs, rows, runtimes, eligible)
        held = limits_of(quotas, own, partitions, policy)
        eligible = eligible.without({int(rows[j]): why for j, why in held.never.items()})
    depend = Dependencies.of(jobs)
    if depend is not None:
        eligible = eligible.without(depend.never(eligible.reasons, jobs))
    return eligible, depend, quotas


def _with_estimates(runtimes: Runtimes, recovery: Recovery | None, *, exact: bool) -> Runtimes:
    """Return run times with the estimates that policies see: the real run times if `exact`.

    The time for checkpoints is added to estimates that equal the run time. Other estimates come
    from users and already include this time.
    """
    if exact:
        runtimes = replace(runtimes, estimate_s=runtimes.run_s)
    if recovery is None:
        return runtimes
    exactly = runtimes.estimate_s == runtimes.run_s
    standing_s = recovery.standing_s(runtimes.run_s)
    return replace(runtimes, estimate_s=runtimes.estimate_s + np.where(exactly, standing_s, 0.0))


def _without_refused(
    eligible: Eligibility,
    policy: type[Policy],
    jobs: pd.DataFrame,
    runtimes: Runtimes,
    partitions: Sequence[Partition],
) -> Eligibility:
    """Return the partitions of each job, with none for the jobs that the policy never starts."""
    if policy.never_start.__func__ is Policy.never_start.__func__:  # type: ignore[attr-defined]
        return eligible
    rows = np.flatnonzero(eligible.choice_of >= 0)
    refused = policy.never_start(job_columns(jobs, rows, runtimes, eligible), partitions)
    choice_of = eligible.choice_of.copy()
    choice_of[rows[list(refused)]] = -1
    reasons = {int(rows[job]): reason for job, reason in refused.items()}
    return replace(eligible, choice_of=choice_of, reasons={**eligible.reasons, **reasons})


@contextmanager
def _errors_of(policy: type[Policy], placement: type[Placement]) -> Iterator[None]:
    """Convert errors of a user-defined policy or placement to errors that name the user's file."""
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
    """Return an error that names the user-defined class which failed, or the error unchanged."""
    return error_in_plugin(error, (policy, placement)) or error


def replay(
    jobs: pd.DataFrame,
    *,
    policy: str | type[Policy],
    accelerators: int | None = None,
    cluster: Cluster | None = None,
    placement: str | type[Placement] | None = None,
    options: Mapping[str, Any] | None = None,
    placement_options: Mapping[str, Any] | None = None,
    span_pools: Split | None = None,
    exact_estimates: bool = False,
    windows: Mapping[str, Any] | None = None,
    checkpoints: Mapping[str, Any] | None = None,
    network: NetworkSpec | Mapping[str, Any] | None = None,
    check: bool = False,
    progress: Callable[[int, int], None] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Result:
    """Simulate a log of jobs with its recorded durations.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``job_id``, ``submit_s``, ``n_accelerators``, ``duration_s`` and optionally
        ``estimate_s``, ``vc``, ``user`` and any other column.
    policy : str or type of Policy
        See :class:`Scheduling`.
    accelerators : int, optional
        Number of accelerators of a single pool without topology; an alternative to `cluster`.
    cluster : Cluster, optional
        A compiled topology.
    placement : str or type of Placement, optional
        By default ``consolidate`` on a cluster; a pool without topology supports only ``pooled``.
    span_pools : {"equal", "proportional"}, optional
        See :class:`Scheduling`.
    exact_estimates : bool
        Whether to replace the jobs' estimates by their real run times.
    windows : mapping, optional
        Maintenance, reservations in advance and hero jobs, as in the section ``windows`` of a
        scenario. A pool without topology then has nodes of one accelerator each.
    checkpoints : mapping, optional
        How jobs save their state and restart after they were preempted, as in
        ``failures.checkpoints`` of a scenario; ``storage`` may be a system that all jobs share. By
        default they save nothing and restart from the beginning without a delay.
    network, check, progress
        See :func:`simulate`. A recorded duration refers to the ideal placement: as few nodes as
        possible, and free links.
    provenance : mapping, optional
        Facts to add to the provenance of the result.

    Returns
    -------
    Result
        ``result.jobs`` has all columns of the input, and ``start_s`` and ``finish_s``.

    Raises
    ------
    InputError
        If an argument or the log is invalid.

    Examples
    --------
    >>> from clustersim import replay
    >>> import pandas as pd
    >>> log = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8], "duration_s": [60, 60]}
    ... )
    >>> replay(log, policy="fcfs", accelerators=8).jobs["start_s"].tolist()
    [0.0, 60.0]
    >>> update = {"pools": ["pool"], "at": "30 s", "duration": "60 s"}
    >>> windows = {"maintenance": [update]}
    >>> replay(log, policy="fcfs", accelerators=8, windows=windows).jobs["start_s"].tolist()
    [90.0, 150.0]
    """
    if (accelerators is None) == (cluster is None):
        raise InputError("replay", "needs either `accelerators` or `cluster`, not both")
    if cluster is None:
        assert accelerators is not None
        if placement not in (None, "pooled"):
            raise InputError(
                "placement", f"{placement!r} needs nodes; use `cluster` instead of `accelerators`"
            )
        cluster, placement = single_pool(accelerators), "pooled"
        if windows:
            cluster, placement = with_nodes(cluster), "consolidate"
    recovery = None
    if checkpoints is not None:
        given = validate(Failures, {"checkpoints": dict(checkpoints)}, "replay")
        jobs = with_durations(jobs)
        check_jobs(jobs, "jobs")
        recovery = recovery_in(given, cluster, jobs, load_catalogue())
        for text in checkpoint_notes(given):
            note(text.removeprefix("Note: "))
    spec = validate(WindowsSpec, dict(windows or {}), "windows")
    share = None if spec.heroes is None else spec.heroes.share
    planned = Planned(planned_windows(spec, cluster), share)
    scheduling = Scheduling(
        policy=policy,
        options=options or {},
        placement=placement or "consolidate",
        placement_options=placement_options or {},
        span_pools=span_pools,
        exact_estimates=exact_estimates,
    )
    ahead = None if planned.is_empty else NodeEvents((), planned=planned)
    result = simulate(
        jobs,
        cluster,
        scheduling,
        node_events=ahead,
        recovery=recovery,
        network=network,
        check=check,
        progress=progress,
    )
    return result.with_provenance(provenance or {})
