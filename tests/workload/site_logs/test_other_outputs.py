"""Outputs that operators have besides the usual ones, each with jobs worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

S0 = 1738573200  # 2025-02-03 09:00:00 UTC
DAY = "2025-02-03T"


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Any:
    path = tmp_path / "log.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_jobs(path, **{"time_zone": "Europe/Berlin", **options})


def jobs_of(log: Any) -> dict[str, tuple[str, int, float]]:
    """Return submission (UTC), accelerators and run time of each job."""
    base = pd.Timestamp(log.origin)
    base = base.tz_localize("UTC") if base.tzinfo is None else base.tz_convert("UTC")
    found = {}
    for row in log.jobs.to_dict("records"):
        submit = base + pd.Timedelta(seconds=float(row["submit_s"]))
        found[str(row["job_id"])] = (
            f"{submit:%H:%M:%S}",
            row["n_accelerators"],
            row["duration_s"],
        )
    return found


def reasons(log: Any) -> list[str]:
    return sorted(log.left_out_table()["reason"])


ONE = {"501": ("09:00:00", 8, 7200)}
SACCT_JSON: dict[str, Any] = {
    "job_id": 501,
    "user": "ada",
    "partition": "h100",
    "state": {"current": ["COMPLETED"]},
    "time": {"elapsed": 7200, "submission": S0, "start": S0 + 300, "end": S0 + 7500},
    "tres": {"allocated": [{"type": "gres", "name": "gpu", "id": 1001, "count": 8}]},
}
SACCT_YAML = f"""\
---
jobs:
- job_id: 501
  user: ada
  comment: {{}}
  state:
    current: [COMPLETED]
  time: {{elapsed: 7200, submission: {S0}, start: {S0 + 300}, end: {S0 + 7500}}}
  tres:
    allocated:
    - {{type: gres, name: gpu, id: 1001, count: 8}}
