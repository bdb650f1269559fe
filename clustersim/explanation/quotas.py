"""What the quotas of queues left over time, by the rules of the policy `kueue`."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.explanation.state import RunState
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, pool_of
from clustersim.scheduling.queue import JobColumns
from clustersim.scheduling.quotas import ALL_POOLS, RESOURCE, Quotas
from clustersim.units import format_number, listed

__all__ = ["QuotaRoom", "QuotaRooms", "quota_rooms"]

_MOST = 3


@dataclass(frozen=True, slots=True, eq=False)
class QuotaRoom:
    """What a queue can still use over time; each value holds from its time until the next one.

    Attributes
    ----------
    queue : str
    pools : tuple of str
        The pools of which it has quota; ``all`` stands for all together.
    owns : tuple of float
        Nominal quota of each pool.
    most : int64 array (pools,)
        Most accelerators that it can use at once, if nobody else uses any.
    time_s : float64 array (times,)
        Ascending, seconds.
    used, left : int64 arrays (pools, times)
        Accelerators that its running jobs hold, and how many more it can get.
    """

    queue: str
    pools: tuple[str, ...]
    owns: tuple[float, ...]
    most: Ints
    time_s: Floats
    used: Ints
    left: Ints

    def left_of(self, pool: str) -> Ints:
        """Return how many more accelerators of a pool it can get at each time, int64 (times,)."""
        for name in (pool, ALL_POOLS):
            if name in self.pools:
                left: Ints = self.left[self.pools.index(name)]
                return left
        return np.zeros(len(self.time_s), dtype=np.int64)

    def detail(self, n: int, begin_s: float, end_s: float) -> str:
        """Return a text on the quota that was left for a gang of `n` during a time."""
        low = int(np.searchsorted(self.time_s, begin_s, side="right")) - 1
        high = max(low + 1, int(np.searchsorted(self.time_s, end_s, side="left")))
        parts = []
        for row, pool in enumerate(self.pools[:_MOST]):
            used, left = self.used[row, low:high], self.left[row, low:high]
            of_pool = "" if pool == ALL_POOLS else f" of {pool}"
            at_limit = (self.most[row] - used < n).all()
            limit = f"at most {self.most[row]:,}" if at_limit else f"{_span(left)} more"
            owns = format_number(self.owns[row], 6)
            parts.append(f"used {_span(used)}{of_pool} (owns {owns}) and could use {limit}")
        what = listed(parts) if parts else "owns none of the pools"
        return f"quota of queue {self.queue}: it {what}"

    def allows(self, pools: Collection[str], n: int, begin_s: float, end_s: float) -> bool:
        """Return whether a gang of `n` could get quota on one of some pools at some time."""
        low = int(np.searchsorted(self.time_s, begin_s, side="right")) - 1
        high = max(low + 1, int(np.searchsorted(self.time_s, end_s, side="left")))
        return any(bool((self.left_of(pool)[low:high] >= n).any()) for pool in pools)


def _span(values: Ints) -> str:
    least, most = int(values.min()), int(values.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


class QuotaRooms:
    """What each queue of a file of quotas can use over time, from the allocations of a run.

    Quota that a job holds while it waits for room on nodes is not in the tables, and does not
    count.

    Parameters
    ----------
    state : RunState
    quotas : Quotas
    by : str, optional
        Column that names the queue of a job.

    Attributes
    ----------
    queue_of, priority : int64 arrays (jobs,)
        The queue of each job and its priority; -1 and 0 for a job that can never run.
    pools : list of str
        Name of the pool of each partition.
    """

    def __init__(self, state: RunState, quotas: Quotas, by: str | None) -> None:
        rows = np.flatnonzero(state.choice_of >= 0)
        columns = {str(name): state.jobs[name].to_numpy()[rows] for name in state.jobs.columns}
        sizes = state.sizes[rows].tolist()
        jobs = JobColumns(sizes, (), state.choices, state.choice_of[rows].tolist(), columns)
        self.queue_of = np.full(len(state.jobs), -1, dtype=np.int64)
        self.priority = np.zeros(len(state.jobs), dtype=np.int64)
        own = QuotaJobs(jobs, state.partitions, quotas, by)
        self.queue_of[rows], self.priority[rows] = own.queue_of, own.priority
        self.pools = [pool_of(partition) for partition in state.partitions]
        self._queues = quotas.queues
        self._tree = QuotaTree(quotas.queues, quotas.cohorts)
        self._use = _Use(state, self.queue_of, together=quotas.pools == [ALL_POOLS])
        self._last: tuple[int, QuotaRoom] | None = None
        self._charged: dict[tuple[int, str], Floats] = {}
        self._times: dict[int, Floats] = {}

    def room(self, queue: int) -> QuotaRoom:
        """Return what a queue can use over time; only that of the last queue is kept."""
        if self._last is None or self._last[0] != queue:
            self._last = queue, self._room(queue)
        return self._last[1]

    def _room(self, queue: int) -> QuotaRoom:
        groups = self._queues[queue].groups
        pools = tuple(dict.fromkeys(each.flavor for group in groups for each in group))
        root = self._tree.paths[queue][0]
        if root not in self._times:
            self._times[root] = self._use.times(self._members(root))
        time_s = self._times[root]
        ledgers = [self._tree.ledger((pool, RESOURCE)) for pool in pools]
        most = [max(0, math.floor(ledger.potential[queue])) for ledger in ledgers]
        used = [self._usage(queue, pool, time_s) for pool in pools]
        left = [np.maximum(np.floor(self._left(queue, pool, time_s)), 0) for pool in pools]
        shape = len(pools), len(time_s)
        return QuotaRoom(
            self._queues[queue].name,
            pools,
            tuple(float(ledger.quotas[queue].nominal) for ledger in ledgers),
            np.array(most, dtype=np.int64),
            time_s,
            np.reshape(used, shape).astype(np.int64),
            np.reshape(left, shape).astype(np.int64),
        )

    def _members(self, node: int) -> list[int]:
        """Return the queues below a node; the node itself if it is a queue."""
        if node < len(self._queues):
            return [node]
        found = list(self._tree.child_queues[node])
        for cohort in self._tree.child_cohorts[node]:
            found += self._members(cohort)
        return found

    def _left(self, queue: int, pool: str, time_s: Floats) -> Floats:
        """Return what a queue can still use of a pool at each time; see `Ledger.available`."""
        ledger = self._tree.ledger((pool, RESOURCE))
        first, *path = self._tree.paths[queue]
        left = ledger.subtree[first] - self._usage(first, pool, time_s)
        for node in path:
            unused = ledger.local[node] - self._usage(node, pool, time_s)
            limit = ledger.quotas[node].borrow_limit
            if limit is not None:
                lent = ledger.subtree[node] - ledger.local[node]
                left = np.minimum(left, lent + np.minimum(0, unused) + limit)
            left = left + np.maximum(unused, 0)
        return left

    def _usage(self, node: int, pool: str, time_s: Floats) -> Floats:
        """Return what is charged to a node at each time: beyond what is local to those below it."""
        if node < len(self._queues):
            return self._use.of(node, pool, time_s)
        if (node, pool) not in self._charged:
            local = self._tree.ledger((pool, RESOURCE)).local
            total = np.zeros(len(time_s))
            for child in (*self._tree.child_queues[node], *self._tree.child_cohorts[node]):
                total += np.maximum(self._usage(child, pool, time_s) - local[child], 0)
            self._charged[node, pool] = total
        return self._charged[node, pool]


def quota_rooms(state: RunState) -> QuotaRooms | None:
    """Return what queues could use over time; None if the policy is not `kueue`."""
    if state.policy != "kueue" or state.quotas is None or not state.quotas.queues:
        return None
    by = state.options.get("by")
    return QuotaRooms(state, state.quotas, None if by is None else str(by))


class _Use:
    """Accelerators that the running jobs of each queue hold, by pool."""

    def __init__(self, state: RunState, queue_of: Ints, *, together: bool) -> None:
        ranges = state.ranges
        row = pd.Index(state.jobs["job_id"]).get_indexer(pd.Index(ranges["job_id"]))
        self._queue = queue_of[row]
        self._pool = ranges["pool"].astype(str).to_numpy(dtype=object)
        self._together = together
        self._n = ranges["n_accelerators"].to_numpy(dtype=np.float64)
        self._start_s = ranges["start_s"].to_numpy(dtype=np.float64)
        self._end_s = ranges["end_s"].to_numpy(dtype=np.float64)
        self._begin_s = min(0.0, float(state.jobs["submit_s"].min()))

    def times(self, queues: Sequence[int]) -> Floats:
        """Return the times at which what some queues hold changes, and the beginning."""
        own = np.isin(self._queue, queues)
        return np.unique(np.r_[self._begin_s, self._start_s[own], self._end_s[own]])

    def of(self, queue: int, pool: str, time_s: Floats) -> Floats:
        """Return what a queue holds of a pool from each time on."""
        own = self._queue == queue
        if not self._together:
            own = own & (self._pool == pool)
        change = np.bincount(
            np.searchsorted(time_s, self._start_s[own]), self._n[own], minlength=len(time_s)
        )
        change -= np.bincount(
            np.searchsorted(time_s, self._end_s[own]), self._n[own], minlength=len(time_s)
        )
        return np.cumsum(change)
