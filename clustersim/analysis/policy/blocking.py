"""Accelerators that stayed free while jobs waited: head-of-line blocking and fragmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.policy.free_nodes import Free, free_over_time
from clustersim.analysis.policy.steps import NONE, least_covering, values_at
from clustersim.array_types import Bools, Floats, Ints
from clustersim.simulation.attempt_parts import one_row_an_attempt
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.simulation.unfinished import cancelled
from clustersim.workload.job_groups import partitions_of_jobs
from clustersim.workload.jobs import texts_of

__all__ = ["FreeWhileWaiting", "free_while_waiting"]

KINDS = ("free", "blocked", "unusable", "stranded", "largest")
_ALIKE = ("accelerators", "model", "job_class")
"""Columns in which jobs agree that can run on the same pools."""


@dataclass(frozen=True, slots=True)
class FreeWhileWaiting:
    """Step functions of free accelerators by pool, and their time integrals.

    Attributes
    ----------
    time_s : float64 array (steps + 1,)
        Times in order; a value holds from its time to the next one.
    by_pool : mapping of str to mapping of str to array (steps,)
        ``free`` accelerators; of them, those ``blocked`` by the head of the queue, ``unusable``
        for every waiting job though there are enough, and ``stranded`` on nodes; and the
        ``largest`` gang that could start.
    """

    time_s: Floats
    by_pool: Mapping[str, Mapping[str, npt.NDArray[np.float64]]]

    def integrals(self, kind: str, begin_s: float, end_s: float) -> dict[str, float]:
        """Return the integral of a step function in a time interval, by pool."""
        held_s = np.diff(np.clip(self.time_s, begin_s, end_s))
        return {pool: float((held_s * own[kind]).sum()) for pool, own in self.by_pool.items()}


def free_while_waiting(result: Result) -> FreeWhileWaiting:
    """Return the accelerators of a run that were free while jobs waited, and why.

    A job waits from its submission, or from the time at which it was stopped, to its next start.
    It can run on every partition on which a job of the same virtual cluster, model, class and list
    of chips ran; on all partitions if none ran.  It fits on a partition if the largest gang that
    could start there is as large as the job.  The queue of a virtual cluster with nodes of its own,
    or else of the whole cluster, is ordered by submission.

    - *blocked*: free accelerators of a partition on which a job of the queue fits, while the first
      job of the queue fits on none
    - *unusable*: free accelerators of a partition on which no waiting job fits, although they are
      as many as a waiting job that can run there needs

    Parameters
    ----------
    result : Result

    Examples
    --------
    Of 8 accelerators, job 1 holds 4 for 100 s.  Job 2 needs 8 and waits; job 3 needs 4, would fit,
    and waits behind it:

    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20], "duration_s": 100})
    >>> log["n_accelerators"] = [4, 8, 4]
    >>> found = free_while_waiting(cs.replay(log, policy="fcfs", accelerators=8))
    >>> found.integrals("blocked", 0.0, 300.0)
    {'pool': 320.0}
    """
    jobs = result.jobs
    end_s = float(result.provenance["simulated_s"])
    n = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    can_run = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
    can_run = can_run & (jobs["submit_s"].to_numpy(dtype=np.float64) <= end_s)
    partitions = free_over_time(result, n[can_run])
    job, begin_s, until_s = _waits(result, can_run, end_s)
    times = [each.time_s for each in partitions]
    time_s = np.unique(np.concatenate([begin_s, until_s, [0.0, end_s], *times]))
    n_steps = len(time_s) - 1
    first, last = np.searchsorted(time_s, begin_s), np.searchsorted(time_s, until_s)
    state = [_state(each, time_s[:-1]) for each in partitions]
    kind, allowed = _allowed(result, partitions)
    fits = np.zeros((len(partitions), n_steps), dtype=bool)
    enough = np.zeros((len(partitions), n_steps), dtype=bool)
    blocked = np.zeros((len(partitions), n_steps), dtype=bool)
    for queue in _queues(partitions):
        heads_fit = np.zeros(n_steps, dtype=bool)
        members = [k for k, own in enumerate(allowed) if any(p in queue for p in own)]
        mine = np.isin(kind[job], members)
        head = least_covering(first[mine], last[mine], job[mine], n_steps)
        waits = head < NONE
        size, of_kind = np.zeros(n_steps, dtype=np.int64), np.full(n_steps, -1)
        size[waits], of_kind[waits] = n[head[waits]], kind[head[waits]]
        for member in members:
            own = kind[job] == member
            least = least_covering(first[own], last[own], n[job[own]], n_steps)
            for at in allowed[member]:
                fits[at] |= least <= state[at]["largest"]
                enough[at] |= least <= state[at]["free"]
                heads_fit |= (of_kind == member) & (size <= state[at]["largest"])
        for at in queue:
            blocked[at] = waits & ~heads_fit & fits[at]
    return FreeWhileWaiting(time_s, _by_pool(partitions, state, blocked, enough & ~fits))


def _by_pool(
    partitions: list[Free],
    state: list[dict[str, npt.NDArray[np.float64]]],
    blocked: Bools,
    unusable: Bools,
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """Add up the partitions of each pool; the largest gang is that of any of them."""
    found: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for at, each in enumerate(partitions):
        free = state[at]["free"]
        own = {
            **state[at],
            "blocked": np.where(blocked[at], free, 0.0),
            "unusable": np.where(unusable[at], free, 0.0),
        }
        before = found.get(each.pool)
        if before is None:
            found[each.pool] = own
            continue
        for name in KINDS:
            join = np.maximum if name == "largest" else np.add
            before[name] = join(before[name], own[name])
    return found


def _state(free: Free, at_s: Floats) -> dict[str, npt.NDArray[np.float64]]:
    place = np.searchsorted(free.time_s, at_s, side="right") - 1
    return {
        "free": values_at(free.time_s, free.free, at_s).astype(np.float64),
        "largest": values_at(free.time_s, free.largest, at_s).astype(np.float64),
        "stranded": np.where(place >= 0, free.stranded[np.maximum(place, 0)], 0.0),
    }


def _waits(result: Result, can_run: Bools, end_s: float) -> tuple[Ints, Floats, Floats]:
    """Return the job, begin and end of each wait that has a length."""
    jobs, ran = result.jobs, one_row_an_attempt(result.allocation_ranges)
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(ran["job_id"]))
    start_s, stop_s = (ran[name].to_numpy(dtype=np.float64) for name in ("start_s", "end_s"))
    first = np.r_[True, row[1:] != row[:-1]][: len(row)]
    last = np.r_[row[1:] != row[:-1], True][: len(row)]
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    since_s = np.where(first, submit_s[row], np.r_[0.0, stop_s[:-1]][: len(row)])
    ended = np.isfinite(jobs["finish_s"].to_numpy(dtype=np.float64)) | cancelled(jobs)
    again = last & ~ended[row]
    never = np.flatnonzero(can_run & ~np.isin(np.arange(len(jobs)), row))
    job = np.concatenate([row, row[again], never]).astype(np.int64)
    begin_s = np.concatenate([since_s, stop_s[again], submit_s[never]])
    until_s = np.concatenate([start_s, np.full(int(again.sum()) + len(never), end_s)])
    real = until_s > begin_s
    return job[real], begin_s[real], until_s[real]


def _allowed(result: Result, partitions: list[Free]) -> tuple[Ints, list[list[int]]]:
    """Return the kind of each job, and the partitions on which the jobs of each kind can run."""
    jobs, ran = result.jobs, result.allocation_ranges
    names = partitions_of_jobs(jobs)
    owner = np.full(len(jobs), "", dtype=object) if names is None else names
    columns = [pd.Series(owner)]
    columns += [pd.Series(texts_of(jobs[name])) for name in _ALIKE if name in jobs]
    alike = np.zeros(len(jobs), dtype=np.int64)
    for column in columns:
        codes, _ = pd.factorize(column)
        alike = pd.factorize(alike * (int(codes.max(initial=0)) + 2) + codes)[0].astype(np.int64)
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(ran["job_id"]))
    place = pd.MultiIndex.from_tuples([(each.pool, each.virtual_cluster) for each in partitions])
    owners = ran["virtual_cluster"].astype("string").fillna("").to_numpy(dtype=object)
    where = place.get_indexer(pd.MultiIndex.from_arrays([ran["pool"].astype(str), owners]))
    pairs = pd.DataFrame({"alike": alike[row], "at": where})[where >= 0].drop_duplicates()
    seen: dict[int, tuple[int, ...]] = {}
    for key, at in sorted(zip(pairs["alike"].tolist(), pairs["at"].tolist(), strict=True)):
        seen[key] = (*seen.get(key, ()), at)
    _, first = np.unique(alike, return_index=True)
    sets: dict[tuple[int, ...], int] = {}
    kind_of = [
        sets.setdefault(seen.get(k) or _of_owner(str(owner[at]), partitions), len(sets))
        for k, at in enumerate(first.tolist())
    ]
    return np.array(kind_of, dtype=np.int64)[alike], [list(own) for own in sets]


def _of_owner(owner: str, partitions: list[Free]) -> tuple[int, ...]:
    """Return the partitions of a virtual cluster; all without an owner if it owns no nodes."""
    names = [each.virtual_cluster for each in partitions]
    wanted = owner if owner in names else ""
    return tuple(at for at, name in enumerate(names) if name == wanted)


def _queues(partitions: list[Free]) -> list[list[int]]:
    """Return the partitions of each queue: those of a virtual cluster, or all others."""
    owners = dict.fromkeys(each.virtual_cluster for each in partitions)
    return [
        [at for at, each in enumerate(partitions) if each.virtual_cluster == owner]
        for owner in owners
    ]
