"""Studies and plans are given as a path, a mapping, or what is loaded already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.scenario.resolved import resolve

BASE: dict[str, Any] = {
    "name": "base",
    "cluster": "mixed-small",
    "workload": {"generate": "philly-2017", "jobs": 20},
}
STUDY: dict[str, Any] = {
    "name": "two policies",
    "base": BASE,
    "parameters": {"scheduler.policy": ["fcfs", "easy"]},
    "replications": 1,
}
PLAN: dict[str, Any] = {
    "name": "one chip",
    "quarters": 1,
    "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
    "demand": {
        "tuning": {
            "model": "llama3-8b",
            "accelerators": 8,
            "job_tokens": 1.0e9,
            "tokens": 1.0e13,
            "must_meet": 1,
        }
    },
}


def written(path: Path, fields: dict[str, Any]) -> Path:
    path.write_text(json.dumps(fields))
    return path


def test_a_study_in_every_form(tmp_path: Path) -> None:
    path = written(tmp_path / "study.yaml", STUDY)
    loaded = cs.load_study(path)
    keys = [[run.at(p.changes).run(-1, 0).key for p in loaded.points] for run in (loaded.base,)]
    for given in (path, str(path), STUDY, loaded):
        study = cs.define_study(given)
        assert [study.base.at(p.changes).run(-1, 0).key for p in study.points] == keys[0]


def test_the_base_of_a_study_may_be_loaded(tmp_path: Path) -> None:
    scenario = cs.load_scenario(written(tmp_path / "base.yaml", BASE))
    plain = cs.define_study(STUDY)
    for base in (scenario, scenario.scenario, resolve(scenario)):
        study = cs.define_study({**STUDY, "base": base})
        assert study.points == plain.points
        for point in study.points:
            runs = (each.base.at(point.changes).run(-1, 0).key for each in (study, plain))
            assert len(set(runs)) == 1


def test_files_of_a_loaded_base_are_beside_it(tmp_path: Path) -> None:
    log = "job_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n2,5,8,60\n"
    (tmp_path / "own.csv").write_text(log)
    tree = {**BASE, "workload": {"trace": "own.csv"}}
    base = cs.load_scenario(written(tmp_path / "base.yaml", tree))
    study = cs.define_study({**STUDY, "base": base})
    assert study.base.tree["workload"]["trace"] == str(tmp_path / "own.csv")


@pytest.mark.slow
def test_a_study_runs_in_every_form(tmp_path: Path) -> None:
    path = written(tmp_path / "study.yaml", STUDY)
    tables = []
    for number, given in enumerate((path, STUDY, cs.load_study(path))):
        out = tmp_path / str(number)
        assert cs.run_study(given, out, workers=1)
        tables.append(cs.load_result(out).points)
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_a_plan_in_every_form(tmp_path: Path) -> None:
    path = written(tmp_path / "plan.yaml", PLAN)
    loaded = cs.load_plan(path)
    assert cs.define_plan(loaded) is loaded
    for given in (path, str(path), PLAN, loaded):
        assert cs.define_plan(given).spec == loaded.spec
        plan = cs.plan_purchases(given)
        assert plan.schedule is not None
        assert int(plan.schedule.bought.sum()) == 17


@pytest.mark.parametrize("wrong", [3, None, [STUDY], cs.Scheduling()])
@pytest.mark.parametrize(
    ("take", "words"),
    [
        (cs.define_study, r"study: must be a path, a mapping or the result of load_study, found "),
        (cs.define_plan, r"plan: must be a path, a mapping or the result of load_plan, found "),
        (cs.plan_purchases, r"plan: must be a path, a mapping or the result of load_plan, found "),
        (lambda given: cs.run_study(given, "out"), r"study: must be a path, .*, found "),
    ],
)
def test_something_else_is_refused_in_words(take: Any, words: str, wrong: Any) -> None:
    with pytest.raises(cs.InputError, match=words):
        take(wrong)


@pytest.mark.parametrize("take", [cs.define_study, cs.define_plan, cs.run])
def test_a_file_that_is_not_there_is_named(take: Any) -> None:
    with pytest.raises(cs.InputError, match=r"absent\.yaml: no such file"):
        take("absent.yaml")
