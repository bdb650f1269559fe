"""Every reader on a small facsimile of its format, broken rows included."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

SWF = """\
; Version: 2.2
; UnixStartTime: 843120000
; TimeZoneString: Europe/Stockholm
; MaxProcs: 100
1 0 10 600 4 -1 -1 8 900 -1 1 3 1 -1 2 1 -1 -1
2 5 -1 60 -1 -1 -1 8 -1 -1 0 4 1 -1 -1 1 -1 -1
3 7 0 -1 4 -1 -1 4 900 -1 5 4 1 -1 1 1 -1 -1
4 9 0 0 4 -1 -1 4 900 -1 1 4 1 -1 1 1 -1 -1
5 9 0 50 -1 -1 -1 -1 900 -1 1 4 1 -1 1 1 -1 -1
6 11 3 30 2 -1 -1 2 20 -1 2 4 1 -1 1 1 -1 -1
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_swf(tmp_path: Path) -> None:
    log = read_jobs(write(tmp_path / "log.swf", SWF))
    assert log.format == "swf"
    assert log.rows_read == 6
    assert dict(log.dropped) == {
        "one run of a swapped-out job (status 2 to 4)": 1,
        "number of accelerators not recorded": 1,
        "no run time recorded": 1,
        "run time of 0 s": 1,
    }
    jobs = log.jobs
    assert jobs["job_id"].tolist() == [1, 2]
    assert jobs["n_accelerators"].tolist() == [4, 8]  # allocated, else requested
    assert jobs["duration_s"].tolist() == [600, 60]
    assert jobs["estimate_s"].tolist() == [900, 60]  # unknown: the run time
    assert jobs["start_s"].tolist()[0] == 10
    assert jobs["start_s"].isna().tolist() == [False, True]
    assert jobs["user"].tolist() == ["3", "4"]
    assert jobs["status"].tolist() == ["completed", "failed"]
    assert any("1 job has no estimate" in note for note in log.notes)
    assert log.origin is not None
    assert log.origin.isoformat() == "1996-09-19T10:00:00+02:00"


