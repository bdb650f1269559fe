"""Builds the result tables from the record of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.attempts import Attempts, StopCause
from clustersim.engine.node_events import NodeEvent, NodeEventKind, cause_text
from clustersim.engine.record import RunRecord
from clustersim.engine.recovery import Progress
from clustersim.scheduling.queue import Partition
from clustersim.simulation.dependencies import Dependencies
from clustersim.simulation.node_ranges import WORK_SHARE, range_texts
from clustersim.simulation.waits import total_wait_s
from clustersim.topology import Cluster

__all__ = [
    "FINISHED",
    "NEVER_RUNNABLE",
    "STOPS",
    "UNFINISHED",
    "allocation_ranges",
    "attempts_table",
    "jobs_table",
    "kept_aside",
    "outages_table",
    "preemptions",
    "serves",
    "utilisation",
]

FINISHED, UNFINISHED, NEVER_RUNNABLE = "finished", "unfinished", "never runnable"
"""Possible outcomes of a job."""

STOPS = {
    StopCause.NOT_STOPPED: "",
    StopCause.NODE: "node",
    StopCause.SAVED: "preempted (saved)",
    StopCause.REQUEUED: "preempted (requeued)",
    StopCause.SUSPENDED: "preempted (suspended)",
    StopCause.CANCELLED: "cancelled",
    StopCause.NETWORK: "network",
}
"""Why an attempt was stopped: an event of a node, the policy, or a fault of the network."""

_ADDED = (
    *("outcome", "pool", "start_s", "wait_s", "finish_s", "total_wait_s", "done", "reason"),
    *("eligible_s", "preemptions", "waited_for"),
)


def jobs_table(
    jobs: pd.DataFrame,
    simulated: npt.NDArray[np.intp],
    record: RunRecord,
    cluster: Cluster,
    partitions: list[Partition],
    reasons: dict[int, str],
    unfinished: npt.NDArray[np.object_],
) -> pd.DataFrame:
    """Return the input's columns and the outcome of each job.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The jobs table of the input.
    simulated : int array
        For each job in the record, its row in `jobs`.
    record : RunRecord
        The record of these jobs.
    cluster, partitions
        The cluster on which the jobs ran, and its partitions.
    reasons : dict
        Maps the row of each job that can never run to the reason.
    unfinished : object array
        The reason why each job in the record did not finish; None for a job that finished.

    Returns
    -------
    pandas.DataFrame
        `jobs`, then ``outcome``, ``pool``, ``start_s`` (of the first attempt), ``wait_s`` (from
        submission to this start), ``finish_s`` (seconds; NaN for a job that did not start or
        finish), ``total_wait_s`` (seconds in the queue over all attempts, see
        :func:`~clustersim.simulation.waits.total_wait_s`), ``done`` (share of its work),
        ``reason`` (why it did not finish) and, if dependencies or earliest times held a job,
        ``eligible_s`` (when they no longer did). A column of the input with one of these names is
        kept as ``recorded_<name>``.
    """
    n_jobs = len(jobs)
    start, finish = np.full(n_jobs, np.nan), np.full(n_jobs, np.nan)
    start[simulated], finish[simulated] = record.start_s, record.finish_s
    pool = np.full(n_jobs, -1)
    pool_of_partition = np.array([p.pool for p in partitions] + [-1])
    pool[simulated] = pool_of_partition[record.partition]
    done = np.zeros(n_jobs)
    attempts = record.attempts
    done[simulated] = np.bincount(attempts.job, attempts.done, minlength=len(simulated))
    done[np.isfinite(finish)] = 1.0
    outcome = np.full(n_jobs, 2)
    outcome[simulated] = np.where(np.isfinite(record.finish_s), 0, 1)
    reason = np.full(n_jobs, None, dtype=object)
    for row, text in reasons.items():
        reason[row] = text
    reason[simulated] = unfinished
    taken = kept_aside([str(name) for name in jobs.columns])
    added = pd.DataFrame(
        {
            "outcome": _labelled(outcome, [FINISHED, UNFINISHED, NEVER_RUNNABLE]),
            "pool": _labelled(pool, _pool_names(cluster)),
            "start_s": start,
            "wait_s": start - jobs["submit_s"].to_numpy(dtype=np.float64),
            "finish_s": finish,
            "total_wait_s": _total_wait_s(jobs, simulated, record),
            "done": done,
            "reason": pd.Series(reason, dtype="string"),
        },
        index=jobs.index,
    )
    table = pd.concat([jobs.rename(columns=taken), added], axis=1)
    eligible_s = _eligible_s(jobs, simulated, record, finish)
    return table if eligible_s is None else table.assign(eligible_s=eligible_s)


def _eligible_s(
    jobs: pd.DataFrame, simulated: npt.NDArray[np.intp], record: RunRecord, finish_s: Floats
) -> Floats | None:
    """Return when each job could start as far as it depends on no resources, seconds.

    None if this is its submission for all jobs; NaN for a job that always waited for others.
    """
    depend = Dependencies.of(jobs)
    if depend is None:
        return None
    done_s = np.where(np.isnan(finish_s), np.inf, finish_s)
    ended_s, attempts = done_s.copy(), record.attempts
    gone = attempts.cause == StopCause.CANCELLED
    ended_s[simulated[attempts.job[gone]]] = attempts.end_s[gone]
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    eligible_s = np.maximum.reduce([submit_s, *depend.until_s(ended_s, done_s)])
    if (eligible_s == submit_s).all():
        return None
    return np.where(np.isinf(eligible_s), np.nan, eligible_s)


def _total_wait_s(jobs: pd.DataFrame, simulated: npt.NDArray[np.intp], record: RunRecord) -> Floats:
    """Return the time that each job spent in the queue over all its attempts, seconds."""
    attempts = record.attempts
    order = np.argsort(attempts.job, kind="stable")
    end_s = attempts.end_s[order]
    total = np.full(len(jobs), np.nan)
    left_s = record.finish_s.copy()
    gone = attempts.cause == StopCause.CANCELLED
    left_s[attempts.job[gone]] = attempts.end_s[gone]  # it does not wait again
    total[simulated] = total_wait_s(
        jobs["submit_s"].to_numpy(dtype=np.float64)[simulated],
        left_s,
        attempts.job[order],
        attempts.start_s[order],
        np.where(np.isnan(end_s), record.end_s, end_s),
        record.end_s,
    )
    return total


def kept_aside(columns: Sequence[str], added: Sequence[str] = _ADDED) -> dict[str, str]:
    """Return new names for input columns whose names the result uses for other columns.

    Examples
    --------
    >>> kept_aside(["wait_s", "recorded_wait_s"])
    {'wait_s': 'recorded_wait_s', 'recorded_wait_s': 'recorded_recorded_wait_s'}
    """
    taken: dict[str, str] = {}
    for name in added:
        new = name
        while new in columns:
            taken[new] = f"recorded_{new}"
            new = taken[new]
    return taken


def allocation_ranges(
    jobs: pd.DataFrame,
    simulated: npt.NDArray[np.intp],
    record: RunRecord,
    cluster: Cluster,
    partitions: list[Partition],
    work_shares: Mapping[int, Sequence[float]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return one row per attempt at a job and pool, with the nodes on which it ran.

    Parameters
    ----------
    jobs, simulated, record, cluster, partitions
        As for :func:`jobs_table`.
    work_shares : mapping of int to sequence of float
        For each attempt on several pools, the share of its work that each of its parts does.

    Returns
    -------
    pandas.DataFrame
        ``job_id``, ``pool``, ``virtual_cluster``, ``nodes``, ``n_accelerators``, ``start_s``,
        ``end_s`` (seconds; the end of the simulation for a job that is still running), in order of
        job, then of start. An attempt on several pools has a row for each of them; if there is
        one, ``work_share`` is the share of each attempt's work that is done there. ``nodes`` are
        ranges of indices in the pool with the accelerators on each node (``0-63:8,70:4``); empty
        if the placement does not track nodes. Use
        :func:`~clustersim.simulation.node_ranges.by_node` for one row per node.
    """
    attempts = record.attempts
    parts = _parts(attempts)
    at, partition = parts.attempt, parts.partition
    end = attempts.end_s[at]
    table = pd.DataFrame(
        {
            "job_id": jobs["job_id"].to_numpy()[simulated[attempts.job[at]]],
            "pool": _labelled(
                np.array([p.pool for p in partitions])[partition], _pool_names(cluster)
            ),
            "virtual_cluster": pd.Series([p.virtual_cluster for p in partitions], dtype="string")
            .take(partition)
            .reset_index(drop=True),
            "nodes": _node_texts(record, partitions, parts),
            "n_accelerators": parts.n_accelerators,
            "start_s": attempts.start_s[at],
            "end_s": np.where(np.isfinite(end), end, record.end_s),
        }
    )
    if work_shares:
        table[WORK_SHARE] = [
            work_shares[attempt][number] if attempt in work_shares else 1.0
            for attempt, number in zip(at.tolist(), parts.number.tolist(), strict=True)
        ]
    return table


