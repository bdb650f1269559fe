"""Accounting of PBS, LSF, HTCondor and Grid Engine, and inputs of other simulators."""

# ruff: noqa: E501 -- the lines of logs are as long as they are

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.workload import read_jobs
from clustersim.workload.readers.site_logs.commands import COMMANDS


def read(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "log.txt"
    path.write_text(text)
    return read_jobs(path, **options)


def jobs_of(log: Any) -> dict[str, list[float]]:
    """Return the submission, accelerators and run time of each job."""
    columns = ["submit_s", "n_accelerators", "duration_s"]
    return dict(
        zip(log.jobs["job_id"].astype(str), log.jobs[columns].to_numpy().tolist(), strict=True)
    )


def reasons(log: Any) -> list[tuple[str, str]]:
    table = log.left_out_table()
    return list(zip(table["row"], table["reason"], strict=True))


PBS = """\
03/04/2025 01:00:00;L;license;floating license hour:3
03/04/2025 01:00:00;Q;1.srv;queue=gpu
03/04/2025 02:00:00;R;1.srv;user=a group=g project=_pbs_project_default jobname=x queue=gpu ctime=1741050000 qtime=1741050000 etime=1741050000 start=1741050100 exec_vnode=(n1:ncpus=8:ngpus=2) Resource_List.ngpus=2 end=1741053700 Exit_status=-1 resources_used.walltime=01:00:00 run_count=1
03/04/2025 05:00:00;E;1.srv;user=a group=g account="my acc" project=p jobname=x queue=gpu ctime=1741050000 qtime=1741054000 etime=1741054000 start=1741060000 exec_host=n1/0*8 exec_vnode=(n1:ncpus=8:ngpus=2)+(n2:ncpus=8:ngpus=2) Resource_List.ngpus=4 Resource_List.select=2:ncpus=8:ngpus=2 Resource_List.walltime=10:00:00 session=1 end=1741063600 Exit_status=0 resources_used.ncpus=8 resources_used.walltime=00:59:58 run_count=2
03/04/2025 05:00:00;E;2[3].srv;user=b queue=gpu ctime=1741050000 start=1741060000 end=1741063600 Resource_List.select=3:ncpus=8:ngpus=1+1:ncpus=2 resources_used.walltime=01:00:00
03/04/2025 05:00:00;E;2[].srv;user=b queue=gpu ctime=1741050000 Resource_List.select=3:ncpus=8:ngpus=1+1:ncpus=2
"""


def test_pbs(tmp_path: Path) -> None:
    log = read(tmp_path, PBS, time_zone="UTC")
    assert jobs_of(log) == {"1.srv": [0, 4, 7198], "2[3].srv": [0, 3, 3600]}
    assert reasons(log) == [
        ("license", "noise"),
        ("1.srv", "noise"),
        ("1.srv", "merged"),
        ("2[].srv", "noise"),
    ]


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ("Resource_List.nodes=2:ppn=16:gpus=2", 4),
        ("Resource_List.nodes=1:ppn=16:gpus=4+2:ppn=8", 4),
        ("Resource_List.nodes=gn007:ppn=4:gpus=1:exclusive_process", 1),
        ("Resource_List.select=3:ncpus=8:ngpus=2+1:ncpus=2 Resource_List.ngpus=6", 6),
        ("Resource_List.ngpus=3 Resource_List.nodect=3", 3),
        ("exec_gpus=n1-gpu/0+n1-gpu/1+n2-gpu/0 Resource_List.nodes=2:ppn=1:gpus=2", 3),
    ],
)
def test_sizes_of_pbs_jobs(tmp_path: Path, asked: str, n: int) -> None:
    record = "20250304:03/04/2025 05:00:00;E;7.srv;user=b queue=g ctime=1 start=1741060000 "
    log = read(
        tmp_path, record.replace("ctime=1 ", "ctime=1741050000 ") + f"end=1741060060 {asked}\n"
    )
    assert jobs_of(log) == {"7.srv": [0, n, 60]}


