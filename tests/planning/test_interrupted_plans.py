"""An interrupt of `clustersim plan` keeps the purchases and the simulations that are done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files import queue, two_chips
from ruamel.yaml import YAML

from clustersim.cli.main import main
from clustersim.planning import define_plan, make_plan, result, verify
from clustersim.planning.kept_runs import FILE

RUNS = 3 * 2 + 2
"""Runs of :func:`small`: three rounds of two replications, and two new ones."""


def small() -> dict[str, Any]:
    """A queue whose first plan misses its objective."""
    return queue(replications=2, rounds=3)


def write(fields: dict[str, Any]) -> str:
    with Path("plan.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(fields, file)
    return "plan.yaml"


def contents(folder: str) -> dict[str, bytes]:
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the runs; the first entry is after how many an interrupt comes (-1: never)."""
    counts, run_trial = [-1, 0], verify.run_trial

    def counted(*arguments: Any) -> Any:
        if counts[1] == counts[0]:
            raise KeyboardInterrupt
        counts[1] += 1
        return run_trial(*arguments)

    monkeypatch.setattr(verify, "run_trial", counted)
    return counts


def plan(out: str, *options: str) -> int:
    return main(["plan", "plan.yaml", "--out", out, "--workers", "1", "--format", "svg", *options])


def test_no_run_is_made_twice(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupted before the first run, within rounds, between them, and in the new runs."""
    write(small())
    told = plan("whole")
    whole, printed = contents("whole"), capsys.readouterr().out
    assert (made[1], FILE in whole) == (RUNS, False)
    for place in (0, 1, 4, RUNS - 1):
        out = f"out{place}"
        made[:] = [place, 0]
        assert plan(out) == 130
        text = " ".join(capsys.readouterr().out.split())
        assert "Buy " in text
        assert "--resume continues it" in text
        files = contents(out)
        facts = json.loads(files["plan.json"])
        done = place - 2 * (min(place, RUNS - 2) // 2)
        where = f"round {place // 2 + 1} of at most 3" if place < 6 else "the round of new repl"
        assert f"interrupted in {where}" in facts["missing"][0]
        assert f", {done} of its 2 runs done" in facts["missing"][0]
        assert "purchases.csv" in files
        assert files.get(FILE, b"").count(b"\n") == place
        assert plan(out) == 2
        assert "continue it with --resume" in capsys.readouterr().err
        made[:] = [-1, place]
        assert plan(out, "--resume") == told
        assert made[1] == RUNS
        assert contents(out) == whole
        assert capsys.readouterr().out == printed.replace("to whole", f"to {out}")
    assert plan("out0", "--resume") == 2
    assert "nothing is left to resume" in capsys.readouterr().err


def test_damaged_runs_are_made_again(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    write(small())
    plan("whole")
    made[:] = [5, 0]
    plan("out")
    lines = Path("out", FILE).read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"jobs": [', b'"jobs": [1')
    lines[3] = lines[3][: len(lines[3]) // 2] + b"\n"
    Path("out", FILE).write_bytes(b"".join(lines) + b'{"run": ')
    made[:] = [-1, 0]
    capsys.readouterr()
    plan("out", "--resume")
    assert "3 of its lines are damaged or incomplete" in capsys.readouterr().err
    assert made[1] == RUNS - 3
    assert contents("out") == contents("whole")


def test_another_question_is_refused(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    write(small())
    made[0] = 1
    plan("out")
    before = contents("out")
    assert plan("out", "--resume", "--set", "verify.replications=3") == 2
    assert "another question, which differs in verify; name a new" in capsys.readouterr().err
    assert contents("out") == before
    # Other scenarios are simulated, although the question is the same.
    fields = {**small(), "catalogue": ["own.yaml"]}
    Path("own.yaml").write_text("accelerators: {}\n")
    write(fields)
    made[:] = [1, 0]
    plan("other")
    Path("own.yaml").write_text("accelerators: {}\nmodels: {}\n")
    made[:] = [-1, 0]
    plan("other", "--resume")
    assert made[1] == RUNS


def test_an_interrupt_of_the_regret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan without simulation: the purchases are known, their regret is not."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    question = define_plan(two_chips())
    whole = make_plan(question)
    states: list[result.Plan] = []
    monkeypatch.setattr(result, "find_regret", interrupted)
    plan = make_plan(question, state=states.append)
    assert plan.missing == ["the regret of the purchases in each scenario"]
    assert plan.schedule is not None
    assert whole.schedule is not None
    assert (plan.schedule.bought == whole.schedule.bought).all()
    assert whole.missing == []
    assert [each.missing for each in states] == [plan.missing]
    assert set(contents(str(plan.save("out")))) >= {"plan.json", "purchases.csv", "costs.csv"}
    assert not Path("out/regret.csv").exists()


def start(code: str = "", workers: int = 2) -> subprocess.Popen[str]:
    run = f"{code}\nimport sys\nfrom clustersim.cli.main import main\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", run, "plan", "plan.yaml", "--out", "out", "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals(number: signal.Signals) -> None:
    """Also after SIGKILL there are the purchases and the runs that were done."""
    write(small())
    process = start()
    wait_for(lambda: Path("out", FILE).exists())
    process.send_signal(number)
    printed, errors = process.communicate(timeout=30)
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number), errors
    assert ("Buy " in printed) != killed
    facts = json.loads(Path("out/plan.json").read_text())
    assert facts["missing"]
    kept = Path("out", FILE).read_bytes().count(b"\n")
    assert kept >= 1
    if not killed:
        return
    assert plan("out", "--resume") in (0, 1)
    assert plan("whole") in (0, 1)
    pictures = {"purchases.png", "purchases.svg"}
    found, whole = contents("out"), contents("whole")
    assert found.keys() - pictures == whole.keys() - pictures
    assert found["plan.json"] == whole["plan.json"]


SOLVES_FOR_EVER = """
import pathlib, os
import clustersim.planning.verify as verify
def slow(*_arguments, **_options):
    import sqlite3
    pathlib.Path("solves").touch()
    query = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    sqlite3.connect(":memory:").execute(query).fetchall()
verify.solve = slow
"""


def test_compiled_code_that_does_not_return() -> None:
    """A search of HiGHS cannot be interrupted; what was known before it is in the folder."""
    write(small())
    process = start(SOLVES_FOR_EVER, workers=1)
    wait_for(Path("solves").exists)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors == ("clustersim: interrupted; the plan so far is in out; --resume continues it\n")
    facts = json.loads(Path("out/plan.json").read_text())
    assert "interrupted before the runs of round 2" in facts["missing"][0]
    assert len(facts["rounds"]) == 1
    assert Path("out", FILE).read_bytes().count(b"\n") == 2
