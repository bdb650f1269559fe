"""EASY backfilling: no job may delay the first job that waits for a partition.

Mu'alem and Feitelson, "Utilization, predictability, workloads, and user runtime
estimates in scheduling the IBM SP2 with backfilling", IEEE TPDS 12(6), 2001.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.across import take_across
from clustersim.scheduling.policies.backlog import REMOVED
from clustersim.scheduling.policies.backlog_policy import BacklogPolicy
from clustersim.scheduling.queue import Queue
from clustersim.scheduling.reservation import Reservation, reserve, soonest
from clustersim.scheduling.reserve_across import offers, reserve_across

__all__ = ["Easy", "EasySjbf"]

_MOST_SETS = 1024
"""Largest number of sets of reserved partitions for which results are cached."""


class Easy(BacklogPolicy):
    """Jobs start in order of submission, or earlier if they delay no reservation.

    Jobs are considered in queue order. A job starts on the first of its partitions where
    it fits now, if it is estimated to end before that partition's reservation begins or
    if it uses only accelerators that the reservation does not need. A job that cannot
    start reserves the partition on which it would finish first among those without a
    reservation. With one partition, this is EASY as published.

    A waiting job can start only after a job has ended, or after a job has been backfilled on a
    partition with a reservation on nodes. Until then, no accelerators become free, reservations
    stay the same, and the time left before each reservation shrinks. A new job is therefore
    compared with the existing reservations only, and the queue is not scanned. If no waiting job
    fits, reservations would have no effect and are not made.
    """

    looks_ahead: ClassVar[bool] = True
    scans_in_queue_order: ClassVar[bool] = True

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._reservations: dict[int, Reservation] = {}
        self._standing = False
        self._several_choices = len(queue.members) > 1
        self._allow_others: dict[int, Bools] = {}

    def start_first(self, job: int) -> bool:
        started = super().start_first(job)
        self._released = self._released or started
        return started

    def schedule(self, now: float) -> None:
        backlog = self._backlog
        first_new = self._n_seen
        if self._released:
            self._released = self._standing = False
            backlog.compact()
            first_new = backlog.begin
        if self._standing and (self.scans_in_queue_order or backlog.end - first_new == 1):
            for at in range(first_new, backlog.end):
                if not self._start(at, now):
                    self._reserve(at)
        else:
            self._reservations.clear()
            head = self._start_first(now)
            behind = slice(max(first_new, head + 1), backlog.end)
            self._standing = behind.start < behind.stop and len(self._may_start(behind, now)) > 0
            if self._standing:
                self._scan(now)
        self._n_seen = backlog.end

    def _start_first(self, now: float) -> int:
        """Start jobs from the front until a job does not fit; return the position of that job."""
        backlog, at = self._backlog, self._backlog.begin
        while at < backlog.end and (not backlog.holds(at) or self._start(at, now)):
            at += 1
        backlog.begin = at
        return at

    def _scan(self, now: float) -> None:
        backlog = self._backlog
        cursor = backlog.begin
        while (at := self._next_to_reserve(cursor)) < backlog.end:
            if self.scans_in_queue_order and cursor < at and self._reservations:
                self._backfill(cursor, at, now)
            if not self._start(at, now):
                self._reserve(at)
            cursor = at + 1
        self._backfill(cursor if self.scans_in_queue_order else backlog.begin, backlog.end, now)

    def _next_to_reserve(self, cursor: int) -> int:
        """Return the first position, from `cursor` on, of a job that could reserve a partition."""
        backlog, reserved = self._backlog, self._reservations
        if len(reserved) == len(self.queue.members) or cursor == backlog.end:
            return backlog.end
        if not self._several_choices:
            while cursor < backlog.end and not backlog.holds(cursor):
                cursor += 1
            return cursor
        allowed = self._allow_one_without(reserved)
        if backlog.holds(cursor) and allowed[backlog.choice[cursor]]:
            return cursor
        span = slice(cursor, backlog.end)
        found = allowed[backlog.choice[span]] & (backlog.size[span] != REMOVED)
        first = int(found.argmax())
        return cursor + first if found[first] else backlog.end

    def _allow_one_without(self, reserved: Collection[int]) -> Bools:
        """Return which sets of partitions contain a partition that is not in `reserved`."""
        bits = 0
        for index in reserved:
            bits |= 1 << index
        allowed = self._allow_others.get(bits)
        if allowed is None:
            if len(self._allow_others) == _MOST_SETS:
                self._allow_others.clear()
            others = [index for index in self.queue.members if index not in reserved]
            allowed = np.logical_or.reduce([self._allows[index] for index in others])
            self._allow_others[bits] = allowed
        return allowed

    def _start(self, at: int, now: float) -> bool:
        """Start the job at position `at` if this delays no reservation.

        Return whether the job started.
        """
        queue, jobs = self.queue, self.queue.jobs
        job = self._backlog.job(at)
        n = jobs.n_accelerators[job]
        for index in queue.choices(job):
            partition = queue.partitions[index]
            if n > partition.placement.free:
                continue
            reservation = self._reservations.get(index)
            if reservation is None:
                nodes = queue.take(job, partition)
            elif now + jobs.estimate_s[partition.pool][job] <= reservation.shadow:
                nodes = queue.take(job, partition)
                if nodes is not None:
                    reservation.taken(nodes)
            else:
                nodes = reservation.take_unclaimed(n, queue.open_nodes(job, partition))
            if nodes is None:
                continue
            self._backlog.remove(at)
            queue.start_taken(job, partition, nodes)
            if reservation is not None and nodes:
                # Other nodes are free now, so the placement may reserve different ones.
                self._released = True
            return True
        return jobs.split is not None and self._start_across(at, job, now)

    def _start_across(self, at: int, job: int, now: float) -> bool:
        """Start a job on several partitions if this delays no reservation."""
        queue = self.queue
        if job in queue.own_nodes or len(queue.choices(job)) < 2:
            return False
        offered = offers(queue, job, now, self._reservations)
        parts = take_across(queue.jobs.n_accelerators[job], offered)
        if parts:
            self._backlog.remove(at)
            queue.start_on(job, parts)
            self._released = self._released or bool(self._reservations)
        return bool(parts)

    def _reserve(self, at: int) -> None:
        """Reserve a partition for the job at `at`, if one of its partitions is unreserved."""
        queue, jobs = self.queue, self.queue.jobs
        job = self._backlog.job(at)
        best: tuple[float, int, Reservation] | None = None
        for index in queue.choices(job):
            if index in self._reservations:
                continue
            partition = queue.partitions[index]
            n, estimate_s = jobs.n_accelerators[job], jobs.estimate_s[partition.pool][job]
            if n > partition.placement.capacity:  # it is to run on several
                continue
            if best is not None and soonest(partition, n) + estimate_s >= best[0]:
                continue
            reservation = reserve(partition, n, job=job, now=queue.now, estimate_s=estimate_s)
            finish = reservation.shadow + estimate_s
            if best is None or finish < best[0]:
                best = (finish, index, reservation)
        if jobs.split is not None:
            across = reserve_across(queue, job, self._reservations)
            if across is not None and (best is None or across[0] < best[0]):
                self._reservations.update(across[1])
                return
        if best is not None:
            self._reservations[best[1]] = best[2]

    def _backfill(self, first: int, end: int, now: float) -> None:
        """Start all jobs at positions in [first, end) that delay no reservation."""
        positions = self._may_start(slice(first, end), now) + first
        if not self.scans_in_queue_order and len(positions) > 1:
            self._backfill_shortest(positions, now)
            return
        while len(positions):
            started = self._start(int(positions[0]), now)
            positions = positions[1:]
            if started and len(positions):
                positions = positions[self._may_start(positions, now)]

    def _backfill_shortest(self, positions: Ints, now: float) -> None:
        """Start those of the jobs that delay no reservation, the shortest first.

        Few of them start before the others no longer fit, so they are not sorted.
        """
        estimate_s = self._backlog.preferred_estimate_s(positions)
        while len(positions):
            shortest = int(estimate_s.argmin())
            if self._start(int(positions[shortest]), now):
                left = self._may_start(positions, now)
                positions, estimate_s = positions[left], estimate_s[left]
            else:
                positions = np.delete(positions, shortest)
                estimate_s = np.delete(estimate_s, shortest)

    def _may_start(self, where: slice | Ints, now: float) -> Ints:
        """Find the rows of `where` whose jobs fit now and delay no reservation."""
        backlog, queue = self._backlog, self.queue
        partitions = queue.partitions
        largest = {i: partitions[i].placement.largest_gang() for i in queue.members}
        size = backlog.size[where]
        if self.queue.jobs.split is not None:
            return self._may_start_across(where, largest)
        rows: Ints = (size <= max(largest.values())).nonzero()[0]
        if not len(rows):
            return rows
        size = size[rows]
        smallest = np.minimum.reduce(size)
        may = np.zeros(len(rows), dtype=bool)
        for index, no_larger in largest.items():
            if no_larger < smallest:
                continue
            here = partitions[index].placement.fits_each(size)
            if self._several_choices:
                here &= self._allows[index][backlog.choice[where][rows]]
            reservation = self._reservations.get(index)
            if partitions[index].has_announced_windows and np.count_nonzero(here):
                own = here.nonzero()[0]
                jobs = backlog.jobs_at(where)[rows][own]
                here[own] = queue.fit_each(jobs, partitions[index])
            if reservation is not None and np.count_nonzero(here):
                estimate_s = backlog.estimate_s(partitions[index].pool)[where][rows]
                too_long = here & ~(now + estimate_s <= reservation.shadow)
                if np.count_nonzero(too_long):
                    here[too_long] = reservation.fits_each(size[too_long])
                    if partitions[index].has_announced_windows:
                        too_long &= here
                        jobs = backlog.jobs_at(where)[rows][too_long]
                        if len(jobs):
                            free = reservation.unclaimed()
                            here[too_long] = queue.fit_each(jobs, partitions[index], free)
            may |= here
        return rows[may]

    def _may_start_across(self, where: slice | Ints, largest: dict[int, int]) -> Ints:
        """Find the rows of `where` whose jobs may fit on all their partitions together."""
        choices = self.queue.jobs.choices
        free = np.array([sum(largest.get(index, 0) for index in choice) for choice in choices])
        backlog = self._backlog
        rows: Ints = (backlog.size[where] <= free[backlog.choice[where]]).nonzero()[0]
        return rows


class EasySjbf(Easy):
    """EASY backfilling that considers candidates in order of increasing estimated run time.

    Tsafrir, Etsion and Feitelson, "Backfilling using system-generated predictions
    rather than user runtime estimates", IEEE TPDS 18(6), 2007 (section 4).
    """

    scans_in_queue_order: ClassVar[bool] = False
