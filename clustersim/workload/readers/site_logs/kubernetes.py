"""Lists of Kubernetes objects: ``kubectl get ... -A -o json``.

Each kind of object has a function that returns one record. Accelerators of a pod are its extended
resources (``nvidia.com/gpu``, ``huawei.com/Ascend910``, ...), limits where there are no requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_kubernetes", "read_kubernetes"]

_DEVICE = re.compile(
    r"gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu|ascend|gaudi|neuron|mig-|davinci|accelerator"
)
_NO_DEVICE = re.compile(
    r"mem|util|percent|\.core|-core|cores|smcore|gpu-core|vcuda|bandwidth|aicpu|rdma|milli"
)
_QUEUES = (
    "kueue.x-k8s.io/queue-name",
    "kueue.x-k8s.io/local-queue-name",
    "volcano.sh/queue-name",
    "scheduling.volcano.sh/queue-name",
    "kai.scheduler/queue",
    "runai/queue",
)
_USERS = (
    "user",
    "owner",
    "username",
    "created-by",
    "submitted-by",
    "app.kubernetes.io/created-by",
    "kueue.x-k8s.io/user",
)
_JOB_NAMES = (
    *("jobset.sigs.k8s.io/jobset-name", "training.kubeflow.org/job-name", "volcano.sh/job-name"),
    *("trainer.kubeflow.org/trainjob-name", "leaderworkerset.sigs.k8s.io/name"),
    *("ray.io/originated-from-cr-name", "ray.io/cluster", "kueue.x-k8s.io/pod-group-name"),
    *("batch.kubernetes.io/job-name", "job-name", "pytorch-job-name", "mpi-job-name"),
    *("tf-job-name", "mpi_job_name", "pytorch_job_name", "tf_job_name"),
)
"""Labels of pods that name the job they belong to, the outermost first."""
_OWNERS = ("Job", "PyTorchJob", "MPIJob", "TFJob", "RayCluster", "JobSet", "TrainJob", "XGBoostJob")
Object = Mapping[str, Any]


def is_kubernetes(content: Content) -> bool:
    """Return whether the file is a list of Kubernetes objects."""
    return any(True for document in content.documents for _ in _items(document))


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


def read_kubernetes(content: Content) -> Records:
    """Read Jobs, pods, Workloads of Kueue, RayJobs, jobs of Kubeflow and Volcano, JobSets."""
    rows, other = [], 0
    for document in content.documents:
        for item in _items(document):
            read = _KINDS.get(str(item["kind"]))
            if read is None:
                other += 1
                rows.append({"job_id": _name(item), "reason": "noise"})
            else:
                rows.append({**_common(item), **read(item)})
    notes = [f"{other:,} objects of other kinds than jobs are left out"] if other else []
    return records_of(rows, "kubernetes", notes)


def _name(item: Object) -> str:
    meta = item["metadata"]
    return f"{meta.get('namespace', 'default')}/{meta.get('name', meta.get('uid', ''))}"


def _common(item: Object) -> dict[str, Any]:
    meta = item["metadata"]
    labels = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    spec = item.get("spec") or {}
    queue = next((labels[name] for name in _QUEUES if labels.get(name)), None)
    return {
        "job_id": _name(item),
        "submit": meta.get("creationTimestamp"),
        "partition": queue or spec.get("queueName") or spec.get("queue"),
        "user": next((labels[name] for name in _USERS if labels.get(name)), None),
        "qos": spec.get("priorityClassName"),
    }


def _quantity(text: Any) -> float:
    match = re.fullmatch(r"\s*([\d.]+)\s*(m|k|)\s*", str(text))
    if match is None:
        return 0.0
    return float(match[1]) * {"m": 1e-3, "k": 1e3, "": 1.0}[match[2]]


def _devices(resources: Mapping[str, Any] | None) -> float:
    """Return the accelerators in a map of resources."""
    total = 0.0
    for name, quantity in (resources or {}).items():
        domain, _, plain = str(name).removeprefix("requests.").lower().rpartition("/")
        if domain and _DEVICE.search(plain) and not _NO_DEVICE.search(plain):
            total += _quantity(quantity)
    return total


def _container(container: Mapping[str, Any]) -> float:
    resources = container.get("resources") or {}
    return _devices({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _pod(spec: Mapping[str, Any] | None) -> float:
    """Return the accelerators of a pod: of its containers, or of its largest init container."""
    spec = spec or {}
    total = sum(_container(one) for one in spec.get("containers") or [])
    before = [0.0]
    for one in spec.get("initContainers") or []:
        if one.get("restartPolicy") == "Always":  # a sidecar runs beside the containers
            total += _container(one)
        else:
            before.append(_container(one))
    return max(total, *before)


def _template(of: Mapping[str, Any]) -> float:
    return _pod((of.get("template") or {}).get("spec"))


def _count(value: Any, default: int = 1) -> int:
    return default if value is None else int(value)


def _when(item: Object, *types: str, status: str = "True") -> str | None:
    """Return the time of the first of some conditions that holds."""
    conditions = (item.get("status") or {}).get("conditions") or []
    for kind in types:
        for one in conditions:
            if one.get("type") == kind and (not status or str(one.get("status")) == status):
                when = one.get("lastTransitionTime")
                return None if when is None else str(when)
    return None


def _job(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    at_once = _count(spec.get("parallelism"))
    if spec.get("completions") is not None:
        at_once = min(at_once, int(spec["completions"]))
    failed = _when(item, "Failed")
    end = status.get("completionTime") or _when(item, "Complete") or failed
    return {
        "start": status.get("startTime"),
        "end": end,
        "n": at_once * _template(spec),
        "limit_s": spec.get("activeDeadlineSeconds"),
        "state": "Failed" if failed else "Complete" if end else None,
    }


def _pods(item: Object) -> dict[str, Any]:
    meta, status = item["metadata"], item.get("status") or {}
    labels = meta.get("labels") or {}
    name = next((labels[key] for key in _JOB_NAMES if labels.get(key)), None)
    if name is None:
        owners = [one for one in meta.get("ownerReferences") or [] if one.get("kind") in _OWNERS]
        name = owners[0].get("name") if owners else None
    starts, ends, running = [], [], False
    for one in status.get("containerStatuses") or []:
        for key in ("state", "lastState"):
            ran = (one.get(key) or {}).get("terminated")
            if ran:
                starts.append(ran.get("startedAt"))
                if key == "state":
                    ends.append(ran.get("finishedAt"))
            alive = (one.get(key) or {}).get("running")
            if alive:
                starts.append(alive.get("startedAt"))
                running = True
    starts = [time for time in starts if time]
    ends = [time for time in ends if time]
    phase = status.get("phase")
    done = phase in ("Succeeded", "Failed")
    return {
        "group": None if name is None else f"{meta.get('namespace', 'default')}/{name}",
        "start": min(starts) if starts else None,
        "end": max(ends) if ends and not (running and not done) else None,
        "n": _pod(item.get("spec")),
        "state": "Running" if phase == "Running" else "Pending" if phase == "Pending" else None,
    }


def _workload(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    assigned = (status.get("admission") or {}).get("podSetAssignments") or []
    asked = sum(_count(one.get("count")) * _template(one) for one in spec.get("podSets") or [])
    used = [one.get("resourceUsage") for one in assigned]
    n = sum(_devices(one) for one in used) if used and all(used) else asked
    end = _when(item, "Finished")
    start = _when(item, "Admitted") or _when(item, "QuotaReserved")
    past = status.get("accumulatedPastExexcutionTimeSeconds")
    past = status.get("accumulatedPastExecutionTimeSeconds", past)
    return {
        "start": start,
        "end": end,
        "n": n,
        "limit_s": spec.get("maximumExecutionTimeSeconds"),
        "more_s": past,
        "state": None if end else "Running" if start else "Pending",
    }


def _ray_job(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    cluster = spec.get("rayClusterSpec")
    n = None
    if cluster and not spec.get("clusterSelector"):
        n = _template(cluster.get("headGroupSpec") or {})
        for group in cluster.get("workerGroupSpecs") or []:
            replicas = _count(group.get("replicas"), _count(group.get("minReplicas"), 0))
            n += replicas * _count(group.get("numOfHosts")) * _template(group)
    word = str(status.get("jobStatus") or "")
    return {
        "start": status.get("startTime"),
        "end": status.get("endTime"),
        "n": n,
        "limit_s": spec.get("activeDeadlineSeconds"),
        "state": "Running" if word in ("RUNNING",) and not status.get("endTime") else None,
    }


def _kubeflow(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    n = 0.0
    for name, groups in spec.items():
        if name.endswith("ReplicaSpecs") and isinstance(groups, dict):
            for group in groups.values():
                n += _count(group.get("replicas")) * _template(group)
    end = status.get("completionTime") or _when(item, "Succeeded") or _when(item, "Failed")
    began = _when(item, "Running", status="") or status.get("startTime")
    policy = spec.get("runPolicy") or {}
    return {
        "start": began,
        "end": end,
        "n": n,
        "partition": (policy.get("schedulingPolicy") or {}).get("queue")
        or _common(item)["partition"],
        "limit_s": policy.get("activeDeadlineSeconds", spec.get("activeDeadlineSeconds")),
        "state": None if end else "Running" if began and not policy.get("suspend") else "Pending",
    }


def _volcano(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    n = sum(_count(one.get("replicas")) * _template(one) for one in spec.get("tasks") or [])
    times: dict[str, str] = {}
    for one in status.get("conditions") or []:
        times.setdefault(str(one.get("status")), one.get("lastTransitionTime"))
    state = status.get("state") or {}
    phase = str(state.get("phase") or "")
    ended = ("Completed", "Failed", "Aborted", "Terminated")
    end = next((times[name] for name in ended if name in times), None)
    if end is None and phase in ended:
        end = state.get("lastTransitionTime")
    start = times.get("Running")
    if start is None and phase == "Running":
        start = state.get("lastTransitionTime")
    return {
        "start": start,
        "end": end,
        "n": n,
        "state": None if end else phase or None,
    }


def _job_set(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    n = 0.0
    for group in spec.get("replicatedJobs") or []:
        job = (group.get("template") or {}).get("spec") or {}
        n += _count(group.get("replicas")) * _count(job.get("parallelism")) * _template(job)
    end = _when(item, "Completed") or _when(item, "Failed")
    resumed = _when(item, "Suspended", status="False")
    waits = bool(spec.get("suspend")) or _when(item, "Suspended") is not None
    start = None if waits else resumed or item["metadata"].get("creationTimestamp")
    return {"start": start, "end": end, "n": n, "state": status.get("terminalState") and None}


_KINDS: dict[str, Callable[[Object], dict[str, Any]]] = {
    "Job": lambda item: (
        _volcano(item)
        if "volcano" in str(item.get("apiVersion", "")) or "tasks" in (item.get("spec") or {})
        else _job(item)
    ),
    "Pod": _pods,
    "Workload": _workload,
    "RayJob": _ray_job,
    **dict.fromkeys(
        ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob", "MXJob"), _kubeflow
    ),
    "JobSet": _job_set,
}
"""The kinds of objects that are jobs, each with its reader."""
