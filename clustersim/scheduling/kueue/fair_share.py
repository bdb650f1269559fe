"""Dominant resource shares, and the order in which queues lose jobs in fair sharing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clustersim.scheduling.kueue.quota_tree import Ledger, QuotaTree, charge
from clustersim.scheduling.kueue.state import Amounts
from clustersim.scheduling.kueue.victims import Candidate

__all__ = ["Share", "ShareKey", "Shares", "VictimQueues"]

ShareKey = tuple[bool, float]
"""A share that can be compared: whether it is infinite, and its value."""

_NOTHING: ShareKey = (False, 0.0)


@dataclass(frozen=True, slots=True)
class Share:
    """How much a queue or cohort borrows.

    Attributes
    ----------
    value : float
        Quota borrowed of the dominant resource in thousandths of what its cohort can lend, divided
        by the weight. Infinite if the node borrows and its weight is 0.
    resource : str or None
        Dominant resource, of which the largest part is borrowed; None if nothing is borrowed.

    Examples
    --------
    >>> Share(value=100.0, resource="gpu").borrowing
    True
    """

    value: float
    resource: str | None

    @property
    def borrowing(self) -> bool:
        """Whether something is borrowed."""
        return self.resource is not None


class Shares:
    """Dominant resource shares in a tree, for its current usage.

    Parameters
    ----------
    tree : QuotaTree

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota
    >>> group = (FlavorQuotas("h200", {"gpu": Quota(5)}),)
    >>> tree = QuotaTree([Queue(name, (group,), cohort="lab", weight=2) for name in ("a", "b")])
    >>> tree.add("a", {("h200", "gpu"): 7})
    >>> Shares(tree).queue("a")
    Share(value=100.0, resource='gpu')
    >>> Shares(tree).queue("b")
    Share(value=0.0, resource=None)
    """

    def __init__(self, tree: QuotaTree) -> None:
        self._tree = tree
        self._terms: dict[int, list[tuple[str, float, list[Ledger]]]] = {}

    def _of_parent(self, parent: int) -> list[tuple[str, float, list[Ledger]]]:
        """Each resource in alphabetical order, what the cohort can lend of it, and its ledgers."""
        if parent not in self._terms:
            tree = self._tree
            ledgers: dict[str, list[Ledger]] = {}
            for key in sorted(tree.quoted(tree.paths[parent][0])):
                ledgers.setdefault(key[1], []).append(tree.ledgers[key])
            self._terms[parent] = [
                (resource, sum(ledger.potential[parent] for ledger in of_it), of_it)
                for resource, of_it in sorted(ledgers.items())
            ]
        return self._terms[parent]

    def _dominant(self, node: int) -> tuple[float, str | None]:
        """Return the largest ratio before weighting, and its resource."""
        parent = self._tree.parents[node]
        largest, dominant = 0.0, None
        if parent < 0:
            return largest, dominant
        for resource, lendable, ledgers in self._of_parent(parent):
            borrowed = 0.0
            for ledger in ledgers:
                excess = ledger.usage[node] - ledger.subtree[node]
                if excess > 0:
                    borrowed += excess
            if borrowed > 0:
                ratio = 1000 * borrowed / lendable if lendable > 0 else 0.0
                if dominant is None or ratio > largest:
                    largest, dominant = ratio, resource
        return largest, dominant

    def key(self, node: int) -> ShareKey:
        """Return the share of a node as a value that can be compared.

        Infinite shares, of nodes with weight 0, are larger than others; among them, the ratio
        before weighting decides.
        """
        return self.state(node)[1]

    def state(self, node: int) -> tuple[bool, ShareKey]:
        """Return whether a node borrows anything, and its share."""
        ratio, dominant = self._dominant(node)
        if dominant is None:
            return False, _NOTHING
        weight = self._tree.weights[node]
        return True, (True, ratio) if weight == 0 else (False, ratio / weight)

    def _share(self, node: int) -> Share:
        infinite, value = self.key(node)
        return Share(math.inf if infinite else value, self._dominant(node)[1])

    def queue(self, name: str, extra: Amounts | None = None) -> Share:
        """Return the share of a queue, with a further request if one is given."""
        node = self._tree.node_of(name)
        with self._tree.trial():
            charge(node, self._tree.charges(extra or {}))
            return self._share(node)

    def cohort(self, name: str) -> Share:
        """Return the share of a cohort."""
        return self._share(self._tree.cohort_node[name])


class VictimQueues:
    """The queues of a tree in the order in which they lose jobs.

    From the root down, the child with the largest share is next; a cohort goes before a queue of
    the same share. Queues that do not borrow, except the preemptor's, and queues without further
    candidates are dropped for good, and so are cohorts that do not borrow, except the
    preemptor's.

    Parameters
    ----------
    tree : QuotaTree
    shares : Shares
    preemptor : int
        Node of the preemptor's queue.
    candidates : mapping of int to list of Candidate
        Candidates by node, in victim order.

    Notes
    -----
    Between two turns, usage may change only at queues from which a candidate was taken.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota, RunningJob, Snapshot
    >>> group, gpus = (FlavorQuotas("h200", {"gpu": Quota(2)}),), ("h200", "gpu")
    >>> queues = [Queue(name, (group,), cohort="lab") for name in ("a", "b", "c", "d")]
    >>> jobs = [RunningJob("1", "a", {gpus: 3}), RunningJob("2", "b", {gpus: 5})]
    >>> snapshot = Snapshot(queues, running=jobs)
    >>> of_node = {node: snapshot.candidates(node) for node in range(2)}
    >>> turns = VictimQueues(snapshot.tree, Shares(snapshot.tree), 3, of_node)
    >>> while (node := turns.next()) is not None:
    ...     print(snapshot.tree.names[node], turns.pop(node).job.id)
    b 2
    a 1
    """

    def __init__(
        self,
        tree: QuotaTree,
        shares: Shares,
        preemptor: int,
        candidates: Mapping[int, list[Candidate]],
    ) -> None:
        self._tree, self._shares, self._preemptor = tree, shares, preemptor
        self._left = {node: found[::-1] for node, found in candidates.items() if found}
        self._dropped: set[int] = set()
        self._popped: set[int] = set()
        self._states: dict[int, tuple[bool, ShareKey]] = {}

    def next(self) -> int | None:
        """Return the node of the next queue to take a job from, None if there is none."""
        for node in self._popped:
            for changed in self._tree.paths[node]:
                self._states.pop(changed, None)
        self._popped.clear()
        root = self._tree.paths[self._preemptor][0]
        if root == self._preemptor:
            return root if self.has_candidates(root) and root not in self._dropped else None
        while root not in self._dropped:
            found = self._descend(root)
            if found is not None:
                return found
        return None

    def pop(self, node: int) -> Candidate:
        """Take the first candidate of a queue."""
        self._popped.add(node)
        return self._left[node].pop()

    def has_candidates(self, node: int) -> bool:
        """Whether a queue has further candidates."""
        return bool(self._left.get(node))

    def drop(self, node: int) -> None:
        """Take no further jobs from a queue."""
        self._dropped.add(node)

    def _state(self, node: int) -> tuple[bool, ShareKey]:
        if node not in self._states:
            self._states[node] = self._shares.state(node)
        return self._states[node]

    def _descend(self, cohort: int) -> int | None:
        """Return the queue whose turn it is below a cohort; None if a cohort was dropped."""
        queue, queue_share = self._best_queue(cohort)
        child, child_share = self._best_cohort(cohort)
        if child is not None and (queue is None or child_share >= queue_share):
            return self._descend(child)
        if queue is None:
            self._dropped.add(cohort)
        return queue

    def _best_queue(self, cohort: int) -> tuple[int | None, ShareKey]:
        best, largest = None, _NOTHING
        for node in self._tree.child_queues[cohort]:
            if node in self._dropped:
                continue
            borrows, share = self._state(node)
            if not self.has_candidates(node) or not (borrows or node == self._preemptor):
                self._dropped.add(node)
            elif (
                best is None
                or share > largest
                or (share == largest and self._first(node) < self._first(best))
            ):
                best, largest = node, share
        return best, largest

    def _first(self, node: int) -> tuple[Any, ...]:
        """Order of a queue's first candidate among victims."""
        decided, *rest = self._left[node][-1].key
        return decided, node == self._preemptor, *rest

    def _best_cohort(self, cohort: int) -> tuple[int | None, ShareKey]:
        best, largest = None, _NOTHING
        for node in self._tree.child_cohorts[cohort]:
            if node in self._dropped:
                continue
            borrows, share = self._state(node)
            if not borrows and node not in self._tree.paths[self._preemptor]:
                self._dropped.add(node)
            elif best is None or share >= largest:
                best, largest = node, share
        return best, largest
