"""Logs of jobs with one thing wrong each, given to `clustersim replay`."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.simulation.result import Result
from clustersim.workload import read_jobs

Refuse = Callable[..., str]
HEADER = "job_id,submit_s,n_accelerators,duration_s\n"
GOOD = HEADER + "1,0,8,60\n2,5,8,60\n"


def replay(file: str = "jobs.csv", *more: str) -> list[str]:
    return ["replay", file, "--policy", "easy", "--accelerators", "16", "--out", "out", *more]


def parquet() -> bytes:
    packed = io.BytesIO()
    pd.read_csv(io.StringIO(GOOD)).to_parquet(packed)
    return packed.getvalue()


VALUES = {
    ("submit_s", ""): "without a value",
    ("submit_s", "nan"): "without a value",
    ("submit_s", "inf"): "infinite",
    ("submit_s", "-1"): "a negative value (row 1: -1)",
    ("submit_s", "abc"): "no number (row 1: 'abc')",
    ("submit_s", "1e30"): "too large",
    ("submit_s", "10 s"): "'10 s'",
    ("submit_s", "2020-01-01"): "'2020-01-01'",
    ("n_accelerators", ""): "without a value",
    ("n_accelerators", "0"): "a value below 1 (row 1: 0)",
    ("n_accelerators", "-1"): "a value below 1 (row 1: -1)",
    ("n_accelerators", "1.5"): "a fraction of an accelerator (row 1: 1.5)",
    ("n_accelerators", "1e30"): "too large",
    ("n_accelerators", "inf"): "infinite",
    ("n_accelerators", "eight"): "'eight'",
    ("duration_s", ""): "without a value",
    ("duration_s", "nan"): "without a value",
    ("duration_s", "-inf"): "infinite",
    ("duration_s", "-60"): "a negative value (row 1: -60)",
    ("duration_s", "1e30"): "too large",
    ("duration_s", "True"): "'True'",
    ("duration_s", "1_000"): "'1_000'",
    ("estimate_s", "-1"): "a negative value (row 1: -1)",
    ("estimate_s", "inf"): "infinite",
    ("estimate_s", "soon"): "'soon'",
    ("job_id", ""): "every job needs an id",
    ("job_id", "2"): "1 id occurs more than once: 2",
}


@pytest.mark.parametrize(("column", "value"), VALUES)
def test_bad_value(refuse: Refuse, column: str, value: str) -> None:
    row = dict.fromkeys(["submit_s", "n_accelerators", "duration_s", "estimate_s"], "1")
    row = {"job_id": "1", **row, column: value}
    rows = [",".join(row), ",".join(row.values()), "2,5,1,1,1"]
    Path("jobs.csv").write_text("\n".join(rows) + "\n")
    refuse(replay(), "jobs.csv: ", f"{column}: ", VALUES[column, value])


TABLES = {
    "empty": ("", "is empty"),
    "blank": ("\n\n", "blank lines"),
    "header only": (HEADER, "contains no jobs"),
    "misspelt column": (
        GOOD.replace("submit_s", "sumbit_s"),
        "submit_s: this column is required but absent; 'sumbit_s' may be meant: rename it",
    ),
    "no column of them": (
        "a,b\n1,2\n",
        "job_id, submit_s, n_accelerators, duration_s: these columns are required but absent; "
        "found a, b\n",
    ),
    "too many columns to list": (
        ",".join(f"c{i}" for i in range(17)) + "\n" + ",".join("1" * 17) + "\n",
        "c10, c11 and 5 more\n",
    ),
    "an id of letters like it": (
        "job_name,job_type,submit_s,n_accelerators,duration_s\na,b,0,8,60\n",
        "jobs.csv: job_id: this column is required but absent; 'job_name' may be meant: rename it "
        "to job_id\n",
    ),
    "two that may be meant": (
        GOOD.replace("duration_s", "runtime,elapsed").replace("60", "60,70"),
        "'runtime' or 'elapsed' may be meant: rename the right one to duration_s",
    ),
    "processors": (
        GOOD.replace("n_accelerators", "procs"),
        "'procs' may be meant: rename it to n_accelerators",
    ),
    "column twice": (
        HEADER.strip() + ",duration_s\n1,0,8,60,60\n",
        "duration_s: there is more than one column",
    ),
    "no header": (GOOD.removeprefix(HEADER), "has no header: its first line is '1,0,8,60'"),
    "out of order": (HEADER + "1,5,8,60\n2,0,8,60\n", "row 2 (0), which comes after row 1 (5)"),
    "id twice": (HEADER + "7,0,8,60\n7,5,8,60\n", "job_id: 1 id occurs more than once: 7"),
    "all rows too long": (HEADER + "1,1,000,8,60\n", "rows have 5 fields, but its header has 4"),
    "one row too long": (HEADER + "1,0,8,60\n2,5,8,60,9\n", "line 3"),
    "row cut short": (HEADER + "1,0\n", "n_accelerators"),
    "quote not closed": (HEADER + '"1,0,8,60\n', "not a comma-separated table"),
    "a YAML file": (
        "name: x\npools:\n  a: {nodes: 2, b: 3, c: 4}\n",
        "not a comma-separated table",
    ),
    "tokens but no chips": (
        HEADER.strip() + ",model,tokens\n1,0,8,,llama3-8b,1e9\n",
        "have a model and tokens instead of duration_s",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_table(refuse: Refuse, case: str) -> None:
    text, words = TABLES[case]
    Path("jobs.csv").write_text(text)
    refuse(replay(), "jobs", words)


PACKED = gzip.compress(GOOD.encode(), mtime=0)
FILES = {
    "text named Parquet": ("jobs.parquet", GOOD.encode(), "name ends in .parquet"),
    "Parquet named CSV": ("jobs.csv", parquet(), "name ends in .csv"),
    "Parquet cut short": ("jobs.parquet", parquet()[:-200], "truncated or damaged"),
    "Parquet of four bytes": ("jobs.parquet", b"PAR1", "truncated or damaged"),
    "Parquet in gzip": (
        "jobs.parquet.gz",
        gzip.compress(parquet(), mtime=0),
        "decompress it (gunzip) first",
    ),
    "gzip cut short": ("jobs.csv.gz", PACKED[:-6], "truncated or damaged"),
    "gzip damaged": (
        "jobs.csv.gz",
        PACKED[:20] + b"xxxxxx" + PACKED[26:],
        "truncated or damaged",
    ),
    "gzip of nothing": ("jobs.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
    "text named gzip": ("jobs.csv.gz", GOOD.encode(), "not gzip-compressed"),
    "gzip named CSV": ("jobs.csv", PACKED, "is gzip-compressed"),
    "Parquet damaged": (
        "jobs.parquet",
        parquet()[:200] + bytes(100) + parquet()[300:],
        "cannot be read",
    ),
    "binary": ("jobs.csv", bytes(range(256)), "neither Parquet nor text"),
    "a picture": ("jobs.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "neither Parquet nor text"),
    "zstd": ("jobs.csv.zst", b"\x28\xb5\x2f\xfd\x04\x00", "is a truncated or damaged zstd file"),
    "bzip2": ("jobs.csv.bz2", b"BZh91AY&SY\x00\x00", "is a truncated or damaged bzip2 file"),
    "a workbook": (
        "jobs.xlsx",
        b"PK\x03\x04\x14\x00",
        "is a workbook (Excel) or a ZIP archive: save the sheet with the jobs as CSV",
    ),
    "Batsim": (
        "jobs.json",
        b'{"nb_res": 4, "jobs": [{"id": 1, "subtime": 0, "res": 2}], "profiles": {}}',
        "only profiles of type delay tell a run time",
    ),
    "Kubernetes": ("jobs.json", b'{"apiVersion": "v1", "kind": "List"}', "is a Kubernetes List"),
    "JSON lines": ("jobs.json", b'{"a": 1}\n{"a": 2}\n', "has one JSON value per line"),
    "attempts of something else": (
        "jobs.json",
        b'[{"attempts": [null]}]',
        "job 1 has an invalid attempt",
    ),
    "SWF named CSV": ("jobs.csv", b"1 0 10 600 4" + b" 1" * 13 + b"\n", "looks like swf"),
    "SWF cut short": ("jobs.swf", b"; x\n1 0 10 600\n", "line 2 is not a job"),
    "JSON cut short": ("jobs.json", b'[{"status": 1', "not valid JSON"),
    "JSON of something else": ("jobs.json", b"[1, 2]", "Philly"),
}


@pytest.mark.parametrize("case", FILES)
def test_file_that_is_not_what_it_seems(refuse: Refuse, case: str) -> None:
    file, content, words = FILES[case]
    Path(file).write_bytes(content)
    refuse(replay(file), f"{file}: ", words)


READ = {
    "semicolons": ("jobs.csv", GOOD.replace(",", ";").encode()),
    "semicolons and decimal commas": (
        "jobs.csv",
        GOOD.replace(",", ";").replace("60", "60,0").encode(),
    ),
    "tabs": ("jobs.csv", GOOD.replace(",", "\t").encode()),
    "bars": ("jobs.csv", GOOD.replace(",", "|").encode()),
    "blanks": ("jobs.csv", GOOD.replace(",", " ").encode()),
    "UTF-16": ("jobs.csv", GOOD.encode("utf-16")),
    "UTF-16 packed": ("jobs.csv.gz", gzip.compress(GOOD.encode("utf-16"), mtime=0)),
    "UTF-16 without a mark": ("jobs.csv", GOOD.encode("utf-16-le")),
    "UTF-16, big end first": ("jobs.csv", GOOD.encode("utf-16-be")),
    "UTF-32": ("jobs.csv", GOOD.encode("utf-32")),
    "Latin-1": ("jobs.csv", GOOD.replace("1,0", "Jos\u00e9,0").encode("latin-1")),
    "bzip2": ("jobs.csv.bz2", bz2.compress(GOOD.encode())),
    "xz": ("jobs.csv.xz", lzma.compress(GOOD.encode())),
}


@pytest.mark.parametrize("case", READ)
def test_other_separators_encodings_and_packings_are_read(case: str) -> None:
    file, content = READ[case]
    Path(file).write_bytes(content)
    jobs = read_jobs(file).jobs
    for name, wanted in (
        ("submit_s", [0, 5]),
        ("n_accelerators", [8, 8]),
        ("duration_s", [60, 60]),
    ):
        assert jobs[name].tolist() == wanted


def test_missing_file_folder_and_unreadable_file(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(replay("nothing.csv"), "nothing.csv: no such file")
    Path("folder").mkdir()
    refuse(replay("folder"), "folder: is a folder")
    Path("jobs.csv").write_text(GOOD)

    def deny(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    code = main(replay())
    assert code == 2
    assert "jobs.csv: cannot be read: Permission denied" in capsys.readouterr().err


def test_jobs_that_never_run_are_in_the_table_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("jobs.csv").write_text(HEADER + "1,0,64,60\n2,5,8,60\n")
    assert main(replay()) == 0
    reason = "needs 64 accelerators, but the largest pool it may use has 16"
    assert reason in capsys.readouterr().out
    jobs = Result.load("out").jobs.set_index("job_id")
    assert jobs.loc[1, "outcome"] == "never runnable"
    assert jobs.loc[1, "reason"] == reason
    assert jobs.loc[2, "outcome"] == "finished"
    assert pd.isna(jobs.loc[2, "reason"])


def test_unknown_virtual_clusters_are_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    Path("teams.yaml").write_text(
        "name: teams\npools:\n  a:\n    accelerator: H20\n    nodes: 4\n"
        "    virtual_clusters: {vision: {nodes: 1}, speech: {nodes: 3}}\n"
    )
    rows = "1,0,8,60,vison\n2,0,8,60,vision\n3,0,16,60,vision\n4,0,1,60,\n"
    Path("jobs.csv").write_text(HEADER.strip() + ",vc\n" + rows)
    command = ["replay", "jobs.csv", "--policy", "fcfs", "--cluster", "teams.yaml"]
    assert main([*command, "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert "virtual cluster 'vison' does not exist; did you mean 'vision'" in printed
    assert "needs 16 accelerators, but virtual cluster 'vision' has 8" in printed
    assert "it names no virtual cluster" in printed
    assert Result.load("out").jobs["outcome"].value_counts()["finished"] == 1


def test_a_result_can_be_replayed_again() -> None:
    Path("jobs.csv").write_text(GOOD)
    assert main(replay()) == 0
    columns = {}
    for again in ("out2", "out3"):
        before = sorted(Path().glob("out*"))[-1] / "jobs.parquet"
        command = ["replay", str(before), "--policy", "fcfs", "--accelerators", "8"]
        assert main([*command, "--out", again]) == 0
        columns[again] = list(Result.load(again).jobs.columns)
    assert "recorded_start_s" in columns["out2"]
    assert "recorded_recorded_start_s" in columns["out3"]
    assert len(set(columns["out3"])) == len(columns["out3"])


def test_a_column_named_model_does_not_hide_recorded_durations() -> None:
    Path("jobs.csv").write_text(HEADER.strip() + ",model,tokens\n1,0,8,60,bert,5\n")
    assert main(replay()) == 0
    assert Result.load("out").jobs["finish_s"].tolist() == [60]


def test_virtual_clusters_that_the_cluster_has_not_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = "Note: 3 jobs name one of 2 virtual clusters (vc), but the cluster has none"
    rows = "1,0,8,60,a\n2,0,8,60,b\n3,0,8,60,b\n4,0,8,60,\n"
    Path("jobs.csv").write_text(HEADER.strip() + ",vc\n" + rows)
    assert main(replay()) == 0
    assert note in capsys.readouterr().out
    Path("jobs.csv").write_text(HEADER.strip() + ",vc\n" + rows.replace("b", "a"))
    assert main([*replay()[:-1], "one"]) == 0
    assert "virtual cluster" not in capsys.readouterr().out
