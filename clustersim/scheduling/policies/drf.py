"""Dominant resource fairness over users."""

from __future__ import annotations

import math
from collections.abc import Mapping
from heapq import heapify, heappop, heapreplace
from types import MappingProxyType
from typing import ClassVar, TypeAlias

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.policies.names import check_names, numbered, texts_of_jobs
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["Drf"]

_Line: TypeAlias = tuple[int, int]
"""User and set of partitions of the jobs of a line."""


class Drf(Policy):
    """Dominant resource fairness: the user with the lowest dominant share starts the next job.

    The accelerators of each pool are a resource. The dominant share of a user is the largest part
    of the accelerators of any pool that the user's running jobs hold, divided by the user's weight.
    In every pass, the user with the lowest share starts the job that was submitted first, until
    nobody's next job fits (progressive filling). A user whose next job does not fit is skipped, and
    so are the user's jobs behind it that can run on the same pools. Those who tie take turns in
    order of their next jobs' submission.

    No job is preempted and nothing is reserved, so a large gang can wait long behind the small jobs
    of others. With one pool, this is max-min fairness by accelerators.

    Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource Types",
    NSDI 2011.

    Attributes
    ----------
    by : str or None
        Column of the jobs table with the users. By default ``user``, or ``vc`` if there is no such
        column; if there is neither, all jobs belong to one user.
    weights : mapping of str to float
        Weights of users, 1 by default: a user with twice the weight may have twice the share.
    """

    tracks_running: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False
    by: str | None = None
    weights: Mapping[str, float] = MappingProxyType({})

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        for name, weight in cls.weights.items():
            if not 0 < weight < math.inf:
                return f"option weights: must be numbers above 0, found {weight} for {name!r}"
        return ""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        if "drf" not in queue.shared:
            queue.shared["drf"] = _shares(queue, self.by, self.weights)
        self._shares: _Shares = queue.shared["drf"]
        self._lines: dict[_Line, list[int]] = {}
        self._refused: set[_Line] = set()

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        line = self._line(job)
        if line not in self._lines:
            self._refused.discard(line)
        self._lines.setdefault(line, []).append(job)

    def resubmit(self, job: int) -> None:
        self.submit(job)
        self._lines[self._line(job)].sort()
        self._refused.clear()

    def finish(self, job: int, partition: Partition) -> None:
        self._shares.change(job, partition, -self.n_accelerators(job))
        self._refused.clear()

    def service_changed(self, partition: Partition) -> None:
        self._refused.clear()

    def schedule(self, now: float) -> None:
        shares, lines, refused = self._shares, self._lines, self._refused
        heap = [
            (shares.of(line[0]), at[0], line) for line, at in lines.items() if line not in refused
        ]
        heapify(heap)
        too_large: set[tuple[int, int]] = set()
        while heap:
            share, job, line = heap[0]
            if shares.of(line[0]) > share:  # the user's jobs for other pools have raised it
                heapreplace(heap, (shares.of(line[0]), job, line))
                continue
            kind = line[1], self.n_accelerators(job)
            if kind in too_large or not self.start(job):
                too_large.add(kind)
                refused.add(line)  # until accelerators become free
                heappop(heap)
                continue
            shares.change(job, self.queue.running[job].partition, self.n_accelerators(job))
            jobs = lines[line]
            jobs.pop(0)
            if jobs:
                heapreplace(heap, (shares.of(line[0]), jobs[0], line))
            else:
                heappop(heap)
                del lines[line]

    def _line(self, job: int) -> _Line:
        return self._shares.user(job), self.queue.jobs.choice_of[job]


class _Shares:
    """What each user holds of each pool, in all queues of a run."""

    def __init__(self, user_of: Ints, capacity: Floats, weight: Floats) -> None:
        self._user_of: list[int] = user_of.tolist()
        self._capacity: list[float] = capacity.tolist()
        self._weight: list[float] = weight.tolist()
        self._held: list[dict[int, int]] = [{} for _ in self._weight]

    def user(self, job: int) -> int:
        return self._user_of[job]

    def change(self, job: int, partition: Partition, n: int) -> None:
        held = self._held[self._user_of[job]]
        held[partition.pool] = held.get(partition.pool, 0) + n

    def of(self, user: int) -> float:
        """Return the dominant share of a user, divided by the weight."""
        held = self._held[user]
        share = max((n / self._capacity[pool] for pool, n in held.items()), default=0.0)
        return share / self._weight[user]


def _shares(queue: Queue, by: str | None, weights: Mapping[str, float]) -> _Shares:
    jobs = queue.jobs
    if by is not None and by not in jobs.columns:
        hint = nearest_hint(by, list(jobs.columns))
        raise InputError("option by", f"the table of jobs has no column {by!r}; {hint}")
    texts = texts_of_jobs(jobs, ["user", "vc"] if by is None else [by])
    check_names("weights", weights, texts, by or "user or vc")
    if texts is None:
        texts = np.full(len(jobs.n_accelerators), "", dtype=object)
    users, user_of = numbered(texts)
    capacity = np.zeros(1 + max(partition.pool for partition in queue.partitions))
    for partition in queue.partitions:
        capacity[partition.pool] += partition.placement.capacity
    weight = np.array([weights.get(user, 1.0) for user in users], dtype=np.float64)
    return _Shares(user_of, capacity, weight)