"""


@pytest.mark.parametrize(
    "text",
    [
        SACCT_YAML,
        json.dumps(SACCT_JSON, indent=1) + "\n" + json.dumps({**SACCT_JSON, "job_id": 502}),
        json.dumps([SACCT_JSON]),
    ],
    ids=["yaml", "jq-stream", "jq-list"],
)
def test_sacct_in_yaml_and_from_jq(tmp_path: Path, text: str) -> None:
    found = jobs_of(read(tmp_path, text))
    assert found["501"] == ONE["501"]


HITS = {
    "jobid": 501,
    "username": "ada",
    "@submit": f"{DAY}09:00:00",
    "@start": f"{DAY}09:05:00",
    "@end": f"{DAY}11:05:00",
    "elapsed": 7200,
    "partition": "h100",
    "state": "COMPLETED",
    "tres_alloc": "cpu=64,gres/gpu=8",
    "time_limit": 172800,
}


def test_times_of_jobcomp_elasticsearch_are_in_utc(tmp_path: Path) -> None:
    """The plugin writes them by gmtime, whatever the zone of the site is."""
    task = {**HITS, "jobid": 600, "array_job_id": 502, "array_task_id": 4}
    text = "\n".join(json.dumps({"_index": "slurm", "_source": one}) for one in (HITS, task))
    log = read(tmp_path, text)
    assert jobs_of(log) == {**ONE, "502_4": ("09:00:00", 8, 7200)}


DUMP = (
    "id_job\tid_array_job\tid_array_task\thet_job_id\thet_job_offset\tid_user\tpartition\tstate\t"
    "timelimit\ttime_submit\ttime_start\ttime_end\ttime_suspended\ttres_alloc\n"
    f"501\t0\t4294967294\t0\t4294967294\t7\th100\t3\t1440\t{S0}\t{S0 + 300}\t{S0 + 7800}\t300\t"
    "cpu=64,gres/gpu=8\n"
    f"777\t502\t4\t0\t4294967294\t7\th100\t6\t4294967295\t{S0}\t{S0 + 300}\t{S0 + 7500}\t0\t"
    "cpu=64,gres/gpu=2\n"
    f"503\t0\t4294967294\t0\t4294967294\t7\th100\t0\t60\t{S0}\t0\t0\t0\tNULL\n"
)


def test_a_dump_of_the_database_of_slurm(tmp_path: Path) -> None:
    log = read(tmp_path, DUMP)
    assert jobs_of(log) == {**ONE, "502_4": ("09:00:00", 2, 7200)}
    assert log.jobs["estimate_s"].tolist() == [86400, 7200]  # minutes; without a limit: the run
    assert log.jobs["status"].tolist() == ["COMPLETED", "TIMEOUT"]
    assert reasons(log) == ["never_started"]


def test_a_dump_with_numbers_instead_of_names_says_what_to_do(tmp_path: Path) -> None:
    text = DUMP.replace("cpu=64,gres/gpu=8", "1=64,1001=8").replace(
        "cpu=64,gres/gpu=2", "1=6,1002=2"
    )
    with pytest.raises(InputError, match="sacctmgr show tres"):
        read(tmp_path, text)


HEAD = "JobID|User|Cluster|Partition|Submit|Start|End|Elapsed|State|"
ROW = f"501|ada|c1|h100|{DAY}10:00:00|{DAY}10:05:00|{DAY}12:05:00|02:00:00|COMPLETED|"


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("AllocTRES", "cpu=64,gres/gpu=8"),
        ("AllocGRES|NNodes", "7696487:4|2"),  # the number of the plugin gpu
        ("ReqGRES|NNodes", "PER_NODE:gpu:a100:4|2"),
        ("Comment|AllocTRES", "first line\nsecond line|gres/gpu=8"),
    ],
    ids=["cluster", "plugin-number", "per-node", "end-of-line"],
)
def test_sacct(tmp_path: Path, names: str, cells: str) -> None:
    log = read(tmp_path, f"{HEAD}{names}\n{ROW}{cells}\n")
    assert jobs_of(log) == ONE
    assert log.jobs["partition"].tolist() == ["h100"]  # and not the column Cluster before it
    assert reasons(log) == []


@pytest.mark.parametrize(
    "times",
    [
        "03/02/25-10:00:00|03/02/25-10:05:00|13/02/25-12:05:00",
        "20250203-100000|20250203-100500|20250213-120500",
        "2025-02-03_10:00:00|2025-02-03_10:05:00|2025-02-13_12:05:00",
        "2025.02.03 10:00:00|2025.02.03 10:05:00|2025.02.13 12:05:00",
        "Feb 3, 2025 @ 10:00:00.000|Feb 3, 2025 @ 10:05:00.000|Feb 13, 2025 @ 12:05:00.000",
        "2025-02-03T10:00:00+01:00[Europe/Berlin]|2025-02-03T10:05:00+01:00[Europe/Berlin]|"
        "2025-02-13T12:05:00+01:00[Europe/Berlin]",
        "Mo 3. Feb 2025 10:00:00|Mo 3. Feb 2025 10:05:00|Do 13. Feb 2025 12:05:00",
    ],
)
def test_times(tmp_path: Path, times: str) -> None:
    log = read(tmp_path, f"JobID|Submit|Start|End|GPUs\n501|{times}|8\n")
    assert jobs_of(log) == {"501": ("09:00:00", 8, 871200)}


AD = {"ClusterId": 501, "ProcId": 0, "Owner": "ada", "QDate": S0, "JobStartDate": S0 + 300,
      "CompletionDate": S0 + 7500, "RemoteWallClockTime": 7200.0, "JobStatus": 4,
      "RequestGPUs": 8}  # fmt: skip
HELD = {**AD, "ClusterId": 502, "JobStatus": 5, "CompletionDate": 0}
REMOVED = {**AD, "ClusterId": 503, "JobStatus": 3, "CompletionDate": 0}


def condor(tmp_path: Path, text: str, **options: Any) -> None:
    """Check that one job completed, one was removed while it ran, and one is held."""
    log = read(tmp_path, text, **options)
    assert jobs_of(log) == {f"{number}.0": ("09:00:00", 8, 7200) for number in (501, 503)}
    assert reasons(log) == ["still_running"]


def test_class_ads_in_the_new_notation(tmp_path: Path) -> None:
    ads = [
        "[\n" + "".join(f"  {key} = {json.dumps(value)};\n" for key, value in ad.items()) + "]\n"
        for ad in (AD, HELD, REMOVED)
    ]
    condor(tmp_path, "".join(ads))


def test_attributes_without_a_header(tmp_path: Path) -> None:
    rows = [" ".join(str(value) for value in ad.values()) for ad in (AD, HELD, REMOVED)]
    condor(tmp_path, "\n".join(rows), columns=",".join(AD))


EVENTS = """\
000 (7.000.000) 2025-02-03 10:00:00 Job submitted from host: <10.0.0.1:9618>
...
000 (7.001.000) 2025-02-03 10:00:00 Job submitted from host: <10.0.0.1:9618>
...
001 (7.000.000) 2025-02-03 10:05:00 Job executing on host: <10.0.0.2:9618>
\tSlotName: slot1_1@n1
\tGPUs = 2
...
004 (7.000.000) 2025-02-03 10:25:00 Job was evicted.
\tPartitionable Resources :    Usage  Request Allocated
\t   Cpus                 :                 8         8
\t   Gpus                 :                 2         2
...
001 (7.000.000) 2025-02-03 11:00:00 Job executing on host: <10.0.0.2:9618>
...
012 (7.001.000) 2025-02-03 11:00:00 Job was held.
...
005 (7.000.000) 2025-02-03 12:00:00 Job terminated.
\tPartitionable Resources :    Usage  Request Allocated Assigned
\t   Cpus                 :                 8         8
\t   GPUs (Average)       :     0.50        2         2 "GPU-12,GPU-3"
...
009 (7.001.000) 2025-02-03 12:00:00 Job was aborted.
...
000 (8.000.000) 2025-02-03 10:00:00 Job submitted from host: <10.0.0.1:9618>
...
001 (8.000.000) 2025-02-03 10:05:00 Job executing on host: <10.0.0.2:9618>
...
"""


def test_the_log_of_events_of_htcondor(tmp_path: Path) -> None:
    log = read(tmp_path, EVENTS)
    assert jobs_of(log) == {"7.0": ("09:00:00", 2, 1200 + 3600)}
    assert dict(zip(*(log.left_out_table()[name] for name in ("row", "reason")), strict=True)) == {
        "7.1": "never_started",
        "8.0": "still_running",
    }


BACCT = """\
Job <501>, User <ada>, Project <p>, Status <DONE>, Queue <gpu>, Command <x>
Mon Feb  3 10:00:00 2025: Submitted from host <login>, CWD <$HOME>;
Mon Feb  3 10:05:00 2025: Dispatched 2 Task(s) on Host(s) <gn01> <gn02>, Allocated 2 Slot(s);
Mon Feb  3 12:05:00 2025: Completed <done>.

 GPU_ALLOCATION:
 HOST             TASK GPU_ID GI_ID/SIZE CI_ID/SIZE MODEL        MTOTAL
 gn01             0    0      -          -          TeslaV100    32G
                  0    1      -          -          TeslaV100    32G
                  1    1      -          -          TeslaV100    32G
 gn02             1    0      -          -          TeslaV100    32G
