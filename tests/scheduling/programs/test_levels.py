"""The highest water level from prices, by hand and against bisection with linear programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from allocation_problems import bisected, problems
from hypothesis import given, settings

from clustersim.scheduling.programs import gavel, levels, water_filling
from clustersim.scheduling.programs.levels import highest_level
from clustersim.scheduling.programs.problem import AllocationProblem
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(40))


@repeatable
@given(problems())
def test_the_level_is_the_highest_feasible_one(problem: AllocationProblem) -> None:
    most = problem.rates.max(axis=1)
    if not most.any():
        return
    n = problem.n_jobs
    found = highest_level(
        problem.rates,
        problem.gangs.astype(float),
        problem.accelerators.astype(float),
        np.zeros(n),
        most > 0,
    )
    high = float(most.max())
    level = bisected(problem, lambda level: np.minimum(level, most), 0.0, high * (1 + 1e-9))
    assert found.level == pytest.approx(level, rel=1e-5)
    assert found.gap <= 1e-6


def test_rows_that_do_not_rise_keep_what_they_have() -> None:
    """Row 0 needs 1/2 of the pool of 2 accelerators for its rate of 1; 1.5 are left for two."""
    found = highest_level(
        np.array([[2.0], [4.0], [4.0]]),
        np.ones(3),
        np.array([2.0]),
        np.array([1.0, 0.0, 0.0]),
        np.array([False, True, True]),
    )
    assert found.level == pytest.approx(4 * 0.75)


def test_a_row_mixes_two_pools_at_the_price_that_divides_them() -> None:
    """Two rows, one fast accelerator (rate 4) and one slow (rate 1): each has half of both."""
    found = highest_level(
        np.array([[4.0, 1.0], [4.0, 1.0]]), np.ones(2), np.ones(2), np.zeros(2), np.ones(2, bool)
    )
    assert found.level == pytest.approx(2.5)


def test_a_level_that_the_planes_miss_is_found_by_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    problem = AllocationProblem(
        rates=draw.uniform(0.5, 4.0, (12, 3)), gangs=draw.integers(1, 4, 12), accelerators=[3, 4, 5]
    )
    usual = water_filling.water_filling(problem)
    monkeypatch.setattr(levels, "_MOST_PLANES", 2)
    rough = water_filling.water_filling(problem)
    assert rough.programs > usual.programs
    rates = [(problem.normalised_rates * each.fractions).sum(axis=1) for each in (usual, rough)]
    np.testing.assert_allclose(*rates, rtol=1e-5)


@repeatable
@given(problems())
def test_equal_jobs_as_one_row_and_as_many_give_the_same_rates(problem: AllocationProblem) -> None:
    """Rates that differ in the tenth digit keep the copies of a job apart."""
    able = problem.rates.any(axis=1)
    copies = np.tile(np.arange(problem.n_jobs), 3)
    many = AllocationProblem(
        rates=problem.rates[copies],
        gangs=problem.gangs[copies],
        accelerators=problem.accelerators,
        weights=None if problem.weights is None else problem.weights[copies],
    )
    apart = replace(many, rates=many.rates * (1 + 1e-10 * np.arange(len(copies)))[:, None])
    for program in (
        gavel.max_min_fairness,
        gavel.max_total_throughput,
        water_filling.water_filling,
    ):
        together, single = program(many), program(apart)
        assert single.objective == pytest.approx(together.objective, rel=1e-6, abs=1e-9)
    if able.any():
        rates = [
            (each.normalised_rates * water_filling.water_filling(each).fractions).sum(axis=1)
            for each in (many, apart)
        ]
        np.testing.assert_allclose(*rates, rtol=1e-4, atol=1e-6)
