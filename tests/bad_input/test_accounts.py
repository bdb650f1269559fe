"""Scenarios that state energy or money wrongly, one thing each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

Refuse = Callable[..., str]
RUN = ["run", "scenario.yaml", "--out", "out"]

CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    # Energy
    "misspelt key": ({"energy/peu": 1.2}, ("energy.peu: unknown key", "did you mean 'pue'")),
    "energy is a number": ({"energy": 5}, ("energy: ", "a mapping of keys")),
    "site that draws less than its servers": (
        {"energy/pue": 0.9},
        ("energy.pue", "greater than or equal to 1", "0.9"),
    ),
    "day of 23 hours": (
        {"energy/price_cny_per_kwh": [0.5] * 23},
        (
            "energy.price_cny_per_kwh",
            "a list of 24 numbers (one per hour)",
            "found a list of 23 values",
        ),
    ),
    "price with a unit": (
        {"energy/price_cny_per_kwh": "0.6 CNY"},
        ("energy.price_cny_per_kwh", "a number from 0", "'0.6 CNY'"),
    ),
    "negative hour": (
        {"energy/carbon_g_per_kwh": [500.0] * 23 + [-1]},
        ("energy.carbon_g_per_kwh", "from 0 to 10000"),
    ),
    "price is NaN": ({"energy/price_cny_per_kwh": math.nan}, ("price_cny_per_kwh", "found nan")),
    "power without a unit": ({"energy/host_idle": 500}, ("energy.host_idle: 500 has no unit",)),
    "power in bytes": ({"energy/host_busy": "1 GB"}, ("energy.host_busy", "unit 'GB'", "700 W")),
    "idle draws more than busy": (
        {"energy/host_idle": "3 kW"},
        ("energy: host_idle (3000) is above host_busy (1800)",),
    ),
    "idle draws more in a pool": (
        {"energy/pools": {"a": {"load_factor": 0.1}}},
        ("energy: pools.a: idle_share (0.165) is above load_factor (0.1)",),
    ),
    "unknown pool of energy": (
        {"energy/pools": {"b": {"pue": 1.1}}},
        ("energy: pools: ", "unknown pool 'b'; allowed: a"),
    ),
    # Money
    "misspelt life": ({"money/lief": "4 yr"}, ("money.lief: unknown key", "did you mean 'life'")),
    "life without a unit": ({"money/life": 4}, ("money.life: 4 has no unit",)),
    "life of an hour": ({"money/life": "1 h"}, ("money.life", "greater than or equal to")),
    "price without a currency": (
        {"money/pools": {"a": {"price": 90000}}},
        ("money.pools.a.price: 90000 has no unit", "160e9 CNY"),
    ),
    "price in euros": (
        {"money/pools": {"a": {"price": "90000 EUR"}}},
        ("money.pools.a.price", "unit 'EUR'"),
    ),
    "absurd price": (
        {"money/pools": {"a": {"price": "1e12 USD"}}},
        ("money.pools.a: price must be at most 1,000,000,000, found 1,000,000,000,000 USD",),
    ),
    "absurd host": ({"money/host_price": "1e12 CNY"}, ("money: host_price must be at most",)),
    "bought and rented": (
        {"money/pools": {"a": {"price": "9 CNY", "rent_per_hour": "1 CNY"}}},
        ("money.pools.a: price applies only to bought chips; remove it or rent_per_hour",),
    ),
    "unknown pool of money": (
        {"money/pools": {"b": {}}},
        ("money: pools: ", "unknown pool 'b'; allowed: a"),
    ),
    "rate of 0": ({"money/cny_per_usd": 0}, ("money.cny_per_usd", "greater than 0")),
    "interest in percent": ({"money/interest_per_year": "4%"}, ("interest_per_year", "a number")),
    "period of a second": (
        {"money/period": "1 s"},
        ("money.period: must be `month` or a duration of at least 1 h", "'1 s'"),
    ),
    "period of a fortnight": ({"money/period": "fortnight"}, ("money.period: must be `month`",)),
    "chip without a price": (
        {"money/life": "4 yr", "cluster/pools/a/accelerator": "P800"},
        ("money: the price of P800 is unknown", "money.pools.a.price or rent_per_hour"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_account(refuse: Refuse, write_scenario: Callable[..., None], case: str) -> None:
    edits, words = CASES[case]
    write_scenario(edits)
    message = refuse(RUN, "scenario.yaml: ", *words)
    assert "problems" not in message, "one problem, one line"
