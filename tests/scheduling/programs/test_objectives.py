"""Gavel's objectives by hand, and against dense formulations and bisection."""

from __future__ import annotations

import numpy as np
import pytest
from allocation_problems import bisected, greatest, problems
from hypothesis import given, settings

from clustersim.errors import InputError
from clustersim.scheduling.programs import gavel
from clustersim.scheduling.programs.problem import Allocation, AllocationProblem
from clustersim.scheduling.programs.water_filling import water_filling
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(24))

PROGRAMS = [
    gavel.max_min_fairness,
    gavel.min_finish_time_ratio,
    gavel.min_makespan,
    gavel.max_total_throughput,
    gavel.max_total_throughput_per_cost,
    water_filling,
]


def check_feasible(problem: AllocationProblem, found: Allocation) -> None:
    fractions = found.fractions
    assert (fractions >= 0).all()
    assert (fractions.sum(axis=1) <= 1 + 1e-7).all()
    assert (problem.gangs @ fractions <= problem.accelerators + 1e-6).all()
    assert not fractions[problem.rates == 0].any()


@repeatable
@given(problems())
def test_fractions_are_feasible(problem: AllocationProblem) -> None:
    for program in PROGRAMS:
        check_feasible(problem, program(problem))


@repeatable
@given(problems())
def test_sums(problem: AllocationProblem) -> None:
    assert gavel.max_total_throughput(problem).objective == pytest.approx(
        greatest(problem, problem.rates), rel=1e-6, abs=1e-9
    )
    assert problem.prices is not None
    assert gavel.max_total_throughput_per_cost(problem).objective == pytest.approx(
        greatest(problem, problem.rates / problem.prices), rel=1e-6, abs=1e-9
    )


@repeatable
@given(problems())
def test_max_min_fairness(problem: AllocationProblem) -> None:
    able = problem.rates.any(axis=1)
    if not able.any():
        return
    split = problem.rates @ (problem.accelerators / max(problem.n_jobs, problem.accelerators.sum()))
    assert problem.weights is not None
    unit = np.where(able, split * problem.weights / problem.gangs, 0.0)
    high = float((problem.rates.max(axis=1)[able] / unit[able]).min())
    level = bisected(problem, lambda level: level * unit, 0.0, high * 1.01)
    assert gavel.max_min_fairness(problem).objective == pytest.approx(level, rel=1e-5)
    assert water_filling(problem).objective == pytest.approx(level, rel=1e-5)


@repeatable
@given(problems())
def test_makespan(problem: AllocationProblem) -> None:
    able = problem.rates.any(axis=1)
    if not able.any():
        return
    assert problem.remaining_steps is not None
    work = np.where(able, problem.remaining_steps, 0.0)
    high = float((problem.rates.max(axis=1)[able] / work[able]).min())
    speed = bisected(problem, lambda speed: speed * work, 0.0, high * 1.01)
    assert gavel.min_makespan(problem).objective == pytest.approx(1 / speed, rel=1e-5)


@repeatable
@given(problems())
def test_finish_time_ratio(problem: AllocationProblem) -> None:
    able = problem.rates.any(axis=1)
    if not able.any():
        return
    steps, elapsed, so_far = (
        values[able]
        for values in (problem.remaining_steps, problem.since_arrival_s, problem.isolated_so_far_s)
        if values is not None
    )
    share = problem.accelerators / problem.n_jobs / problem.gangs[:, None]
    share = share / np.maximum(1.0, share.sum(axis=1))[:, None]
    alone = so_far + steps / (problem.rates * share).sum(axis=1)[able]

    def wanted(u: float) -> np.ndarray:
        rates = np.zeros(problem.n_jobs)
        rates[able] = steps * u / (alone - elapsed * u)
        return rates

    high = float((alone / (elapsed + steps / problem.rates.max(axis=1)[able])).min())
    u = bisected(problem, wanted, 0.0, high)
    assert gavel.min_finish_time_ratio(problem).objective == pytest.approx(1 / u, rel=1e-5)


