"""Scenario files whose faults of the network have one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Refuse = Callable[..., str]
FABRIC = {"type": "rail-optimised", "unit_nodes": 1}
LIFE = {"kind": "exponential", "average": "10 d"}
SOURCE = {"name": "leaf", "of": "leaf", "time_to_failure": LIFE, "repair": LIFE}


def event(**fields: Any) -> dict[str, Any]:
    return {"events": [{"of": "a/leaf/0", "at": "1 h", **fields}]}


FAULTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown part": (
        event(of="a/leaf/16"),
        ("network: faults.events[0].of: there is no a/leaf/16; allowed: a/leaf/0 to a/leaf/15",),
    ),
    "unknown pool": (
        event(name="cut", of=["a/leaf/0", "h20/leaf/0"]),
        ("network: faults.events.cut.of: 'h20/leaf/0': unknown pool 'h20'", "allowed: a"),
    ),
    "misspelt key": (event(untill="2 h"), ("events[0].untill", "did you mean 'until'")),
    "no part": (event(of=[]), ("network.faults.events[0]", "must name at least one part")),
    "two ends": (
        event(until="2 h", duration="1 h"),
        ("a/leaf/0: has either until or duration, not both",),
    ),
    "an end before the beginning": (event(until="30 min"), ("until must be after at",)),
    "all of its rate": (event(capacity=1.0), ("events[0].capacity", "less than 1")),
    "two of one name": (
        {"events": [event(name="x")["events"][0]] * 2},
        ("network.faults", "events: two have the name 'x'"),
    ),
    "unknown rates": (
        {"sources": "alibaba-hnp"},
        ("network: faults.sources: ", "did you mean 'alibaba-hpn'"),
    ),
    "unknown kind": (
        {"sources": [SOURCE | {"of": "nics"}]},
        ("network.faults.sources[0].of: unknown value 'nics'", "did you mean 'nic'?"),
    ),
    "no such switch": (
        {"sources": [SOURCE | {"of": "spine"}]},
        ("network: faults.sources.leaf.of: no pool has a spine in its network",),
    ),
    "pool of a source": (
        {"sources": [SOURCE | {"pools": ["b"]}]},
        ("network: faults.sources.leaf.pools: unknown pool 'b'", "allowed: a"),
    ),
}


@pytest.mark.parametrize("problem", FAULTS)
def test_faults(refuse: Refuse, write_scenario: Callable[..., None], problem: str) -> None:
    faults, message = FAULTS[problem]
    fabric = FABRIC | ({"unit_nodes": 2} if problem == "no such switch" else {})
    write_scenario({"network": {"faults": faults}, "cluster/pools/a/fabric": fabric})
    refuse(["run", "scenario.yaml", "--out", "out"], "scenario.yaml: ", *message)
