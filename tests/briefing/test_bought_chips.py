"""Chips that shares of the budget buy, by hand, and what is wrong with a section."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.briefing.checks import check_briefing
from clustersim.briefing.fleet_file import read_fleet_file
from clustersim.errors import InputError
from tests.briefing.briefed_fleet import BRIEFING, briefed


def test_rest_of_the_budget_goes_to_the_next_pool(tmp_path):
    """60 million: 200 H200 (the most) for 40; the other 20 buy 133 910C, in nodes of 8: 128."""
    file = briefed(tmp_path)
    assert file.budget_cny == 60e6
    assert file.cost("h200").price_cny == 200_000
    assert file.chips_bought(file.spec.options["H200 first"]) == {"h200": 200, "910c": 128}


def test_committed_money_is_not_spent_again(tmp_path):
    """60 - 12 million: 40 for 200 H200, 8 for 53 910C, in nodes of 8: 48."""
    file = briefed(tmp_path, {"committed": "12e6 CNY"})
    assert file.chips_bought(file.spec.options["H200 first"]) == {"h200": 200, "910c": 48}
    too_much = briefed(tmp_path, {"committed": "60e6 CNY"})
    with pytest.raises(InputError, match=r"budget less briefing.committed: must be above 0"):
        _ = too_much.budget_cny


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
        ({"purchases": {"h200": {"at": "30 d", "chips": 8}, "910c": {"at": "30 d"}}}, "the budget"),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": {"capacity": "1 PFLOP/s", "months": 7}}, "target.months: must be at most 6"),
        (
            {"stop": {"pools": ["h200"], "at": "2027-01-01", "probability": 0.1}},
            "stop.at: 2027-01-01 is not before the end of the horizon",
        ),
        (
            {"purchases": {"h200": {"at": "2027-01-01"}, "910c": {"at": "30 d"}}},
            "purchases.h200.at: 2027-01-01 is not before the end",
        ),
        (
            {"trainings": [{"name": "a", "model": "llama3-8c", "tokens": 1e12}]},
            r"trainings\[0\].model: unknown model 'llama3-8c'",
        ),
        ({"chips": ["H2000"]}, "briefing.chips: unknown accelerator 'H2000'"),
        (
            {"served": [{**BRIEFING["served"][0], "model": "llama3-8c"}]},
            r"fleet.yaml: briefing.served\[0\].*unknown model 'llama3-8c'",
        ),
        ({"purchases": {"h200": {"at": "30 d", "lotz": 2}, "910c": {"at": "30 d"}}}, "lotz"),
    ],
)
def test_what_fails_later_is_named_before_the_runs(tmp_path, changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        check_briefing(briefed(tmp_path, changes))


def test_what_is_right_passes_the_check(tmp_path):
    check_briefing(briefed(tmp_path))


def test_budget_is_that_of_the_base_case(tmp_path):
    file = briefed(tmp_path)
    file.data["cases"]["as planned"] = {"fleet.purchases.budget": "120e6 CNY"}
    assert file.budget_cny == 120e6


@pytest.mark.parametrize(
    ("purchases", "message"),
    [
        ("money", "fleet.purchases: must be a mapping of keys, found 'money'"),
        (None, "budget: is missing"),
        ({"budget": "0 CNY"}, "budget: must be above 0"),
    ],
)
def test_budget_that_cannot_be_spent(tmp_path, purchases: Any, message: str):
    file = briefed(tmp_path)
    file.data["fleet"]["purchases"] = purchases
    with pytest.raises(InputError, match=message):
        file.budget_cny  # noqa: B018


def test_delivery_with_the_name_of_bought_chips_is_refused(tmp_path):
    """Bought chips would replace it."""
    briefed(tmp_path)
    own = ["fleet.pools.h200.deliveries.bought.chips=64"]
    with pytest.raises(InputError, match=r"deliveries\.bought: this name is that of the chips"):
        read_fleet_file(tmp_path / "fleet.yaml", own)
