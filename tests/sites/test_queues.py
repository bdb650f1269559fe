"""Running and waiting jobs from small outputs of each command, with counts worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.forecasting.snapshot import snapshot_of
from clustersim.sites import read_queue
from clustersim.sites.queue import QueueState
from clustersim.sites.slurm_queue import SQUEUE_FORMAT

ROOT = Path(__file__).parents[2]

BARS = """\
JOBID|PARTITION|USER|STATE|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME_LEFT|NODES|TRES_PER_NODE|NODELIST(REASON)
11|h100|ann|RUNNING|2025-05-12T05:00:00|2025-05-12T06:00:00|1-00:00:00|18:00:00|2|gres/gpu:h100:8|g[1-2]
12_[2-20:6%3]|h100|bob|PENDING|2025-05-12T07:00:00|N/A|UNLIMITED|UNLIMITED|1|gres:gpu:4|(Resources)
13|cpu|ann|RUNNING|2025-05-12T05:00:00|2025-05-12T05:00:00|1:00:00|INVALID|1|N/A|c1
14|h100|bob|COMPLETING|2025-05-12T05:00:00|2025-05-12T05:00:00|1:00:00|0:10|1|gpu:1|g1
"""
LONG = """\
Mon May 12 12:00:00 2025
             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)
                21     debug my first      ann  RUNNING    1:00:00   2:00:00      1 g1
                22     debug     wrap      ann  PENDING       0:00   2:00:00      1 (Nodes are down)
"""
QSTAT = """\
Job Id: 101.pbs
    Job_Name = train
    Job_Owner = ann@login.site
    job_state = R
    queue = gpu
    qtime = Mon May 12 05:00:00 2025
    stime = Mon May 12 06:00:00 2025
    resources_used.walltime = 02:00:00
    Resource_List.select = 2:ncpus=16:ngpus=4+1:ncpus=8
    Resource_List.walltime = 24:00:00
    Variable_List = PBS_O_HOME=/home/ann,PBS_O_LANG=en_GB.UTF-8,
\tPBS_O_LOGNAME=ann,PBS_O_PATH=/usr/bin

Job Id: 102[].pbs
    Job_Owner = bob@login.site
    job_state = B
    queue = gpu
    qtime = Mon May 12 05:30:00 2025
    Resource_List.ngpus = 2
    Resource_List.walltime = 3600
    array_indices_remaining = 3-5

Job Id: 103.pbs
    Job_Owner = bob@login.site
    job_state = H
    queue = gpu
    Hold_Types = u
    Resource_List.nodes = 2:ppn=16:gpus=2

Job Id: 104.pbs
    job_state = F
