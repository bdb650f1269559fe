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

import pandas as pd
import pytest
from files import queue, two_chips
from ruamel.yaml import YAML

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.procurement import (
    define_plan,
    kept_runs,
    load_plan,
    output,
    plan_purchases,
    result,
    verify,
)
from clustersim.procurement.kept_runs import FILE
from clustersim.procurement.output import plan_folder, write_plan
from clustersim.source_code import Code, this_code
from tests.full_counts import first_of
from tests.signals import default_signals

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("interrupted plans")]

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
    counts, run_simulated_check = [-1, 0], verify.run_simulated_check

    def counted(*arguments: Any) -> Any:
        if counts[1] == counts[0]:
            raise KeyboardInterrupt
        counts[1] += 1
        return run_simulated_check(*arguments)

    monkeypatch.setattr(verify, "run_simulated_check", counted)
    return counts


def plan(out: str, *options: str) -> int:
    return main(["plan", "plan.yaml", "--out", out, "--workers", "1", "--format", "svg", *options])


@pytest.mark.full
def test_no_run_is_made_twice(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupted before the first run, within rounds, between them, and in the new runs."""
    write(small())
    message = plan("whole")
    whole, printed = contents("whole"), capsys.readouterr().out
    assert (made[1], FILE in whole) == (RUNS, False)
    for place in (0, 1, 4, RUNS - 1):
        out = f"out{place}"
        made[:] = [place, 0]
        assert plan(out) == 130
        text = " ".join(capsys.readouterr().out.split())
        assert "Buy " in text
        assert "with the same command and --resume" in text
        files = contents(out)
        facts = json.loads(files["plan.json"])
        done = place - 2 * (min(place, RUNS - 2) // 2)
        where = f"round {place // 2 + 1} of at most 3" if place < 6 else "the round of new repl"
        assert f"interrupted in {where}" in facts["missing"][0]
        assert f" after {done} of 2 runs" in facts["missing"][0]
        assert "purchases.csv" in files
        assert files[FILE].count(b"\n") == 1 + place
        assert plan(out) == 2
        assert "continue it with --resume" in capsys.readouterr().err
        made[:] = [-1, place]
        assert plan(out, "--resume") == message
        assert made[1] == RUNS
        assert contents(out) == whole
        assert capsys.readouterr().out == printed.replace(
            "written to whole", f"written to {out}"
        ).replace("page: whole", f"page: {out}")
    assert plan("out0", "--resume") == 2
    assert "there is nothing to resume" in capsys.readouterr().err


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
    assert "damaged or incomplete lines: 3" in capsys.readouterr().err
    assert made[1] == RUNS - 3
    assert contents("out") == contents("whole")


def test_another_question_is_refused(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    write(small())
    made[0] = 1
    plan("out")
    before = contents("out")
    assert plan("out", "--resume", "--set", "verify.replications=3") == 2
    assert "another question, which differs in verify; choose a new" in capsys.readouterr().err
    assert contents("out") == before
    # Other scenarios are simulated, although the question is the same.
    fields = {**small(), "catalogue": ["own.yaml"]}
    Path("own.yaml").write_text("accelerators: {}\n")
    write(fields)
    made[:] = [1, 0]
    plan("other")
    Path("own.yaml").write_text("accelerators: {}\nmodels: {}\n")
    made[:] = [-1, 0]
    capsys.readouterr()
    plan("other", "--resume")
    assert made[1] == RUNS
    message = capsys.readouterr().err
    assert f"Note: other/{FILE}: 1 run is repeated: these files have changed: " in message
    assert "own.yaml" in message


def test_runs_of_other_code_are_made_again_and_it_is_said_why(
    made: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small())
    made[0] = 3
    plan("out")
    now = this_code()
    other = {**now.files, "engine/engine.py": "another hash"}
    monkeypatch.setattr(kept_runs, "this_code", lambda: Code(now.version, other))
    made[:] = [-1, 0]
    capsys.readouterr()
    plan("out", "--resume")
    assert made[1] == RUNS
    message = " ".join(capsys.readouterr().err.split())
    assert message.count("are repeated") == 1
    assert f"3 runs are repeated: the code has changed from clustersim {now.version}" in message
    assert "differences: changed engine/engine.py" in message


def test_a_base_scenario_that_was_changed_is_reported(
    made: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    fields = small()
    base = fields["verify"]["base"]
    fields["verify"]["base"] = "base.yaml"
    for seed, place in ((1, 3), (2, -1)):
        with Path("base.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump({**base, "seed": seed}, file)
        write(fields)
        made[:] = [place, 0]
        capsys.readouterr()
        plan("out", *["--resume"] * (place < 0))
    message = capsys.readouterr().err
    assert "3 runs are repeated: the scenario or a file that it reads has changed" in message


def test_a_torn_line_does_not_take_the_next_one_with_it(made: list[int]) -> None:
    """A second interrupt after one within a line: what was done in between is kept."""
    write(small())
    made[0] = 3
    plan("out")
    path = Path("out", FILE)
    path.write_bytes(path.read_bytes()[:-20])
    made[:] = [2, 0]
    plan("out", "--resume")
    assert made[1] == 2
    made[:] = [-1, 0]
    plan("out", "--resume")
    assert made[1] == RUNS - 4


class Killed(BaseException):
    """What ends a process at once."""


@pytest.mark.full
def test_a_kill_at_any_write_leaves_what_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, pictures, scenarios, ``plan.json``, and that the runs are no longer needed."""
    question = define_plan(small())
    complete = plan_purchases(question, workers=1)
    whole = contents(str(complete.save("whole", ("svg",))))
    writes = {
        (pd.DataFrame, "to_csv"),
        (pd.DataFrame, "to_parquet"),
        (Path, "write_text"),
        (Path, "unlink"),
        (output, "save_figure"),
        (os, "replace"),
    }
    left = [0]

    def killing(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return call(*arguments, **options)

        return counted

    for place, name in writes:
        monkeypatch.setattr(place, name, killing(getattr(place, name)))
    monkeypatch.setattr(output, "save_figure", killing(lambda *_: None))
    pictures = {name for name in whole if name.endswith(".svg")}
    for number in range(1, 1000):
        out = f"out{number}"
        left[0] = number
        try:
            with plan_folder(out, question) as (folder, kept):
                kept.begin()
                write_plan(complete, folder, ("svg",))
            break
        except Killed:
            left[0] = -1
        with (
            pytest.raises(InputError, match="continue it with --resume"),
            plan_folder(out, question),
        ):
            pass
        with plan_folder(out, question, resume=True) as (folder, _):
            write_plan(complete, folder, ("svg",))
        assert contents(out) == {name: whole[name] for name in whole.keys() - pictures}
    assert number > len(whole)


@pytest.mark.parametrize("damage", first_of(["truncated", "absent", "empty", "a list"]))
def test_runs_are_found_whatever_became_of_the_plan_file(
    made: list[int], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    write(small())
    made[0] = 4
    plan("out")
    path = Path("out/plan.json")
    text = path.read_text()
    path.unlink()
    if damage != "absent":
        path.write_text({"truncated": text[: len(text) // 2], "a list": "[]"}.get(damage, ""))
    capsys.readouterr()
    assert plan("out") == 2
    assert "continue it with --resume" in capsys.readouterr().err
    assert plan("out", "--resume", "--set", "verify.replications=3") == 2
    assert "another question, which differs in verify; choose a new" in capsys.readouterr().err
    made[:] = [-1, 0]
    assert plan("out", "--resume") in (0, 1)
    assert made[1] == RUNS - 4
    assert not Path("out", FILE).exists()
    # A plan that is complete, but whose file was damaged later, has nothing to continue from.
    path.write_text(text[: len(text) // 2])
    assert plan("out", "--resume") == 2
    assert f"plan.json: is damaged, and there is no {FILE} to con" in capsys.readouterr().err


def test_a_plan_without_a_readable_question(
    made: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its runs are used where they fit, and it is said that they may be another plan's."""
    write(small())
    made[0] = 2
    plan("out")
    Path("out/plan.json").unlink()
    path = Path("out", FILE)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    made[:] = [-1, 0]
    capsys.readouterr()
    assert plan("out", "--resume") in (0, 1)
    assert "so the question of the plan is unknown" in capsys.readouterr().err
    assert made[1] == RUNS - 2


def test_one_process_makes_a_plan(made: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    write(small())
    made[0] = 1
    plan("out")
    question = define_plan(small())
    before = contents("out")
    with plan_folder("out", load_plan("plan.yaml"), resume=True):
        capsys.readouterr()
        held = contents("out")
        assert plan("out", "--resume") == 2
        assert (
            "another process is making this plan; wait for it or stop it" in capsys.readouterr().err
        )
        assert contents("out") == held
    assert held[FILE].startswith(before[FILE])
    made[0] = -1
    assert plan("out", "--resume") in (0, 1)
    # Of two that begin in an empty folder, the second to write is refused.
    Path("empty").mkdir()
    with (
        plan_folder("empty", question) as (_, first),
        plan_folder("empty", question) as (_, second),
    ):
        first.begin()
        with pytest.raises(InputError, match="another process is making this plan"):
            second.begin()


def test_an_interrupt_of_the_regret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan without simulation: the purchases are known, their regret is not."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    question = define_plan(two_chips())
    whole = plan_purchases(question)
    states: list[result.PurchasePlan] = []
    monkeypatch.setattr(result, "find_regret", interrupted)
    plan = plan_purchases(question, state=states.append)
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
        preexec_fn=default_signals,
    )


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def kept_lines() -> int:
    """Lines of the file of runs; the first names the question."""
    path = Path("out", FILE)
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals(number: signal.Signals) -> None:
    """Also after SIGKILL there are the purchases and the runs that were done."""
    write(small())
    process = start()
    wait_for(lambda: kept_lines() > 1)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=30)
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number), errors
    assert ("Buy " in printed) != killed
    facts = json.loads(Path("out/plan.json").read_text())
    assert facts["missing"]
    assert kept_lines() > 1
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
import clustersim.procurement.verify as verify
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
    assert kept_lines() == 1 + 2
