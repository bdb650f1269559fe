"""The queue of a Kubernetes cluster: Kueue workloads, jobs of several kinds, or pods."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from clustersim.sites.cells import Times, number_of
from clustersim.sites.other_nodes import extended_accelerators
from clustersim.sites.queue import QueuedJob, QueueState
from clustersim.workload.readers.site_logs.programs.kubernetes_kinds import (
    KINDS,
    SEVERAL,
    common_fields,
    notes_on_namespaces,
    user_of,
    with_users_of_owners,
)
from clustersim.workload.readers.site_logs.programs.kueue import (
    is_deactivated,
    workload_devices,
    workload_flavor,
)

__all__ = ["read_kubernetes_queue"]

_GANG_LABELS = (
    *("training.kubeflow.org/job-name", "batch.kubernetes.io/job-name", "job-name"),
    *("jobset.sigs.k8s.io/jobset-name", "kueue.x-k8s.io/pod-group-name", "ray.io/cluster"),
    *("volcano.sh/job-name", "pytorch-job-name", "leaderworkerset.sigs.k8s.io/name"),
)
_JOBS = {*KINDS, *SEVERAL} - {"Pod", "Workload"}
"""Kinds of objects that are jobs, or have some."""
_BY_RECORD = ("AppWrapper", "LeaderWorkerSet", "Workflow")
"""Kinds that describe their pods in their own fields."""
_OVER = ("Completing", "Completed", "Failed", "Aborting", "Aborted", "Terminating", "Terminated")
"""Phases of Volcano in which a job ends or has ended."""
_DEACTIVATED = "deactivated (spec.active: false)"
"""Why a Workload that Kueue does not admit any more, such as a cancelled one, is left out."""
_USER_LABELS = ("user", "owner", "username", "created-by", "app.kubernetes.io/managed-by-user")
_QUEUE_LABELS = ("kueue.x-k8s.io/queue-name", "volcano.sh/queue-name", "runai/queue", "queue")


@dataclass(slots=True)
class _Gang:
    """The pods of one job, while they are read."""

    n_accelerators: int = 0
    submit: datetime | None = None
    start: datetime | None = None
    phases: set[str] = field(default_factory=set)
    item: Mapping[str, Any] = field(default_factory=dict)
    kinds: dict[str, None] = field(default_factory=dict)
    reason: str = ""
    on_node: dict[str, int] = field(default_factory=dict)


def read_kubernetes_queue(items: Sequence[Mapping[str, Any]], source: str) -> QueueState | None:
    """Read what ``kubectl get workloads``, ``jobs`` or ``pods`` prints as JSON or YAML.

    Of a list with several kinds, workloads are read if there are any, else jobs, else pods.

    Returns
    -------
    QueueState or None
        None if the list has no such object.
    """
    times = Times(None)
    items = with_users_of_owners(items)
    kinds = {str(item.get("kind", "")) for item in items}
    left: list[tuple[str, str]] = []
    jobs: list[QueuedJob] = []
    if "Workload" in kinds:
        chosen = [item for item in items if item.get("kind") == "Workload"]
        form, found = "kubectl get workloads", [_workload(item, times) for item in chosen]
    elif kinds & _JOBS:
        chosen = [item for item in items if str(item.get("kind", "")) in _JOBS]
        form, found = "kubectl get jobs", [one for item in chosen for one in _jobs(item, times)]
    elif "Pod" in kinds:
        chosen = [item for item in items if item.get("kind") == "Pod"]
        form, found = "kubectl get pods", list(_pods(chosen, times))
    else:
        return None
    for each in found:
        if isinstance(each, QueuedJob):
            jobs.append(each)
        else:
            left.append(each)
    taken = max(_times(chosen, times), default=None)
    state = QueueState(source, form, tuple(jobs), len(chosen), taken, True, tuple(left))
    state = state.with_notes(*_notes(chosen, jobs, left))
    if taken is not None:
        state = replace(
            state,
            jobs=tuple(
                replace(job, elapsed_s=max(0.0, (taken - job.start).total_seconds()))
                if job.start is not None
                else job
                for job in jobs
            ),
        )
        state = state.with_notes(
            "the list does not say when it was taken: the latest time in it is assumed (--taken-at)"
        )
    return state


def _notes(
    items: Sequence[Mapping[str, Any]], jobs: Sequence[QueuedJob], left: Sequence[tuple[str, str]]
) -> list[str]:
    """Return notes on the namespaces of the jobs that run or wait."""
    named = {_named_user(item) for item in items}
    ended = {row for row, _ in left}
    return notes_on_namespaces(
        [item for item in items if _identity(item) not in ended],
        sum(bool(job.user) and job.user not in named for job in jobs),
    )


def _named_user(item: Mapping[str, Any]) -> str:
    """Return the user that an object names; empty without one."""
    return _label(item, _USER_LABELS) or user_of(item) or ""


def _times(value: Any, times: Times) -> Iterator[datetime]:
    """Return all times in a document."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if isinstance(each, str | datetime) and str(key).endswith(("Time", "Timestamp", "At")):
                moment = times.parse(each)
                if moment is not None:
                    yield moment
            else:
                yield from _times(each, times)
    elif isinstance(value, list):
        for each in value:
            yield from _times(each, times)


