"""The page of the columns of a table of jobs, and columns whose names look misspelt."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import clustersim
from clustersim.cli.main import main
from clustersim.notes import forget_notes
from clustersim.workload.input_columns import (
    INPUT_COLUMNS,
    input_columns_page,
    misspelt_notes,
    readers_of,
)
from clustersim.workload.job_checks import check_jobs
from clustersim.workload.jobs import REQUIRED_COLUMNS

ROOT = Path(clustersim.__file__).parent
KNOWN = {column.name for column in INPUT_COLUMNS}
READS = (
    r'columns(?:\.get\(|\[)"(\w+)"',
    r'"(\w+)" (?:not )?in (?:jobs|columns|queue\.jobs\.columns|self\._jobs\.columns)\b',
    r'view\.column\("(\w+)"',
    r'texts_of_jobs\(jobs, \["(\w+)"(?:, "(\w+)")?\]',
)
"""How the simulation and the policies read a column."""


def columns_read() -> set[str]:
    """The columns that policies and the simulation read by their name, docstrings aside."""
    found: set[str] = set()
    for folder in ("scheduling", "simulation"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            code = "\n".join(line for line in lines if not re.match(r"\s*(>>>|\.\.\.)", line))
            for pattern in READS:
                for names in re.findall(pattern, code):
                    found |= {names} if isinstance(names, str) else {*names}
    return found - {""}


def test_the_page_is_fresh() -> None:
    page = ROOT.parent / "docs" / "jobs.md"
    message = "docs/jobs.md is outdated; run clustersim metrics --list-columns input > docs/jobs.md"
    assert page.read_text(encoding="utf-8") == input_columns_page(), message


def test_every_column_that_is_read_is_on_the_page() -> None:
    results = {"outcome", "reason", "pool", "finish_s", "total_wait_s", "serving", "out"}
    read = columns_read()
    assert {"priority", "qos", "steps", "slo_s", "hero", "account"} <= read
    assert read - results <= KNOWN
    assert {*REQUIRED_COLUMNS} <= KNOWN
    assert len(KNOWN) == len(INPUT_COLUMNS)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--list-columns", "input"]) == 0
    assert capsys.readouterr().out == input_columns_page()
    assert main(["metrics", "--list-columns", "input", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [column.name for column in INPUT_COLUMNS]
    assert main(["metrics", "--list-columns", "jobs"]) == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_acelerators", "max_accelerators"),
        ("priorty", "priority"),
        ("deadline", "deadline_s"),
        ("afterok", "after_ok"),
        ("accounts", "account"),
        ("Priority", "priority"),
    ],
)
def test_a_misspelt_column_is_noted(
    name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_notes()
    table = pd.DataFrame({"job_id": [1], "submit_s": [0], "n_accelerators": [8], "duration_s": [9]})
    check_jobs(table.assign(**{name: 4}), "jobs")
    errors = capsys.readouterr().err
    assert f"column {name!r} is read by nothing but limits" in errors
    assert f"did you mean {meant!r}?" in errors
    forget_notes()
    check_jobs(table.assign(**{name: 4, meant: 8}), "jobs")
    assert capsys.readouterr().err.count("did you mean") == 0


def test_columns_of_users_and_of_logs_are_no_misspellings() -> None:
    """Short names, other words, and the columns that the readers of logs keep."""
    own = ["nodes", "cpus", "usr", "team", "project", "group", "state", "exit_code", "gpu_spec"]
    own += ["node_num", "cpu_num", "req_memory_kb", "preceding_job", "comment", "weight", "state"]
    own += ["start_time", "end_time", "wait_s", "recorded_wait_s", "run_s", "submit_time", "class"]
    own += ["nodelist", "constraint", "reservation", "mem_per_pod_GB", "account_id", "user_name"]
    own += ["gpu_type", "model_name", "job_type", "preempted", "restarts", "arrival"]
    assert misspelt_notes(own) == []
    assert readers_of("gpu_spec") == ""
