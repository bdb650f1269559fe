"""Workloads of Kueue that were evicted and admitted again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.validation.recorded import most_in_use, recorded_starts
from clustersim.workload import JobLog, read_jobs


def clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"2025-01-01T{minutes // 60:02}:{minutes % 60:02}:00Z"


def when(hours: float, kind: str, reason: str = "", status: str = "True") -> dict[str, Any]:
    time = clock(hours)
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": time}


def evicted(**counts: int) -> dict[str, Any]:
    found = [{"reason": reason, "count": count} for reason, count in counts.items()]
    return {"schedulingStats": {"evictions": found}}


def workload(
    name: str,
    *conditions: dict[str, Any],
    past_h: float | None = None,
    active: bool = True,
    **status: Any,
) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "8"}
    template = {"spec": {"containers": [{"name": "m", "resources": {"limits": limits}}]}}
    if past_h is not None:
        status["accumulatedPastExexcutionTimeSeconds"] = round(past_h * 3600)
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Workload",
        "metadata": {"name": name, "namespace": "t", "creationTimestamp": clock(0)},
        "spec": {"active": active, "podSets": [{"count": 1, "template": template}]},
        "status": {"conditions": list(conditions), **status},
    }


def again(requeued_h: float, reason: str = "Preempted") -> tuple[dict[str, Any], ...]:
    """Return the conditions of a Workload that was admitted again at 5 h and ended at 6 h."""
    return (
        when(5, "QuotaReserved", "QuotaReserved"),
        when(5, "Evicted", "QuotaReserved", "False"),
        when(5, "Preempted", "QuotaReserved", "False"),
        when(requeued_h, "Requeued", reason),
        when(5, "Admitted", "Admitted"),
        when(6, "Finished", "Succeeded"),
    )


def read(tmp_path: Path, *items: dict[str, Any]) -> JobLog:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))
    return read_jobs(path)


def test_of_one_eviction_both_runs_follow(tmp_path: Path) -> None:
    """Admitted from 1 h to 3 h, evicted, and admitted from 5 h to 6 h."""
    log = read(tmp_path, workload("w", *again(3), past_h=2, **evicted(Preempted=1)))
    (job,) = log.jobs.to_dict("records")
    assert (job["submit_s"], job["start_s"], job["duration_s"]) == (0, 3600, 10800)
    assert job["runs_s"] == "0-7200 14400-18000"
    assert any(note.startswith("1 Workload of Kueue was evicted") for note in log.notes)
    assert "assumed" not in " ".join(log.notes)


def test_an_evicted_workload_claims_nothing_while_it_waits(tmp_path: Path) -> None:
    """Two others run while it waits, and one after its end: never more than 16 at once."""
    others = [
        workload("a", when(3, "Admitted"), when(5, "Finished")),
        workload("b", when(3, "Admitted"), when(5, "Finished")),
        workload("c", when(6, "Admitted"), when(8, "Finished")),
        workload("d", when(6, "Admitted"), when(8, "Finished")),
    ]
    for stats in (evicted(Preempted=1), evicted(Preempted=2)):
        log = read(tmp_path, *others, workload("w", *again(3), past_h=2, **stats))
        assert most_in_use(log.jobs, recorded_starts(log.jobs)) == 16


def test_without_a_number_of_evictions_one_is_assumed(tmp_path: Path) -> None:
    log = read(tmp_path, workload("w", *again(3), past_h=2))
    assert log.jobs["start_s"].tolist() == [3600]
    assert any("1 of them do not tell how often" in note for note in log.notes)


SEVERAL = {
    "counted": workload("w", *again(3), past_h=2, **evicted(Preempted=1, PodsReadyTimeout=1)),
    "back-offs": workload("w", *again(3), past_h=2, requeueState={"count": 2}),
    "a back-off and a preemption": workload("w", *again(3), past_h=2, requeueState={"count": 1}),
    "more than since the submission": workload("w", *again(1.5), past_h=2),
    "an overlap": workload("w", *again(5.5), past_h=2),
    "the time of a restart": workload("w", *again(4, "ClusterQueueRestarted"), past_h=2),
    "only conditions that were reset": workload("w", *again(3)[:3], *again(3)[4:], past_h=2),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_a_first_start_that_cannot_be_told_is_not_recorded(tmp_path: Path, case: str) -> None:
    log = read(tmp_path, SEVERAL[case], workload("once", when(1, "Admitted"), when(2, "Finished")))
    jobs = log.jobs.set_index("job_id")
    assert jobs.loc["t/w", "duration_s"] == 10800
    assert jobs["start_s"].isna().tolist() == [True, False]
    assert jobs.loc["t/once", "start_s"] == 3600
    assert any(note.startswith("1 job was stopped and started again more") for note in log.notes)


def test_deactivated_workloads(tmp_path: Path) -> None:
    """One ran from 1 h to 3 h; another ran 2 h in two runs; a third has lost its admission."""
    ends = (when(3, "Evicted", "Deactivated"), when(3, "Admitted", "NoReservation", "False"))
    log = read(
        tmp_path,
        workload("one", *ends, past_h=2, active=False, **evicted(Deactivated=1)),
        workload("two", *ends, past_h=2, active=False, **evicted(Deactivated=1, Preempted=1)),
        workload("lost", *ends, when(6, "Finished"), past_h=2),
    )
    jobs = log.jobs.set_index("job_id")
    assert jobs["duration_s"].tolist() == [7200] * 3
    assert jobs["start_s"].fillna(-1).to_dict() == {"t/one": 3600, "t/two": -1, "t/lost": 3600}


def test_a_workload_that_was_evicted_and_finished_ran_before_the_eviction(tmp_path: Path) -> None:
    """It ran for half an hour until 3 h, was evicted, and finished at 4 h without running again."""
    ends = (when(3, "Evicted", "Preempted"), when(4, "Finished", "Failed"))
    log = read(tmp_path, workload("w", *ends, past_h=0.5, **evicted(Preempted=1)))
    assert log.jobs[["start_s", "duration_s"]].to_numpy().tolist() == [[2.5 * 3600, 1800]]


def test_an_older_record_of_an_evicted_workload_is_a_copy(tmp_path: Path) -> None:
    """Two exports: one while it first ran, and one at its end."""
    before = workload("w", when(1, "Admitted"))
    log = read(tmp_path, before, workload("w", *again(3), past_h=2, **evicted(Preempted=1)))
    assert log.jobs["runs_s"].tolist() == ["0-7200 14400-18000"]
    assert log.left_out_table()["reason"].tolist() == ["duplicate"]


def test_runs_of_a_volcano_job(tmp_path: Path) -> None:
    steps = [("Running", 1), ("Restarting", 2), ("Running", 4), ("Completed", 6)]
    status = {
        "state": {"phase": "Completed", "lastTransitionTime": clock(6)},
        "conditions": [{"status": name, "lastTransitionTime": clock(at)} for name, at in steps],
    }
    template = workload("v")["spec"]["podSets"][0]["template"]
    job = {
        **workload("v"),
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "spec": {"tasks": [{"replicas": 1, "template": template}]},
        "status": status,
    }
    found = read(tmp_path, job).jobs
    assert found[["start_s", "duration_s"]].to_numpy().tolist() == [[3600, 10800]]
    assert found["runs_s"].tolist() == ["0-3600 10800-18000"]


@pytest.mark.parametrize("usage", [{"nvidia.com/gpu": "24"}, {}, {"example.com/credits": "240"}])
def test_partial_admission_runs_with_the_pods_that_were_admitted(
    tmp_path: Path, usage: dict[str, str]
) -> None:
    """Four pods of 8 are asked for, three admitted; what they use may be missing or transformed."""
    admitted = [{"name": "main", "count": 3, "resourceUsage": usage}]
    item = workload(
        "w", when(1, "Admitted"), when(2, "Finished"), admission={"podSetAssignments": admitted}
    )
    item["spec"]["podSets"][0] |= {"name": "main", "count": 4, "minCount": 2}
    assert read(tmp_path, item).jobs["n_accelerators"].tolist() == [24]


def test_users_are_namespaces_where_objects_name_none(tmp_path: Path) -> None:
    ran = (when(1, "Admitted"), when(2, "Finished"))
    items = [workload(name, *ran) for name in "abc"]
    for item, namespace in zip(items, ("vision", "speech", "speech"), strict=True):
        item["metadata"]["namespace"] = namespace
        item["spec"]["queueName"] = "lq"
    items[2]["metadata"]["labels"] = {"owner": "ann"}
    log = read(tmp_path, *items)
    assert log.jobs.set_index("job_id")["user"].to_dict() == {
        "vision/a": "vision", "speech/b": "speech", "speech/c": "ann"
    }  # fmt: skip
    assert "users are namespaces: 2 jobs name no user in a label or an annotation" in log.notes
    several = (
        "LocalQueues of the same name in several namespaces (lq) count as one partition, unless "
        "the topology has them as NAMESPACE/NAME"
    )
    assert several in log.notes


def test_a_workload_has_the_user_of_its_job(tmp_path: Path) -> None:
    found = workload("w", when(1, "Admitted"), when(2, "Finished"))
    found["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": "u-1"}]
    job = {"kind": "Job", "metadata": {"name": "j", "namespace": "t", "uid": "u-1",
           "labels": {"user": "ann"}}, "spec": {}, "status": {}}  # fmt: skip
    log = read(tmp_path, found, job)
    assert log.jobs[["job_id", "user"]].to_numpy().tolist() == [["t/w", "ann"]]
    assert not any("namespace" in note for note in log.notes)


def test_the_priority_class_of_both_versions(tmp_path: Path) -> None:
    ran = (when(1, "Admitted"), when(2, "Finished"))
    first, second = workload("a", *ran), workload("b", *ran)
    first["spec"]["priorityClassName"] = "low"
    second["spec"]["priorityClassRef"] = {"kind": "WorkloadPriorityClass", "name": "high"}
    assert read(tmp_path, first, second).jobs["qos"].tolist() == ["low", "high"]


def test_an_eviction_of_unknown_length_is_said(tmp_path: Path) -> None:
    """Kueue of earlier versions does not keep how long a Workload had run before."""
    log = read(tmp_path, workload("w", *again(3)))
    assert log.jobs["duration_s"].tolist() == [3600.0]
    assert any("does not say how long they had run" in note for note in log.notes)
    plain = read(tmp_path, workload("w", when(5, "Admitted"), when(6, "Finished")))
    assert not any("evicted" in note for note in plain.notes)