"""


def test_gpus_in_the_table_of_bacct(tmp_path: Path) -> None:
    """A row without a host is of the host above; two tasks share GPU 1 of gn01."""
    assert jobs_of(read(tmp_path, BACCT)) == {"501": ("09:00:00", 3, 7200)}


def test_univa_grid_engine(tmp_path: Path) -> None:
    """Months come first in qacct, and fields stand behind the category in the accounting file."""
    qacct = (
        "=====\nqname gpu.q\nowner ada\njobnumber 501\ntaskid undefined\nslots 1\n"
        "qsub_time 02/03/2025 10:00:00.000\nstart_time 02/03/2025 10:05:00.000\n"
        "end_time 02/03/2025 12:05:00.000\nru_wallclock 7200.000\ncategory -l gpu=8\n"
    )
    assert jobs_of(read(tmp_path, qacct)) == ONE
    cells = ["gpu.q", "n1", "lab", "ada", "x", "501", "sge", "0", f"{S0}000", f"{S0 + 300}000"]
    cells += [f"{S0 + 7500}000", "0", "0", "7200", *["0"] * 17, "NONE", "dep", "NONE", "1", "0"]
    cells += ["1.1", "0.0", "0.0", "-l gpu=8", "0.0", "NONE", "0.0", "0", "0", "x", "qsub -l gpu=8"]
    assert jobs_of(read(tmp_path, ":".join(cells) + "\n")) == ONE


def test_qstat_folds_lines_that_look_like_attributes(tmp_path: Path) -> None:
    text = (
        "Job Id: 501.srv\n    job_state = F\n    ctime = Mon Feb  3 10:00:00 2025\n"
        "    stime = Mon Feb  3 10:05:00 2025\n    obittime = Mon Feb  3 12:05:00 2025\n"
        "    resources_used.walltime = 02:00:00\n    Resource_List.select = 1:ngpus=8\n"
        "    Variable_List = PBS_O_HOME=/home/ada,A=1,\n\tjob_state = Q\n"
    )
    assert jobs_of(read(tmp_path, text)) == {"501.srv": ("09:00:00", 8, 7200)}


MANIFEST = f"""\
apiVersion: v1
items:
- apiVersion: batch/v1
  kind: Job
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"j"}}}}
    creationTimestamp: "{DAY}09:00:00Z"
    name: j
    namespace: ml
  spec:
    parallelism: 4
    template:
      metadata: {{}}
      spec:
        containers:
        - resources:
            limits:
              gpu.intel.com/i915: "2"
          securityContext: {{}}
  status:
    startTime: "{DAY}09:05:00Z"
    completionTime: "{DAY}11:05:00Z"
