"""Cells of logs that are no number or no time: what the message names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

ISO = "a date in ISO 8601 format is needed, such as 2026-01-31 09:00:00"
SECONDS = "a number of seconds is needed"


def table(column: str, cells: list[str], rest: dict[str, str] | None = None) -> str:
    """A CSV of jobs of which one column is given."""
    row = {"id": "", "submitted": "0", "gpus": "8", "runtime": "60", **(rest or {})}
    names = [column, *(name for name in row if name != column)]
    lines = [",".join(names)]
    for number, cell in enumerate(cells, start=1):
        values = {**row, "id": str(number), column: cell}
        lines.append(",".join(values[name] for name in names))
    return "\n".join(lines) + "\n"


def refusal(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_jobs(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "required but absent" not in message
    return message.removeprefix(f"{path}: ")


DATES = [f"2026-01-0{day} 09:00" for day in range(1, 9)]
ZONED = [f"{date}:00+08:00" for date in DATES]


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        (
            "submitted",
            [*DATES[:6], "05/01/2026 09:00", DATES[7]],
            "submitted: 1 row has no valid date (row 7: '05/01/2026 09:00'); "
            f"{ISO}, or a number of seconds in every row (the column is read as submit_s)",
        ),
        (
            "submitted",
            ["5.1.2026", "6.1.2026", "7.1.2026"],
            f"submitted: 3 rows have no valid date (row 1: '5.1.2026'); {ISO}",
        ),
        (
            "submitted",
            ["0", "60", "2026-01-05 09:00", "180"],
            "submitted: 1 row has no number (row 3: '2026-01-05 09:00'); a number of seconds is "
            "needed, as in the other rows",
        ),
        (
            "submitted",
            [DATES[0], DATES[1], "86400"],
            f"submitted: 1 row has no valid date (row 3: '86400'); {ISO}",
        ),
        (
            "submitted",
            [*ZONED[:4], DATES[4]],
            "submitted: 1 row has no offset from UTC (row 5: '2026-01-05 09:00'); give an offset "
            "in every row or in none",
        ),
        (
            "submitted",
            [*DATES[:4], ZONED[4]],
            "submitted: 1 row has an offset from UTC (row 5: '2026-01-05 09:00:00+08:00'); give",
        ),
        (
            "arrival_min",
            ["0", "1", "soon", "3"],
            "arrival_min: 1 row has no number (row 3: 'soon'); a number of minutes is needed",
        ),
        (
            "elapsed_h",
            ["1", "2", "1:30", "x"],
            "elapsed_h: 2 rows have no number (row 3: '1:30'); a number of hours is needed (the "
            "column is read as duration_s)",
        ),
        (
            "gpus",
            ["8", "8", "eight"],
            "gpus: 1 row has no number (row 3: 'eight'); a whole number is needed (the column is "
            "read as n_accelerators)",
        ),
        (
            "duration_s",
            ["1", "", "2 h"],
            f"duration_s: 1 row has no number (row 3: '2 h'); {SECONDS}",
        ),
        ("submit_s", ["0", "2026-01-05"], "submit_s: 1 row has no number (row 2: '2026-01-05'); "),
    ],
)
def test_one_cell_of_a_table(tmp_path: Path, column: str, cells: list[str], said: str) -> None:
    rest = {} if column in ("submitted", "gpus") else {"submitted": "0"}
    text = table(column, cells, rest)
    if column in ("arrival_min", "submit_s"):
        text = text.replace(",submitted,", ",note,")
    if column in ("elapsed_h", "duration_s"):
        text = text.replace(",runtime", ",note")
    assert said in refusal(tmp_path / "jobs.csv", text)


def test_start_and_end(tmp_path: Path) -> None:
    head = "id,submitted,gpus,start,end\n"
    good = "1,2026-01-01 09:00,8,2026-01-01 09:00,2026-01-01 10:00\n"
    bad = "2,2026-01-01 09:00,8,2026-01-01 09:00,soon\n"
    path = tmp_path / "a.csv"
    path.write_text(head + good + bad)
    log = read_jobs(path)
    assert log.jobs["duration_s"].tolist() == [3600]
    assert log.left_out_table()[["row", "reason"]].to_numpy().tolist() == [["2", "malformed"]]
    # Times with and without an offset are instants all the same.
    path.write_text(head + good.replace("2026-01-01 10:00", "2026-01-01 11:00:00+01:00"))
    assert read_jobs(path, time_zone="UTC").jobs["duration_s"].tolist() == [3600]


HELIOS = (
    "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
    "1,u,v,8,1,1,COMPLETED,2020-06-09 18:41:27,2020-06-09 18:42:27,2020-06-09 18:45:36,189,60\n"
    "2,u,v,8,1,1,COMPLETED,2020-06-09 18:41:27,2020-06-09 18:42:27,2020-06-09 18:45:36,189,60\n"
)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "2020-06-09 18:45:36,189,60\n",
            "09/06/2020 18:45,189,60\n",
            "end_time: 1 row has no valid time (row 2: '09/06/2020 18:45'); " + ISO,
        ),
        (
            "2020-06-09 18:41:27",
            "June 9",
            f"submit_time: 1 row has no valid time (row 2: 'June 9'); {ISO}",
        ),
        (
            "v,8,",
            "v,many,",
            "gpu_num: 1 row has no number (row 2: 'many'); a whole number is needed",
        ),
    ],
)
def test_helios(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    head, _, last = HELIOS.rpartition("\n2,")
    text = f"{head}\n2,{last.replace(right, wrong)}"
    assert refusal(tmp_path / "cluster_log.csv", text) == said


@pytest.mark.parametrize("absent", ["", "None", "Unknown", "NULL"])
def test_absent_times_are_no_problem(tmp_path: Path, absent: str) -> None:
    path = tmp_path / "cluster_log.csv"
    path.write_text(HELIOS.replace("2020-06-09 18:45:36,189,60\n2", f"{absent},189,60\n2"))
    assert dict(read_jobs(path).dropped) == {
        "still running at the end of the log, or end not recorded": 1
    }


def test_openb(tmp_path: Path) -> None:
    text = (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
        "deletion_time,scheduled_time\n"
        "a,1,1,1,1000,,LS,Succeeded,0,90,10\nb,1,1,1,half,,LS,Succeeded,0,9:30,10\n"
    )
    message = refusal(tmp_path / "openb_pod_list.csv", text)
    assert "gpu_milli: 1 row has no number (row 2: 'half'); a number is needed" in message
    assert f"deletion_time: 1 row has no number (row 2: '9:30'); {SECONDS}" in message


def test_pai(tmp_path: Path) -> None:
    text = "j,t,1,Terminated,0,60,1,1,100,T4\nk,t,1,Terminated,0,1:00,1,1,100,T4\n"
    message = refusal(tmp_path / "pai_task_table.csv", text)
    assert message == "end_time: 1 row has no number (row 2: '1:00'); a number is needed"


def test_philly(tmp_path: Path) -> None:
    attempt = {"start_time": "2017-10-09 07:01:55", "end_time": "2017-10-09 08:01:55"}
    attempt["detail"] = [{"ip": "m", "gpus": ["g"]}]  # type: ignore[assignment]
    job = {"status": "Pass", "vc": "v", "jobid": "a", "user": "u", "attempts": [attempt]}
    job["submitted_time"] = "2017-10-09 07:00:00"
    late = {**job, "jobid": "b", "attempts": [{**attempt, "end_time": "9 October"}]}
    message = refusal(tmp_path / "cluster_job_log", json.dumps([job, late]))
    assert message.startswith(
        "end_time: 1 row has no valid time (row 2: '9 October'); a time such as "
    )
    message = refusal(
        tmp_path / "cluster_job_log", json.dumps([job, {**job, "submitted_time": "10/09/2017"}])
    )
    assert "submitted_time: 1 row has no valid time (row 2: '10/09/2017')" in message


def test_a_recorded_log_with_an_end_that_is_no_number(tmp_path: Path) -> None:
    text = (
        "job_id,submit_s,n_accelerators,duration_s,status,end_s\n"
        "1,0,8,60,COMPLETED,60\n2,0,8,60,RUNNING,later\n"
    )
    message = refusal(tmp_path / "jobs.csv", text)
    assert message == f"end_s: 1 row has no number (row 2: 'later'); {SECONDS}"


@pytest.mark.parametrize(
    ("name", "unit", "seconds"),
    [
        ("runtime_min", "minutes", 60.0),
        ("runtime_mins", "minutes", 60.0),
        ("runtime_h", "hours", 3600.0),
        ("elapsed_hours", "hours", 3600.0),
        ("elapsed_hour", "hours", 3600.0),
        ("run_time_ms", "milliseconds", 1e-3),
        ("duration_us", "microseconds", 1e-6),
        ("duration_sec", "seconds", 1.0),
        ("duration", "seconds", 1.0),
        ("elapsed (h)", "hours", 3600.0),
        ("duration [days]", "days", 86400.0),
        ("durationMs", "milliseconds", 1e-3),
        ("runtimeMinutes", "minutes", 60.0),
    ],
)
def test_a_note_says_the_unit_of_every_column_of_times(
    tmp_path: Path, name: str, unit: str, seconds: float
) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(f"id,submit_min,gpus,{name}\n1,0,8,6000\n2,2,8,12000\n")
    log = read_jobs(path)
    assert f"{name} is read as duration_s, in {unit}" in log.notes
    assert "submit_min is read as submit_s, in minutes" in log.notes
    assert log.jobs["duration_s"].tolist() == pytest.approx([6000 * seconds, 12000 * seconds])
    assert log.jobs["submit_s"].tolist() == [0, 120]
