"""The jobs table as Parquet and CSV, its check, and files that are none."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.workload import check_jobs, read_jobs


def good() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "job_id": [1, 2, 3],
            "submit_s": [0, 5, 5],
            "n_accelerators": [1, 8, 16],
            "duration_s": [60.5, 0.0, 7.0],
        }
    )


def test_good_tables_pass() -> None:
    check_jobs(good(), "x")
    check_jobs(good().assign(job_id=["a", "b", "c"]), "x")
    check_jobs(good().assign(estimate_s=1.0, submit_s=[0.0, 0.5, 0.75]), "x")
    by_model = good().assign(
        duration_s=[1.0, np.nan, 2.0],
        estimate_s=[1.0, np.nan, 2.0],
        model=[None, "llama3-8b", None],
        tokens=[np.nan, 1e9, np.nan],
    )
    check_jobs(by_model, "x")


def edited(column: str, row: int, value: object) -> pd.DataFrame:
    table = good().astype({column: object})
    table.loc[row, column] = value
    return table.infer_objects()


FAULTS: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "column missing": (
        lambda: good().rename(columns={"n_accelerators": "n_accelerator"}),
        "n_accelerators: this column is required but absent; 'n_accelerator' may be meant: rename",
    ),
    "no column near": (
        lambda: good().drop(columns="duration_s"),
        "duration_s: this column is required but absent; found job_id, submit_s, n_accelerators",
    ),
    "no rows": (lambda: good().iloc[:0], "contains no jobs"),
    "column twice": (
        lambda: pd.concat([good(), good()[["job_id"]]], axis=1),
        "job_id: there is more than one column with this name",
    ),
    "submit NaN": (
        lambda: edited("submit_s", 1, np.nan),
        "submit_s: 1 row without a value (row 2)",
    ),
    "submit inf": (
        lambda: edited("submit_s", 2, np.inf),
        "submit_s: 1 row with a value that is infinite or beyond 1.8e308 (row 3: inf)",
    ),
    "submit negative": (
        lambda: edited("submit_s", 0, -1.5),
        "submit_s: 1 row with a negative value (row 1: -1.5)",
    ),
    "submit absurd": (
        lambda: edited("submit_s", 2, 3.2e11),
        "submit_s: 1 row with a value that is too large",
    ),
    "submit text": (
        lambda: edited("submit_s", 1, "noon"),
        "submit_s: 1 row has no number (row 2: 'no",
    ),
    "submit dates": (
        lambda: good().assign(submit_s=pd.to_datetime(["2020-01-01"] * 3)),
        "submit_s: must be numeric, found the type datetime64",
    ),
    "submit unsorted": (
        lambda: edited("submit_s", 2, 4),
        "submit_s: not in order in 1 place; the first is row 3 (4), which comes after row 2 (5);",
    ),
    "size zero": (
        lambda: edited("n_accelerators", 0, 0),
        "n_accelerators: 1 row with a value below 1 (row 1: 0)",
    ),
    "size negative": (
        lambda: edited("n_accelerators", 0, -3),
        "n_accelerators: 1 row with a value below 1 (row 1: -3)",
    ),
    "size fraction": (
        lambda: edited("n_accelerators", 1, 1.5),
        "n_accelerators: 1 row with a fraction of an accelerator (row 2: 1.5)",
    ),
    "size NaN": (
        lambda: edited("n_accelerators", 1, np.nan),
        "n_accelerators: 1 row without a value (row 2)",
    ),
    "size inf": (
        lambda: edited("n_accelerators", 1, np.inf),
        "n_accelerators: 1 row with a value that is infinite",
    ),
    "size absurd": (
        lambda: edited("n_accelerators", 1, 10**7 + 1),
        "n_accelerators: 1 row with a value that is too large",
    ),
    "size bool": (
        lambda: good().assign(n_accelerators=True),
        "n_accelerators: must be numeric, found the type bool",
    ),
    "duration NaN": (
        lambda: edited("duration_s", 1, np.nan),
        "duration_s: 1 row without a value (row 2)",
    ),
    "duration negative": (
        lambda: edited("duration_s", 1, -2),
        "duration_s: 1 row with a negative value (row 2",
    ),
    "duration inf": (
        lambda: edited("duration_s", 1, np.inf),
        "duration_s: 1 row with a value that is infinite",
    ),
    "duration absurd": (
        lambda: edited("duration_s", 1, 3.2e11),
        "duration_s: 1 row with a value that is too large",
    ),
    "duration text": (lambda: edited("duration_s", 1, "1h"), "duration_s: 1 row has no number"),
    "estimate negative": (
        lambda: good().assign(estimate_s=[1, 2, -1]),
        "estimate_s: 1 row with a negative value (row 3: -1)",
    ),
    "estimate NaN": (
        lambda: good().assign(estimate_s=[1, np.nan, 1]),
        "estimate_s: 1 row without a value",
    ),
    "id twice": (lambda: edited("job_id", 2, 1), "job_id: 1 id occurs more than once: 1;"),
    "text id twice": (
        lambda: good().assign(job_id=["a", "b", "a"]),
        "job_id: 1 id occurs more than once: 'a';",
    ),
    "id missing": (
        lambda: good().assign(job_id=["a", None, "c"]),
        "job_id: 1 row has no value (row 2)",
    ),
    "id fraction": (
        lambda: good().assign(job_id=[1.5, 2, 3]),
        "job_id: must be whole numbers or text, found the type float64",
    ),
    "model without tokens": (
        lambda: good().assign(duration_s=np.nan, model=None, tokens=np.nan),
        "duration_s: 3 rows without a value",
    ),
    "tokens zero": (
        lambda: good().assign(model="llama3-8b", tokens=[1e9, 0.0, 1e9]),
        "tokens: 1 row with a value that is not positive",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    make, said = FAULTS[name]
    with pytest.raises(InputError) as caught:
        check_jobs(make(), "jobs.csv")
    assert len(caught.value.problems) == 1
    assert said in str(caught.value)
    assert str(caught.value).startswith("jobs.csv: ")


def test_all_problems_at_once() -> None:
    table = good().assign(
        job_id=[1, 1, 1], submit_s=[5, np.nan, 3], n_accelerators=[0, 1, 2], duration_s=[-1, 2, 3]
    )
    with pytest.raises(InputError) as caught:
        check_jobs(table, "x")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "submit_s",
        "n_accelerators",
        "duration_s",
        "job_id",
    ]


def test_many_duplicates_are_counted() -> None:
    table = pd.concat([good().assign(job_id=range(k, k + 3), submit_s=0) for k in (0, 3, 0, 3)])
    with pytest.raises(InputError, match="6 ids occur more than once: 0, 1, 2 and 3 more"):
        check_jobs(table, "x")


def test_formats_agree(tmp_path: Path) -> None:
    table = good().assign(
        vc=["0", "1", "0"], user=["u", None, "v"], note=["x", "y", "z"], extra=[1.5, 2.5, 3.5]
    )
    table.to_parquet(tmp_path / "jobs.parquet")
    table.to_csv(tmp_path / "jobs.csv", index=False)
    table.to_csv(tmp_path / "packed.csv.gz", index=False)
    logs = [read_jobs(tmp_path / name) for name in ("jobs.parquet", "jobs.csv", "packed.csv.gz")]
    for log in logs:
        assert list(log.jobs.columns) == list(table.columns)
        assert log.jobs["n_accelerators"].dtype == np.int64
        assert log.jobs["submit_s"].dtype == np.int64
        assert log.rows_read == 3
        assert dict(log.dropped) == {}
        for name in ("job_id", "submit_s", "n_accelerators", "duration_s", "vc", "note", "extra"):
            assert log.jobs[name].tolist() == table[name].tolist()
        assert log.jobs["user"].isna().tolist() == [False, True, False]
    assert [log.format for log in logs] == ["parquet", "csv", "csv"]


def test_index_of_a_parquet_file_is_no_loss(tmp_path: Path) -> None:
    good().set_index("job_id").to_parquet(tmp_path / "jobs.parquet")
    assert read_jobs(tmp_path / "jobs.parquet").jobs["job_id"].tolist() == [1, 2, 3]


def test_ids_keep_their_zeros(tmp_path: Path) -> None:
    good().assign(job_id=["007", "7", "8"]).to_csv(tmp_path / "jobs.csv", index=False)
    assert read_jobs(tmp_path / "jobs.csv").jobs["job_id"].tolist() == ["007", "7", "8"]


def test_sort(tmp_path: Path) -> None:
    good().iloc[::-1].to_csv(tmp_path / "jobs.csv", index=False)
    with pytest.raises(InputError, match="--sort"):
        read_jobs(tmp_path / "jobs.csv")
    log = read_jobs(tmp_path / "jobs.csv", sort=True)
    assert log.jobs["job_id"].tolist() == [1, 3, 2]  # ties stay in the order of the file
    assert log.notes == ("sorted by submit time",)


def test_recorded_log(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "job_id": range(6),
            "submit_s": range(6),
            "n_accelerators": [0.46, 0, -1, 2, 2, 1],
            "duration_s": pd.array([60, 60, 60, None, 0, 30], dtype="Int64"),
            "status": "completed",
            "req_time_s": pd.array([90, 90, 90, 90, 90, None], dtype="Int64"),
        }
    )
    table.to_parquet(tmp_path / "log.parquet")
    table.to_csv(tmp_path / "log.csv", index=False)
    for name in ("log.parquet", "log.csv"):
        log = read_jobs(tmp_path / name)
        assert log.rows_read == 6
        assert dict(log.dropped) == {
            "uses no accelerator": 1,
            "number of accelerators not recorded": 1,
            "no run time recorded": 1,
            "run time of 0 s": 1,
        }
        assert log.jobs["job_id"].tolist() == [0, 5]
        assert log.jobs["n_accelerators"].tolist() == [1, 1]
        assert log.jobs["estimate_s"].tolist() == [90, 30]
        assert log.notes == (
            "1 job requests a fraction of an accelerator, which is rounded up",
            "1 job has no estimate: the run time is used as the estimate",
        )


def test_nothing_usable(tmp_path: Path) -> None:
    good().assign(status="failed", duration_s=0).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match=r"no usable job among 3 rows \(3: run time of 0 s\)"):
        read_jobs(tmp_path / "log.csv")


CSV = good().to_csv(index=False)
PACKED = gzip.compress(CSV.encode() * 50, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("jobs.csv", b"", "is empty"),
        ("jobs.csv", b" \n\n", "only blank lines"),
        ("jobs.csv", CSV.splitlines()[0].encode() + b"\n", "contains no jobs"),
        ("jobs.csv", b"\x00\x01\x02\xff" * 100, "neither Parquet nor text"),
        ("jobs.csv", "naïve".encode("latin-1"), "is not UTF-8 text"),
        ("jobs.csv", b"hello world\nthis is prose\n", "its first line is 'hello world'"),
        ("jobs.csv", CSV.encode() + b"4,5,6,7,8,9\n", "not a comma-separated table"),
        ("jobs.csv", PACKED, "is gzip-compressed, although its name does not end in .gz"),
        ("jobs.csv.gz", PACKED[: len(PACKED) // 2], "truncated or damaged"),
        ("jobs.csv.gz", CSV.encode(), "is not gzip-compressed, although its name ends in .gz"),
        ("jobs.csv.gz", gzip.compress(b"", mtime=0), "a gzip file without content"),
        ("jobs.parquet", CSV.encode(), r"is text \(it looks like csv\), although its name ends in"),
        ("jobs.parquet", b"PAR1" + b"\x15" * 200, "is a truncated or damaged Parquet file"),
        ("jobs.swf", CSV.encode(), "although its name ends in .swf"),
        ("jobs.json", CSV.encode(), "although its name ends in .json"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_jobs(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_truncated_and_misnamed_parquet(tmp_path: Path) -> None:
    good().to_parquet(tmp_path / "jobs.parquet")
    content = (tmp_path / "jobs.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-20])
    with pytest.raises(InputError, match="is a truncated or damaged Parquet file"):
        read_jobs(tmp_path / "cut.parquet")
    (tmp_path / "jobs.csv").write_bytes(content)
    with pytest.raises(InputError, match="is a Parquet file, although its name ends"):
        read_jobs(tmp_path / "jobs.csv")
    assert len(read_jobs(tmp_path / "jobs.csv", format="parquet").jobs) == 3
    with pytest.raises(InputError, match="must be in the format csv, found a parquet file"):
        read_jobs(tmp_path / "jobs.csv", format="csv")


def test_missing_file_folder_and_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_jobs(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_jobs(tmp_path)
    with pytest.raises(InputError, match="unknown format 'parqet'; did you mean 'parquet'"):
        read_jobs(tmp_path / "none.csv", format="parqet")


def test_usable_jobs_of_curie(shared_data: Path) -> None:
    log = read_jobs(shared_data / "traces" / "swf_cea_curie.parquet")
    assert log.rows_read == 312_826
    assert len(log.jobs) == 295_540
    assert log.rows_read == len(log.jobs) + sum(log.dropped.values())


@pytest.mark.parametrize("column", ["submit_s", "duration_s", "estimate_s"])
def test_a_year_in_milliseconds_is_reported(column, capsys):
    """3.2e10 ms are a year, as seconds 1,000 years, which no log spans."""
    forget_notes()
    table = good().assign(estimate_s=[1.0, 1.0, 1.0])
    table[column] = table[column].astype(float)
    check_jobs(table, "a.csv")
    assert capsys.readouterr().err == ""
    table.loc[2, column] = 3.15576e10
    check_jobs(table, "a.csv")
    message = capsys.readouterr().err
    assert message.startswith(
        f"Note: {column} is up to 31,600,000,000 s, which is 1,000 years; check that"
    )
    table.loc[2, column] = 3.15576e11 * 1.01
    with pytest.raises(InputError, match=r"too large \(row 3.*; is the value in milliseconds\?"):
        check_jobs(table, "a.csv")


def test_a_log_of_a_century_is_not_reported(capsys):
    forget_notes()
    check_jobs(edited("submit_s", 2, 99 * 365.25 * 86400), "a.csv")
    assert capsys.readouterr().err == ""
