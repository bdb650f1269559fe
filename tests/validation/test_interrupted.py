"""What `clustersim validate` says while it works, and what it keeps if it is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli import progress
from clustersim.cli.main import main
from clustersim.engine.clock import Clock
from clustersim.validation.result import Validation

COMMAND = ["validate", "jobs.csv", "--accelerators", "16", "--policies", "fcfs,easy"]
ALONE = "no mechanism was granted together with another"


@pytest.fixture(autouse=True)
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Jobs of two users that wait for an hour although there is room."""
    monkeypatch.chdir(tmp_path)
    count = 40
    submit_s = 900.0 * np.arange(count)
    table = pd.DataFrame(
        {
            "job_id": np.arange(count),
            "submit_s": submit_s,
            "n_accelerators": 8,
            "duration_s": 1500.0 + 40 * (np.arange(count) % 7),
            "user": np.where(np.arange(count) % 3, "ann", "bo"),
            "start_s": submit_s + 3600.0,
        }
    )
    table.to_csv("jobs.csv", index=False)
    return table


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> list[bool]:
    """Send SIGTERM in simulation `at`; return whether policies.csv was there in each simulation."""
    run, seen = Clock.run, []

    def interrupted(clock: Clock, until: float | None = None) -> object:
        seen.append(Path("valid/policies.csv").exists())
        if len(seen) == at + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return run(clock, until)

    monkeypatch.setattr(Clock, "run", interrupted)
    return seen


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("at", "unfinished", "policies"),
    [
        (2, "easy: replay is missing; no mechanism was tested", ["fcfs"]),
        (3, "no mechanism was tested", ["fcfs", "easy"]),
        (6, r"\d+ of 17 tests of mechanisms were made; " + ALONE, ["fcfs", "easy"]),
    ],
)
def test_what_is_known_is_kept(
    at: int,
    unfinished: str,
    policies: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Simulation 0 finds what can run; 1 and 2 are the policies, then come mechanisms."""
    seen = interrupt(monkeypatch, at)
    assert main([*COMMAND, "--out", "valid", "--no-report"]) == 128 + signal.SIGTERM
    assert len(seen) == at + 1
    assert seen[2:] == [True] * (at - 1), "what is known is written before the next simulation"
    data = json.loads(Path("valid/validation.json").read_text())
    assert re.fullmatch(unfinished, data["unfinished"])
    rows = pd.read_csv("valid/policies.csv")["waits"]
    assert sorted(rows) == sorted(["recorded", *policies])
    whole = cs.validate("jobs.csv", accelerators=16, policies=policies, mechanisms=False)
    assert [row["distance_s"] for row in data["policies"]][1:] == pytest.approx(
        whole.policies["distance_s"].tolist()[1:]
    )
    printed = capsys.readouterr()
    assert printed.err == "clustersim: interrupted; keeping what is known\n"
    assert f"interrupted: {data['unfinished']}\n" in printed.out
    assert f"Answer: Interrupted ({data['unfinished']}). So far: " in " ".join(printed.out.split())
    assert "Mechanisms were not tested" not in printed.out
    assert printed.out.count("rank corr.") == 1


def test_every_state_says_what_is_missing(jobs: pd.DataFrame) -> None:
    states: list[Validation] = []
    steps: list[str] = []
    whole = cs.validate(
        jobs, accelerators=16, policies=["fcfs", "easy"], progress=steps.append,
        so_far=states.append,
    )  # fmt: skip
    assert states[0].missing == ("easy",)
    assert all(state.unfinished for state in states)
    assert not whole.unfinished
    assert len(states[-1].tested) == len(whole.tested)
    assert steps[:2] == ["replay under fcfs (policy 1 of 2)", "replay under easy (policy 2 of 2)"]
    assert re.fullmatch(
        r"\w+: start order \(test 1 of 17; at most about [\d.]+ \w+ left\)", steps[2]
    )
    assert [step for step in steps if "test 17 of 17" in step]


def test_a_folder_that_exists_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("valid").mkdir()
    Path("valid/notes.txt").write_text("mine")
    seen = interrupt(monkeypatch, 99)
    assert main([*COMMAND, "--out", "valid"]) == 2
    assert not seen


def test_lines_where_stderr_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "FIRST_S", 0.01)
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    run: Callable[..., object] = Clock.run

    def slow(clock: Clock, until: float | None = None) -> object:
        time.sleep(0.03)
        return run(clock, until)

    monkeypatch.setattr(Clock, "run", slow)
    assert main([*COMMAND, "--no-mechanisms", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*COMMAND, "--no-mechanisms", "--json"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any(re.fullmatch(r"after [\d.]+ \w+: replay under fcfs .policy 1 of 2.", line)
               for line in lines)  # fmt: skip
    command = ["what-if", "jobs.csv", "--accelerators", "16", "--add-accelerators", "8"]
    assert main([*command, "--replications", "0", "--workers", "1", "--out", "more"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any(re.fullmatch(r"after .*: \d+ of \d+ runs done, about .* left", line)
               for line in lines)  # fmt: skip
