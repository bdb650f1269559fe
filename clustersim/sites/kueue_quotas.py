"""Quotas of Kueue as queues of nodes: which local queues may use which nodes.

A ClusterQueue has a quota of accelerators in each of its resource flavors, and a flavor is the
nodes with certain labels (https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/).  ClusterQueues
of a cohort lend each other what they do not use.  So a cohort, or a ClusterQueue without one, is a
share of the flavor's nodes, and the LocalQueues of its ClusterQueues with this flavor are the
queues of these nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustersim.units import counted, listed
from clustersim.workload.readers.site_logs.devices import is_device

__all__ = ["LabelledNode", "NodeQueues", "node_queues"]

_QUANTITY = re.compile(r"([+-]?\d*\.?\d+)(?:e([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$")
_SUFFIXES = {
    **{"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    **{"P": 1e15, "E": 1e18, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40},
    **{"Pi": 2.0**50, "Ei": 2.0**60},
}
"""Suffixes of quantities of Kubernetes (kubernetes.io, Quantity of the API reference)."""
MOST_LACKING = 0.1
"""Largest part of a quota that may be lost when nodes are divided as a whole."""


@dataclass(frozen=True, slots=True)
class LabelledNode:
    """What decides on the queues of a node.

    Attributes
    ----------
    labels : mapping of str to str
    accelerators : int
    in_service : bool
    """

    labels: Mapping[str, str]
    accelerators: int
    in_service: bool = True


@dataclass(frozen=True, slots=True)
class NodeQueues:
    """The local queues whose jobs may use each node.

    Attributes
    ----------
    queues : tuple of tuple of str
        One for each node, in order.
    notes : tuple of str
        What was assumed.
    """

    queues: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _ClusterQueue:
    """A ClusterQueue: its share, its quotas of accelerators by flavor, and its local queues."""

    name: str
    share: str
    quotas: Mapping[str, float]
    queues: tuple[str, ...]


@dataclass(slots=True)
class _Share:
    """A cohort, or a ClusterQueue without one, on the nodes of some flavors."""

    quota: float = 0.0
    queues: list[str] = field(default_factory=list)


def node_queues(
    items: Sequence[Mapping[str, Any]], nodes: Sequence[LabelledNode]
) -> NodeQueues | None:
    """Return the local queues of each node; None without a quota of accelerators.

    Each share of a flavor has as many of its nodes as its quota needs, rounded up. Nodes that are
    out of service are spread over the shares. Where the nodes of a flavor do not suffice, all its
    queues use all of them. Flavors that have nodes in common are divided as one.

    Parameters
    ----------
    items : sequence of mapping
        Objects of Kubernetes, among them ClusterQueues, LocalQueues, ResourceFlavors and Cohorts.
    nodes : sequence of LabelledNode

    Examples
    --------
    >>> quota = {"resources": [{"name": "nvidia.com/gpu", "nominalQuota": 8}], "name": "h100"}
    >>> items = [
    ...     {"kind": "ResourceFlavor", "metadata": {"name": "h100"},
    ...      "spec": {"nodeLabels": {"pool": "h100"}}},
    ...     {"kind": "ClusterQueue", "metadata": {"name": "team"},
    ...      "spec": {"resourceGroups": [{"flavors": [quota]}]}},
    ...     {"kind": "LocalQueue", "metadata": {"name": "train"}, "spec": {"clusterQueue": "team"}},
    ... ]
    >>> found = node_queues(items, [LabelledNode({"pool": "h100"}, 8)] * 2)
    >>> found.queues
    (('train',), ())
    """
    cluster_queues, of_cohorts = _cluster_queues(items), _quotas_of_cohorts(items)
    quotas = [each.quotas for each in cluster_queues] + [own for _, own in of_cohorts]
    wanted = list(dict.fromkeys(name for own in quotas for name, n in own.items() if n > 0))
    if not wanted:
        return None
    queues: list[tuple[str, ...]] = [()] * len(nodes)
    notes = [
        "quotas of Kueue divide the nodes: a cohort, or a ClusterQueue without one, has as many of "
        "a flavor's nodes as its quota needs, for the LocalQueues that point to it"
    ]
    described = {str(meta.get("name")) for meta, _ in _of_kind(items, "ResourceFlavor")}
    if lacking := [name for name in wanted if name not in described]:
        notes.append(
            f"without the ResourceFlavors {listed(lacking)}, their nodes are unknown: all nodes "
            "count as theirs (kubectl get resourceflavors)"
        )
    reached: set[int] = set()
    for flavors, places in _together(_places_of_flavors(items, nodes, wanted)):
        reached.update(places)
        shares: dict[str, _Share] = {}
        for each in cluster_queues:
            if any(name in each.quotas for name in flavors):
                share = shares.setdefault(each.share, _Share())
                share.quota += sum(each.quotas.get(name, 0.0) for name in flavors)
                share.queues += [name for name in each.queues if name not in share.queues]
        for cohort, own in of_cohorts:
            if cohort in shares:
                shares[cohort].quota += sum(own.get(name, 0.0) for name in flavors)
        notes += _divide(flavors, list(shares.values()), places, nodes, queues)
    without = sum(
        bool(node.accelerators) and place not in reached for place, node in enumerate(nodes)
    )
    if without:
        notes.append(f"{counted(without, 'node matches', 'nodes match')} no flavor with a quota")
    return NodeQueues(tuple(queues), (*notes, *_not_kept(items)))


def _divide(
    flavors: Sequence[str],
    shares: Sequence[_Share],
    places: Sequence[int],
    nodes: Sequence[LabelledNode],
    queues: list[tuple[str, ...]],
) -> Iterator[str]:
    """Give each node to the share that lacks most of its quota, and yield what is noteworthy."""
    words = f"flavor {flavors[0]}" if len(flavors) == 1 else f"flavors {listed(flavors)} together"
    having = [share for share in shares if share.quota > 0]
    asked, there = sum(share.quota for share in having), _sum(nodes, places)
    if not places:
        yield f"no node with accelerators has the labels of {words}"
        return
    lacks, unused = [share.quota for share in having], []
    for place in sorted(places, key=lambda place: not nodes[place].in_service):
        most = max(range(len(having)), key=lambda at: lacks[at] / having[at].quota)
        if lacks[most] <= 0:
            unused.append(place)
            continue
        lacks[most] -= nodes[place].accelerators
        queues[place] = tuple(having[most].queues)
    if any(lack > MOST_LACKING * share.quota for lack, share in zip(lacks, having, strict=True)):
        for place in places:
            queues[place] = tuple(dict.fromkeys(name for share in shares for name in share.queues))
        yield (
            f"the quotas of {words} are {asked:,.10g} accelerators, its nodes have {there:,} and "
            f"cannot be divided among {counted(len(having), 'share')}: all its queues use all of "
            "them"
        )
        return
    if any(lacks):
        yield f"quotas of {words} are rounded to whole nodes"
    if unused:
        have = counted(len(unused), "node has", "nodes have")
        yield (
            f"beyond the quotas of {words}, {have} no queue ({_sum(nodes, unused):,} accelerators)"
        )


def _sum(nodes: Sequence[LabelledNode], places: Sequence[int]) -> int:
    return sum(nodes[place].accelerators for place in places)


def _of_kind(items: Sequence[Mapping[str, Any]], kind: str) -> Iterator[tuple[Any, Any]]:
    for item in items:
        if item.get("kind") == kind:
            yield item.get("metadata") or {}, item.get("spec") or {}


def _number(quantity: object) -> float:
    """Return a quantity of Kubernetes; 0 for what is none.

    >>> [_number(text) for text in (8, "1k", "8000m", "1e3", "2Ki", "all")]
    [8.0, 1000.0, 8.0, 1000.0, 2048.0, 0.0]
    """
    found = _QUANTITY.match(str(quantity).strip())
    if found is None:
        return 0.0
    number, exponent, suffix = found.groups()
    factor = 10.0 ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    return float(number) * factor


def _quotas(spec: Mapping[str, Any]) -> dict[str, float]:
    """Return the quotas of accelerators by flavor in the resource groups of an object."""
    found: dict[str, float] = {}
    for group in spec.get("resourceGroups") or []:
        for flavor in group.get("flavors") or []:
            own = [
                _number(each.get("nominalQuota", 0))
                for each in flavor.get("resources") or []
                if is_device(str(each.get("name")))
            ]
            if own:
                name = str(flavor.get("name"))
                found[name] = found.get(name, 0.0) + math.fsum(own)
    return found


def _roots(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the cohort at the top of each cohort that has an object."""
    parents = {
        str(meta.get("name")): str(spec.get("parentName") or spec.get("parent") or "")
        for meta, spec in _of_kind(items, "Cohort")
    }
    roots = {}
    for name in parents:
        seen, top = {name}, name
        while parents.get(top) and parents[top] not in seen:
            top = parents[top]
            seen.add(top)
        roots[name] = top
    return roots


