"""A shadow price is what the relaxation saves for a little more of a limit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from problems import one_chip, random_problem

from clustersim.planning.problem import Problem
from clustersim.planning.program import build_program
from clustersim.planning.shadow_prices import UNITS, shadow_prices
from clustersim.planning.solve import solve_relaxed

STEP = 1e-5


def relaxed_cost(problem: Problem) -> float:
    """Infinite where there is none, as with a supply below 0."""
    program = build_program(problem)
    found = solve_relaxed(program)
    return math.inf if found.fun is None else float(found.fun) * program.money_unit


def grown(problem: Problem, kind: str, of: str, quarter: int | None, by: float) -> Problem:
    """The problem with a little more of one limit in every scenario."""
    if kind == "budget" and quarter is None:
        return dataclasses.replace(problem, budget=problem.budget + by)
    fields = {
        "budget": "quarter_budget",
        "available": "available",
        "power": "power_limit",
        "rack_units": "rack_limit",
        "demand": "demand",
    }
    values = getattr(problem, fields[kind]).copy()
    assert quarter is not None
    if kind == "available":
        values[:, quarter, problem.chips.index(of)] += by
    elif kind == "demand":
        values[problem.classes.index(of), quarter] += by
    else:
        values[quarter] += by
    changed: dict[str, Any] = {fields[kind]: values}
    return dataclasses.replace(problem, **changed)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_prices_are_finite_differences(seed: int) -> None:
    problem = random_problem(seed)
    program = build_program(problem)
    solution = solve_relaxed(program)
    cost = relaxed_cost(problem)
    table = shadow_prices(program, solution)
    assert set(table["constraint"]) == set(UNITS)
    differ = 0
    for row in table.to_dict("records"):
        quarter = None if pd.isna(row["quarter"]) else int(row["quarter"]) - 1
        size = UNITS[row["constraint"]][1]
        sides = []
        for by in (STEP, -STEP):
            there = relaxed_cost(grown(problem, row["constraint"], row["of"], quarter, by))
            sides.append((cost - there) / by * size)
        # At a kink each side has a slope of its own, and the price is between the two.
        low, high = sorted(sides)
        tolerance = 1e-4 * size * max(1.0, abs(row["saves_cny"]) / size)
        assert low - tolerance <= row["saves_cny"] <= high + tolerance, row
        differ += abs(row["saves_cny"]) > 1e-6
    assert differ >= 4


def test_prices_by_hand() -> None:
    """Budget for 3 of 4.5 nodes: one more yuan does 10 tokens of 0.15, and saves 1.5 - 1."""
    problem = one_chip(must_meet=[[0.0]], value=[0.15], budget=30.0)
    program = build_program(problem)
    table = shadow_prices(program, solve_relaxed(program)).set_index("constraint")
    assert table.loc["budget", "saves_cny"] == pytest.approx(0.5, rel=1e-5)
    assert table.loc["demand", "saves_cny"] == pytest.approx(-0.15e6, rel=1e-5)
    # Without that budget a token costs a hundredth of a node of 10.
    problem = one_chip(must_meet=[[0.0]], value=[0.15], budget=math.inf)
    program = build_program(problem)
    table = shadow_prices(program, solve_relaxed(program)).set_index("constraint")
    assert "budget" not in table.index
    assert table.loc["demand", "saves_cny"] == pytest.approx(-0.1e6, rel=1e-5)


def test_a_limit_that_does_not_bind_is_worth_nothing() -> None:
    problem = one_chip(budget=1000.0, available=[[[100.0]]], power_limit=[100.0])
    program = build_program(problem)
    table = shadow_prices(program, solve_relaxed(program))
    limits = table[table["constraint"] != "demand"]
    assert len(limits) == 3
    assert np.allclose(limits["saves_cny"], 0.0)
