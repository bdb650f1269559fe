"""Outputs of schedulers besides their accounting files, and outputs that tell too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "log.txt"
    path.write_text(text, encoding="utf-8")
    return read_jobs(path, time_zone="UTC")


def jobs_of(log: Any) -> dict[str, list[float]]:
    columns = ["n_accelerators", "duration_s", "start_s"]
    numbers = log.jobs[columns].to_numpy(dtype=float).tolist()
    return dict(zip(log.jobs["job_id"].astype(str), numbers, strict=True))


def reasons(log: Any) -> dict[str, str]:
    table = log.left_out_table()
    return dict(zip(table["row"].astype(str), table["reason"], strict=True))


QSTAT = """\
Job Id: 1.srv
    Job_Owner = a@login
    resources_used.walltime = 01:00:00
    job_state = F
    queue = gpu
    ctime = Sat Mar  1 10:00:00 2025
    exec_vnode = (n1:ncpus=64:ngpus=4)+(n2:ncpus=64:
\tngpus=4)
    mtime = Sat Mar  1 11:05:00 2025
    Resource_List.select = 2:ncpus=64:ngpus=4
    stime = Sat Mar  1 10:05:00 2025
    obittime = Sat Mar  1 11:05:00 2025
    Exit_status = 0

Job Id: 2.srv
    Job_Owner = a@login
    job_state = Q
    ctime = Sat Mar  1 10:00:00 2025
    Resource_List.select = 2:ncpus=64:ngpus=4

Job Id: 3.srv
    Job_Owner = a@login
    job_state = R
    ctime = Sat Mar  1 10:00:00 2025
    stime = Sat Mar  1 10:05:00 2025
    resources_used.walltime = 00:10:00
    Resource_List.select = 1:ncpus=64:ngpus=4

Job Id: 4.srv
    Job_Owner = a@login
    job_state = F
    ctime = Sat Mar  1 10:00:00 2025
    mtime = Sat Mar  1 10:30:00 2025
    stime = Sat Mar  1 10:05:00 2025
    Resource_List.select = 1:ncpus=64:ngpus=4
"""
TORQUE = (
    QSTAT.replace("job_state = F", "job_state = C")
    .replace("stime", "start_time")
    .replace("obittime", "comp_time")
)
JSON_QSTAT = json.dumps(
    {
        "timestamp": 1740900000,
        "pbs_server": "srv",
        "Jobs": {
            "1.srv": {
                "Job_Owner": "a@x", "job_state": "F", "Exit_status": 0,
                "ctime": "Sat Mar  1 10:00:00 2025", "stime": "Sat Mar  1 10:05:00 2025",
                "obittime": "Sat Mar  1 11:05:00 2025",
                "resources_used": {"walltime": "01:00:00"},
                "exec_vnode": "(n1:ncpus=64:ngpus=8)", "Resource_List": {"ngpus": 8},
            },
            "2.srv": {"job_state": "Q", "ctime": "Sat Mar  1 10:00:00 2025",
                      "Resource_List": {"ngpus": 8}},
        },
    }
)  # fmt: skip


@pytest.mark.parametrize("text", [QSTAT, TORQUE], ids=["pbs", "torque"])
def test_qstat(tmp_path: Path, text: str) -> None:
    log = read(tmp_path, text)
    assert jobs_of(log) == {"1.srv": [8, 3600, 300]}
    assert reasons(log) == {
        "2.srv": "never_started", "3.srv": "still_running", "4.srv": "never_started",
    }  # fmt: skip


def test_qstat_json(tmp_path: Path) -> None:
    log = read(tmp_path, JSON_QSTAT)
    assert jobs_of(log) == {"1.srv": [8, 3600, 300]}
    assert reasons(log) == {"2.srv": "never_started"}


def test_tracejob(tmp_path: Path) -> None:
    fields = "user=a queue=gpu ctime=1740823200 start=1740823500 exec_vnode=(n1:ncpus=9:ngpus=8)"
    text = (
        "\nJob: 1.srv\n\n03/01/2025 10:00:00  S    Job Queued at request of a@x, job name = t\n"
        f"03/01/2025 10:05:00  A    {fields}\n"
        f"03/01/2025 11:05:00  A    {fields} end=1740827100 resources_used.walltime=01:00:00\n"
    )
    assert jobs_of(read(tmp_path, text)) == {"1.srv": [8, 3600, 300]}


SCONTROL = """\
JobId=1 JobName=train lr=2 x
   UserId=a(1000) GroupId=g(1000) MCS_label=N/A
   JobState=COMPLETED Reason=None Dependency=(null)
   RunTime=01:00:00 TimeLimit=1-00:00:00 TimeMin=N/A
   SubmitTime=2025-03-01T10:00:00 EligibleTime=2025-03-01T10:00:00
   StartTime=2025-03-01T10:05:00 EndTime=2025-03-01T11:05:00 Deadline=N/A
   Partition=gpu AllocNode:Sid=login:1234
   NumNodes=1 NumCPUs=64 NumTasks=1 CPUs/Task=64 ReqB:S:C:T=0:0:*:*
   ReqTRES=cpu=64,gres/gpu=1
   AllocTRES=cpu=64,gres/gpu=8,gres/gpu:h100=8

