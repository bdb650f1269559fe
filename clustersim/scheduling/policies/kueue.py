"""Quotas of queues and cohorts, with borrowing, reclaiming and fair sharing, as in Kueue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from clustersim.scheduling.kueue import (
    Head,
    PodSet,
    RunningJob,
    Snapshot,
    Switches,
    Victim,
    WaitingJob,
    run_cycle,
)
from clustersim.scheduling.kueue.prospects import largest_with_prospects
from clustersim.scheduling.kueue.state import Amounts
from clustersim.scheduling.kueue.victims import order_key
from clustersim.scheduling.policies.line import Kind, Line
from clustersim.scheduling.policies.preemptive import Preempting
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, quotas_of
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.quota_use import tree_uses
from clustersim.scheduling.quotas import RESOURCE

__all__ = ["Kueue"]

_MOST_STOPS = 2
"""How often a job is preempted in one pass; then it waits for the next one."""


class Kueue(Preempting):
    """Quotas of queues by pool: teams borrow what others do not use, and get theirs back.

    A file of quotas gives each queue (a team, a user, a virtual cluster) accelerators of its own on
    each pool. Queues of a cohort lend each other what they do not use, within their limits. A job
    starts if its queue has quota left on one of its pools, tried in the job's order of preference;
    quota that was lent comes back by preemption of borrowers, if the queue may reclaim it. A pass
    repeats Kueue's cycle, which decides on the first job of each queue (by priority, then
    submission), until nothing starts or is preempted any more. In a queue with the strategy
    ``best_effort``, jobs that are refused are passed by others, and looked at again when a job of
    their cohorts ends or is preempted; with ``strict``, all wait for the first.

    A job that gets quota holds it from then on, and starts as soon as the placement finds
    accelerators for the whole gang on the pool of its quota; jobs that got quota earlier are placed
    first. Kueue starts the pods of such a job one by one as there is room, so that some of them
    may hold accelerators while the others wait, and can be set to give up after a while; here a
    gang holds nothing until it starts. Nodes that are out of service do not change quotas. A job
    whose node fails gives its quota back and waits again. A job is preempted at most twice in a
    pass.

    Attributes
    ----------
    by : str or None
        Column of the jobs that names their queue. By default that of the file, or the first of
        ``queue``, ``vc``, ``partition`` and ``user`` that there is.
    fair_sharing : bool
        Whether the queue that borrows least in relation to its weight goes first, and may preempt
        jobs of those that borrow more.
    strategies : tuple of {"final_share", "initial_share"}
        When fair sharing preempts: the share of the queue with the new job is at most that of the
        victim's queue without the victim, or below that of the victim's queue with it.
    victims : {"lowest_priority", "least_lost_work", "latest_start"}
        Which of the jobs that may be preempted go first: those of the lowest priority, and of these
        the last ones to start (as in Kueue); those that have run for the fewest accelerator-hours
        since they started; or the last ones to start, whatever their priority.
    """

    whole_cluster: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False
    divides_quotas: ClassVar[bool] = True
    by: str | None = None
    fair_sharing: bool = False
    strategies: tuple[Literal["final_share", "initial_share"], ...] = (
        "final_share",
        "initial_share",
    )
    victims: Literal["lowest_priority", "least_lost_work", "latest_start"] = "lowest_priority"

    @classmethod
    def check_options(cls) -> str:
        if problem := super().check_options():
            return problem
        if not cls.strategies:
            return "option strategies: is empty; allowed are final_share and initial_share"
        if cls.quotas is not None:
            quotas_of(cls, "kueue")
        return ""

    @classmethod
    def never_start(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Mapping[int, str]:
        return QuotaJobs(jobs, partitions, quotas_of(cls, "kueue"), cls.by).never_start()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        quotas = quotas_of(type(self), "kueue")
        self._jobs = QuotaJobs(queue.jobs, queue.partitions, quotas, self.by)
        self._switches = Switches(self.fair_sharing, self.strategies, partial_admission=False)
        self._names = [each.name for each in quotas.queues]
        self._strict = [name in quotas.strict for name in self._names]
        self._holds_back = [each.reclaim_within_cohort != "any" for each in quotas.queues]
        self._lines = [Line() for _ in self._names]
        self._lively: set[int] = set()
        """Queues that may have a job that has not been refused."""
        self._refusing: set[int] = set()
        """Queues that may have jobs that have been refused."""
        order = None if self.victims == "lowest_priority" else self._victim_key
        self.snapshot = Snapshot(quotas.queues, quotas.cohorts, order=order)
        queue.shared.setdefault("quotas", []).append(
            lambda _now: tree_uses(self.snapshot.tree, quotas)
        )
        self._root = [self.snapshot.tree.paths[node][0] for node in range(len(self._names))]
        self._pools = set(quotas.pools)
        self._changed: set[int] = set()
        self._freed: dict[int, set[str]] = {}
        self._unplaced: dict[int, int] = {}
        self._largest: dict[tuple[int, int, str], float] = {}
        """Largest job with prospects by queue, priority and pool, for the present usage."""
        self._stops: Counter[int] = Counter()
        self._later: list[int] = []

    def submit(self, job: int) -> None:
        self.waiting[job] = None
        if self._stops[job] >= _MOST_STOPS:
            self._later.append(job)
        else:
            self._line_up(job)

    def _line_up(self, job: int) -> None:
        queue = self._jobs.queue_of[job]
        if self._lines[queue].add(job, self._kind(job)):
            self._changed.add(self._root[queue])
            self._lively.add(queue)
        else:
            self._refusing.add(queue)

    def _kind(self, job: int) -> Kind:
        pools = self._jobs.flavors(job)
        if job in self.queue.own_nodes:
            partition, _ = self.queue.own_nodes[job]
            pools = tuple(p for p in pools if not self._jobs.closed(job, p) >> partition.index & 1)
        return Kind(self._jobs.priority[job], self.n_accelerators(job), pools)

    def finish(self, job: int, partition: Partition) -> None:
        self._give_back(job)

    def _give_back(self, job: int) -> None:
        """Free the quota of a job."""
        root = self._root[self._jobs.queue_of[job]]
        usage = self._free(str(job)).usage
        self._freed.setdefault(root, set()).update(flavor for flavor, _ in usage)
        self._changed.add(root)

    def _victim_key(self, victim: RunningJob) -> tuple[Any, ...]:
        """Return the order of a job among victims, if it is not Kueue's."""
        evicted, priority, start, tie = order_key(victim)
        if self.victims == "latest_start":
            return evicted, start, priority, tie
        running = self.queue.running.get(int(victim.id))
        ran_s = 0.0 if running is None else self.queue.now - running.start_s
        return evicted, ran_s * self.n_accelerators(int(victim.id)), priority, start, tie

    def schedule(self, now: float) -> None:
        self._place()
        if self.queue.protects:  # the protection of a job may have ended
            self._freed = {root: set(self._pools) for root in self._root}
            self._changed.update(self._root)
        if self.victims == "least_lost_work":
            self.snapshot.sort_again()
        self._look_again(all_sizes=True)
        while self._changed:
            while self._changed:
                self._cycle(now)
            self._look_again(all_sizes=False)
        self._stops.clear()
        for job in self._later:
            self._line_up(job)
        self._later.clear()

    def _look_again(self, *, all_sizes: bool) -> None:
        """Look again at jobs that were refused, if quota that they may use has been freed.

        What a preemption frees beyond the needs of the job for which it was done cannot help other
        jobs to preempt, so then only those are looked at that fit.
        """
        tree = self.snapshot.tree
        for queue in sorted(self._refusing):
            line, root = self._lines[queue], self._root[queue]
            if root not in self._freed:
                continue
            # In fair sharing, what a queue holds of one pool counts on all pools.
            pools = self._pools if self.fair_sharing else self._freed[root]
            most = {pool: tree.ledger((pool, RESOURCE)).available(queue) for pool in pools}
            if line.release(pools, None if all_sizes else most):
                self._changed.add(root)
                self._lively.add(queue)
            if not line.has_refused:
                self._refusing.remove(queue)
        self._freed.clear()

    def _cycle(self, now: float) -> None:
        """Decide on the first job of each queue whose tree of cohorts has changed."""
        self.snapshot.protected = frozenset(map(str, self.queue.protected()))
        roots, self._changed = self._changed, set()
        kinds: dict[int, Kind] = {}
        for queue in sorted(self._lively):
            if self._root[queue] in roots:
                head = self._lines[queue].head()
                if head is None:
                    self._lively.remove(queue)
                elif self._gets_nothing(queue, head[1]):
                    self._refuse(queue, *head)
                else:
                    kinds[head[0]] = head[1]
        if len(kinds) == 1 and self._admit_alone(*next(iter(kinds.items())), now):
            return
        if kinds:
            waiting = [self._waiting_job(job, kind) for job, kind in kinds.items()]
            for head_of in run_cycle(self.snapshot, waiting, self._switches).heads:
                job = int(head_of.job.id)
                self._carry_out(head_of, job, kinds[job], now)

    def _gets_nothing(self, queue: int, kind: Kind) -> bool:
        """Return whether a cycle would plainly refuse a job without effect on other jobs.

        There is no quota for it, nobody can be preempted for it, and its queue, which may reclaim
        all that it owns, does not hold quota back for a job without victims.
        """
        if self.fair_sharing or self._holds_back[queue]:
            return False
        for pool in kind.pools:
            key = queue, kind.priority, pool
            most = self._largest.get(key)
            if most is None:
                ledger = self.snapshot.tree.ledger((pool, RESOURCE))
                most = largest_with_prospects(self.snapshot, queue, kind.priority, ledger)
                self._largest[key] = most
            if kind.n_accelerators <= most:
                return False
        return True

    def _hold(self, job: RunningJob) -> None:
        self._largest.clear()
        self.snapshot.start(job)

    def _free(self, job: str) -> RunningJob:
        self._largest.clear()
        return self.snapshot.stop(job)

    def _waiting_job(self, job: int, kind: Kind) -> WaitingJob:
        pods = PodSet("main", 1, {RESOURCE: kind.n_accelerators}, flavors=kind.pools)
        return WaitingJob(
            str(job),
            self._names[self._jobs.queue_of[job]],
            (pods,),
            kind.priority,
            self._jobs.submit_s[job],
        )

    def _carry_out(self, head: Head, job: int, kind: Kind, now: float) -> None:
        """Do what a cycle decided on the first job of a queue."""
        queue = self._jobs.queue_of[job]
        if head.status == "admitted":
            self._admit(job, kind, head.assignment.usage, now)
        elif head.status == "preempting" and self._may_preempt(head.victims):
            self._preempt(head.victims)
        elif head.status in ("nofit", "no_victims", "preempting"):
            self._refuse(queue, job, kind)

    def _refuse(self, queue: int, job: int, kind: Kind) -> None:
        """Let other jobs of the queue pass a job, unless its order is strict."""
        if not self._strict[queue]:
            self._lines[queue].refuse(job, kind)
            self._refusing.add(queue)
            self._changed.add(self._root[queue])

    def _admit_alone(self, job: int, kind: Kind, now: float) -> bool:
        """Admit the only first job if a pool has quota for it that a cycle would choose."""
        queue, n = self._jobs.queue_of[job], kind.n_accelerators
        rules = self.snapshot.queues[self._names[queue]]
        for pool in kind.pools:
            key = (pool, RESOURCE)
            ledger = self.snapshot.tree.ledger(key)
            if n > ledger.potential[queue]:
                continue
            if n <= ledger.available(queue):
                if rules.when_can_borrow == "next" and ledger.level(queue, n)[0] > 0:
                    return False
                self._admit(job, kind, {key: n}, now)
                return True
            if rules.when_can_preempt != "next":
                return False
        return False

    def _admit(self, job: int, kind: Kind, usage: Amounts, now: float) -> None:
        """Give a job quota, and start it if its gang finds room.

        Of equal jobs, those that were submitted later are preempted first.
        """
        queue = self._jobs.queue_of[job]
        self._lines[queue].take(job, kind)
        self._changed.add(self._root[queue])
        self._hold(
            RunningJob(
                str(job),
                self._names[queue],
                usage,
                kind.priority,
                start_t=now,
                created_t=self._jobs.submit_s[job],
                tie_key=f"{10**12 - job:013d}",
            )
        )
        ((flavor, _),) = usage
        self._unplaced[job] = self._jobs.closed(job, flavor)
        self._start(job)

    def _start(self, job: int) -> bool:
        if not self.queue.start_anywhere(job, closed=self._unplaced[job]):
            return False
        del self._unplaced[job], self.waiting[job]
        return True

    def _place(self) -> None:
        """Start jobs that have quota and whose gang fits by now, in the order of their quota."""
        refused: set[tuple[int, int, int]] = set()
        jobs = self.queue.jobs
        for job, closed in list(self._unplaced.items()):
            own = job if job in self.queue.own_nodes else -1
            kind = jobs.choice_of[job] if own < 0 else -1, jobs.n_accelerators[job], closed
            if (own >= 0 or kind not in refused) and not self._start(job):
                refused.add(kind)

    def _may_preempt(self, victims: Iterable[Victim]) -> bool:
        """Return whether the limit of preemptions in an hour leaves room for some victims."""
        running = self.queue.running
        new = sum(not each.job.evicted and int(each.job.id) in running for each in victims)
        return new <= self.queue.most_victims

    def _preempt(self, victims: Iterable[Victim]) -> None:
        for victim in victims:
            if victim.job.evicted:
                continue
            job = int(victim.job.id)
            self._stops[job] += 1
            if job in self._unplaced:
                del self._unplaced[job]
                self._give_back(job)
                self.submit(job)
                continue
            self.queue.preempt(job, self.preempt_by, self.cost_of(job))
            if job in self.queue.leaving:
                self._hold(replace(self._free(victim.job.id), evicted=True))
                self._changed.add(self._root[self._jobs.queue_of[job]])
