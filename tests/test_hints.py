"""Hints go by meaning where letters mislead."""

from __future__ import annotations

import pytest

from clustersim.errors import nearest_hint, nearest_name
from clustersim.meanings import _GROUPS, squashed

WORKLOAD = ("trace", "format", "sort", "generate", "jobs", "duration", "load", "reference_models")
SCENARIO = (
    *("name", "description", "catalogue", "start", "time_zone", "cluster", "workload", "energy"),
    *("scheduler", "performance", "failures", "supply", "money", "software", "serving", "seed"),
    *("replication", "horizon"),
)
METRICS = (
    *("mean_wait_s", "p95_wait_s", "p99_wait_s", "waited", "mean_jct_s", "utilisation", "cost_cny"),
    *("mean_bounded_slowdown", "ettr", "jobs_done_per_day", "makespan_s", "served"),
)
POLICIES = ("fcfs", "sjf", "easy", "easy_sjbf", "conservative")


@pytest.mark.parametrize(
    ("name", "allowed", "meant"),
    [
        ("log", WORKLOAD, "trace"),
        ("logs", WORKLOAD, "trace"),
        ("file", WORKLOAD, "trace"),
        ("utilization", WORKLOAD, "load"),
        ("n_jobs", WORKLOAD, "jobs"),
        ("loda", WORKLOAD, "load"),
        ("laod", WORKLOAD, "load"),
        ("jbs", WORKLOAD, "jobs"),
        ("topology", SCENARIO, "cluster"),
        ("timezone", SCENARIO, "time_zone"),
        ("tz", SCENARIO, "time_zone"),
        ("random_seed", SCENARIO, "seed"),
        ("end", SCENARIO, "horizon"),
        ("costs", SCENARIO, "money"),
        ("wait", METRICS, "mean_wait_s"),
        ("queue_time", METRICS, "mean_wait_s"),
        ("utilization", METRICS, "utilisation"),
        ("slowdown", METRICS, "mean_bounded_slowdown"),
        ("p99", METRICS, "p99_wait_s"),
        ("p95_wait", METRICS, "p95_wait_s"),
        ("makespan", METRICS, "makespan_s"),
        ("fifo", POLICIES, "fcfs"),
        ("backfill", POLICIES, "easy"),
        ("FCFS", POLICIES, "fcfs"),
        ("zzz", POLICIES, None),
        ("log", POLICIES, None),
    ],
)
def test_nearest_name(name: str, allowed: tuple[str, ...], meant: str | None) -> None:
    assert nearest_name(name, allowed) == meant


@pytest.mark.parametrize("names", [WORKLOAD, SCENARIO, METRICS, POLICIES])
def test_a_slip_in_any_name_finds_it(names: tuple[str, ...]) -> None:
    """Two letters of a name change places, or one is left out."""
    for name in names:
        if len(name) > 5 and not name[1].isdigit():
            assert nearest_name(name[:2] + name[3] + name[2] + name[4:], names) == name
            assert nearest_name(name[:3] + name[4:], names) == name


def test_lists_are_cut_with_their_rest() -> None:
    message = nearest_hint("zzz", [f"name{k:02}" for k in range(17)])
    assert message.startswith("allowed: name00, ")
    assert message.endswith("name11 and 5 more")


def test_meanings_are_written_as_they_are_compared() -> None:
    for group in _GROUPS:
        words = group.split()
        assert words == [squashed(word) for word in words]
        assert len(words) == len(set(words))
