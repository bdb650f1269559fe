"""Capacity searches with as many replications as a narrow interval needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conducted import QUEUE, conduct, exact

import clustersim as cs

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


def _capacities(fields: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    conduct(fields, out, workers=1)
    return cs.load_result(out).capacities.to_dict("records")
