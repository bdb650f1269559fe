"""The choice of a flavor for each resource that a job requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from clustersim.scheduling.kueue.quota_tree import Ledger
from clustersim.scheduling.kueue.state import (
    Amounts,
    FlavorQuotas,
    FlavorResource,
    PodSet,
    Queue,
    ResourceGroup,
    WaitingJob,
)
from clustersim.scheduling.kueue.traits import FlavorTraits
from clustersim.scheduling.kueue.victims import Snapshot

__all__ = ["Assignment", "Mode", "Oracle", "PodSetAssignment", "assign_flavors"]

_PODS = "pods"
"""Resource that counts pods."""


class Mode(IntEnum):
    """How a request can get quota, the worst first.

    Examples
    --------
    >>> Mode.RECLAIM > Mode.PREEMPT, Mode.RECLAIM.word
    (True, 'preempt')
    """

    NOFIT = 0
    NO_CANDIDATES = 1
    PREEMPT = 2
    RECLAIM = 3
    FIT = 4

    @property
    def word(self) -> str:
        """``fit``, ``nofit``, or ``preempt`` for all that lies between."""
        return {Mode.NOFIT: "nofit", Mode.FIT: "fit"}.get(self, "preempt")


Oracle: TypeAlias = Callable[[FlavorResource, float], tuple[Mode, int]]
"""What preemption would achieve for an amount of a flavor and resource: the mode
(``NO_CANDIDATES``, ``PREEMPT`` or ``RECLAIM``) and the borrow level after it."""

_NOTHING = FlavorTraits()


@dataclass(frozen=True, slots=True)
class PodSetAssignment:
    """Flavors of a pod set.

    Attributes
    ----------
    name : str
    count : int
        Number of pods, fewer than requested in partial admission.
    flavors : mapping of str to str
        Flavor of each resource; empty if none fits.
    modes : mapping of str to Mode
    usage : mapping of str to float
        Total request of each resource.

    Examples
    --------
    >>> PodSetAssignment("main", 2, {"gpu": "h200"}, {"gpu": Mode.FIT}, {"gpu": 16}).count
    2
    """

    name: str
    count: int
    flavors: Mapping[str, str]
    modes: Mapping[str, Mode]
    usage: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Flavors of a job.

    Attributes
    ----------
    mode : Mode
        The worst of all pod sets and resources.
    level : int
        Borrow level: 0 within the nominal quota, else the height of the lowest cohort whose quota
        holds the request.
    podsets : tuple of PodSetAssignment
        Without those after the first that does not fit.
    usage : Amounts
        Total request by flavor and resource.
    needing : frozenset of (str, str)
        Flavors and resources that lack room.

    Examples
    --------
    >>> Assignment(Mode.NOFIT, 0, (), {}, frozenset()).mode.word
    'nofit'
    """

    mode: Mode
    level: int
    podsets: tuple[PodSetAssignment, ...]
    usage: Amounts
    needing: frozenset[FlavorResource]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A flavor with the worst mode and level, and the mode and level of each resource."""

    flavor: str
    worst: tuple[Mode, int]
    by_resource: dict[str, tuple[Mode, int]]


def assign_flavors(
    snapshot: Snapshot,
    job: WaitingJob,
    oracle: Oracle,
    *,
    counts: Sequence[int] | None = None,
    fair_sharing: bool = False,
) -> Assignment:
    """Choose flavors for a job.

    Parameters
    ----------
    snapshot : Snapshot
    job : WaitingJob
    oracle : callable
    counts : sequence of int, optional
        Number of pods of each pod set; by default all that it asks for.
    fair_sharing : bool

    Examples
    --------
    >>> from clustersim.scheduling.kueue import FlavorQuotas, Queue, Quota
    >>> flavors = FlavorQuotas("h200", {"gpu": Quota(4)}), FlavorQuotas("h20", {"gpu": Quota(16)})
    >>> snapshot = Snapshot([Queue("a", (flavors,))])
    >>> job = WaitingJob("new", "a", (PodSet("main", 2, {"gpu": 4}),))
    >>> chosen = assign_flavors(snapshot, job, lambda key, amount: (Mode.NO_CANDIDATES, 0))
    >>> chosen.mode.word, chosen.podsets[0].flavors
    ('fit', {'gpu': 'h20'})
    """
    search = _Search(snapshot, job, oracle, fair_sharing)
    numbers = [podset.count for podset in job.podsets] if counts is None else counts
    for podset, count in zip(job.podsets, numbers, strict=True):
        if not search.assign(podset, count):
            break
    return search.result()


class _Search:
    """The choice for one job; earlier pod sets count as usage for later ones."""

    def __init__(
        self, snapshot: Snapshot, job: WaitingJob, oracle: Oracle, fair_sharing: bool
    ) -> None:
        self._node = snapshot.tree.node_of(job.queue)
        self._queue: Queue = snapshot.queues[job.queue]
        self._snapshot, self._oracle = snapshot, oracle
        self._preempts_when_borrowing = self._queue.borrows_when_preempting or (
            fair_sharing and self._queue.reclaim_within_cohort != "never"
        )
        self._group_of = {
            resource: group
            for group in self._queue.groups
            for flavor in group
            for resource in flavor.quotas
        }
        self._mode, self._level = Mode.FIT, 0
        self._podsets: list[PodSetAssignment] = []
        self._usage: dict[FlavorResource, float] = {}
        self._needing: set[FlavorResource] = set()

    def result(self) -> Assignment:
        return Assignment(
            self._mode,
            self._level,
            tuple(self._podsets),
            self._usage,
            frozenset(self._needing),
        )

    def assign(self, podset: PodSet, count: int) -> bool:
        """Assign flavors to a pod set; return whether it can get quota at all."""
        requests = {resource: amount * count for resource, amount in podset.per_pod.items()}
        if _PODS in self._group_of:
            requests[_PODS] = count
        chosen = self._flavors(podset, requests)
        if chosen is None:
            self._mode = Mode.NOFIT
            self._podsets.append(PodSetAssignment(podset.name, count, {}, {}, requests))
            return False
        flavors, modes = {}, {}
        for resource, tried in chosen.items():
            mode, level = tried.by_resource[resource]
            key = (tried.flavor, resource)
            self._usage[key] = self._usage.get(key, 0) + requests[resource]
            if mode is not Mode.FIT:
                self._needing.add(key)
            self._mode, self._level = min(self._mode, mode), max(self._level, level)
            flavors[resource], modes[resource] = tried.flavor, mode
        usage = {resource: requests[resource] for resource in flavors}
        self._podsets.append(PodSetAssignment(podset.name, count, flavors, modes, usage))
        return True

    def _flavors(self, podset: PodSet, requests: dict[str, float]) -> dict[str, _Tried] | None:
        """Return the flavor of each resource with quota; None if a request cannot be met."""
        chosen: dict[str, _Tried] = {}
        for resource, amount in requests.items():
            if resource not in self._group_of:
                if amount > 0:
                    return None
                continue
            if resource in chosen:
                continue
            group = self._group_of[resource]
            together = {r: a for r, a in requests.items() if self._group_of.get(r) is group}
            best = self._best(podset, group, together)
            if best is None:
                return None
            chosen.update(dict.fromkeys(together, best))
        return chosen

    def _best(
        self, podset: PodSet, group: ResourceGroup, requests: dict[str, float]
    ) -> _Tried | None:
        """Return the flavor to use for requests of a group."""
        keys = {key for flavor in group for key in self._traits(flavor.flavor).labels}
        flavors = [
            flavor
            for flavor in _in_order(podset, group)
            if _eligible(podset, self._traits(flavor.flavor), keys)
        ]
        # With several resources, the worst of a flavor may be one that fits, by `preempt_first`.
        plain = len(requests) == 1 or not self._queue.preempt_first
        if plain and self._queue.when_can_preempt == "next":
            # Nobody is preempted if one of them fits.
            for flavor in flavors:
                tried = self._try(flavor, requests, preempting=False)
                if tried is not None and not self._looks_further(*tried.worst):
                    return tried
        best: _Tried | None = None
        for flavor in flavors:
            # Of what needs preemption, no later flavor is preferred to this.
            found_best = plain and best is not None and best.worst == (Mode.RECLAIM, 0)
            tried = self._try(flavor, requests, preempting=not found_best)
            if tried is None:
                continue
            if not self._looks_further(*tried.worst):
                return tried
            if best is None or self._preference(tried.worst) > self._preference(best.worst):
                best = tried
        return best

    def _traits(self, flavor: str) -> FlavorTraits:
        return self._snapshot.flavors.get(flavor, _NOTHING)

    def _try(
        self, flavor: FlavorQuotas, requests: dict[str, float], *, preempting: bool
    ) -> _Tried | None:
        """Return how a flavor meets requests, by preemption or not; None if it cannot."""
        by_resource: dict[str, tuple[Mode, int]] = {}
        for resource, amount in requests.items():
            key = (flavor.flavor, resource)
            found = self._fit(key, amount + self._usage.get(key, 0), preempting=preempting)
            if found[0] is Mode.NOFIT:
                return None
            by_resource[resource] = found
        return _Tried(flavor.flavor, min(by_resource.values(), key=self._preference), by_resource)

    def _fit(self, key: FlavorResource, amount: float, *, preempting: bool) -> tuple[Mode, int]:
        """Return the mode and the borrow level of an amount."""
        ledger: Ledger = self._snapshot.tree.ledger(key)
        node = self._node
        if amount > max(0, ledger.potential[node]):
            return Mode.NOFIT, 0
        level, part = ledger.level(node, amount)
        if amount <= max(0, ledger.available(node)):
            return Mode.FIT, level
        if ledger.quotas[node].nominal >= amount or part or self._preempts_when_borrowing:
            return self._oracle(key, amount) if preempting else (Mode.NO_CANDIDATES, level)
        return Mode.NOFIT, level

    def _looks_further(self, mode: Mode, level: int) -> bool:
        """Whether the next flavor is tried after one that meets the request in some way."""
        queue = self._queue
        return (
            mode <= Mode.NO_CANDIDATES
            or (mode < Mode.FIT and queue.when_can_preempt == "next")
            or (level > 0 and queue.when_can_borrow == "next")
        )

    def _preference(self, found: tuple[Mode, int]) -> tuple[bool, int, int]:
        mode, level = found
        first, second = (-level, mode) if self._queue.preempt_first else (mode, -level)
        return mode > Mode.NO_CANDIDATES, first, second


def _in_order(podset: PodSet, group: ResourceGroup) -> ResourceGroup:
    """Return the flavors of a group that are tried, in the pod set's own order if it has one."""
    if podset.flavors is None:
        return group
    by_name = {flavor.flavor: flavor for flavor in group}
    return tuple(by_name[name] for name in podset.flavors if name in by_name)


def _eligible(podset: PodSet, traits: FlavorTraits, keys: set[str]) -> bool:
    """Whether pods tolerate a flavor's taints and its labels meet their conditions.

    Conditions on labels that no flavor of the group has are ignored.
    """
    tolerations = (*podset.tolerations, *traits.tolerations)
    for taint in traits.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute")
        if hard and not any(toleration.accepts(taint) for toleration in tolerations):
            return False
    labels = traits.labels
    for key, value in podset.node_selector.items():
        if key in keys and labels.get(key) != value:
            return False
    terms = [[r for r in term if r.key in keys] for term in podset.affinity]
    return not terms or any(all(r.met_by(labels) for r in term) for term in terms)
