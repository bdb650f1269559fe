"""Tables whose columns have other names: what is recognised, what is asked, what was observed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import JobLog, read_jobs
from clustersim.workload.columns import Found, find_column


def read(tmp_path: Path, text: str) -> JobLog:
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    return read_jobs(path)


NAMES = {
    "job_id": ["jobid", "JobID", "job-id", "id", "job", "Job ID", "job_number", "JobIDRaw"],
    "submit_s": [
        *("submit", "submit_time", "submitTime", "submitted_at", "arrival", "arrival_time"),
        *("submission_time", "timestamp", "created_at", "submit_sec", "arrival_s"),
    ],
    "n_accelerators": [
        *("num_gpus", "gpus", "gpu_num", "n_gpus", "num_gpu", "nGPUs", "gpu_count", "gpu"),
        *("num_accelerators", "n_accelerator", "npus", "alloc_gpus", "gpus_requested"),
    ],
    "duration_s": [
        *("duration", "run_time", "runtime", "elapsed", "elapsed_time", "execution_time"),
        *("duration_sec", "runTime", "ElapsedRaw", "job_duration"),
    ],
}


@pytest.mark.parametrize(("column", "name"), [(c, n) for c, names in NAMES.items() for n in names])
def test_other_names_are_recognised_and_said(tmp_path: Path, column: str, name: str) -> None:
    columns = [name if each == column else each for each in NAMES]
    log = read(tmp_path, ",".join(columns) + "\n1,0,8,60\n2,5,4,90\n")
    assert log.jobs[list(NAMES)].to_numpy().tolist() == [[1, 0, 8, 60], [2, 5, 4, 90]]
    assert len(log.notes) == 1
    assert log.notes[0].startswith(f"{name} is read as {column}")


def test_tiresias(tmp_path: Path) -> None:
    """The columns of Tiresias' traces; `iterations` and `interval` are nothing of a jobs table."""
    log = read(
        tmp_path,
        "job_id,num_gpu,submit_time,iterations,model_name,duration,interval\n"
        "1,2,100,50000,vgg19,3600,100\n2,4,130,70000,resnet50,90,30\n",
    )
    assert log.jobs["n_accelerators"].tolist() == [2, 4]
    assert log.jobs["submit_s"].tolist() == [100, 130]
    assert log.jobs["duration_s"].tolist() == [3600, 90]
    assert log.notes == (
        "num_gpu is read as n_accelerators",
        "submit_time is read as submit_s, in seconds",
        "duration is read as duration_s, in seconds",
    )


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("duration_min", 120.0),
        ("run_time_hours", 7200.0),
        ("runtime (ms)", 0.002),
        ("elapsed_d", 172800.0),
        ("duration [h]", 7200.0),
        ("duration", 2.0),
    ],
)
def test_units_in_names(tmp_path: Path, name: str, seconds: float) -> None:
    log = read(tmp_path, f"job_id,submit_s,n_accelerators,{name}\n1,0,8,2\n")
    assert log.jobs["duration_s"].tolist() == [seconds]


def test_names_of_the_table_go_before_others(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "job_id,id,submit_s,arrival,n_accelerators,gpus,duration_s,runtime\n1,9,0,9,8,9,60,9\n",
    )
    assert log.jobs[["job_id", "submit_s", "n_accelerators", "duration_s"]].iloc[0].tolist() == [
        *(1, 0, 8, 60)
    ]
    assert log.notes == ()


@pytest.mark.parametrize(
    ("columns", "wanted", "found"),
    [
        (["job_name", "job_type"], "job_id", ["job_name"]),
        (["iterations", "interval", "num_gpu"], "n_accelerators", Found("num_gpu")),
        (["iterations", "interval"], "duration_s", []),
        (["gpus", "num_gpus"], "n_accelerators", ["gpus", "num_gpus"]),
        (["id", "jobid"], "job_id", Found("jobid")),
        (["gpu_type", "accelerators"], "n_accelerators", ["accelerators"]),
        (["gpu_type", "gpu_model"], "n_accelerators", []),
        (["walltime"], "duration_s", ["walltime"]),
        (["arrival_min"], "submit_s", Found("arrival_min", 60.0, True)),
    ],
)
def test_what_a_column_may_mean(columns: list[str], wanted: str, found: Found | list[str]) -> None:
    assert find_column(wanted, columns) == found


