"""Quotas of Kueue as queues of nodes: which local queues may use which nodes.

A ClusterQueue has a quota of accelerators in each of its resource flavors, and a flavor is the
nodes with certain labels (https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/).  ClusterQueues
of a cohort lend each other what they do not use.  So a cohort, or a ClusterQueue without one, is a
share of the flavor's nodes, and the LocalQueues that point to it are the queues of these nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustersim.sites.cells import whole
from clustersim.units import counted, listed
from clustersim.workload.readers.site_logs.devices import is_device

__all__ = ["LabelledNode", "NodeQueues", "node_queues"]


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


@dataclass(slots=True)
class _Share:
    """A cohort, or a ClusterQueue without one."""

    name: str
    quota: dict[str, int] = field(default_factory=dict)
    queues: list[str] = field(default_factory=list)

    def add(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Add the quotas of accelerators in resource groups."""
        for group in groups:
            for flavor in group.get("flavors") or []:
                count = sum(
                    whole(str(each.get("nominalQuota", ""))) or 0
                    for each in flavor.get("resources") or []
                    if is_device(str(each.get("name")))
                )
                if count:
                    name = str(flavor.get("name"))
                    self.quota[name] = self.quota.get(name, 0) + count


def node_queues(
    items: Sequence[Mapping[str, Any]], nodes: Sequence[LabelledNode]
) -> NodeQueues | None:
    """Return the local queues of each node; None without a quota of accelerators.

    Each share of a flavor has as many of its nodes as its quota needs, rounded up. Nodes that are
    out of service are spread over the shares. Where the quotas of a flavor exceed its nodes, all of
    them use all of its nodes.

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
    shares = _shares(items)
    if not any(share.quota for share in shares):
        return None
    queues: list[tuple[str, ...]] = [()] * len(nodes)
    notes = [
        "quotas of Kueue divide the nodes: a cohort, or a ClusterQueue without one, has as many of "
        "a flavor's nodes as its quota needs, for the LocalQueues that point to it"
    ]
    own_nodes = _nodes_of_flavors(items, nodes)
    for flavor in dict.fromkeys(name for share in shares for name in share.quota):
        places = own_nodes.get(flavor, [])
        having = [share for share in shares if share.quota.get(flavor)]
        there = sum(nodes[place].accelerators for place in places)
        asked = sum(share.quota[flavor] for share in having)
        if asked > there:
            together = tuple(dict.fromkeys(name for share in having for name in share.queues))
            for place in places:
                queues[place] = together
            notes.append(
                f"the quotas of flavor {flavor} are {asked:,} accelerators, its nodes have "
                f"{there:,}: all its queues use all of them"
            )
            continue
        left = _divide(flavor, having, places, nodes, queues)
        unused = sum(nodes[place].accelerators for place in left)
        if left:
            have = counted(len(left), "node has", "nodes have")
            notes.append(
                f"beyond the quotas of flavor {flavor}, {have} no queue ({unused:,} accelerators)"
            )
    without = sum(bool(node.accelerators) for node in nodes) - sum(
        bool(nodes[place].accelerators) for places in own_nodes.values() for place in places
    )
    if without:
        notes.append(f"{counted(without, 'node matches', 'nodes match')} no flavor with a quota")
    return NodeQueues(tuple(queues), (*notes, *_not_kept(items)))


def _divide(
    flavor: str,
    shares: Sequence[_Share],
    places: Sequence[int],
    nodes: Sequence[LabelledNode],
    queues: list[tuple[str, ...]],
) -> list[int]:
    """Give each node to the share that lacks most of its quota; return the nodes that are left."""
    lacking = {share.name: share.quota[flavor] for share in shares}
    left = []
    for place in sorted(places, key=lambda place: not nodes[place].in_service):
        share = max(shares, key=lambda share: lacking[share.name] / share.quota[flavor])
        if lacking[share.name] <= 0:
            left.append(place)
            continue
        lacking[share.name] -= nodes[place].accelerators
        queues[place] = tuple(share.queues)
    return left


def _of_kind(items: Sequence[Mapping[str, Any]], kind: str) -> Iterator[tuple[Any, Any]]:
    for item in items:
        if item.get("kind") == kind:
            yield item.get("metadata") or {}, item.get("spec") or {}


def _cohort(spec: Mapping[str, Any]) -> str:
    return str(spec.get("cohort") or spec.get("cohortName") or "")


def _shares(items: Sequence[Mapping[str, Any]]) -> list[_Share]:
    parents = {
        str(meta.get("name")): str(spec.get("parentName") or spec.get("parent") or "")
        for meta, spec in _of_kind(items, "Cohort")
    }

    def root(cohort: str) -> str:
        seen = set()
        while parents.get(cohort) and cohort not in seen:
            seen.add(cohort)
            cohort = parents[cohort]
        return cohort

    shares: dict[str, _Share] = {}
    share_of: dict[str, str] = {}
    for meta, spec in _of_kind(items, "ClusterQueue"):
        name = str(meta.get("name"))
        cohort = root(_cohort(spec))
        key = share_of[name] = f"cohort {cohort}" if cohort else name
        shares.setdefault(key, _Share(key)).add(spec.get("resourceGroups") or [])
    for meta, spec in _of_kind(items, "Cohort"):
        key = f"cohort {root(str(meta.get('name')))}"
        if key in shares:
            shares[key].add(spec.get("resourceGroups") or [])
    for meta, spec in _of_kind(items, "LocalQueue"):
        own = shares.get(share_of.get(str(spec.get("clusterQueue")), ""))
        if own is not None and str(meta.get("name")) not in own.queues:
            own.queues.append(str(meta.get("name")))
    for name, key in share_of.items():
        if not any(spec.get("clusterQueue") == name for _, spec in _of_kind(items, "LocalQueue")):
            shares[key].queues.append(name)
    return list(shares.values())


def _nodes_of_flavors(
    items: Sequence[Mapping[str, Any]], nodes: Sequence[LabelledNode]
) -> dict[str, list[int]]:
    """Return the nodes with accelerators of each flavor; the flavor with most labels counts."""
    flavors = {
        str(meta.get("name")): {
            str(key): str(value) for key, value in (spec.get("nodeLabels") or {}).items()
        }
        for meta, spec in _of_kind(items, "ResourceFlavor")
    }
    quotas = {name for share in _shares(items) for name in share.quota}
    chosen = {name: flavors.get(name, {}) for name in (*flavors, *quotas) if name in quotas}
    found: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        fitting = [
            name
            for name, labels in chosen.items()
            if all(node.labels.get(key) == value for key, value in labels.items())
        ]
        if node.accelerators and fitting:
            found.setdefault(max(fitting, key=lambda name: len(chosen[name])), []).append(place)
    return found


def _not_kept(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the objects say and a topology cannot."""
    limited, held, preempting = [], [], []
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
        if any(str(value) not in ("Never", "") for value in _preemption(spec)):
            preempting.append(name)
    if limited:
        yield (
            f"limits of borrowing and lending ({listed(limited)}) are not kept: the queues of a "
            "cohort share all of its quota"
        )
    if preempting:
        yield f"preemption ({listed(preempting)}) is not simulated"
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


def _preemption(spec: Mapping[str, Any]) -> Iterator[Any]:
    rules = spec.get("preemption") or {}
    yield rules.get("withinClusterQueue", "Never")
    yield rules.get("reclaimWithinCohort", "Never")
