"""Quota arithmetic of a tree of cohorts and queues with borrowing and lending limits.

Each node owns a nominal quota. What its subtree has beyond the lending limit is *local*: it is
never lent. Usage is charged to the queue; the part above the unused local quota is charged to the
parent as well, and so on up to the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from clustersim.errors import InputError, unknown_name
from clustersim.scheduling.kueue.checks import check_quotas
from clustersim.scheduling.kueue.state import Amounts, Cohort, FlavorResource, Queue, Quota

__all__ = ["Charge", "Ledger", "QuotaTree", "charge", "fits", "refund", "within_nominal"]

_UNLIMITED = float("inf")
_NONE = Quota(0)


class Ledger:
    """Quota and usage of one flavor and resource at all nodes of a tree.

    Nodes are identified by numbers, as `QuotaTree` assigns them. The columns have one value for
    each node.

    Attributes
    ----------
    quotas : list of Quota
    subtree : list of float
        Quota of the node and what its descendants lend.
    local : list of float
        Part of it that is never lent.
    potential : list of float
        What the node could use if nobody else used anything.
    usage : list of float

    Examples
    --------
    >>> ledger = Ledger([Quota(8), Quota(0)], [1, -1], [(1, 0), (1,)], [0, 1])
    >>> ledger.add(0, 6)
    >>> ledger.available(0), ledger.level(0, 2), ledger.level(0, 3)
    (2, (0, True), (1, False))
    """

    __slots__ = (
        "_borrow_limit",
        "_heights",
        "_parents",
        "_paths",
        "local",
        "potential",
        "quotas",
        "subtree",
        "usage",
    )

    def __init__(
        self,
        quotas: list[Quota],
        parents: list[int],
        paths: list[tuple[int, ...]],
        heights: list[int],
    ) -> None:
        self._parents, self._paths, self._heights = parents, paths, heights
        self.quotas = quotas
        limits = [quota.borrow_limit for quota in quotas]
        self._borrow_limit = [_UNLIMITED if limit is None else limit for limit in limits]
        self.subtree = [quota.nominal for quota in quotas]
        self.local: list[float] = [0] * len(quotas)
        self.usage: list[float] = [0] * len(quotas)
        self.potential: list[float] = [0] * len(quotas)
        self._accumulate()

    def _accumulate(self) -> None:
        deepest_first = sorted(range(len(self.quotas)), key=lambda n: -len(self._paths[n]))
        for node in deepest_first:
            lend_limit, parent = self.quotas[node].lend_limit, self._parents[node]
            if lend_limit is None:
                self.local[node] = 0
            else:
                self.local[node] = max(0, self.subtree[node] - lend_limit)
            if parent >= 0:
                self.subtree[parent] += self.subtree[node] - self.local[node]
        for node in reversed(deepest_first):
            parent, own = self._parents[node], self.subtree[node]
            self.potential[node] = (
                own
                if parent < 0
                else min(self.local[node] + self.potential[parent], own + self._borrow_limit[node])
            )

    def add(self, node: int, amount: float) -> None:
        """Charge an amount to a node, and to its ancestors what exceeds local quota."""
        usage, local, parents = self.usage, self.local, self._parents
        while amount > 0 and node >= 0:
            unused = local[node] - usage[node]
            usage[node] += amount
            if unused > 0:
                amount -= unused
            node = parents[node]

    def remove(self, node: int, amount: float) -> None:
        """Undo `add` with the same arguments."""
        usage, local, parents = self.usage, self.local, self._parents
        while amount > 0 and node >= 0:
            stored_above = usage[node] - local[node]
            usage[node] -= amount
            if stored_above < amount:
                amount = stored_above
            node = parents[node]

    def available(self, node: int) -> float:
        """Return what the node can still use; negative if the tree is overused."""
        usage, local, subtree, limits = self.usage, self.local, self.subtree, self._borrow_limit
        path = self._paths[node]
        left = subtree[path[0]] - usage[path[0]]
        for n in path[1:]:
            unused, limit = local[n] - usage[n], limits[n]
            if limit is not _UNLIMITED:
                left = min(left, subtree[n] - local[n] + min(0, unused) + limit)
            if unused > 0:
                left += unused
        return left

    def level(self, node: int, amount: float) -> tuple[int, bool]:
        """Return the height of the lowest subtree whose quota holds a further amount.

        Returns
        -------
        height : int
            0 for the node itself; the height of the root if the amount exceeds all quotas.
        part : bool
            Whether that subtree is only a part of the tree.
        """
        usage, local, parents = self.usage, self.local, self._parents
        for n in reversed(self._paths[node]):
            if usage[n] + amount <= self.subtree[n]:
                return self._heights[n], parents[n] >= 0
            amount -= max(0, local[n] - usage[n])
        return self._heights[self._paths[node][0]], False

    def largest_in_part(self, node: int) -> float:
        """Return the largest further amount that the quota of a part of the tree holds.

        Examples
        --------
        >>> ledger = Ledger([Quota(8), Quota(0)], [1, -1], [(1, 0), (1,)], [0, 1])
        >>> ledger.largest_in_part(0), ledger.largest_in_part(1)
        (8, 0)
        """
        largest: float = 0
        unused: float = 0
        for n in reversed(self._paths[node]):
            if self._parents[n] < 0:
                break
            largest = max(largest, self.subtree[n] - self.usage[n] + unused)
            unused += max(0, self.local[n] - self.usage[n])
        return largest


Charge = tuple[Ledger, float]
"""An amount of the flavor and resource of a ledger."""


class QuotaTree:
    """Quotas and usage of queues and cohorts.

    Parameters
    ----------
    queues : sequence of Queue
    cohorts : sequence of Cohort
        Cohorts that are only named by a queue or as a parent need not be listed.

    Attributes
    ----------
    queue_node, cohort_node : dict of str to int
        Number of the node of each queue and cohort.
    names : list of str
        Name of each node.
    weights : list of float
    parents : list of int
        Number of each node's parent, -1 for a root.
    paths : list of tuple of int
        Nodes from the root to each node.
    child_queues, child_cohorts : list of list of int
        Children of each node.
    ledgers : dict of (str, str) to Ledger

    Raises
    ------
    InputError
        If cohorts form a circle; see also `check_quotas`.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import Cohort, FlavorQuotas, Queue, Quota
    >>> def queue(name, **quota):
    ...     return Queue(name, ((FlavorQuotas("h200", {"gpu": Quota(**quota)}),),), cohort="lab")
    >>> tree = QuotaTree([queue("a", nominal=8), queue("b", nominal=8, lend_limit=2)])
    >>> tree.add("a", {("h200", "gpu"): 9})
    >>> tree.available("a", ("h200", "gpu")), tree.available("b", ("h200", "gpu"))
    (1, 7)
    >>> tree.potentially_available("a", ("h200", "gpu"))
    10
    """

    def __init__(self, queues: Sequence[Queue], cohorts: Sequence[Cohort] = ()) -> None:
        check_quotas(queues, cohorts)
        named = [c.name for c in cohorts] + [c.parent for c in cohorts if c.parent is not None]
        named += [q.cohort for q in queues if q.cohort is not None]
        cohort_names = list(dict.fromkeys(named))
        self.queue_node = {queue.name: i for i, queue in enumerate(queues)}
        self.cohort_node = {name: len(queues) + i for i, name in enumerate(cohort_names)}
        self.names = [*self.queue_node, *self.cohort_node]
        self.weights = [queue.weight for queue in queues] + [1.0] * len(cohort_names)
        above: list[str | None] = [q.cohort for q in queues] + [None] * len(cohort_names)
        for cohort in cohorts:
            node = self.cohort_node[cohort.name]
            self.weights[node], above[node] = cohort.weight, cohort.parent
        self.parents = [-1 if name is None else self.cohort_node[name] for name in above]
        self.paths = _paths(self.parents, self.names)
        self._heights = _heights(self.paths)
        self.child_queues = _children(self.parents, range(len(queues)))
        self.child_cohorts = _children(self.parents, self.cohort_node.values())
        self.ledgers: dict[FlavorResource, Ledger] = {}
        self._quoted: list[set[FlavorResource]] = [set() for _ in self.names]
        self._read_quotas([*queues, *cohorts])

    def _read_quotas(self, owners: Iterable[Queue | Cohort]) -> None:
        quotas: dict[FlavorResource, list[Quota]] = {}
        for owner in owners:
            of_kind = self.queue_node if isinstance(owner, Queue) else self.cohort_node
            node = of_kind[owner.name]
            for flavor in (flavor for group in owner.groups for flavor in group):
                for resource, quota in flavor.quotas.items():
                    key = (flavor.flavor, resource)
                    quotas.setdefault(key, [_NONE] * len(self.names))[node] = quota
                    self._quoted[self.paths[node][0]].add(key)
        for key, column in quotas.items():
            self.ledgers[key] = self._ledger(column)

    def _ledger(self, column: list[Quota]) -> Ledger:
        return Ledger(column, self.parents, self.paths, self._heights)

    def ledger(self, key: FlavorResource) -> Ledger:
        """Return the ledger of a flavor and resource, an empty one if nobody has quota for it."""
        if key not in self.ledgers:
            self.ledgers[key] = self._ledger([_NONE] * len(self.names))
        return self.ledgers[key]

    def quoted(self, root: int) -> set[FlavorResource]:
        """Return the flavors and resources for which a node below a root has quota."""
        return self._quoted[root]

    def charges(self, amounts: Amounts) -> tuple[Charge, ...]:
        """Return amounts with the ledger of each flavor and resource."""
        return tuple((self.ledger(key), amount) for key, amount in amounts.items())

    def node_of(self, queue: str) -> int:
        """Return the number of a queue's node.

        Raises
        ------
        InputError
            If there is no such queue.
        """
        if queue not in self.queue_node:
            raise InputError("queues", unknown_name("queue", queue, self.queue_node))
        return self.queue_node[queue]

    def add(self, queue: str, amounts: Amounts) -> None:
        """Charge amounts to a queue."""
        charge(self.node_of(queue), self.charges(amounts))

    def remove(self, queue: str, amounts: Amounts) -> None:
        """Undo `add` with the same arguments."""
        refund(self.node_of(queue), self.charges(amounts))

    def available(self, queue: str, key: FlavorResource) -> float:
        """Return how much of a flavor and resource a queue can still use, at least 0."""
        return max(0, self.ledger(key).available(self.node_of(queue)))

    def potentially_available(self, queue: str, key: FlavorResource) -> float:
        """Return how much a queue could use if nobody else used anything."""
        return max(0, self.ledger(key).potential[self.node_of(queue)])

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Restore all usage at the end of the block."""
        saved = {key: ledger.usage.copy() for key, ledger in self.ledgers.items()}
        try:
            yield
        finally:
            for key, ledger in self.ledgers.items():
                ledger.usage[:] = saved.get(key, [0] * len(self.names))


