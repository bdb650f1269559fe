"""Exit codes of runs in which jobs can never run: 1 where none can, 0 and a note where some can."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.simulation.result import Result

Printed = pytest.CaptureFixture[str]

SCENARIO = """
cluster: {name: small, pools: {gpu: {accelerator: H100, nodes: 2}}}
workload: {trace: jobs.csv}
scheduler: {policy: fcfs}
"""


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*sizes: int) -> None:
    jobs = {"job_id": range(len(sizes)), "submit_s": 0, "n_accelerators": sizes, "duration_s": 60}
    pd.DataFrame(jobs).to_csv("jobs.csv", index=False)
    Path("scenario.yaml").write_text(SCENARIO)


COMMANDS = {
    "run": ["run", "scenario.yaml"],
    "replay": ["replay", "jobs.csv", "--policy", "fcfs", "--accelerators", "16"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_none_can_run(command: str, capsys: Printed) -> None:
    write(17, 99, 99)
    assert main([*COMMANDS[command], "--out", "out"]) == 1
    message = capsys.readouterr()
    assert message.err.startswith("clustersim: no job can run: needs 99 accelerators")
    assert message.err.endswith("(1 job has another reason)\n")
    assert "never runnable: 2 x needs 99" in message.out
    assert "Note: 3 of 3" not in message.out
    assert (Result.load("out").jobs["outcome"] == "never runnable").all()


@pytest.mark.parametrize("command", COMMANDS)
def test_some_can_run(command: str, capsys: Printed) -> None:
    write(8, 99, 4, 99)
    assert main([*COMMANDS[command], "--out", "out"]) == 0
    message = capsys.readouterr()
    assert message.err == ""
    assert "Note: 2 of 4 jobs can never run: needs 99 accelerators" in message.out
    assert Result.load("out").jobs["outcome"].tolist()[0] == "finished"


@pytest.mark.parametrize("command", COMMANDS)
def test_all_can_run(command: str, capsys: Printed) -> None:
    write(8, 4)
    assert main([*COMMANDS[command], "--out", "out"]) == 0
    assert "can never run" not in "".join(capsys.readouterr())


def test_a_horizon_is_no_reason(capsys: Printed) -> None:
    """Jobs that were not submitted before the end could have run."""
    write(8, 4)
    jobs = pd.read_csv("jobs.csv").assign(submit_s=[100, 200])
    jobs.to_csv("jobs.csv", index=False)
    assert main(["run", "scenario.yaml", "--out", "out", "--set", "horizon=50 s"]) == 0
    assert Result.load("out").jobs["start_s"].isna().all()
    assert "can never run" not in "".join(capsys.readouterr())
