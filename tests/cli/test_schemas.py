"""The JSON Schemas that editors use: they accept every file here and refuse a slip."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import clustersim
from clustersim.cli.main import main
from clustersim.extended import read_extended
from clustersim.files import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(clustersim.__file__).parent
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
STUDIES = [path for path in EXPERIMENTS if "base" in read_yaml(path)]
PLANS = [path for path in EXPERIMENTS if "quarters" in read_yaml(path)]
FILES = {
    "topology": sorted((ROOT / "topologies").glob("*.yaml")),
    "scenario": [path for path in EXPERIMENTS if path not in (*STUDIES, *PLANS)],
    "study": STUDIES,
    "plan": PLANS,
    "catalogue": sorted((PACKAGE / "catalogue" / "data").glob("*.yaml")),
    "workload": sorted((PACKAGE / "workload" / "models").glob("*.yaml")),
}
CASES = [(name, path) for name, paths in FILES.items() for path in paths]


@pytest.fixture
def validator(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """The validator of a format, of the schema that the command prints."""

    def make(name: str) -> Any:
        assert main(["schema", name]) == 0
        schema = json.loads(capsys.readouterr().out)
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    return make


def as_json(path: Path) -> Any:
    """The file's content as an editor's validator sees it: keys are texts."""
    return json.loads(json.dumps(read_extended(path)))


def test_there_are_files_of_each_format() -> None:
    assert all(FILES.values())


@pytest.mark.parametrize(("name", "path"), CASES, ids=[path.name for _, path in CASES])
def test_every_file_is_valid(validator: Callable[[str], Any], name: str, path: Path) -> None:
    check = validator(name)
    content = as_json(path)
    check.validate(content)
    misspelt = {**content, "nmae": "x"}
    assert not check.is_valid(misspelt)


SLIPS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "a key of a pool": (
        "topology",
        lambda tree: next(iter(tree["pools"].values())).update(noddes=3),
    ),
    "a pool without a chip": (
        "topology",
        lambda tree: next(iter(tree["pools"].values())).pop("accelerator"),
    ),
    "a kind of fabric": (
        "topology",
        lambda tree: next(iter(tree["pools"].values())).update(fabric={"type": "fattree"}),
    ),
    "a key of the scheduler": ("scenario", lambda tree: tree["scheduler"].update(polcy="easy")),
    "a key of the workload": ("scenario", lambda tree: tree["workload"].update(jbs=3)),
    "a choice": ("scenario", lambda tree: tree["scheduler"].update(choose="cheapest")),
    "no cluster": ("scenario", lambda tree: [tree.pop(key, None) for key in ("cluster", "fleet")]),
    "a key of a study": ("study", lambda tree: tree.update(replicatons=3)),
    "a metric's limit": ("study", lambda tree: tree.update(objective={"atmost": "1 h"})),
    "a metric": ("study", lambda tree: tree.update(metrics=["p95_wait"])),
    "a metric of a pool": ("study", lambda tree: tree.update(metrics=["makespan_s.h200"])),
    "a metric of a period": ("study", lambda tree: tree.update(metrics=["makespan_s@1"])),
    "a kind of plot": ("study", lambda tree: tree.update(plots=[{"kind": "curves"}])),
    "a key of a range": (
        "study",
        lambda tree: tree.update(parameters={"workload.load": {"from": 0.1, "till": 0.9}}),
    ),
    "no base": ("study", lambda tree: tree.pop("base")),
    "a key of the quick version": ("study", lambda tree: tree["quick"].update(replicatons=3)),
    "a key below the quick version": (
        "study",
        lambda tree: tree["quick"].update(sample={"pionts": 4}),
    ),
    "a key of a plan": ("plan", lambda tree: tree.update(quartres=3)),
    "a key of a plan's chip": ("plan", lambda tree: tree["chips"]["h200"].update(prize="1 CNY")),
    "a key of a verification": ("plan", lambda tree: tree["verify"].update(round=3)),
    "a key of a chip": (
        "catalogue",
        lambda tree: next(iter(tree["accelerators"].values())).update(hbm_size="1 GB"),
    ),
    "a key of a class": ("workload", lambda tree: tree["classes"][0].update(wieght=3)),
    "a kind of arrivals": (
        "workload",
        lambda tree: tree["arrivals"].update(process={"kind": "poison"}),
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused(validator: Callable[[str], Any], slip: str) -> None:
    name, change = SLIPS[slip]
    content = as_json(FILES[name][0])
    check = validator(name)
    check.validate(content)
    changed = copy.deepcopy(content)
    change(changed)
    assert not check.is_valid(changed)


@pytest.mark.parametrize("name", ["scenario", "study"])
def test_a_file_may_extend_another(validator: Callable[[str], Any], name: str) -> None:
    check = validator(name)
    content = as_json(FILES[name][0])
    check.validate({**content, "extends": "other.yaml"})
    check.validate({"extends": "other.yaml"})
    assert not check.is_valid({})
    assert not check.is_valid({**content, "extends": 5})


def test_names_of_metrics_are_there_once(validator: Callable[[str], Any]) -> None:
    check = validator("study")
    assert str(check.schema).count("'const': 'p95_wait_s'") == 1
    content = as_json(FILES["study"][0])
    metrics = [
        "p95_wait_s",
        "utilisation.h200",
        "utilisation@12",
        "utilisation.910b@3",
        "chips.a.b",
    ]
    check.validate({**content, "metrics": metrics, "quick": {"metrics": metrics}})
    assert not check.is_valid({**content, "quick": {"metrics": ["p95"]}})


def test_a_quick_version_says_parts_of_fields(validator: Callable[[str], Any]) -> None:
    check = validator("study")
    content = as_json(FILES["study"][0])
    for part in ({"points": 4}, {"method": "sobol"}, {}):
        check.validate({**content, "quick": {"sample": part, "set": {"workload.jobs": 5}}})
        assert check.is_valid({**content, "sample": part}) == (len(part) == 2)
    assert not check.is_valid({**content, "quick": {"quick": {}}})