def charge(node: int, charges: Iterable[Charge]) -> None:
    """Add amounts to a node.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas
    >>> tree = QuotaTree([Queue("a", ((FlavorQuotas("h200", {"gpu": Quota(8)}),),))])
    >>> request = tree.charges({("h200", "gpu"): 6})
    >>> charge(0, request)
    >>> tree.available("a", ("h200", "gpu"))
    2
    """
    for ledger, amount in charges:
        ledger.add(node, amount)


def refund(node: int, charges: Iterable[Charge]) -> None:
    """Remove amounts from a node.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas
    >>> tree = QuotaTree([Queue("a", ((FlavorQuotas("h200", {"gpu": Quota(8)}),),))])
    >>> request = tree.charges({("h200", "gpu"): 6})
    >>> charge(0, request)
    >>> refund(0, request)
    >>> tree.available("a", ("h200", "gpu"))
    8
    """
    for ledger, amount in charges:
        ledger.remove(node, amount)


def fits(node: int, charges: Iterable[Charge], *, borrowing: bool = True) -> bool:
    """Whether a node can use further amounts, within its own quota unless borrowing is allowed.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas
    >>> tree = QuotaTree([Queue("a", ((FlavorQuotas("h200", {"gpu": Quota(8)}),),))])
    >>> request = tree.charges({("h200", "gpu"): 6})
    >>> fits(0, request), fits(0, request, borrowing=False)
    (True, True)
    >>> charge(0, request)
    >>> fits(0, request)
    False
    """
    for ledger, amount in charges:
        if not borrowing and ledger.usage[node] + amount > ledger.quotas[node].nominal:
            return False
        if amount > max(0, ledger.available(node)):
            return False
    return True


