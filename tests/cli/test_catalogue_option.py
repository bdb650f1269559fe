"""`--catalogue` of `run`, `study` and `plan`: the key `catalogue` of the file, continued."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustersim import InputError, define_study, load_plan, load_scenario, load_study
from clustersim.cli.main import main
from clustersim.scenario.resolved import resolve
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.study import Study
from tests.cli.small_inputs import PLAN, SCENARIO
from tests.cli.test_json_and_quiet import GOOD, STUDY

OURS = {"accelerators": {"Ours": {"extends": "H20", "power": "500 W"}}}
MINE = {"accelerators": {"Mine": {"extends": "Ours", "power": "600 W"}}}
POOL = {"accelerator": "Mine", "nodes": 1, "chips_per_node": 8}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are in a folder below; the catalogue `mine.yaml` is in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    scenario = {**SCENARIO, "cluster": {"name": "own", "pools": {"gpu": POOL}}}
    listed = {**scenario, "catalogue": ["ours.yaml", "../mine.yaml"]}
    plan = copy.deepcopy(PLAN) | {"catalogue": ["ours.yaml"]}
    plan["budget"] = "60e9 CNY"
    plan["chips"]["h200"] |= {"accelerator": "Mine", "available": 9000}
    Path("sub/jobs.csv").write_text(GOOD)
    write("sub/ours.yaml", OURS)
    write("mine.yaml", MINE)
    write("sub/scenario.yaml", {**scenario, "catalogue": ["ours.yaml"]})
    write("sub/listed.yaml", listed)
    write("sub/study.yaml", {**STUDY, "parameters": {"scheduler.policy": ["fcfs"]}, "plots": []})
    write("sub/plan.yaml", plan)


def write(name: str, tree: dict[str, Any]) -> None:
    YAML(typ="safe", pure=True).dump(copy.deepcopy(tree), Path(name))


def key(study: Study) -> str:
    return study.base.at(study.points[0].changes).run(POSTERIOR_MEAN, 0).key


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", ["run", "study", "plan"])
def test_without_the_option_the_chip_is_unknown(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = {"run": "scenario"}.get(command, command)
    assert main([command, f"sub/{file}.yaml", "--out", "out"]) == 2
    assert "unknown accelerator 'Mine'" in capsys.readouterr().err


def test_a_run_with_the_option_is_the_run_with_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("run", "sub/scenario.yaml", "--catalogue", "mine.yaml", "--out", "run")
    listed = printed(capsys, "run", "sub/listed.yaml", "--out", "listed", "--no-report")
    assert printed(capsys, *words)["summary"] == listed["summary"]
    facts = [json.loads(Path(name, "provenance.json").read_text()) for name in ("run", "listed")]
    assert facts[0]["scenario"] == facts[1]["scenario"]
    files = [Path("sub/ours.yaml"), Path("mine.yaml")]
    assert facts[0]["scenario"]["catalogue"] == [str(file.resolve()) for file in files]
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "clustersim run sub/scenario.yaml --catalogue mine.yaml --out again" in page


def test_the_hash_of_a_run_depends_on_the_files() -> None:
    named = load_study("sub/study.yaml", catalogue=["mine.yaml"])
    listed = {"name": "x", "base": "sub/listed.yaml", "replications": 1}
    with_key = define_study({**listed, "parameters": {"scheduler.policy": ["fcfs"]}})
    assert key(named) == key(with_key)
    assert key(define_study(named.document())) == key(named)
    set_as_a_whole = load_study(
        "sub/study.yaml", changes=["catalogue=[ours.yaml]"], catalogue=["mine.yaml"]
    )
    assert key(set_as_a_whole) == key(named)
    write("mine.yaml", {"accelerators": {"Mine": {"extends": "Ours", "power": "601 W"}}})
    assert key(load_study("sub/study.yaml", catalogue=["mine.yaml"])) != key(named)


def test_a_stored_study_contains_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("study", "sub/study.yaml", "--catalogue", "mine.yaml", "--workers", "1")
    first = printed(capsys, *words, "--out", "first")
    Path("mine.yaml").unlink()
    again = printed(capsys, "study", "first/study.yaml", "--workers", "1", "--out", "again")
    assert again["points"] == first["points"]


def test_later_files_take_precedence_and_may_be_changed() -> None:
    write("more.yaml", {"accelerators": {"Mine": {"extends": "Mine", "power": "700 W"}}})
    both = load_scenario("sub/scenario.yaml", catalogue=["mine.yaml", "more.yaml"])
    assert resolve(both).catalogue.accelerator("Mine").power_w == 700
    changed = load_scenario(
        "sub/scenario.yaml", {"catalogue.Mine.power": "800 W"}, catalogue=["mine.yaml"]
    )
    assert resolve(changed).catalogue.accelerator("Mine").power_w == 800


def test_the_files_apply_in_every_case() -> None:
    tree = {
        **SCENARIO,
        "cluster": {"name": "own", "pools": {"gpu": POOL}},
        "cases": {"a": {"catalogue": ["ours.yaml"]}, "b": {"catalogue": [OURS]}},
        "case": "a",
    }
    write("sub/cases.yaml", tree)
    alone = load_scenario("sub/cases.yaml", {"case": "b"}, catalogue=["mine.yaml"])
    assert resolve(alone).catalogue.accelerator("Mine").power_w == 600
    of_cases = {**STUDY, "parameters": {"case": ["a", "b"]}, "plots": []}
    write("sub/of_cases.yaml", {**of_cases, "base": "cases.yaml"})
    study = load_study("sub/of_cases.yaml", catalogue=["mine.yaml"])
    assert len(study.points) == 2


def test_a_plan_with_the_option_is_the_plan_with_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = load_plan("sub/plan.yaml", catalogue=["mine.yaml"])
    assert plan.catalogue.accelerator("Mine").power_w == 600
    words = ("plan", "sub/plan.yaml", "--catalogue", "mine.yaml", "--format", "svg", "--out", "out")
    assert printed(capsys, *words)["purchases"]
    asked = json.loads(Path("out/plan.json").read_text())["question"]["catalogue"]
    assert asked == [str(Path(name).resolve()) for name in ("sub/ours.yaml", "mine.yaml")]
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "sources of the chips cannot be shown" not in page
    assert "clustersim plan sub/plan.yaml --catalogue mine.yaml --out again" in page


def test_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command, file in (("run", "scenario"), ("study", "study"), ("plan", "plan")):
        words = [command, f"sub/{file}.yaml", "--catalogue", "gone.yaml", "--out", "out"]
        assert main(words) == 2
        assert "gone.yaml: no such file" in capsys.readouterr().err
    words = ["run", "--from", "s", "--run", "0f", "--catalogue", "mine.yaml", "--out", "out"]
    assert main(words) == 2
    assert "--catalogue cannot be used with --run" in capsys.readouterr().err
    with pytest.raises(InputError, match="must be a list of files"):
        load_scenario("sub/scenario.yaml", catalogue="mine.yaml")
