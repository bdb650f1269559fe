"""`sacct` in the forms in which people have it."""

# ruff: noqa: E501 -- the lines of logs are as long as they are

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs

HEADER = "JobID|User|Submit|Start|End|ElapsedRaw|State|AllocTRES\n"


def row(job: str, *, user: str = "u", tres: str = "cpu=8,gres/gpu=8", **times: str) -> str:
    given = {
        "submit": "2025-02-10T00:00:00",
        "start": "2025-02-10T01:00:00",
        "end": "2025-02-10T02:00:00",
        "run": "3600",
        "state": "COMPLETED",
        **times,
    }
    return "|".join(
        [job, user, *(given[key] for key in ("submit", "start", "end", "run", "state")), tres]
    )


def read(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "log.txt"
    path.write_text(text)
    return read_jobs(path, **{"time_zone": "UTC", **options})


def reasons(log: Any) -> dict[str, str]:
    table = log.left_out_table()
    return dict(zip(table["row"], table["reason"], strict=True))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("bar", ["", "|"])
@pytest.mark.parametrize(
    "before", ["", "Welcome, users!\n\n[u@login ~]$ sacct -P --format=Start,End\n"]
)
def test_banners_bars_and_line_ends(tmp_path: Path, line_end: str, bar: str, before: str) -> None:
    lines = [HEADER.strip(), row("7"), "sacct: error: no connection", HEADER.strip(), row("8_1")]
    text = before + "".join(f"{line}{bar if '|' in line else ''}\n" for line in lines)
    log = read(tmp_path, text.replace("\n", line_end))
    assert log.jobs["job_id"].tolist() == ["7", "8_1"]
    assert log.jobs["duration_s"].tolist() == [3600, 3600]
    banner = len([line for line in before.split("\n") if line])
    assert sorted(reasons(log).values()) == ["noise"] * (banner + 2)


def test_what_is_no_job(tmp_path: Path) -> None:
    rows = [
        row("1"),
        row("1.batch", user=""),
        row("1+0.extern", user=""),
        row("2_[3-8%2]", start="Unknown", end="Unknown", run="0", state="PENDING", tres=""),
        row("3", end="Unknown", state="RUNNING"),
        row("4", tres="cpu=8,mem=4G,gres/ib=1"),
        row("5", tres=""),
        row("6", end="2025-02-10T01:00:00", run="0"),
        row("7", start="None", run="0", state="CANCELLED by 12", tres=""),
        row("8", submit="Unknown"),
        row("9") + "|more",
    ]
    log = read(tmp_path, HEADER + "\n".join(rows))
    assert log.jobs["job_id"].tolist() == [1]
    assert reasons(log) == {
        "1.batch": "step",
        "1+0.extern": "step",
        "2_[3-8%2]": "never_started",
        "3": "still_running",
        "4": "no_accelerator",
        "5": "size_not_recorded",
        "6": "zero_run_time",
        "7": "never_started",
        "8": "submit_not_recorded",
        "9": "malformed",
    }


def test_runs_of_a_requeued_job_are_added_up(tmp_path: Path) -> None:
    rows = [
        row("7", state="NODE_FAIL"),
        row("7", submit="2025-02-10T02:00:00", start="2025-02-10T03:00:00",
            end="2025-02-10T05:00:00", run="7200"),
        row("8"),
        row("8"),
        row("9", end="Unknown", state="RUNNING"),
        row("9"),
        row("10", state="PREEMPTED"),
        row("10", submit="2025-02-10T02:00:00", start="Unknown", end="Unknown", run="0",
            state="PENDING", tres=""),
        row("11", user="a"),
        row("11", user="b", submit="2025-02-11T00:00:00", start="2025-02-11T01:00:00",
            end="2025-02-11T02:00:00"),
    ]  # fmt: skip
    log = read(tmp_path, HEADER + "\n".join(rows))
    jobs = log.jobs.set_index(log.jobs["job_id"].astype(str))
    assert jobs["duration_s"].to_dict() == {
        "7": 10800,
        "8": 3600,
        "9": 3600,
        "11": 3600,
        "11#2": 3600,
    }
    assert jobs.loc["7", "submit_s"] == 0
    assert jobs.loc["7", "runs_s"] == "0-3600 7200-14400"
    assert jobs.drop(index="7")["runs_s"].isna().all()
    assert "runs_s" not in read(tmp_path, HEADER + "\n".join(rows[2:])).jobs
    table = log.left_out_table()
    assert list(zip(table["row"], table["reason"], strict=True)) == [
        ("7", "merged"),
        ("8", "duplicate"),
        ("9", "duplicate"),
        ("10", "still_running"),
        ("10", "never_started"),
    ]


def test_no_header(tmp_path: Path) -> None:
    names = HEADER.strip().replace("|", ",")
    log = read(tmp_path, row("1") + "\n" + row("1.0") + "\n", columns=names)
    assert log.jobs["n_accelerators"].tolist() == [8]
    assert reasons(log) == {"1.0": "step"}
    fixed = "\n".join(
        f"{job:>12} {user:>9} 2025-02-10T00:00:00 2025-02-10T01:00:00 2025-02-10T02:00:00 "
        f"      3600 {state:>10} cpu=8,gres/gpu=8"
        for job, user, state in (("1", "u", "COMPLETED"), ("1.batch", "", "COMPLETED"))
    )
    log = read(tmp_path, fixed + "\n", columns=names)
    assert log.jobs["duration_s"].tolist() == [3600]
    assert reasons(log) == {"1.batch": "step"}


def test_columns_of_fixed_width(tmp_path: Path) -> None:
    text = (
        "       JobID      User              Submit               Start                 End    AllocGRES AllocNodes      State \n"
        "------------ --------- ------------------- ------------------- ------------------- ------------ ---------- ---------- \n"
        "           1         u 2019-05-06T00:10:01 2019-05-06T00:10:01 2019-05-06T06:10:06  gpu:titan:2          3 CANCELLED+ \n"
        "           2         u 2019-05-06T00:10:01 2019-05-06T00:10:01 2019-05-06T06:10:06 gpu:gtx1080+          1  COMPLETED \n"
        "           3         u 2019-05-06T00:10:01 2019-05-06T00:10:01 2019-05-06T06:10:06                       1  COMPLETED \n"
        "10000123_10+         u 2019-05-06T00:10:02 2019-05-06T00:10:02 2019-05-06T06:10:06        gpu:1          1  COMPLETED \n"
        "10000123_10+         u 2019-05-06T00:10:03 2019-05-06T00:10:03 2019-05-06T06:10:06        gpu:1          1  COMPLETED \n"
    )
    log = read(tmp_path, text)
    assert log.jobs["n_accelerators"].tolist() == [6, 1, 1]
    assert reasons(log) == {"2": "size_not_recorded", "3": "no_accelerator"}


def test_elapsed_decides_at_a_change_of_the_clocks(tmp_path: Path) -> None:
    def at(clock: str) -> str:
        return f"2025-10-26T{clock}:00"

    rows = [
        row("1", submit=at("01:00"), start=at("01:30"), end=at("02:30"), run="3600"),
        row("2", submit=at("02:10"), start=at("02:20"), end=at("02:10"), run="3000"),
        row("3", submit=at("02:50"), start=at("02:55"), end=at("03:30"), run="5700"),
        row("4", submit=at("02:05"), start=at("02:55"), end=at("03:30"), run="2100"),
    ]
    log = read(tmp_path, HEADER + "\n".join(rows), time_zone="Europe/Berlin")
    # 02:05 of job 4 comes after 02:50 of job 3, so it is the second one.
    assert log.jobs["submit_s"].tolist() == [0, 4200, 6600, 7500]
    assert log.jobs["start_s"].tolist() == [1800, 4800, 6900, 10500]
    assert log.jobs["duration_s"].tolist() == [3600, 3000, 5700, 2100]


def job_of(version: int, **changes: Any) -> dict[str, Any]:
    """Return a job as data_parser v0.0.`version` writes it."""

    def number(value: int) -> Any:
        return value if version < 39 else {"set": True, "infinite": False, "number": value}

    state = "COMPLETED" if version < 39 else ["COMPLETED"]
    return {
        "job_id": 7,
        "user": "u",
        "partition": "p",
        "array": {"job_id": 0, "task_id": number(0) if version < 39 else {"set": False}, "task": ""},
        "het": {"job_id": 0, "job_offset": number(0)},
        "time": {"submission": 1741576935, "start": 1741576936, "end": 1741583670, "elapsed": 6734,
                 "limit": number(1140)},
        "state": {"current": state, "reason": "None"},
        "tres": {"allocated": [
            {"type": "cpu", "name": "", "count": 8},
            {"type": "gres", "name": "gpu", "count": 4},
            {"type": "gres", "name": "gpu:a100", "count": 4},
        ]},
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize("version", [37, 40, 43])
def test_json(tmp_path: Path, version: int) -> None:
    jobs = [
        job_of(version),
        job_of(version, job_id=9, array={"job_id": 8, "task_id": {"set": True, "number": 1}}),
        job_of(version, job_id=12, het={"job_id": 11, "job_offset": {"set": True, "number": 1}}),
        job_of(version, job_id=13, tres={"allocated": [{"type": "cpu", "name": "", "count": 8}]}),
    ]
    log = read(tmp_path, "Last login: [today]\n" + json.dumps({"jobs": jobs, "meta": {}}, indent=1))
    assert log.jobs["job_id"].tolist() == ["7", "8_1", "11+1"]
    assert log.jobs["n_accelerators"].tolist() == [4, 4, 4]
    assert log.jobs["duration_s"].tolist() == [6734] * 3
    assert log.jobs["estimate_s"].tolist() == [68400.0] * 3
    assert reasons(log) == {"line 1": "noise", "13": "no_accelerator"}


def test_nothing_that_can_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column tells the number of accelerators"):
        read(tmp_path, HEADER.replace("|AllocTRES", "") + row("1").rpartition("|")[0])
    with pytest.raises(InputError, match=r"no usable job among 1 row \(1: uses no accelerator\)"):
        read(tmp_path, HEADER + row("1", tres="cpu=1"))


def test_times_that_nothing_decides_are_counted(tmp_path: Path) -> None:
    """The clocks show 02:00 to 03:00 twice; jobs 1 and 3 may be in either of the hours."""

    def at(clock: str) -> str:
        return f"2025-10-26T{clock}:00"

    rows = [
        # Start and end are both in the hour, and ten minutes apart in either.
        row("1", submit=at("01:50"), start=at("02:10"), end=at("02:20"), run="600"),
        # The start is before the second hour, so the submission is in the first.
        row("2", submit=at("02:35"), start=at("02:36"), end=at("03:30"), run="6840"),
        # The run time puts the start into the second hour; the submission may be in both.
        row("3", submit=at("02:38"), start=at("02:40"), end=at("03:30"), run="3000"),
        row("4", submit=at("03:40"), start=at("03:50"), end=at("04:50"), run="3600"),
    ]
    notes = read(tmp_path, HEADER + "\n".join(rows), time_zone="Europe/Berlin").notes
    (note,) = [note for note in notes if "show twice" in note]
    assert note.startswith("6 times are in an hour")
    assert "for 2 jobs nothing does, and the first of both hours is assumed" in note
