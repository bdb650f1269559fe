"""What it costs not to know the scenario."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from problems import BruteForce, one_chip, random_problem

from clustersim.procurement.problem import Problem
from clustersim.procurement.regret import find_regret
from clustersim.procurement.solve import Effort, solve

EXACT = Effort(gap=0.0)


@pytest.mark.parametrize("seed", range(8))
def test_order_of_the_values(seed: int) -> None:
    """WS <= RP <= EEV, regrets are not negative, and 0 where a plan's own scenario comes true."""
    problem = random_problem(seed)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    regret = find_regret(problem, plan, EXACT)
    slack = 1e-6 * plan.expected_cost
    assert regret.expected_of_plan == pytest.approx(plan.expected_cost, rel=1e-9)
    assert regret.expected_with_foresight <= regret.expected_of_plan
    assert regret.expected_of_plan <= regret.expected_of_mean_plan + slack
    assert regret.value_of_perfect_information >= 0
    assert regret.value_of_stochastic_solution >= -slack
    assert (regret.regret >= 0).all()
    own = regret.regret[1 : 1 + len(problem.scenarios)]
    assert np.diagonal(own) == pytest.approx(0.0, abs=slack)


@pytest.mark.parametrize("seed", range(4))
def test_costs_are_those_of_all_later_purchases(seed: int) -> None:
    problem = random_problem(seed)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    costs = find_regret(problem, plan, EXACT).cost[0]
    first = tuple(int(nodes) for nodes in plan.bought[0, 0])
    tried = BruteForce(problem)
    assert costs == pytest.approx([tried.scenario(s, first) for s in range(2)], rel=1e-9)


def supply_that_may_stop(probability: float) -> Problem:
    """Nothing is needed in quarter 1 and 4 nodes in quarter 2, when supply may have stopped.

    A node costs 10 early and 6 later; what a node would do is worth 20.
    """
    available = np.full((2, 2, 1), 4.0)
    available[1, 1] = 0.0
    return one_chip(
        scenarios=("goes on", "stops"),
        probability=[1 - probability, probability],
        quarters=2,
        first=1,
        charge=[1.0, 0.6],
        available=available,
        demand=[[0.0, 400.0]],
        must_meet=[[0.0, 0.0]],
        value=[0.2],
        quarter_budget=[math.inf] * 2,
        power_limit=[math.inf] * 2,
        rack_limit=[math.inf] * 2,
    )


def test_a_stop_by_hand() -> None:
    """At a probability of 0.5 buying early costs 40 in any case; waiting (24 + 80) / 2 = 52.

    With foresight (24 + 40) / 2 = 32: worth 8.  The mean supply of quarter 2 is 2 nodes, so that
    its plan buys 2 early: (20 + 12 + 20 + 40) / 2 = 46, 6 more.
    """
    problem = supply_that_may_stop(0.5)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    assert plan.bought[:, 0].ravel().tolist() == [4, 4]
    regret = find_regret(problem, plan, EXACT)
    assert regret.candidates == ("this plan", "for goes on", "for stops", "for the mean supply")
    assert regret.regret == pytest.approx(
        np.array([[16.0, 0.0], [0.0, 40.0], [16.0, 0.0], [8.0, 20.0]]), abs=1e-6
    )
    assert regret.value_of_perfect_information == pytest.approx(8.0)
    assert regret.value_of_stochastic_solution == pytest.approx(6.0)


def test_a_rare_stop_is_waited_for() -> None:
    """At 0.05 waiting costs 24 + 0.05 x 56 = 26.8, less than 40."""
    plan = solve(supply_that_may_stop(0.05), effort=EXACT)
    assert plan is not None
    assert plan.bought[:, 0].sum() == 0
    assert plan.bought[:, 1].ravel().tolist() == [4, 0]
    assert plan.expected_cost == pytest.approx(26.8)


def test_a_plan_that_cannot_be_mended_has_infinite_regret() -> None:
    problem = supply_that_may_stop(0.05)
    must = dataclasses.replace(problem, must_meet=np.array([[0.0, 1.0]]))
    plan = solve(must, effort=EXACT)
    assert plan is not None
    assert plan.bought[:, 0].ravel().tolist() == [4, 4]
    regret = find_regret(must, plan, EXACT)
    assert regret.regret[1].tolist() == [0.0, math.inf]
    assert math.isinf(regret.value_of_stochastic_solution)


@pytest.mark.parametrize("first", [0, 2])
def test_all_or_nothing_decided_first(first: int) -> None:
    """With nothing decided first there is nothing to regret; with all of it nothing to mend."""
    problem = dataclasses.replace(random_problem(1), first=first)
    plan = solve(problem, effort=EXACT)
    assert plan is not None
    regret = find_regret(problem, plan, EXACT)
    if first == 0:
        assert regret.regret == pytest.approx(0.0, abs=1e-6)
        assert regret.value_of_perfect_information == pytest.approx(0.0, abs=1e-6)
    else:
        assert (plan.bought[0] == plan.bought[1]).all()
        assert (plan.bought <= problem.available.min(axis=0)).all()
    middle = solve(random_problem(1), effort=EXACT)
    assert middle is not None
    sign = 1 if first == 0 else -1
    assert sign * (middle.expected_cost - plan.expected_cost) >= -1e-6
