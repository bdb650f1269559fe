"""Random inputs and independent, dense formulations of the programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from clustersim.array_types import Floats
from clustersim.scheduling.programs.problem import AllocationProblem


@st.composite
def problems(draw: st.DrawFn) -> AllocationProblem:
    """Draw up to five jobs on up to three pools; some cannot run on some pools, some are alike."""
    jobs, pools = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rate = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 7.0])
    rates = draw(st.lists(st.lists(rate, min_size=pools, max_size=pools), min_size=jobs))[:jobs]
    real = st.floats(1.0, 500.0)
    return AllocationProblem(
        rates=np.array(rates),
        gangs=np.array(draw(st.lists(st.integers(1, 3), min_size=jobs, max_size=jobs))),
        accelerators=np.array(draw(st.lists(st.integers(0, 4), min_size=pools, max_size=pools))),
        remaining_steps=np.array(draw(st.lists(real, min_size=jobs, max_size=jobs))),
        since_arrival_s=np.array(draw(st.lists(real, min_size=jobs, max_size=jobs))),
        isolated_so_far_s=np.array(draw(st.lists(real, min_size=jobs, max_size=jobs))),
        weights=np.array(draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=jobs, max_size=jobs))),
        prices=np.array(
            draw(st.lists(st.sampled_from([1.0, 3.0]), min_size=pools, max_size=pools))
        ),
    )


def greatest(problem: AllocationProblem, objective: Floats, least: Floats | None = None) -> float:
    """Maximise a sum over all pairs with each job's rate at least a value; -inf if impossible."""
    jobs, pools = problem.rates.shape
    rows: list[Any] = []
    limits: list[float] = []
    for i in range(jobs):
        row = np.zeros((jobs, pools))
        row[i] = 1.0
        rows.append(row.ravel())
        limits.append(1.0)
    for j in range(pools):
        row = np.zeros((jobs, pools))
        row[:, j] = problem.gangs
        rows.append(row.ravel())
        limits.append(float(problem.accelerators[j]))
    if least is not None:
        for i in range(jobs):
            row = np.zeros((jobs, pools))
            row[i] = -problem.rates[i]
            rows.append(row.ravel())
            limits.append(-float(least[i]))
    found: Any = linprog(-objective.ravel(), A_ub=np.array(rows), b_ub=np.array(limits))
    return float(-found.fun) if found.status == 0 else -np.inf


def feasible(problem: AllocationProblem, least: Floats) -> bool:
    """Return whether each job can have at least a rate."""
    return greatest(problem, np.zeros(problem.rates.shape), least) > -np.inf


def bisected(problem: AllocationProblem, rates_at: Any, low: float, high: float) -> float:
    """Return the greatest level at which the rates wanted are feasible."""
    for _ in range(36):
        middle = 0.5 * (low + high)
        if feasible(problem, rates_at(middle)):
            low = middle
        else:
            high = middle
    return low