JobId=2 ArrayJobId=2 ArrayTaskId=3-9%2 JobName=x
   UserId=a(1000) GroupId=g(1000) MCS_label=N/A
   JobState=PENDING Reason=Priority Dependency=(null)
   RunTime=00:00:00 TimeLimit=1-00:00:00 TimeMin=N/A
   SubmitTime=2025-03-01T10:00:00 EligibleTime=2025-03-01T10:00:00
   StartTime=2025-03-02T10:05:00 EndTime=2025-03-03T11:05:00 Deadline=N/A
   NumNodes=1 NumCPUs=64
   ReqTRES=cpu=64,gres/gpu=8
"""
JOBCOMP = (
    "JobId={0} UserId=a(7) GroupId=g(7) Name=t JobState={1} Partition=gpu TimeLimit=1440 "
    "StartTime={2} EndTime=2025-03-01T11:05:00 NodeList=n1 NodeCnt=1 ProcCnt=64 "
    "WorkDir=/home/a ReservationName= Tres={3} Account=x QOS=normal "
    "SubmitTime=2025-03-01T10:00:00 ExitCode=0:0\n"
)


def test_scontrol_show_job(tmp_path: Path) -> None:
    blocks = SCONTROL.strip().split("\n\n")
    lines = "\n".join(" ".join(part.strip() for part in each.split("\n")) for each in blocks)
    for text in (SCONTROL, lines + "\n"):
        log = read(tmp_path, text)
        assert jobs_of(log) == {"1": [8, 3600, 300]}
        assert reasons(log) == {"2_[3-9%2]": "never_started"}
        assert log.jobs["estimate_s"].tolist() == [86400]


def test_jobcomp(tmp_path: Path) -> None:
    text = JOBCOMP.format(1, "COMPLETED", "2025-03-01T10:05:00", "cpu=8,gres/gpu=8")
    text += JOBCOMP.format(2, "CANCELLED", "Unknown", "")
    text += JOBCOMP.format(3, "COMPLETED", "2025-03-01T10:05:00", "cpu=8")
    log = read(tmp_path, text)
    assert jobs_of(log) == {"1": [8, 3600, 300]}
    assert reasons(log) == {"2": "never_started", "3": "no_accelerator"}


def test_condor_xml(tmp_path: Path) -> None:
    ad = {
        "ClusterId": "i>1", "ProcId": "i>0", "Owner": "s>a", "QDate": "i>1740823200",
        "JobStartDate": "i>1740823500", "CompletionDate": "i>1740827100", "JobStatus": "i>4",
        "RemoteWallClockTime": "r>3600.0", "RequestGPUs": "i>8",
    }  # fmt: skip
    inner = "".join(f'<a n="{name}"><{value}</{value[0]}></a>\n' for name, value in ad.items())
    text = f'<?xml version="1.0"?>\n<classads>\n<c>\n{inner}</c>\n</classads>\n'
    assert jobs_of(read(tmp_path, text)) == {"1.0": [8, 3600, 300]}


FLUX = {"id": 1, "username": "a", "t_submit": 1740823200.5, "t_run": 1740823500.5,
        "t_cleanup": 1740827100.5, "runtime": 3600.0, "state": "INACTIVE", "ngpus": 8,
        "duration": 7200.0, "nnodes": 1}  # fmt: skip
OAR = {"Job_Id": 1, "owner": "a", "state": "Terminated", "submissionTime": 1740823200,
       "startTime": 1740823500, "stopTime": 1740827100,
       "wanted_resources": "-l {type = 'default'}/host=2/gpu=4,walltime=2:0:0"}  # fmt: skip
SAGEMAKER = {"TrainingJobName": "1", "TrainingJobStatus": "Completed",
             "ResourceConfig": {"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 1},
             "CreationTime": 1740823200.0, "TrainingStartTime": 1740823500.0,
             "TrainingEndTime": 1740827100.0}  # fmt: skip
OCS = {"job_number": 1, "task_number": 0, "submission_time": 1740823200000000, "slots": 8,
       "start_time": 1740823500000000, "end_time": 1740827100000000, "granted_pe": "smp",
       "category": "-l gpu=1 -pe smp 8", "usage": {"rusage": {"ru_wallclock": 3600}}}  # fmt: skip
HIT = {"jobid": 1, "username": "a", "state": "COMPLETED", "elapsed": 3600, "total_nodes": 1,
       "@submit": "2025-03-01T10:00:00", "@start": "2025-03-01T10:05:00",
       "@end": "2025-03-01T11:05:00", "tres_alloc": "cpu=64,gres/gpu=8"}  # fmt: skip
SLURM = {
    "job_id": 1, "job_state": ["COMPLETED"], "tres_alloc_str": "cpu=64,gres/gpu=8",
    **{name: {"set": True, "infinite": False, "number": number} for name, number in (
        ("submit_time", 1740823200), ("start_time", 1740823500), ("end_time", 1740827100))},
}  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"jobs": [FLUX, {**FLUX, "id": 2, "state": "SCHED", "t_run": 0}]},
        {"1": OAR, "2": {**OAR, "Job_Id": 2, "wanted_resources": "-l /host=1"}},
        SAGEMAKER,
        OCS,
        {"took": 1, "hits": {"total": {"value": 1}, "hits": [{"_id": "x", "_source": HIT}]}},
        {"jobs": [SLURM], "last_update": {"set": True, "number": 1740828000}},
    ],
    ids=["flux", "oar", "sagemaker", "ocs", "elasticsearch", "scontrol"],
)
def test_json(tmp_path: Path, document: Any) -> None:
    assert jobs_of(read(tmp_path, json.dumps(document))) == {"1": [8, 3600, 300]}


def test_a_slot_without_gpus_in_lsf(tmp_path: Path) -> None:
    times = "Mar  1 10:00 2025|Mar  1 10:05 2025"
    text = (
        "JOBID|USER|STAT|SUBMIT_TIME|START_TIME|FINISH_TIME|RUN_TIME|GPU_NUM\n"
        f"1|a|DONE|{times}|Mar  1 11:05 2025 L|3600 second(s)|8\n"
        f"2|a|DONE|{times}|Mar  1 11:05 2025 L|3600 second(s)|-\n"
        f"3|a|RUN|{times}|Mar  1 13:05 2025 L|600 second(s)|-\n"
    )
    log = read(tmp_path, text)
    assert jobs_of(log) == {"1": [8, 3600, 300]}
    assert reasons(log) == {"2": "no_accelerator", "3": "still_running"}


GAVEL = "ResNet-18 (batch size 32)\tpython3 main.py\t%s\t--n\t0\t{0}\t{1}\t1.0\t-1.0\t{2}\n"


def test_gavel_with_throughputs_beside_the_trace(tmp_path: Path) -> None:
    """Two thousand steps at four a second are 500 s; a size without a throughput is left out."""
    job = "('ResNet-18 (batch size 32)', {0})"
    rates = {"v100": {job.format(1): {"null": 4.0, job.format(1): [2.0, 2.0]}}, "k80": {}}
    (tmp_path / "simulation_throughputs.json").write_text(json.dumps(rates))
    text = GAVEL.format(2000, 1, 5.0) + GAVEL.format(2000, 2, 6.0)
    log = read(tmp_path, text)
    assert log.jobs["duration_s"].tolist() == [500]
    assert log.jobs["submit_s"].tolist() == [5]
    assert list(reasons(log).values()) == ["run_not_recorded"]
    (tmp_path / "simulation_throughputs.json").unlink()
    table = "job_type,scale_factor,v100_steps_per_s\nResNet-18 (batch size 32),2,8.0\n"
    (tmp_path / "gavel_throughputs.csv").write_text(table)
    assert read(tmp_path, text).jobs["duration_s"].tolist() == [250]


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("NAMESPACE   NAME   QUEUE   RESERVED IN   ADMITTED   AGE\nns   j   q   c   True   3d\n",
         "kubectl get"),
        ("Name:  n\nAPI Version:  kubeflow.org/v1\nKind:  PyTorchJob\n", "kubectl get"),
        ("JOBID USER STAT QUEUE FROM_HOST EXEC_HOST JOB_NAME SUBMIT_TIME\n1 a DONE q h n x y\n",
         "bacct -l"),
        ("JOBID USER NAME ST NTASKS NNODES TIME INFO\n1 a x CD 1 1 1h n1\n", "flux jobs -a"),
        ("JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)\n1 g x a R 1:00 1 n1\n",
         "forecast"),
        ("-----\nCluster/Account/User Utilization 2025-03-01T00:00:00 - x\n-----\n", "sacct"),
        ('{\n  "TrainingJobSummaries": [{"TrainingJobName": "j"}]\n}\n', "describe-training-job"),
        ("<html><table><tr><th>JobID</th></tr></table></html>\n", "CSV"),
        ("Job ID: 7\nCluster: c\nState: COMPLETED (exit code 0)\n", "sacct"),
    ],
)  # fmt: skip
def test_what_tells_too_little_says_what_to_run(tmp_path: Path, text: str, instead: str) -> None:
    with pytest.raises(InputError, match=instead):
        read(tmp_path, text)
