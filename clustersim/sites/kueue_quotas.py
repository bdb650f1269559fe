"""Quotas of Kueue as queues of nodes: which local queues may use which nodes.

A ClusterQueue has a quota of accelerators in each of its resource flavors, and a flavor is the
nodes with certain labels (https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/).  ClusterQueues
of a cohort lend each other what they do not use.  So a cohort, or a ClusterQueue without one, is a
share of the flavor's nodes, and the LocalQueues of its ClusterQueues with this flavor are the
queues of these nodes.  LocalQueues of one name in several namespaces that point to different
ClusterQueues are NAMESPACE/NAME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.kueue_objects import (
    ClusterQueue,
    cluster_queues,
    not_kept,
    objects_of,
    quotas_of_cohorts,
    unreadable_quotas,
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

    flavors: set[str] = field(default_factory=set)
    quota: float = 0.0
    queues: list[str] = field(default_factory=list)


def node_queues(
    items: Sequence[Mapping[str, Any]],
    nodes: Sequence[LabelledNode],
    source: str = "objects of Kueue",
) -> NodeQueues | None:
    """Return the local queues of each node; None without a quota of accelerators.

    Each share of a flavor has as many of its nodes as its quota needs, rounded up. Nodes that are
    out of service are spread over the shares. Two ways are tried, and the one that leaves fewer
    accelerators of quotas lacking is taken: the nodes go, as they are listed, to the share that
    lacks the largest part of its quota, or, the largest node first, to the share that lacks most
    accelerators. If neither leaves each share nine tenths of its quota and a node in service, all
    queues with a quota use all nodes. Flavors that have nodes in common are divided as one.

    Parameters
    ----------
    items : sequence of mapping
        Objects of Kubernetes, among them ClusterQueues, LocalQueues, ResourceFlavors and Cohorts.
    nodes : sequence of LabelledNode
    source : str
        Name of the list in errors.

    Raises
    ------
    InputError
        If a quota or limit of accelerators is no quantity of Kubernetes, or is negative.

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
    if problems := list(unreadable_quotas(items)):
        raise InputError(source, problems)
    own_queues, of_cohorts = cluster_queues(items), quotas_of_cohorts(items)
    quotas = [each.quotas for each in own_queues] + [own for _, own in of_cohorts]
    wanted = list(dict.fromkeys(name for own in quotas for name, n in own.items() if n > 0))
    if not wanted:
        return None
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
    queues: dict[int, tuple[str, ...]] = {}
    reached: set[int] = set()
    places_of = _places_of_flavors(items, nodes, wanted)
    for flavors, places in _together(places_of):
        reached.update(places)
        shares = _shares_of(flavors, own_queues, of_cohorts)
        divided, of_flavors = _divide(flavors, shares, places, nodes)
        queues |= divided
        notes += of_flavors
    without = sum(
        bool(node.accelerators) and place not in reached for place, node in enumerate(nodes)
    )
    if without:
        notes.append(f"{counted(without, 'node matches', 'nodes match')} no flavor with a quota")
    of_nodes = tuple(
        tuple(name for name, places in places_of.items() if place in places)
        for place in range(len(nodes))
    )
    own = tuple(queues.get(place, ()) for place in range(len(nodes)))
    return NodeQueues(own, of_nodes, (*notes, *not_kept(items)))


def _shares_of(
    flavors: Sequence[str],
    own_queues: Sequence[ClusterQueue],
    of_cohorts: Sequence[tuple[str, Mapping[str, float]]],
) -> list[_Share]:
    """Return the shares that have a quota of some flavors.

    The quota of a cohort counts for the flavors that a ClusterQueue in it lists.
    """
    shares: dict[str, _Share] = {}
    for each in own_queues:
        if names := each.quotas.keys() & {*flavors}:
            share = shares.setdefault(each.share, _Share())
            share.flavors |= names
            share.quota += sum(each.quotas[name] for name in flavors if name in names)
            share.queues += [name for name in each.queues if name not in share.queues]
    for cohort, own in of_cohorts:
        if cohort in shares:
            usable = [name for name in flavors if name in shares[cohort].flavors]
            shares[cohort].quota += sum(own.get(name, 0.0) for name in usable)
    return [share for share in shares.values() if share.quota > 0]


