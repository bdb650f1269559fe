"""How the tests of worked examples choose their cases, and the programs that two of them share."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from tests.peers.peer_cases import parametrised

__all__ = ["GROUPS", "SCHEDULES", "Case", "check_program", "topic_of", "topics", "unread"]

Case = dict[str, Any]


def topics(*words: str) -> Any:
    """The cases of topics that contain one of some words."""
    return parametrised("worked_examples*.json", lambda case: topic_of(case) in words)


def topic_of(case: Case) -> str:
    """The group of a topic: the first word below that it contains."""
    return next((word for word in GROUPS if word in case["topic"]), "other")


GROUPS = (
    "asset",
    "ceei",
    "drf",
    "max_min",
    "backfill",
    "deadline",
    "elastic",
    "goodput",
    "finish_time",
    "makespan",
    "throughput",
    "heterogen",
    "las",
    "fifo",
    "fcfs",
    "sjf",
    "srtf",
    "srsf",
    "priority",
)
SCHEDULES = ("backfill", "fifo", "fcfs", "sjf", "srtf", "srsf", "priority", "las")


def unread(case: Case) -> None:
    pytest.skip(f"no reader for {case['topic']} with the inputs {sorted(case['input'])}")


def check_program(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    rates = next((v for k, v in given.items() if "per_s" in k and isinstance(v, dict)), None)
    if rates is None or "workers" not in given:
        unread(case)
        return
    if importlib.util.find_spec("clustersim.scheduling.programs") is None:
        pytest.skip("clustersim.scheduling.programs does not exist")
    from clustersim.scheduling.programs import gavel
    from clustersim.scheduling.programs.problem import AllocationProblem

    pools = list(given["workers"])
    remaining = given.get("remaining_steps")
    gangs = given.get("gpus", {})
    problem = AllocationProblem(
        rates=np.array([[row.get(pool, 0) for pool in pools] for row in rates.values()], float),
        gangs=np.array([gangs.get(job, 1) if isinstance(gangs, dict) else 1 for job in rates]),
        accelerators=np.array([given["workers"][pool] for pool in pools]),
        remaining_steps=None if remaining is None else np.array([*remaining.values()], float),
    )
    objectives = {
        "makespan": gavel.min_makespan,
        "throughput": gavel.max_total_throughput,
        "max_min": gavel.max_min_fairness,
        "heterogen": gavel.max_min_fairness,
        "las": gavel.max_min_fairness,
    }
    wanted = next((v for v in expected.values() if isinstance(v, int | float)), None)
    if wanted is None:
        unread(case)
        return
    assert objectives[topic_of(case)](problem).objective == pytest.approx(wanted, rel=1e-6)
