"""Preemption without fair sharing: quota that was lent is reclaimed within the hierarchy.

Candidates are in three classes. *Hierarchical* ones are in a branch that borrows from a subtree
whose quota would hold the request: its quota is reclaimed whatever their priority (subject to the
policy of the queue). *Priority* candidates are in other branches that borrow. *Own* candidates
are in the preemptor's queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain
from operator import attrgetter

from clustersim.scheduling.kueue.prospects import may_stay_within_quota, too_few
from clustersim.scheduling.kueue.quota_tree import (
    Charge,
    QuotaTree,
    charge,
    fits,
    refund,
    within_nominal,
)
from clustersim.scheduling.kueue.victims import (
    Candidate,
    Preemptor,
    Reason,
    Snapshot,
    Victim,
)

__all__ = ["Classes", "classes", "classical_victims", "fill_back"]

_key = attrgetter("key")
_Pick = tuple[Candidate, Reason]
"""A candidate and the reason."""


@dataclass(slots=True)
class Classes:
    """Candidates by class, in victim order.

    Attributes
    ----------
    hierarchical, priority : list of list of Candidate
        One list for each queue.
    own : list of Candidate

    Examples
    --------
    >>> Classes().own
    []
    """

    hierarchical: list[list[Candidate]] = field(default_factory=list)
    priority: list[list[Candidate]] = field(default_factory=list)
    own: list[Candidate] = field(default_factory=list)


def classes(snapshot: Snapshot, preemptor: Preemptor, *, priority: bool = True) -> Classes:
    """Return the candidates for preemption by class.

    Parameters
    ----------
    snapshot : Snapshot
    preemptor : Preemptor
    priority : bool
        Whether those of `Classes.priority` are wanted.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 4}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> [c.job.id for c in classes(snapshot, snapshot.preemptor("a", {gpus: 1}, [gpus])).own]
    ['low']
    """
    found = Classes()
    policy = preemptor.queue.reclaim_within_cohort
    found.own = snapshot.eligible(preemptor.node, preemptor, preemptor.queue.within_queue)
    if policy == "never":
        return found
    tree = snapshot.tree
    path = tree.paths[preemptor.node]
    advantage, request = _held(preemptor.node, preemptor.request)
    for walked, ancestor in zip(reversed(path[1:]), reversed(path[:-1]), strict=True):
        if advantage or priority:
            target = found.hierarchical if advantage else found.priority
            for node in _borrowing_queues(tree, ancestor, walked, preemptor):
                if eligible := snapshot.eligible(node, preemptor, policy):
                    target.append(eligible)
        held, request = _held(ancestor, request)
        advantage = advantage or held
    return found


def _held(node: int, request: tuple[Charge, ...]) -> tuple[bool, tuple[Charge, ...]]:
    """Whether a node's quota holds a request, and the part that goes to the parent."""
    held, above = True, []
    for ledger, amount in request:
        held = held and ledger.usage[node] + amount <= ledger.subtree[node]
        unused = max(0, ledger.local[node] - ledger.usage[node])
        above.append((ledger, max(0, amount - unused)))
    return held, tuple(above)


def _borrowing_queues(
    tree: QuotaTree, cohort: int, walked: int, preemptor: Preemptor
) -> Iterator[int]:
    for child in tree.child_cohorts[cohort]:
        if child != walked and not within_nominal(child, preemptor.needing):
            yield from _borrowing_queues(tree, child, walked, preemptor)
    for child in tree.child_queues[cohort]:
        if child != walked and not within_nominal(child, preemptor.needing):
            yield child


def classical_victims(snapshot: Snapshot, preemptor: Preemptor) -> list[Victim]:
    """Return the jobs to preempt for a waiting job; none if preemption does not help.

    Parameters
    ----------
    snapshot : Snapshot
        Left as it was.
    preemptor : Preemptor

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> queues = [
    ...     Queue(name, (group,), cohort="lab", reclaim_within_cohort="any") for name in ("a", "b")
    ... ]
    >>> running = [RunningJob(str(i), "b", {gpus: 2}, start_t=i) for i in range(4)]
    >>> snapshot = Snapshot(queues, running=running)
    >>> preemptor = snapshot.preemptor("a", {gpus: 3}, [gpus])
    >>> [(victim.job.id, victim.reason) for victim in classical_victims(snapshot, preemptor)]
    [('3', 'reclaim'), ('2', 'reclaim')]
    """
    node, request = preemptor.node, preemptor.request
    within = may_stay_within_quota(snapshot, node, preemptor.priority, request)
    # Without that, they are of use only to a queue that may borrow when it preempts.
    priority = within or preemptor.queue.borrows_when_preempting
    found = classes(snapshot, preemptor, priority=priority)
    if not (found.hierarchical or found.priority or found.own):
        return []
    if too_few(preemptor, chain(*found.hierarchical, *found.priority, found.own)):
        return []
    for borrowing in _attempts(found, preemptor):
        if not (borrowing or within):
            continue
        with snapshot.tree.trial():
            picks = _picks(found, preemptor, borrowing)
            victims = _attempt(snapshot.tree, preemptor, picks, borrowing)
        if victims:
            return victims
    return []


