"""Folders of studies that cannot be used, and options that make no sense."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.cli.main import main
from tests.bad_input.study_files import RUN, assert_one_line, write_study

Refuse = Callable[..., str]
REDO = ["run", "--from", "done", "--out", "redone", "--run"]


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> str:
    """The folder `done` of a study that is done; return the hash of one of its runs."""
    write_study({"parameters": {"workload.load": [0.5]}, "plots": [{"kind": "warm-up"}]})
    assert main(["study", "study.yaml", "--out", "done", "--workers", "1"]) == 0
    capsys.readouterr()
    with sqlite3.connect("done/runs.sqlite") as store:
        key: str = store.execute("SELECT key FROM runs ORDER BY key").fetchone()[0]
    store.close()
    return key


def test_folder_that_is_something_else(refuse: Refuse) -> None:
    write_study({})
    Path("out").write_text("x")
    assert_one_line(refuse(RUN, "out: exists and is not a folder"))
    below = ["study", "study.yaml", "--out", "out/below"]
    assert_one_line(refuse(below, "out/below: cannot be created: a part of its path is a file"))
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(b"x")
    for options in ([], ["--resume"]):
        photos = ["study", "study.yaml", "--out", "photos", *options]
        assert_one_line(refuse(photos, "photos: exists and is not the folder of a study"))


def test_folder_of_another_study(refuse: Refuse, done: str) -> None:
    assert done
    again = ["study", "study.yaml", "--out", "done"]
    assert_one_line(refuse(again, "done: contains the study 'small'; continue it with --resume"))
    write_study({"name": "other"})
    assert_one_line(refuse([*again, "--resume"], "contains the study 'small', not 'other'"))


STORES = {
    "garbage": ("", "done/runs.sqlite: is not a usable store of runs: file is not a database"),
    "foreign": ("CREATE TABLE songs (title)", "done/runs.sqlite: is not a usable store of runs"),
    "later": (
        "CREATE TABLE about (name, value); INSERT INTO about VALUES ('format', '99')",
        "done/runs.sqlite: has format 99, but this version reads format 6",
    ),
}


@pytest.mark.parametrize("case", STORES)
def test_store_that_cannot_be_read(
    refuse: Refuse, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    script, words = STORES[case]
    Path("done").mkdir()
    if script:
        store = sqlite3.connect("done/runs.sqlite")
        store.executescript(script)
        store.close()
    else:
        Path("done/runs.sqlite").write_bytes(b"no database" * 100)
    assert_one_line(refuse([*REDO, "0123"], words))
    held = Path("done/runs.sqlite").read_bytes()
    write_study({})
    assert main(["study", "study.yaml", "--out", "done", "--resume"]) == 2
    assert words in capsys.readouterr().err
    assert Path("done/runs.sqlite").read_bytes() == held, "a store that is not ours is left alone"


def test_broken_study_file_in_a_folder(refuse: Refuse, done: str) -> None:
    assert done
    Path("done/study.yaml").write_text("name: [1\n")
    again = ["study", "study.yaml", "--out", "done", "--resume"]
    assert_one_line(refuse(again, "done/study.yaml: is not valid YAML"))


def test_run_that_there_is_not(refuse: Refuse, done: str) -> None:
    assert_one_line(
        refuse(
            [*REDO, "nonsense"],
            "done: has no run 'nonsense'; its runs are ",
            "see the column `run`",
        )
    )
    assert_one_line(refuse([*REDO, f"x{done[1:]}"], "has no run", f"did you mean {done}"))
    message = "--set, --checkpoints, --storage, --network and --seed cannot be used with --run"
    assert_one_line(refuse([*REDO, done, "--seed", "3"], message))
    nowhere = ["run", "--from", "nowhere", "--run", done, "--out", "redone"]
    assert_one_line(refuse(nowhere, "nowhere: has no runs.sqlite; is it the folder of a study?"))
    taken = ["run", "--from", "done", "--run", done, "--out", "done"]
    assert_one_line(refuse(taken, "done: exists already"))


def test_half_of_what_a_redone_run_needs(refuse: Refuse) -> None:
    write_study({})
    together = "--from DIR and --run HASH must be given together"
    assert_one_line(refuse(["run", "--from", "done", "--out", "redone"], together))
    assert_one_line(refuse(["run", "study.yaml", "--run", "ab", "--out", "redone"], together))
    either = "needs either SCENARIO.yaml, or --from DIR with --run HASH"
    assert_one_line(refuse(["run", "--out", "redone"], either))
    both = ["run", "study.yaml", "--from", "done", "--run", "ab", "--out", "redone"]
    assert_one_line(refuse(both, either))


def test_a_study_is_not_a_scenario(refuse: Refuse) -> None:
    write_study({})
    refuse(["run", "study.yaml", "--out", "out"], "base: unknown key", "cluster: is required")


OPTIONS: dict[str, tuple[list[str], str]] = {
    "no worker": (["--workers", "0"], "workers: must be 1 or more, found 0"),
    "workers in words": (["--workers", "two"], "--workers: must be a whole number, found 'two'"),
    "nonsense for a scheduler": (
        ["--dask", "nonsense"],
        "--dask: must be a scheduler's address such as tcp:",
    ),
    "workers here and there": (["--workers", "2", "--dask", "x"], "not allowed with"),
    "pictures as JPEG": (["--format", "jpg"], "--format: unknown format 'jpg'"),
    "pictures as nothing": (["--format", ""], "--format: unknown format ''"),
    "misspelt path": (["--set", "workload.jbs=5"], "did you mean 'jobs'"),
    "no value": (["--set", "workload.jobs"], "--set workload.jobs: must be path.to.field=value"),
    "no jobs": (["--set", "workload.jobs=0"], "set: workload.jobs: "),
    "what varies": (
        ["--set", "workload.load=0.3"],
        "workload.load has no effect, because it varies",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_option(refuse: Refuse, case: str) -> None:
    if case == "nonsense for a scheduler":
        pytest.importorskip("distributed")
    options, words = OPTIONS[case]
    write_study({})
    refuse(["study", "study.yaml", "--out", "out", *options], words)


def test_report_of_no_study(refuse: Refuse) -> None:
    Path("empty").mkdir()
    assert_one_line(refuse(["report", "nowhere"], "nowhere: no such folder"))
    refuse(["report", "empty"], "empty: ", "is it the folder of a study?")
