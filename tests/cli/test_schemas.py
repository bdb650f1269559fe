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
from clustersim.files import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(clustersim.__file__).parent
FILES = {
    "topology": sorted((ROOT / "topologies").glob("*.yaml")),
    "scenario": sorted((ROOT / "experiments").glob("*.yaml")),
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
    return json.loads(json.dumps(read_yaml(path)))


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
    "no cluster": ("scenario", lambda tree: tree.pop("cluster")),
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


def test_extends_is_part_of_a_scenario(validator: Callable[[str], Any]) -> None:
    check = validator("scenario")
    content = as_json(FILES["scenario"][0])
    check.validate({**content, "extends": "other.yaml"})
    assert not check.is_valid({**content, "extends": 5})
