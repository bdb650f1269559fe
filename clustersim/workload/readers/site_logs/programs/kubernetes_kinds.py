"""The kinds of Kubernetes objects that are jobs, each with a function that returns its record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from clustersim.units import counted, listed
from clustersim.workload.job_runs import RUNS, runs_text
from clustersim.workload.readers.site_logs.programs.argo import workflow_rows
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import (
    Object,
    count_of,
    pod_devices,
    quantity,
    resource_devices,
    template_devices,
)
from clustersim.workload.readers.site_logs.programs.kubernetes_sets import (
    app_wrapper,
    leader_worker_set,
)
from clustersim.workload.readers.site_logs.programs.kubernetes_times import (
    condition_time,
    seconds_between,
)
from clustersim.workload.readers.site_logs.programs.kueue import workload
from clustersim.workload.readers.site_logs.records import EXTRA

__all__ = [
    "KINDS",
    "SEVERAL",
    "Object",
    "common_fields",
    "name_of",
    "notes_on_namespaces",
    "user_of",
    "with_users_of_owners",
]

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
"""Labels and annotations that name the user of an object."""
_JOB_NAMES = (
    *("jobset.sigs.k8s.io/jobset-name", "training.kubeflow.org/job-name", "volcano.sh/job-name"),
    *("trainer.kubeflow.org/trainjob-name", "leaderworkerset.sigs.k8s.io/name"),
    *("ray.io/originated-from-cr-name", "ray.io/cluster", "kueue.x-k8s.io/pod-group-name"),
    *("batch.kubernetes.io/job-name", "job-name", "pytorch-job-name", "mpi-job-name"),
    *("tf-job-name", "mpi_job_name", "pytorch_job_name", "tf_job_name"),
)
"""Labels of pods that name the job they belong to, the outermost first."""
_OWNERS = ("Job", "PyTorchJob", "MPIJob", "TFJob", "RayCluster", "JobSet", "TrainJob", "XGBoostJob")


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
        "user": user_of(item),
        "qos": spec.get("priorityClassName") or (spec.get("priorityClassRef") or {}).get("name"),
    }


def user_of(item: Object) -> str | None:
    """Return the user that an object names in a label or an annotation; None without one.

    Examples
    --------
    >>> user_of({"metadata": {"annotations": {"owner": "ann"}}}), user_of({"metadata": {}})
    ('ann', None)
    """
    meta = item.get("metadata") or {}
    labels = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    return next((str(labels[name]) for name in _USERS if labels.get(name)), None)


def with_users_of_owners(items: Iterable[Object]) -> list[Object]:
    """Return objects, those that name no user with the user of their owner in the same list.

    Examples
    --------
    >>> job = {"metadata": {"uid": "u-1", "labels": {"user": "ann"}}}
    >>> workload = {"metadata": {"ownerReferences": [{"uid": "u-1"}]}}
    >>> [user_of(item) for item in with_users_of_owners([job, workload])]
    ['ann', 'ann']
    """
    given = list(items)
    users = {(one.get("metadata") or {}).get("uid"): user_of(one) for one in given}
    users.pop(None, None)
    found = []
    for item in given:
        meta = item.get("metadata") or {}
        owners = [one.get("uid") for one in meta.get("ownerReferences") or []]
        user = next((users[uid] for uid in owners if users.get(uid)), None)
        if user and user_of(item) is None:
            notes = {**(meta.get("annotations") or {}), "user": user}
            item = {**item, "metadata": {**meta, "annotations": notes}}
        found.append(item)
    return found


def notes_on_namespaces(items: Iterable[Object], unnamed: int) -> list[str]:
    """Return notes on what namespaces are taken for.

    Parameters
    ----------
    items : iterable of mapping
        Objects that are jobs.
    unnamed : int
        How many jobs have their namespace as user.

    Examples
    --------
    >>> jobs = [{"metadata": {"namespace": team}, "spec": {"queueName": "lq"}} for team in "ab"]
    >>> notes_on_namespaces(jobs, 0)[0].split(", unless")[0]
    'LocalQueues of the same name in several namespaces (lq) count as one partition'
    """
    notes = []
    if unnamed:
        jobs = counted(unnamed, "job names", "jobs name")
        notes.append(f"users are namespaces: {jobs} no user in a label or an annotation")
    where: dict[str, set[str]] = {}
    for item in items:
        meta, spec = item.get("metadata") or {}, item.get("spec") or {}
        labels = meta.get("labels") or {}
        queue = labels.get(_QUEUES[0]) or spec.get("queueName")
        if queue:
            where.setdefault(str(queue), set()).add(str(meta.get("namespace")))
    several = sorted(name for name, spaces in where.items() if len(spaces) > 1)
    if several:
        notes.append(
            f"LocalQueues of the same name in several namespaces ({listed(several)}) count as one "
            "partition, unless the topology has them as NAMESPACE/NAME"
        )
    return notes


def _job(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    at_once = count_of(spec.get("parallelism"))
    if spec.get("completions") is not None:
        at_once = min(at_once, int(spec["completions"]))
    failed = condition_time(item, "Failed")
    end = status.get("completionTime") or condition_time(item, "Complete") or failed
    return {
        "start": status.get("startTime"),
        "end": end,
        "n": at_once * template_devices(spec),
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
        "n": pod_devices(item.get("spec")),
        "state": "Running" if phase == "Running" else "Pending" if phase == "Pending" else None,
    }


def _ray_job(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    cluster = spec.get("rayClusterSpec")
    n = None
    if cluster and not spec.get("clusterSelector"):
        n = template_devices(cluster.get("headGroupSpec") or {})
        for group in cluster.get("workerGroupSpecs") or []:
            replicas = count_of(group.get("replicas"), count_of(group.get("minReplicas"), 0))
            n += replicas * count_of(group.get("numOfHosts")) * template_devices(group)
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
                n += count_of(group.get("replicas")) * template_devices(group)
    if "template" in spec and not n:  # MPIJob v1alpha1: devices of the whole job, or of a worker
        n = quantity(spec.get("gpus") or spec.get("processingUnits") or 0)
        n = n or count_of(spec.get("replicas")) * template_devices(spec)
    end = (
        status.get("completionTime")
        or condition_time(item, "Succeeded")
        or condition_time(item, "Failed")
    )
    began = condition_time(item, "Running", status="") or status.get("startTime")
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
    n = sum(
        count_of(one.get("replicas")) * template_devices(one) for one in spec.get("tasks") or []
    )
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
        found["run_s"] = sum(seconds_between(*run) for run in runs)
        since = [[seconds_between(begins[0], when) for when in run] for run in runs]
        found[EXTRA + RUNS] = runs_text(*zip(*since, strict=True))
    return found


_OVER = ("Completed", "Failed", "Aborted", "Terminated")
"""Phases in which a job of Volcano has ended."""
_STILL = ("Completing", "Terminating", "Aborting")
"""Phases in which its pods are still being stopped."""


def _job_set(item: Object) -> dict[str, Any]:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    n = 0.0
    for group in spec.get("replicatedJobs") or []:
        job = (group.get("template") or {}).get("spec") or {}
        n += (
            count_of(group.get("replicas"))
            * count_of(job.get("parallelism"))
            * template_devices(job)
        )
    end = condition_time(item, "Completed") or condition_time(item, "Failed")
    resumed = condition_time(item, "Suspended", status="False")
    waits = bool(spec.get("suspend")) or condition_time(item, "Suspended") is not None
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
        n = count_of(trainer.get("numNodes")) * resource_devices(each)
    end = condition_time(item, "Complete") or condition_time(item, "Failed")
    resumed = condition_time(item, "Suspended", status="False")
    waits = bool(spec.get("suspend")) or condition_time(item, "Suspended") is not None
    start = None if waits else resumed or item["metadata"].get("creationTimestamp")
    return {"start": start, "end": end, "n": n}


def _app_wrapper(item: Object) -> dict[str, Any]:
    def inner(template: Object) -> float | None:
        read = KINDS.get(str(template.get("kind")))
        if read is None:
            return 0.0
        count = read({"metadata": {}, **template}).get("n")
        return None if count is None else float(count)

    return app_wrapper(item, condition_time, inner)


KINDS: dict[str, Callable[[Object], dict[str, Any]]] = {
    "Job": lambda item: (
        _volcano(item)
        if "volcano" in str(item.get("apiVersion", "")) or "tasks" in (item.get("spec") or {})
        else _job(item)
    ),
    "Pod": _pods,
    "Workload": workload,
    "RayJob": _ray_job,
    **dict.fromkeys(
        ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob", "MXJob"), _kubeflow
    ),
    "JobSet": _job_set,
    "TrainJob": _train_job,
    "AppWrapper": _app_wrapper,
    "LeaderWorkerSet": lambda item: leader_worker_set(item, condition_time),
}
"""The kinds of objects that are jobs, each with its reader."""
SEVERAL: dict[str, Callable[[Object], Iterator[dict[str, Any]]]] = {"Workflow": workflow_rows}
"""The kinds of objects that have several jobs."""