class _Parts(NamedTuple):
    """The parts of all attempts, in order of job, then of start; most attempts have one part.

    `number` counts the parts of an attempt from 0.
    """

    attempt: Ints
    number: Ints
    partition: Ints
    n_accelerators: Ints


def _parts(attempts: Attempts) -> _Parts:
    n_parts = np.ones(len(attempts.job), dtype=np.int64)
    for row, parts in attempts.parts.items():
        n_parts[row] = len(parts)
    order = np.argsort(attempts.job, kind="stable")
    attempt = np.repeat(order, n_parts[order])
    begins = np.cumsum(n_parts[order]) - n_parts[order]
    number = np.arange(len(attempt)) - np.repeat(begins, n_parts[order])
    partition, n = attempts.partition[attempt], attempts.n_accelerators[attempt]
    for row in np.flatnonzero(n_parts[attempt] > 1).tolist():
        partition[row], n[row] = attempts.parts[int(attempt[row])][number[row]]
    return _Parts(attempt, number, partition, n)


def _node_texts(record: RunRecord, partitions: list[Partition], parts: _Parts) -> pd.Series[str]:
    """Return the nodes of each part of an attempt, as ranges of indices in the pool."""
    allocated = record.allocated
    n_attempts = len(record.attempts.job)
    if not len(allocated.attempt):
        return pd.Series("", index=range(len(parts.attempt)), dtype="string")
    # The parts of an attempt were recorded one after the other.
    begins = np.flatnonzero(np.diff(allocated.attempt, prepend=-1) != 0)
    first = np.full(n_attempts, -1)
    first[allocated.attempt[begins]] = begins
    row = np.where(first[parts.attempt] >= 0, first[parts.attempt] + parts.number, -1)
    partition = np.empty(len(allocated.attempt), dtype=np.int64)
    partition[row[row >= 0]] = parts.partition[row >= 0]
    first_node = np.array([p.first_node for p in partitions])[partition]
    texts = range_texts(
        allocated.n_ranges,
        np.repeat(first_node, allocated.n_ranges) + allocated.first_node,
        allocated.n_nodes,
        allocated.chips,
    )
    found = pd.Series(pd.arrays.ArrowStringArray(texts)).astype("string")
    return found.reindex(row).fillna("").reset_index(drop=True)


