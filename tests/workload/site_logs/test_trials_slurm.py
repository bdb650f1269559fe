"""What Slurm and its companions print, in notations that are seldom used; truths by hand.

Job 1 was submitted at 10:00, ran from 10:05 to 11:05 and had four accelerators.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

SUBMIT, START, END = (f"2025-03-01T{clock}:00" for clock in ("10:00", "10:05", "11:05"))
FIRST = {"1": (4, 3600)}
EPOCH = 1740823200


def read(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf-8")
    return read_jobs(path, **{"time_zone": "UTC", **options})


def check(log: Any, jobs: dict[str, tuple[float, float]], left: dict[str, str]) -> None:
    """Compare accelerators, run time and submission of each job, and what is left out."""
    columns = (log.jobs["job_id"].astype(str), log.jobs["n_accelerators"], log.jobs["duration_s"])
    assert {name: (n, run) for name, n, run in zip(*columns, strict=True)} == jobs
    origin = pd.Timestamp(log.origin)
    origin = origin.tz_localize("UTC") if origin.tzinfo is None else origin.tz_convert("UTC")
    submits = origin + pd.to_timedelta(log.jobs["submit_s"], unit="s")
    assert set(submits) == {pd.Timestamp(SUBMIT, tz="UTC")}
    if "start_s" in log.jobs:
        assert set((log.jobs["start_s"] - log.jobs["submit_s"]).dropna()) <= {300.0, 0.0}
    out = log.left_out_table()
    assert dict(zip(out["row"].astype(str), out["reason"], strict=True)) == left


STATES = "\n".join(
    [
        "JobID|JobName|State|ExitCode|Submit|Start|End|Elapsed|Suspended|Planned|AllocTRES|NNodes",
        *(
            f"{number}|x|{state}|0:0|{SUBMIT}|{START}|{END}|01:00:00|00:00:00|00:05:00|"
            "billing=8,cpu=8,energy=1234K,gres/gpu:nvidia_a100-sxm4-80gb=4,gres/gpu=4,mem=64G|1"
            for number, state in enumerate(
                ("COMPLETED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT", "DEADLINE"), 1
            )
        ),
        f"7|x|PENDING|0:0|{SUBMIT}|Unknown|Unknown|00:00:00|00:00:00|00:05:00||1",
        f"8|x|CANCELLED by 7|0:0|{SUBMIT}|None|{START}|00:00:00|00:00:00|00:05:00||1",
        f"9|x|RUNNING|0:0|{SUBMIT}|{START}|Unknown|00:30:00|00:00:00|00:05:00|cpu=8,gres/gpu=4|1",
        f"10|x|COMPLETED|0:0|{SUBMIT}|{START}|{START}|00:00:00|00:00:00|00:05:00|gres/gpu=4|1",
        f"11|x|BOOT_FAIL|0:0|{SUBMIT}|{START}|{END}|01:00:00|00:00:00|00:05:00|cpu=8,mem=1G|1",
    ]
)
STATES_LEFT = {
    "7": "never_started", "8": "never_started", "9": "still_running", "10": "zero_run_time",
    "11": "no_accelerator",
}  # fmt: skip
SECONDS = (
    "JobIDRaw|Submit|Start|End|ElapsedRaw|AllocTRES\n"
    f"1|{EPOCH}|{EPOCH + 300}|{EPOCH + 3900}|3600|cpu=8,gres/gpu=4\n"
    f"1.batch||{EPOCH + 300}|{EPOCH + 3900}|3600|cpu=8,gres/gpu=4\n"
)
OFFSETS = (
    "JobID|Submit|Start|End|State|AllocTRES\n1|2025-03-01T11:00:00+0100|2025-03-01T11:05:00+0100|"
    "2025-03-01T12:05:00+0100|COMPLETED|cpu=8,gres/gpu=4\n"
)
REQUESTED = (
    "JobID|Submit|Start|End|State|NNodes|ReqGRES\n"
    f"1|{SUBMIT}|{START}|{END}|COMPLETED|2|PER_NODE:gpu:2\n"
)
LEGACY = (
    "       JobID    Partition              Submit               Start                 End"
    "    AllocGRES   NNodes\n"
    "------------ ------------ ------------------- ------------------- -------------------"
    " ------------ --------\n"
    f"           1          gpu {SUBMIT} {START} {END}        gpu:2        2\n"
    f"           2          cpu {SUBMIT} {START} {END}                     2\n"
)


def sacct_22(**changes: Any) -> dict[str, Any]:
    """Return a job as ``sacct --json`` of Slurm 22.05 has it: plain numbers and states."""
    return {
        "job_id": 1, "name": "x", "partition": "gpu", "user": "a", "account": "p",
        "array": {"job_id": 0, "limits": {}, "task": None, "task_id": None},
        "het": {"job_id": 0, "job_offset": None},
        "time": {"elapsed": 3600, "eligible": EPOCH, "end": EPOCH + 3900, "start": EPOCH + 300,
                 "submission": EPOCH, "suspended": 0, "limit": 1440},
        "state": {"current": "COMPLETED", "reason": "None"},
        "tres": {"allocated": [{"type": "cpu", "name": "", "id": 1, "count": 8},
                               {"type": "gres", "name": "gpu", "id": 1001, "count": 4},
                               {"type": "gres", "name": "gpu:a100", "id": 1002, "count": 4}],
                 "requested": []},
        "steps": [{"step": {"id": {"job_id": 1, "step_id": "batch"}}}],
        **changes,
    }  # fmt: skip


def number(value: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": value}


SACCT_24 = sacct_22(
    state={"current": ["COMPLETED"], "reason": "None"},
    array={"job_id": 7, "task_id": number(3), "task": ""},
    time={"elapsed": 3600, "end": EPOCH + 3900, "start": EPOCH + 300, "submission": EPOCH,
          "limit": number(60), "planned": number(300)},
)  # fmt: skip
SCONTROL = (
    "JobId=1 JobName=x UserId=a(7) GroupId=g(7) JobState=COMPLETED RunTime=01:00:00 "
    f"TimeLimit=1-00:00:00 SubmitTime={SUBMIT} EligibleTime={SUBMIT} StartTime={START} "
    f"EndTime={END} Partition=gpu NumNodes=2 NumCPUs=16 %s\n"
)
GRAFANA = (
    '"Time","Job ID","Submit Time","Start Time","End Time","GPU count","State"\n'
    f"{(EPOCH + 9000) * 1000},1,{EPOCH * 1000},{EPOCH * 1000 + 300000},{EPOCH * 1000 + 3900000},4,"
    "COMPLETED\n"
)
XDMOD = (
    "Resource,Job Id,Submit Time,Start Time,End Time,Wall Time (s),Node Count,Core Count,GPU Count,"
    "Queue,User,PI\nhpc,1,2025-03-01 10:00:00,2025-03-01 10:05:00,2025-03-01 11:05:00,3600,1,8,4,"
    "gpu,a,b\nhpc,2,2025-03-01 10:00:00,2025-03-01 10:05:00,2025-03-01 11:05:00,3600,1,8,0,"
    "cpu,a,b\n"
)
ON_DEMAND = json.dumps(
    [
        {"id": "1", "status": "completed", "job_name": "x", "job_owner": "a", "queue_name": "gpu",
         "accounting_id": "p", "procs": 8, "wallclock_time": 3600, "wallclock_limit": 86400,
         "submission_time": "2025-03-01 10:00:00 +0000",
         "dispatch_time": "2025-03-01 10:05:00 +0000", "gpus": 4},
        {"id": "2", "status": "queued", "job_name": "x", "job_owner": "a", "queue_name": "gpu",
         "accounting_id": "p", "procs": 8, "wallclock_time": None, "wallclock_limit": 86400,
         "submission_time": "2025-03-01 10:00:00 +0000", "dispatch_time": None, "gpus": 4},
    ]
)  # fmt: skip
ROWS = f"1|{SUBMIT}|{START}|{END}|cpu=8,gres/gpu=4|\n1.extern||{START}|{END}|cpu=8|\n"
CASES: dict[str, tuple[str, dict[str, Any], dict[str, tuple[float, float]], dict[str, str]]] = {
    "states": (STATES, {}, {str(job): (4, 3600) for job in range(1, 7)}, STATES_LEFT),
    "seconds": (SECONDS, {}, FIRST, {"1.batch": "step"}),
    "offsets": (OFFSETS, {"time_zone": "Asia/Tokyo"}, FIRST, {}),
    "requested": (REQUESTED, {}, FIRST, {}),
    "legacy": (LEGACY, {}, FIRST, {"2": "no_accelerator"}),
    "no-header": (ROWS, {"columns": "JobID,Submit,Start,End,AllocTRES"}, FIRST,
                  {"1.extern": "step"}),
    "json-22": (json.dumps({"meta": {}, "errors": [], "jobs": [sacct_22()]}), {}, FIRST, {}),
    "json-24": (json.dumps({"jobs": [SACCT_24]}), {}, {"7_3": (4, 3600)}, {}),
    "scontrol-tres": (SCONTROL % "TRES=cpu=16,mem=1G,node=2,billing=16,gres/gpu=4", {}, FIRST, {}),
    "scontrol-gres": (SCONTROL % "Gres=gpu:2 Reservation=(null)", {}, FIRST, {}),
    "scontrol-per-node": (SCONTROL % "TRES=cpu=16,node=2 TresPerNode=gres:gpu:2", {}, FIRST, {}),
    "scontrol-per-task": (SCONTROL % "NumTasks=4 TresPerTask=gres/gpu:1", {}, FIRST, {}),
    "grafana": (GRAFANA, {}, FIRST, {}),
    "xdmod": (XDMOD, {}, FIRST, {"2": "no_accelerator"}),
    "on-demand": (ON_DEMAND, {}, FIRST, {"2": "never_started"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_trial(tmp_path: Path, name: str) -> None:
    text, options, jobs, left = CASES[name]
    check(read(tmp_path, text, **options), jobs, left)


def test_a_queue_is_not_taken_for_a_log(tmp_path: Path) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(
        "JOBID|PARTITION|USER|STATE|SUBMIT_TIME|TIME_LEFT|TRES_PER_NODE|NODELIST(REASON)\n"
        "7|gpu|ann|PENDING|2026-10-20T10:27:27|1:00:00|gres/gpu:8|(Priority)\n"
    )
    with pytest.raises(InputError, match="this is a queue as squeue prints it, which is for"):
        read_jobs(path, time_zone="UTC")
