"""Options that cannot be used, and folders that cannot be written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.simulation.result import Result
from tests.full_counts import REPEATED

Refuse = Callable[..., str]
GOOD = "job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n2,5,8,60\n"
REPLAY = ["replay", "jobs.csv", "--policy", "fcfs"]
POOL = ["--accelerators", "16"]
OUT = ["--out", "out"]


@pytest.fixture(autouse=True)
def good_log(in_empty_folder: None) -> None:
    Path("jobs.csv").write_text(GOOD)


OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no command": ([], ("COMMAND",)),
    "unknown command": (["rnu"], ("'rnu'", "replay")),
    "unknown option": ([*REPLAY, *POOL, *OUT, "--polcy", "x"], ("--polcy",)),
    "no pool": ([*REPLAY, *OUT], ("--accelerators", "--cluster")),
    "two pools": ([*REPLAY, *POOL, "--cluster", "mixed-small", *OUT], ("not allowed with",)),
    "no out": ([*REPLAY, *POOL], ("--out",)),
    "no policy": (["replay", "jobs.csv", *POOL, *OUT], ("--policy",)),
    "no accelerators": ([*REPLAY, "--accelerators", "0", *OUT], ("accelerators", "0")),
    "negative accelerators": ([*REPLAY, "--accelerators", "-1", *OUT], ("accelerators", "-1")),
    "absurd accelerators": ([*REPLAY, "--accelerators", "9" * 15, *OUT], ("10,000,000",)),
    "accelerators as text": ([*REPLAY, "--accelerators", "many", *OUT], ("'many'",)),
    "part of an accelerator": ([*REPLAY, "--accelerators", "1.5", *OUT], ("'1.5'",)),
    "unknown policy": (
        ["replay", "jobs.csv", "--policy", "fcsf", *POOL, *OUT],
        ("policy", "did you mean 'fcfs'"),
    ),
    "placement without nodes": (
        [*REPLAY, *POOL, *OUT, "--placement", "consolidate"],
        ("placement: 'consolidate' needs nodes; use `cluster`",),
    ),
    "unknown placement": (
        [*REPLAY, "--cluster", "mixed-small", *OUT, "--placement", "spred"],
        ("placement", "did you mean 'spread'"),
    ),
    "unknown cluster": (
        [*REPLAY, "--cluster", "mixed-smal", *OUT],
        ("mixed-smal: no such topology file", "'mixed-small'"),
    ),
    "cluster that is a log": (
        [*REPLAY, "--cluster", "jobs.csv", *OUT],
        ("jobs.csv: must contain",),
    ),
    "unknown format": (
        [*REPLAY, *POOL, *OUT, "--log-format", "cvs"],
        ("format", "did you mean 'csv'"),
    ),
    "wrong format": ([*REPLAY, *POOL, *OUT, "--log-format", "swf"], ("jobs.csv: line 1 is not",)),
    "chips without a cluster": (
        [*REPLAY, *POOL, *OUT, "--catalogue", "mine.yaml"],
        ("--catalogue", "--cluster"),
    ),
    "missing chips": (
        [*REPLAY, "--cluster", "mixed-small", *OUT, "--catalogue", "mine.yaml"],
        ("mine.yaml: no such file",),
    ),
    "unknown topology": (["topology", "h200-superpot"], ("did you mean 'h200-superpod'",)),
    "topology of jobs": (["topology", "jobs.csv"], ("jobs.csv: must contain a mapping",)),
    "topology of a folder": (["topology", "."], ("is a folder",)),
    "picture of no kind": (
        ["topology", "mixed-small", "--plot", "x.txt"],
        ("'txt'", "png, svg, pdf"),
    ),
    "picture below a file": (
        ["topology", "mixed-small", "--plot", "jobs.csv/x.png"],
        ("jobs.csv/x.png: cannot be written",),
    ),
    "unknown chip": (["catalogue", "H201"], ("did you mean 'H20", "'H201'")),
    "catalogue of jobs": (["catalogue", "--catalogue", "jobs.csv"], ("jobs.csv: must contain",)),
    "log of nothing": (["trace", "nothing.csv"], ("nothing.csv: no such file",)),
    "trace on no chips": (["trace", "jobs.csv", "--accelerators", "0"], ("--accelerators",)),
    "trace on some chips": (["trace", "jobs.csv", "--accelerators", "x"], ("'x'",)),
    "trace on no cluster": (["trace", "jobs.csv", "--cluster", "x"], ("no such topology",)),
    "trace from bare number": (
        ["trace", "jobs.csv", "--since", "5"],
        ("--since: '5' has no unit",),
    ),
    "chips of a trace without a cluster": (
        ["trace", "jobs.csv", "--catalogue", "mine.yaml"],
        ("--catalogue: is only allowed with --cluster",),
    ),
    "trace from bytes": (["trace", "jobs.csv", "--start", "1 GB"], ("--start", "'GB'")),
    "trace of no time": (["trace", "jobs.csv", "--since", "5 d"], ("no job was submitted",)),
    "fit of two jobs": (["trace", "jobs.csv", "--fit", "fit.yaml"], ("at least 50 jobs",)),
    "unknown schema": (["schema", "scenaro"], ("'scenaro'", "scenario")),
    "negative seed": (["check-policy", "fcfs", "--seed", "-1"], ("seed", "-1")),
    "policy that is no policy": (["check-policy", "fcsf"], ("did you mean 'fcfs'",)),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_option(refuse: Refuse, case: str) -> None:
    arguments, words = OPTIONS[case]
    refuse(arguments, *words)


def test_nothing_is_overwritten(refuse: Refuse, write_scenario: Callable[..., None]) -> None:
    write_scenario({})
    Path("out").mkdir()
    Path("out/keep.txt").write_text("mine")
    for command in ([*REPLAY, *POOL], ["run", "scenario.yaml"]):
        refuse([*command, "--out", "out"], "out: exists already")
        refuse([*command, "--out", "jobs.csv"], "jobs.csv: exists already")
        refuse([*command, "--out", "jobs.csv/out"], "a part of its path is a file")
        refuse([*command, "--out", ""], "exists already")
        refuse([*command, "--out", "."], "exists already")
        refuse([*command, "--out", "x" * 300], "cannot be created")
        refuse([*command, "--out", "a\0b"], "cannot be created")


def test_folder_that_may_not_be_made(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)
    refuse([*REPLAY, *POOL, *OUT], "out: cannot be created: Permission denied")


@pytest.mark.parametrize("full_at", [0, 1, 3])
def test_full_disk_leaves_nothing(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    write, written = pd.DataFrame.to_parquet, []

    def write_until_full(table: pd.DataFrame, path: Path, **options: Any) -> None:
        if len(written) == full_at:
            path.write_bytes(b"PAR1 and no more")
            raise OSError(28, "No space left on device")
        written.append(path)
        write(table, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", write_until_full)
    refuse([*REPLAY, *POOL, "--out", "new/out"], "new/out: cannot be written: No space left")
    assert len(written) == full_at
    assert not Path("new").exists()


def test_a_refused_run_leaves_no_folder(
    refuse: Refuse, write_scenario: Callable[..., None]
) -> None:
    write_scenario({"scheduler/policy": "fcsf"})
    refuse(["run", "scenario.yaml", "--out", "a/b/out"], "did you mean 'fcfs'")
    assert not Path("a").exists()


def test_results_that_cannot_be_loaded() -> None:
    assert main([*REPLAY, *POOL, *OUT]) == 0
    with pytest.raises(InputError, match="no such folder"):
        Result.load("nothing")
    with pytest.raises(InputError, match="no such folder"):
        Result.load("jobs.csv")
    Path("empty").mkdir()
    with pytest.raises(InputError, match="is it a folder of results"):
        Result.load("empty")
    provenance = Path("out/provenance.json")
    text = provenance.read_text()
    for broken in (text[:-20], "[]", ""):
        provenance.write_text(broken)
        with pytest.raises(InputError, match=r"provenance\.json"):
            Result.load("out")
    provenance.write_text(text)
    assert len(Result.load("out").jobs) == 2
    jobs = Path("out/jobs.parquet")
    jobs.write_bytes(jobs.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"jobs\.parquet"):
        Result.load("out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*REPLAY, "--accelerators", "0", *OUT], "accelerators"),
        pytest.param(["run", "scenario.yaml", *OUT], "did you mean 'policy'", marks=REPEATED),
        pytest.param(["catalogue", "H21"], "did you mean 'H20'", marks=REPEATED),
        ([], "COMMAND"),
    ],
)
def test_in_a_process_of_its_own(
    write_scenario: Callable[..., None], arguments: list[str], words: str
) -> None:
    write_scenario({"scheduler/polcy": "easy"})
    done = subprocess.run(
        [sys.executable, "-m", "clustersim.cli.main", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
