"""Whether a model fits, and the nearest number of chips on which it does."""

from __future__ import annotations

import math

import numpy as np
import pytest

import clustersim as cs
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.performance import best_plans
from clustersim.training.nearest_fit import NEAR_NODES

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    ("model", "chip", "count"),
    [("llama3-405b", "H20", 8), ("llama3-70b", "910B", 8), ("deepseek-v3", "H200", 13)],
)
def test_the_nearest_number_is_the_nearest_that_fits(model: str, chip: str, count: int) -> None:
    """All whole nodes near by, one by one."""
    found = cs.time_to_train(model, chip, count)
    row = found.table.iloc[0]
    assert not row["fits"]
    assert math.isnan(row["days"])
    assert "needs at least" in row["reason"]
    nearest = int(row["nearest_count"])
    sizes = [8 * nodes for nodes in range(1, NEAR_NODES)]
    shape, accelerator = CATALOGUE.model(model), CATALOGUE.accelerator(chip)
    fitting = [size for size in sizes if best_plans(shape, accelerator, [size]).fits[0]]
    assert nearest == min(fitting, key=lambda size: abs(math.log(size / count)))
    assert cs.time_to_train(model, chip, nearest).table["fits"][0]


def test_what_fits_nowhere_has_no_nearest_number() -> None:
    """A sequence that no chip holds, on a chip without links."""
    chip = CATALOGUE.accelerator("H20").at(hbm_bytes=1e6)
    found = cs.time_to_train("llama3-8b", chip, 8)
    assert found.table["nearest_count"].isna().all()
    assert found.fastest is None


def test_each_row_of_a_mixed_table_is_that_of_its_own() -> None:
    """Vectorised over chips and numbers, as one by one."""
    chips, counts = ["H200", "910B", "H20"], [8, 64, 1024]
    together = cs.time_to_train("llama3-70b", chips, counts).table
    assert together[["accelerator", "count"]].values.tolist() == [
        [chip, count] for chip in ("H200", "910B2", "H20") for count in counts
    ]
    numbers = [name for name in together.select_dtypes("number") if name != "nearest_count"]
    for row, (chip, count) in enumerate((chip, count) for chip in chips for count in counts):
        alone = cs.time_to_train("llama3-70b", chip, count).table.iloc[0]
        mine = together.iloc[row]
        assert mine["plan"] == alone["plan"]
        assert mine["reason"] == alone["reason"]
        assert str(mine["nearest_count"]) == str(alone["nearest_count"])
        np.testing.assert_allclose(
            mine[numbers].astype(float), alone[numbers].astype(float), rtol=1e-9
        )


def test_a_plan_that_some_counts_refuse() -> None:
    found = cs.time_to_train("llama3-8b", "H200", [12, 16], plan="tp=8").table
    assert found["fits"].tolist() == [False, True]
    assert "12" in found["reason"][0]
    with pytest.raises(InputError, match="plan"):
        cs.time_to_train("llama3-8b", "H200", 12, plan="tp=8")


def test_a_given_plan_without_memory_says_what_it_needs() -> None:
    row = cs.time_to_train("llama3-70b", "H200", 64, plan="tp=1,recompute=none").table.iloc[0]
    assert not row["fits"]
    assert row["reason"].startswith("the plan needs")
    assert row["reason"].endswith("a chip has 141 GiB")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accelerators": "H201"}, "unknown accelerator 'H201'"),
        ({"accelerators": []}, "accelerators: at least one is needed"),
        ({"counts": []}, "counts: at least one is needed"),
        ({"counts": [8, 0]}, "count: must be a whole number from 1"),
        ({"model": "doubao-klass"}, "did you mean 'doubao-class'?"),
        ({"tokens": 0}, "tokens: must be from 1 to 1e18"),
        ({"failures": "meta-llama4"}, "meta-llama3"),
        ({"failure_rate": -1}, "rate: must be from 0 to 1e6"),
        ({"failures": {"sources": "opt-175b", "chekpoints": {}}}, "checkpoints"),
        ({"plan": "tq=2"}, "tp"),
        ({"precision": "fp7"}, "precision: must be one of"),
        ({"seed": -1}, "seed"),
        ({"counts": list(range(1, 10_002))}, "at most 10,000 combinations"),
    ],
)
def test_what_cannot_be_used_is_said(arguments: dict[str, object], message: str) -> None:
    usual: dict[str, object] = {"model": "llama3-8b", "accelerators": "H200", "counts": 8}
    with pytest.raises(InputError) as error:
        cs.time_to_train(**{**usual, **arguments})  # type: ignore[arg-type]
    assert message in str(error.value)
