"""Objects of Kueue: ClusterQueues with their quotas and LocalQueues, and cohorts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clustersim.units import listed
from clustersim.workload.readers.site_logs.devices import is_device
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import (
    counted_names,
    parse_quantity,
    quantity,
)

__all__ = [
    "ClusterQueue",
    "cluster_queues",
    "not_kept",
    "objects_of",
    "quotas_of_cohorts",
    "unlisted_cluster_queues",
    "unreadable_quotas",
]

_LIMITS = ("nominalQuota", "borrowingLimit", "lendingLimit")


@dataclass(frozen=True, slots=True)
class ClusterQueue:
    """A ClusterQueue: its share, its quotas of accelerators by flavor, and its local queues."""

    name: str
    share: str
    quotas: Mapping[str, float]
    queues: tuple[str, ...]


def objects_of(items: Sequence[Mapping[str, Any]], kind: str) -> Iterator[tuple[Any, Any]]:
    """Yield the metadata and the specification of each object of a kind."""
    for item in items:
        if item.get("kind") == kind:
            yield item.get("metadata") or {}, item.get("spec") or {}


def _quotas(spec: Mapping[str, Any]) -> dict[str, float]:
    """Return the quotas of accelerators by flavor in the resource groups of an object."""
    found: dict[str, float] = {}
    for flavor, resources in _flavors(spec):
        given = {str(each.get("name")): each.get("nominalQuota") for each in resources}
        if names := counted_names(given):
            own = math.fsum(quantity(given[name]) for name in names)
            found[flavor] = found.get(flavor, 0.0) + own
    return found


def _flavors(spec: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the name and the resources of each flavor of the resource groups of an object."""
    for group in spec.get("resourceGroups") or []:
        for flavor in group.get("flavors") or []:
            yield str(flavor.get("name")), flavor.get("resources") or []


