"""What other schedulers and platforms print, in notations seldom used; truths by hand.

Job 1 was submitted at 10:00, ran from 10:05 to 11:05 and had four accelerators.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from tests.workload.site_logs.test_trials_slurm import EPOCH, check, read

FIRST = {"1": (4, 3600)}
DAY = "2025-03-01"


def pbs_line(kind: str, number: str, rest: str) -> str:
    return f"03/01/2025 11:05:00;{kind};{number};{rest}\n"


RAN = f"ctime={EPOCH} qtime={EPOCH} etime={EPOCH} start={EPOCH + 300} end={EPOCH + 3900}"
USED = "resources_used.cput=9:00:00 resources_used.walltime=01:00:00 run_count=1"
PBS_EVENTS = "".join(
    [
        pbs_line("Q", "1.pbs01", "queue=gpu"),
        pbs_line("S", "1.pbs01", f"user=a queue=gpu ctime={EPOCH} start={EPOCH + 300}"),
        pbs_line("E", "1.pbs01", f"user=a group=g project=_default jobname=x y queue=gpu "
                 f"{RAN} exec_host=gpu01/0*8 exec_vnode=(gpu01[0]:ncpus=4:ngpus=2:mem=1048576kb+"
                 "gpu01[1]:ncpus=4:ngpus=2) Resource_List.ncpus=8 Resource_List.ngpus=4 "
                 "Resource_List.place=scatter:excl Resource_List.select=1:ncpus=8:ngpus=4 "
                 f"session=7 Exit_status=0 {USED}"),
        pbs_line("E", "2.pbs01", f"user=a queue=cpu {RAN} exec_vnode=(n1:ncpus=8) "
                 f"Resource_List.select=1:ncpus=8 {USED}"),
        pbs_line("L", "license", "floating license hour:3 day:9"),
        pbs_line("D", "3.pbs01", "requestor=a@login"),
    ]
)  # fmt: skip
PBS_LEFT = {
    "1.pbs01": "noise", "2.pbs01": "no_accelerator", "license": "noise", "3.pbs01": "noise",
}  # fmt: skip
QSTAT_JSON = json.dumps(
    {
        "timestamp": EPOCH + 9000, "pbs_version": "2022.1.4", "pbs_server": "srv",
        "Jobs": {
            "5[1].srv": {
                "Job_Name": "x", "Job_Owner": "a@login", "job_state": "X", "queue": "gpu",
                "array_id": "5[].srv", "array_index": 1, "Exit_status": 0,
                "ctime": "Sat Mar  1 10:00:00 2025", "qtime": "Sat Mar  1 10:00:00 2025",
                "stime": "Sat Mar  1 10:05:00 2025", "obittime": "Sat Mar  1 11:05:00 2025",
                "mtime": "Sat Mar  1 11:05:01 2025", "Variable_List": {"HOME": "/home/a"},
                "resources_used": {"walltime": "01:00:00", "ncpus": 8},
                "exec_vnode": "(gn1:ncpus=8:ngpus=4)",
                "Resource_List": {"ngpus": 4, "select": "1:ncpus=8:ngpus=4"},
            },
            "5[].srv": {
                "Job_Owner": "a@login", "job_state": "F", "ctime": "Sat Mar  1 10:00:00 2025",
                "Resource_List": {"ngpus": 4, "select": "1:ncpus=8:ngpus=4"},
            },
        },
    }
)  # fmt: skip
BJOBS = json.dumps(
    {
        "COMMAND": "bjobs", "JOBS": 2,
        "RECORDS": [
            {"JOBID": "1", "STAT": "DONE", "QUEUE": "gpu", "USER": "a", "NEXEC_HOST": "1",
             "SUBMIT_TIME": "Mar  1 10:00:00 2025", "START_TIME": "Mar  1 10:05:00 2025",
             "FINISH_TIME": "Mar  1 11:05:00 2025 L", "RUN_TIME": "3600 second(s)",
             "GPU_NUM": "4", "GPU_MODE": "num=4:mode=shared"},
            {"JOBID": "2", "STAT": "EXIT", "QUEUE": "cpu", "USER": "a", "NEXEC_HOST": "1",
             "SUBMIT_TIME": "Mar  1 10:00:00 2025", "START_TIME": "Mar  1 10:05:00 2025",
             "FINISH_TIME": "Mar  1 11:05:00 2025 L", "RUN_TIME": "3600 second(s)",
             "GPU_NUM": "-", "GPU_MODE": "-"},
        ],
    }
)  # fmt: skip
BHIST = """\
Job <1>, Job Name <x>, User <a>, Project <p>, Command <python train.py --num=9>
Sat Mar  1 10:00:00 2025: Submitted from host <login>, to Queue <gpu>, CWD <$HOME>,
                     2 Task(s), Requested Resources < span[ptile=1]>, Requested
                     GPU <num=2:mode=exclusive_process:mps=no>;
