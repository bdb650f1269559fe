"""Slurm's multifactor priority with backfilling and preemption.

Slurm's pages "Multifactor Priority Plugin", "Fair Tree Fairshare Algorithm", "Classic Fairshare
Algorithm", "Scheduling Configuration Guide", "Preemption" and ``slurm.conf``.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements import NodeFree, Nodes
from clustersim.scheduling.policies.backlog import CountedBacklog
from clustersim.scheduling.policies.easy import Easy
from clustersim.scheduling.policies.preemptive import cost_of
from clustersim.scheduling.policies.slurm.job_priorities import JobPriorities
from clustersim.scheduling.policies.slurm.options import SlurmOptions
from clustersim.scheduling.policies.slurm.victims import SlurmVictims
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.reservation import Reservation, soonest
from clustersim.scheduling.slurm import evaluation_order

__all__ = ["Multifactor"]

_FIRST = 2**52
"""Priority of a suspended job."""


class Multifactor(SlurmOptions, Easy):
    """Slurm's multifactor priority with backfilling, and preemption by QoS or partition.

    The priority of a waiting job is the sum of weight x factor, plus the site's factor, minus the
    job's nice value, as a whole number of at least 1. The factors are between 0 and 1: age (waiting
    time as a part of ``max_age``), fair share (of user and account, from the accelerator time of
    the simulation, which is forgotten with ``half_life``), job size, partition and quality of
    service (QoS). All weights are 0 by default, as in Slurm: jobs then start in order of
    submission. Jobs are considered in order of: those whose QoS can preempt, tier of the partition,
    priority, submission.

    There are two kinds of passes. When a job ends or arrives, jobs start in order; the first that
    does not fit closes its pools to the jobs behind it. Every ``bf_interval``, jobs are backfilled:
    as in ``easy``, the first job that does not fit reserves a pool, and jobs behind it start if
    they are estimated to end before the reservation begins, or use other accelerators.

    Columns of the jobs table that are used if they are there: ``user``, ``account``, ``qos``,
    ``partition`` (or ``vc``), ``nice`` (subtracted), ``priority`` (the site's factor, added).

    With ``preempt_type``, a job that does not fit preempts running jobs: of the QoS that its own
    may preempt, or of partitions of a lower tier. Victims are those of the lowest priority of the
    QoS or tier, then the smallest. Only jobs in front of the first one that reserves their pools
    preempt. A job that is requeued waits as if it was submitted again; one that is suspended
    continues before the other jobs of its tier, on its own accelerators.

    Not simulated: limits of associations and QoS, job arrays, reservations of jobs behind the first
    (Slurm plans every job that it tests), and resets of usage.

    Slurm's pages "Multifactor Priority Plugin", "Fair Tree Fairshare Algorithm", "Classic Fairshare
    Algorithm", "Scheduling Configuration Guide" and "Preemption".
    """

    tracks_running: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._backlog: CountedBacklog = CountedBacklog(queue)
        n = len(queue.jobs.n_accelerators)
        if "multifactor" not in queue.shared:
            queue.shared["multifactor"] = JobPriorities(queue, self.priority_rules())
        self._priorities: JobPriorities = queue.shared["multifactor"]
        self._victims = SlurmVictims(queue, self.preemption_rules(), self._priorities)
        self._window_s = self.backfill_options().bf_window_s
        self._tier = self._victims.tier
        self._priority: Ints = np.zeros(n, dtype=np.int64)
        submit_s = queue.jobs.columns.get("submit_s", np.zeros(n))
        self._submit_s = np.array(submit_s, dtype=np.float64)
        self._since_s = self._submit_s.copy()
        self._late: list[int] = []
        self._unranked: dict[int, float] = {}
        """Waiting jobs without a priority yet, and the time that it refers to, seconds."""
        self._period: float | None = None
        self._period_s = 0.0
        """Time in the period to which the priorities refer, seconds."""
        self._stale = False
        self._renewed_alone = False
        """Whether each new period renews the priorities, although no pass takes place then."""
        self._backfills = True

    def submit(self, job: int) -> None:
        self._late.append(job)

    def resubmit(self, job: int) -> None:
        self._since_s[job] = self.queue.now
        self._late.append(job)

    def finish(self, job: int, partition: Partition) -> None:
        self._priorities.ended(job, self.queue.now)
        self._victims.forget()

    def service_changed(self, partition: Partition) -> None:
        pass

    def start_first(self, job: int) -> bool:
        if not self.queue.start_anywhere(job):
            return False
        if job in self._late:
            self._late.remove(job)
        else:
            self._backlog.remove(self._backlog.position(job))
        self._victims.forget()
        self._priorities.started(job, self.queue.running[job].partition, self.queue.now)
        return True

    def schedule(self, now: float) -> None:
        self._enter(now)
        self._reservations.clear()
        self._victims.begin(now)
        fits = self._anybody_fits(now)
        if fits:
            self._pass(now)
            fits = self._anybody_fits(now)
        self._wake(now, fits=fits)

    def _pass(self, now: float) -> None:
        self._arrange(now)
        self._backfills = not self.bf_interval or now == self.bf_interval * round(
            now / self.bf_interval
        )
        if self._backfills:
            self._backfill_all(now)
        else:
            self._start_in_order(now)
        if not self.bf_interval and self._late:  # of preempted jobs
            self._enter(now)
            self._arrange(now)
            self._victims.close()
            self._reservations.clear()
            self._backfill_all(now)

    # --- Order ----------------------------------------------------------------------------

    def _enter(self, now: float) -> None:
        """Let the jobs that came into the queue, and note of when their priorities are.

        Priorities are computed when a job may start.
        """
        backlog, late, self._late = self._backlog, self._late, []
        backlog.compact()
        alone = not len(backlog) and len(late) < 2  # there is no order
        for job in late:
            backlog.append(job)
        if alone:
            self._unranked.clear()
            self._period, self._stale = None, False
            return
        period = self._priorities.begin_of_period(now)
        if period != self._period:
            self._period_s = period if self._renewed_alone else now
            self._period, self._stale = period, True
            self._unranked.clear()
        for job in late:
            self._unranked[job] = now

    def _arrange(self, now: float) -> None:
        """Put the waiting jobs in order, if jobs came or it is time for new priorities."""
        if not (self._stale or self._unranked):
            return
        backlog, priorities = self._backlog, self._priorities
        priorities.to_period(now)
        positions = backlog.waiting()
        jobs = backlog.jobs_at(positions)
        if self._stale:
            self._priority[jobs] = priorities.of(jobs, self._period_s - self._since_s[jobs])
        if self._unranked:
            new = np.fromiter(self._unranked, dtype=np.int64)
            then_s = np.fromiter(self._unranked.values(), dtype=np.float64)
            self._priority[new] = priorities.of(new, then_s - self._since_s[new])
        self._stale = False
        self._unranked.clear()
        if self.queue.own_nodes:
            self._priority[list(self.queue.own_nodes)] = _FIRST
        first, tier = self._victims.comes_first[jobs], self._tier[jobs]
        order = evaluation_order(
            self._priority[jobs],
            self._since_s[jobs],
            can_preempt=first if first.any() else False,
            tier=tier if np.ptp(tier) else 1,
            job_id=jobs,
        )
        backlog.arrange(positions[order])

    # --- Passes ---------------------------------------------------------------------------

    def _start_in_order(self, now: float) -> None:
        """Start jobs; the first that does not fit closes its partitions to those behind it."""
        backlog = self._backlog
        cursor = backlog.begin
        while (at := self._next_to_reserve(cursor)) < backlog.end:
            if not self._start(at, now):
                closed = dict.fromkeys(self.queue.choices(backlog.job(at)), _CLOSED)
                self._reservations.update(closed)
            cursor = at + 1

    def _backfill_all(self, now: float) -> None:
        """Start jobs, with a reservation for the first that does not fit on each partition."""
        backlog = self._backlog
        end = backlog.end
        if end - backlog.begin > self.bf_max_job_test:
            backlog.end = int(backlog.waiting()[: self.bf_max_job_test][-1]) + 1
        head = self._start_first(now)
        behind = slice(head + 1, backlog.end)
        if behind.start < behind.stop and (
            self._victims.exist or len(self._may_start(behind, now))
        ):
            self._scan(now)
        backlog.end = end

    def _start(self, at: int, now: float) -> bool:
        job = self._backlog.job(at)
        if job in self.queue.own_nodes:
            started = self._resume(at, job, now)
        else:
            started = super()._start(at, now) or (
                self._victims.exist and self._make_room(at, job, now)
            )
        if started:
            self._victims.forget()
            self._priorities.started(job, self.queue.running[job].partition, now)
        return started

    def _resume(self, at: int, job: int, now: float) -> bool:
        """Continue a suspended job on its own accelerators, if this delays no reservation."""
        partition, nodes = self.queue.own_nodes[job]
        reservation = self._reservations.get(partition.index)
        end_s = now + self.queue.jobs.estimate_s[partition.pool][job]
        if reservation is not None and not end_s <= reservation.shadow:
            return False
        if not self.queue.start_anywhere(job):
            return False
        self._backlog.remove(at)
        if reservation is not None and nodes:
            reservation.taken(nodes)
        return True

    def _make_room(self, at: int, job: int, now: float) -> bool:
        """Preempt running jobs so that a job fits, and start it; return whether it does."""
        for index in self.queue.choices(job):
            if index in self._reservations:
                continue
            victims = self._victims.of(job, self.queue.partitions[index])
            if victims is None:
                continue
            for victim in victims:
                cost_s = cost_of(self.queue, self.cost, victim.job)
                self.queue.preempt(victim.job, victim.how, cost_s)
            self._victims.forget()
            if super()._start(at, now):
                return True
        return False

    def _reserve(self, at: int) -> None:
        """Reserve a partition for a job, unless it can only start after the window."""
        queue = self.queue
        job, limit_s = self._backlog.job(at), queue.now + self._window_s
        if job in queue.own_nodes:
            return
        n, reserved = queue.jobs.n_accelerators[job], self._reservations
        open_ones = [queue.partitions[i] for i in queue.choices(job) if i not in reserved]
        if all(soonest(partition, n) > limit_s for partition in open_ones):
            return
        before = len(reserved)
        super()._reserve(at)
        if len(reserved) > before:
            index = next(reversed(reserved))
            if reserved[index].shadow > limit_s:
                del reserved[index]

    def _wake(self, now: float, *, fits: bool) -> None:
        """Ask for the next pass that may start a job although nothing happens until then."""
        self._renewed_alone = False
        n_waiting = len(self._backlog)
        if not (n_waiting or self._late):
            return
        times = []
        if self.bf_interval and (self._late or (fits and not self._backfills)):
            times.append(_next(now, self.bf_interval))
        if self.queue.running:
            changes = n_waiting > 1 and (self.weight_age or self.weight_fair_share)
            if changes and self.calc_period:
                self._renewed_alone = not fits
                if fits:
                    times.append(_next(now, self.calc_period))
            times.append(self._victims.exempt_until(now))
        soonest_s = min(times, default=math.inf)
        if soonest_s < math.inf:
            self.queue.wake_at(soonest_s)

    def _anybody_fits(self, now: float) -> bool:
        """Return whether any waiting job fits, or may make room for itself."""
        backlog, queue = self._backlog, self.queue
        if self._victims.exist or queue.own_nodes:
            return True
        if not len(backlog):
            return False
        partitions = [queue.partitions[index] for index in queue.members]
        if any(partition.has_announced_windows for partition in partitions):
            self._reservations.clear()
            return len(self._may_start(slice(backlog.begin, backlog.end), now)) > 0
        largest = {each.index: each.placement.largest_gang() for each in partitions}
        return any(
            n <= largest[index] and queue.partitions[index].placement.fits_each(np.array([n]))[0]
            for choice, n in backlog.kinds
            for index in queue.jobs.choices[choice]
        )


class _Closed(Reservation):
    """Stands for a partition that is closed to the jobs behind one that did not fit."""

    shadow = -math.inf

    def fits_each(self, sizes: Ints) -> Bools:
        return np.zeros(len(sizes), dtype=np.bool_)

    def take_unclaimed(self, n: int, open_nodes: Bools | None = None) -> None:
        return None

    def unclaimed(self) -> NodeFree:
        raise NotImplementedError("no job fits")

    def taken(self, nodes: Nodes) -> None:
        pass


_CLOSED = _Closed()


def _next(now: float, interval_s: float) -> float:
    """Return the next multiple of an interval, later than now."""
    number = math.floor(now / interval_s) + 1
    while number * interval_s <= now:
        number += 1
    return number * interval_s
