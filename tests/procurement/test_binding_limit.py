"""The first sentence of a plan names the limit that is worth most."""

from __future__ import annotations

import math

import pytest
from problems import one_chip

from clustersim.procurement.limits_text import binding_sentence, worth_of_limits
from clustersim.procurement.problem import Problem
from clustersim.procurement.program import build_program
from clustersim.procurement.shadow_prices import shadow_prices
from clustersim.procurement.solve import solve, solve_relaxed


def sentence(problem: Problem) -> str:
    program, schedule = build_program(problem), solve(problem)
    assert schedule is not None
    return binding_sentence(shadow_prices(program, solve_relaxed(program)), schedule)


def test_supply_binds_and_money_does_not() -> None:
    """A node does 100 tokens of 0.15 and costs 10, so one more saves 5; 3 of them cost 30."""
    problem = one_chip(must_meet=[[0.0]], value=[0.15], available=[[[3.0]]], budget=100.0)
    assert sentence(problem) == (
        "The supply of a limits this plan most: 1 node more would save 5 CNY in expected cost; "
        "money does not limit it (70 CNY are left)."
    )


def test_money_binds() -> None:
    """A yuan more buys a tenth of that node and saves a tenth of 5."""
    problem = one_chip(must_meet=[[0.0]], value=[0.15], budget=30.0)
    assert sentence(problem) == (
        "The budget limits this plan most: 1 million CNY more would save 500,000 CNY in expected "
        "cost."
    )


def test_nothing_binds() -> None:
    problem = one_chip(budget=1000.0, available=[[[100.0]]], power_limit=[100.0])
    assert sentence(problem) == (
        "No limit binds this plan: more supply, power, space or money would save nothing "
        "(950 CNY are left)."
    )
    assert sentence(one_chip()) == "No limit binds this plan: it has no limits."
    no_budget = one_chip(must_meet=[[0.0]], value=[0.15], available=[[[3.0]]], budget=math.inf)
    assert sentence(no_budget).endswith("money does not limit it (the plan has no budget).")


def test_limits_in_different_units_are_compared_by_an_equal_share() -> None:
    """Power for 3 nodes of 1e6 W: a MW saves 5, and 1 % of the 3 MW saves 0.15."""
    problem = one_chip(
        must_meet=[[0.0]], value=[0.15], power=[1e6], power_limit=[3e6], available=[[[4.0]]]
    )
    program, schedule = build_program(problem), solve(problem)
    assert schedule is not None
    worth = worth_of_limits(shadow_prices(program, solve_relaxed(program)), schedule)
    first = worth.iloc[0]
    assert first["constraint"] == "power"
    assert first["saves_cny"] == pytest.approx(5.0, rel=1e-6)
    assert first["share_saves_cny"] == pytest.approx(0.15, rel=1e-6)
    assert worth["saves_cny"].iloc[1] == 0.0