"""


def read(tmp_path: Path, text: str, name: str = "queue.txt", **options: Any) -> QueueState:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_queue(path, **options)


def test_squeue_with_bars(tmp_path: Path) -> None:
    state = read(tmp_path, BARS, time_zone="Europe/Berlin")
    assert [job.n_accelerators for job in state.running] == [16, 0]
    (array,) = state.waiting
    assert (array.tasks, array.n_accelerators, array.array, array.array_limit) == (4, 4, "12", 3)
    assert array.time_limit_s is None
    document = state.document()
    assert document["taken_at"] == "2025-05-12T10:00:00Z"
    assert document["running"][0]["elapsed_s"] == 6 * 3600.0
    assert document["running"][1]["elapsed_s"] == 7 * 3600.0
    assert document["left_out"] == [{"row": "14", "reason": "completing"}]
    assert document["accelerators_waiting"] == 16


def test_a_job_that_waits_in_several_partitions_has_them_all(tmp_path: Path) -> None:
    header = "JOBID|PARTITION|STATE|TIME|NODES|TRES_PER_NODE"
    table = f"{header}\n1|h100|RUNNING|1:00|1|gres/gpu:8\n2|h100,a100|PENDING|0:00|1|gres/gpu:8\n"
    record = "JobId=2 JobState=PENDING Partition=h100,a100 NumNodes=1 ReqTRES=gres/gpu=8\n"
    job = {"job_id": 2, "job_state": ["PENDING"], "partition": "h100,a100", "tres_req_str": ""}
    for text in (table, record, json.dumps({"jobs": [job]})):
        path = tmp_path / "queue.txt"
        path.write_text(text, encoding="utf-8")
        assert [each.partition for each in read_queue(path).waiting] == ["h100,a100"]


def test_squeue_long_has_a_date_and_names_with_blanks(tmp_path: Path) -> None:
    state = read(tmp_path, LONG, time_zone="UTC")
    assert state.document()["taken_at"] == "2025-05-12T12:00:00Z"
    assert state.document()["running"][0]["start"] == "2025-05-12T11:00:00Z"
    assert [job.n_accelerators for job in state.jobs] == [None, None]
    assert state.waiting[0].reason == "Nodes are down"
    assumed = read(tmp_path, LONG, gpus_per_node=8)
    assert [job.n_accelerators for job in assumed.jobs] == [8, 8]


def test_without_a_zone_only_differences_are_told(tmp_path: Path) -> None:
    state = read(tmp_path, BARS)
    assert state.document()["taken_at"] == "2025-05-12T12:00:00"
    assert state.running[0].elapsed_s == 6 * 3600.0


def job_json(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "job_id": number, "job_state": ["PENDING"], "partition": "h100", "user_name": "ann",
        "node_count": {"set": True, "infinite": False, "number": 2},
        "time_limit": {"set": True, "infinite": False, "number": 60},
        "submit_time": {"set": True, "infinite": False, "number": 1747000000},
        "tres_req_str": "cpu=8,node=2,gres/gpu=16", "tres_alloc_str": None,
        "tres_per_node": "gres/gpu:h100:8", "state_reason": "Priority", **changes,
    }  # fmt: skip


def test_squeue_json_of_new_and_old_versions(tmp_path: Path) -> None:
    new = [
        job_json(1),
        job_json(2, array_job_id={"set": True, "number": 2}, array_task_string="5-10%2"),
        job_json(3, job_state=["RUNNING"], start_time={"set": True, "number": 1747003600},
                 tres_alloc_str="cpu=8,gres/gpu=16,gres/gpu:h100=16"),
        job_json(4, job_state=["COMPLETED"]),
        job_json(5, hold=True),
        job_json(6, dependency="afterok:3(unfulfilled)", state_reason="Dependency"),
    ]  # fmt: skip
    text = json.dumps({"jobs": new, "last_update": {"set": True, "number": 1747007200}})
    state = read(tmp_path, text, "new.json")
    assert [(job.job_id, job.tasks) for job in state.waiting] == [
        ("1", 1), ("2_[5-10%2]", 6), ("5", 1), ("6", 1),
    ]  # fmt: skip
    assert [job.n_accelerators for job in state.jobs] == [16] * 5
    assert state.running[0].elapsed_s == 3600.0
    assert state.waiting[2].held == "held"
    assert (state.waiting[3].depends_on, state.waiting[3].held) == (("3",), "")
    old = {"job_id": 9, "job_state": "RUNNING", "partition": "p", "time_limit": 120,
           "submit_time": 1747000000, "start_time": 1747000060, "node_count": 1,
           "tres_req_str": "cpu=1,gres/gpu=2", "user_name": "ann"}  # fmt: skip
    (job,) = read(tmp_path, json.dumps({"jobs": [old]}), "old.json").running
    assert (job.n_accelerators, job.time_limit_s) == (2, 7200.0)


def test_the_documented_format_of_squeue_has_dependencies(tmp_path: Path) -> None:
    assert f'-o "{SQUEUE_FORMAT}"' in (ROOT / "docs" / "forecast.md").read_text()
    head = "JOBID|STATE|TIME_LIMIT|NODES|TRES_PER_NODE|DEPENDENCY|PRIORITY|NODELIST(REASON)\n"
    rows = [
        "5|PENDING|1:00:00|1|gres/gpu:8|afterany:3_*(unfulfilled),afterok:4(unfulfilled)|9|"
        "(Dependency)",
        "6|PENDING|1:00:00|1|gres/gpu:8|afterok:4(failed)|9|(DependencyNeverSatisfied)",
        "7|PENDING|1:00:00|1|gres/gpu:8|(null)|9|(Priority)",
        "8_[31%4]|PENDING|1:00:00|1|gres/gpu:8|(null)|9|(JobArrayTaskLimit)",
    ]
    state = read(tmp_path, head + "\n".join(rows) + "\n")
    assert [(job.depends_on, job.after_job) for job in state.waiting] == [
        (("3", "4"), True), (("4",), False), ((), False), ((), False),
    ]  # fmt: skip
    assert [job.held for job in state.waiting] == ["", "DependencyNeverSatisfied", "", ""]
    assert snapshot_of(state).waiting["job_id"].tolist() == ["5", "6", "7", "8_31"]
    without = head.replace("DEPENDENCY|", "") + "5|PENDING|1:00:00|1|gres/gpu:8|9|(Dependency)\n"
    (job,) = read(tmp_path, without, "without.txt").waiting
    assert (job.held, job.after_job) == ("", True)


def test_scontrol_show_job(tmp_path: Path) -> None:
    text = """\