def within_nominal(node: int, ledgers: Iterable[Ledger]) -> bool:
    """Whether a node uses at most the quota of its subtree of each flavor and resource.

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas
    >>> tree = QuotaTree([Queue("a", ((FlavorQuotas("h200", {"gpu": Quota(8)}),),))])
    >>> request = tree.charges({("h200", "gpu"): 6})
    >>> charge(0, [*request, *request])
    >>> within_nominal(0, tree.ledgers.values())
    False
    """
    return all(ledger.usage[node] <= ledger.subtree[node] for ledger in ledgers)


def _paths(parents: list[int], names: list[str]) -> list[tuple[int, ...]]:
    paths = []
    for start in range(len(parents)):
        path, node = [start], parents[start]
        while node >= 0:
            if node in path:
                circle = " > ".join(names[n] for n in [*path[path.index(node) :], node])
                raise InputError("cohorts", f"parent: these form a circle: {circle}")
            path.append(node)
            node = parents[node]
        paths.append(tuple(reversed(path)))
    return paths


def _heights(paths: list[tuple[int, ...]]) -> list[int]:
    heights = [0] * len(paths)
    for path in paths:
        for depth, node in enumerate(reversed(path)):
            heights[node] = max(heights[node], depth)
    return heights


def _children(parents: list[int], nodes: Iterable[int]) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in parents]
    for node in nodes:
        if parents[node] >= 0:
            children[parents[node]].append(node)
    return children
