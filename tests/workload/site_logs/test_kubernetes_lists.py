"""Lists of Kubernetes objects in YAML and of several kinds, and jobs that ran several times."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim.errors import InputError
from clustersim.workload import read_jobs

CREATED, BEGAN, ENDED = (f"2025-03-01T{time}:00Z" for time in ("10:00", "10:05", "11:05"))
TEMPLATE = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]}}


def thing(kind: str, api: str, spec: dict[str, Any], status: dict[str, Any], **meta: Any) -> Any:
    own = {"name": "j", "namespace": "t", "uid": f"u-{kind}", "creationTimestamp": CREATED}
    return {"apiVersion": api, "kind": kind, "metadata": own | meta, "spec": spec, "status": status}


def when(kind: str, time: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": time, **more}


JOB = thing(
    "Job", "batch/v1", {"parallelism": 2, "template": TEMPLATE},
    {"startTime": BEGAN, "completionTime": ENDED},
)  # fmt: skip
WORKLOAD = thing(
    "Workload", "kueue.x-k8s.io/v1beta1",
    {"podSets": [{"name": "main", "count": 2, "template": TEMPLATE}]},
    {"conditions": [when("QuotaReserved", BEGAN), when("Admitted", BEGAN),
                    when("Finished", ENDED)]},
    name="job-j", ownerReferences=[{"kind": "Job", "name": "j", "uid": "u-Job"}],
)  # fmt: skip
POD = thing(
    "Pod", "v1", TEMPLATE["spec"],
    {"phase": "Succeeded", "containerStatuses": [
        {"state": {"terminated": {"startedAt": BEGAN, "finishedAt": ENDED}}}]},
    name="j-x7", ownerReferences=[{"kind": "Job", "name": "j", "uid": "u-Job"}],
)  # fmt: skip


def read(tmp_path: Path, *items: Any, text: str | None = None) -> Any:
    path = tmp_path / "list.txt"
    path.write_text(text or json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return read_jobs(path)


def expect(log: Any, *names: str, run_s: float = 3600.0) -> None:
    assert log.jobs["job_id"].tolist() == list(names)
    assert log.jobs["n_accelerators"].tolist() == [8] * len(names)
    assert log.jobs["duration_s"].tolist() == [run_s] * len(names)


def test_yaml(tmp_path: Path) -> None:
    """A list, documents one after another, and times without quotes are the same."""
    yaml = YAML()
    text = io.StringIO()
    yaml.dump({"apiVersion": "v1", "items": [JOB], "kind": "List"}, text)
    expect(read(tmp_path, text=f"[ops@login ~]$ kubectl get job -o yaml\n{text.getvalue()}"), "t/j")
    assert f"'{CREATED}'" in text.getvalue()
    expect(read(tmp_path, text=text.getvalue().replace("'2025", "2025").replace("Z'", "Z")), "t/j")
    one, two = io.StringIO(), io.StringIO()
    yaml.dump(JOB, one)
    yaml.dump({**JOB, "metadata": {**JOB["metadata"], "name": "k"}}, two)
    expect(read(tmp_path, text=f"{one.getvalue()}---\n{two.getvalue()}"), "t/j", "t/k")
    with pytest.raises(InputError, match="no complete YAML"):
        read(tmp_path, text=text.getvalue() + "more: [1,\n")


def test_a_job_counts_once_whatever_else_is_listed(tmp_path: Path) -> None:
    log = read(tmp_path, JOB, POD)
    expect(log, "t/j")
    assert log.left_out_table()["reason"].tolist() == ["merged"]
    log = read(tmp_path, JOB, WORKLOAD, POD)
    expect(log, "t/job-j")
    assert log.left_out_table()["reason"].tolist() == ["merged", "merged"]


def test_other_kinds_are_named(tmp_path: Path) -> None:
    log = read(tmp_path, JOB, thing("RayCluster", "ray.io/v1", {}, {}))
    assert "1 RayCluster" in " ".join(log.notes)
    with pytest.raises(InputError, match="objects of kind RayCluster are not read"):
        read(tmp_path, thing("RayCluster", "ray.io/v1", {}, {}))


def test_a_workload_that_has_lost_its_admission(tmp_path: Path) -> None:
    """It ran for the time in which it was admitted, which Kueue adds up."""
    status = {
        "accumulatedPastExecutionTimeSeconds": 3600,
        "conditions": [when("QuotaReserved", ENDED, "False"), when("Admitted", ENDED, "False"),
                       when("Finished", ENDED)],
    }  # fmt: skip
    expect(read(tmp_path, {**WORKLOAD, "status": status}), "t/job-j")
    status["conditions"][2] = when("Evicted", ENDED, reason="Deactivated")
    spec = {**WORKLOAD["spec"], "active": False}
    expect(read(tmp_path, {**WORKLOAD, "spec": spec, "status": status}), "t/job-j")
    with pytest.raises(InputError, match="never started"):
        read(tmp_path, {**WORKLOAD, "status": status})


def test_quota_alone_is_no_start_while_checks_are_open(tmp_path: Path) -> None:
    status = {
        "admissionChecks": [{"name": "prov", "state": "Pending"}],
        "conditions": [when("QuotaReserved", BEGAN)],
    }
    log = read(tmp_path, JOB, {**WORKLOAD, "metadata": {**WORKLOAD["metadata"],
               "ownerReferences": []}, "status": status})  # fmt: skip
    assert log.left_out_table()["reason"].tolist() == ["never_started"]


def test_train_job(tmp_path: Path) -> None:
    trainer = {"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": "4"}}}
    status = {"conditions": [when("Suspended", BEGAN, "False"), when("Complete", ENDED)]}
    api = "trainer.kubeflow.org/v1alpha1"
    expect(read(tmp_path, thing("TrainJob", api, {"trainer": trainer}, status)), "t/j")
    by_runtime = thing("TrainJob", api, {"trainer": {"numNodes": 2}}, status, name="k")
    log = read(tmp_path, JOB, by_runtime)
    assert log.left_out_table()["reason"].tolist() == ["size_not_recorded"]


def test_runs_of_a_volcano_job_are_added_up(tmp_path: Path) -> None:
    """Twenty minutes, a restart, and forty minutes until it is completed."""
    phases = [("Pending", "10:00"), ("Running", "10:05"), ("Restarting", "10:25"),
              ("Pending", "10:26"), ("Running", "10:45"), ("Completing", "11:24"),
              ("Completed", "11:25")]  # fmt: skip
    conditions = [
        {"status": phase, "lastTransitionTime": f"2025-03-01T{time}:00Z"} for phase, time in phases
    ]
    spec = {"tasks": [{"replicas": 2, "template": TEMPLATE}]}
    state = {"phase": "Completed", "lastTransitionTime": "2025-03-01T11:25:00Z"}
    status = {"conditions": conditions, "state": state}
    log = read(tmp_path, thing("Job", "batch.volcano.sh/v1alpha1", spec, status))
    expect(log, "t/j")
    assert log.jobs["start_s"].tolist() == [300]
