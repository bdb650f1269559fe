"""Capacity searches with as many replications as a narrow interval needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conducted import QUEUE, conduct, exact

import clustersim as cs
from clustersim.studies.capacity.requests import CapacityRequest, ComparedCapacities
from clustersim.studies.search_spec import CapacitySearch, Objective
from clustersim.studies.spec import Replications
from clustersim.studies.store import Outcome

LIMIT = 0.1


def search(replications: Any) -> dict[str, Any]:
    return {
        "name": "search",
        "base": QUEUE,
        "parameters": {"scheduler.policy": ["fcfs"]},
        "replications": replications,
        "objective": {"metric": "mean_wait_s", "at_most": "1 min"},
        "capacity": {"between": [0.5, 0.95], "tolerance": 0.05},
    }


@pytest.mark.slow
@pytest.mark.full
def test_replications_are_added_until_the_interval_is_narrow(tmp_path: Path) -> None:
    rule = {"at_least": 3, "at_most": 48, "relative_width": LIMIT}
    runs = conduct(search(rule), tmp_path / "rule", workers=1)
    (row,) = cs.load_result(tmp_path / "rule").capacities.to_dict("records")
    half = (row["capacity_high"] - row["capacity_low"]) / 2
    counts = runs.groupby("workload.load")["replication"].nunique()
    assert counts.nunique() == 1  # every value that was tried has all replications
    assert 3 < counts.iloc[0] < 48
    assert half <= LIMIT * row["capacity"]
    (few,) = _capacities(search(3), tmp_path / "few")
    assert few["capacity_high"] - few["capacity_low"] > 2 * LIMIT * few["capacity"]
    again = conduct(search(rule), tmp_path / "rule", workers=2, resume=True)
    assert exact(again) == exact(runs)


def test_no_more_than_allowed(tmp_path: Path) -> None:
    rule = {"at_least": 2, "at_most": 4, "relative_width": 1e-6}
    runs = conduct(search(rule), tmp_path / "rule", workers=1)
    assert set(runs.groupby("workload.load")["replication"].nunique()) == {4}


@dataclass(frozen=True)
class Queue:
    """A base scenario whose waits are given by a formula, with noise of each replication."""

    def at(self, changes: dict[str, Any]) -> Point:
        return Point(changes["workload.load"])


@dataclass(frozen=True)
class Point:
    load: float

    def run(self, draw: int, replication: int) -> SimpleNamespace:
        return SimpleNamespace(
            key=f"{self.load} {draw} {replication}", load=self.load, replication=replication
        )


def outcome(run: SimpleNamespace) -> Outcome:
    noise = 1.0 + 0.2 * math.sin(run.replication)
    wait = 20.0 * noise * run.load / (1.0 - run.load)
    metrics = {"mean_wait_s": wait, "backlog_growth": 0.0, "offered_load": run.load}
    return Outcome(run.key, metrics)


def searched(replications: int) -> dict[float, int]:
    """Return the number of replications at each load that a search needed."""
    capacity = CapacitySearch(between=(0.3, 0.9), tolerance=0.05)
    objective = Objective(metric="mean_wait_s", at_most="60 s")  # at a load of 0.75
    request = CapacityRequest(0, Queue(), {}, (), capacity, objective, replications, 0)
    least = request.at_least()
    known: dict[str, Outcome] = {}
    while missing := [run for run in request.wanted(known) if run.key not in known]:
        assert len({run.key for run in missing}) == len(missing)
        assert len(known) + len(missing) <= request.at_most()
        known |= {run.key: outcome(run) for run in missing}
    assert least <= len(known)
    counts: dict[float, int] = {}
    for key in known:
        load = float(key.split()[0])
        counts[load] = counts.get(load, 0) + 1
    return counts


def test_a_pilot_leads_to_the_capacity() -> None:
    few = searched(11)
    assert few[0.3] == few[0.9] == 11
    counts = searched(20)
    assert counts[0.3] == counts[0.9] == 2
    whole = sorted(load for load, count in counts.items() if count == 20)
    assert {*counts.values()} == {2, 20}
    assert len(whole) == 2
    assert whole[0] < 0.75 < whole[1]
    assert whole[1] - whole[0] <= 0.05 + 1e-9


def test_a_group_with_nothing_to_compare_has_each_capacity_narrow_enough() -> None:
    rule = Replications(at_least=2, at_most=8, relative_width=1e-9, of="difference")
    capacity = CapacitySearch(between=(0.3, 0.9), tolerance=0.05)
    objective = Objective(metric="mean_wait_s", at_most="60 s")
    alone = CapacityRequest(0, Queue(), {}, (), capacity, objective, rule, 0)
    request = ComparedCapacities([alone], 0, [])
    known: dict[str, Outcome] = {}
    while missing := [run for run in request.wanted(known) if run.key not in known]:
        known |= {run.key: outcome(run) for run in missing}
    assert {run.replication for run in request.wanted(known)} == set(range(8))


def _capacities(fields: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    conduct(fields, out, workers=1)
    return cs.load_result(out).capacities.to_dict("records")