def attempts_table(
    jobs: pd.DataFrame,
    simulated: npt.NDArray[np.intp],
    record: RunRecord,
    cluster: Cluster,
    partitions: list[Partition],
    *,
    left_out: Collection[str] = (),
) -> pd.DataFrame:
    """Return one row per attempt at a job, without the times in `left_out`.

    Returns
    -------
    pandas.DataFrame
        ``job_id``, ``attempt`` (0 for the first attempt of a job), ``pool`` (the first one of an
        attempt on several), ``n_accelerators`` (that it held in all),
        ``start_s``, ``end_s``, how its time was used (``kept_s``, ``lost_s``, ``checkpoint_s``,
        ``restart_s``, ``slow_s``, ``network_s``, ``storage_s``, in seconds), ``done`` (the
        share of the job's work that it did and kept) and ``stopped`` (why it was stopped before
        the job was done, see :data:`STOPS`; empty if it was not); in order of job, then of start.
        For an attempt that is still running, ``end_s`` is the end of the simulation, and all its
        work so far counts as kept.
    """
    attempts = record.attempts
    order = np.argsort(attempts.job, kind="stable")
    job = attempts.job[order]
    first = np.r_[True, np.diff(job) != 0][: len(job)]
    at = np.arange(len(job))
    end = attempts.end_s[order]
    row = simulated[job]
    parts = [name for name in Progress._fields if name not in left_out]
    return pd.DataFrame(
        {
            "job_id": jobs["job_id"].to_numpy()[row],
            "attempt": at - np.maximum.accumulate(np.where(first, at, 0)),
            "pool": _labelled(
                np.array([p.pool for p in partitions])[attempts.partition[order]],
                _pool_names(cluster),
            ),
            "n_accelerators": attempts.n_accelerators[order],
            "start_s": attempts.start_s[order],
            "end_s": np.where(np.isfinite(end), end, record.end_s),
            **{name: getattr(attempts, name)[order] for name in (*parts, "done")},
            "stopped": _labelled(attempts.cause[order], _stop_labels(attempts.cause)),
        }
    )