JobId=31 ArrayJobId=30 ArrayTaskId=1-4%2 JobName=a b=c
   UserId=ann(1001) GroupId=g(1) QOS=normal
   JobState=PENDING Reason=Resources Dependency=(null)
   RunTime=00:00:00 TimeLimit=1-00:00:00 TimeMin=N/A
   SubmitTime=2025-05-12T05:00:00 StartTime=Unknown
   Partition=h100 NumNodes=1-1 NumCPUs=8
   ReqTRES=cpu=8,node=1,gres/gpu=4 AllocTRES=(null)
"""
    (job,) = read(tmp_path, text).waiting
    assert (job.job_id, job.tasks, job.n_accelerators) == ("30_[1-4%2]", 4, 4)
    assert (job.user, job.partition, job.array_limit) == ("ann", "h100", 2)


def test_qstat(tmp_path: Path) -> None:
    state = read(tmp_path, QSTAT, time_zone="UTC")
    (running,) = state.running
    assert (running.n_accelerators, running.elapsed_s, running.user) == (8, 7200.0, "ann")
    assert [(job.job_id, job.tasks, job.n_accelerators) for job in state.waiting] == [
        ("102[].pbs", 3, 2),
        ("103.pbs", 1, 4),
    ]
    assert state.waiting[1].held == "held"
    assert state.waiting[0].time_limit_s == 3600.0
    assert state.document()["taken_at"] == "2025-05-12T08:00:00Z"
    assert state.left_out == (("104.pbs", "finished"),)


def pod_spec(gpus: int) -> dict[str, Any]:
    return {"containers": [{"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}]}


def meta(name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": "team", "creationTimestamp": "2025-05-12T05:00:00Z",
            "labels": labels}  # fmt: skip


def kubectl(tmp_path: Path, *items: dict[str, Any]) -> QueueState:
    return read(tmp_path, json.dumps({"kind": "List", "items": list(items)}), "list.json")


def test_kueue_workloads_come_before_the_jobs_in_the_same_list(tmp_path: Path) -> None:
    def workload(name: str, *conditions: str, **spec: Any) -> dict[str, Any]:
        return {
            "kind": "Workload",
            "metadata": meta(name, user="ann"),
            "spec": {
                "queueName": "team-a",
                "priority": 10,
                "podSets": [
                    {"count": 1, "template": {"spec": pod_spec(0)}},
                    {"count": 4, "template": {"spec": pod_spec(8)}},
                ],
                **spec,
            },
            "status": {
                "conditions": [
                    {"type": each, "status": "True", "lastTransitionTime": "2025-05-12T06:00:00Z"}
                    for each in conditions
                ]
            },
        }

    state = kubectl(
        tmp_path,
        workload("a", "QuotaReserved", "Admitted"),
        workload("b"),
        workload("c", "Finished"),
        workload("d", active=False),
        {"kind": "Job", "metadata": meta("a"), "spec": {"template": {"spec": pod_spec(8)}}},
    )
    assert [(job.job_id, job.n_accelerators) for job in state.running] == [("team/a", 32)]
    assert [(job.job_id, job.partition, job.user) for job in state.waiting] == [
        ("team/b", "team-a", "ann")
    ]
    assert state.left_out == (
        ("team/c", "finished"),
        ("team/d", "deactivated (spec.active: false)"),
    )
    assert not any("namespace" in note for note in state.notes)


def test_what_kueue_admitted_is_what_runs(tmp_path: Path) -> None:
    """Three of four pods of 8 were admitted; one has ended, so two hold accelerators now."""
    template = {"spec": pod_spec(8)}
    sets = [{"name": "main", "count": 4, "template": template}]
    admission = {
        "clusterQueue": "cq",
        "podSetAssignments": [
            {"name": "main", "count": 3, "flavors": {"cpu": "any", "nvidia.com/gpu": "h100"},
             "resourceUsage": {"cpu": "12", "nvidia.com/gpu": "24"}},
        ],
    }  # fmt: skip
    runs = [{"type": "Admitted", "status": "True", "lastTransitionTime": "2025-05-12T06:00:00Z"}]
    spec = {"queueName": "lq", "podSets": sets}
    status = {"admission": admission, "conditions": runs}
    over = {"reclaimablePods": [{"name": "main", "count": 1}]}
    state = kubectl(
        tmp_path,
        {"kind": "Workload", "metadata": meta("a"), "spec": spec, "status": status},
        {"kind": "Workload", "metadata": meta("b"), "spec": spec, "status": {**status, **over}},
        {"kind": "Workload", "metadata": meta("c"), "spec": spec, "status": {}},
    )
    assert [(job.n_accelerators, job.flavor) for job in state.jobs] == [
        (24, "h100"), (16, "h100"), (32, "")
    ]  # fmt: skip


def test_users_are_namespaces_where_objects_name_none(tmp_path: Path) -> None:
    def workload(name: str, namespace: str, **annotations: str) -> dict[str, Any]:
        template = {"spec": pod_spec(8)}
        about = {**meta(name), "namespace": namespace, "annotations": annotations}
        spec = {"queueName": "lq", "podSets": [{"count": 1, "template": template}]}
        return {"kind": "Workload", "metadata": about, "spec": spec, "status": {}}

    state = kubectl(tmp_path, workload("a", "vision"), workload("b", "speech", owner="ann"))
    assert [(job.job_id, job.user) for job in state.waiting] == [
        ("vision/a", "vision"),
        ("speech/b", "ann"),
    ]
    users, queues = state.notes[:2]
    assert users == "users are namespaces: 1 job names no user in a label or an annotation"
    assert queues == (
        "LocalQueues of the same name in several namespaces (lq) count as one partition, unless "
        "the topology has them as NAMESPACE/NAME"
    )


def test_jobs_of_several_kinds_and_their_states(tmp_path: Path) -> None:
    def job(name: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
        whole = {"parallelism": 4, "template": {"spec": pod_spec(2)}, **spec}
        return {"kind": "Job", "metadata": meta(name), "spec": whole, "status": status}

    replicas = {"Master": {"replicas": 1, "template": {"spec": pod_spec(8)}},
                "Worker": {"replicas": 3, "template": {"spec": pod_spec(8)}}}  # fmt: skip
    torch = {
        "kind": "PyTorchJob",
        "metadata": meta("torch"),
        "spec": {"pytorchReplicaSpecs": replicas},
        "status": {"conditions": [{"type": "Running", "status": "True"}],
                   "startTime": "2025-05-12T06:00:00Z"},
    }  # fmt: skip
    state = kubectl(
        tmp_path,
        job("runs", {"active": 4, "ready": 4, "startTime": "2025-05-12T06:00:00Z"}),
        job("pends", {"active": 4, "ready": 0, "startTime": "2025-05-12T06:00:00Z"}),
        job("suspended", {}, suspend=True, completions=2),
        job("over", {"conditions": [{"type": "Failed", "status": "True"}]}),
        torch,
    )
    assert {job.job_id: job.n_accelerators for job in state.running} == {
        "team/runs": 8,
        "team/torch": 32,
    }
    assert {job.job_id: job.n_accelerators for job in state.waiting} == {
        "team/pends": 8,
        "team/suspended": 4,
    }


def test_pods_of_a_gang_are_one_job(tmp_path: Path) -> None:
    def pod(name: str, phase: str, gang: str) -> dict[str, Any]:
        labels = {"batch.kubernetes.io/job-name": gang} if gang else {}
        status = {"phase": phase, "startTime": "2025-05-12T06:00:00Z"}
        return {"kind": "Pod", "metadata": {**meta(name), "labels": labels}, "spec": pod_spec(4),
                "status": status}  # fmt: skip

    state = kubectl(
        tmp_path,
        pod("a-0", "Running", "a"), pod("a-1", "Running", "a"), pod("b-0", "Running", "b"),
        pod("b-1", "Pending", "b"), pod("single", "Pending", ""), pod("done", "Succeeded", ""),
    )  # fmt: skip
    assert [(job.job_id, job.n_accelerators) for job in state.running] == [("team/a", 8)]
    assert [(job.job_id, job.n_accelerators) for job in state.waiting] == [
        ("team/b", 8),
        ("team/single", 4),
    ]


def test_bjobs(tmp_path: Path) -> None:
    text = """\
