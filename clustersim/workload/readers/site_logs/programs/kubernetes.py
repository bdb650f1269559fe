"""Lists of Kubernetes objects: ``kubectl get ... -A -o json`` or ``-o yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clustersim.errors import InputError
from clustersim.units import counted, listed
from clustersim.workload.job_runs import RUNS
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED
from clustersim.workload.readers.site_logs.kubectl_messages import (
    EMPTY_LIST,
    is_empty_list,
    other_objects,
)
from clustersim.workload.readers.site_logs.programs.kubernetes_kinds import (
    KINDS,
    SEVERAL,
    Object,
    common_fields,
    name_of,
    notes_on_namespaces,
    with_users_of_owners,
)
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import uncounted_in
from clustersim.workload.readers.site_logs.programs.kueue import ASSUMED_ONCE, PAST_UNKNOWN
from clustersim.workload.readers.site_logs.records import EXTRA, Records, records_of

__all__ = ["is_kubernetes", "read_kubernetes"]

_BY_NAMESPACE = "by_namespace"
"""Column that is true for records whose user is their namespace."""


def is_kubernetes(content: Content) -> bool:
    """Return whether the file is a list of Kubernetes objects."""
    documents = content.documents
    return any(is_empty_list(one) or any(True for _ in _items(one)) for one in documents)


def _items(document: Any) -> Iterator[Object]:
    """Yield the objects of a list, or of a single object."""
    if isinstance(document, list):
        for one in document:
            yield from _items(one)
    elif isinstance(document, dict) and isinstance(document.get("items"), list):
        kind = str(document.get("kind", "List")).removesuffix("List")
        for item in document["items"]:
            if isinstance(item, dict) and "metadata" in item:
                yield item if "kind" in item else {**item, "kind": kind}
    elif isinstance(document, dict) and {"kind", "metadata", "spec"} <= set(document):
        yield document
    elif _is_workflow(document):
        yield {**document, "kind": "Workflow"}


def _is_workflow(document: Any) -> bool:
    """Return whether a document is a workflow as ``argo list -o json`` prints it, without kind."""
    if not isinstance(document, dict) or not {"metadata", "spec", "status"} <= set(document):
        return False
    parts = (document["spec"], document["status"])
    names = {"nodes", "compressedNodes", "offloadNodeStatusVersion", "templates"}
    return any(isinstance(part, dict) and bool(names & set(part)) for part in parts)


def read_kubernetes(content: Content) -> Records:
    """Read Jobs, pods, Workloads of Kueue, RayJobs, jobs of Kubeflow and Volcano, and others.

    Of a job and what it owns (its Workload, its pods, Jobs of a JobSet), one is kept: the Workload,
    which knows earlier admissions, else the owner.

    Raises
    ------
    InputError
        If the list is empty.
    """
    items = with_users_of_owners(
        item for document in content.documents for item in _items(document)
    )
    if not items:
        raise InputError(content.path, EMPTY_LIST)
    part = _parts_of_others(items)
    rows: list[dict[str, Any]] = []
    other: dict[str, int] = {}
    for item in items:
        found = _rows(item)
        if not found:
            kind = str(item["kind"])
            other[kind] = other.get(kind, 0) + 1
            found = [{"job_id": name_of(item), "reason": "noise"}]
        rows += [{**row, "reason": "merged"} for row in found] if id(item) in part else found
    owners = {row["job_id"] for row in rows if "reason" not in row and not row.get("group")}
    for row in rows:
        if row.get("group") in owners:
            row["reason"] = "merged"
    kinds = [f"{count:,} {kind}" for kind, count in sorted(other.items())]
    notes = [f"objects that are no jobs are left out: {listed(kinds)}"] if other else []
    jobs = [row for row in rows if "reason" not in row]
    notes += notes_on_namespaces(
        [item for item in items if item["kind"] in KINDS and id(item) not in part],
        sum(row.get(_BY_NAMESPACE, False) for row in jobs),
    )
    notes += _of_evictions(jobs)
    advice = other_objects(other) if other else ""
    return records_of(rows, "kubernetes", notes, advice)


def _rows(item: Object) -> list[dict[str, Any]]:
    """Return the records of an object; none if its kind is not known."""
    kind = str(item["kind"])
    if kind in SEVERAL:
        found = list(SEVERAL[kind](item))
    elif kind in KINDS:
        found = [KINDS[kind](item)]
    else:
        return []
    rows = [{**common_fields(item), **row} for row in found]
    for row in rows:
        if row.get("user") is None and item["metadata"].get("namespace"):
            row |= {"user": item["metadata"]["namespace"], _BY_NAMESPACE: True}
        if row.get("n") == 0 and kind in KINDS:
            row[UNCOUNTED] = uncounted_in(item)
    return rows


def _of_evictions(rows: list[dict[str, Any]]) -> list[str]:
    """Return notes on Workloads that were evicted."""
    notes = []
    if lost := sum(row.get(PAST_UNKNOWN, False) for row in rows):
        workloads = counted(lost, "Workload of Kueue was", "Workloads of Kueue were")
        notes.append(
            f"{workloads} evicted and the list does not say how long they had run "
            "(accumulatedPastExecutionTimeSeconds): only the last admission counts, as their start "
            "and as their run time"
        )
    twice = [row for row in rows if row.get(EXTRA + RUNS) and ASSUMED_ONCE in row]
    if not twice:
        return notes
    assumed = sum(row[ASSUMED_ONCE] for row in twice)
    once = f" ({assumed:,} of them do not tell how often: one eviction is assumed)"
    workloads = counted(len(twice), "Workload of Kueue was", "Workloads of Kueue were")
    return [
        *notes,
        f"{workloads} evicted and admitted again{once if assumed else ''}: {RUNS} has both runs, "
        "and the first one ends when the Workload was requeued (after a back-off, if there was "
        "one)",
    ]


def _parts_of_others(items: list[Object]) -> set[int]:
    """Return the ids of the objects that belong to a job that is in the list, too."""
    by_uid = {
        str(item["metadata"].get("uid")): item
        for item in items
        if item["metadata"].get("uid") and (item["kind"] in KINDS or item["kind"] in SEVERAL)
    }
    parts: set[int] = set()
    for item in items:
        for owner in item["metadata"].get("ownerReferences") or []:
            found = by_uid.get(str(owner.get("uid")))
            if found is not None and found["kind"] in SEVERAL and item["kind"] != "Pod":
                continue  # what a pod of the workflow has created
            if found is not None and found is not item:
                parts.add(id(found) if item["kind"] == "Workload" else id(item))
    return parts