ACCT = """\
"JOB_FINISH" "10.108" 1644826549 386 1501 33554434 1 1644826545 0 0 1644826546 "simuser" "gpu" "" "" "" "ip" "/root" "" "" "" "1644826545.386" 0 1 "hostA" 64 100.0 "" "/bin/sleep 3" 0.004997 0.006155 3748 0 -1 0 0 436 4 0 928 0 -1 0 0 0 19 2 -1 "" "default" 0 1 "" "" 0 2048 0 "" "" "" "" 0 "" 0 "" -1 "" "" "" "" -1 "" "" 5136 "" 1644826546 "" "" 5 1110 "default" 1041 "jfincache" 1086 "-1 -1 -1 " 1032 "0" 1033 "0" 0 -1 4194304 1024 "select[type == any] order[r15s:pg] rusage[ngpus_physical=2.00]" "" -1 "" -1 0 "" 0 0 "" 3 "/root" 0 "" 0.0 0.00 0.00 0.00 0.00 1 "hostA" -1 0 0 0 0 1 "schedulingOverhead" "0.00"
"JOB_FINISH" "10.108" 1644827549 387 1501 33554434 8 1644826645 0 0 1644826746 "simuser" "gpu" "" "" "" "ip" "/root" "" "" "" "1644826545.386" 0 2 "4*hostA" "4*hostB" 32 100.0 "say ""hi"" [2]" "/bin/sleep 3" 0.004997 0.006155 3748 0 -1 0 0 436 4 0 928 0 -1 0 0 0 19 2 -1 "" "default" 0 1 "" "" 2 2048 0 "" "" "" "" 0 "" 0 "" -1 "" "num=4:mode=exclusive_process:j_exclusive=yes" "" "" -1 "" "" 5136 "" 1644826546
"JOB_FINISH" "10.108" 1644827549 388 1501 33554434 8 1644826645 0 0 0 "simuser" "gpu" "" "" "" "ip" "/root" "" "" "" "1644826545.386" 0 0 32 100.0 "" "/bin/sleep 3" -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 "" "default" 0 1 "" "" 0 2048 0 "" "" "" "" 0
"EVENT_ADRSV_FINISH" "10.1" 1644827549
"""


def test_lsb_acct(tmp_path: Path) -> None:
    log = read(tmp_path, ACCT)
    assert jobs_of(log) == {"386": [0, 2, 3], "387[2]": [100, 8, 803]}
    assert reasons(log) == [("388", "never_started"), ("line 4", "noise")]


BACCT = """\

Accounting information about jobs that are:
  - submitted by all users.
------------------------------------------------------------------------------

Job <3329613>, Job Name <tr>, User <rmurri>, Project <default>, Status <DONE>, Queue <gpu>,
                     Command <sleep 60>, Share group charged </lsf_biol_all/lsf
                     _aeber/rmurri>
Mon Oct  7 17:07:54: Submitted from host <brutus4>, CWD <$HOME>, Output File <l
                     sf.o%J>, Requested GPU <num=2:mode=shared:j_exclusive=ye
                     s>;
Mon Oct  7 17:08:44: Dispatched 8 Task(s) on Host(s) <4*a3201> <4*a3202>, Allocated 8 Slot(s) on Host(s) <4*a3201> <4*a3202>, Effective RES_REQ <select[type == local] rusage[ngpus_physical=2.00] >;
Mon Oct  7 18:09:51: Completed <done>.

Accounting information about this job:
     Share group charged </lsf_biol_all/lsf_aeber/rmurri>
     CPU_T     WAIT     TURNAROUND   STATUS     HOG_FACTOR    MEM    SWAP
      0.08       50            117     done         0.0007     5M    222M
------------------------------------------------------------------------------

Job <3329614[3]>, User <x>, Project <default>, Status <EXIT>, Queue <gpu>, Command <a>
Mon Oct  7 17:10:00: Submitted from host <brutus4>, CWD <$HOME>;
Mon Oct  7 18:00:00: Completed <exit>; TERM_OWNER: job killed by owner.

Accounting information about this job:
     CPU_T     WAIT     TURNAROUND   STATUS     HOG_FACTOR    MEM    SWAP
      0.08       50            117     exit         0.0007     5M    222M
------------------------------------------------------------------------------
SUMMARY:      ( time unit: second )
 Total number of done jobs:       1      Total number of exited jobs:     1
"""


