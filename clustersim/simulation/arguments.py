"""Checks of the arguments of a simulation, with messages that say what to give instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real

import pandas as pd

from clustersim.catalogue import Catalogue
from clustersim.engine.outages import Outage
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError, shown
from clustersim.simulation.runtimes import Runtimes
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.speeds import RunTimeModel
from clustersim.topology import Cluster, ClusterSpec
from clustersim.workload import JobLog

__all__ = ["check_arguments", "check_node_events", "check_run_times"]


def check_arguments(
    jobs: object,
    cluster: object,
    scheduling: object,
    catalogue: object,
    run_times: object,
    recovery: object,
    horizon_s: object,
) -> None:
    """Check of which kind the arguments of a simulation are.

    Raises
    ------
    InputError
        For the first that is of another kind.
    """
    for name, problem in (
        ("jobs", _jobs_problem(jobs)),
        ("cluster", _cluster_problem(cluster)),
        ("scheduling", _scheduling_problem(scheduling)),
        ("catalogue", _catalogue_problem(catalogue)),
        ("run_times", _run_times_problem(run_times)),
        ("recovery", _recovery_problem(recovery)),
        ("horizon_s", _horizon_problem(horizon_s)),
    ):
        if problem:
            raise InputError(name, problem)


def check_node_events(events: object, cluster: Cluster) -> None:
    """Check that node events are in order and of nodes of the cluster.

    Those that are made as the run goes on (an iterator) are checked by the engine alone.

    Raises
    ------
    InputError
        If they are not.
    """
    if events is None:
        return
    if isinstance(events, str | Mapping | pd.DataFrame) or not isinstance(events, Iterable):
        told = f"must be a list of Outage or an iterator of them, found {_kind(events)}"
        raise InputError("node_events", told)
    if isinstance(events, Sequence):
        problems = list(_event_problems(events, cluster))
        if problems:
            raise InputError("node_events", problems)


def check_run_times(runtimes: Runtimes, jobs: pd.DataFrame, cluster: Cluster) -> None:
    """Check that run times are given for each pool and job.

    Raises
    ------
    InputError
        If they are not.
    """
    wanted = len(cluster.pools), len(jobs)
    for name in ("run_s", "estimate_s"):
        found = getattr(runtimes, name).shape
        if found != wanted:
            raise InputError(
                "run_times",
                f"{name}: has the shape {found}, must be {wanted} (pools of the cluster, jobs)",
            )


def _jobs_problem(jobs: object) -> str:
    if isinstance(jobs, pd.DataFrame):
        return ""
    if isinstance(jobs, JobLog):
        return "must be a table of jobs (pandas.DataFrame), found a JobLog; give its .jobs"
    how = "clustersim.read_jobs(path).jobs reads one from a file"
    return f"must be a table of jobs (pandas.DataFrame), found {_kind(jobs)}; {how}"


def _cluster_problem(cluster: object) -> str:
    if isinstance(cluster, Cluster):
        return ""
    compiled = "clustersim.compile_cluster"
    if isinstance(cluster, ClusterSpec):
        return f"must be a compiled topology; {compiled}(spec) gives one"
    found = f"must be a compiled topology, found {_kind(cluster)}"
    if isinstance(cluster, int) and not isinstance(cluster, bool):
        return f"{found}; clustersim.single_pool({cluster}) is one pool of so many accelerators"
    named = shown(cluster) if isinstance(cluster, str) else "path"
    return f"{found}; {compiled}(clustersim.load_cluster({named}, catalogue)) gives one"


def _scheduling_problem(scheduling: object) -> str:
    if isinstance(scheduling, Scheduling):
        return ""
    told = "Scheduling(policy=..., placement=...)"
    if isinstance(scheduling, str):
        told = f"Scheduling(policy={scheduling!r})"
    return f"must be a Scheduling, found {_kind(scheduling)}; give clustersim.{told}"


def _catalogue_problem(catalogue: object) -> str:
    if catalogue is None or isinstance(catalogue, Catalogue):
        return ""
    return f"must be a catalogue, found {_kind(catalogue)}; clustersim.load_catalogue() gives one"


def _run_times_problem(run_times: object) -> str:
    if run_times is None or isinstance(run_times, Runtimes | RunTimeModel):
        return ""
    return f"must be a RunTimeModel or Runtimes, found {_kind(run_times)}"


def _recovery_problem(recovery: object) -> str:
    if recovery is None or isinstance(recovery, Recovery):
        return ""
    return f"must be a Recovery, found {_kind(recovery)}"


def _horizon_problem(horizon_s: object) -> str:
    if horizon_s is None:
        return ""
    if isinstance(horizon_s, Real) and not isinstance(horizon_s, bool) and 0 < horizon_s < math.inf:
        return ""
    return f"must be a number of seconds above 0, found {shown(horizon_s)}"


def _event_problems(events: Sequence[object], cluster: Cluster) -> Iterator[str]:
    """Faults of the first event that has some."""
    last_s = -math.inf
    for number, event in enumerate(events):
        if not isinstance(event, Outage):
            yield f"number {number}: must be an Outage, found {_kind(event)}"
            return
        if not 0 <= event.pool < len(cluster.pools):
            yield (
                f"number {number}: there is no pool {event.pool}; the cluster has "
                f"{len(cluster.pools)} (counted from 0)"
            )
            return
        nodes = cluster.pools[event.pool].n_nodes
        if not 0 <= event.node < nodes:
            name = cluster.pools[event.pool].name
            yield f"number {number}: there is no node {event.node}; pool {name} has {nodes:,}"
            return
        if event.begin_s < last_s:
            yield (
                f"number {number}: begins at {event.begin_s:g} s, before the one ahead of it "
                f"({last_s:g} s); sort them by their begin"
            )
            return
        last_s = event.begin_s


def _kind(value: object) -> str:
    """Show a short value, and name the kind of another."""
    if isinstance(value, str | int | float | bool):
        return shown(value)
    return f"{'an' if type(value).__name__[0] in 'AEIOU' else 'a'} {type(value).__name__}"
