"""What earlier versions called otherwise is refused with the name that it has now."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.cli.main import main

STUDY: Mapping[str, Any] = {
    "name": "old names",
    "base": "mixed_small.yaml",
    "parameters": {"scheduler.policy": ["fcfs", "easy"]},
}
PLAN: Mapping[str, Any] = {"extends": "plan_2026.yaml"}
METRIC = "effective_time"
FILES: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "worlds": ("study", {**STUDY, "worlds": 2}, "worlds: is now called 'draws'"),
    "worlds of the quick version": (
        "study --quick",
        {**STUDY, "quick": {"worlds": 1}},
        "worlds: is now called 'draws'",
    ),
    "metrics": (
        "study",
        {**STUDY, "metrics": [METRIC]},
        "metrics[0]: metric 'effective_time' is now called 'ettr'",
    ),
    "metric of a period": (
        "study",
        {**STUDY, "window": {"periods": 4}, "metrics": [f"{METRIC}@2"]},
        "metrics[0]: metric 'effective_time@2' is now called 'ettr@2'",
    ),
    "objective": (
        "study",
        {**STUDY, "objective": {"metric": METRIC, "at_most": 0.9}},
        "objective.metric: metric 'effective_time' is now called 'ettr'",
    ),
    "replications": (
        "study",
        {**STUDY, "replications": {"at_most": 20, "relative_width": 0.1, "metric": METRIC}},
        "replications.metric: metric 'effective_time' is now called 'ettr'",
    ),
    "comparison": (
        "study",
        {
            **STUDY,
            "compare": {"of": "scheduler.policy", "baseline": "fcfs", "metrics": [METRIC]},
        },
        "compare.metrics[0]: metric 'effective_time' is now called 'ettr'",
    ),
    "plot": (
        "study",
        {**STUDY, "plots": [{"kind": "curve", "x": "scheduler.policy", "y": METRIC}]},
        "plots[0].y: metric 'effective_time' is now called 'ettr'",
    ),
    "label": (
        "study",
        {**STUDY, "labels": {METRIC: "share"}},
        "labels: parameter or metric 'effective_time' is now called 'ettr'",
    ),
    "plan's objective": (
        "plan",
        {**PLAN, "verify": {"objective": {"metric": METRIC, "at_most": 0.9}}},
        "verify.objective.metric: ",
    ),
    "plan": ("plan", {**PLAN, METRIC: 0.9}, "effective_time: is now called 'ettr'"),
}
NAMES = {
    "clustersim.Plan": "clustersim.Plan is now called PurchasePlan",
    "clustersim.conduct_study": "conduct_study is now called run_study, with report=True",
    "clustersim.make_plan": "clustersim.make_plan is now called plan_purchases",
    "clustersim.planning": "clustersim.planning is now called procurement",
    "clustersim.performance.World": "clustersim.performance.World is now called CoefficientDraw",
    "clustersim.performance.default_world": "default_world is now called default_draw",
    "clustersim.studies.run_study": "studies.run_study is now called clustersim.run_study",
}


OPTIONS = {
    "catalogue --file": "--catalogue",
    "estimate --columns": "--list-columns",
    "metrics --columns": "--list-columns",
    "replay --format": "--log-format",
    "trace --format": "--log-format",
    "trace --from": "--since",
    "trace --to": "--until",
}
"""Options of earlier versions, with the names that they have now."""


@pytest.mark.parametrize("value", [(), ("28 d",)], ids=["alone", "with a value"])
@pytest.mark.parametrize("what", OPTIONS)
def test_options(what: str, value: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    command, old = what.split()
    assert main([command, old, *value]) == 2
    message = capsys.readouterr()
    assert message.err == f"clustersim: error: {old}: is now called {OPTIONS[what]!r}\n"
    assert message.out == ""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert OPTIONS[what] in printed
    assert f"{old} " not in printed


@pytest.mark.parametrize("what", FILES)
def test_keys_and_metrics_of_files(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, fields, message = FILES[what]
    path = tmp_path / "old.yaml"
    YAML(typ="safe").dump(dict(fields), path)
    verb, *options = command.split()
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main([verb, str(path), *options, "--out", str(out)]))
    assert ended.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith(f"clustersim: error: {path}")
    assert message in printed
    assert "\n" not in printed
    assert not out.exists()


@pytest.mark.parametrize("old", NAMES)
def test_python_names(old: str) -> None:
    module, _, name = old.rpartition(".")
    with pytest.raises(ImportError, match=NAMES[old].replace(".", r"\.")):
        getattr(import_module(module), name)
    with pytest.raises(ImportError, match=NAMES[old].replace(".", r"\.")):
        exec(f"from {module} import {name}")


@pytest.mark.parametrize("module", ["clustersim.planning", "clustersim.planning.result"])
def test_modules(module: str) -> None:
    with pytest.raises(ImportError, match=r"clustersim\.planning is now called procurement"):
        import_module(module)
    with pytest.raises(ModuleNotFoundError, match=r"clustersim\.plannings"):
        import_module("clustersim.plannings")


@pytest.mark.parametrize(
    ("old", "new"), [("reach", "coverage_factor"), ("widening", "overdispersion")]
)
def test_attributes_of_a_calibration(old: str, new: str) -> None:
    calibration = cs.performance.default_calibration()
    with pytest.raises(AttributeError, match=rf"Calibration\.{old} is now called {new}"):
        getattr(calibration, old)
    with pytest.raises(AttributeError, match="has no attribute 'spread'"):
        _ = calibration.spread
    assert not hasattr(calibration, old)


def test_attribute_of_a_part() -> None:
    with pytest.raises(AttributeError, match=r"Part\.ended is now called finished"):
        _ = cs.Part.__new__(cs.Part).ended
    assert not hasattr(cs.Part.__new__(cs.Part), "spread")


def test_arguments() -> None:
    with pytest.raises(cs.InputError, match=r"^RunTimeModel: world: was replaced by draw=\.\.\.$"):
        cs.RunTimeModel(world=None)
    assert cs.RunTimeModel(draw=None) == cs.RunTimeModel()
    with pytest.raises(cs.InputError, match=r"plan_purchases: told: was replaced by report=\.\.\."):
        cs.plan_purchases("plan_2026.yaml", told=print)
    with pytest.raises(cs.InputError, match=r"best_plans: world: was replaced by draw=\.\.\."):
        cs.best_plans([], [], 8, world=None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tell'"):
        cs.plan_purchases("plan_2026.yaml", tell=print)
