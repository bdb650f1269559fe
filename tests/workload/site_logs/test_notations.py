"""One job in many notations: languages, separators, dates, numbers and encodings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs
from clustersim.workload.readers.site_logs.numbers import with_plain_numbers

SUBMIT = pd.Timestamp("2025-03-01 10:00:00", tz="UTC")


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Any:
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_jobs(path, **{"time_zone": "UTC", **options})


def expect_the_job(log: Any, run_s: float = 3600.0) -> None:
    """Check that the log has job 1: submitted at 10:00, with eight accelerators for `run_s`."""
    assert log.jobs["job_id"].astype(str).tolist() == ["1"]
    submit = pd.Timestamp(log.origin) + pd.Timedelta(seconds=float(log.jobs["submit_s"].iloc[0]))
    assert submit == SUBMIT
    assert log.jobs["n_accelerators"].tolist() == [8]
    assert log.jobs["duration_s"].tolist() == [run_s]


DAY = "2025-03-01"
CELLS = f"{DAY} 10:00:00,{DAY} 10:05:00,{DAY} 11:05:00,8"


@pytest.mark.parametrize(
    "names",
    [
        "作业号,提交时间,开始时间,结束时间,GPU数",
        "任务编号,创建时间,启动时间,完成时间,GPU卡数",
        "ジョブID,投入時刻,開始時刻,終了時刻,GPU数",
        "作業編號,提交時間,開始時間,結束時間,GPU數",
        "Auftrags-ID,Eingereicht,Gestartet,Beendet,Anzahl GPUs",
        "Job-Nr.,Eingereicht am,Gestartet am,Beendet am,Anzahl GPUs",
        "ID tâche,Date de soumission,Date de début,Date de fin,Nombre de GPU",
        "id_trabajo,fecha_envio,fecha_inicio,fecha_fin,num_gpus",
        "COBALT_JOBID,QUEUED_TIMESTAMP,START_TIMESTAMP,END_TIMESTAMP,GPUS",
        "Job ID,Submitted (UTC),Started (UTC),Ended (UTC),GPUs",
    ],
)
def test_names_of_columns(tmp_path: Path, names: str) -> None:
    expect_the_job(read(tmp_path, f"{names}\n1,{CELLS}\n"))


def test_a_column_can_tell_that_its_times_are_in_utc(tmp_path: Path) -> None:
    text = f"id,submit_utc,start_utc,end_utc,gpus\n1,{CELLS}\n"
    expect_the_job(read(tmp_path, text, time_zone="Asia/Tokyo"))


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "gb18030", "big5", "shift_jis", "utf-8-sig"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    chinese = "作業編號,提交時間,開始時間,結束時間,GPU數"
    names = {
        "gb18030": "作业号,提交时间,开始时间,结束时间,GPU数",
        "shift_jis": "ジョブID,投入時刻,開始時刻,終了時刻,GPU数",
    }
    expect_the_job(read(tmp_path, f"{names.get(encoding, chinese)}\n1,{CELLS}\n".encode(encoding)))


SACCT = f"""\
JobID|User|Submit|Start|End|State|AllocTRES
1|a|{DAY}T10:00:00|{DAY}T10:05:00|{DAY}T11:05:00|CANCELLED by 7|cpu=64,gres/gpu:h100=8,gres/gpu=8
2|a|{DAY}T10:00:00|Unknown|Unknown|PENDING|
"""


@pytest.mark.parametrize("separator", [",", ";", "\t", "@", "::", "~~", "#", "&", "_|_", "\x1f"])
@pytest.mark.parametrize("header", [True, False])
def test_separators(tmp_path: Path, separator: str, header: bool) -> None:
    names, rows = SACCT.split("\n", 1)
    text = (SACCT if header else rows).replace("|", separator)
    log = read(tmp_path, text, columns=None if header else names.replace("|", ","))
    expect_the_job(log)
    assert log.left_out_table()["reason"].tolist() == ["never_started"]


@pytest.mark.parametrize(
    "command",
    ["[ops@login ~]$ sacct -a -X -P --format={0}", "$ sacct -aXPo {0}", "# sacct -o {0} -P -X -a"],
)
@pytest.mark.parametrize("separator", ["|", ","])
def test_a_command_that_was_pasted_is_no_header(
    tmp_path: Path, command: str, separator: str
) -> None:
    names = SACCT.split("\n", 1)[0].replace("|", ",")
    text = command.format(names) + "\n" + SACCT.replace("|", separator)
    log = read(tmp_path, text)
    expect_the_job(log)
    assert log.left_out_table()["reason"].tolist() == ["noise", "never_started"]


def test_a_header_that_was_sorted_to_the_end(tmp_path: Path) -> None:
    lines = sorted(line for line in SACCT.split("\n") if line)
    assert lines[-1].startswith("JobID")
    log = read(tmp_path, "\n".join(lines) + "\n")
    expect_the_job(log)
    assert log.left_out_table()["reason"].tolist() == ["never_started"]


def test_columns_of_fixed_width_without_a_header(tmp_path: Path) -> None:
    """Colons of times are no separators, and blanks in a state and empty cells stay in place."""
    names, *rows = (line.split("|") for line in SACCT.split("\n") if line)
    widths = [max(len(row[place]) for row in rows) for place in range(len(names))]
    lines = (
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    expect_the_job(read(tmp_path, "\n".join(lines) + "\n", columns=",".join(names)))


def test_quotes_without_a_header(tmp_path: Path) -> None:
    text = f'1,"a, b",{CELLS}\n2,"c",{CELLS}\n'
    log = read(tmp_path, text, columns="JobID,Name,Submit,Start,End,GPUs")
    assert log.jobs["n_accelerators"].tolist() == [8, 8]


def test_numbers_of_several_clusters_are_different_jobs(tmp_path: Path) -> None:
    names, row, _ = SACCT.strip().split("\n")
    text = f"{names}|Cluster\n{row}|east\n{row}|west\n"
    assert read(tmp_path, text).jobs["duration_s"].tolist() == [3600, 3600]


def test_drawn_tables_and_colours(tmp_path: Path) -> None:
    drawn = "\n".join(f"│ {line.replace('|', ' │ ')} │" for line in SACCT.split("\n") if line)
    expect_the_job(read(tmp_path, f"┌──┬──┐\n\x1b[1m{drawn}\x1b[0m\n└──┴──┘\n"))


@pytest.mark.parametrize(
    "times",
    [
        ("01.03.2025 10:00", "01.03.2025 10:05", "01.03.2025 11:05"),
        ("Mar 1, 2025, 10:00:00 AM", "Mar 1, 2025, 10:05:00 AM", "Mar 1, 2025, 11:05:00 AM"),
        ("Sat, 01 Mar 2025 11:00:00 +0100", "1 Mar 2025 10:05", "Sat, 01 Mar 2025 11:05:00 GMT"),
        ("01-MAR-25 10.00.00.000000 AM", "01-MAR-25 10.05.00 AM", "01-MAR-25 11.05.00 AM"),
        ("20250301100000", "20250301100500", "20250301110500"),
        ("20250301T100000Z", "20250301T100500Z", "20250301T110500Z"),
        ("2025年3月1日 10:00:00", "2025年3月1日 10时05分", "2025年3月1日 11:05"),
        ("45717.4166666667", "45717.4201388889", "45717.4618055556"),
    ],
)
def test_dates(tmp_path: Path, times: tuple[str, ...]) -> None:
    cells = ",".join(f'"{time}"' for time in times)
    expect_the_job(read(tmp_path, f"id,submitted,started,ended,gpus\n1,{cells},8\n"))


@pytest.mark.parametrize(
    ("layout", "zone", "noted"),
    [("%m/%d/%Y %H:%M", "America/New_York", "month"), ("%d/%m/%Y %H:%M", "Europe/Paris", "day")],
)
def test_the_order_of_day_and_month(tmp_path: Path, layout: str, zone: str, noted: str) -> None:
    """The log itself decides if it spans days; else the zone, with a note."""
    head = "id,submitted,started,ended,gpus\n"
    days = [pd.Timestamp("2025-03-01 10:00"), pd.Timestamp("2025-03-04 10:00")]

    def row(day: pd.Timestamp, place: int) -> str:
        hours = (day + pd.Timedelta(hours=each) for each in (0, 1, 2))
        return f"{place}," + ",".join(f"{hour:{layout}}" for hour in hours) + ",8\n"

    alone = read(tmp_path, head + row(days[0], 1), time_zone=zone)
    assert f"with the {noted} first" in " ".join(alone.notes)
    assert alone.origin.strftime("%m-%d") == "03-01"
    other = "Europe/Paris" if zone.startswith("America") else "America/New_York"
    both = read(tmp_path, head + row(days[0], 1) + row(days[1], 2), time_zone=other)
    assert both.jobs["submit_s"].tolist() == [0, 3 * 86400]
    assert both.origin.strftime("%m-%d") == "03-01"


def test_a_date_and_a_time_of_day_in_two_columns(tmp_path: Path) -> None:
    names = "job_id,submit_date,submit_time,start_date,start_time,end_date,end_time,gpus"
    cells = f"1,{DAY},10:00:00,{DAY},10:05:00,{DAY},11:05:00,8"
    expect_the_job(read(tmp_path, f"{names}\n{cells}\n"))


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        ("1h 0m 0s", 3600), ("PT1H", 3600), ("1-02:03:04.5", 93784.5), ("1 day, 2:03:04", 93784),
        ("0 days 01:00:00", 3600), ("P1DT2H", 93600), ("2小时3分", 7380), ("1,5 h", 5400),
    ],
)  # fmt: skip
def test_lengths(tmp_path: Path, length: str, seconds: float) -> None:
    text = f'id,submitted,queue wait,run time,gpus\n1,{DAY} 10:00:00,5m,"{length}",8\n'
    expect_the_job(read(tmp_path, text), seconds)


def test_decimal_commas_and_thousands(tmp_path: Path) -> None:
    """Behind semicolons a comma is decimal; elsewhere the digits behind it decide."""
    semicolons = (
        f"Job-ID;Eingereicht;Wartezeit_s;Laufzeit (h);GPUs\n1;{DAY} 10:00;300,0;1,500;8,0\n"
    )
    expect_the_job(read(tmp_path, semicolons), 5400.0)
    quoted = f'id,submitted,wait_s,duration_s,gpus\n1,{DAY} 10:00,300,"3,600",8\n'
    expect_the_job(read(tmp_path, quoted))
    table = pd.DataFrame({"a": ["1,5", "1,234"], "b": ["a,b", "1"], "c": ["0,1", "0,1,2"]})
    assert with_plain_numbers(table).to_dict("list") == {
        "a": ["1.5", "1.234"],
        "b": ["a,b", "1"],
        "c": ["0,1", "0,1,2"],
    }


def test_run_times_in_milliseconds_beside_such_times(tmp_path: Path) -> None:
    head, start = "jobId,submitTime,startTime,duration,gpuCount\n", "1740823200000,1740823500000"
    log = read(tmp_path, f"{head}1,{start},3600000,8\n")
    expect_the_job(log)
    assert "duration is read as milliseconds" in " ".join(log.notes)
    expect_the_job(read(tmp_path, f"{head}1,{start},3600,8\n"))


def test_what_was_allocated_counts_not_what_was_asked_for(tmp_path: Path) -> None:
    cells = CELLS.removesuffix(",8")
    text = f"作业ID,申请GPU数,创建时间,开始时间,结束时间,实际GPU数\n1,1,{cells},8\n"
    expect_the_job(read(tmp_path, text))


def test_three_factors(tmp_path: Path) -> None:
    cells = CELLS.removesuffix(",8")
    text = f"id,submitted,started,ended,nodes,ntasks_per_node,gpus_per_task\n1,{cells},2,4,1\n"
    log = read(tmp_path, text)
    expect_the_job(log)
    assert "nodes times ntasks_per_node times gpus_per_task" in " ".join(log.notes)


def test_numbered_resources_are_not_guessed(tmp_path: Path) -> None:
    """A dump of Slurm's database tells generic resources by numbers that differ by site."""
    text = SACCT.replace("cpu=64,gres/gpu:h100=8,gres/gpu=8", "1=64,4=1,1001=8")
    with pytest.raises(InputError, match="number of accelerators not recorded"):
        read(tmp_path, text)


@pytest.mark.parametrize("ids", ["0,1,2,3,4,5,6,7", "0-7", "[0, 1, 2, 3, 4, 5, 6, 7]"])
def test_lists_of_devices_are_counted(tmp_path: Path, ids: str) -> None:
    cells = CELLS.removesuffix(",8")
    expect_the_job(read(tmp_path, f'id,submitted,started,ended,gpu_ids\n1,{cells},"{ids}"\n'))


def test_times_that_cannot_be_read_are_shown(tmp_path: Path) -> None:
    text = SACCT.replace(f"{DAY}T10:00:00", "Ystday 10:00")
    with pytest.raises(InputError, match=r"submit: 2 cells are no times.*'Ystday 10:00'"):
        read(tmp_path, text)


def test_a_workbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save the sheet"):
        read(tmp_path, b"PK\x03\x04" + bytes(60))
