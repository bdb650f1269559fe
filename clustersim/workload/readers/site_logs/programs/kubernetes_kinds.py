"""The kinds of Kubernetes objects that are jobs, each with a function that returns its record.

Accelerators of a pod are its extended resources (``nvidia.com/gpu``, ``huawei.com/Ascend910``,
...), limits where there are no requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

__all__ = ["KINDS", "Object", "common_fields", "name_of"]

_DEVICE = re.compile(
    r"gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu|ascend|gaudi|neuron|mig-|davinci|accelerator|ppu|^i915$|^xe$"
)
_NO_DEVICE = re.compile(
    r"mem|util|percent|\.core|-core|cores|smcore|gpu-core|vcuda|bandwidth|aicpu|rdma|milli|"
    r"monitoring|tflops"
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


def name_of(item: Object) -> str:
    meta = item["metadata"]
    return f"{meta.get('namespace', 'default')}/{meta.get('name', meta.get('uid', ''))}"


def common_fields(item: Object) -> dict[str, Any]:
    meta = item["metadata"]
    labels = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    spec = item.get("spec") or {}
    queue = next((labels[name] for name in _QUEUES if labels.get(name)), None)
    return {
        "job_id": name_of(item),
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
    resources = resources or {}
    chips = {str(name) for name in resources} & {"aws.amazon.com/neuron"}
    for name, quantity in resources.items():
        if chips and "/neuron" in str(name) and name not in chips:
            continue  # the same chips as cores or devices
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
    past = status.get("accumulatedPastExexcutionTimeSeconds")  # as v1beta1 spells it
    past = status.get("accumulatedPastExecutionTimeSeconds", past)
    end, start = _when(item, "Finished"), _admitted(item)
    if end is None and spec.get("active") is False and start is None and past:
        end = _when(item, "Evicted")  # deactivated for good
    found = {
        "start": start,
        "end": end,
        "n": n,
        "limit_s": spec.get("maximumExecutionTimeSeconds"),
        "state": None if end else "Running" if start else "Pending",
    }
    if end and not start and past:  # a workload that has finished may have lost its admission
        return {**found, "run_s": past}
    return {**found, "more_s": past}


def _admitted(item: Object) -> str | None:
    """Return when a workload was admitted: its quota alone counts where nothing else is checked."""
    status = item.get("status") or {}
    admitted = _when(item, "Admitted")
    is_tracked = any(one.get("type") == "Admitted" for one in status.get("conditions") or [])
    if admitted or is_tracked or status.get("admissionChecks"):
        return admitted
    return _when(item, "QuotaReserved")


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
    if "template" in spec and not n:  # MPIJob v1alpha1: devices of the whole job, or of a worker
        n = _quantity(spec.get("gpus") or spec.get("processingUnits") or 0)
        n = n or _count(spec.get("replicas")) * _template(spec)
    end = status.get("completionTime") or _when(item, "Succeeded") or _when(item, "Failed")
    began = _when(item, "Running", status="") or status.get("startTime")
    if began and end and began >= end and status.get("startTime"):
        began = status["startTime"]  # the condition Running has the time at which it ended
    policy = spec.get("runPolicy") or {}
    return {
        "start": began,
        "end": end,
        "n": n,
        "partition": (policy.get("schedulingPolicy") or {}).get("queue")
        or common_fields(item)["partition"],
        "limit_s": policy.get("activeDeadlineSeconds", spec.get("activeDeadlineSeconds")),
        "state": None if end else "Running" if began and not policy.get("suspend") else "Pending",
    }


def _volcano(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    n = sum(_count(one.get("replicas")) * _template(one) for one in spec.get("tasks") or [])
    steps = [
        (str(one.get("status")), str(one.get("lastTransitionTime")))
        for one in status.get("conditions") or []
        if one.get("lastTransitionTime")
    ]
    state = status.get("state") or {}
    phase = str(state.get("phase") or "")
    if phase and state.get("lastTransitionTime") and phase not in [name for name, _ in steps]:
        steps.append((phase, str(state["lastTransitionTime"])))
    runs: list[tuple[str, str]] = []
    begun = None
    for name, when in steps:
        if name == "Running":
            begun = begun or when
        elif begun and name not in _STILL:
            runs.append((begun, when))
            begun = None
    over = bool(steps) and steps[-1][0] in _OVER
    begins = [first for first, _ in runs] + ([begun] if begun else [])
    found = {
        "start": begins[0] if begins else None,
        "end": steps[-1][1] if over else None,
        "n": n,
        "state": None if over else phase or None,
    }
    if over and len(runs) > 1:
        found["run_s"] = sum(_seconds(*run) for run in runs)
    return found


_OVER = ("Completed", "Failed", "Aborted", "Terminated")
"""Phases in which a job of Volcano has ended."""
_STILL = ("Completing", "Terminating", "Aborting")
"""Phases in which its pods are still being stopped."""


def _seconds(first: str, last: str) -> float:
    return (_instant(last) - _instant(first)).total_seconds()


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


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


def _train_job(item: Object) -> dict[str, Any]:
    """Return the record of a TrainJob of Kubeflow Trainer 2; its runtime may tell its devices."""
    spec = item.get("spec") or {}
    trainer = spec.get("trainer") or {}
    per_node = trainer.get("resourcesPerNode")
    n = None
    if per_node is not None:
        each = {**(per_node.get("limits") or {}), **(per_node.get("requests") or {})}
        n = _count(trainer.get("numNodes")) * _devices(each)
    end = _when(item, "Complete") or _when(item, "Failed")
    resumed = _when(item, "Suspended", status="False")
    waits = bool(spec.get("suspend")) or _when(item, "Suspended") is not None
    start = None if waits else resumed or item["metadata"].get("creationTimestamp")
    return {"start": start, "end": end, "n": n}


KINDS: dict[str, Callable[[Object], dict[str, Any]]] = {
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
    "TrainJob": _train_job,
}
"""The kinds of objects that are jobs, each with its reader."""
