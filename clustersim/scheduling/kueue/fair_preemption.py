"""Preemption with fair sharing: jobs are taken from the queues that borrow most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

from clustersim.scheduling.kueue.classical import fill_back
from clustersim.scheduling.kueue.fair_share import ShareKey, Shares, VictimQueues
from clustersim.scheduling.kueue.prospects import too_few
from clustersim.scheduling.kueue.quota_tree import QuotaTree, charge, fits, refund
from clustersim.scheduling.kueue.victims import (
    Candidate,
    Preemptor,
    Reason,
    Snapshot,
    Victim,
)

__all__ = ["fair_candidates", "fair_victims"]

Strategy = Literal["final_share", "initial_share"]


def fair_victims(
    snapshot: Snapshot,
    preemptor: Preemptor,
    strategies: Sequence[Strategy] = ("final_share", "initial_share"),
) -> list[Victim]:
    """Return the jobs to preempt for a waiting job; none if preemption does not help.

    Parameters
    ----------
    snapshot : Snapshot
        Left as it was.
    preemptor : Preemptor
    strategies : sequence of {"final_share", "initial_share"}
        Conditions for a victim, tried in this order.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(2)}),), ("h200", "gpu")
    >>> queues = [
    ...     Queue(name, (group,), cohort="lab", reclaim_within_cohort="any") for name in "abc"
    ... ]
    >>> running = [RunningJob(str(i), "b", {gpus: 1}, start_t=i) for i in range(6)]
    >>> snapshot = Snapshot(queues, running=running)
    >>> preemptor = snapshot.preemptor("a", {gpus: 3}, [gpus])
    >>> [(victim.job.id, victim.reason) for victim in fair_victims(snapshot, preemptor)]
    [('5', 'fair'), ('4', 'fair'), ('3', 'fair')]
    """
    candidates = fair_candidates(snapshot, preemptor)
    if not candidates or too_few(preemptor, chain.from_iterable(candidates.values())):
        return []
    with snapshot.tree.trial():
        charge(preemptor.node, preemptor.request)
        search = _Search(snapshot.tree, preemptor)
        if not (
            search.first(candidates, strategies[0])
            or (len(strategies) > 1 and search.second(candidates))
        ):
            return []
        refund(preemptor.node, preemptor.request)
        return fill_back(search.taken, lambda: fits(preemptor.node, preemptor.request))


def fair_candidates(snapshot: Snapshot, preemptor: Preemptor) -> dict[int, list[Candidate]]:
    """Return the candidates for preemption by their queue's node, each in victim order.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(4)}),), ("h200", "gpu")
    >>> running = [RunningJob("low", "a", {gpus: 4}, priority=-1)]
    >>> snapshot = Snapshot([Queue("a", (group,), within_queue="lower")], running=running)
    >>> found = fair_candidates(snapshot, snapshot.preemptor("a", {gpus: 1}, [gpus]))
    >>> {node: [candidate.job.id for candidate in jobs] for node, jobs in found.items()}
    {0: ['low']}
    """
    tree, queue = snapshot.tree, preemptor.queue
    root = tree.paths[preemptor.node][0]
    found = {}
    for node in tree.queue_node.values():
        if node == preemptor.node:
            policy = queue.within_queue
        elif tree.paths[node][0] == root and any(
            ledger.usage[node] > ledger.quotas[node].nominal for ledger in preemptor.needing
        ):
            policy = queue.reclaim_within_cohort
        else:
            continue
        if jobs := snapshot.eligible(node, preemptor, policy):
            found[node] = jobs
    return found


class _Search:
    """The search for victims, with the request charged to the preemptor's queue."""

    def __init__(self, tree: QuotaTree, preemptor: Preemptor) -> None:
        self._tree, self._preemptor, self._shares = tree, preemptor, Shares(tree)
        self.taken: list[tuple[Candidate, Reason]] = []
        self._failed: set[str] = set()

    def _take(self, candidate: Candidate, reason: Reason) -> bool:
        """Remove a candidate; return whether the request then fits."""
        refund(candidate.node, candidate.usage)
        self.taken.append((candidate, reason))
        node, request = self._preemptor.node, self._preemptor.request
        refund(node, request)
        fitting = fits(node, request)
        charge(node, request)
        return fitting

    def _children(self, node: int) -> tuple[int, int]:
        """Nodes below the lowest common ancestor, on the preemptor's and on the victim's side."""
        own, other = self._tree.paths[self._preemptor.node], self._tree.paths[node]
        depth = next(i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b)
        return own[depth], other[depth]

    def _borrows(self) -> bool:
        node = self._preemptor.node
        return any(
            ledger.usage[node] > ledger.quotas[node].nominal for ledger in self._preemptor.needing
        )

    def first(self, candidates: dict[int, list[Candidate]], strategy: Strategy) -> bool:
        """Take candidates that meet the first strategy; return whether the request fits."""
        turns = VictimQueues(self._tree, self._shares, self._preemptor.node, candidates)
        while (node := turns.next()) is not None:
            if node == self._preemptor.node or not self._borrows():
                reason: Reason = "in_queue" if node == self._preemptor.node else "reclaim"
                if self._take(turns.pop(node), reason):
                    return True
                continue
            own, other = self._children(node)
            test = self._test(strategy, self._shares.key(own), other)
            while turns.has_candidates(node):
                candidate = turns.pop(node)
                if test(candidate):
                    if self._take(candidate, "fair"):
                        return True
                    break
                self._failed.add(candidate.job.id)
        return False

    def _test(self, strategy: Strategy, own: ShareKey, other: int) -> Callable[[Candidate], bool]:
        before = self._shares.key(other)

        def meets(candidate: Candidate) -> bool:
            if strategy == "initial_share":
                return own < before
            refund(candidate.node, candidate.usage)
            after = self._shares.key(other)
            charge(candidate.node, candidate.usage)
            return own <= after

        return meets

    def second(self, candidates: dict[int, list[Candidate]]) -> bool:
        """Try one failed candidate of each queue with the share before its removal."""
        failed = {
            node: [candidate for candidate in found if candidate.job.id in self._failed]
            for node, found in candidates.items()
        }
        turns = VictimQueues(self._tree, self._shares, self._preemptor.node, failed)
        while (node := turns.next()) is not None:
            own, other = self._children(node)
            met = self._shares.key(own) < self._shares.key(other)
            if met and self._take(turns.pop(node), "fair"):
                return True
            turns.drop(node)
        return False