def _picks(found: Classes, preemptor: Preemptor, borrowing: bool) -> Iterator[_Pick]:
    """Yield candidates in order, without those of `Classes.priority` that may not be preempted.

    Jobs that are being evicted already come first in each class, and before all others.
    """
    behind: list[Iterator[_Pick]] = []
    for picks in (
        ((candidate, "reclaim") for candidate in merge(*found.hierarchical, key=_key)),
        _of_priority(found, preemptor, borrowing),
        ((candidate, "in_queue") for candidate in found.own),
    ):
        for pick in picks:
            if not pick[0].job.evicted:
                behind.append(chain([pick], picks))
                break
            yield pick
    yield from chain.from_iterable(behind)


def _of_priority(found: Classes, preemptor: Preemptor, borrowing: bool) -> Iterator[_Pick]:
    """Yield the candidates of `Classes.priority` that may be preempted, borrowing or not."""
    allowed = preemptor.queue.borrow_within_cohort
    may_borrow = allowed is not None and allowed.policy != "never"
    if borrowing and not may_borrow:
        return
    for candidate in merge(*found.priority, key=_key):
        priority = candidate.job.priority
        if (
            allowed is not None
            and may_borrow
            and priority < preemptor.priority
            and (allowed.max_priority is None or priority <= allowed.max_priority)
        ):
            yield candidate, "reclaim_while_borrowing"
        elif not borrowing:
            yield candidate, "reclaim"


def _attempts(found: Classes, preemptor: Preemptor) -> tuple[bool, ...]:
    """Whether the preemptor may borrow, for each attempt."""
    can_borrow = preemptor.queue.borrows_when_preempting
    node = preemptor.node
    below = all(ledger.usage[node] < ledger.quotas[node].nominal for ledger in preemptor.needing)
    if not (found.hierarchical or found.priority) or (not can_borrow and not below):
        return (True,)
    if not can_borrow and not found.hierarchical:
        return (False, True)
    return (True, False)


def _attempt(
    tree: QuotaTree, preemptor: Preemptor, picks: Iterable[_Pick], borrowing: bool
) -> list[Victim]:
    """Remove candidates until the request fits, then put back those that it does not need."""
    taken: list[tuple[Candidate, Reason]] = []
    spared: set[int] = set()
    """Queues that lose nothing more."""
    for candidate, reason in picks:
        node = candidate.node
        if node in spared:
            continue
        if node != preemptor.node and not _still_borrows(tree, preemptor, candidate):
            spared.add(node)
            continue
        refund(candidate.node, candidate.usage)
        taken.append((candidate, reason))
        if fits(preemptor.node, preemptor.request, borrowing=borrowing):
            return fill_back(
                taken, lambda: fits(preemptor.node, preemptor.request, borrowing=borrowing)
            )
    return []


def _still_borrows(tree: QuotaTree, preemptor: Preemptor, candidate: Candidate) -> bool:
    """Whether a candidate's queue and its cohorts below the common ancestor exceed their quota."""
    own = tree.paths[preemptor.node]
    for node in reversed(tree.paths[candidate.node]):
        if node in own:
            return True
        if within_nominal(node, preemptor.needing):
            return False
    return True


def fill_back(
    taken: list[tuple[Candidate, Reason]], still_fits: Callable[[], bool]
) -> list[Victim]:
    """Put back the usage of candidates that need not be preempted; return the others.

    Parameters
    ----------
    taken : list of (Candidate, str)
        In the order in which they were removed. The last one is needed.
    still_fits : callable
        Whether the request fits at present.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import RunningJob
    >>> taken = [(Candidate(RunningJob(name, "a", {}), 0, ()), "reclaim") for name in "xyz"]
    >>> [victim.job.id for victim in fill_back(taken, lambda: True)]
    ['z']
    """
    kept = [taken[-1]]
    for candidate, reason in reversed(taken[:-1]):
        charge(candidate.node, candidate.usage)
        if not still_fits():
            refund(candidate.node, candidate.usage)
            kept.append((candidate, reason))
    return [Victim(candidate.job, reason) for candidate, reason in reversed(kept)]