kind: List
"""


def test_yaml_may_have_json_in_it(tmp_path: Path) -> None:
    """Empty maps and the annotation of kubectl apply are JSON, the file is not."""
    log = read(tmp_path, MANIFEST)
    assert jobs_of(log) == {"ml/j": ("09:00:00", 8, 7200)}
    assert reasons(log) == []


def test_custom_columns_of_kubectl(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "NAMESPACE   NAME   CREATED                START                  END               "
        "     PARALLELISM   GPU\n"
        f"ml          j      {DAY}09:00:00Z   {DAY}09:05:00Z   {DAY}11:05:00Z   4             2\n"
        f"ml          k      {DAY}09:00:00Z   {DAY}09:05:00Z   {DAY}11:05:00Z   4             "
        "<none>\n",
    )
    assert jobs_of(log) == {"ml/j": ("09:00:00", 8, 7200)}
    assert reasons(log) == ["no_accelerator"]


def test_vertex_ai(tmp_path: Path) -> None:
    pools = [
        {"machineSpec": {"acceleratorCount": 8}, "replicaCount": "3"},
        {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"},
    ]
    job = {
        "name": "projects/1/locations/x/customJobs/501",
        "jobSpec": {"workerPoolSpecs": pools},
        "state": "JOB_STATE_SUCCEEDED",
        "createTime": f"{DAY}09:00:00Z",
        "startTime": f"{DAY}09:05:00Z",
        "endTime": f"{DAY}11:05:00Z",
    }
    assert jobs_of(read(tmp_path, json.dumps([job]))) == {"501": ("09:00:00", 24, 7200)}


CELLS = f"{DAY}10:00:00,{DAY}10:05:00,{DAY}12:05:00"


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("job,submit,start,end,gpu_hours", f"501,{CELLS},16.0"),
        ("Auftrag,Eingereicht,Start,Ende,GPU-Stunden", f"501,{CELLS},16.0"),
        ("任务ID,提交时间,开始时间,结束时间,实例数,每实例卡数", f"501,{CELLS},2,4"),
        ("Identifiant,Soumission,Début,Fin,Nombre de GPU", f"501,{CELLS},8"),
        ("job,created_on,launchedTime,completedTime,totalGpuNumber", f"501,{CELLS},8"),
        ("job,enqueue_time,dequeue_time,t_end,gpu_demand", f"501,{CELLS},8"),
        ("job,submit,start,end,instance_count,gpu_request", f"501,{CELLS},4,2"),
        ("job,submit,start,end,nodes,gpn", f"501,{CELLS},2,4"),
        ("job,submit,start,end,ranks,GPUs/rank", f"501,{CELLS},2,4"),
        ("job,submit,start,end,resources", f"501,{CELLS},cpu=4;gpu=8"),
        ("job,submit,start,hours,gpus", f"501,{DAY}10:00:00,{DAY}10:05:00,2.0,8"),
        ("job,start_time,end_time,seconds,slots,resource_pool,queued_seconds",
         f"501,{DAY}10:05:00,{DAY}12:05:00,7200.0,8,h100,300.0"),
    ],
)  # fmt: skip
def test_names_of_columns(tmp_path: Path, names: str, cells: str) -> None:
    assert jobs_of(read(tmp_path, f"{names}\n{cells}\n")) == ONE


def test_what_is_allocated_to_jobs_that_have_ended_is_nothing(tmp_path: Path) -> None:
    """Run:ai shows what is allocated now, and what was requested."""
    text = (
        "Workload,Created at,Started at,Completed at,Requested GPUs,Allocated GPUs\n"
        f"501,{CELLS},8.00,0.00\n502,{DAY}10:00:00,{DAY}10:05:00,,2.00,2.00\n"
    )
    log = read(tmp_path, text)
    assert jobs_of(log) == ONE
    assert reasons(log) == ["still_running"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({name: {"0": value} for name, value in HITS.items() if "@" not in name}
                   | {"submit": {"0": f"{DAY}10:00:00"}}),
        json.dumps({"columns": ["jobid", "submit", "elapsed", "tres_alloc"], "index": [0],
                    "data": [[501, f"{DAY}10:00:00", 7200, "gres/gpu=8"]]}),
        str({"JobID": "501", "Submit": f"{DAY}10:00:00", "Elapsed": "02:00:00",
             "AllocTRES": "gres/gpu=8", "State": "COMPLETED"}) + "\n",
        json.dumps([{"id": "501", "created": f"{DAY}10:00:00", "started": f"{DAY}10:05:00",
                     "completed": f"{DAY}12:05:00", "runtime": {"gpu_count": 8}}]),
    ],
    ids=["by-column", "split", "python", "nested"],
)  # fmt: skip
def test_tables_in_json(tmp_path: Path, text: str) -> None:
    assert jobs_of(read(tmp_path, text)) == ONE


@pytest.mark.parametrize(
    "absent",
    ["0001-01-01T00:00:00Z", "1970-01-01 01:00:00", "9999-12-31 23:59:59", "0000-00-00 00:00:00"],
)
def test_dates_that_stand_for_none(tmp_path: Path, absent: str) -> None:
    """Go's zero time, Unix time 0 in Berlin, and what databases write."""
    text = f"job,submit,start,end,gpus\n501,{CELLS},8\n502,{DAY}10:00:00,{absent},{absent},8\n"
    log = read(tmp_path, text)
    assert jobs_of(log) == ONE
    assert reasons(log) == ["never_started"]


