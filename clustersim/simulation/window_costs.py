"""What the windows of a run did, and what it cost to keep accelerators free for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.attempts import Attempts, StopCause
from clustersim.engine.record import RunRecord
from clustersim.engine.window_driver import FreeLog, PlannedWindow
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster

__all__ = ["Held", "Waits", "drained_accelerator_s", "waits_of", "windows_table"]


@dataclass(frozen=True, slots=True)
class Held:
    """What was held during a run, as the drivers recorded it.

    Attributes
    ----------
    windows : sequence of PlannedWindow
    may_use : sequence of set of int
        The simulated jobs that may use each window.
    stopped : sequence of int
        How many jobs each window stopped.
    free : sequence of (int, Partition, FreeLog)
        See :class:`~clustersim.engine.window_driver.WindowDriver`.
    heroes : mapping of int to FreeLog
        See :class:`~clustersim.engine.hero_driver.HeroDriver`.
    """

    windows: Sequence[PlannedWindow]
    may_use: Sequence[frozenset[int]]
    stopped: Sequence[int]
    free: Sequence[tuple[int, Partition, FreeLog]]
    heroes: Mapping[int, FreeLog]


def windows_table(
    held: Held,
    record: RunRecord,
    cluster: Cluster,
    partitions: Sequence[Partition],
    job_ids: Sequence[Any],
    submit_s: Floats,
    sizes: Ints,
    estimate_s: Floats,
    choices: Sequence[Sequence[int]],
    choice_of: Ints,
) -> pd.DataFrame:
    """Return one row for each window and each hero job that had to wait.

    Parameters
    ----------
    held : Held
    record : RunRecord
    cluster, partitions
    job_ids : sequence
        Ids of the simulated jobs.
    submit_s, sizes : arrays (jobs,)
        Their submission (seconds) and number of accelerators.
    estimate_s : float64 array (pools, jobs)
        Estimated run times, seconds.
    choices : sequence of sequence of int
        The distinct sets of partitions on which jobs can run.
    choice_of : int array (jobs,)

    Returns
    -------
    pandas.DataFrame
        ``name`` (of a hero job, its id), ``kind`` (maintenance, reservation or hero), ``pool``,
        ``n_accelerators``, ``announced_s``, ``begin_s``, ``end_s`` (seconds; of a hero job its
        submission, start and end), ``stopped`` (jobs stopped at the beginning) and
        ``drained_accelerator_s`` (see :func:`drained_accelerator_s`).
    """
    attempts = record.attempts
    gone = np.isfinite(record.finish_s)
    gone[attempts.job[attempts.cause == StopCause.CANCELLED]] = True
    waits = waits_of(submit_s, attempts, gone, record.end_s)

    def can_use(index: int, but: frozenset[int]) -> Bools:
        able = np.array([index in choice for choice in choices], dtype=np.bool_)[choice_of]
        able[list(but)] = False
        return able

    rows: list[dict[str, Any]] = []
    for number, window in enumerate(held.windows):
        cost = 0.0
        for of, partition, log in held.free:
            if of == number:
                log.note(max(record.end_s, *log.times_s[-1:], 0.0), 0)
                able = can_use(partition.index, held.may_use[number])
                own_s = estimate_s[partition.pool]
                cost += drained_accelerator_s(log, waits, sizes, own_s, window.begin_s, able)
        pool = cluster.pools[window.pool]
        rows.append(
            {
                "name": window.name,
                "kind": window.kind,
                "pool": pool.name,
                "n_accelerators": len(window.nodes) * pool.chips_per_node,
                "announced_s": min(window.announced_s, window.begin_s),
                "begin_s": window.begin_s,
                "end_s": window.end_s,
                "stopped": held.stopped[number],
                "drained_accelerator_s": cost,
            }
        )
    for job, log in sorted(held.heroes.items()):
        log.note(max(record.end_s, *log.times_s[-1:], 0.0), 0)
        index = int(record.partition[job])
        index = choices[choice_of[job]][0] if index < 0 else index
        partition, begin_s = partitions[index], float(record.start_s[job])
        own_s, able = estimate_s[partition.pool], can_use(index, frozenset({job}))
        then_s = record.end_s if np.isnan(begin_s) else begin_s
        rows.append(
            {
                "name": str(job_ids[job]),
                "kind": "hero",
                "pool": cluster.pools[partition.pool].name,
                "n_accelerators": int(sizes[job]),
                "announced_s": float(submit_s[job]),
                "begin_s": begin_s,
                "end_s": float(record.finish_s[job]),
                "stopped": 0,
                "drained_accelerator_s": drained_accelerator_s(
                    log, waits, sizes, own_s, then_s, able
                ),
            }
        )
    return pd.DataFrame(rows, columns=_NAMES)


_NAMES = [
    *("name", "kind", "pool", "n_accelerators", "announced_s", "begin_s", "end_s", "stopped"),
    "drained_accelerator_s",
]


@dataclass(frozen=True, slots=True)
class Waits:
    """The times in which jobs waited, one row each.

    Attributes
    ----------
    job : int64 array (waits,)
        Number of the simulated job.
    begin_s, end_s : float64 arrays (waits,)
        Seconds; the end is that of the run if the job still waited.
    """

    job: Ints
    begin_s: Floats
    end_s: Floats


def waits_of(submit_s: Floats, attempts: Attempts, finished: Bools, end_s: float) -> Waits:
    """Return the times in which jobs waited: before each attempt, and after the last one."""
    order = np.lexsort((attempts.start_s, attempts.job))
    job, start_s = attempts.job[order], attempts.start_s[order]
    until_s = np.where(np.isnan(attempts.end_s[order]), end_s, attempts.end_s[order])
    first = np.append(True, job[1:] != job[:-1])[: len(job)]
    begin_s = np.where(first, submit_s[job], np.append(0.0, until_s[:-1])[: len(job)])
    last_s = submit_s.copy()
    last_s[job] = until_s
    rest = np.flatnonzero(~finished)
    return Waits(
        np.concatenate([job, rest]),
        np.concatenate([begin_s, last_s[rest]]),
        np.concatenate([start_s, np.full(len(rest), end_s)]),
    )


def drained_accelerator_s(
    log: FreeLog, waits: Waits, sizes: Ints, estimate_s: Floats, begin_s: float, may_wait: Bools
) -> float:
    """Return the accelerator-seconds that were kept free for a window while others waited.

    At each time, it is the number of free accelerators on the nodes of the window, but at most as
    many as those waiting jobs ask for that would run past its beginning.

    Parameters
    ----------
    log : FreeLog
        Free accelerators until the beginning.
    waits : Waits
    sizes : int64 array (jobs,)
    estimate_s : float64 array (jobs,)
        Estimated run times there, seconds.
    begin_s : float
        Beginning of the window, seconds.
    may_wait : bool array (jobs,)
        Jobs that could use the nodes, but not during the window.
    """
    if len(log.times_s) < 2:
        return 0.0
    job = waits.job
    from_s = np.maximum(waits.begin_s, begin_s - estimate_s[job])
    kept_off = may_wait[job] & (from_s < waits.end_s)
    times = np.concatenate([from_s[kept_off], waits.end_s[kept_off]])
    change = np.concatenate([sizes[job[kept_off]], -sizes[job[kept_off]]])
    order = np.argsort(times, kind="stable")
    times, asked = times[order], np.cumsum(change[order])
    free_s, free = np.array(log.times_s), np.array(log.free)
    edges = np.unique(np.concatenate([free_s, times]))
    edges = edges[(edges >= free_s[0]) & (edges <= free_s[-1])]
    now = edges[:-1]
    free_then = free[np.searchsorted(free_s, now, side="right") - 1]
    at = np.searchsorted(times, now, side="right") - 1
    asked_then = np.where(at >= 0, np.append(asked, 0)[at], 0)
    return float((np.minimum(free_then, asked_then) * np.diff(edges)).sum())