def _identity(item: Mapping[str, Any]) -> str:
    meta = item.get("metadata") or {}
    return f"{meta.get('namespace', 'default')}/{meta.get('name')}"


def _label(item: Mapping[str, Any], names: Sequence[str]) -> str:
    labels = (item.get("metadata") or {}).get("labels") or {}
    return next((str(labels[name]) for name in names if labels.get(name)), "")


def _condition(item: Mapping[str, Any], *names: str) -> Mapping[str, Any] | None:
    """Return the first condition with one of these types that is true."""
    for each in (item.get("status") or {}).get("conditions") or []:
        if each.get("type") in names and str(each.get("status")) == "True":
            return dict(each)
    return None


def _of_pods(template: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the accelerators of one pod: of its containers together, or of an init container."""
    spec = (template or {}).get("spec") or {}
    together: dict[str, int] = {}
    for container in spec.get("containers") or []:
        resources = container.get("resources") or {}
        found = extended_accelerators(resources.get("limits")) or extended_accelerators(
            resources.get("requests")
        )
        for kind, count in found.items():
            together[kind] = together.get(kind, 0) + count
    for container in spec.get("initContainers") or []:
        resources = container.get("resources") or {}
        for kind, count in extended_accelerators(resources.get("limits")).items():
            together[kind] = max(together.get(kind, 0), count)
    return together


def _gang_of(spec: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Return the accelerators of all pods for which the specification of a job asks."""
    total = 0
    kinds: dict[str, None] = {}
    for count, template in _templates(spec):
        found = _of_pods(template)
        total += count * sum(found.values())
        kinds |= dict.fromkeys(kind for kind in found if kind not in ("gpu", "npu"))
    return total, tuple(kinds)


def _templates(spec: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Return the numbers and templates of pods in the specification of a job of any kind."""
    if isinstance(spec.get("podSets"), list):
        for each in spec["podSets"]:
            yield int(each.get("count") or 0), each.get("template") or {}
        return
    cluster = spec.get("rayClusterSpec")
    if isinstance(cluster, Mapping):
        yield 1, (cluster.get("headGroupSpec") or {}).get("template") or {}
        for group in cluster.get("workerGroupSpecs") or []:
            hosts = int(group.get("numOfHosts") or 1)
            yield int(group.get("replicas") or 0) * hosts, group.get("template") or {}
        return
    replicas = [value for key, value in spec.items() if key.endswith("eplicaSpecs")]
    if replicas and isinstance(replicas[0], Mapping):
        for each in replicas[0].values():
            yield int(each.get("replicas", 1)), each.get("template") or {}
        return
    for each in spec.get("tasks") or spec.get("replicatedJobs") or []:
        template = each.get("template") or {}
        inner = (template.get("spec") or {}).get("template")
        if inner is not None:
            pods = int((template.get("spec") or {}).get("parallelism", 1))
            yield int(each.get("replicas", 1)) * pods, inner
        else:
            yield int(each.get("replicas", 1)), template
    if "template" in spec:
        parallelism, completions = spec.get("parallelism"), spec.get("completions")
        pods = 1 if parallelism is None else int(parallelism)
        yield min(pods, int(completions)) if completions else pods, spec["template"]


def _workload(item: Mapping[str, Any], times: Times) -> QueuedJob | tuple[str, str]:
    spec = item.get("spec") or {}
    if _condition(item, "Finished") is not None:
        return _identity(item), "finished"
    admitted = _condition(item, "Admitted")
    if admitted is None and is_deactivated(item):
        return _identity(item), _DEACTIVATED
    reserved = _condition(item, "QuotaReserved")
    count, kinds = _gang_of(spec)
    waits = next(
        (
            str(each.get("message") or each.get("reason") or "")
            for each in (item.get("status") or {}).get("conditions") or []
            if each.get("type") in ("QuotaReserved", "Evicted", "PodsReady")
        ),
        "",
    )
    limit = number_of(spec.get("maximumExecutionTimeSeconds"))
    common = _common(item, times)
    if admitted is not None:
        start = times.parse(admitted.get("lastTransitionTime"))
        n = workload_devices(item, now=True)
        count = count if math.isnan(n) else round(n)
        return replace(common, state="running", n_accelerators=count, kinds=kinds, start=start,
                       flavor=workload_flavor(item),
                       time_limit_s=limit, priority=number_of(spec.get("priority")),
                       partition=str(spec.get("queueName") or common.partition))  # fmt: skip
    return replace(
        common,
        n_accelerators=count,
        kinds=kinds,
        time_limit_s=limit,
        priority=number_of(spec.get("priority")),
        partition=str(spec.get("queueName") or common.partition),
        reason=waits if reserved is None else "waits for admission checks",
    )


def _common(item: Mapping[str, Any], times: Times) -> QueuedJob:
    meta = item.get("metadata") or {}
    return QueuedJob(
        job_id=_identity(item),
        state="waiting",
        n_accelerators=0,
        partition=_label(item, _QUEUE_LABELS),
        user=_named_user(item) or str(meta.get("namespace") or ""),
        submit=times.parse(meta.get("creationTimestamp")),
    )


def _jobs(item: Mapping[str, Any], times: Times) -> Iterator[QueuedJob | tuple[str, str]]:
    """Yield the jobs of an object: one, or those of the pods of a workflow."""
    kind = str(item.get("kind"))
    if kind not in _BY_RECORD:
        yield _job(item, times)
        return
    for record in SEVERAL[kind](item) if kind in SEVERAL else [KINDS[kind](item)]:
        number, state = str(record.get("job_id") or _identity(item)), record.get("state")
        if state not in ("Running", "Pending"):
            yield number, "finished"
            continue
        count = record.get("n")
        yield replace(
            _common(item, times),
            job_id=number,
            state="running" if state == "Running" else "waiting",
            n_accelerators=None if count is None or math.isnan(count) else int(count),
            start=times.parse(record.get("start")) if state == "Running" else None,
        )


def _job(item: Mapping[str, Any], times: Times) -> QueuedJob | tuple[str, str]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    deployment = str(status.get("jobDeploymentStatus") or "")
    state = status.get("state")
    phase = str((state or {}).get("phase") if isinstance(state, Mapping) else state or "")
    ended = _condition(item, "Complete", "Failed", "Succeeded", "Completed") is not None
    if ended or status.get("completionTime") or phase in _OVER:
        return _identity(item), "finished"
    if deployment in ("Complete", "Failed") or status.get("endTime"):
        return _identity(item), "finished"
    count, kinds = _gang_of(spec)
    suspended = bool(spec.get("suspend") or (spec.get("runPolicy") or {}).get("suspend"))
    active = int(status.get("active") or 0) > 0 and status.get("ready") != 0
    begun = _condition(item, "Running") is not None or phase == "Running"
    begun = begun or deployment == "Running" or (active and not suspended)
    record = _record(item)
    start = times.parse(record.get("start") or status.get("startTime"))
    limit = number_of(
        spec.get("activeDeadlineSeconds")
        or (spec.get("runPolicy") or {}).get("activeDeadlineSeconds")
    )
    common = replace(_common(item, times), n_accelerators=count, kinds=kinds, time_limit_s=limit)
    common = replace(common, partition=common.partition or str(record.get("partition") or ""))
    if begun and not suspended:
        return replace(common, state="running", start=start)
    return replace(common, reason="suspended" if suspended else "pods are pending")


def _record(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that a log has of a job; empty if its kind is not known."""
    read = KINDS.get(str(item.get("kind")))
    return {} if read is None else {**common_fields(item), **read(item)}


def _pods(
    items: Sequence[Mapping[str, Any]], times: Times
) -> Iterator[QueuedJob | tuple[str, str]]:
    gangs: dict[str, _Gang] = {}
    for item in items:
        status = item.get("status") or {}
        phase = str(status.get("phase") or "Unknown")
        if phase in ("Succeeded", "Failed"):
            yield _identity(item), "finished"
            continue
        name = _label(item, _GANG_LABELS)
        namespace = (item.get("metadata") or {}).get("namespace", "default")
        gang = gangs.setdefault(f"{namespace}/{name}" if name else _identity(item), _Gang())
        found = _of_pods(item)
        gang.n_accelerators += sum(found.values())
        node = str((item.get("spec") or {}).get("nodeName") or "")
        gang.on_node[node] = gang.on_node.get(node, 0) + sum(found.values())
        gang.kinds |= dict.fromkeys(kind for kind in found if kind not in ("gpu", "npu"))
        created = times.parse((item.get("metadata") or {}).get("creationTimestamp"))
        gang.submit = min(filter(None, (gang.submit, created)), default=None)
        started = times.parse(status.get("startTime"))
        gang.start = max(filter(None, (gang.start, started)), default=None)
        gang.phases.add(phase)
        gang.item = gang.item or item
        unscheduled = [
            str(each.get("message") or "")
            for each in status.get("conditions") or []
            if each.get("type") == "PodScheduled" and str(each.get("status")) == "False"
        ]
        gang.reason = gang.reason or next(iter(unscheduled), "")
    for number, gang in gangs.items():
        running = gang.phases == {"Running"}
        on_node = {name: n for name, n in gang.on_node.items() if n} if running else {}
        on_node = {} if "" in on_node else on_node
        limit = number_of((gang.item.get("spec") or {}).get("activeDeadlineSeconds"))
        yield replace(
            _common(gang.item, times),
            job_id=number,
            state="running" if running else "waiting",
            n_accelerators=gang.n_accelerators,
            kinds=tuple(gang.kinds),
            submit=gang.submit,
            start=gang.start if running else None,
            time_limit_s=None if limit is None or math.isinf(limit) else limit,
            reason="" if running else gang.reason,
            priority=number_of((gang.item.get("spec") or {}).get("priority")),
            nodes=tuple(on_node),
            on_each=tuple(on_node.values()),
        )