def test_numbers_that_stand_for_no_time(tmp_path: Path) -> None:
    text = (
        f"job,submit,start,end,gpus\n501,{S0},{S0 + 300},{S0 + 7500},8\n"
        f"502,{S0},{S0 + 300},4294967295,8\n503,{S0},{S0 + 300},253402300799,8\n"
    )
    log = read(tmp_path, text)
    assert jobs_of(log) == ONE
    assert reasons(log) == ["still_running", "still_running"]


def test_a_queue_time_may_be_a_date(tmp_path: Path) -> None:
    text = f"job,queue_time,running_time,end,gpus\n501,{CELLS},8\n"
    assert jobs_of(read(tmp_path, text)) == ONE


@pytest.mark.parametrize(
    ("name", "user", "encoding"),
    [("café", "Müller", "cp1252"), ("é", "Ångström", "cp1252"), ("训练", "张三", "gb18030")],
)
def test_few_letters_beyond_ascii(tmp_path: Path, name: str, user: str, encoding: str) -> None:
    """In GB 18030, an accented letter of Windows-1252 would take the bar behind it along."""
    text = f"JobID|JobName|User|Submit|Start|End|GPUs\n501|{name}|{user}|{CELLS}|8\n"
    log = read(tmp_path, text.replace(",", "|").encode(encoding))
    assert jobs_of(log) == ONE
    assert log.jobs["user"].tolist() == [user]


def test_jobs_that_slurmctld_knows(tmp_path: Path) -> None:
    """``squeue --json`` and ``scontrol show jobs --json``: the limit is in minutes."""

    def number(value: int) -> dict[str, Any]:
        return {"set": True, "infinite": False, "number": value}

    done = {
        "job_id": 501,
        "array_job_id": number(0),
        "user_id": 7,
        "user_name": "ada",
        "job_state": ["COMPLETED"],
        "submit_time": number(S0),
        "start_time": number(S0 + 300),
        "end_time": number(S0 + 7500),
        "time_limit": number(1440),
        "tres_alloc_str": "cpu=64,gres/gpu=8,gres/gpu:h100=8",
    }
    task = {**done, "job_id": 777, "array_job_id": number(502), "array_task_id": number(4)}
    waits = {**done, "job_id": 503, "job_state": ["PENDING"], "tres_alloc_str": ""}
    runs = {**done, "job_id": 504, "job_state": ["RUNNING"], "end_time": number(S0 + 86700)}
    log = read(tmp_path, json.dumps({"jobs": [done, task, waits, runs]}))
    assert jobs_of(log) == {**ONE, "502_4": ("09:00:00", 8, 7200)}
    assert log.jobs["user"].tolist() == ["ada", "ada"]
    assert log.jobs["estimate_s"].tolist() == [86400, 86400]
    assert reasons(log) == ["never_started", "still_running"]


def test_cells_with_blanks_stand_under_the_names(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "JOBID   STAT  QUEUE  GPU_NUM SUBMIT_TIME        START_TIME         FINISH_TIME\n"
        "501     DONE  gpu    8       Feb  3 10:00 2025  Feb  3 10:05 2025  Feb  3 12:05 2025 L\n"
        "502     PEND         2       Feb  3 10:00 2025  -                  -\n",
    )
    assert jobs_of(log) == ONE
    assert reasons(log) == ["never_started"]


def test_a_log_without_a_header_asks_for_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--columns JobID,User,Submit"):
        read(tmp_path, f"501|ada|{CELLS.replace(',', '|')}|gres/gpu=8\n", time_zone=None)