JOBID|STAT|QUEUE|USER|GPU_NUM|SUBMIT_TIME|START_TIME|RUN_TIME|RUNTIMELIMIT
41|RUN|gpu|ann|4|May 12 05:00:00 2025|May 12 06:00:00 2025|3600 second(s)|1440
42|PEND|gpu|bob|8|May 12 05:30:00 2025|-|0 second(s)|60
43|PSUSP|gpu|bob|1|May 12 05:30:00 2025|-|0 second(s)|-
"""
    state = read(tmp_path, text, time_zone="UTC")
    assert (state.running[0].n_accelerators, state.running[0].time_limit_s) == (4, 86400.0)
    assert [(job.job_id, job.held) for job in state.waiting] == [("42", ""), ("43", "held")]
    assert state.document()["taken_at"] == "2025-05-12T07:00:00Z"


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ("nothing here\n", {}, "not recognised as a queue"),
        (BARS, {"time_zone": "Europe/Berlni"}, "--time-zone"),
        (BARS, {"taken_at": "yesterday"}, "--taken-at"),
    ],
)
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, text: str, options: dict[str, str], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text, **options)


CONDOR = """\
-- Schedd: submit.site : <10.0.0.1:9618>
ClusterId = 40
ProcId = 0
JobStatus = 2
Owner = "ann"
QDate = 1747026000
JobStartDate = 1747027000
JobCurrentStartDate = 1747029600
RequestGPUs = 4
AllowedExecuteDuration = 86400
JobPrio = 0
ServerTime = 1747033200

