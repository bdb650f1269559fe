"""Running jobs as victims: who may be preempted, and in which order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.kueue.quota_tree import Charge, Ledger, QuotaTree
from clustersim.scheduling.kueue.state import (
    Amounts,
    Cohort,
    FlavorResource,
    Queue,
    RunningJob,
    VictimPolicy,
)
from clustersim.scheduling.kueue.traits import FlavorTraits

__all__ = [
    "Candidate",
    "Preemptor",
    "Reason",
    "Snapshot",
    "Victim",
    "order_key",
    "victim_order",
]

_key = attrgetter("key")

Reason: TypeAlias = Literal["in_queue", "reclaim", "reclaim_while_borrowing", "fair"]
"""Why a job is preempted: by its own queue, to return lent quota, to let the preemptor's queue
borrow at the cost of jobs of lower priority, or for a fairer share."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A job that is preempted, with the reason.

    Examples
    --------
    >>> Victim(RunningJob("j", "a", {}), "reclaim").reason
    'reclaim'
    """

    job: RunningJob
    reason: Reason


class Candidate:
    """A running job with its queue's node and its usage in the ledgers of a tree.

    Attributes
    ----------
    job : RunningJob
    node : int
    usage : tuple of Charge
    ledgers : frozenset of Ledger
    key : tuple
        Order among jobs of one queue, the first victim first.
    priority : int

    Examples
    --------
    >>> Candidate(RunningJob("j", "a", {}, priority=3), 0, ()).priority
    3
    """

    __slots__ = ("job", "key", "ledgers", "node", "priority", "usage")

    def __init__(self, job: RunningJob, node: int, usage: tuple[Charge, ...]) -> None:
        self.job, self.node, self.usage = job, node, usage
        self.ledgers = frozenset(ledger for ledger, amount in usage if amount > 0)
        self.key: tuple[Any, ...] = order_key(job)
        self.priority = job.priority


@dataclass(frozen=True, slots=True)
class Preemptor:
    """A waiting job with chosen flavors that needs others to be preempted.

    Attributes
    ----------
    node : int
        Node of its queue.
    queue : Queue
    priority : int
    created_t : float
    request : tuple of Charge
    needing : tuple of Ledger
        Ledgers that lack room for it.
    without : frozenset of str
        Jobs that must not be preempted for it.

    Examples
    --------
    >>> Preemptor(0, Queue("a"), priority=1, created_t=0.0, request=(), needing=()).queue.name
    'a'
    """

    node: int
    queue: Queue
    priority: int
    created_t: float
    request: tuple[Charge, ...]
    needing: tuple[Ledger, ...]
    without: frozenset[str] = frozenset()


class Snapshot:
    """Queues with their quotas, and the running jobs.

    Parameters
    ----------
    queues : sequence of Queue
    cohorts : sequence of Cohort
        Cohorts that have a parent, a weight or quota; others need not be listed.
    running : iterable of RunningJob
    used : mapping of str to Amounts, optional
        Usage of queues in addition to the running jobs.
    flavors : mapping of str to FlavorTraits, optional
        Labels and taints of flavors; flavors that are not listed have none.
    order : callable
        Returns the key by which victims are sorted; by default Kueue's.

    Attributes
    ----------
    tree : QuotaTree
    queues : dict of str to Queue
    protected : set of str
        Running jobs that must not be preempted at present; empty at first.

    Raises
    ------
    InputError
        If a job is in an unknown queue or two jobs have the same id; see also `QuotaTree`.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> queue = Queue("a", ((FlavorQuotas("h200", {"gpu": Quota(8)}),),))
    >>> snapshot = Snapshot([queue], running=[RunningJob("j", "a", {("h200", "gpu"): 6})])
    >>> snapshot.tree.available("a", ("h200", "gpu"))
    2
    >>> snapshot.stop("j").id, snapshot.tree.available("a", ("h200", "gpu"))
    ('j', 8)
    """

    def __init__(
        self,
        queues: Sequence[Queue],
        cohorts: Sequence[Cohort] = (),
        running: Iterable[RunningJob] = (),
        *,
        used: Mapping[str, Amounts] | None = None,
        flavors: Mapping[str, FlavorTraits] | None = None,
        order: Callable[[RunningJob], tuple[Any, ...]] | None = None,
    ) -> None:
        self._order = order
        self.tree = QuotaTree(queues, cohorts)
        self.queues = {queue.name: queue for queue in queues}
        self._queues = list(queues)
        self.flavors = dict(flavors or {})
        self.protected: Set[str] = frozenset()
        self._running: dict[str, Candidate] = {}
        self._by_node: list[dict[str, Candidate]] = [{} for _ in queues]
        self._sorted: list[list[Candidate]] = [[] for _ in queues]
        self._using: list[dict[Ledger, list[Candidate]] | None] = [None for _ in queues]
        self._held: list[dict[Ledger, dict[int, float]]] = [{} for _ in queues]
        """What the running jobs of each queue use, by priority."""
        for name, amounts in (used or {}).items():
            self.tree.add(name, amounts)
        for job in running:
            self.start(job)

    def start(self, job: RunningJob) -> None:
        """Add a running job and charge its usage."""
        if job.id in self._running:
            raise InputError("running", f"the id {job.id!r} is used twice; it must be unique")
        if job.queue not in self.queues:
            problem = unknown_name("queue", job.queue, self.queues)
            raise InputError("running", f"job {job.id!r}: {problem}")
        node = self.tree.queue_node[job.queue]
        candidate = Candidate(job, node, self.tree.charges(job.usage))
        if self._order is not None:
            candidate.key = self._order(job)
        for ledger, amount in candidate.usage:
            ledger.add(node, amount)
            held = self._held[node].setdefault(ledger, {})
            held[job.priority] = held.get(job.priority, 0) + amount
        self._running[job.id] = candidate
        self._by_node[node][job.id] = candidate
        for candidates in self._lists_of(candidate, add=True):
            insort(candidates, candidate, key=_key)

    def stop(self, job: str) -> RunningJob:
        """Remove a running job and its usage; return it."""
        if job not in self._running:
            raise InputError("running", unknown_name("job", job, self._running))
        candidate = self._running.pop(job)
        for ledger, amount in candidate.usage:
            ledger.remove(candidate.node, amount)
            self._held[candidate.node][ledger][candidate.priority] -= amount
        del self._by_node[candidate.node][job]
        for candidates in self._lists_of(candidate):
            at = bisect_left(candidates, candidate.key, key=_key)
            while candidates[at] is not candidate:
                at += 1
            del candidates[at]
        return candidate.job

    def _lists_of(self, candidate: Candidate, *, add: bool = False) -> list[list[Candidate]]:
        """Return the sorted lists in which a candidate is, or to which it is added."""
        using = self._using[candidate.node]
        if using is None:
            return []
        return [
            self._sorted[candidate.node],
            *(
                using.setdefault(ledger, []) if add else using[ledger]
                for ledger in candidate.ledgers
            ),
        ]

    def running(self, job: str) -> Candidate:
        """Return a running job."""
        return self._running[job]

    def sort_again(self) -> None:
        """Sort the victims again, because a custom order changes with time."""
        if self._order is not None:
            for candidate in self._running.values():
                candidate.key = self._order(candidate.job)
            self._using = [None] * len(self._using)

    def candidates(self, node: int) -> list[Candidate]:
        """Return the running jobs of a queue in victim order."""
        self._by_ledger(node)
        return self._sorted[node]

    def eligible(self, node: int, preemptor: Preemptor, policy: VictimPolicy) -> list[Candidate]:
        """Return the jobs of a queue that a policy lets a job preempt, in victim order.

        Only jobs that use something of which the preemptor lacks room are of interest.
        """
        if policy == "never" or not preemptor.needing:
            return []
        using = self._by_ledger(node)
        if len(preemptor.needing) == 1:
            found = using.get(preemptor.needing[0], [])
        else:
            needing = set(preemptor.needing)
            found = [c for c in self._sorted[node] if not needing.isdisjoint(c.ledgers)]
        if policy != "any":
            found = self._by_policy(found, preemptor, newer_equal=policy == "lower_or_newer_equal")
        if self.protected:
            found = [c for c in found if c.job.id not in self.protected]
        if preemptor.without:
            found = [c for c in found if c.job.id not in preemptor.without]
        return found

    def _by_policy(
        self, found: list[Candidate], preemptor: Preemptor, *, newer_equal: bool
    ) -> list[Candidate]:
        """Return those of lower priority, or also the newer ones of the same priority."""
        priority, created_t = preemptor.priority, preemptor.created_t
        begin, end = 0, len(found)
        if self._order is None:  # in the order of `order_key`
            begin = bisect_left(found, (True,), key=_key)
            end = bisect_left(found, (True, priority + newer_equal), begin, key=_key)
            if not newer_equal:
                return [c for c in found[:begin] if c.priority < priority] + found[begin:end]
        return [
            c
            for c in found[:end]
            if c.priority < priority
            or (newer_equal and c.priority == priority and created_t < c.job.created_t)
        ]

    def queue_at(self, node: int) -> Queue:
        """Return the queue of a node."""
        return self._queues[node]

    def most_freed(self, node: int, priority: int, ledger: Ledger) -> float:
        """Return an upper bound on what a job can free by preempting jobs of its own queue.

        Parameters
        ----------
        node : int
            Node of the queue.
        priority : int
            Priority of the job.
        ledger : Ledger
        """
        policy, held = self._queues[node].within_queue, self._held[node].get(ledger)
        if policy == "never" or held is None:
            return 0
        if policy == "any":
            return sum(held.values())
        most = priority - (policy == "lower")
        return sum([amount for of, amount in held.items() if of <= most])

    def _by_ledger(self, node: int) -> dict[Ledger, list[Candidate]]:
        """Return the jobs of a queue in victim order by what they use."""
        using = self._using[node]
        if using is None:
            using = {}
            found = self._by_node[node].values()
            self._sorted[node] = sorted(found, key=lambda candidate: candidate.key)
            for candidate in self._sorted[node]:
                for ledger in candidate.ledgers:
                    using.setdefault(ledger, []).append(candidate)
            self._using[node] = using
        return using

    def preemptor(
        self,
        queue: str,
        request: Mapping[FlavorResource, float],
        needing: Iterable[FlavorResource],
        *,
        priority: int = 0,
        created_t: float = 0.0,
        without: frozenset[str] = frozenset(),
    ) -> Preemptor:
        """Return a waiting job for which victims can be searched.

        Parameters
        ----------
        queue : str
        request : mapping of (str, str) to float
            What the job requests of the flavors that were chosen for it.
        needing : iterable of (str, str)
            Flavors and resources that lack room for it.
        priority : int
        created_t : float
        without : frozenset of str
            Jobs that must not be preempted for it.
        """
        return Preemptor(
            node=self.tree.node_of(queue),
            queue=self.queues[queue],
            priority=priority,
            created_t=created_t,
            request=self.tree.charges(request),
            needing=tuple(dict.fromkeys(self.tree.ledger(key) for key in needing)),
            without=without,
        )


def order_key(job: RunningJob) -> tuple[bool, int, float, str]:
    """Return the order of a job among the victims of one queue.

    Jobs whose preemption has been decided come first, then lower priorities, later starts and
    smaller tie keys.

    Examples
    --------
    >>> order_key(RunningJob("j", "a", {}, priority=3, start_t=5.0))
    (True, 3, -5.0, 'j')
    """
    start = float("inf") if job.start_t is None else job.start_t
    return not job.evicted, job.priority, -start, job.tie_key or job.id


def victim_order(jobs: Iterable[RunningJob], queue: str) -> list[RunningJob]:
    """Return jobs in the order in which a job of a queue preempts them.

    Parameters
    ----------
    jobs : iterable of RunningJob
    queue : str
        Queue of the preemptor. Its jobs come after those of other queues.

    Examples
    --------
    >>> jobs = [RunningJob("own", "a", {}, priority=-1), RunningJob("other", "b", {}, priority=5)]
    >>> [job.id for job in victim_order(jobs, "a")]
    ['other', 'own']
    """

    return sorted(jobs, key=lambda job: (order_key(job)[0], job.queue == queue, order_key(job)))
