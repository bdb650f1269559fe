"""Slurm's examples of preemption, evaluation order and backfilling, against its rules here.

Exceptions, by rule:

* Elapsed times and states of a preemption example that depend on the machine on which it ran are
  not compared; the victims, their modes and the nodes are.
* Advice on backfilling in prose is compared by what it advises.
* Inputs that no reader below knows are skipped with their names.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from clustersim.scheduling.slurm import (
    EVALUATION_ORDER,
    BackfillOptions,
    Preemption,
    PreemptionRules,
    Qos,
    RunningJob,
    SlurmPartition,
    WaitingJob,
)
from tests.peers.peer_cases import parametrised
from tests.peers.slurm_cases import FAMILIES, Case, criteria, family, unread

pytestmark = pytest.mark.peers

# --- Preemption -----------------------------------------------------------------------


@family("preemption")
def test_preemption(case: Case) -> None:
    given = case["input"]
    if "candidates_in_priority_order" in given:
        check_reordering(given, case["expected"])
    elif has_partitions(given):
        check_partitions(given, case["expected"])
    else:
        unread(case)


def check_reordering(given: Case, expected: Case) -> None:
    """Candidates of growing priority; with and without the second pass."""
    candidates = given["candidates_in_priority_order"]
    qos = {each["id"]: Qos(priority=i) for i, each in enumerate(candidates)}
    qos["high"] = Qos(priority=len(qos), preempts=frozenset(qos))
    running = [RunningJob(j["id"], {"nodes": j["nodes"]}, qos=j["id"]) for j in candidates]
    job = WaitingJob("pending", {"nodes": given["pending_nodes"]}, qos="high")
    for reorder_count, key in ((0, "first_pass"), (1, "final")):
        rules = PreemptionRules("qos", "requeue", qos=qos, reorder_count=reorder_count)
        victims = Preemption(rules, running, 0.0).victims(job, {"nodes": given["free_nodes"]})
        assert victims is not None
        assert [victim.job for victim in victims] == expected[key]


def has_partitions(given: Case) -> bool:
    """Whether a case states one job that arrives while jobs of partitions run on nodes."""
    if not {"nodes", "running", "incoming", "partitions"} <= given.keys():
        return False
    wanted = {"id", "partition", "nodes"}
    jobs = [given["incoming"], *given["running"]]
    return all(isinstance(job, dict) and wanted <= job.keys() for job in jobs)


def partition_of(stated: Any) -> SlurmPartition:
    """A partition that a case states by its tier alone, or by tier and mode."""
    if not isinstance(stated, dict):
        return SlurmPartition(int(stated))
    tier = next(value for key, value in stated.items() if "tier" in key)
    mode = next((str(value).lower() for key, value in stated.items() if "mode" in key), None)
    return SlurmPartition(tier, mode)


def check_partitions(given: Case, expected: Case) -> None:
    partitions = {name: partition_of(each) for name, each in given["partitions"].items()}
    rules = PreemptionRules("partition_prio", given.get("mode", "off"), partitions=partitions)
    running = [
        RunningJob(job["id"], {"nodes": job["nodes"]}, job["partition"]) for job in given["running"]
    ]
    taken = {job["id"]: job.get("on", []) for job in given["running"]}
    incoming = given["incoming"]
    job = WaitingJob(incoming["id"], {"nodes": incoming["nodes"]}, incoming["partition"])
    free = given["nodes"] - sum(job["nodes"] for job in given["running"])
    victims = Preemption(rules, running, now_s=0.0).victims(job, {"nodes": free})
    assert victims is not None
    stopped = [victim.job for victim in victims]
    past = {"suspended": "suspend", "requeued": "requeue", "cancelled": "cancel"}
    for key in past.keys() & expected.keys():
        assert [victim.job for victim in victims if victim.mode == past[key]] == expected[key]
    if "still_running" in expected:
        assert [job for job in taken if job not in stopped] == expected["still_running"]
    if "incoming_on" in expected:
        assert [node for job in stopped for node in taken[job]] == expected["incoming_on"]


def check_order(found: list[str]) -> None:
    """Each of our criteria has the word of theirs at the same place."""
    words = ("preempt", "reserv", "tier", "job priority", "submit", "id")
    for text, ours, word in zip(found, EVALUATION_ORDER, words, strict=False):
        assert word in ours
        assert word in text
    assert len(found) <= len(EVALUATION_ORDER)


@parametrised("slurm*.json", lambda case: criteria(case) is not None)
def test_evaluation_order(case: Case) -> None:
    found = criteria(case)
    assert found is not None
    check_order(found)


@parametrised("slurm*.json", lambda case: case["family"] not in FAMILIES and criteria(case) is None)
def test_other_families(case: Case) -> None:
    unread(case)


@family("backfill_parameters")
def test_backfill_parameters(case: Case) -> None:
    given, expected = case["input"], case["expected"]
    if "longest_time_limit_min" in given:
        options = BackfillOptions.of_slurm({"bf_window": given["bf_window_min"]})
        longest_s = given["longest_time_limit_min"] * 60.0
        assert options.starves(longest_s) == (given["bf_window_min"] < longest_s / 60)
        assert "window" in expected["advice"]
        better = options.for_time_limit(longest_s)
        assert better.bf_window_s >= longest_s
        assert not better.starves(longest_s)
        if "bf_resolution" in expected["advice"]:
            assert better.bf_resolution_s > options.bf_resolution_s
        return
    stated = expected.get("defaults", expected)
    ours = BackfillOptions().to_slurm()
    known = {key: value for key, value in stated.items() if _parameter(key) in ours}
    if not known:
        unread(case)
    for key, value in known.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert ours[_parameter(key)] * _scale(key) == pytest.approx(value)
        elif isinstance(value, bool):
            assert ours[_parameter(key)] == value


def _parameter(key: str) -> str:
    return re.sub(r"_(min|minutes|s|sec|seconds|us|microseconds|h|hours)$", "", key)


def _scale(key: str) -> float:
    """What turns the parameter's own unit into that of a key such as ``bf_window_hours``."""
    own_s = {"bf_window": 60.0, "bf_yield_interval": 1e-6, "bf_yield_sleep": 1e-6}
    units = {"min": 60.0, "h": 3600.0, "hours": 3600.0, "s": 1.0, "us": 1e-6}
    unit = key.rpartition("_")[2]
    return own_s.get(_parameter(key), 1.0) / units[unit] if unit in units else 1.0