def unreadable_quotas(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with each quota or limit of accelerators that is no quantity.

    Examples
    --------
    >>> resource = {"name": "nvidia.com/gpu", "nominalQuota": "eight"}
    >>> groups = [{"flavors": [{"name": "h100", "resources": [resource]}]}]
    >>> queue = {"kind": "ClusterQueue", "metadata": {"name": "a"}}
    >>> list(unreadable_quotas([{**queue, "spec": {"resourceGroups": groups}}]))
    ["ClusterQueue a, flavor h100, nvidia.com/gpu, nominalQuota: found 'eight'; a quantity of \
Kubernetes of at least 0 is needed, such as 8 or 1k"]
    """
    for kind in ("ClusterQueue", "Cohort"):
        for meta, spec in objects_of(items, kind):
            for flavor, resources in _flavors(spec):
                for each in resources:
                    where = f"{kind} {meta.get('name')}, flavor {flavor}, {each.get('name')}"
                    for limit in _LIMITS if is_device(str(each.get("name"))) else ():
                        given = each.get(limit)
                        number = 0.0 if given is None else parse_quantity(given)
                        if number is None or number < 0:
                            yield (
                                f"{where}, {limit}: found {given!r}; a quantity of Kubernetes of "
                                "at least 0 is needed, such as 8 or 1k"
                            )


def _roots(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the cohort at the top of each cohort that has an object."""
    parents = {
        str(meta.get("name")): str(spec.get("parentName") or spec.get("parent") or "")
        for meta, spec in objects_of(items, "Cohort")
    }
    roots = {}
    for name in parents:
        seen, top = {name}, name
        while parents.get(top) and parents[top] not in seen:
            top = parents[top]
            seen.add(top)
        roots[name] = top
    return roots


def unlisted_cluster_queues(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a note on each ClusterQueue to which local queues point and that is not in the list.

    Examples
    --------
    >>> queue = {"kind": "LocalQueue", "metadata": {"name": "lq"}, "spec": {"clusterQueue": "x"}}
    >>> [note.split(":")[0] for note in unlisted_cluster_queues([queue])]
    ['LocalQueue lq points to the ClusterQueue x, which is not in the list']
    """
    there = {str(meta.get("name")) for meta, _ in objects_of(items, "ClusterQueue")}
    for target, queues in sorted(_local_queues(items).items()):
        if target not in there:
            point = "LocalQueue {} points" if len(queues) == 1 else "LocalQueues {} point"
            yield (
                f"{point.format(listed(queues))} to the ClusterQueue {target}, which is not in the "
                "list: no nodes are known as theirs (kubectl get clusterqueues)"
            )


def _local_queues(items: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the local queues that point to each ClusterQueue, each by name.

    Where LocalQueues of the same name point to different ClusterQueues, they are NAMESPACE/NAME.

    >>> items = [
    ...     {"kind": "LocalQueue", "metadata": {"name": name, "namespace": space},
    ...      "spec": {"clusterQueue": target}}
    ...     for space, name, target in [("a", "lq", "x"), ("b", "lq", "y"), ("b", "own", "y")]
    ... ]
    >>> _local_queues(items)
    {'x': ['a/lq'], 'y': ['b/lq', 'own']}
    """
    queues = [
        (
            str(meta.get("namespace", "default")),
            str(meta.get("name")),
            str(spec.get("clusterQueue")),
        )
        for meta, spec in objects_of(items, "LocalQueue")
    ]
    targets: dict[str, set[str]] = {}
    for _, name, target in queues:
        targets.setdefault(name, set()).add(target)
    pointing: dict[str, list[str]] = {}
    for space, name, target in queues:
        own = pointing.setdefault(target, [])
        full = f"{space}/{name}" if len(targets[name]) > 1 else name
        if full not in own:
            own.append(full)
    return pointing


def cluster_queues(items: Sequence[Mapping[str, Any]]) -> list[ClusterQueue]:
    """Return the ClusterQueues; one without LocalQueues has its own name as queue."""
    pointing, shares = _local_queues(items), _shares(items)
    names = [(str(meta.get("name")), spec) for meta, spec in objects_of(items, "ClusterQueue")]
    return [
        ClusterQueue(name, shares[name], _quotas(spec), tuple(pointing.get(name, [name])))
        for name, spec in names
    ]


def _shares(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the share of each ClusterQueue: its cohort, or itself.

    It is alone without a cohort, and where limits of 0 keep it from borrowing and others from
    borrowing from it.

    >>> def queue(name, **limits):
    ...     resource = {"name": "nvidia.com/gpu", "nominalQuota": 8, **limits}
    ...     groups = [{"flavors": [{"name": "h100", "resources": [resource]}]}]
    ...     spec = {"cohortName": "all", "resourceGroups": groups}
    ...     return {"kind": "ClusterQueue", "metadata": {"name": name}, "spec": spec}
    >>> _shares([queue("a", borrowingLimit=0), queue("b", borrowingLimit="0")])
    {'a': 'queue a', 'b': 'queue b'}
    >>> _shares([queue("a", borrowingLimit=0, lendingLimit=0), queue("b"), queue("c")])
    {'a': 'queue a', 'b': 'cohort all', 'c': 'cohort all'}
    >>> _shares([queue("a", borrowingLimit=0), queue("b")])  # b borrows from a
    {'a': 'cohort all', 'b': 'cohort all'}
    """
    roots = _roots(items)
    cohorts: dict[str, str] = {}
    lenders: dict[str, set[str]] = {}
    borrowers: dict[str, set[str]] = {}
    for cohort, own in quotas_of_cohorts(items):
        if any(own.values()):
            lenders.setdefault(cohort, set()).add("")
    for meta, spec in objects_of(items, "ClusterQueue"):
        name, cohort = (
            str(meta.get("name")),
            str(spec.get("cohort") or spec.get("cohortName") or ""),
        )
        cohorts[name] = f"cohort {roots.get(cohort, cohort)}" if cohort else ""
        for limit, able in (("borrowingLimit", borrowers), ("lendingLimit", lenders)):
            values = [each.get(limit) for each in _accelerators(spec)]
            if any(value is None or quantity(value) for value in values):
                able.setdefault(cohorts[name], set()).add(name)
    found = {}
    for name, cohort in cohorts.items():
        takes, gives = borrowers.get(cohort, set()), lenders.get(cohort, set())
        shares = (name in takes and gives - {name}) or (name in gives and takes - {name})
        found[name] = cohort if cohort and shares else f"queue {name}"
    return found


def _accelerators(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the quotas of accelerators of all flavors of a ClusterQueue."""
    for _, resources in _flavors(spec):
        yield from (each for each in resources if is_device(str(each.get("name"))))


def quotas_of_cohorts(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """Return the quotas that cohorts have themselves, each with the name of its share."""
    roots = _roots(items)
    return [
        (f"cohort {roots[str(meta.get('name'))]}", _quotas(spec))
        for meta, spec in objects_of(items, "Cohort")
    ]


def not_kept(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the objects say and a topology cannot."""
    shares = _shares(items)
    limited, held, preempting, strict = [], [], [], []
    for meta, spec in objects_of(items, "ClusterQueue"):
        name = str(meta.get("name"))
        limits = [
            each.get(kind)
            for each in _accelerators(spec)
            for kind in ("borrowingLimit", "lendingLimit")
        ]
        if shares[name] != f"queue {name}" and any(limit is not None for limit in limits):
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
    clusters = {str(meta.get("name")) for meta, _ in objects_of(items, "ClusterQueue")}
    pointed = _local_queues(items)
    if alone := sorted(clusters - {*pointed}):
        yield (
            f"no LocalQueue points to {listed(alone)}: these have their own names as queues "
            "(kubectl get localqueues -A)"
        )