Sat Mar  1 10:05:00 2025: Dispatched 2 Task(s) on Host(s) <gn1> <gn2>, Allocated 2 Slot(s)
                     on Host(s) <gn1> <gn2>, Effective RES_REQ <select[type == any] >;
Sat Mar  1 10:05:01 2025: Starting (Pid 7);
Sat Mar  1 11:05:00 2025: Done successfully. The CPU time used is 9.0 seconds;
Sat Mar  1 11:05:00 2025: Post job process done successfully;

Summary of time in seconds spent in various states by  Sat Mar  1 11:05:00 2025
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  300      0        3600     0        0        0        3900
------------------------------------------------------------------------------
"""
QACCT = """\
==============================================================
qname        gpu.q
hostname     gn1
group        g
owner        a
project      NONE
jobname      x
jobnumber    1
taskid       undefined
account      sge
priority     0
cwd          NONE
submit_host  login
submit_cmd   qsub -l gpu=2 -pe smp 2 x.sh
qsub_time    03/01/2025 10:00:00.000
start_time   03/01/2025 10:05:00.000
end_time     03/01/2025 11:05:00.000
granted_pe   smp
slots        2
failed       0
exit_status  0
ru_wallclock 3600.000
ru_utime     9.0
category     -l gpu=2 -pe smp 2
"""
CONDOR_XML = f"""<?xml version="1.0"?>
<!DOCTYPE classads SYSTEM "classads.dtd">
<classads>
<c>
    <a n="ClusterId"><i>1</i></a>
    <a n="ProcId"><i>0</i></a>
    <a n="QDate"><i>{EPOCH}</i></a>
    <a n="JobStartDate"><i>{EPOCH + 300}</i></a>
    <a n="CompletionDate"><i>{EPOCH + 3900}</i></a>
    <a n="RemoteWallClockTime"><r>3.600000000000000E+03</r></a>
    <a n="JobStatus"><i>4</i></a>
    <a n="RequestGPUs"><i>4</i></a>
    <a n="Owner"><s>a</s></a>
</c>
<c>
    <a n="ClusterId"><i>2</i></a>
    <a n="ProcId"><i>0</i></a>
    <a n="QDate"><i>{EPOCH}</i></a>
    <a n="JobStatus"><i>3</i></a>
    <a n="RequestGPUs"><un/></a>
