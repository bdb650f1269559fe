"""Scenario files with one thing wrong in software, growth or serving each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Refuse = Callable[..., str]
RUN = ["run", "scenario.yaml", "--out", "out"]
PORT = {"name": "p", "accelerators": ["H20"], "at": "180 d", "efficiency": 0.5}
SERVICE = {
    "name": "chat",
    "pool": "a",
    "peak_requests_per_s": 5,
    "input_tokens": 100,
    "output_tokens": 100,
    "tokens_per_s_per_chip": 1000,
}


def port(**fields: Any) -> dict[str, Any]:
    return {"software": {"ports": [{**PORT, **fields}]}}


def service(**fields: Any) -> dict[str, Any]:
    return {"serving": {"services": [{**SERVICE, **fields}]}, "horizon": "2 d"}


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "growth that shrinks": (
        {"workload/generate/arrivals/growth": 0.5},
        ("workload.generate.arrivals.growth", "greater than or equal to 1"),
    ),
    "preemptible in words": (
        {"workload/generate/classes/0/preemptible": "sometimes"},
        ("classes[0].preemptible", "true or false"),
    ),
    "a date that is none": (port(at="soon"), ("ports[0].at", "must be never, or a time", "'soon'")),
    "a date without unit": (port(at=180), ("ports[0].at", "180 d", "found 180")),
    "efficiency above 1": (port(efficiency=1.2), ("ports[0].efficiency", "1.2")),
    "no efficiency": (port(efficiency=0), ("ports[0].efficiency", "greater than 0")),
    "it gets worse": (port(mature=0.3), ("mature (0.3) must be at least efficiency (0.5)",)),
    "a slip of never": (
        port(at="never", slip={"kind": "exponential", "average": "1 d"}),
        ("`slip` needs a date, but `at` is never",),
    ),
    "no such chip": (port(accelerators=["H2O"]), ("software: ports.p.accelerators", "'H20'")),
    "no such class": (port(classes=["trian"]), ("ports.p.classes", "did you mean 'train'")),
    "two ports of a name": (
        {"software": {"ports": [PORT, PORT]}},
        ("software: ports: names must be unique; found duplicates: p",),
    ),
    "no such pool": (service(pool="b"), ("serving: services.chat.pool: unknown pool 'b'",)),
    "no such shape": (
        service(shape="servegen-small"),
        ("services[0].shape", "did you mean 'servegen-m-small'"),
    ),
    "a day of 23 hours": (service(shape=[1.0] * 23), ("services[0].shape", "24", "found 23")),
    "a day without requests": (service(shape=[0.0] * 24), ("services[0].shape", "not all 0")),
    "half hours": (service(every="90 min"), ("services[0].every", "whole hours")),
    "requests of nothing": (
        service(input_tokens=0, output_tokens=0),
        ("input_tokens and output_tokens must not both be 0",),
    ),
    "no speed": (service(tokens_per_s_per_chip=0), ("tokens_per_s_per_chip", "greater than 0")),
    "no horizon": (
        {"serving": {"services": [SERVICE]}},
        ("serving: services need a scenario with a horizon",),
    ),
    "two services of a name": (
        {"serving": {"services": [SERVICE, SERVICE]}, "horizon": "2 d"},
        ("serving: services: names must be unique; found duplicates: chat",),
    ),
    "nodes that are not tracked": (
        {**service(), "scheduler/placement": "pooled"},
        ("scheduler.placement", "consolidate"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_demand_that_cannot_be(
    refuse: Refuse, write_scenario: Callable[..., None], case: str
) -> None:
    edits, words = CASES[case]
    write_scenario(edits)
    refuse(RUN, "scenario.yaml: ", *words)
