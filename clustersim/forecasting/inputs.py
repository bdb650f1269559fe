"""The state and the cluster of a forecast, from the arguments that a user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.calendar import Calendar
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, kind_text
from clustersim.forecasting.saved_run import (
    Then,
    cluster_of_run,
    not_continued,
    scheduling_of_run,
    state_of_jobs,
    state_of_run,
)
from clustersim.simulation.partition_names import (
    alternatives,
    names_any,
    partition_names_of,
    queues_of_namespaces,
    unknown_names,
)
from clustersim.simulation.result import Result
from clustersim.sites import read_queue
from clustersim.sites.queue import QueueState
from clustersim.time_zones import parse_zone
from clustersim.topology import Cluster, Pool, compile_cluster, load_cluster, single_pool
from clustersim.units import MOST_CHIPS, counted, listed

__all__ = ["Given", "cluster_of", "read_state", "with_queues_of"]


@dataclass(frozen=True, eq=False)
class Given:
    """A state as the user gives it.

    Attributes
    ----------
    state : QueueState
    calendar : Calendar
        Its date, if known.
    now_s : float
        The present on the time axis of `calendar` and `history`.
    history : pandas.DataFrame or None
        Jobs of a saved run or table that have ended.
    result : Result or None
        The saved run.
    policy, placement : str or None
        Those of the saved run.
    submitted : pandas.DataFrame or None
        All jobs of a saved run or table that had been submitted; ``duration_s`` is missing unless
        they have ended.
    notes : tuple of str
        What a saved run had that the forecast does not continue.
    """

    state: QueueState
    calendar: Calendar
    now_s: float
    history: pd.DataFrame | None = None
    result: Result | None = None
    policy: str | None = None
    placement: str | None = None
    options: Mapping[str, Any] | None = None
    submitted: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()


def read_state(
    state: Any,
    *,
    at_s: float | None,
    time_zone: str | None,
    taken_at: str | datetime | None,
    columns: Sequence[str],
    gpus_per_node: int | None,
) -> Given:
    """Read the state from what a user gives.

    Parameters
    ----------
    state, at_s, time_zone, taken_at, columns, gpus_per_node
        As for :func:`clustersim.forecast`.

    Raises
    ------
    InputError
        If it is none of the kinds that are allowed, or a time is missing or not allowed.
    """
    if isinstance(state, str | Path):
        path = Path(state)
        if path.is_dir():
            return _of_result(Result.load(path), at_s, str(path))
        table = _table(path)
        if table is not None:
            return _of_then(state_of_jobs(table, at_s, str(path)))
    if isinstance(state, Result):
        return _of_result(state, at_s, "result")
    if isinstance(state, pd.DataFrame):
        return _of_then(state_of_jobs(state, at_s, "jobs"))
    if at_s is not None:
        raise InputError(
            "--at", "is only allowed with a saved run or a table of jobs; see --taken-at"
        )
    if isinstance(state, str | Path):
        state = read_queue(
            state,
            time_zone=time_zone,
            taken_at=taken_at,
            columns=columns,
            gpus_per_node=gpus_per_node,
        )
    if not isinstance(state, QueueState):
        raise InputError(
            "state",
            f"must be a file, the folder of a saved run, a QueueState, a Result or a table, found "
            f"{kind_text(state)}",
        )
    zone = _zone(time_zone)
    if state.taken_at is None:
        return Given(state, Calendar(), 0.0)
    local = state.taken_at.astimezone(zone or UTC)
    if not state.zoned:
        local = local.replace(tzinfo=None)
    return Given(state, Calendar(local), 0.0)


def _zone(name: str | None) -> tzinfo | None:
    try:
        return None if name is None else parse_zone(name)
    except ValueError as error:
        raise InputError("--time-zone", str(error)) from None


def _table(path: Path) -> pd.DataFrame | None:
    """Return the project's own table of jobs in a file; None if the file has none."""
    names = {"job_id", "submit_s", "n_accelerators"}
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv" and names <= set(pd.read_csv(path, nrows=0).columns):
            return pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except (OSError, ValueError) as error:
        if path.suffix == ".parquet":
            raise InputError(path, f"cannot be read as Parquet: {error}") from None
    return None


