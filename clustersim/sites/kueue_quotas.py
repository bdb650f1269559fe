"""Quotas of Kueue as queues of nodes: which local queues may use which nodes.

A ClusterQueue has a quota of accelerators in each of its resource flavors, and a flavor is the
nodes with certain labels (https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/).  ClusterQueues
of a cohort lend each other what they do not use.  So a cohort, or a ClusterQueue without one, is a
share of the flavor's nodes, and the LocalQueues of its ClusterQueues with this flavor are the
queues of these nodes.  LocalQueues of one name in several namespaces that point to different
ClusterQueues are NAMESPACE/NAME.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustersim.sites.kueue_objects import (
    cluster_queues,
    not_kept,
    objects_of,
    quotas_of_cohorts,
)
from clustersim.units import counted, listed

__all__ = ["LabelledNode", "NodeQueues", "node_queues"]

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
    queues, flavors : tuple of tuple of str
        One for each node, in order: its local queues, and the resource flavors whose labels it has.
    notes : tuple of str
        What was assumed.
    """

    queues: tuple[tuple[str, ...], ...]
    flavors: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


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
    own_queues, of_cohorts = cluster_queues(items), quotas_of_cohorts(items)
    quotas = [each.quotas for each in own_queues] + [own for _, own in of_cohorts]
    wanted = list(dict.fromkeys(name for own in quotas for name, n in own.items() if n > 0))
    if not wanted:
        return None
    queues: list[tuple[str, ...]] = [()] * len(nodes)
    notes = [
        "quotas of Kueue divide the nodes: a cohort, or a ClusterQueue without one, has as many of "
        "a flavor's nodes as its quota needs, for the LocalQueues that point to it"
    ]
    described = {str(meta.get("name")) for meta, _ in objects_of(items, "ResourceFlavor")}
    if lacking := [name for name in wanted if name not in described]:
        notes.append(
            f"without the ResourceFlavors {listed(lacking)}, their nodes are unknown: all nodes "
            "count as theirs (kubectl get resourceflavors)"
        )
    reached: set[int] = set()
    places_of = _places_of_flavors(items, nodes, wanted)
    for flavors, places in _together(places_of):
        reached.update(places)
        shares: dict[str, _Share] = {}
        for each in own_queues:
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
    of_nodes = tuple(
        tuple(name for name, places in places_of.items() if place in places)
        for place in range(len(nodes))
    )
    return NodeQueues(tuple(queues), of_nodes, (*notes, *not_kept(items)))


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
    if unused := [place for place in unused if nodes[place].in_service]:
        have = counted(len(unused), "node has", "nodes have")
        yield (
            f"beyond the quotas of {words}, {have} no queue ({_sum(nodes, unused):,} accelerators)"
        )


def _sum(nodes: Sequence[LabelledNode], places: Sequence[int]) -> int:
    return sum(nodes[place].accelerators for place in places)


def _places_of_flavors(
    items: Sequence[Mapping[str, Any]], nodes: Sequence[LabelledNode], wanted: Sequence[str]
) -> dict[str, list[int]]:
    """Return the nodes with accelerators that have the labels of each flavor."""
    labels = {
        str(meta.get("name")): {
            str(key): str(value) for key, value in (spec.get("nodeLabels") or {}).items()
        }
        for meta, spec in objects_of(items, "ResourceFlavor")
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
