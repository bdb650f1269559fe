"""The page is written last: whatever happens then, the result is printed and written as JSON."""

from __future__ import annotations

import json
import os
import pkgutil
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim import InputError
from clustersim.cli.main import main, make_parser
from clustersim.cli.plan import _command as plan_command
from clustersim.cli.replay import NOT_INPUT
from clustersim.cli.run import _command as run_command
from clustersim.cli.study import _data as study_data
from clustersim.procurement.output import plan_content
from clustersim.report.run_page import _replay_command as replay_command
from clustersim.report.study import Conducted
from clustersim.studies.study import load_study
from tests.cli.small_inputs import PLAN, SCENARIO
from tests.cli.test_json_and_quiet import ARGUMENTS, GOOD, STUDY
from tests.procurement.files import planned, two_chips

PAGES = {
    "run": "clustersim.report.run_files.run_page",
    "replay": "clustersim.report.run_files.run_page",
    "study": "clustersim.report.study.study_page",
    "plan": "clustersim.report.plan_page.plan_page",
}
"""The function that makes the page of each command."""
ANSWER = {"sentence", "label", "value", "interval", "hinges_on", "next_steps"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("jobs.csv").write_text(GOOD)
    study = {**STUDY, "parameters": {"scheduler.policy": ["fcfs"]}}
    for name, tree in (("scenario", SCENARIO), ("study", study), ("plan", PLAN)):
        YAML(typ="safe", pure=True).dump(tree, Path(f"{name}.yaml"))


def interrupted(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


def not_written(*_: object, **__: object) -> None:
    raise InputError("report.html", "cannot be written: No space left on device")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("command", "fails", "code"),
    [*((name, interrupted, 130) for name in PAGES), ("study", not_written, 2)],
)
def test_without_its_page_a_result_is_whole(
    command: str,
    fails: Any,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = pkgutil.resolve_name(PAGES[command])
    monkeypatch.setattr(PAGES[command], fails)
    assert main([command, *ARGUMENTS[command], "--json"]) == code
    printed = capsys.readouterr()
    assert (
        f"the result is in {command}; clustersim report {command} writes the page\n" in printed.err
    )
    found = json.loads(printed.out)
    assert (found["folder"], found["page"]) == (command, None)
    assert set(found["answer"]) == ANSWER
    assert not (Path(command) / "report.html").exists()
    monkeypatch.setattr(PAGES[command], page)
    assert main(["report", command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": command,
        "page": f"{command}/report.html",
    }


def test_the_text_comes_before_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PAGES["replay"], not_written)
    assert main(["replay", *ARGUMENTS["replay"], "--csv"]) == 2
    assert "written to replay" in capsys.readouterr().out
    assert (Path("replay") / "waits_by_size.csv").is_file()


def test_a_table_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("clustersim.report.run_files.write_csv", not_written)
    assert main(["run", *ARGUMENTS["run"], "--csv", "--json"]) == 2
    printed = capsys.readouterr()
    assert "the result is in run; further tables and the CSV files may be missing\n" in printed.err
    assert json.loads(printed.out)["answer"]["value"]


def test_the_keys_are_always_the_same() -> None:
    study = load_study("study.yaml")
    before_the_first_run = study_data(study, Conducted(False, Path("study")), ())
    whole = {"name", "question", "answer", "complete", "not_drawn", "runs", "failed_runs",
             "findings", "warnings", "notes", "points", "capacities", "gains", "differences",
             "indices"}  # fmt: skip
    assert set(before_the_first_run) == whole
    assert before_the_first_run["answer"] is None
    assert before_the_first_run["findings"] == []
    plan, none = (plan_content(planned(two_chips(**more))) for more in ({}, {"budget": "1e6 CNY"}))
    assert list(plan) == list(none)
    assert none["purchases"] is None
    assert none["shortfall"]


def test_the_command_of_a_replay_repeats_every_argument() -> None:
    parser = make_parser()
    size = ["--accelerators", "8"], ["--cluster", "big tree.yaml", "--catalogue", "a.yaml"]
    more = ["--placement", "spread", "--log-format", "csv", "--sort", "--exact-estimates"]
    more += ["--time-zone", "Europe/Berlin", "--columns", "job_id=Job Number,gpus=GPUs"]
    more += ["--option", "cost=0", "--option", "x=1", "--placement-option", "y=2"]
    more += ["--span-pools", "equal", "--maintenance", "gpu@1h+2h", "--reserve", "gpu:4@1h+2h=ann"]
    more += ["--network", "contention=true", "--network", "load_balancing=ecmp"]
    more += ["--checkpoints", "interval=1h", "--storage", "write=1TB/s", "--storage", "read=2TB/s"]
    covered = set()
    for own in (*size, [*size[1], "--catalogue", "b.yaml"]):
        words = ["replay", "my jobs.csv", "--policy", "easy", *own, *more, "--out", "again"]
        args = vars(parser.parse_args(words))
        facts = {name: value for name, value in args.items() if name not in NOT_INPUT}
        assert parsed(replay_command(facts)) == args
        covered |= {name for name, value in facts.items() if value}
    assert covered == set(facts), "an argument that this test does not give"
    old = {"jobs": "a.csv", "policy": "fcfs", "accelerators": 8, "format": "swf"}
    assert parsed(replay_command(old))["log_format"] == "swf"


def parsed(command: str) -> dict[str, Any]:
    """Return the arguments of a command as the parser reads them."""
    first, *words = shlex.split(command)
    assert first == "clustersim"
    return vars(make_parser().parse_args(words))


@pytest.mark.parametrize(
    ("words", "command", "aside"),
    [
        (
            "run 'a b.yaml' --seed 4 --set workload.load=0.9 --set x='[1, 2]' "
            "--checkpoints interval=1h --storage write=1TB/s --storage read=2TB/s "
            "--network tolerance=0.02 --plugins mine.py "
            "--catalogue 'my chips.yaml' --catalogue b.yaml --explain",
            run_command,
            {"study", "key", "check", "csv", "report", "json", "quiet"},
        ),
        (
            "run --from out --run 0f1e --explain",
            run_command,
            {
                "scenario",
                "seed",
                "changes",
                "checkpoints",
                "storage",
                "network",
                "plugins",
                "catalogue",
                "check",
                "csv",
                "report",
                "json",
                "quiet",
            },
        ),
        (
            "plan 'a b.yaml' --quick --set budget='80e9 CNY' --set gap=null --tornado 0.1 "
            "--catalogue b.yaml",
            plan_command,
            {"resume", "workers", "formats", "report", "json", "quiet"},
        ),
    ],
)
def test_commands_of_runs_and_plans_repeat_every_argument(
    words: str, command: Any, aside: set[str]
) -> None:
    """`aside` names the arguments that do not change the numbers, or that exclude the others."""
    args = make_parser().parse_args(shlex.split(f"{words} --out again"))
    assert parsed(command(args)) == vars(args)
    given = {name for name, value in vars(args).items() if value}
    assert given | aside == set(vars(args))