def _of_result(result: Result, at_s: float | None, source: str) -> Given:
    if at_s is None:
        raise InputError("--at", "is needed with a saved run, for example --at 3d")
    then = state_of_run(result, at_s, source)
    given = _of_then(then)
    lost = not_continued(result)
    notes = (f"the run had {listed(lost)}, which the forecast does not continue",) if lost else ()
    return replace(
        given, calendar=result.calendar, result=result, notes=notes, **scheduling_of_run(result)
    )


def _of_then(then: Then) -> Given:
    return Given(then.state, Calendar(), then.now_s, then.history, submitted=then.submitted)


def cluster_of(
    given: Given,
    cluster: Cluster | str | Path | None,
    accelerators: int | Mapping[str, int] | None,
    catalogue: Catalogue,
) -> tuple[Cluster, str]:
    """Return the cluster, and a note on what it assumes (empty if nothing).

    Parameters
    ----------
    given : Given
        The state; a saved run has a cluster of its own.
    cluster, accelerators
        As for :func:`clustersim.forecast`.
    catalogue : Catalogue

    Raises
    ------
    InputError
        If both or neither of `cluster` and `accelerators` are given, or a number is not allowed.
    """
    if cluster is not None and accelerators is not None:
        raise InputError("forecast", "needs either a cluster or accelerators, not both")
    if cluster is not None:
        if not isinstance(cluster, Cluster):
            cluster = compile_cluster(load_cluster(cluster, catalogue))
        return _with_known_partitions(cluster, with_queues_of(given, cluster))
    if accelerators is None:
        found = None if given.result is None else cluster_of_run(given.result, catalogue)
        if found is None:
            raise InputError("forecast", "needs --cluster TOPOLOGY or --accelerators N")
        return found, ""
    if isinstance(accelerators, Mapping):
        return _by_partition(accelerators), ""
    names = dict.fromkeys(
        name
        for job in given.state.jobs
        if job.n_accelerators and job.partition
        for name in alternatives(job.partition, ())
    )
    note = ""
    if len(names) > 1:
        note = (
            f"{counted(len(names), 'partition')} ({', '.join(list(names)[:8])}) share all "
            f"{accelerators:,} accelerators: give their sizes with --accelerators "
            f"{next(iter(names))}=N,... or a topology with --cluster"
        )
    return single_pool(accelerators), note


def _with_known_partitions(cluster: Cluster, given: Given) -> tuple[Cluster, str]:
    """Return the cluster; without its partitions, and a note, if the jobs name only others.

    As in a replay, names in the column ``vc`` of a table or a saved run are those of the cluster.
    """
    there = partition_names_of(cluster)
    named = [job.partition for job in given.state.jobs if job.n_accelerators and job.partition]
    of_cluster = given.submitted is not None and "vc" in given.submitted
    if of_cluster or not there or not named or names_any(named, there):
        return cluster, ""
    return cluster.undivided(), unknown_names(named, there)


def with_queues_of(given: Given, cluster: Cluster) -> Given:
    """Return the state with the queues of the cluster as partitions, where namespaces tell them.

    Parameters
    ----------
    given : Given
    cluster : Cluster
        LocalQueues of the same name in several namespaces are NAMESPACE/NAME in its queues.
    """
    jobs = given.state.jobs
    names = np.array([job.partition for job in jobs], dtype=object)
    own = queues_of_namespaces(
        names, [job.job_id for job in jobs], partition_names_of(cluster)
    ).tolist()
    if own == names.tolist():
        return given
    jobs = tuple(replace(job, partition=name) for job, name in zip(jobs, own, strict=True))
    return replace(given, state=replace(given.state, jobs=jobs))


def _by_partition(accelerators: Mapping[str, int]) -> Cluster:
    """Return a cluster with a pool for each partition."""
    zero = np.zeros(1, dtype=np.int32)
    pools = []
    for name, count in accelerators.items():
        if not 1 <= count <= MOST_CHIPS:
            raise InputError(
                "--accelerators", f"{name}: found {count}; allowed: 1 to {MOST_CHIPS:,}"
            )
        pools.append(
            Pool(
                name=name,
                accelerator="",
                n_nodes=1,
                chips_per_node=count,
                nic_Bps=float("inf"),
                scaleup_size=count,
                leaf_of_node=zero,
                unit_of_node=zero,
                queues=(name,),
            )
        )
    return Cluster("partitions", tuple(pools))
