"""Cases of a scenario and periods of a study with one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.bad_input.study_files import RUN, assert_one_line, write_study

Refuse = Callable[..., str]
CASES = {"now": {}, "later": {"workload.jobs": 4}}
RUN_CASE = ["run", "scenario.yaml", "--out", "out", "--set"]

SCENARIOS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "another name": ({}, "case=latter", ("case: unknown case 'latter'; did you mean 'later'",)),
    "no cases": ({"cases": {}}, "case=x", ("case: unknown case 'x'; none is defined",)),
    "a number": ({}, "case=3", ("case: ", "a text", "found 3")),
    "cases are a list": ({"cases": ["now"]}, "seed=1", ("cases: ", "mapping of keys")),
    "a case is a text": ({"cases": {"now": "x"}}, "seed=1", ("cases.now: ", "mapping of keys")),
    "a path that leads nowhere": (
        {"cases": {"now": {"seed.x": 1}}},
        "case=now",
        ("cases.now: seed.x: ", "seed has no fields"),
    ),
    "a misspelt path": (
        {"cases": {"now": {"suply.embargoes": []}}},
        "case=now",
        ("suply: unknown key; did you mean 'supply'",),
    ),
    "a case of cases": (
        {"cases": {"now": {"case": "later"}}},
        "case=now",
        ("cases.now: case: a case cannot change the keys cases and case",),
    ),
    "a change of a case": ({}, "cases.now=1", ("choose one with case=NAME",)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_bad_case(refuse: Refuse, write_scenario: Callable[..., None], name: str) -> None:
    edits, change, parts = SCENARIOS[name]
    write_scenario({"cases": CASES, **edits})
    assert_one_line(refuse([*RUN_CASE, change], *parts))


HORIZON = {"base/horizon": "4 min"}
PERIODS = {**HORIZON, "window": {"periods": 2}}
BY_PERIOD = {"kind": "periods", "y": "utilisation"}
STUDIES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an unknown case": (
        {"base/cases": CASES, "parameters": {"case": ["now", "latter"]}},
        ("parameters: case = latter: case: unknown case 'latter'; did you mean 'later'",),
    ),
    "no periods": ({"window": {"periods": 0}}, ("window.periods: must be 1 to 1000", "found 0")),
    "periods of one name": (
        {"window": {"periods": ["a", "a"]}},
        ("window.periods: ", "distinct names such as"),
    ),
    "no horizon": (
        {"window": {"periods": 2}},
        ("window.periods: the scenario needs a `horizon`",),
    ),
    "nobody comes in the last": (
        {**PERIODS, "base/horizon": "9 h"},
        ("window.periods: no job arrives in period 2; the last job arrives at",),
    ),
    "a metric of no period": (
        {**HORIZON, "metrics": ["utilisation@1"]},
        ("metrics: utilisation@1 needs window: {periods: 4}",),
    ),
    "a metric of a period too many": (
        {**PERIODS, "metrics": ["utilisation@3"]},
        ("metrics: utilisation@3: window.periods has only 2 periods",),
    ),
    "a metric of the whole alone": (
        {**PERIODS, "metrics": ["makespan_s@1"]},
        ("metrics[0]: unknown metric 'makespan_s@1'",),
    ),
    "a pool of a period": (
        {**PERIODS, "metrics": ["accelerators.b@1"]},
        ("metrics: accelerators.b@1: unknown pool 'b'; allowed: a",),
    ),
    "with a capacity search": (
        {**PERIODS, "parameters": {}, "objective": {"metric": "waited", "at_most": 0.5},
         "capacity": {}},
        ("window.periods: cannot be combined with a capacity search",),
    ),
    "a picture without periods": ({"plots": [BY_PERIOD]}, ("plots[0]: a plot of periods needs",)),
    "a picture of nothing": (
        {**PERIODS, "plots": [{"kind": "periods"}]},
        ("plots[0].y: is required but absent",),
    ),
    "a picture of the whole alone": (
        {**PERIODS, "plots": [{**BY_PERIOD, "y": ["utilisation", "makespan_s"]}]},
        ("plots[0].y: unknown metric of a period 'makespan_s'",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_bad_study(refuse: Refuse, name: str) -> None:
    edits, parts = STUDIES[name]
    write_study(edits)
    assert_one_line(refuse(RUN, *parts))
