"""Workflows of Argo, AppWrappers, LeaderWorkerSets, jobs of Azure, and lists of Run:ai."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.sites import read_queue
from clustersim.workload import read_jobs


def read(tmp_path: Path, document: Any) -> Any:
    path = tmp_path / "log"
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text, encoding="utf-8")
    return read_jobs(path, time_zone="UTC")


def jobs_of(log: Any) -> dict[str, list[float]]:
    """Return accelerators, run time and wait of each job."""
    waits = log.jobs["start_s"] - log.jobs["submit_s"]
    columns = (log.jobs["job_id"], log.jobs["n_accelerators"], log.jobs["duration_s"], waits)
    return {name: [n, run, wait] for name, n, run, wait in zip(*columns, strict=True)}


def reasons(log: Any) -> dict[str, str]:
    table = log.left_out_table()
    return dict(zip(table["row"].astype(str), table["reason"], strict=True))


def asking(count: str, resource: str = "nvidia.com/gpu") -> dict[str, Any]:
    return {"image": "x", "resources": {"limits": {resource: count}}}


def node(name: str, template: str, **more: Any) -> dict[str, Any]:
    """Return a pod that was created at 10:00 and ended at 11:05."""
    times = {"startedAt": "2025-03-01T10:00:00Z", "finishedAt": "2025-03-01T11:05:00Z"}
    common = {"id": name, "name": f"wf.{name}", "templateName": template, "type": "Pod"}
    return {**common, "phase": "Succeeded", **times, **more}


NODES = {
    "wf": {"type": "DAG", "name": "wf", "phase": "Succeeded"},
    "wf-1": node("prepare", "cpu"),
    # the containers ran for an hour: 8 devices times 3,600 s
    "wf-2": node("train", "train", resourcesDuration={"cpu": 9, "nvidia.com/gpu": 28800}),
    "wf-3": node("tune(0:lr:1)", "tune", inputs={"parameters": [{"name": "gpus", "value": "2"}]}),
    "wf-4": node("patched", "patched", inputs={"parameters": [{"name": "gpus", "value": "4"}]}),
    "wf-5": node("elsewhere", "", templateRef={"name": "shared", "template": "eval"}),
    "wf-6": {"type": "Retry", "name": "wf.again", "children": ["wf-7", "wf-8"]},
    "wf-7": node("again(0)", "tune", phase="Failed", finishedAt="2025-03-01T10:10:00Z",
                 inputs={"parameters": [{"name": "gpus", "value": "2"}]}),
    "wf-8": node("again(1)", "tune", startedAt="2025-03-01T10:20:00Z",
                 inputs={"parameters": [{"name": "gpus", "value": "2"}]}),
    "wf-9": node("now", "train", phase="Running", finishedAt=None),
    "wf-10": node("queued", "train", phase="Pending", finishedAt=None),
    "wf-11": node("odd", "tune"),
}  # fmt: skip
WORKFLOW = {
    "kind": "Workflow",
    "apiVersion": "argoproj.io/v1alpha1",
    "metadata": {"name": "wf", "namespace": "ml", "creationTimestamp": "2025-03-01T09:59:00Z"},
    "spec": {
        "templates": [
            {"name": "cpu", "container": {"image": "x"}},
            {"name": "train", "container": asking("8"), "sidecars": [{"name": "s"}]},
            {"name": "tune", "script": asking("{{inputs.parameters.gpus}}")},
            {"name": "patched", "container": {"image": "x"}, "podSpecPatch": json.dumps(
                {"containers": [{"name": "main", **asking("{{inputs.parameters.gpus}}")}]})},
        ]
    },
    "status": {
        "phase": "Running",
        "nodes": NODES,
        "storedTemplates": {"namespaced/shared/eval": {"container": asking("1")}},
    },
}  # fmt: skip
ARGO_JOBS = {
    "ml/wf.train": [8, 3600, 300],
    "ml/wf.tune(0:lr:1)": [2, 3900, 0],
    "ml/wf.patched": [4, 3900, 0],
    "ml/wf.elsewhere": [1, 3900, 0],
    "ml/wf.again": [2, 600 + 2700, 0],
}
ARGO_LEFT = {
    "ml/wf.prepare": "no_accelerator",
    "ml/wf.now": "still_running",
    "ml/wf.queued": "never_started",
    "ml/wf.odd": "size_not_recorded",
    "ml/wf.again": "merged",
}


def packed(workflow: dict[str, Any]) -> dict[str, Any]:
    status = dict(workflow["status"])
    nodes = gzip.compress(json.dumps(status.pop("nodes")).encode())
    return {**workflow, "status": {**status, "compressedNodes": base64.b64encode(nodes).decode()}}


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "List", "items": [WORKFLOW]},
        [{key: WORKFLOW[key] for key in ("metadata", "spec", "status")}],
        {"kind": "WorkflowList", "items": [packed(WORKFLOW)]},
    ],
    ids=["kubectl", "argo-list", "packed"],
)
def test_workflows(tmp_path: Path, document: Any) -> None:
    log = read(tmp_path, document)
    assert jobs_of(log) == ARGO_JOBS
    assert reasons(log) == ARGO_LEFT


def test_a_workflow_whose_nodes_are_elsewhere(tmp_path: Path) -> None:
    status = {"phase": "Succeeded", "startedAt": "2025-03-01T10:00:00Z"}
    status |= {"finishedAt": "2025-03-01T11:00:00Z", "offloadNodeStatusVersion": "fnv:1"}
    with pytest.raises(InputError, match=r"1: number of accelerators not recorded"):
        read(tmp_path, {"kind": "List", "items": [{**WORKFLOW, "status": status}]})


def condition(kind: str, when: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": f"2025-03-01T{when}Z"}


PYTORCH = {
    "kind": "PyTorchJob",
    "spec": {
        "pytorchReplicaSpecs": {
            "Master": {"replicas": 1, "template": {"spec": {"containers": [asking("8")]}}},
            "Worker": {"replicas": 3, "template": {"spec": {"containers": [asking("8")]}}},
        }
    },
}
JOB = {"kind": "Job", "spec": {"template": {"spec": {"containers": [asking("2")]}}}}
SETS = [{"replicas": 4, "path": "template.spec.template"}]
ENDED = {
    "phase": "Succeeded",
    "conditions": [
        condition("QuotaReserved", "11:05:00", "False"),
        condition("ResourcesDeployed", "10:04:00"),
        condition("PodsReady", "10:05:00"),
    ],
}


def wrapper(name: str, components: list[Any], status: Any, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "AppWrapper",
        "apiVersion": "workload.codeflare.dev/v1beta2",
        "metadata": {"name": name, "creationTimestamp": "2025-03-01T10:00:00Z"},
        "spec": {"components": components, **spec},
        "status": status,
    }


FIRST_VERSION = {
    "kind": "AppWrapper",
    "apiVersion": "workload.codeflare.dev/v1beta1",
    "metadata": {"name": "old", "creationTimestamp": "2025-03-01T10:00:00Z"},
    "spec": {"resources": {"GenericItems": [{"custompodresources": [
        {"replicas": 1, "requests": {"nvidia.com/gpu": 0}, "limits": {"nvidia.com/gpu": 0}},
        {"replicas": 2, "requests": {"nvidia.com/gpu": 4}, "limits": {"nvidia.com/gpu": 4}},
    ]}]}},
    "status": {"state": "Completed", "conditions": [
        {"type": "Dispatched", "lastTransitionMicroTime": "2025-03-01T10:05:00.000000Z"},
        {"type": "Completed", "lastTransitionMicroTime": "2025-03-01T11:05:00.000000Z"},
    ]},
}  # fmt: skip
SERVED = {
    "kind": "LeaderWorkerSet",
    "metadata": {"name": "serve", "creationTimestamp": "2025-03-01T10:00:00Z"},
    "spec": {"replicas": 2, "leaderWorkerTemplate": {
        "size": 4, "workerTemplate": {"spec": {"containers": [asking("8")]}}}},
    "status": {"conditions": [condition("Available", "10:10:00")]},
}  # fmt: skip
WRAPPERS = [
    wrapper("kind", [{"template": PYTORCH}], ENDED),
    wrapper("sets", [{"template": JOB, "podSets": SETS}, {"template": JOB}], ENDED),
    wrapper("waits", [{"template": PYTORCH}], {"phase": "Suspended"}, suspend=True),
    wrapper("runs", [{"template": JOB}], {**ENDED, "phase": "Running"}),
    FIRST_VERSION,
    SERVED,
]


def test_wrappers_and_sets(tmp_path: Path) -> None:
    log = read(tmp_path, {"kind": "List", "items": WRAPPERS})
    assert jobs_of(log) == {
        "default/kind": [32, 3600, 300],
        "default/sets": [10, 3600, 300],
        "default/old": [8, 3600, 300],
    }
    assert reasons(log) == {
        "default/waits": "never_started",
        "default/runs": "still_running",
        "default/serve": "still_running",
    }


def test_queue_of_wrappers_sets_and_workflows(tmp_path: Path) -> None:
    path = tmp_path / "queue.json"
    path.write_text(json.dumps({"kind": "List", "items": [*WRAPPERS, WORKFLOW]}))
    state = read_queue(path)
    assert {job.job_id: job.n_accelerators for job in state.running} == {
        "default/runs": 2, "default/serve": 64, "ml/wf.now": 8,
    }  # fmt: skip
    assert {job.job_id: job.n_accelerators for job in state.waiting} == {
        "default/waits": 32, "ml/wf.queued": 8,
    }  # fmt: skip


def azure(name: str, size: str, count: int, status: str = "Completed", **times: str) -> Any:
    return {
        "name": name, "type": "command", "status": status, "compute": "azureml:gpus",
        "experiment_name": "llm", "properties": times,
        "creation_context": {"created_at": "2025-03-01T10:00:00.000000+00:00", "created_by": "a"},
        "resources": {"instance_count": count, "instance_type": size},
    }  # fmt: skip


RAN = {"StartTimeUtc": "2025-03-01 10:05:00", "EndTimeUtc": "2025-03-01 11:05:00"}


def test_azure(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        [
            azure("a", "Standard_ND96isr_H100_v5", 2, **RAN),
            azure("b", "Standard_D4s_v3", 1, **RAN),
            azure("c", "Standard_NC24ads_A100_v4", 1, "Queued"),
            azure("d", "mystery", 1, **RAN),
        ],
    )
    assert jobs_of(log) == {"a": [16, 3600, 300]}
    assert reasons(log) == {"b": "no_accelerator", "c": "never_started", "d": "size_not_recorded"}


def test_azure_runs(tmp_path: Path) -> None:
    run = {
        "runId": "r1", "status": "Completed", "createdUtc": "2025-03-01T10:00:00.0+00:00",
        "startTimeUtc": "2025-03-01T10:05:00.0+00:00", "endTimeUtc": "2025-03-01T11:05:00.0+00:00",
        "compute": {"target": "gpus", "vmSize": "STANDARD_NC6S_V3", "instanceCount": 4},
    }  # fmt: skip
    assert jobs_of(read(tmp_path, {"value": [run]})) == {"r1": [4, 3600, 300]}


RUNAI_JOBS = """\
Showing jobs for project team-a
NAME    STATUS   AGE  NODE  IMAGE  TYPE   PROJECT  USER  GPUs Allocated (Requested)  PODs Running
train1  Running  2m   n1    x      Train  team-a   ann   1 (1)                       1
"""
RUNAI_WORKLOADS = """\
 Workload   Type      Status   Project  Preemptible  Running/Req.Pods  GPU Alloc.  GPU Mem. Alloc.
----------------------------------------------------------------------------------------------
 llama      Training  Running  team-a   Yes          1/1               8.00        640 GB
"""
RUNAI_JSON = [
    {"type": "Training", "name": "t", "projectName": "p", "createdAt": "2025-03-01T10:00:00Z",
     "phase": "Completed", "phaseUpdatedAt": "2025-03-01T11:00:00Z", "runningPods": 0,
     "allocatedResources": {"gpu": 8}},
]  # fmt: skip
REFUSED = {
    "azure": ([azure("a", "Standard_ND96isr_H100_v5", 2)], "az ml job list does not tell when"),
    "runai-jobs": (RUNAI_JOBS, "kubectl get pods -A -o json"),
    "runai-workloads": (RUNAI_WORKLOADS, "kubectl get pods -A -o json"),
    "runai-json": ({"workloads": RUNAI_JSON}, "kubectl get pods -A -o json"),
    "runai-lines": ("\n".join(map(json.dumps, RUNAI_JSON)), "kubectl get pods -A -o json"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_what_to_run(tmp_path: Path, name: str) -> None:
    document, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        read(tmp_path, document)
