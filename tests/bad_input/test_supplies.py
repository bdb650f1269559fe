"""Scenarios whose supply cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Refuse = Callable[..., str]
MADE = {"pool": "a", "foundry": "TSMC", "chips_per_month": 1000, "at": "1 d"}
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "misspelt part": ({"supply/producton": []}, ("supply.producton", "did you mean 'production'")),
    "misspelt field": (
        {"supply/production": [{**MADE, "foundary": "x"}]},
        ("supply.production[0].foundary", "did you mean 'foundry'"),
    ),
    "no foundry": (
        {"supply/production": [{**MADE, "foundry": ""}]},
        ("supply.production[0].foundry", "at least 1 character"),
    ),
    "rate is a text": (
        {"supply/production": [{**MADE, "chips_per_month": "many"}]},
        ("supply.production[0].chips_per_month", "a number or a list", "'many'"),
    ),
    "rate is negative": (
        {"supply/production": [{**MADE, "chips_per_month": -1}]},
        ("supply.production[0].chips_per_month", "greater than or equal to 0", "-1"),
    ),
    "step without a rate": (
        {"supply/production": [{**MADE, "chips_per_month": [{"at": "1 d"}]}]},
        ("supply.production[0].chips_per_month[0].per_month: is required",),
    ),
    "date without a unit": (
        {"supply/production": [{**MADE, "at": 30}]},
        ("supply.production[0].at", "30 has no unit"),
    ),
    "ends too early": (
        {"supply/production": [{**MADE, "until": "1 d"}]},
        ("supply.production[0]: `until` must be later than `at`",),
    ),
    "more than all usable": (
        {"supply/production": [{**MADE, "usable": 1.2}]},
        ("supply.production[0].usable", "less than or equal to 1"),
    ),
    "unknown pool": (
        {"supply/production": [{**MADE, "pool": "b"}]},
        ("scenario.yaml: supply: production: unknown pool 'b'", "allowed: a"),
    ),
    "stacks are not known": (
        {
            "cluster/pools/a/accelerator": "910B",
            "supply/production": [MADE],
            "supply/memory": {"stacks_per_month": 1000},
        },
        (
            "scenario.yaml: supply: memory: the HBM stacks of 910B2",
            "hbm_stacks in a catalogue file",
        ),
    ),
    "share is negative": (
        {"supply/memory": {"stacks_per_month": 1000, "share": -0.5}},
        ("supply.memory.share", "greater than or equal to 0"),
    ),
    "memory as a number": ({"supply/memory": 1000}, ("supply.memory", "a mapping", "1000")),
    "unknown priority": (
        {
            "supply/production": [MADE],
            "supply/memory": {"stacks_per_month": 1000, "priority": ["b"]},
        },
        ("supply: memory.priority: unknown pool with a production 'b'", "allowed: a"),
    ),
    "site without limits": ({"supply/site": {}}, ("supply.site.limits: is required",)),
    "power without a unit": (
        {"supply/site": {"limits": [{"power": 20}]}},
        ("supply.site.limits[0].power", "20 has no unit", '"10 MW"'),
    ),
    "too little power": (
        {"supply/site": {"limits": [{"power": "10 kW"}]}},
        (
            "scenario.yaml: supply: site.limits: the 2 nodes present at the start need",
            "14.98 kW",
            "4.976 kW more",
        ),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_supply(refuse: Refuse, write_scenario: Callable[..., None], case: str) -> None:
    edits, words = BAD[case]
    write_scenario(edits)
    message = refuse(["run", "scenario.yaml", "--out", "out"], "scenario.yaml: ", *words)
    assert "problems" not in message, "one problem, one line"