def _divide(
    flavors: Sequence[str],
    shares: Sequence[_Share],
    places: Sequence[int],
    nodes: Sequence[LabelledNode],
) -> tuple[dict[int, tuple[str, ...]], list[str]]:
    """Return the queues of the nodes of some flavors, and what is noteworthy."""
    words = f"flavor {flavors[0]}" if len(flavors) == 1 else f"flavors {listed(flavors)} together"
    if not places:
        return {}, [f"no node with accelerators has the labels of {words}"]
    if not shares:
        of = "their" if len(flavors) > 1 else "its"
        return {}, [
            f"no ClusterQueue of a cohort with a quota of {words} lists {of} resources: "
            f"{counted(len(places), 'node has', 'nodes have')} no queue "
            f"({_sum(nodes, places):,} accelerators)"
        ]
    ways = (each(shares, places, nodes) for each in (_by_part_lacking, _by_size))
    sufficing = [owners for owners in ways if _suffices(shares, owners, nodes)]
    if sufficing:
        owners = min(sufficing, key=lambda way: _total_lacking(shares, way, nodes))
        found = {place: tuple(shares[owner].queues) for place, owner in owners.items()}
        beyond = [place for place in places if place not in owners]
        if not any(nodes[place].in_service for place in beyond):  # no pool without nodes
            largest = max(shares, key=lambda share: share.quota)
            found |= dict.fromkeys(beyond, tuple(largest.queues))
        return found, list(_notes(words, shares, owners, places, nodes))
    everyone = tuple(dict.fromkeys(name for share in shares for name in share.queues))
    asked = sum(share.quota for share in shares)
    working = _sum(nodes, [place for place in places if nodes[place].in_service])
    there = f"{_sum(nodes, places):,}"
    if working < _sum(nodes, places):
        there += f" ({working:,} in service)"
    return dict.fromkeys(places, everyone), [
        f"the quotas of {words} are {asked:,.10g} accelerators, its nodes have {there} and cannot "
        f"be divided among {counted(len(shares), 'share')}: all its queues use all of them"
    ]


def _by_part_lacking(
    shares: Sequence[_Share], places: Sequence[int], nodes: Sequence[LabelledNode]
) -> dict[int, int]:
    """Return the share of each node: the one that lacks the largest part of its quota."""
    order = sorted(places, key=lambda place: not nodes[place].in_service)
    return _dealt(order, shares, nodes, lambda lack, share: lack / share.quota)


def _by_size(
    shares: Sequence[_Share], places: Sequence[int], nodes: Sequence[LabelledNode]
) -> dict[int, int]:
    """Return the share of each node, the largest first: the one that lacks most accelerators."""
    order = sorted(places, key=lambda at: (not nodes[at].in_service, -nodes[at].accelerators))
    return _dealt(order, shares, nodes, lambda lack, share: lack)


def _dealt(
    order: Sequence[int],
    shares: Sequence[_Share],
    nodes: Sequence[LabelledNode],
    need: Callable[[float, _Share], float],
) -> dict[int, int]:
    """Return the share of each node, dealt in order to the share with the largest need.

    Nodes beyond all quotas are left out.
    """
    lacks, owners = [share.quota for share in shares], {}
    for place in order:
        neediest = max(range(len(shares)), key=lambda at: need(lacks[at], shares[at]))
        if lacks[neediest] > 0:
            owners[place] = neediest
            lacks[neediest] -= nodes[place].accelerators
    return owners


def _lacks(
    shares: Sequence[_Share], owners: Mapping[int, int], nodes: Sequence[LabelledNode]
) -> list[float]:
    """Return how many accelerators of its quota each share lacks; negative if it has more."""
    lacks = [share.quota for share in shares]
    for place, owner in owners.items():
        lacks[owner] -= nodes[place].accelerators
    return lacks


def _total_lacking(
    shares: Sequence[_Share], owners: Mapping[int, int], nodes: Sequence[LabelledNode]
) -> float:
    return sum(max(lack, 0.0) for lack in _lacks(shares, owners, nodes))


def _suffices(
    shares: Sequence[_Share], owners: Mapping[int, int], nodes: Sequence[LabelledNode]
) -> bool:
    """Return whether each share has nearly its quota and, if any node is, a node in service."""
    working = {owner for place, owner in owners.items() if nodes[place].in_service}
    pairs = zip(_lacks(shares, owners, nodes), shares, strict=True)
    enough = all(lack <= MOST_LACKING * share.quota for lack, share in pairs)
    return enough and (not working or len(working) == len(shares))


def _notes(
    words: str,
    shares: Sequence[_Share],
    owners: Mapping[int, int],
    places: Sequence[int],
    nodes: Sequence[LabelledNode],
) -> Iterator[str]:
    """Yield what is noteworthy of nodes that are divided."""
    if not any(nodes[place].in_service for place in places):
        yield f"no node of {words} is in service"
    if any(_lacks(shares, owners, nodes)):
        yield f"quotas of {words} are rounded to whole nodes"
    if unused := [place for place in places if place not in owners and nodes[place].in_service]:
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