ClusterId = 41
ProcId = 0
JobStatus = 1
Owner = "bob"
QDate = 1747030000
RequestGPUs = 1
JobPrio = -5

ClusterId = 42
ProcId = 0
JobStatus = 1
User = "ann@site"
QDate = 1747031000
JobPrio = 3

ClusterId = 43
ProcId = 1
JobStatus = 5
Owner = "bob"
HoldReason = "via condor_hold"
QDate = 1747031500
RequestGPUs = 8
JobPrio = 5

ClusterId = 44
ProcId = 0
JobStatus = 3
Owner = "bob"
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_condor_q(tmp_path: Path, as_json: bool) -> None:
    path = tmp_path / "queue.txt"
    ads = [
        dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
        for block in CONDOR.split("\n\n")
    ]
    plain = [{key: json.loads(value) for key, value in ad.items()} for ad in ads]
    path.write_text(json.dumps(plain) if as_json else CONDOR)
    state = read_queue(path)
    job = state.running[0]
    assert (job.job_id, job.n_accelerators, job.time_limit_s) == ("40.0", 4, 86400.0)
    assert job.elapsed_s == 3600.0  # since the latest start, until ServerTime
    # bob's jobs take the places of bob's submissions, the one of higher JobPrio first.
    assert [each.job_id for each in state.waiting] == ["43.1", "42.0", "41.0"]
    assert [each.n_accelerators for each in state.waiting] == [8, 0, 1]
    assert [each.held for each in state.waiting] == ["held", "", ""]
    assert state.left_out == (("44.0", "removed"),)
    assert state.taken_at is not None
    assert state.taken_at.timestamp() == 1747033200


def test_the_priorities_of_pbs_order_the_queue(tmp_path: Path) -> None:
    from clustersim.forecasting import forecast

    path = tmp_path / "qstat.txt"
    rows = [
        f"Job Id: {number}.pbs\n    job_state = Q\n    queue = gpu\n    Priority = {priority}\n"
        f"    qtime = Mon May 12 0{number}:00:00 2025\n    Resource_List.ngpus = 2\n"
        for number, priority in ((1, 0), (2, 50))
    ]
    path.write_text("\n".join(rows))
    found = forecast(path, accelerators=8, replications=2)
    assert found.jobs["job_id"].tolist() == ["2.pbs", "1.pbs"]
    assert "the queue is in order of priority, then of submission" in found.assumptions
    later = "jobs that arrive later have priorities of the waiting jobs of their users"
    assert f"{later}, and none grows with time" in found.assumptions


def test_times_of_a_queue_that_the_clocks_show_twice_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(BARS.replace("2025-05-12T05", "2025-10-26T02"))
    notes = read_queue(path, time_zone="Europe/Berlin").notes
    (note,) = [note for note in notes if "show twice" in note]
    assert note == (
        "1 time is in an hour that the clocks of Europe/Berlin show twice: the first is assumed"
    )
    assert not [note for note in read_queue(path).notes if "show twice" in note]
