"""Lists of Kubernetes objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs


def clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"2025-01-01T{minutes // 60:02}:{minutes % 60:02}:00Z"


def pod(gpus: int = 8, name: str = "nvidia.com/gpu") -> dict[str, Any]:
    limits = {"cpu": "8", "rdma/hca": "1", name: str(gpus)}
    return {"spec": {"containers": [{"name": "m", "resources": {"limits": limits}}]}}


def thing(kind: str, name: str, spec: Any, status: Any, version: str = "v1") -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "t", "creationTimestamp": clock(0)},
        "spec": spec,
        "status": status,
    }


def read(tmp_path: Path, *items: dict[str, Any]) -> Any:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))
    return read_jobs(path)


def when(hours: float, kind: str, status: str = "True") -> dict[str, Any]:
    return {"type": kind, "status": status, "lastTransitionTime": clock(hours)}


WORKLOAD = {"queueName": "lq", "podSets": [{"count": 4, "template": pod()}]}
KINDS = {
    "Job": thing(
        "Job", "j", {"parallelism": 2, "completions": 1, "template": pod()},
        {"startTime": clock(1), "conditions": [when(3, "Failed")]}, "batch/v1",
    ),
    "Workload": thing(
        "Workload", "j", WORKLOAD,
        {"conditions": [when(1, "Admitted"), when(3, "Finished")],
         "admission": {"podSetAssignments": [{"resourceUsage": {"nvidia.com/gpu": "8"}}]}},
    ),
    "PyTorchJob": thing(
        "PyTorchJob", "j",
        {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": pod(2)},
                                 "Worker": {"replicas": 3, "template": pod(2)}}},
        {"startTime": clock(0), "completionTime": clock(3),
         "conditions": [when(1, "Running", "False"), when(3, "Succeeded")]},
    ),
    "MPIJob": thing(
        "MPIJob", "j",
        {"mpiReplicaSpecs": {"Launcher": {"template": pod(0)}, "Worker": {
            "replicas": 2, "template": pod(4, "huawei.com/Ascend910")}}},
        {"startTime": clock(1), "completionTime": clock(3)},
    ),
    "Volcano": thing(
        "Job", "j", {"queue": "q", "tasks": [{"replicas": 2, "template": pod(4)}]},
        {"state": {"phase": "Completed", "lastTransitionTime": clock(3)},
         "conditions": [{"status": "Running", "lastTransitionTime": clock(1)}]},
        "batch.volcano.sh/v1alpha1",
    ),
    "RayJob": thing(
        "RayJob", "j",
        {"rayClusterSpec": {"headGroupSpec": {"template": pod(0)}, "workerGroupSpecs": [
            {"replicas": 1, "numOfHosts": 2, "template": pod(4)}]}},
        {"jobStatus": "STOPPED", "startTime": clock(1), "endTime": clock(3)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path: Path, kind: str) -> None:
    log = read(tmp_path, KINDS[kind], thing("Service", "s", {}, {}))
    assert log.jobs["job_id"].tolist() == ["t/j"]
    assert log.jobs["n_accelerators"].tolist() == [8]
    assert log.jobs["duration_s"].tolist() == [7200]
    assert log.jobs["start_s"].tolist() == [3600]
    assert log.left_out_table()["reason"].tolist() == ["noise"]


def test_earlier_runs_of_a_workload_count(tmp_path: Path) -> None:
    status = {**KINDS["Workload"]["status"], "accumulatedPastExexcutionTimeSeconds": 100}
    log = read(tmp_path, thing("Workload", "w", WORKLOAD, status))
    assert log.jobs["duration_s"].tolist() == [7300]


def test_what_is_no_job(tmp_path: Path) -> None:
    job = KINDS["Job"]
    log = read(
        tmp_path,
        job,
        thing("Job", "waits", {"suspend": True, "template": pod()}, {"conditions": []}),
        thing("Job", "runs", {"template": pod()}, {"startTime": clock(1)}),
        thing("Job", "cpu", {"template": pod(0)}, job["status"]),
        thing("RayJob", "elsewhere", {"clusterSelector": {"a": "b"}}, KINDS["RayJob"]["status"]),
    )
    table = log.left_out_table()
    assert dict(zip(table["row"], table["reason"], strict=True)) == {
        "t/waits": "never_started",
        "t/runs": "still_running",
        "t/cpu": "no_accelerator",
        "t/elsewhere": "size_not_recorded",
    }


def ran(name: str, job: str | None, start: float, end: float, gpus: int = 8) -> dict[str, Any]:
    state = {"terminated": {"startedAt": clock(start), "finishedAt": clock(end)}}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "m", "state": state}]}
    found = thing("Pod", name, pod(gpus)["spec"], status)
    if job is not None:
        found["metadata"]["labels"] = {"batch.kubernetes.io/job-name": job}
    return found


def test_pods_at_one_time_are_a_gang_and_one_after_another_runs(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        ran("g-0", "g", 1, 3),
        ran("g-1", "g", 1, 3),
        ran("g-launcher", "g", 1, 3, gpus=0),
        ran("r-0", "r", 1, 2),
        ran("r-1", "r", 2, 4),
        ran("alone", None, 1, 2),
    )
    jobs = log.jobs.set_index("job_id")
    assert jobs["n_accelerators"].to_dict() == {"t/g": 16, "t/r": 8, "t/alone": 8}
    assert jobs["duration_s"].to_dict() == {"t/g": 7200, "t/r": 10800, "t/alone": 3600}
    assert log.left_out_table()["reason"].tolist() == ["merged"] * 3


def test_rays_own_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ray.json"
    entry = {"type": "SUBMISSION", "entrypoint": "python t.py", "runtime_env": {}, "start_time": 1}
    path.write_text(json.dumps([entry]))
    with pytest.raises(InputError, match="does not tell the number of GPUs"):
        read_jobs(path)
    path.write_text("[JobDetails(type=<JobType.SUBMISSION>, job_id='02')]\n")
    with pytest.raises(InputError, match="kubectl get rayjobs"):
        read_jobs(path, time_zone="UTC")