def test_bacct(tmp_path: Path) -> None:
    log = read(tmp_path, BACCT, time_zone="Europe/Zurich")
    assert jobs_of(log) == {"3329613": [0, 4, 3667]}
    assert reasons(log) == [("3329614[3]", "never_started")]
    assert f"{log.origin:%a %d %b}" == "Mon 07 Oct"


BHIST = """\

Job <77>, User <u>, Project <p>, Status <DONE>, Queue <q>, Command <c>, Requested GPU <num=4>
Sun Mar 15 18:22:37 2026: Submitted from host <h>, to Queue <q>, CWD <$HOME>, 8 Task(s), Requested Resources < rusa
                          ge[mem=122880,]>, Requested GPU <num=1:mode=exclusive
                          _process>;
Sun Mar 15 18:22:40 2026: Dispatched 8 Task(s) on Host(s) <8*e10u12>, Allocated 8 Slot(s) on Host(s) <8*e10u12>;
Sun Mar 15 18:22:41 2026: Starting (Pid 12);
Sun Mar 15 18:32:41 2026: Job has been requeued;
Sun Mar 15 18:42:40 2026: Dispatched 8 Task(s) on Host(s) <8*e10u12>, Allocated 8 Slot(s) on Host(s) <8*e10u12>;
Sun Mar 15 19:42:40 2026: Done successfully. The CPU time used is 3 seconds;

Summary of time in seconds spent in various states by  Sun Mar 15 19:42:40
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  600      0        4201     0        0        0        4801
------------------------------------------------------------------------------
"""


def test_bhist_adds_up_runs(tmp_path: Path) -> None:
    assert jobs_of(read(tmp_path, BHIST, time_zone="UTC")) == {"77": [0, 4, 4201]}
    with pytest.raises(InputError, match="bhist -a -l"):
        read(tmp_path, "JOBID   USER    JOB_NAME  PEND    PSUSP   RUN     USUSP\n1 u n 1 0 5 0\n")


ACCOUNTING = """\
# Version: 8.1.9
gpu.q:n1:g:alice:train:101:sge:0:1739757285:1739757290:1739760890:0:0:3600:1:1:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:ai:defaultdepartment:NONE:1:0:10:1:1:-l gpu=2,h_rt=7200 -q gpu.q:0:NONE:1:0:0
gpu.q:n1:g:alice:train:102:sge:0:1739757285:1739757290:1739760890:0:0:3600:1:1:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:NONE:defaultdepartment:mpi:4:2:10:1:1:-l gpu=1 -pe mpi 4:0:NONE:1:0:0
gpu.q:n1:g:alice:train:102:sge:0:1739757285:1739757290:1739760890:0:0:3600:1:1:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:NONE:defaultdepartment:mpi:4:2:10:1:1:-l gpu=1 -pe mpi 4:0:1.n2:1:0:0
gpu.q:n1:g:alice:train:103:sge:0:1739757285:0:0:1:0:0:1:1:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:NONE:defaultdepartment:NONE:1:0:10:1:1:-l gpu=1:0:NONE:1:0:0
"""


def test_grid_engine_accounting(tmp_path: Path) -> None:
    log = read(tmp_path, ACCOUNTING)
    assert jobs_of(log) == {"101": [0, 2, 3600], "102.2": [0, 4, 3600]}
    assert log.jobs["estimate_s"].iloc[0] == 7200
    assert [reason for _, reason in reasons(log)] == ["noise", "step", "never_started"]


QACCT = """\
==============================================================
qname        gpu.q
hostname     n1
group        g
owner        bob
project      NONE
department   defaultdepartment
jobname      x
jobnumber    55
taskid       undefined
account      sge
priority     0
qsub_time    Mon Jan  6 02:06:10 2025
start_time   Mon Jan  6 02:06:12 2025
end_time     Mon Jan  6 03:06:12 2025
granted_pe   NONE
slots        1
failed       0
exit_status  0
ru_wallclock 3600s
category     -l gpu=4 -q gpu.q
==============================================================
qname        gpu.q
owner        bob
jobnumber    56
taskid       3
qsub_time    01/06/2025 02:06:10.123
start_time   -/-
end_time     -/-
granted_pe   NONE
slots        1
category     -l gpu=4 -q gpu.q
Total System Usage
    WALLCLOCK         UTIME
"""