def _stop_labels(causes: Ints) -> list[str]:
    """Return the labels of the causes; the last one only if the network stopped a job."""
    labels = list(STOPS.values())
    return labels if (causes == StopCause.NETWORK).any() else labels[: StopCause.NETWORK]


def preemptions(attempts: Attempts, n_jobs: int) -> Ints:
    """Return how often the policy stopped each job."""
    by_policy = (attempts.cause > StopCause.NODE) & (attempts.cause < StopCause.NETWORK)
    return np.bincount(attempts.job[by_policy], minlength=n_jobs)


def outages_table(outages: Sequence[NodeEvent], cluster: Cluster) -> pd.DataFrame:
    """Return one row for each period during which a node was out of service or slow.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``node`` (index in the pool), ``n_accelerators``, ``begin_s``, ``end_s`` (seconds;
        infinite if the event was not over when the simulation ended), ``cause``, ``planned``,
        ``absent`` (not delivered yet, without power or space, or retired), ``slowdown`` (time per
        step of its jobs divided by the time per step at full speed; infinite if the node was out
        of service) and ``kind`` (label of a
        :class:`~clustersim.engine.node_events.NodeEventKind`).
    """
    chips = np.array([pool.chips_per_node for pool in cluster.pools])
    pool = np.array([outage.pool for outage in outages], dtype=np.int64)
    return pd.DataFrame(
        {
            "pool": _labelled(pool, _pool_names(cluster)),
            "node": np.array([outage.node for outage in outages], dtype=np.int32),
            "n_accelerators": chips[pool],
            "begin_s": np.array([outage.begin_s for outage in outages], dtype=np.float64),
            "end_s": np.array([outage.end_s for outage in outages], dtype=np.float64),
            "cause": pd.Series(
                [cause_text(outage.kind, outage.cause) for outage in outages], dtype="string"
            ),
            "planned": np.array([outage.kind.planned for outage in outages], dtype=bool),
            "absent": np.array([outage.kind.absent for outage in outages], dtype=bool),
            "slowdown": np.array([outage.slowdown for outage in outages], dtype=np.float64),
            "kind": pd.Series([outage.kind.label for outage in outages], dtype="string"),
        }
    )


