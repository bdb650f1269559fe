"""Timelines that cannot be written: wrong marks, names of files, folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.report.timeline import chrome_trace
from clustersim.simulation.result import Result

Refuse = Callable[..., str]
OUT = ["--out", "trace.json"]
MARKS = ["timeline", "result", *OUT, "--events", "events.csv"]


@pytest.fixture(autouse=True)
def a_result(in_empty_folder: None) -> None:
    """A run of 120 s on a pool that is named "pool"."""
    Path("jobs.csv").write_text(
        "job_id,submit_s,n_accelerators,duration_s\n1,0,16,60\n2,5,8,60\n3,9,99,1\n"
    )
    assert (
        main(
            [
                "replay",
                "jobs.csv",
                "--policy",
                "fcfs",
                "--accelerators",
                "16",
                "--out",
                "result",
                "--no-report",
            ]
        )
        == 0
    )


OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no folder": (["timeline", "resul", *OUT], ("resul: no such folder of results",)),
    "another folder": (["timeline", ".", *OUT], ("is it a folder of results",)),
    "no out": (["timeline", "result"], ("--out",)),
    "unknown rows": (["timeline", "result", *OUT, "--by", "nodes"], ("'nodes'", "pool")),
    "not json": (["timeline", "result", "--out", "trace.txt"], ("'trace.txt'", ".json.gz")),
    "out exists": (["timeline", "result", "--out", "kept.json"], ("kept.json: exists already",)),
    "out in no folder": (["timeline", "result", "--out", "a/b.json"], ("no folder a",)),
    "no name": (["timeline", "result", "--out", "a\0.json"], ("cannot be written",)),
    "too long a name": (
        ["timeline", "result", "--out", "a" * 300 + ".json"],
        ("cannot be written",),
    ),
    "plot exists": (
        ["timeline", "result", *OUT, "--plot", "kept.png"],
        ("kept.png: exists already",),
    ),
    "plot of no kind": (["timeline", "result", *OUT, "--plot", "x.gif"], ("'x.gif'", ".svg")),
    "plot without suffix": (["timeline", "result", *OUT, "--plot", "x"], ("'x'", ".png")),
    "plot in no folder": (["timeline", "result", *OUT, "--plot", "a/b.png"], ("no folder a",)),
    "no jobs": (["timeline", "result", *OUT, "--most-jobs", "0"], ("most_jobs", "0")),
    "no events": ([*MARKS[:-1], "nothing.csv"], ("nothing.csv: cannot be read",)),
}
EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("events.csv: is empty",)),
    "unknown column": ("time_s,kind,pol\n1,a,b\n", ("column 'pol'", "did you mean 'pool'")),
    "no time": ("kind\na\n", ("time_s: this column is required but absent",)),
    "neither": ("text\na\n", ("time_s: this column", "kind: this column")),
    "twice": ("time_s,kind,kind\n1,a,b\n", ("'kind'", "twice")),
    "no number": ("time_s,kind\n1,a\nsoon,b\n", ("row 2", "'soon'", "from 0 to 120 s")),
    "no value": ("time_s,kind\n,a\n", ("row 1", "''")),
    "not finite": ("time_s,kind\nnan,a\ninf,b\n", ("row 1", "row 2", "'inf'")),
    "too early": ("time_s,kind\n-1,a\n", ("'-1'", "from 0 to 120 s")),
    "too late": ("time_s,kind\n120.5,a\n", ("'120.5'", "from 0 to 120 s")),
    "no kind": ("time_s,kind\n1, \n", ("row 1: kind is empty",)),
    "unknown pool": ("time_s,kind,pool\n1,a,pol\n", ("pool 'pol'", "did you mean 'pool'")),
    "part of a node": ("time_s,kind,pool,node\n1,a,pool,1.5\n", ("'1.5'", "whole number")),
    "negative node": ("time_s,kind,pool,node\n1,a,pool,-1\n", ("'-1'", "of 0 or more")),
    "node as text": ("time_s,kind,pool,node\n1,a,pool,x\n", ("'x'", "whole number")),
    "node without pool": ("time_s,kind,node\n1,a,1\n", ("node '1' is given without its pool",)),
    "many": ("time_s,kind\n" + "x,a\n" * 30, ("row 10", "and 20 more")),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_option(refuse: Refuse, case: str) -> None:
    Path("kept.json").write_text("mine")
    Path("kept.png").write_text("mine")
    arguments, words = OPTIONS[case]
    refuse(arguments, *words)


@pytest.mark.parametrize("case", EVENTS)
def test_bad_events(refuse: Refuse, case: str) -> None:
    text, words = EVENTS[case]
    Path("events.csv").write_text(text)
    refuse(MARKS, *words)


def test_bad_events_in_a_table() -> None:
    result = Result.load("result")
    for table, words in (
        (pd.DataFrame({"time_s": [None], "kind": ["a"]}), "row 1: time_s ''"),
        (pd.DataFrame({"time_s": [float("nan"), 200.0], "kind": "a"}), "row 2: time_s 200.0"),
        (pd.DataFrame({"time_s": [1], "kind": "a", "pool": "pool", "node": -3}), "node -3"),
        (pd.DataFrame({"time_s": [[1]], "kind": "a"}), "row 1: time_s"),
        (pd.DataFrame({0: [1], "kind": "a", "time_s": 1}), "unknown column '0'"),
    ):
        with pytest.raises(InputError, match=words):
            chrome_trace(result, events=table)


def test_a_run_too_long_for_the_format_is_refused(refuse: Refuse) -> None:
    Path("long.csv").write_text("job_id,submit_s,n_accelerators,duration_s\n1,0,1,9.1e9\n")
    assert (
        main(["replay", "long.csv", "--policy", "fcfs", "--accelerators", "1", "--out", "old"]) == 0
    )
    refuse(["timeline", "old", *OUT], "the run lasts 105,000 d; at most 104,000 d")


def test_a_run_too_large_to_draw_leaves_no_trace(refuse: Refuse) -> None:
    rows = "".join(f"{k},{k},1,5\n" for k in range(401))
    Path("many.csv").write_text("job_id,submit_s,n_accelerators,duration_s\n" + rows)
    assert (
        main(["replay", "many.csv", "--policy", "fcfs", "--accelerators", "8", "--out", "many"])
        == 0
    )
    refuse(["timeline", "many", *OUT, "--plot", "g.png"], "401 bars", "clustersim timeline")
