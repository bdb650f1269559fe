"""The exit codes that `clustersim --help` and the README list."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim.cli.main import main
from tests.cli.small_inputs import PLAN, SCENARIO

ROOT = Path(__file__).resolve().parents[2]
LOG = "job_id,submit_s,n_accelerators,duration_s\n1,0,64,60\n2,5,64,60\n"
STUDY: dict[str, Any] = {
    "name": "tiny",
    "base": "scenario.yaml",
    "set": {"cluster.pools.a.nodes": 8},
    "parameters": {"scheduler.policy": ["fcfs", "bad.py:Fails"]},
    "replications": 1,
}
POLICIES = """\
from clustersim import Policy


class Idle(Policy):
    def schedule(self, now):
        pass


class Fails(Policy):
    def schedule(self, now):
        raise ValueError("not written yet")
"""
OUT = ["--out", "out"]
REPLAY = ["replay", "jobs.csv", "--policy", "fcfs", *OUT]
ESTIMATE = ["estimate", "--model", "llama3-405b", "--accelerator", "H20"]
CASES: dict[str, tuple[list[str], int]] = {
    "success": ([*REPLAY, "--accelerators", "64"], 0),
    "success of a question": (["catalogue", "H20"], 0),
    "no job of a log can run": ([*REPLAY, "--accelerators", "16"], 1),
    "no job of a scenario can run": (["run", "scenario.yaml", *OUT], 1),
    "a run of a study failed": (["study", "study.yaml", "--workers", "1", *OUT], 1),
    "a policy breaks a rule": (["check-policy", "bad.py:Idle"], 1),
    "no plan of a job fits": ([*ESTIMATE, "--count", "8"], 1),
    "no row can be predicted": (["estimate", "--table", "rows.csv", "--out", "found.csv"], 1),
    "limits permit no plan": (["plan", "plan.yaml", "--set", "budget=0 CNY", *OUT], 1),
    "file does not exist": (["run", "nothing.yaml", *OUT], 2),
    "value cannot be used": ([*REPLAY, "--accelerators", "0"], 2),
    "unknown option": (["catalogue", "--colour"], 2),
    "unknown command": (["rnu"], 2),
    "no command": ([], 2),
    "renamed option": (["estimate", "--columns"], 2),
    "output exists": (["run", "scenario.yaml", "--out", "jobs.csv"], 2),
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jobs.csv").write_text(LOG)
    Path("rows.csv").write_text("model,accelerator,n_accelerators\nllama3-8b,H999,64\n")
    Path("bad.py").write_text(POLICIES)
    for name, tree in (("scenario", SCENARIO), ("study", STUDY), ("plan", PLAN)):
        YAML(typ="safe", pure=True).dump(tree, Path(f"{name}.yaml"))


def code_of(arguments: list[str]) -> int:
    """Return the exit code of a command, as the shell sees it."""
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("case", CASES)
def test_exit_code(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, code = CASES[case]
    assert code_of(arguments) == code
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert ("error: " in message) == (code == 2)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exit_code_after_a_signal(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("clustersim.catalogue.load_catalogue", killed)
    assert code_of(["catalogue", "--json"]) == 128 + number
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "clustersim: interrupted\n")


def test_the_codes_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(["--help"]) == 0
    shown = capsys.readouterr().out
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for code in ("0", "1", "2", "130", "141", "128+n"):
        assert f"\n  {code} " in shown
        assert f"\n| {code} | " in readme
