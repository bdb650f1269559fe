"""Scenario files whose failures have one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Refuse = Callable[..., str]
RUN = ["run", "scenario.yaml", "--out", "out"]
LIFE = {"kind": "exponential", "average": "10 d"}
OFTEN = {"name": "gpu", "time_to_failure": LIFE, "repair": {"kind": "constant", "value": "1 h"}}

FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown rates": ({"sources": "meta-lama3"}, ("sources: ", "did you mean 'meta-llama3'")),
    "unknown rates in a list": (
        {"sources": [OFTEN, "opt-175"]},
        ("sources: ", "did you mean 'opt-175b'"),
    ),
    "unknown pool": (
        {"sources": [OFTEN | {"pools": ["b"]}]},
        ("sources.gpu.pools: unknown pool 'b'", "allowed: a"),
    ),
    "slows by nothing": ({"sources": [OFTEN | {"slowdown": 1}]}, ("slowdown", "greater than 1")),
    "found though it is out": (
        {"sources": [OFTEN | {"found": LIFE}]},
        ("gpu: `found` needs `slowdown`",),
    ),
    "spares of an unknown pool": (
        {"sources": [OFTEN], "spares": {"nodes": {"b": 1}}},
        ("spares.nodes: unknown pool 'b'", "allowed: a"),
    ),
    "fewer spares than none": (
        {"sources": [OFTEN], "spares": {"nodes": {"a": -1}}},
        ("spares.nodes.a", "greater than or equal to 0"),
    ),
    "no spares": ({"sources": [OFTEN], "spares": {"nodes": {}}}, ("spares.nodes", "at least 1")),
    "asynchronous to nowhere": (
        {"sources": [OFTEN], "checkpoints": {"asynchronous": True}},
        ("`asynchronous` needs `storage`",),
    ),
    "storage of nothing": (
        {"sources": [OFTEN], "checkpoints": {"storage": "0 TB/s"}},
        ("checkpoints.storage", "greater than 0"),
    ),
    "storage without unit": (
        {"sources": [OFTEN], "checkpoints": {"storage": 2}},
        ("checkpoints.storage: 2 has no unit",),
    ),
}


@pytest.mark.parametrize("problem", FAULTS)
def test_failures(refuse: Refuse, write_scenario: Callable[..., None], problem: str) -> None:
    failures, message = FAULTS[problem]
    write_scenario({"failures": failures, "scheduler/placement": "consolidate"})
    refuse(RUN, "scenario.yaml: ", "failures", *message)
