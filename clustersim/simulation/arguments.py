"""Checks of the arguments of a simulation, with error messages that suggest valid values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import pandas as pd

from clustersim.catalogue import Catalogue
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError, kind_text, shown
from clustersim.simulation.runtimes import Runtimes
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.speeds import RunTimeModel
from clustersim.topology import Cluster, ClusterSpec
from clustersim.workload import JobLog

__all__ = ["FORMER", "check_arguments"]

FORMER = {
    **{
        name: f"run_times=RunTimeModel({name}=...)"
        for name in ("reference_accelerator", "reference_models", "draw", "precision")
    },
    "ports": "run_times=with_software(find_runtimes(...), ...)",
    "outages": "node_events=...",
    "demands": "node_events=NodeEvents(events, services)",
    "provenance": "simulate(...).with_provenance(...)",
}
"""Maps each argument of earlier versions of `simulate` to its replacement."""


def check_arguments(
    jobs: object,
    cluster: object,
    scheduling: object,
    catalogue: object,
    run_times: object,
    node_events: object,
    recovery: object,
    horizon_s: object,
) -> None:
    """Check that the arguments of a simulation have valid types and are consistent.

    Node events from an iterator are not checked here, because they are generated during the run.

    Raises
    ------
    InputError
        If an argument is invalid. The message describes the first invalid argument.
    """
    for name, problem in (
        ("jobs", _jobs_problem(jobs)),
        ("cluster", _cluster_problem(cluster)),
        ("scheduling", _scheduling_problem(scheduling)),
        ("catalogue", _catalogue_problem(catalogue)),
        ("recovery", _recovery_problem(recovery)),
        ("horizon_s", _horizon_problem(horizon_s)),
    ):
        if problem:
            raise InputError(name, problem)
    assert isinstance(jobs, pd.DataFrame)
    assert isinstance(cluster, Cluster)
    if problem := _run_times_problem(run_times, jobs, cluster):
        raise InputError("run_times", problem)
    if problem := _node_events_problem(node_events, cluster):
        raise InputError("node_events", problem)


def _jobs_problem(jobs: object) -> str:
    if isinstance(jobs, pd.DataFrame):
        return ""
    if isinstance(jobs, JobLog):
        return "must be a table of jobs (pandas.DataFrame), found a JobLog; use its attribute .jobs"
    how = "read one from a file with clustersim.read_jobs(path).jobs"
    return f"must be a table of jobs (pandas.DataFrame), found {kind_text(jobs)}; {how}"


def _cluster_problem(cluster: object) -> str:
    if isinstance(cluster, Cluster):
        return ""
    compiled = "clustersim.compile_cluster"
    if isinstance(cluster, ClusterSpec):
        return f"must be a compiled topology, found a ClusterSpec; use {compiled}(spec)"
    found = f"must be a compiled topology, found {kind_text(cluster)}"
    if isinstance(cluster, int) and not isinstance(cluster, bool):
        return f"{found}; for one pool of this size use clustersim.single_pool({cluster})"
    named = shown(cluster) if isinstance(cluster, str) else "path"
    return f"{found}; use {compiled}(clustersim.load_cluster({named}, catalogue))"


def _scheduling_problem(scheduling: object) -> str:
    if isinstance(scheduling, Scheduling):
        return ""
    example = "Scheduling(policy=..., placement=...)"
    if isinstance(scheduling, str):
        example = f"Scheduling(policy={scheduling!r})"
    return f"must be a Scheduling, found {kind_text(scheduling)}; use clustersim.{example}"


def _catalogue_problem(catalogue: object) -> str:
    if catalogue is None or isinstance(catalogue, Catalogue):
        return ""
    return f"must be a catalogue, found {kind_text(catalogue)}; use clustersim.load_catalogue()"


def _run_times_problem(run_times: object, jobs: pd.DataFrame, cluster: Cluster) -> str:
    if run_times is None or isinstance(run_times, RunTimeModel):
        return ""
    if not isinstance(run_times, Runtimes):
        return f"must be a RunTimeModel or Runtimes, found {kind_text(run_times)}"
    wanted = len(cluster.pools), len(jobs)
    for name in ("run_s", "estimate_s"):
        found = getattr(run_times, name).shape
        if found != wanted:
            return f"{name}: has shape {found}; expected {wanted} (number of pools and of jobs)"
    return ""


def _node_events_problem(events: object, cluster: Cluster) -> str:
    """Describe the first problem with the node events; empty if there is none."""
    if events is None:
        return ""
    if isinstance(events, str | Mapping | pd.DataFrame) or not isinstance(events, Iterable):
        return f"must be a list or an iterator of NodeEvent, found {kind_text(events)}"
    last_s = -math.inf
    for number, event in enumerate(events if isinstance(events, Sequence) else ()):
        if problem := _event_problem(event, cluster, last_s):
            return f"at index {number}: {problem}"
        last_s = event.begin_s
    return ""


def _event_problem(event: object, cluster: Cluster, last_s: float) -> str:
    if not isinstance(event, NodeEvent):
        return f"must be a NodeEvent, found {kind_text(event)}"
    if not 0 <= event.pool < len(cluster.pools):
        n_pools = len(cluster.pools)
        return f"there is no pool with index {event.pool}; number of pools: {n_pools}"
    pool = cluster.pools[event.pool]
    if not 0 <= event.node < pool.n_nodes:
        n_nodes = f"{pool.n_nodes:,}"
        return (
            f"there is no node with index {event.node}; number of nodes in pool {pool.name}: "
            f"{n_nodes}"
        )
    if event.begin_s < last_s:
        return (
            f"begins at {event.begin_s:g} s, before the previous event ({last_s:g} s); sort the "
            "events by begin_s"
        )
    return ""


def _recovery_problem(recovery: object) -> str:
    if recovery is None or isinstance(recovery, Recovery):
        return ""
    return f"must be a Recovery, found {kind_text(recovery)}"


def _horizon_problem(horizon_s: object) -> str:
    if horizon_s is None:
        return ""
    is_number = isinstance(horizon_s, Real) and not isinstance(horizon_s, bool)
    if is_number and 0 < float(horizon_s) < math.inf:  # type: ignore[arg-type]
        return ""
    return f"must be a number of seconds above 0, found {shown(horizon_s)}"