def test_a_column_of_types_is_no_number_of_accelerators(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n_accelerators: this column is required but absent"):
        read(tmp_path, "job_id,submit_s,gpu,duration_s\n1,0,V100,60\n")


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    log = read(tmp_path, "jobid,submit_s,n_accelerators,duration_s\n007,0,8,60\n08,1,8,60\n")
    assert log.jobs["job_id"].tolist() == ["007", "08"]


def test_dates(tmp_path: Path) -> None:
    zoned = read(
        tmp_path,
        "job_id,submit_time,n_gpus,duration\n"
        "1,2024-01-01T10:00:00+08:00,8,60\n2,2024-01-01T10:01:30+08:00,8,60\n",
    )
    assert zoned.jobs["submit_s"].tolist() == [0, 90]
    assert zoned.origin == datetime(2024, 1, 1, 10, tzinfo=timezone(timedelta(hours=8)))
    assert zoned.origin.utcoffset() == timedelta(hours=8)
    naive = read(
        tmp_path,
        "job_id,submit_time,n_gpus,duration\n1,2024-01-01 10:00:00,8,60\n",
    )
    assert naive.origin == datetime(2024, 1, 1, 10)
    assert naive.notes[1] == (
        "submit_time is read as submit_s, dates without a time zone, "
        "in seconds since the first date"
    )
    with pytest.raises(
        InputError, match=r"submit_time: 1 row has no valid date .*\(row 1: '01.02.2024 10"
    ):
        read(tmp_path, "job_id,submit_time,n_gpus,duration\n1,01.02.2024 10:00,8,60\n")


@pytest.mark.parametrize("zone", [None, "Asia/Shanghai"])
def test_types_of_dates_and_spans(tmp_path: Path, zone: str | None) -> None:
    """A Parquet file has types: dates are not numbers of nanoseconds, spans are run times."""
    submit = pd.to_datetime(["2024-01-01 10:00:00", "2024-01-01 10:01:30"]).tz_localize(zone)
    table = pd.DataFrame(
        {
            "job_id": [1, 2],
            "submit_time": submit,
            "num_gpus": [8, 8],
            "runtime": pd.to_timedelta([60, 90], unit="s"),
        }
    )
    path = tmp_path / "jobs.parquet"
    table.to_parquet(path)
    log = read_jobs(path)
    assert log.jobs["submit_s"].tolist() == [0, 90]
    assert log.jobs["duration_s"].tolist() == [60, 90]
    assert log.origin == submit[0].to_pydatetime()
    ended = table.drop(columns="runtime").assign(
        start_time=submit + pd.Timedelta(5, "s"), end_time=submit + pd.Timedelta(65, "s")
    )
    ended.to_parquet(path)
    assert read_jobs(path).jobs["duration_s"].tolist() == [60, 60]


@pytest.mark.parametrize(("scale", "unit"), [(1, "seconds"), (1000, "milliseconds")])
def test_counts_since_1970(tmp_path: Path, scale: int, unit: str) -> None:
    first = 1_700_000_000
    rows = "".join(f"{k},{(first + 60 * k) * scale},8,60\n" for k in range(3))
    log = read(tmp_path, "job_id,timestamp,n_gpus,duration\n" + rows)
    assert log.jobs["submit_s"].tolist() == [0, 60, 120]
    assert log.origin == datetime.fromtimestamp(first, UTC)
    message = f"timestamp is read as submit_s, in {unit} since 1970 (UTC), minus the first time"
    assert message in log.notes


def test_start_and_end_are_what_was_observed(tmp_path: Path) -> None:
    """`duration` is ignored where both times are there: here it counts from the submission."""
    log = read(
        tmp_path,
        "JobID,Submit,Start,End,State,NGPUs,duration\n"
        "1,2024-01-01T10:00:00,2024-01-01T10:10:00,2024-01-01T11:10:00,COMPLETED,8,4200\n"
        "2,2024-01-01T10:05:00,Unknown,2024-01-01T20:05:00,CANCELLED by 5,8,36000\n"
        "3,2024-01-01T10:06:00,2024-01-01T10:10:00,Unknown,RUNNING,8,7000\n"
        "4,2024-01-01T10:07:00,Unknown,Unknown,PENDING,8,7000\n",
    )
    assert log.jobs["duration_s"].tolist() == [3600]
    assert dict(log.dropped) == {
        "never started, or start not recorded": 2,
        "still running at the end of the log, or end not recorded": 1,
    }
    told = "duration is not end minus start (it is end minus submission): run times are end minus"
    assert any(note.startswith(told) for note in log.notes)


def test_milliseconds_with_zero_for_no_time(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "jobId,gpu_count,created_at,started_at,finished_at,state\n"
        "1,8,1700000000000,1700000001000,1700000002500,SUCCEEDED\n"
        "2,8,1700000001000,0,1700000009000,CANCELLED\n3,8,1700000001000,1700000001000,,RUNNING\n",
    )
    assert log.jobs["duration_s"].tolist() == [1.5]
    assert sum(log.dropped.values()) == 2


HEADER = "job_id,submit_s,n_accelerators,duration_s,status"


def test_states_of_a_recorded_log(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        f"{HEADER}\n1,0,8,60,COMPLETED\n2,1,8,60,RUNNING\n3,2,8,60,PENDING\n"
        "4,3,8,60,CANCELLED by 12\n5,4,8,60,running\n6,5,8,60,Queued\n7,6,8,60,failed\n",
    )
    assert log.jobs["job_id"].tolist() == [1, 4, 7]
    assert dict(log.dropped) == {
        "still running at the end of the log, or end not recorded": 2,
        "never started, or start not recorded": 2,
    }


def test_pods_in_the_phase_running_have_an_end(tmp_path: Path) -> None:
    """A pod's phase is the last one seen; only of those of the log's last second it says so."""
    log = read(
        tmp_path,
        f"{HEADER},start_s,end_s\n1,0,8,60,Running,0,60\n2,1,8,99,Running,1,100\n"
        "3,2,8,50,Failed,50,100\n",
    )
    assert log.jobs["job_id"].tolist() == [1, 3]
    assert dict(log.dropped) == {"still running at the end of the log, or end not recorded": 1}


def test_cancelled_before_the_start(tmp_path: Path) -> None:
    """Where a log has starts, a cancelled job without one waited, whatever its run time."""
    rows = "1,0,8,60,completed,0\n2,1,8,3600,cancelled,\n3,2,8,30,cancelled,40\n"
    log = read(tmp_path, f"{HEADER},start_s\n{rows}")
    assert log.jobs["job_id"].tolist() == [1, 3]
    without = read(
        tmp_path, f"{HEADER},start_s\n" + rows.replace(",0\n", ",\n").replace(",40", ",")
    )
    assert without.jobs["job_id"].tolist() == [1, 2, 3]


def test_a_column_named_state_of_other_things(tmp_path: Path) -> None:
    log = read(tmp_path, "job_id,submit_s,n_accelerators,duration_s,state\n1,0,8,0,Bavaria\n")
    assert log.format == "csv"
    assert log.jobs["duration_s"].tolist() == [0]


def test_what_binds_jobs_and_is_ignored_is_said(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "job_id,submit_s,n_accelerators,duration_s,gpu_spec,partition,qos\n"
        "1,0,8,60,V100M16|V100M32,a,x\n2,1,8,60,,b,x\n",
    )
    assert log.notes == (
        "columns of the log that the simulation ignores: gpu_spec (1 job)",
        "gpu_spec: jobs restricted to certain chip types can run on any chip here, with the run "
        "time of the log. 1 of them names a type that is not in the catalogue: V100M16 (1), "
        "V100M32 (1)",
        "columns of the log that only policies, clusters and quotas with a setting for them use: "
        "partition (2 jobs)",
    )


def test_types_of_chips_that_the_catalogue_lacks(tmp_path: Path) -> None:
    """A job counts once, a type once for each job that names it; known names are no lack."""
    kinds = ["T4", "A100-80GB", "H100,T4", "", "G2|T4|H100", "H100"]
    rows = [f'{k},{k},8,60,"{kind}"' for k, kind in enumerate(kinds)]
    head = "job_id,submit_s,n_accelerators,duration_s,gpu_type"
    message = read(tmp_path, "\n".join([head, *rows]) + "\n").notes[1]
    assert "any chip here, with the run time of the log" in message
    assert message.endswith("3 of them name types that are not in the catalogue: T4 (3), G2 (1)")
    known = [row for row in rows if "T4" not in row]
    message = read(tmp_path, "\n".join([head, *known]) + "\n").notes[1]
    assert message.endswith(
        "To restrict them, add a column accelerators with names from the catalogue"
    )


def test_swf_dependencies_and_partitions_are_said(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_text(
        "1 0 0 60 4 -1 -1 4 900 2048 1 1 1 -1 1 1 -1 -1\n"
        "2 5 0 60 4 -1 -1 4 900 -1 1 1 1 -1 1 2 1 30\n"
    )
    log = read_jobs(path)
    assert log.notes == (
        "columns of the log that the simulation ignores: preceding_job (1 job), "
        "req_memory_kb (1 job)",
        "columns of the log that only policies, clusters and quotas with a setting for them use: "
        "partition (2 jobs)",
    )
    assert log.jobs["preceding_job"].tolist()[1] == "1"


def test_openb_of_the_reference_logs(shared_data: Path) -> None:
    """2,388 pods were restricted to types of GPU; the note counts those that are kept."""
    log = read_jobs(shared_data / "traces" / "alibaba_openb_2023.parquet")
    kept = int(log.jobs["model_or_type"].notna().sum())
    assert any(f"model_or_type ({kept:,} jobs of 2,388 records)" in note for note in log.notes)
    assert any(
        "P100 (" in note and "name types that are not in the catalogue: T4" in note
        for note in log.notes
    )
    dropped = dict(log.dropped)
    assert dropped["never started, or start not recorded"] == 897
    assert dropped["still running at the end of the log, or end not recorded"] == 34


@pytest.mark.parametrize(
    ("column", "cells", "seconds", "unit"),
    [
        ("estimate_h", ["1", "2"], [3600.0, 7200.0], "hours"),
        ("walltime", ["100", "90"], [100.0, 90.0], "seconds"),
        ("Timelimit", ["100", "90"], [100.0, 90.0], "seconds"),
        ("TimelimitRaw", ["100", "90"], [6000.0, 5400.0], "minutes"),
        ("time_limit_min", ["100", "1.5"], [6000.0, 90.0], "minutes"),
        ("requested_time", ["100", "-1"], [100.0, 90.0], "seconds"),
        (
            "Timelimit",
            ["1-00:00:01", "02:30"],
            [86401.0, 150.0],
            "days, hours, minutes and seconds",
        ),
        (
            "Timelimit",
            ["UNLIMITED", "01:00:00"],
            [10.0, 3600.0],
            "days, hours, minutes and seconds",
        ),
    ],
)
def test_estimates_under_other_names(
    tmp_path: Path, column: str, cells: list[str], seconds: list[float], unit: str
) -> None:
    path = tmp_path / "log.csv"
    rows = [f"1,0,8,10,{cells[0]}", f"2,0,8,90,{cells[1]}"]
    path.write_text("\n".join([f"job,submit,gpus,runtime,{column}", *rows, ""]))
    log = read_jobs(path)
    assert log.jobs["estimate_s"].tolist() == seconds
    assert any(f"{column} is read as estimate_s, in {unit}" in note for note in log.notes)


def test_an_estimate_stays_and_a_doubtful_one_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("job,submit,gpus,runtime,estimate_s,walltime\n1,0,8,10,20,100\n")
    assert read_jobs(path).jobs["estimate_s"].tolist() == [20.0]
    path.write_text("job,submit,gpus,runtime,timelimit,req_time\n1,0,8,10,20,100\n")
    log = read_jobs(path)
    assert "estimate_s" not in log.jobs
    assert any(
        "estimates are ignored: timelimit or req_time may be meant" in note for note in log.notes
    )
    path.write_text("job,submit,gpus,runtime,walltime\n1,0,8,10,long\n")
    log = read_jobs(path)
    assert "estimate_s" not in log.jobs
    assert any("walltime is not used as estimate_s" in note for note in log.notes)


@pytest.mark.parametrize(
    "text",
    [
        "id,submit,n_gpus,start,end,duration\n1,0,8,10,20,99\n2,60,8,5,7,99\n",
        "job_id,submit_s,n_accelerators,start_time,duration_s\n1,0,8,10,99\n2,60,8,5,99\n",
        "job_id,submit_s,n_accelerators,start_s,duration_s\n1,0,8,10,99\n2,60,8,5,99\n",
        "job_id,submit_s,n_accelerators,start_s,duration_s,status\n"
        "1,0,8,10,99,COMPLETED\n2,60,8,5,99,COMPLETED\n",
        "id,submitted_at,gpus,started_at,ended_at\n"
        "1,2026-01-01 12:00,8,2026-01-01 12:00,2026-01-01 13:00\n"
        "2,2026-01-01 12:00,8,2026-01-01 11:00,2026-01-01 13:00\n",
        "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,"
        "submit_time,start_time,end_time,fail_time,stop_time,duration,queue,gpu_time\n"
        "s1,u,1,8,8,1,1,x,COMPLETED,2023-07-01 12:00:00+08:00,2023-07-01 12:00:00+08:00,"
        "2023-07-01 13:00:00+08:00,,,1,1,1\n"
        "s2,u,1,8,8,1,1,x,COMPLETED,2023-07-01 12:00:00+08:00,2023-07-01 11:00:00+08:00,"
        "2023-07-01 13:00:00+08:00,,,1,1,1\n",
    ],
)
def test_a_start_before_the_submission_is_reported_once(tmp_path: Path, text: str) -> None:
    notes = read(tmp_path, text).notes
    message = [note for note in notes if "before its submission" in note]
    assert len(message) == 1
    assert message[0].startswith("1 job starts before its submission in the log (row 2)")