def _cluster_queues(items: Sequence[Mapping[str, Any]]) -> list[_ClusterQueue]:
    roots = _roots(items)
    pointing: dict[str, list[str]] = {}
    for meta, spec in _of_kind(items, "LocalQueue"):
        own = pointing.setdefault(str(spec.get("clusterQueue")), [])
        if str(meta.get("name")) not in own:
            own.append(str(meta.get("name")))
    found = []
    for meta, spec in _of_kind(items, "ClusterQueue"):
        name = str(meta.get("name"))
        cohort = str(spec.get("cohort") or spec.get("cohortName") or "")
        share = f"cohort {roots.get(cohort, cohort)}" if cohort else f"queue {name}"
        found.append(_ClusterQueue(name, share, _quotas(spec), tuple(pointing.get(name, [name]))))
    return found


def _quotas_of_cohorts(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    roots = _roots(items)
    return [
        (f"cohort {roots[str(meta.get('name'))]}", _quotas(spec))
        for meta, spec in _of_kind(items, "Cohort")
    ]


def _places_of_flavors(
    items: Sequence[Mapping[str, Any]], nodes: Sequence[LabelledNode], wanted: Sequence[str]
) -> dict[str, list[int]]:
    """Return the nodes with accelerators that have the labels of each flavor."""
    labels = {
        str(meta.get("name")): {
            str(key): str(value) for key, value in (spec.get("nodeLabels") or {}).items()
        }
        for meta, spec in _of_kind(items, "ResourceFlavor")
    }
    return {
        name: [
            place
            for place, node in enumerate(nodes)
            if node.accelerators
            and all(node.labels.get(key) == value for key, value in labels.get(name, {}).items())
        ]
        for name in wanted
    }


def _together(places: Mapping[str, Sequence[int]]) -> list[tuple[list[str], list[int]]]:
    """Return groups of flavors that have nodes in common, with the nodes of each group."""
    groups: list[tuple[list[str], set[int]]] = []
    for name, own in places.items():
        flavors, joined = [name], set(own)
        others = []
        for group in groups:
            if group[1] & joined:
                flavors, joined = [*group[0], *flavors], joined | group[1]
            else:
                others.append(group)
        groups = [*others, (flavors, joined)]
    return [(flavors, sorted(joined)) for flavors, joined in groups]


def _not_kept(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the objects say and a topology cannot."""
    limited, held, preempting, strict = [], [], [], []
    for meta, spec in _of_kind(items, "ClusterQueue"):
        name = str(meta.get("name"))
        resources = [
            each
            for group in spec.get("resourceGroups") or []
            for flavor in group.get("flavors") or []
            for each in flavor.get("resources") or []
        ]
        if any("borrowingLimit" in each or "lendingLimit" in each for each in resources):
            limited.append(name)
        if str(spec.get("stopPolicy", "None")) != "None":
            held.append(name)
        if spec.get("queueingStrategy") == "StrictFIFO":
            strict.append(name)
        rules = spec.get("preemption") or {}
        kinds = ("withinClusterQueue", "reclaimWithinCohort")
        if any(str(rules.get(kind, "Never")) not in ("Never", "") for kind in kinds):
            preempting.append(name)
    if limited:
        yield (
            f"limits of borrowing and lending ({listed(limited)}) are not kept: the queues of a "
            "cohort share all of its quota"
        )
    if preempting:
        yield f"preemption ({listed(preempting)}) is not simulated"
    if strict:
        yield (
            f"the order of StrictFIFO ({listed(strict)}) is that of --policy fcfs, which is then "
            "the order of all queues"
        )
    if held:
        yield f"stopped ClusterQueues ({listed(held)}) count as if they admitted jobs"
    targets: dict[str, set[str]] = {}
    for meta, spec in _of_kind(items, "LocalQueue"):
        targets.setdefault(str(meta.get("name")), set()).add(str(spec.get("clusterQueue")))
    several = [name for name, own in targets.items() if len(own) > 1]
    if several:
        yield (
            f"LocalQueues of the same name in several namespaces ({listed(several)}) point to "
            "different ClusterQueues: their jobs may use the nodes of all of them"
        )
    clusters = {str(meta.get("name")) for meta, _ in _of_kind(items, "ClusterQueue")}
    pointed = {str(spec.get("clusterQueue")) for _, spec in _of_kind(items, "LocalQueue")}
    if clusters - pointed:
        yield (
            f"no LocalQueue points to {listed(sorted(clusters - pointed))}: these have their own "
            "names as queues (kubectl get localqueues -A)"
        )
