"""Quotas of a tree of queues with fair shares, reclaim and consolidation, as in KAI-Scheduler."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from clustersim.notes import note
from clustersim.scheduling import kai
from clustersim.scheduling.decisions import Decision, Preempt, Start, Wake
from clustersim.scheduling.kai import Limits, MinimumRunTime
from clustersim.scheduling.policies.kai_pool import KaiPool, preemptible
from clustersim.scheduling.policies.kai_queues import kai_queues, unused_terms
from clustersim.scheduling.policies.preemptive import Preempting
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, pool_of, quotas_of
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.quota_use import QuotaUse
from clustersim.scheduling.quotas import ALL_POOLS, Quotas
from clustersim.scheduling.view import View
from clustersim.units import counted

__all__ = ["Kai"]

_DESERVED = "what it deserves, because the job cannot be preempted"
_MOST_STOPS = 2
"""How often a job is preempted in one pass; then it waits for the next one."""


class Kai(Preempting):
    """Each queue has its fair share of each pool; what others use of it is reclaimed.

    A file of quotas gives each queue (a team, a user, a virtual cluster) what it deserves of each
    pool. What nobody deserves or uses is divided by weight, up to the limits of queues. A pass
    repeats the actions of KAI-Scheduler until nothing changes: *allocate* starts jobs where there
    is room; *consolidation* moves jobs so that one that waits finds room on nodes; *reclaim* takes
    accelerators back from queues with more than their fair share; *preempt* stops jobs of lower
    priority in the same queue. The queue that would have least of its fair share goes first, and in
    a queue the job of the highest priority, then the oldest one.

    Each pool is scheduled on its own; of quotas of all pools together, each has its part. A job
    that can run on several pools waits on all of them, and starts on the first one that has a
    place. Jobs are whole gangs: a job holds whole nodes and a part of another one, and stops as a
    whole. Nodes are chosen as KAI does, by bin packing, whatever the placement is; a placement that
    only counts accelerators is one large node.

    Priorities are whole numbers in the column ``priority``, 50 where there is no such column. Jobs
    of priority 100 or more cannot be preempted, and stay within what their queue deserves; a column
    ``preemptible`` decides instead if there is one.

    Attributes
    ----------
    by : str or None
        Column of the jobs that names their queue. By default that of the file, or the first of
        ``queue``, ``vc``, ``partition`` and ``user`` that there is.
    actions : tuple of {"consolidation", "reclaim", "preempt"}
        What follows after jobs were started where there is room.
    preempt_minimum, reclaim_minimum : float
        How long a job runs before jobs of its queue, or of others, may stop it, seconds, where the
        file says nothing.
    trials : int
        How many sets of victims are tried for a waiting job.
    jobs_per_queue : int or None
        How many waiting jobs of a queue each of the three actions considers; None: all of them.
    """

    whole_cluster: ClassVar[bool] = True
    divides_quotas: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False
    by: str | None = None
    actions: tuple[Literal["consolidation", "reclaim", "preempt"], ...] = (
        "consolidation",
        "reclaim",
        "preempt",
    )
    preempt_minimum: float = 0.0
    reclaim_minimum: float = 0.0
    trials: int = 8
    jobs_per_queue: int | None = 4

    @classmethod
    def check_options(cls) -> str:
        if problem := super().check_options():
            return problem
        for name in ("preempt_minimum", "reclaim_minimum"):
            value = getattr(cls, name)
            if not 0 <= value < math.inf:
                return f"option {name}: must be a number of seconds, at least 0, found {value}"
        for name in ("trials", "jobs_per_queue"):
            value = getattr(cls, name)
            if value is not None and value < 1:
                return f"option {name}: must be at least 1, found {value}"
        if cls.preempt_by == "suspend":
            return (
                "option preempt_by: suspend is not possible, because jobs move between nodes and a "
                "suspended job can only continue on its own; use save or requeue"
            )
        return ""

    @classmethod
    def never_start(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Mapping[int, str]:
        quotas = quotas_of(cls, "kai")
        of_jobs = QuotaJobs(jobs, partitions, quotas, cls.by)
        queues = [_queues_of(quotas, part, partitions) for part in partitions]
        limits = [_most(each, lambda queue: queue.limit) for each in queues]
        deserved = [_most(each, lambda queue: min(queue.limit, queue.deserved)) for each in queues]
        can_be_preempted = preemptible(jobs, of_jobs.priority)
        found = {}
        for job, n in enumerate(jobs.n_accelerators):
            name, usable = of_jobs.name_of(job), of_jobs.partitions_of(job)
            most, by = (limits, "its limit") if can_be_preempted[job] else (deserved, _DESERVED)
            if n > (largest := max((most[index][name] for index in usable), default=0.0)):
                found[job] = (
                    f"queue {name!r} can use at most {counted(int(largest), 'accelerator')} at "
                    f"once of the pools that the job can use, by {by}"
                )
        return found

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        quotas = quotas_of(type(self), "kai")
        self._jobs = QuotaJobs(queue.jobs, queue.partitions, quotas, self.by)
        for term in unused_terms(quotas.file):
            note(f"policy kai does not use {term} of the quotas, because KAI has nothing like it")
        minimum = MinimumRunTime(self.preempt_minimum, self.reclaim_minimum)
        limits = Limits(self.jobs_per_queue, self.trials)
        parts = [queue.partitions[index] for index in queue.members]
        self._pools = [
            KaiPool(
                queue,
                part,
                _queues_of(quotas, part, queue.partitions),
                self._jobs,
                minimum,
                limits,
                ("allocate", *self.actions),
            )
            for part in parts
        ]
        self._at = {part.index: at for at, part in enumerate(parts)}
        self._stale = set(range(len(parts)))
        """Pools in which something has changed since nothing could be done there."""
        queue.shared.setdefault("quotas", []).append(self._uses)
        self._protected_s = {
            seconds for pool in self._pools for seconds in pool.minimum_run_times() if seconds > 0
        }

    def _uses(self, _now: float) -> Iterator[QuotaUse]:
        """Yield what each queue holds of each pool, and the most that it may hold."""
        for pool in self._pools:
            yield from pool.uses()

    def decide(self, view: View) -> Iterator[Decision]:
        for job in [job for job in self.waiting if job in self.queue.own_nodes]:
            if view.fits(job):
                yield Start(job)
        stops: Counter[int] = Counter()
        freed = True
        if self._protected_s or self.queue.protects or self.queue.has_windows:
            self._stale.update(range(len(self._pools)))
        while freed and self.waiting:
            # Only accelerators that were freed can help jobs that got none in this pass.
            freed = False
            for at in sorted(self._stale):
                self._stale.remove(at)
                passed_over = {job for job, n in stops.items() if n >= _MOST_STOPS}
                passed_over.update(self.queue.own_nodes)
                waiting = [job for job in self.waiting if job not in passed_over]
                for decision in self._pools[at].round(waiting, view.now):
                    if isinstance(decision, int):
                        if not self.queue.may_preempt(decision) or self.queue.most_victims < 1:
                            break  # what follows counts on its accelerators
                        stops[decision] += 1
                        freed = True
                        self._changed(decision)
                        yield Preempt(decision, self.preempt_by, self.cost_of(decision))
                    else:
                        self._changed(decision.job)
                        yield decision
        for job, n in stops.items():
            if n >= _MOST_STOPS:
                self._changed(job)
        if self.waiting and (until_s := self._protected_until(view.now)) < math.inf:
            yield Wake(until_s)

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        self._changed(job)

    def finish(self, job: int, partition: Partition) -> None:
        for pool in self._pools:
            pool.forget(job)
        self._changed(job)
        self._stale.add(self._at[partition.index])

    def service_changed(self, partition: Partition) -> None:
        self._stale.add(self._at[partition.index])

    def _changed(self, job: int) -> None:
        """Look again at the pools that a job can use."""
        self._stale.update(self._at[index] for index in self._jobs.partitions_of(job))

    def _protected_until(self, now: float) -> float:
        """Return when the next running job may be stopped, seconds; infinite if all may be."""
        running = self.queue.running
        ends = [at.start_s + seconds for at in running.values() for seconds in self._protected_s]
        if self.queue.protects:
            ends += map(self.queue.protected_until_s, running)
        return min((end for end in ends if end > now), default=math.inf)


def _queues_of(
    quotas: Quotas, partition: Partition, partitions: Sequence[Partition]
) -> tuple[kai.Queue, ...]:
    """Return the queues of a partition, with its part of quotas that are of more than it."""
    pool, of_all = pool_of(partition), quotas.pools == [ALL_POOLS]
    together = [part for part in partitions if of_all or pool_of(part) == pool]
    whole = sum(part.placement.capacity for part in together)
    return kai_queues(quotas.file, pool, partition.placement.capacity / whole)


def _most(queues: Sequence[kai.Queue], limit_of: Callable[[kai.Queue], float]) -> dict[str, float]:
    """Return the most accelerators that each queue may hold, by its limit and all above it."""
    by_name = {queue.name: queue for queue in queues}

    def limit(name: str | None) -> float:
        if name is None:
            return math.inf
        return min(limit_of(by_name[name]), limit(by_name[name].parent))

    return {name: limit(name) for name in by_name}
