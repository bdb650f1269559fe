"""Models of a family, and the largest one that trains within a time, beside trying all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.catalogue import Model, load_catalogue
from clustersim.errors import InputError
from clustersim.training.family import layer_range, with_layers
from tests.examples import examples
from tests.training.two_pools import FLEET

CATALOGUE = load_catalogue()
MODELS = sorted(CATALOGUE.models)


@settings(max_examples=examples(200))
@given(name=st.sampled_from(MODELS), data=st.data())
def test_a_model_with_more_layers_is_larger(name: str, data: st.DataObject) -> None:
    model = CATALOGUE.model(name)
    least, most = layer_range(model)
    layers = data.draw(st.integers(least, most - 1))
    small, large = with_layers(model, layers), with_layers(model, layers + 1)
    assert large.params > small.params
    assert large.active_params > small.active_params
    for attribute in ("hidden", "heads", "ffn_hidden", "expert_ffn_hidden", "moe_layers"):
        assert getattr(large, attribute) >= getattr(small, attribute)
    assert small.heads % small.kv_heads == 0
    assert small.kv_heads == (small.heads if model.kv_heads == model.heads else model.kv_heads)
    assert (small.n_experts, small.top_k) == (model.n_experts, model.top_k)
    assert small.moe_layers <= small.layers
    counted = small.count_params()[0] / model.count_params()[0]
    assert small.params / model.params == pytest.approx(counted)


@pytest.mark.parametrize("name", MODELS)
def test_the_original_is_one_of_its_family(name: str) -> None:
    model = CATALOGUE.model(name)
    assert with_layers(model, model.layers) is model


def test_twice_the_depth_and_the_width_by_hand() -> None:
    """Llama 3 8B with 64 layers of width 8,192: 64 heads over 8, MLPs of 28,672."""
    found = with_layers(CATALOGUE.model("llama3-8b"), 64)
    assert (found.layers, found.hidden, found.heads, found.kv_heads) == (64, 8192, 64, 8)
    assert (found.ffn_hidden, found.seq_len, found.vocab) == (28672, 8192, 128256)
    attention = 8192 * 128 * 2 * (64 + 8)
    mlp = 3 * 8192 * 28672
    assert found.params == pytest.approx(64 * (attention + mlp) + 2 * 128256 * 8192, rel=2e-3)
    with pytest.raises(InputError, match="layers of llama3-8b: must be from 8 to 128, found 129"):
        with_layers(CATALOGUE.model("llama3-8b"), 129)


def by_brute_force(model: Model, days: float, ratio: float, **where: Any) -> dict[str, int]:
    """The largest number of layers within the limit by column, trying all; 0 if none is."""
    least, most = layer_range(model)
    best = dict.fromkeys(("days_lo", "days", "days_hi"), 0)
    for layers in range(least, most + 1):
        scaled = with_layers(model, layers)
        found = cs.time_to_train(scaled, tokens=ratio * scaled.params, **where).table
        for column in best:
            if np.nanmin(found[column].to_numpy(float), initial=math.inf) <= days:
                best[column] = layers
    return best


@pytest.mark.parametrize(
    ("name", "days", "ratio", "count"),
    [("qwen3-0.6b", 2.0, 20.0, 8), ("olmoe-1b-7b", 5.0, 100.0, 64), ("wan-1.3b", 30.0, 50.0, 128)],
)
def test_the_search_finds_what_trying_all_finds(
    name: str, days: float, ratio: float, count: int
) -> None:
    """Time rises with size but for how numbers divide: at most one layer apart."""
    model = CATALOGUE.model(name)
    where = {"accelerators": "H200", "counts": count}
    found = cs.largest_model(name, days=days, tokens_per_parameter=ratio, **where)
    assert found.model is not None
    assert found.time is not None
    assert found.time.fastest is not None
    assert found.time.fastest["days"] <= days
    expected = by_brute_force(model, days, ratio, **where)
    assert expected["days"] - 1 <= found.model.layers <= expected["days"]
    for params, column in ((found.params_lo, "days_hi"), (found.params_hi, "days_lo")):
        near = (expected[column] - 1, expected[column])
        assert any(params == pytest.approx(with_layers(model, each).params) for each in near)


def test_tokens_follow_the_rule_or_stay() -> None:
    where: dict[str, Any] = {"accelerators": "H200", "counts": 64, "days": 10.0}
    chinchilla = cs.largest_model("llama3-8b", **where)
    assert chinchilla.tokens_per_parameter == 20
    assert chinchilla.model is not None
    assert chinchilla.time is not None
    assert chinchilla.time.training.tokens == pytest.approx(20 * chinchilla.model.params)
    fixed = cs.largest_model("llama3-8b", tokens=1e11, **where)
    assert fixed.time is not None
    assert (fixed.tokens_per_parameter, fixed.time.training.tokens) == (None, 1e11)


def test_more_days_allow_larger_models() -> None:
    sizes = [
        cs.largest_model("doubao-class", days=days, accelerators="H20", counts=1024).model
        for days in (30, 60, 120)
    ]
    assert all(size is not None for size in sizes)
    params = [size.params for size in sizes if size is not None]
    assert params == sorted(params)
    assert params[2] / params[0] == pytest.approx(2.0, rel=0.25), "days grow as the square"


def test_what_limits_the_size() -> None:
    where: dict[str, Any] = {"accelerators": "H200"}
    by_memory = cs.largest_model("llama3-8b", days=1e5, counts=8, tokens=1e9, **where)
    assert by_memory.limited_by == "memory"
    assert by_memory.model is not None
    larger = with_layers(CATALOGUE.model("llama3-8b"), by_memory.model.layers + 1)
    assert not cs.time_to_train(larger, "H200", 8, tokens=1e9).table["fits"][0]
    by_range = cs.largest_model("qwen3-0.6b", days=1e4, counts=512, tokens=1e9, **where)
    assert (by_range.limited_by, by_range.params_hi) == ("range", math.inf)
    none = cs.largest_model("llama3-405b", days=1, counts=8, **where)
    assert none.model is None
    assert "no model of this family trains within 24 h: one of " in none.reason
    assert "parameters takes" in none.reason
    tiny = CATALOGUE.accelerator("H200").at(hbm_bytes=1e8)
    nowhere = cs.largest_model("llama3-405b", days=90, accelerators=tiny, counts=8)
    assert nowhere.limited_by == "memory"
    assert "needs at least" in nowhere.reason


def test_on_a_fleet_it_is_the_fastest_pool() -> None:
    found = cs.largest_model("llama3-8b", days=20, fleet=FLEET, at="2026-04-01")
    assert found.model is not None
    assert found.time is not None
    again = cs.time_to_train_on_fleet(
        found.model, FLEET, "2026-04-01", tokens=20 * found.model.params
    )
    assert again.table.equals(found.time.table)
    assert found.time.fastest is not None
    assert found.time.fastest["pool"] == "new"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 0}, "days: must be above 0 and at most 100000, found 0"),
        ({"tokens_per_parameter": -1}, "tokens_per_parameter: must be above 0"),
        ({"tokens": 1e12, "tokens_per_parameter": 20}, "cannot be given together with tokens"),
        ({"fleet": FLEET}, "give either accelerators and counts, or a fleet"),
        ({"accelerators": None}, "give either accelerators and counts, or a fleet"),
    ],
)
def test_what_cannot_be_used_is_said(arguments: dict[str, Any], message: str) -> None:
    usual = {"days": 30, "accelerators": "H200", "counts": 8}
    with pytest.raises(InputError) as error:
        cs.largest_model("llama3-8b", **{**usual, **arguments})
    assert message in str(error.value)