</c>
</classads>
"""
CONDOR_LONG = f"""\
ClusterId = 1
ProcId = 0
Owner = "a"
QDate = {EPOCH}
JobStartDate = {EPOCH + 300}
CompletionDate = {EPOCH + 3900}
RemoteWallClockTime = 3600.0
JobStatus = 4
RequestGPUs = ifthenelse(WantGPUs =?= true, 4, 0)
GPUsProvisioned = 4
Requirements = (TARGET.CUDACapability >= 7.0) && (TARGET.Arch == "X86_64")
*** Offset = 0 ClusterId = 1 ProcId = 0 Owner = "a" CompletionDate = {EPOCH + 3900}
"""
OAR = json.dumps(
    {
        "1": {"Job_Id": "1", "state": "Terminated", "owner": "a", "queue": "default", "name": None,
              "submissionTime": EPOCH, "startTime": EPOCH + 300, "stopTime": EPOCH + 3900,
              "project": "p", "types": ["exotic"], "assigned_network_address": ["n1"],
              "wanted_resources": "-l \"{(gpu_model='A100') AND type = 'default'}"
                                  "/host=2/gpu=2,walltime=2:0:0\" "},
        "2": {"Job_Id": "2", "state": "Error", "owner": "a", "queue": "default",
              "submissionTime": EPOCH, "startTime": 0, "stopTime": EPOCH + 3900,
              "wanted_resources": "-l \"{type = 'default'}/host=1,walltime=1:0:0\" "},
    }
)  # fmt: skip
FLUX = json.dumps(
    {"jobs": [
        {"id": 1, "userid": 7, "username": "a", "urgency": 16, "priority": 16, "state": "INACTIVE",
         "t_submit": EPOCH + 0.0, "t_depend": EPOCH + 0.1, "t_run": EPOCH + 300.0,
         "t_cleanup": EPOCH + 3900.0, "t_inactive": EPOCH + 3901.0, "runtime": 3600.0, "nnodes": 1,
         "ntasks": 1, "ncores": 8, "ngpus": 4, "duration": 7200.0, "result": "COMPLETED",
         "queue": "gpu", "bank": "b"},
        {"id": 2, "userid": 7, "username": "a", "state": "INACTIVE", "t_submit": EPOCH + 0.0,
         "t_cleanup": EPOCH + 9.0, "t_inactive": EPOCH + 9.0, "runtime": 0.0, "ngpus": "",
         "result": "CANCELED"},
    ]}
)  # fmt: skip
SKY = json.dumps(
    [{"job_id": 1, "job_name": "x", "resources": "1x[H100:4]", "submitted_at": EPOCH + 0.0,
      "start_at": EPOCH + 300.0, "end_at": EPOCH + 3900.0, "job_duration": 3600.0,
      "status": "SUCCEEDED"},
     {"job_id": 2, "job_name": "x", "resources": "1x[CPU:4+]", "submitted_at": EPOCH + 0.0,
      "start_at": EPOCH + 300.0, "end_at": EPOCH + 3900.0, "job_duration": 3600.0,
      "status": "FAILED"}]
)  # fmt: skip
RUNAI_CSV = f"""\
Workload,Type,Status,Project,Department,Created by,Running/requested pods,Creation time,Completion \
time,GPU compute request,GPU compute allocation,Total runtime,Total wait time
1,Training,Completed,p,d,a,0/1,{DAY} 10:00:00,{DAY} 11:05:00,4.00,0.00,01:00:00,00:05:00
2,Workspace,Stopped,p,d,a,0/1,{DAY} 10:00:00,{DAY} 11:05:00,0.00,0.00,01:00:00,00:05:00
"""
DLC = json.dumps(
    {"RequestId": "7", "TotalCount": 2, "Jobs": [
        {"JobId": "1", "DisplayName": "x", "Status": "Succeeded", "UserId": "u", "Duration": 3600,
         "WorkspaceId": "w", "GmtCreateTime": f"{DAY}T10:00:00Z", "ResourceId": "q",
         "GmtRunningTime": f"{DAY}T10:05:00Z", "GmtFinishTime": f"{DAY}T11:05:00Z",
         "JobSpecs": [{"Type": "Master", "PodCount": 1, "ResourceConfig": {"GPU": "2"}},
                      {"Type": "Worker", "PodCount": 1, "ResourceConfig": {"GPU": "2"}}]},
        {"JobId": "2", "DisplayName": "x", "Status": "Succeeded", "UserId": "u", "Duration": 3600,
         "WorkspaceId": "w", "GmtCreateTime": f"{DAY}T10:00:00Z", "ResourceId": "q",
         "GmtRunningTime": f"{DAY}T10:05:00Z", "GmtFinishTime": f"{DAY}T11:05:00Z",
         "JobSpecs": [{"Type": "Worker", "PodCount": 1, "ResourceConfig": {"CPU": "8"}}]},
    ]}
)  # fmt: skip
NESTED = json.dumps(
    {"data": {"items": [
        {"jobId": "1", "status": {"phase": "Succeeded"}, "resource": {"gpuCount": 4, "cpu": 8},
         "timeline": {"submitTime": f"{DAY}T10:00:00Z", "startTime": f"{DAY}T10:05:00Z",
                      "endTime": f"{DAY}T11:05:00Z"}},
        {"jobId": "2", "status": {"phase": "Pending"}, "resource": {"gpuCount": 4, "cpu": 8},
         "timeline": {"submitTime": f"{DAY}T10:00:00Z", "startTime": None, "endTime": None}},
    ]}}
)  # fmt: skip
HASH = f"Job #,Submitted,Started,Finished,# GPUs\n1,{DAY} 10:00,{DAY} 10:05,{DAY} 11:05,4\n"
TWO_KINDS = (
    "job_id,submit_time,start_time,end_time,num_gpus,num_npus\n"
    f"1,{DAY} 10:00:00,{DAY} 10:05:00,{DAY} 11:05:00,0,4\n"
    f"2,{DAY} 10:00:00,{DAY} 10:05:00,{DAY} 11:05:00,2,0\n"
)
WANDB = (
    '"Name","State","Runtime","GPU Count","Created","End Time"\n'
    f'"1","finished","3600","4","{DAY}T10:00:00.000Z","{DAY}T11:05:00.000Z"\n'
)
CASES: dict[str, tuple[str, dict[str, tuple[float, float]], dict[str, str]]] = {
    "pbs-events": (PBS_EVENTS, {"1.pbs01": (4, 3600)}, PBS_LEFT),
    "qstat-json": (QSTAT_JSON, {"5[1].srv": (4, 3600)}, {"5[].srv": "noise"}),
    "bjobs-json": (BJOBS, FIRST, {"2": "no_accelerator"}),
    "bhist": (BHIST, FIRST, {}),
    "qacct": (QACCT, FIRST, {}),
    "condor-xml": (CONDOR_XML, {"1.0": (4, 3600)}, {"2.0": "never_started"}),
    "condor-long": (CONDOR_LONG, {"1.0": (4, 3600)}, {}),
    "oar": (OAR, FIRST, {"2": "never_started"}),
    "flux": (FLUX, FIRST, {"2": "never_started"}),
    "sky": (SKY, FIRST, {"2": "no_accelerator"}),
    "runai-csv": (RUNAI_CSV, FIRST, {"2": "no_accelerator"}),
    "dlc": (DLC, FIRST, {"2": "no_accelerator"}),
    "nested": (NESTED, FIRST, {"2": "never_started"}),
    "hash": (HASH, FIRST, {}),
    "two-kinds": (TWO_KINDS, {"1": (4, 3600), "2": (2, 3600)}, {}),
    "wandb": (WANDB, FIRST, {}),
}
REFUSED = {
    "cobalt": (
        "JOB_NAME,COBALT_JOBID,QUEUED_TIMESTAMP,START_TIMESTAMP,END_TIMESTAMP,NODES_USED\n"
        f"x,1,{DAY} 10:00:00,{DAY} 10:05:00,{DAY} 11:05:00,8\n",
        "number of accelerators",
    ),
    "vcctl": (
        "Name    Creation       Phase       JobType    Replicas    Min   Pending   Running\n"
        "job-1   2025-03-01     Completed   Batch      2           2     0         0\n",
        "kubectl get vcjob -A -o json",
    ),
    "reportseff": (
        "   JobID    State       Elapsed  TimeEff   CPUEff   MemEff\n"
        " 1        COMPLETED    01:00:00   0.8%     100.0%    9.0%\n",
        "sacct",
    ),
    "argo-list": (
        "NAME    STATUS      AGE   DURATION   PRIORITY\nwf-1    Succeeded   1d    1h   0\n",
        "kubectl get workflows -A -o json",
    ),
    "azure-table": (
        "Name   DisplayName   ExperimentName   Status    Type\n"
        "-----  ------------  ---------------  --------  -------\n"
        "a      x             llm              Completed command\n",
        "az ml job",
    ),
    "ray-tasks": (
        json.dumps([{"task_id": "1", "name": "f", "state": "FINISHED", "job_id": "01",
                     "node_id": "n", "type": "NORMAL_TASK", "start_time_ms": EPOCH * 1000,
                     "end_time_ms": EPOCH * 1000 + 9, "required_resources": {"GPU": 1.0}}]),
        "submit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_trial(tmp_path: Path, name: str) -> None:
    text, jobs, left = CASES[name]
    check(read(tmp_path, text), jobs, left)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def explain(**case: Any) -> None:
    text = CASES[case["name"]][0] if case["name"] in CASES else REFUSED[case["name"]][0]
    log = read(case["tmp_path"], text)
    print(log.jobs.to_string(), log.left_out_table().to_string(), log.notes, log.origin)
