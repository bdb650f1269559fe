"""Gavel's objectives against the optima of its own programs (section 4b of the cases' README).

Objective values agree to 1e-6, isolated fractions to the nine digits given. Of the makespan the
optimum is compared, not the value of the fractions that Gavel's bisection returns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clustersim.scheduling.programs import gavel
from clustersim.scheduling.programs.problem import AllocationProblem
from tests.peers.peer_cases import parametrised

pytestmark = pytest.mark.peers

PROGRAMS = {
    "max_min_fairness_perf": (gavel.max_min_fairness, "min_scaled_normalised_throughput"),
    "max_sum_throughput_perf": (gavel.max_total_throughput, "sum_steps_per_s"),
    "max_sum_throughput_normalized_by_cost_perf": (
        gavel.max_total_throughput_per_cost,
        "sum_steps_per_s_per_dollar_hour",
    ),
    "finish_time_fairness_perf": (gavel.min_finish_time_ratio, "max_rho"),
    "min_total_duration_perf": (gavel.min_makespan, "optimal_makespan_s"),
}


def problem_of(case: dict[str, Any]) -> AllocationProblem:
    """Return the input of a case."""
    jobs = case["jobs"]
    return AllocationProblem(
        rates=np.array([job["steps_per_s"] for job in jobs]),
        gangs=np.array([job["gpus"] for job in jobs]),
        accelerators=np.array(case["workers"]),
        remaining_steps=np.array([job["remaining_steps"] for job in jobs]),
        since_arrival_s=np.array([job["seconds_since_arrival"] for job in jobs]),
        prices=np.array(case["cost_per_gpu_hour"]),
    )


@parametrised("gavel_oneshot/*.json")
def test_optimum(case: dict[str, Any]) -> None:
    problem = problem_of(case)
    for name, expected in case["expected"].items():
        if name == "isolated":
            assert problem.isolated == pytest.approx(np.array(expected["allocation"]), abs=1e-9)
            rates = np.array(expected["steps_per_s"])
            assert problem.isolated_rates == pytest.approx(rates, rel=1e-12)
            continue
        program, key = PROGRAMS[name]
        found = program(problem)
        assert found.objective == pytest.approx(expected[key], rel=1e-6), name
        use = problem.gangs @ found.fractions
        assert (use <= problem.accelerators * (1 + 1e-7)).all(), name
        assert (found.fractions.sum(axis=1) <= 1 + 1e-7).all(), name
