"""Priorities: jobs in order of their priority, which can preempt jobs of lower priority."""

from __future__ import annotations

import functools
import math
import operator
from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown
from clustersim.notes import note
from clustersim.scheduling.policies.preemptive import Preempting
from clustersim.scheduling.policies.victims import fewest_victims
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["Priority"]


VictimOrder: TypeAlias = Literal[
    "lowest_priority", "least_lost_work", "latest_start", "earliest_start", "fewest_accelerators"
]
_Kind: TypeAlias = tuple[int, int, float, int]
"""Set of partitions, accelerators and priority of a job, and the job itself if it is suspended or
there are windows."""


def _numbers(priorities: npt.NDArray[np.generic]) -> Floats:
    """Return priorities as numbers, 0 where they are missing.

    Raises
    ------
    InputError
        If one is no number.
    """
    column = pd.Series(priorities)
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & column.notna()
    if wrong.any():
        found = shown(column[wrong].iloc[0])
        raise InputError("jobs", f"priority: must be numbers, found {found}")
    values: Floats = numbers.to_numpy(dtype=np.float64, na_value=0.0)
    return values


class Priority(Preempting):
    """Higher priority first; a job that does not fit may preempt jobs of lower priority.

    Priorities are in the column ``priority`` of the jobs table, higher ones first, 0 where it is
    missing. Waiting jobs are tried in order of priority and then of submission; jobs that do not
    fit are skipped. A job that does not fit preempts running jobs of strictly lower priority, as
    few as it needs, if it then fits.

    Attributes
    ----------
    preempt : bool
        Whether jobs are preempted.
    victims : tuple of {"lowest_priority", "least_lost_work", "latest_start", "earliest_start", \
"fewest_accelerators"}
        Which jobs of lower priority are preempted first: the first of these orders decides, among
        equals the second, and so on. Lost work is that of the whole gang, with the time to save and
        to restart.
    ageing : float
        Priority that a waiting job gains in an hour. It counts for the order, not for preemption.
    strict : bool
        Whether jobs behind one that does not fit wait, instead of being tried.
    """

    spans_pools: ClassVar[bool] = False
    starts_first: ClassVar[bool] = True
    preempt: bool = True
    victims: tuple[VictimOrder, ...] = ("lowest_priority", "latest_start")
    ageing: float = 0.0
    strict: bool = False

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        for name in ("ageing",):
            value = getattr(cls, name)
            if not 0 <= value < math.inf:
                return f"option {name}: must be a number of at least 0, found {value}"
        if not cls.victims or len(set(cls.victims)) < len(cls.victims):
            return f"option victims: needs one or more different orders, found {list(cls.victims)}"
        return super().check_options()

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        given = jobs.columns.get("priority")
        return () if given is None else (-_numbers(given)).tolist()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        columns, n_jobs = queue.jobs.columns, len(queue.jobs.n_accelerators)
        given = columns.get("priority")
        if given is None:
            note("the jobs have no column priority, so all have priority 0")
        self._priority = np.zeros(n_jobs) if given is None else _numbers(given)
        submit_s = np.asarray(columns.get("submit_s", np.zeros(n_jobs)), dtype=np.float64)
        self._rank = self._priority - self.ageing * submit_s / 3600.0
        self._lines: dict[_Kind, list[tuple[float, int]]] = {}
        self._held: dict[int, dict[float, int]] = {index: {} for index in queue.members}
        self._new: set[_Kind] = set()
        self._released = True
        self._promised: dict[int, int] = {}
        """Partition of each waiting job for which other jobs are leaving."""

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        kind = self._kind(job)
        insort(self._lines.setdefault(kind, []), (-float(self._rank[job]), job))
        self._new.add(kind)

    def finish(self, job: int, partition: Partition) -> None:
        self._held[partition.index][float(self._priority[job])] -= self.n_accelerators(job)
        self._released = True

    def service_changed(self, partition: Partition) -> None:
        self._released = True

    def start_first(self, job: int) -> bool:
        kind = self._kind(job)
        if not self._start(job):
            return False
        self._lines[kind].remove((-float(self._rank[job]), job))
        if not self._lines[kind]:
            del self._lines[kind]
        return True

    def schedule(self, now: float) -> None:
        self._forget_promises()
        everything = self._released or self.strict or self._protects
        kinds = list(self._lines) if everything else list(self._new)
        refused: set[_Kind] = set()
        while kinds:
            self._new.clear()
            self._try(kinds, refused)
            kinds = [kind for kind in self._new if kind not in refused]  # of preempted jobs
        self._released = False
        self._new.clear()

    def _kind(self, job: int) -> _Kind:
        """Return what decides whether a job fits; of a suspended job, the job itself.

        With windows, the estimate decides, too, so each job is a kind of its own.
        """
        own = job if job in self.queue.own_nodes or self.queue.has_windows else -1
        choice = self.queue.jobs.choice_of[job]
        return choice, self.n_accelerators(job), float(self._priority[job]), own

    def _try(self, kinds: list[_Kind], refused: set[_Kind]) -> None:
        """Start jobs in order of rank; the first of a kind that gets no place ends its kind."""
        heads = [(self._lines[kind][0], kind) for kind in kinds if self._lines.get(kind)]
        heapify(heads)
        while heads:
            (rank, job), kind = heads[0]
            line = self._lines[kind]
            started = self._start(job) or (self.preempt and self._make_room(job))
            at = bisect_left(line, (rank, job))  # preempted jobs may be in front of it by now
            if started:
                line.pop(at)
                if not line:
                    del self._lines[kind]
            elif job in self._promised:
                at += 1
            else:
                refused.add(kind)
                if self.strict:
                    return
                at = len(line)
            if at < len(line):
                heapreplace(heads, (line[at], kind))
            else:
                heappop(heads)

    @property
    def _protects(self) -> bool:
        """Whether jobs that run may not be preempted yet, but later."""
        return self.preempt and self.queue.protects

    def _start(self, job: int) -> bool:
        closed = self._closed(job) if self._promised else 0
        if not self.queue.start_anywhere(job, closed=closed):
            return False
        del self.waiting[job]
        self._promised.pop(job, None)
        held = self._held[self.queue.running[job].partition.index]
        priority = float(self._priority[job])
        held[priority] = held.get(priority, 0) + self.n_accelerators(job)
        return True

    def _closed(self, job: int) -> int:
        """Return the partitions that jobs leave for one of higher priority, as a bit mask."""
        return functools.reduce(
            operator.or_,
            (
                1 << index
                for other, index in self._promised.items()
                if self._priority[other] > self._priority[job]
            ),
            0,
        )

    def _forget_promises(self) -> None:
        """Forget promises of partitions that no job leaves any more."""
        if self._promised:
            left = {self.queue.running[job].partition.index for job in self.queue.leaving}
            self._promised = {
                job: index
                for job, index in self._promised.items()
                if index in left and job in self.waiting
            }

    def _make_room(self, job: int) -> bool:
        """Preempt jobs of lower priority so that a job fits, and start it; return whether it does.

        A job that has to save its state leaves later; then the waiting job starts later, too.
        """
        queue, n = self.queue, self.n_accelerators(job)
        if job in queue.own_nodes or job in self._promised:
            return False
        priority = float(self._priority[job])
        for index in queue.choices(job):
            partition = queue.partitions[index]
            below = sum(size for level, size in self._held[index].items() if level < priority)
            if partition.placement.free + below < n:
                continue
            leaving = sum(
                self.n_accelerators(other)
                for other in queue.leaving
                if queue.running[other].partition is partition
            )
            promised = sum(
                self.n_accelerators(other)
                for other, where in self._promised.items()
                if where == index and self._priority[other] >= priority
            )
            if leaving and partition.placement.free + leaving - promised >= n:
                self._promised[job] = index
                return False
            needed = n + max(0, promised - leaving)
            victims = fewest_victims(
                partition,
                queue.jobs,
                needed,
                self._candidates(partition, priority),
                queue.open_nodes(job, partition),
            )
            if victims is None or len(victims) > queue.most_victims:
                continue
            for victim in victims:
                queue.preempt(victim, self.preempt_by, self.cost_of(victim))
            if self._start(job):
                return True
            self._promised[job] = index
            return False
        return False

    def _candidates(self, partition: Partition, priority: float) -> list[int]:
        """Return the running jobs of lower priority, those to preempt first in front."""
        queue = self.queue
        found = [
            job
            for job, at in queue.running.items()
            if at.partition is partition
            and self._priority[job] < priority
            and queue.may_preempt(job)
        ]
        return sorted(found, key=lambda job: tuple(self._key(job, by) for by in self.victims))

    def _key(self, job: int, by: VictimOrder) -> float:
        """Return where a job is in an order of victims; small values come first."""
        if by == "lowest_priority":
            return float(self._priority[job])
        if by == "least_lost_work":
            cost = self.queue.cost_of_stopping(job, self.preempt_by)
            time_s = cost.time_s if self.cost is None else self.cost
            return (cost.lost_s + time_s) * self.n_accelerators(job)
        if by == "fewest_accelerators":
            return float(self.n_accelerators(job))
        start_s = self.queue.running[job].start_s
        return start_s if by == "earliest_start" else -start_s
