"""Capacities of a small mixed cluster, from many short studies, against six very long runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.studies import make_runs

MIXED_SMALL = Path(__file__).parents[2] / "experiments" / "mixed_small.yaml"
LOADS = [0.54, 0.6, 0.66, 0.72, 0.78]
REPLICATIONS, STUDIES, JOBS, LONG_JOBS = 12, 40, 4000, 200_000


def study(jobs: int, replications: int, seed: int) -> dict[str, Any]:
    """Runs of both policies at five loads, between which the capacity is found."""
    return {
        "name": "twin",
        "base": str(MIXED_SMALL),
        "set": {"workload.jobs": jobs, "seed": seed},
        "parameters": {"scheduler.policy": ["fcfs", "easy"], "workload.load": LOADS},
        "replications": replications,
        "window": {"warm_up": 0.25, "cool_down": 0.05},
        "metrics": ["p95_wait_s"],
        "objective": {"metric": "p95_wait_s", "at_most": "1 h"},
        "capacity": {"of": "workload.load", "between": [LOADS[0], LOADS[-1]], "tolerance": 0.06},
        "compare": {"of": "scheduler.policy", "baseline": "fcfs"},
    }


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_short_studies_against_very_long_runs(tmp_path: Path) -> None:
    """40 studies of 12 runs with 4,000 jobs; the truth is from 6 runs of 200,000."""
    make_runs(study(LONG_JOBS, 6, 1), tmp_path / "long", workers=2)
    truth = cs.load_result(tmp_path / "long").capacities.set_index("scheduler.policy")["capacity"]
    make_runs(study(JOBS, REPLICATIONS * STUDIES, 2), tmp_path / "short", workers=2)
    all_runs = cs.load_result(tmp_path / "short")
    inside: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}

    def note(name: str, row: dict[str, Any], column: str, true: float) -> None:
        low, high = row[f"{column}_low"], row[f"{column}_high"]
        inside.setdefault(name, []).append(low <= true <= high)
        widths.setdefault(name, []).append((high - low) / 2)

    for k in range(STUDIES):
        members = all_runs.runs["replication"] // REPLICATIONS == k
        found = replace(all_runs, runs=all_runs.runs[members])
        for row in found.capacities.to_dict("records"):
            policy = row["scheduler.policy"]
            for column in ("capacity", "capacity_plain"):
                note(f"{column} of {policy}", row, column, truth[policy])
        (gain,) = found.gains.to_dict("records")
        note("gain", gain, "gain", truth["easy"] - truth["fcfs"])
    for name, each in inside.items():
        print(f"{name}: {np.mean(each):.1%} of {STUDIES} studies, +-{np.median(widths[name]):.4f}")
        assert np.mean(each) >= 0.85, name
