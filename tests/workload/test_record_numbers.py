"""Messages name records as they are in the file: the first after the header is row 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

HEADER = "job_id,submit_s,n_accelerators,duration_s,status\n"
ROWS = "1,0,8,60,completed\n2,10,0,60,completed\n3,20,8,0,failed\n4,30,8,,cancelled\n"


def csv(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + ROWS + rows)
    return path


def parquet(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "log.parquet"
    pd.read_csv(csv(tmp_path, rows)).to_parquet(path)
    return path


@pytest.mark.parametrize("write", [csv, parquet])
def test_order(tmp_path: Path, write: Callable[[Path, str], Path]) -> None:
    """Rows 2 to 4 are dropped; the problem is in records 6 and 5."""
    path = write(tmp_path, "5,40,8,60,completed\n6,35,8,60,completed\n")
    with pytest.raises(InputError) as caught:
        read_jobs(path)
    assert "row 6 (35), which comes after row 5 (40)" in str(caught.value)
    assert read_jobs(path, sort=True).jobs["job_id"].tolist() == [1, 6, 5]


def test_values(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"submit_s: 1 row with a negative value \(row 6: -3\)"):
        read_jobs(csv(tmp_path, "5,40,8,60,completed\n6,-3,8,60,completed\n"))
    with pytest.raises(InputError, match=r"submit_s: 1 row has no number \(row 5: 'soon'\)"):
        read_jobs(csv(tmp_path, "5,soon,8,60,completed\n"))
    with pytest.raises(InputError, match=r"job_id: 1 row has no value \(row 5\)"):
        read_jobs(csv(tmp_path, ",40,8,60,completed\n"))


def test_rows_of_models_only(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        "job_id,submit_s,n_accelerators,duration_s,model,tokens\n1,0,8,60,,\n2,0,8,60,,\n"
        "3,0,8,,llama3-8b,1e9\n4,0,8,,llama3-8b,-5\n"
    )
    with pytest.raises(
        InputError, match=r"tokens: 1 row with a value that is not positive \(row 4: -5\)"
    ):
        read_jobs(path)


def test_sorted_formats_name_the_record_of_the_file(tmp_path: Path) -> None:
    """A reader that sorts by submission, and drops a record, names the record of the file."""
    path = tmp_path / "cluster_log.csv"
    path.write_text(
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time\n"
        "1,u,v,0,1,1,COMPLETED,2020-06-09 18:00:09,2020-06-09 18:41:02,2020-06-09 18:51:02\n"
        "2,u,v,8,1,1,COMPLETED,2020-06-09 18:00:05,2020-06-09 18:41:02,2020-06-09 18:51:02\n"
        "3,u,v,1e30,1,1,COMPLETED,2020-06-09 18:00:00,2020-06-09 18:41:02,2020-06-09 18:51:02\n"
    )
    with pytest.raises(
        InputError, match=r"n_accelerators: 1 row with a value that is too large \(row 3: 1e\+30"
    ):
        read_jobs(path)


def test_swf(tmp_path: Path) -> None:
    """Comments are no records; rows of parts of jobs and of no run time are."""
    line = "{} {} 0 {} 4 -1 -1 4 900 -1 {} 1 1 -1 1 1 -1 -1\n"
    path = tmp_path / "log.swf"
    path.write_text(
        "; Version: 2.2\n"
        + line.format(1, 0, 60, 1)
        + "; in the midst\n"
        + line.format(2, 5, 60, 2)
        + line.format(3, 6, -1, 5)
        + line.format(4, 40, 60, 1)
        + line.format(5, 30, 60, 1)
    )
    with pytest.raises(InputError, match=r"row 5 \(30\), which comes after row 4 \(40\)"):
        read_jobs(path)


def test_philly(tmp_path: Path) -> None:
    gpus = [{"ip": "m", "gpus": ["gpu0"]}]
    run = {"start_time": "2017-10-07 01:12:00", "end_time": "2017-10-07 01:13:00", "detail": gpus}
    jobs = [
        {"jobid": None, "attempts": [run], "submitted_time": "2017-10-07 01:12:00"},
        {"jobid": "b", "attempts": [], "submitted_time": "2017-10-07 01:00:00"},
        {"jobid": "c", "attempts": [run], "submitted_time": "2017-10-07 01:01:00"},
    ]
    path = tmp_path / "cluster_job_log"
    path.write_text(json.dumps(jobs))
    with pytest.raises(InputError, match=r"job_id: 1 row has no value \(row 1\)"):
        read_jobs(path)


def test_pai_names_the_first_task_of_a_job(tmp_path: Path) -> None:
    path = tmp_path / "pai_task_table.csv"
    path.write_text(
        "j1,worker,1.0,Terminated,110.0,200.0,600.0,29.3,,\n"
        "j2,worker,1.0,Terminated,110.0,200.0,600.0,29.3,50.0,T4\n"
        "j3,worker,1e30,Terminated,100.0,205.0,600.0,29.3,50.0,T4\n"
    )
    with pytest.raises(InputError, match=r"too large \(row 3: "):
        read_jobs(path)
