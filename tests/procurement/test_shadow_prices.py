"""A shadow price is what the relaxation saves for a little more of a limit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd
import pytest
from files import two_chips
from problems import one_chip, random_problem

from clustersim.procurement import define_plan
from clustersim.procurement.fleet import throughput
from clustersim.procurement.problem import Problem, problem_of
from clustersim.procurement.program import build_program
from clustersim.procurement.shadow_prices import ALL, UNITS, shadow_prices
from clustersim.procurement.solve import solve_relaxed

STEP = 1e-5


def relaxed_cost(problem: Problem) -> float:
    """Infinite where there is none, as with a supply below 0."""
    program = build_program(problem)
    found = solve_relaxed(program)
    return math.inf if found.fun is None else float(found.fun) * program.money_unit


def grown(
    problem: Problem, kind: str, of: str, quarter: int | None, by: float, scenario: str = ALL
) -> Problem:
    """The problem with a little more of one limit in a scenario, or in all."""
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
        chosen = slice(None) if scenario == ALL else problem.scenarios.index(scenario)
        values[chosen, quarter, problem.chips.index(of)] += by
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
        if row["scenario"] != ALL and row["constraint"] != "available":
            continue  # the file has one number for all scenarios
        quarter = None if pd.isna(row["quarter"]) else int(row["quarter"]) - 1
        size = UNITS[row["constraint"]][1]
        sides = []
        for by in (STEP, -STEP):
            more = grown(
                problem, row["constraint"], row["of"], quarter, by, scenario=row["scenario"]
            )
            there = relaxed_cost(more)
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
    assert (limits["saves_cny"] == 0.0).all()


def test_a_rounding_of_the_solver_is_no_price() -> None:
    program = build_program(one_chip(budget=1000.0))
    solution = solve_relaxed(program)
    solution.ineqlin.marginals = solution.ineqlin.marginals - 1e-9
    table = shadow_prices(program, solution).set_index("constraint")
    assert table.loc["budget", "saves_cny"] == 0.0
    assert table.loc["demand", "saves_cny"] < 0


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_prices_in_the_scenarios_are_those_in_all_together(seed: int) -> None:
    program = build_program(random_problem(seed))
    table = shadow_prices(program, solve_relaxed(program))
    by = ["constraint", "of", "quarter"]
    later = table[(table["constraint"] != "available") & (table["quarter"] == 2)]
    whole = later[later["scenario"] == ALL].set_index(by)["saves_cny"]
    parts = later[later["scenario"] != ALL].groupby(by)["saves_cny"].sum()
    assert len(whole) == 5  # budget, power, rack units, two classes
    assert parts.reindex(whole.index).to_numpy() == pytest.approx(whole.to_numpy(), rel=1e-12)
    supply = table[table["constraint"] == "available"]
    first = supply["quarter"] == 1
    assert (supply[first]["scenario"] == ALL).all(), "bought before the scenario is known"
    assert set(supply[~first]["scenario"]) == {"good", "bad"}


def test_a_node_more_in_one_scenario_of_the_file() -> None:
    """Changes the expected cost by its price in that scenario."""

    def question(nodes: int) -> Problem:
        fields = two_chips(budget=None)
        fields["chips"]["h20"] |= {"existing": 0, "available": 1}
        fields["demand"]["tuning"] |= {
            "tokens": [2.0e12, 9.0e14],
            "must_meet": 0,
            "value_per_million_tokens": "5 CNY",
        }
        fields["scenarios"]["stopped"]["available"] = {"h200": {"nodes": [20, nodes]}}
        asked = define_plan(fields)
        return problem_of(asked, throughput(asked))

    program = build_program(question(5))
    table = shadow_prices(program, solve_relaxed(program))
    own = table[(table["constraint"] == "available") & (table["of"] == "h200")]
    price = own.set_index(["scenario", "quarter"])["saves_cny"]
    saved = relaxed_cost(question(5)) - relaxed_cost(question(6))
    assert price["stopped", 2] == pytest.approx(saved, rel=1e-6)
    assert price["stopped", 2] > 1e3
    assert price["goes on", 2] == pytest.approx(price["stopped", 2] * 0.6 / 0.4, rel=1e-6)
