"""Plan files with one thing wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

Refuse = Callable[..., str]
RUN = ["plan", "plan.yaml", "--out", "out"]
BASE: dict[str, Any] = {
    "cluster": {"name": "base", "pools": {"gpu": {"accelerator": "H200", "nodes": 1}}},
    "workload": {"generate": "philly-2017", "jobs": 1},
}
PLAN: dict[str, Any] = {
    "name": "small",
    "quarters": 2,
    "budget": "1e9 CNY",
    "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY", "available": [9, 9]}},
    "demand": {
        "tuning": {
            "model": "llama3-8b",
            "accelerators": 8,
            "tokens": 1.0e13,
            "job_tokens": 1.0e11,
            "must_meet": 1,
        }
    },
    "scenarios": {"sure": {"probability": 1.0}},
}


def write_plan(edits: dict[str, Any]) -> None:
    """Write the small plan with values at paths ("a/b") replaced; None removes."""
    tree = copy.deepcopy(PLAN)
    for path, value in edits.items():
        *above, last = path.split("/")
        here = tree
        for part in above:
            here = here.setdefault(part, {})
        if value is None:
            del here[last]
        else:
            here[last] = copy.deepcopy(value)
    with Path("plan.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a misspelt key": ({"qarters": 2}, ("qarters: unknown key", "'quarters'")),
    "of a chip": ({"chips/h200/availble": 3}, ("chips.h200.availble: unknown key", "'available'")),
    "of the demand": ({"demand/tuning/modle": "x"}, ("demand.tuning.modle", "'model'")),
    "of the verification": (
        {"verify": {"base": BASE, "round": 3}},
        ("verify.round: unknown key", "'rounds'"),
    ),
    "no quarters": ({"quarters": None}, ("quarters: is required but absent",)),
    "no chips": ({"chips": {}}, ("chips: ", "at least 1 item")),
    "an unknown chip": (
        {"chips/h200/accelerator": "HH200"},
        ("chips.h200.accelerator: unknown accelerator 'HH200'", "'H200'"),
    ),
    "a chip twice": (
        {"chips/more": {"accelerator": "h200"}},
        ("chips.more.accelerator: H200 is already used by h200",),
    ),
    "an unknown model": (
        {"demand/tuning/model": "llama3-8c"},
        ("demand.tuning.model: unknown model 'llama3-8c'", "'llama3-8b'"),
    ),
    "an unknown chip of a class": (
        {"demand/tuning/chips": ["h20"]},
        ("demand.tuning.chips: unknown chip 'h20'", "'h200'"),
    ),
    "two prices": (
        {"chips/h200/price_per_chip": "1 CNY"},
        ("chips.h200: has both price_per_node and price_per_chip",),
    ),
    "no price anywhere": (
        {"chips/p800": {"accelerator": "P800"}},
        ("chips.p800: needs price_per_node", "no price for P800"),
    ),
    "a price without a currency": (
        {"chips/h200/price_per_node": 1500000},
        ("chips.h200.price_per_node: ", "no unit", "CNY"),
    ),
    "a budget in euros": ({"budget": "1e9 EUR"}, ("budget: ", "EUR")),
    "a budget of nothing": ({"budget": {}}, ("budget: needs total, by_quarter or both",)),
    "too few quarters": (
        {"chips/h200/available": [9]},
        ("chips.h200.available: needs one value for each of the 2 quarters, found 1",),
    ),
    "too many quarters of tokens": (
        {"demand/tuning/tokens": [1.0e12] * 3},
        ("demand.tuning.tokens: needs one value for each of the 2 quarters, found 3",),
    ),
    "decided after the end": (
        {"decide_first": 3},
        ("decide_first: must be at most the number of quarters (2), found 3",),
    ),
    "a value for what need not be met": (
        {"demand/tuning/must_meet": 0.5},
        ("demand.tuning: needs value_per_million_tokens",),
    ),
    "two values": (
        {
            "demand/tuning/value_per_exaflop": "1 CNY",
            "demand/tuning/value_per_million_tokens": "1 CNY",
        },
        ("demand.tuning: has both value_per_million_tokens and value_per_exaflop",),
    ),
    "probabilities": (
        {"scenarios/sure/probability": 0.9},
        ("scenarios: the sum of all probabilities must be 1, found 0.9",),
    ),
    "a scenario's unknown chip": (
        {"scenarios/sure/available": {"h20": {"factor": 0}}},
        ("scenarios.sure.available: unknown chip 'h20'", "'h200'"),
    ),
    "a factor and nodes": (
        {"scenarios/sure/available": {"h200": {"factor": 0, "nodes": 3}}},
        ("scenarios.sure.available.h200: needs either `factor` or `nodes`, not both",),
    ),
    "a factor of no limit": (
        {
            "chips/h200/available": None,
            "scenarios/sure/available": {"h200": {"factor": 0}},
        },
        ("scenarios.sure.available.h200: `factor` needs chips.h200.available",),
    ),
    "a model that fits nowhere": (
        {"demand/tuning/model": "llama3-405b"},
        ("demand.tuning: cannot run on any of its chips: ", "needs at least", "H200"),
    ),
    "a scale": (
        {"verify": {"base": BASE, "scale": "1/0"}},
        ("verify.scale: must be a number or a fraction such as 1/16, found '1/0'",),
    ),
    "tokens without measure": (
        {"demand/tuning/tokens": 1e24},
        ("demand.tuning.tokens: ", "found 1e+24"),
    ),
    "tokens that grow without measure": (
        {"demand/tuning/tokens": {"first": 1e19, "growth": 11}},
        ("demand.tuning.tokens: grow to 1.1e+20 per quarter", "at most 1e+20"),
    ),
    "a utilisation of nearly nothing": (
        {"planning_utilisation": 1e-9},
        ("planning_utilisation: ", "0.01"),
    ),
    "a value without measure": (
        {"demand/tuning/value_per_exaflop": "1e300 CNY"},
        ("demand.tuning.value_per_exaflop: must be at most 1,000,000,000, found 1e+300 CNY",),
    ),
    "a price of electricity without measure": (
        {"electricity": {"price_per_kwh": "1e300 CNY"}},
        ("electricity.price_per_kwh: must be at most 1,000,000,000",),
    ),
    "a budget without measure": ({"budget": "1e300 CNY"}, ("budget: ", "must be at most 1e+15")),
    "a scenario with a long name": (
        {"scenarios": {"s" * 300: {"probability": 1.0}}},
        ("scenarios", "at most 64 characters"),
    ),
    "spare parts without a stop": (
        {"scenarios/sure/available": {"h200": {"factor": [1, 0.5], "spare_parts": False}}},
        ("scenarios.sure.available.h200.spare_parts: false is allowed only if nodes",),
    ),
    "a scale that leaves nothing": (
        {"demand/tuning/tokens": 1.0e12, "verify": {"base": BASE, "scale": "1/1000"}},
        ("verify.scale: 0.001 turns 2 nodes of h200 into 0", "The smallest scale allowed is 1/2"),
    ),
    **{
        f"an objective of {metric}": (
            {"verify": {"base": BASE, "objective": {"metric": metric, "at_most": limit}}},
            (
                f"verify.objective.metric: {metric} does not measure the service",
                "allowed: mean_wait_s, ",
            ),
        )
        for metric, limit in (
            ("fleet_cost_cny", 1),
            ("offered_load", 1),
            ("jobs_per_day", 1),
            ("chips", 1),
            ("mean_wait_s@1", 1),
            ("utilisation.gpu", 1),
        )
    },
    "a metric": (
        {"verify": {"base": BASE, "objective": {"metric": "p95_wait"}}},
        ("verify.objective.metric: unknown metric", "'p95_wait_s'"),
    ),
    "a simulated scenario": (
        {"verify": {"base": BASE, "scenarios": ["shure"]}},
        ("verify.scenarios: unknown scenario 'shure'", "'sure'"),
    ),
    "no such base": (
        {"verify": {"base": "nothing.yaml"}},
        ("verify.base: ", "nothing.yaml: no such file"),
    ),
    "a problem of the base": (
        {"verify": {"base": {**BASE, "scheduler": {"polcy": "easy"}}}},
        ("verify.base: scheduler.polcy: unknown key", "'policy'"),
    ),
    "a change of the base": (
        {"verify": {"base": BASE, "set": {"workload.jobs.x": 1}}},
        ("verify.set: ", "workload.jobs has no fields"),
    ),
    "a stack": (
        {"performance": {"stack": "NeMo 99"}},
        ("performance: stack: unknown software stack 'NeMo 99'",),
    ),
    "the quick version": (
        {"quick": {"verify": {"round": 1}}},
        ("plan.yaml: quick: ", "verify.round: unknown key"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_problem(refuse: Refuse, case: str) -> None:
    edits, words = CASES[case]
    write_plan(edits)
    refuse(RUN, "plan.yaml", *words)


def test_all_problems_at_once(refuse: Refuse) -> None:
    write_plan({"chips/h200/accelerator": "HH200", "decide_first": 3, "demand/tuning/model": "x"})
    refuse(RUN, "plan.yaml: 3 problems", "decide_first", "chips.h200", "demand.tuning")


def test_options(refuse: Refuse) -> None:
    write_plan({})
    refuse([*RUN, "--workers", "0"], "--workers: must be 1 or more, found 0")
    refuse([*RUN, "--quick"], "quick: the file has no `quick:` section")
    refuse([*RUN, "--format", "jpg"], "unknown format 'jpg'")
    refuse([*RUN, "--set", "budget"], "must be path.to.field=value")
    refuse([*RUN, "--set", "chips.h200.available.x=1"], "available has no fields")
    refuse(["plan", "plam.yaml", "--out", "out"], "plam.yaml: no such file", "'plan.yaml'")
