"""The plan that is found against all plans, and against arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from problems import BruteForce, one_chip, random_problem, tightened

from clustersim.procurement.program import build_program
from clustersim.procurement.solve import Effort, solve, solve_relaxed

EXACT = Effort(gap=0.0)
SEEDS = range(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_optimum_is_that_of_all_purchases(seed: int) -> None:
    problem = random_problem(seed)
    best = BruteForce(problem).optimum()
    found = solve(problem, effort=EXACT)
    assert found is not None
    assert found.status == "optimal"
    assert found.expected_cost == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_there_is_no_plan_where_no_purchases_do(seed: int) -> None:
    problem = tightened(seed)
    impossible = math.isinf(BruteForce(problem).optimum())
    assert (solve(problem, effort=EXACT) is None) == impossible


def test_the_random_plans_differ_in_kind() -> None:
    """Some buy in the second stage, some otherwise in each scenario, and not all work is done."""
    plans = [solve(random_problem(seed), effort=EXACT) for seed in SEEDS]
    assert sum(plan.bought[:, 1].any() for plan in plans if plan) >= 5
    assert sum((plan.bought[0] != plan.bought[1]).any() for plan in plans if plan) >= 3
    assert sum(plan.unmet.sum() > 1 for plan in plans if plan) >= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_keeps_its_limits(seed: int) -> None:
    problem = random_problem(seed)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    assert (plan.bought <= problem.available).all()
    assert (plan.bought[0, : problem.first] == plan.bought[1, : problem.first]).all()
    assert (plan.spending.sum(axis=1) <= problem.budget * (1 + 1e-9)).all()
    assert (plan.spending <= problem.quarter_budget * (1 + 1e-9)).all()
    assert ((plan.nodes * problem.power).sum(axis=2) <= problem.power_limit * (1 + 1e-9)).all()
    assert ((plan.nodes * problem.rack_units).sum(axis=2) <= problem.rack_limit * (1 + 1e-9)).all()
    assert (plan.busy.sum(axis=2) <= problem.utilisation * plan.nodes + 1e-7).all()
    done = (plan.busy * problem.node_tokens).sum(axis=3) + plan.unmet
    assert done == pytest.approx(np.broadcast_to(problem.demand.T, done.shape), rel=1e-7)
    must = (problem.must_meet * problem.demand).T
    assert (done - plan.unmet >= must - 1e-6 * problem.demand.T).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_relaxation_is_a_bound(seed: int) -> None:
    problem = random_problem(seed)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    program = build_program(problem)
    relaxed = solve_relaxed(program)
    bound = relaxed.fun * program.money_unit + problem.fixed_cost
    assert bound <= plan.expected_cost * (1 + 1e-9)


def test_what_decides_between_equal_plans_costs_nothing() -> None:
    """Four nodes for 40, the bound too."""
    program = build_program(one_chip(demand=[[400.0]]))
    assert solve_relaxed(program).fun * program.money_unit == pytest.approx(40.0, rel=1e-12)


def test_one_chip_by_hand() -> None:
    """450 tokens at 100 a node, 0.9 of which are counted on: 5 nodes, for 50."""
    plan = solve(one_chip(utilisation=0.9))
    assert plan is not None
    assert plan.bought.tolist() == [[[5]]]
    assert plan.expected_cost == 50.0
    # At 0.85 five nodes do 425 of them.
    assert solve(one_chip(utilisation=0.85)).bought.item() == 6  # type: ignore[union-attr]


def test_two_quarters_by_hand() -> None:
    """Lots of 2: quarter 1 needs 3 nodes (so 4), quarter 2 needs 6.

    Purchases are charged with 1 and 0.5 of 10 a node, a node in place costs 1 a quarter:
    4 x 10 + 2 x 5 + 4 + 6 = 60.  One that was there at the start makes it 2 and then 4 more (for
    7 in place): 2 x 10 + 4 x 5 + 3 + 7 = 50.
    """
    message = {
        "quarters": 2,
        "first": 2,
        "lot": [2],
        "charge": [1.0, 0.5],
        "operating": [1.0],
        "available": np.full((1, 2, 1), math.inf),
        "demand": [[300.0, 600.0]],
        "must_meet": [[1.0, 1.0]],
        "quarter_budget": [math.inf] * 2,
        "power_limit": [math.inf] * 2,
        "rack_limit": [math.inf] * 2,
    }
    plan = solve(one_chip(**message))
    assert plan is not None
    assert plan.bought.ravel().tolist() == [4, 2]
    assert plan.expected_cost == pytest.approx(60.0, rel=1e-12)
    plan = solve(one_chip(**message, existing=[1.0]))
    assert plan is not None
    assert plan.bought.ravel().tolist() == [2, 4]
    assert plan.expected_cost == pytest.approx(50.0, rel=1e-12)


def test_work_is_left_undone_where_that_is_cheaper() -> None:
    """A token is worth 0.15: a whole node of 100 pays, one for the last 50 does not."""
    plan = solve(one_chip(must_meet=[[0.0]], value=[0.15]))
    assert plan is not None
    assert plan.bought.item() == 4
    assert plan.unmet.item() == pytest.approx(50.0)
    assert plan.expected_cost == pytest.approx(4 * 10 + 50 * 0.15)
    # It must be done up to a share of 0.95, 427.5 tokens: then the fifth is bought.
    must = solve(one_chip(must_meet=[[0.95]], value=[0.15]))
    assert must is not None
    assert must.bought.item() == 5


def test_equal_plans_are_reported_apart() -> None:
    """Of two equal chips the first is bought, and what can wait is bought later."""
    plan = solve(
        one_chip(
            chips=("a", "b"),
            quarters=2,
            first=2,
            lot=[1, 1],
            price=[10.0, 10.0],
            charge=[1.0, 1.0],
            operating=[0.0, 0.0],
            energy=[0.0, 0.0],
            existing=[0.0, 0.0],
            available=np.full((1, 2, 2), math.inf),
            node_tokens=[[100.0, 100.0]],
            demand=[[200.0, 500.0]],
            must_meet=[[1.0, 1.0]],
            quarter_budget=[math.inf] * 2,
            power=[1.0, 1.0],
            rack_units=[1.0, 1.0],
            power_limit=[math.inf] * 2,
            rack_limit=[math.inf] * 2,
        )
    )
    assert plan is not None
    assert plan.bought[0].tolist() == [[2, 0], [3, 0]]