def test_swf_packed_equals_plain(tmp_path: Path) -> None:
    plain = read_jobs(write(tmp_path / "log.swf", SWF))
    (tmp_path / "log.swf.gz").write_bytes(gzip.compress(SWF.encode(), mtime=0))
    packed = read_jobs(tmp_path / "log.swf.gz")
    pd.testing.assert_frame_equal(plain.jobs, packed.jobs)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7 12 0 60 4", "line 11 is not a job of the Standard Workload Format: found 5 fields"),
        ("7 12 0 60 4 -1 -1 8 900 -1 1 3 1 -1 2 1 -1 -1 9", "19 fields"),
        (
            "7 12 0 sixty 4 -1 -1 8 900 -1 1 3 1 -1 2 1 -1 -1",
            r"field 4 \(duration_s\) is 'sixty'; a number is needed",
        ),
    ],
)
def test_swf_line_that_is_no_job(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_jobs(write(tmp_path / "log.swf", SWF + line + "\n"))


def test_swf_clip_to_estimate(tmp_path: Path) -> None:
    text = SWF.replace("1 0 10 600 4 -1 -1 8 900", "1 0 10 600 4 -1 -1 8 500")
    path = write(tmp_path / "log.swf", text)
    assert read_jobs(path).jobs["duration_s"].tolist() == [600, 60]
    clipped = read_jobs(path, clip_to_estimate=True)
    assert clipped.jobs["duration_s"].tolist() == [500, 60]
    assert (
        "1 job ran longer than its estimate: the run time is cut at the estimate" in clipped.notes
    )


def attempt(start: str | None, end: str | None, *gpus: int) -> dict[str, object]:
    servers = [{"ip": f"m{i}", "gpus": [f"gpu{g}" for g in range(n)]} for i, n in enumerate(gpus)]
    return {"start_time": start, "end_time": end, "detail": servers}


def philly_job(name: str, submitted: str | None, *attempts: dict[str, object]) -> dict[str, object]:
    return {
        "status": "Pass",
        "vc": "abc123",
        "jobid": name,
        "attempts": list(attempts),
        "submitted_time": submitted,
        "user": "u1",
    }


PHILLY = [
    philly_job(
        "b",
        "2017-10-02 00:01:00",
        attempt("2017-10-02 00:02:00", "2017-10-02 00:03:00", 8, 8),
        attempt("2017-10-02 01:00:00", "2017-10-02 01:10:00", 8),
    ),
    philly_job(
        "a", "2017-10-02 00:00:00", attempt("2017-10-02 00:00:30", "2017-10-02 00:01:30", 1)
    ),
    philly_job("waiting", "2017-10-02 00:05:00"),
    philly_job("open", "2017-10-02 00:05:00", attempt("2017-10-02 00:06:00", None, 2)),
    philly_job(
        "no gpu", "2017-10-02 00:05:00", attempt("2017-10-02 00:06:00", "2017-10-02 00:07:00")
    ),
    philly_job("no start", "2017-10-02 00:05:00", attempt("None", "2017-10-02 00:07:00", 1)),
    philly_job("no submit", None, attempt("2017-10-02 00:06:00", "2017-10-02 00:07:00", 1)),
]


@pytest.mark.parametrize("name", ["cluster_job_log", "cluster_job_log.json"])
def test_philly(tmp_path: Path, name: str) -> None:
    log = read_jobs(write(tmp_path / name, json.dumps(PHILLY)))
    assert log.format == "philly"
    assert log.rows_read == 7
    assert dict(log.dropped) == {
        "no recorded attempt to run": 1,
        "still running at the end of the log, or last end not recorded": 1,
        "run time unknown: an attempt has no recorded start or end": 1,
        "uses no accelerator": 1,
        "submit time not recorded": 1,
    }
    assert log.jobs["job_id"].tolist() == ["a", "b"]  # by submission
    assert log.jobs["submit_s"].tolist() == [0, 60]
    assert log.jobs["start_s"].tolist() == [30, 120]
    assert log.jobs["duration_s"].tolist() == [60, 660]  # both attempts, not the wait between
    assert log.jobs["n_accelerators"].tolist() == [1, 16]
    assert log.jobs["attempts"].tolist() == [1, 2]
    assert log.notes == ("1 job changed size between attempts: the largest size is used",)
    assert log.origin == datetime(2017, 10, 2, tzinfo=ZoneInfo("America/Los_Angeles"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(PHILLY)[:-40], "is not valid JSON"),
        ('{"jobs": []}', "is a JSON object .keys jobs.; supported JSON is sacct"),
        ('[{"jobid": "x"}]', "job 1 has no list of attempts"),
        ("[]", "contains no jobs"),
        (json.dumps(PHILLY[2:3]), "no usable job among 1 row"),
    ],
)
def test_philly_faults(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_jobs(write(tmp_path / "cluster_job_log", text))


HELIOS = """\
job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue
12,uA,vcB,4,16,1,FAILED,2020-06-09 18:41:27,2020-06-09 18:42:27,2020-06-09 18:45:36,189,60
11,uA,vcA,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-09 18:51:01,600,0
13,uA,vcA,0,1,1,COMPLETED,2020-06-09 18:41:02,2020-06-09 18:41:02,2020-06-09 18:51:02,600,0
14,uA,vcA,2,1,1,CANCELLED,2020-06-09 18:41:03,,,,
15,uA,vcA,2,1,1,CANCELLED,2020-06-09 18:41:04,2020-06-09 18:41:05,2020-06-09 18:41:05,0,1
16,uA,vcA,2,1,1,TIMEOUT,None,2020-06-09 18:41:05,2020-06-09 18:41:35,30,1
"""


def test_helios(tmp_path: Path) -> None:
    log = read_jobs(write(tmp_path / "cluster_log.csv", HELIOS))
    assert log.format == "helios"
    assert log.rows_read == 6
    assert dict(log.dropped) == {
        "never started, or start not recorded": 1,
        "uses no accelerator": 1,
        "run time of 0 s": 1,
        "submit time not recorded": 1,
    }
    assert log.jobs["job_id"].tolist() == [11, 12]
    assert log.jobs["submit_s"].tolist() == [0, 26]
    assert log.jobs["start_s"].tolist() == [0, 86]
    assert log.jobs["duration_s"].tolist() == [600, 189]
    assert log.jobs["vc"].tolist() == ["vcA", "vcB"]
    assert log.origin == datetime(2020, 6, 9, 18, 41, 1, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert log.notes == (
        "columns of the log that the simulation ignores: node_num (2 jobs of 6 records), "
        "cpu_num (2 jobs of 6 records)",
    )


ACME = """\
job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue
dlc1,u1,8,64,960,Other,FAILED,{0}:58+00:00,{0}:59+00:00,2023-05-17 11:01:16+00:00,18,1.0
dlc2,u1,1,8,96,Eval,CANCELLED,2023-05-17 11:02:00+00:00,,2023-05-17 21:02:00+00:00,36000,
dlc3,u1,1,0,96,Eval,COMPLETED,{0}:00+00:00,{0}:01+00:00,2023-05-17 11:03:00+00:00,77,12.0
dlc4,u1,1,8,96,Eval,RUNNING,2023-05-17 11:03:00+00:00,2023-05-17 11:03:10+00:00,,500,10.0
dlc5,u1,1,8,96,Eval,RUNNING,{0}:00+00:00,{0}:10+00:00,2023-05-17 12:00:00+00:00,500,10.0
dlc6,u1,1,8,96,Eval,PENDING,2023-05-17 11:04:00+00:00,,,500,
dlc7,u1,1,8,96,Eval,FAILED,{0}:00+00:00,{0}:50+00:00,2023-05-17 11:00:20+00:00,20,50.0
""".format("2023-05-17 11:00")


def test_acme(tmp_path: Path) -> None:
    """Of seven records one was observed; the column `duration` counts from the submission."""
    log = read_jobs(write(tmp_path / "trace_kalos.csv", ACME))
    assert log.format == "acme"
    assert dict(log.dropped) == {
        "never started, or start not recorded": 2,
        "still running at the end of the log, or end not recorded": 2,
        "end before start": 1,
        "uses no accelerator": 1,
    }
    assert log.jobs["duration_s"].tolist() == [17]
    assert log.jobs["job_id"].tolist() == ["dlc1"]
    assert log.jobs["type"].tolist() == ["Other"]
    assert log.origin is not None
    assert log.origin.isoformat() == "2023-05-17T19:00:00+08:00"  # of the first record


def test_accounting_lacks_a_column(tmp_path: Path) -> None:
    text = HELIOS.replace("start_time", "begin_time")
    with pytest.raises(InputError, match="start_time: this column is required"):
        read_jobs(write(tmp_path / "cluster_log.csv", text))


PAI_TASKS = """\
j1,worker,2.0,Terminated,110.0,200.0,600.0,29.3,50.0,T4
j1,ps,1.0,Terminated,100.0,205.0,600.0,29.3,,
j2,tensorflow,1.0,Terminated,50.0,90.0,600.0,29.3,25.0,MISC
j3,worker,3.0,Running,60.0,,600.0,29.3,100.0,V100
j4,worker,1.0,Terminated,60.0,70.0,600.0,29.3,,
"""


def test_pai_tasks_alone(tmp_path: Path) -> None:
    log = read_jobs(write(tmp_path / "pai_task_table.csv", PAI_TASKS))
    assert log.format == "pai"
    assert dict(log.dropped) == {
        "uses no accelerator": 1,
        "still running at the end of the log, or end not recorded": 1,
    }
    assert log.rows_read == 4  # jobs, of five tasks
    assert log.jobs["job_id"].tolist() == ["j2", "j1"]
    assert log.jobs["n_accelerators"].tolist() == [1, 1]  # 25 % rounded up; 2 x 50 %
    assert log.jobs["duration_s"].tolist() == [40, 90]
    assert log.jobs["submit_s"].tolist() == [0, 60]
    assert any("no pai_job_table.csv" in note for note in log.notes)
    assert any("1 job requests a fraction of an accelerator" in note for note in log.notes)


def test_pai_with_its_job_table(tmp_path: Path) -> None:
    path = write(tmp_path / "pai_task_table.csv", PAI_TASKS)
    jobs = write(
        tmp_path / "pai_job_table.csv",
        "j1,i1,u1,Terminated,10.0,205.0\nj2,i2,u2,Terminated,40.0,90.0\nj3,i3,u1,Running,45.0,\n",
    )
    log = read_jobs(path)
    assert log.jobs["job_id"].tolist() == ["j1", "j2"]
    assert log.jobs["submit_s"].tolist() == [0, 30]
    assert log.jobs["start_s"].tolist() == [100, 40]
    assert log.jobs["user"].tolist() == ["u1", "u2"]
    with pytest.raises(InputError, match="job table, which does not state job sizes"):
        read_jobs(jobs)
    with pytest.raises(InputError, match="has 6 columns, but a table of PAI has 10"):
        read_jobs(jobs, format="pai")


OPENB = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,\
deletion_time,scheduled_time
p1,88000,1,8,1000,,Burstable,Succeeded,100,400,150
p2,4000,1,1,220,V100M16|V100M32,BE,Running,160,260,160
p3,4000,1,0,0,,BE,Running,170,260,170
p4,4000,1,1,1000,,LS,Pending,180,260,
p5,4000,1,1,1000,,LS,Running,190,500,200
"""


def test_openb(tmp_path: Path) -> None:
    log = read_jobs(write(tmp_path / "openb_pod_list_default.csv", OPENB))
    assert log.format == "openb"
    assert dict(log.dropped) == {
        "never started, or start not recorded": 1,
        "still running at the end of the log, or end not recorded": 1,
        "uses no accelerator": 1,
    }
    assert log.jobs["n_accelerators"].tolist() == [8, 1]
    assert log.jobs["duration_s"].tolist() == [250, 100]
    assert log.jobs["submit_s"].tolist() == [0, 60]
    assert log.jobs["vc"].tolist() == ["Burstable", "BE"]
    assert log.notes == (
        "1 job requests a fraction of an accelerator, which is rounded up",
        "columns of the log that the simulation ignores: gpu_spec (1 job), cpu_milli (2 jobs "
        "of 5 records), memory_mib (2 jobs of 5 records)",
        "gpu_spec: jobs restricted to certain chip types can run on any chip here, with the run "
        "time of the log. 1 of them names a type that is not in the catalogue: V100M16 (1), "
        "V100M32 (1)",
    )
    assert "  dropped 1: uses no accelerator" in log.report().splitlines()
