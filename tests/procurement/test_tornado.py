"""The tornado of a plan, against the enumeration of all purchases."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from problems import BruteForce, one_chip, random_problem

from clustersim.procurement.problem import Problem
from clustersim.procurement.solve import solve
from clustersim.procurement.tornado import changed_problems, tornado


def changed_by_hand(problem: Problem, name: str, factor: float) -> Problem:
    """Written apart from the package: one number of the plan times a factor."""
    if name == "power":
        return dataclasses.replace(problem, power_limit=problem.power_limit * factor)
    if name == "budget":
        both = problem.budget * factor, problem.quarter_budget * factor
        return dataclasses.replace(problem, budget=both[0], quarter_budget=both[1])
    if name == "demand":
        return dataclasses.replace(problem, demand=problem.demand * factor)
    kind, _, of = name.partition(" of ")
    if kind == "price":
        price = [p * factor if c == of else p for p, c in zip(problem.price, "ab", strict=True)]
        return dataclasses.replace(problem, price=np.array(price))
    good = float(problem.probability[0])
    good = good * factor if of == "good" else 1 - (1 - good) * factor
    return dataclasses.replace(problem, probability=np.array([good, 1 - good]))


@pytest.mark.parametrize("seed", [0, 1])
def test_every_bar_is_that_of_trying_all_purchases(seed: int) -> None:
    problem = random_problem(seed)
    schedule = solve(problem)
    assert schedule is not None
    kept = tuple(float(n) for n in schedule.bought[0, 0])
    before = BruteForce(problem).optimum()
    table = tornado(problem, schedule)
    assert len(table) == 2 * 7  # power, budget, demand, two prices, two probabilities
    for row in table.to_dict("records"):
        brute = BruteForce(changed_by_hand(problem, row["assumption"], row["factor"]))
        best = brute.optimum()
        assert row["cost_change_cny"] == pytest.approx(best - before, rel=1e-5, abs=1e-3), row
        if math.isinf(best):
            continue
        costs = [brute.scenario(s, kept) for s in range(2)]
        regret = float(brute.problem.probability @ np.array(costs)) - best
        assert row["regret_cny"] == pytest.approx(regret, rel=1e-5, abs=1e-3), row


def test_by_hand() -> None:
    """A node of 10 does 100 tokens of 0.11: 5 are bought for 500, and none at a price of 12."""
    problem = one_chip(must_meet=[[0.0]], value=[0.11], demand=[[500.0]])
    schedule = solve(problem)
    assert schedule is not None
    table = tornado(problem, schedule).set_index(["assumption", "factor"])
    assert set(table.index.get_level_values(0)) == {"demand", "price of a"}
    dear = table.loc[("price of a", 1.2)]
    assert dear["cost_change_cny"] == pytest.approx(55 - 50)
    assert dear["moved_cny"] == pytest.approx(50)
    assert dear["regret_cny"] == pytest.approx(60 - 55)
    cheap = table.loc[("price of a", 0.8)]
    assert cheap[["cost_change_cny", "moved_cny", "regret_cny"]].tolist() == pytest.approx(
        [-10, 0, 0]
    )
    more = table.loc[("demand", 1.2)]
    assert more[["cost_change_cny", "moved_cny", "regret_cny"]].tolist() == pytest.approx(
        [10, 10, 11 - 10]
    )


def test_probabilities_sum_to_one() -> None:
    for _, _, changed in changed_problems(random_problem(3), 0.2):
        assert changed.probability.sum() == pytest.approx(1.0)
