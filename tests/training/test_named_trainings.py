"""A file of named trainings: what it allows, its table, and its fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import clustersim as cs
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.training.named_trainings import (
    NamedTrainings,
    compare_trainings,
    largest_on_fleet,
    load_trainings,
    trainings_on_fleet,
)
from tests.training.two_pools import FLEET

SHIPPED = Path(__file__).parents[2] / "experiments" / "trainings" / "days_to_train.yaml"
SMALL: dict[str, Any] = {
    "name": "small",
    "trainings": [
        {"name": "dense", "model": "llama3-8b", "tokens": 1e12},
        {"name": "mixture", "model": "olmoe-1b-7b", "tokens": 5e12, "precision": "fp8"},
    ],
    "accelerators": ["H200", "SeedChip"],
    "counts": [8, 64],
}


def test_each_row_is_that_of_the_function() -> None:
    table, notes = compare_trainings(validate(NamedTrainings, SMALL, "small"))
    assert table["training"].tolist() == ["dense"] * 4 + ["mixture"] * 4
    assert table["hypothetical"].tolist() == [False, False, True, True] * 2
    alone = cs.time_to_train("olmoe-1b-7b", "SeedChip", 64, tokens=5e12, precision="fp8")
    assert table["days"].iloc[-1] == pytest.approx(alone.table["days"][0])
    assert set(alone.notes) <= set(notes)
    assert len(set(notes)) == len(notes)


def test_a_fleet_and_its_largest_model(tmp_path: Path) -> None:
    YAML(typ="safe", pure=True).dump(FLEET, tmp_path / "fleet.yaml")
    asked = {
        "scenario": "fleet.yaml",
        "at": "2026-04-01",
        "pool_share": 0.5,
        "largest": "dense",
        "within": "20 d",
        "tokens_per_parameter": 100,
    }
    spec = validate(NamedTrainings, {**SMALL, "fleet": asked}, "small")
    found = trainings_on_fleet(spec, tmp_path)
    assert list(found) == ["dense", "mixture"]
    assert found["mixture"].training.precision == "fp8"
    assert found["dense"].table["chips_there"].tolist() == [160, 72]
    largest = largest_on_fleet(spec, tmp_path)
    assert largest is not None
    assert largest.model is not None
    assert largest.time is not None
    assert largest.time.training.tokens == pytest.approx(100 * largest.model.params)
    assert largest.days == 20


def test_the_shipped_file_names_what_the_catalogue_has() -> None:
    spec, catalogue = load_trainings(SHIPPED), cs.load_catalogue()
    assert [catalogue.model(each.model).name for each in spec.trainings] == [
        "doubao-class",
        "jimeng-class",
        "deepseek-v3",
        "llama3-405b",
    ]
    names = [catalogue.accelerator(name).name for name in spec.accelerators]
    assert {"H200", "H20", "H100", "910B2", "910C", "SeedChip", "810E", "P800"} == set(names)
    assert all(training.source for training in spec.trainings)
    doubao = spec.trainings[0]
    assert spec.fleet is not None
    ratio = doubao.tokens / catalogue.model(doubao.model).params
    assert spec.fleet.tokens_per_parameter == ratio


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trainings": [SMALL["trainings"][0]] * 2},
            "names must be unique; found duplicates: dense",
        ),
        ({"trainings": []}, "trainings"),
        ({"counts": [0]}, "counts[0]"),
        ({"acelerators": ["H200"]}, "accelerators"),
        ({"fleet": {"scenario": "f.yaml", "at": "Q2", "largest": "dens"}}, "found 'dens'"),
        ({"fleet": {"scenario": "f.yaml", "at": "Q2", "pool_share": 2}}, "fleet.pool_share"),
    ],
)
def test_what_cannot_be_used_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        validate(NamedTrainings, {**SMALL, **changes}, "small.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("small.yaml")


def test_an_unknown_model_is_named_with_its_place() -> None:
    spec = validate(NamedTrainings, SMALL, "small")
    wrong = spec.trainings[1].model_copy(update={"model": "olmo"})
    spec = spec.model_copy(update={"trainings": [spec.trainings[0], wrong]})
    with pytest.raises(InputError, match=r"small: trainings\[1\].*olmo"):
        compare_trainings(spec)