def test_qacct(tmp_path: Path) -> None:
    log = read(tmp_path, QACCT, time_zone="Europe/Berlin")
    assert jobs_of(log) == {"55": [0, 4, 3600]}
    assert reasons(log) == [("56.3", "never_started")]


ADS = [
    {"ClusterId": 1, "ProcId": 0, "QDate": 1739757285, "JobStartDate": 1739757385,
     "CompletionDate": 1739767385, "RemoteWallClockTime": 9000.0, "RequestGPUs": 2, "JobStatus": 4},
    {"ClusterId": 2, "ProcId": 0, "QDate": 1739757285, "JobStatus": 3, "CompletionDate": 0,
     "EnteredCurrentStatus": 1739758000, "RemoteWallClockTime": 0.0, "RequestGPUs": 2},
    {"ClusterId": 3, "ProcId": 1, "QDate": 1739757000, "JobStatus": 3, "JobStartDate": 1739757385,
     "CompletionDate": 0, "EnteredCurrentStatus": 1739758000, "RemoteWallClockTime": 600.0,
     "AssignedGPUs": "GPU-a,GPU-b", "RequestGPUs": 3},
]  # fmt: skip


def long_form(ad: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in ad.items())


def columns_form() -> str:
    names = list(dict.fromkeys(name for ad in ADS for name in ad))
    rows = [" ".join(str(ad.get(name, "undefined")) for name in names) for ad in ADS]
    return "\n".join([" ".join(names), *rows]) + "\n"


@pytest.mark.parametrize(
    "text",
    [json.dumps(ADS), "\n".join(map(long_form, ADS)), columns_form()],
    ids=["json", "l", "af"],
)
def test_htcondor(tmp_path: Path, text: str) -> None:
    log = read(tmp_path, text)
    assert jobs_of(log) == {"3.1": [0, 2, 600], "1.0": [285, 2, 9000]}
    assert reasons(log) == [("2.0", "never_started")]
    with pytest.raises(InputError, match="condor_history -json"):
        read(tmp_path, " ID     OWNER          SUBMITTED   RUN_TIME     ST COMPLETED   CMD\n")


def test_batsim(tmp_path: Path) -> None:
    jobs = [
        {"id": "w0!1", "subtime": 10, "walltime": 100, "res": 4, "profile": "1"},
        {"id": 2, "subtime": 0, "res": 4, "profile": "2"},
        {"id": 3, "subtime": 20, "res": 4, "profile": "3"},
    ]
    profiles = {
        "1": {"type": "delay", "delay": 20.5},
        "2": {"type": "parallel_homogeneous", "cpu": 1e6, "com": 0},
        "3": {"type": "composed", "repeat": 2, "seq": ["1", "1"]},
    }
    log = read(tmp_path, json.dumps({"nb_res": 8, "jobs": jobs, "profiles": profiles}))
    assert jobs_of(log) == {"w0!1": [10, 4, 20.5], "3": [20, 4, 82.0]}
    assert reasons(log) == [("2", "run_not_recorded")]


def test_gavel_is_refused_and_spot_jobs_are_read(tmp_path: Path) -> None:
    line = "ResNet-18 (batch size 32)\tpython3 main.py\t%s\t--n\t0\t1000\t2\t1.0\t-1.0\t5.0\n"
    with pytest.raises(InputError, match="steps of a job but not its run time"):
        read(tmp_path, line, time_zone="UTC")
    head = "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration"
    spot = read(tmp_path, f"{head},job_type\nj1,1,A10,8,1,4,0,3600,HP\nj2,1,A10,8,8,2,30,60,Spot\n")
    assert jobs_of(spot) == {"j1": [0, 4, 3600], "j2": [30, 16, 60]}


def test_the_command_for_each_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    for name, command in COMMANDS.items():
        with pytest.raises(SystemExit):
            main(["trace", "--command", name])
        assert capsys.readouterr().out.strip() == command
    assert main(["replay", "--command", "slrum"]) == 2
