"""What a search for victims needs to succeed, found without looking at each job."""

from __future__ import annotations

from collections.abc import Iterable

from clustersim.scheduling.kueue.quota_tree import Charge, Ledger
from clustersim.scheduling.kueue.victims import Candidate, Preemptor, Snapshot

__all__ = ["cannot_preempt", "largest_with_prospects", "may_stay_within_quota", "too_few"]


def cannot_preempt(
    snapshot: Snapshot, node: int, priority: int, request: tuple[Charge, ...]
) -> bool:
    """Return whether it is plain that nobody can be preempted for a request.

    Jobs of other queues help only if a part of the tree has quota for the request, if the request
    may stay within the quota of its queue, or if the queue may borrow when it preempts. Otherwise
    jobs of its own queue must make room for it.

    Parameters
    ----------
    snapshot : Snapshot
    node : int
        Node of the queue.
    priority : int
    request : tuple of Charge

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 4}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> request = snapshot.tree.charges({gpus: 2})
    >>> cannot_preempt(snapshot, 0, 0, request), cannot_preempt(snapshot, 0, -1, request)
    (False, True)
    """
    queue = snapshot.queue_at(node)
    if queue.borrows_when_preempting or all(ledger.level(node, n)[1] for ledger, n in request):
        return False
    for ledger, amount in request:
        most = snapshot.most_freed(node, priority, ledger)
        if amount > max(0, ledger.available(node) + most):
            return not may_stay_within_quota(snapshot, node, priority, request)
    return False


def largest_with_prospects(snapshot: Snapshot, node: int, priority: int, ledger: Ledger) -> float:
    """Return the largest amount of one flavor that a queue may get, with or without preemption.

    For any larger amount, :func:`cannot_preempt` is true.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 3}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> ledger = snapshot.tree.ledger(gpus)
    >>> [largest_with_prospects(snapshot, 0, priority, ledger) for priority in (-1, 0)]
    [1, 4]
    """
    potential = ledger.potential[node]
    if snapshot.queue_at(node).borrows_when_preempting:
        return potential
    free = max(ledger.available(node), ledger.quotas[node].nominal - ledger.usage[node])
    free += snapshot.most_freed(node, priority, ledger)
    return min(potential, max(free, ledger.largest_in_part(node)))


def may_stay_within_quota(
    snapshot: Snapshot, node: int, priority: int, request: tuple[Charge, ...]
) -> bool:
    """Return False if a request exceeds its queue's quota whichever jobs are preempted.

    Only jobs of its own queue make room below the quota of the queue.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> snapshot = Snapshot([Queue("a", (group,))])
    >>> may_stay_within_quota(snapshot, 0, 0, snapshot.tree.charges({gpus: 5}))
    False
    """
    for ledger, amount in request:
        above = ledger.usage[node] + amount - ledger.quotas[node].nominal
        if above > 0 and above > snapshot.most_freed(node, priority, ledger):
            return False
    return True


def too_few(preemptor: Preemptor, candidates: Iterable[Candidate]) -> bool:
    """Whether a request does not fit even without all candidates; False if that is unknown.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> snapshot = Snapshot([Queue("a", (group,))], running=[RunningJob("j", "a", {gpus: 3})])
    >>> preemptor = snapshot.preemptor("a", {gpus: 2}, [gpus])
    >>> too_few(preemptor, []), too_few(preemptor, [snapshot.running("j")])
    (True, False)
    """
    if len(preemptor.request) != 1:
        return False
    ((ledger, amount),) = preemptor.request
    room = ledger.available(preemptor.node)
    for candidate in candidates:
        if room >= amount:
            break
        room += sum(n for of, n in candidate.usage if of is ledger)
    return room < amount