@repeatable
@given(problems())
def test_water_filling_raises_each_as_far_as_it_can(problem: AllocationProblem) -> None:
    """Nobody can rise without lowering somebody who has no more."""
    found = water_filling(problem)
    unit = problem.normalised_rates
    level = (unit * found.fractions).sum(axis=1)
    with_units = AllocationProblem(
        rates=unit, gangs=problem.gangs, accelerators=problem.accelerators
    )
    for job in np.flatnonzero(unit.any(axis=1)):
        least = np.where(level <= level[job] * (1 + 1e-6), level, 0.0) * (1 - 1e-7)
        least = np.where(level > level[job], level[job], least) * (1 - 1e-7)
        objective = np.zeros(unit.shape)
        objective[job] = unit[job]
        assert greatest(with_units, objective, least) <= level[job] * (1 + 1e-4) + 1e-6


@repeatable
@given(problems())
def test_agnostic_equals_the_program_on_equal_pools(problem: AllocationProblem) -> None:
    column = np.where(problem.rates[:, [0]] > 0, problem.rates[:, [0]], 1.0)
    fits = AllocationProblem(
        rates=np.repeat(column, problem.n_pools, axis=1),
        gangs=np.ones(problem.n_jobs, dtype=np.int64),
        accelerators=problem.accelerators + 1,
        remaining_steps=problem.remaining_steps,
        since_arrival_s=problem.since_arrival_s,
        isolated_so_far_s=problem.isolated_so_far_s,
    )
    for program in (gavel.max_min_fairness, gavel.min_finish_time_ratio, gavel.min_makespan):
        found = gavel.agnostic(program, fits, 0)
        check_feasible(fits, found)
        assert found.objective == pytest.approx(program(fits).objective, rel=1e-6)


def test_isolated_shares_by_hand() -> None:
    """Two jobs on 4 and 2 accelerators: halves are 2 and 1, a gang of 4 has 2/4 and 1/4."""
    problem = AllocationProblem(rates=[[1.0, 1.0]] * 2, gangs=[4, 1], accelerators=[4, 2])
    assert problem.isolated.tolist()[0] == pytest.approx([0.5, 0.25])
    assert problem.isolated.tolist()[1] == pytest.approx([2 / 3, 1 / 3])


def test_water_filling_by_hand() -> None:
    """Normalised rates are 2 and 2 where both share a pool, then the third has its own pool."""
    problem = AllocationProblem(
        rates=[[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], gangs=[1, 1, 1], accelerators=[1, 2]
    )
    level = (problem.normalised_rates * water_filling(problem).fractions).sum(axis=1)
    assert level == pytest.approx([1.5, 1.5, 1.5])
    wider = AllocationProblem(
        rates=[[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]], gangs=[1, 1, 1], accelerators=[2, 1]
    )
    fractions = water_filling(wider).fractions
    assert fractions.tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_leftover_time_goes_where_it_gains_most() -> None:
    """Both are served in full by the slow pool's worst case; the fast one goes to who gains."""
    problem = AllocationProblem(
        rates=[[10.0, 1.0], [1.1, 1.0]], gangs=[1, 1], accelerators=[1, 1], weights=[1.0, 1.0]
    )
    assert gavel.max_total_throughput(problem).fractions.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_nobody_can_run() -> None:
    problem = AllocationProblem(
        rates=[[0.0], [4.0]], gangs=[1, 8], accelerators=[4], remaining_steps=[1.0, 1.0]
    )
    for program in PROGRAMS:
        assert not program(problem).fractions.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gangs": [1]}, r"gangs: has the shape \(1,\); must be \(2,\)"),
        ({"rates": [[1.0], [-1.0]]}, r"rates: is -1.0 at \[1, 0\]; must be finite and at least 0"),
        ({"weights": [1.0, 0.0]}, r"weights: is 0.0 at \[1\]; must be finite and above 0"),
        ({"rates": [1.0, 2.0]}, r"rates: has 1 dimensions"),
    ],
)
def test_wrong_inputs(change: dict[str, list[float]], message: str) -> None:
    given = {"rates": [[1.0], [2.0]], "gangs": [1, 1], "accelerators": [4], **change}
    with pytest.raises(InputError, match=message):
        AllocationProblem(**given)  # type: ignore[arg-type]


def test_steps_are_required() -> None:
    problem = AllocationProblem(rates=[[1.0]], gangs=[1], accelerators=[1])
    with pytest.raises(InputError, match="remaining_steps: is required but absent"):
        gavel.min_makespan(problem)