def serves(outages: pd.DataFrame) -> Bools:
    """Return which rows of an outages table describe nodes reserved by a service."""
    return np.asarray((outages["kind"] == NodeEventKind.SERVICE.label).to_numpy(dtype=bool))


def utilisation(
    table: pd.DataFrame,
    cluster: Cluster,
    end_s: float,
    outages: pd.DataFrame | None = None,
    *,
    services: bool = False,
) -> pd.DataFrame:
    """Return the allocated accelerators of each pool as an exact step function.

    Parameters
    ----------
    table : pandas.DataFrame
        The allocations, with one row per attempt or per node.
    cluster : Cluster
        Pools and their sizes.
    end_s : float
        End of the simulation, seconds.
    outages : pandas.DataFrame, optional
        Nodes that were out of service.
    services : bool
        Whether there are services.

    Returns
    -------
    pandas.DataFrame
        ``pool``, ``time_s``, ``allocated``, ``installed`` (accelerators of nodes that are not
        absent), with `outages` also ``out`` (accelerators of installed nodes that are out of
        service), and with services ``serving`` (accelerators reserved by services, not in ``out``).
        There is a row at time 0, at every change and at the end; each row applies until the time of
        the next row.
    """
    parts = []
    kinds: list[pd.DataFrame | None] = [None, None, None]
    if outages is not None:
        serving = serves(outages)
        broken = _out_of_service(outages) & ~serving
        kinds = [outages[broken], outages[outages["absent"]], outages[serving]]
    for index, pool in enumerate(cluster.pools):
        held = _spans(table, index, "start_s", "end_s", end_s)
        spans = [held, *(_spans(each, index, "begin_s", "end_s", end_s) for each in kinds)]
        at, step_of = np.unique(
            np.concatenate([[0.0], *(times for times, _ in spans), [end_s]]), return_inverse=True
        )
        counts = np.zeros((4, len(at)), dtype=np.int64)
        begin = 1
        for row, (times, change) in enumerate(spans):
            np.add.at(counts[row], step_of[begin : begin + len(times)], change)
            begin += len(times)
        counts = counts.cumsum(axis=1)
        kept = (np.diff(counts, axis=1, prepend=-1) != 0).any(axis=0) | (at == at[-1])
        allocated, out, missing, serving = counts[:, kept]
        columns = {
            "pool": _labelled(np.full(int(kept.sum()), index), _pool_names(cluster)),
            "time_s": at[kept],
            "allocated": allocated,
            "installed": pool.n_chips - missing,
        }
        if outages is not None:
            columns["out"] = out
        if services:
            columns["serving"] = serving
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _out_of_service(outages: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows describe nodes that are present but out of service (not just slow)."""
    return ~outages["absent"] & (outages["slowdown"] == np.inf)


def _spans(
    table: pd.DataFrame | None, pool: int, begin: str, end: str, until_s: float
) -> tuple[Floats, Ints]:
    """Return the starts and ends (seconds) of a pool's rows, and the changes in accelerators.

    Ends later than `until_s` are omitted.
    """
    if table is None:
        return np.empty(0), np.empty(0, dtype=np.int64)
    rows = table[table["pool"].cat.codes.to_numpy() == pool]
    n = rows["n_accelerators"].to_numpy()
    ends = rows[end].to_numpy()
    known = ends <= until_s
    times = np.concatenate([rows[begin].to_numpy(), ends[known]])
    return times, np.concatenate([n, -n[known]])


def _pool_names(cluster: Cluster) -> list[str]:
    return [pool.name for pool in cluster.pools]


def _labelled(codes: npt.NDArray[Any], labels: list[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, pd.Index(labels, dtype="str"))
