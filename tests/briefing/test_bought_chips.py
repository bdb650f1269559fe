"""Chips that shares of the budget buy, by hand, and what is wrong with a section."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.errors import InputError
from tests.briefing.briefed_fleet import BRIEFING, briefed


def test_rest_of_the_budget_goes_to_the_next_pool(tmp_path):
    """60 million: 200 H200 (the most) for 40; the other 20 buy 133 910C, in nodes of 8: 128."""
    file = briefed(tmp_path)
    assert file.budget_cny == 60e6
    assert file.cost("h200").price_cny == 200_000
    assert file.chips_bought(file.spec.options["H200 first"]) == {"h200": 200, "910c": 128}


def test_shares_of_the_budget(tmp_path):
    """30 million each: 150 H200 (18 nodes), 200 910C (25 nodes)."""
    file = briefed(tmp_path)
    assert file.chips_bought(file.spec.options["halves"]) == {"h200": 144, "910c": 200}


def test_without_limits_all_money_is_spent(tmp_path):
    file = briefed(tmp_path)
    assert file.chips_bought({"h200": 1.0}, limited=False) == {"h200": 296}
    assert file.chips_bought({"h200": 1.0}) == {"h200": 200}


def test_bought_chips_arrive_with_the_share_that_trains(tmp_path):
    file = briefed(tmp_path)
    changes = file.changes_of({"910c": 1.0})
    loaded = file.version(changes=changes)
    bought = [each for each in loaded.scenario.supply.deliveries if each.name == "bought"]
    assert [each.nodes for each in bought] == [400 // 8 // 2]
    assert file.training_share("910c", changes=changes) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "as plannned"}, "did you mean 'as planned'"),
        (
            {"purchases": {**BRIEFING["purchases"], "h20": {"at": "30 d"}}},
            "unknown pool 'h20'; did you mean 'h200'",
        ),
        ({"options": {"a": {"h200": 0.7, "910c": 0.7}, "b": {}}}, "at most 1"),
        ({"options": {"a": {"tpu": 1.0}, "b": {}}}, "lacks pools of options: tpu"),
        ({"between": ["h200", "h200"]}, "two different pools"),
        ({"stop": {"pools": ["h2000"], "at": "30 d", "probability": 0.1}}, "h2000"),
        ({"stop": {"pools": ["h200"], "at": "30 d", "probability": 1.1}}, "probability"),
        ({"serveed": []}, "serveed"),
        ({"served": [{"name": "a", "model": "llama3-8b", "at": "0 d"}]}, "tokens_per_day"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        briefed(tmp_path, changes)


def test_unknown_price_names_the_field_to_set(tmp_path):
    file = briefed(tmp_path)
    file.data["money"]["pools"].pop("910c")
    file.data["money"] = None
    file.data["fleet"]["pools"]["910c"]["accelerator"] = "P800"
    with pytest.raises(InputError, match=r"the price of P800 is unknown; set money.pools.910c"):
        file.cost("910c")
