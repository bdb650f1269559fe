"""Why there is no plan: the limit that is named is the one, and the amount is what is missing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest
import scipy.optimize
from files import two_chips
from problems import one_chip, tightened

from clustersim.cli.texts.plan_text import plan_text
from clustersim.procurement import define_plan, plan_purchases
from clustersim.procurement.problem import Problem
from clustersim.procurement.shortfall import CANNOT, TOGETHER, find_shortfall
from clustersim.procurement.solve import Effort, solve
from clustersim.procurement.summary_text import conclusion

EXACT = Effort(gap=0.0)


def shortfall(problem: Problem) -> pd.DataFrame:
    assert solve(problem) is None
    return find_shortfall(problem, EXACT)


def amounts(table: pd.DataFrame, group: str) -> dict[tuple[str, str], float]:
    rows = table[(table["grows"] == group) & table["helps"]]
    return {(row["constraint"], row["of"]): row["amount"] for row in rows.to_dict("records")}


def cannot(table: pd.DataFrame) -> set[str]:
    return set(table[table["note"] == CANNOT]["grows"])


def test_a_budget_by_hand() -> None:
    """Five nodes cost 50."""
    table = shortfall(one_chip(budget=38.0, available=[[[100.0]]]))
    assert amounts(table, TOGETHER) == {("budget", ""): pytest.approx(12.0)}
    assert amounts(table, "budget") == {("budget", ""): pytest.approx(12.0)}
    assert amounts(table, "demand of train") == {("demand", "train"): pytest.approx(150.0)}
    assert cannot(table) == {"supply of a", "supply of all chips"}
    assert table.loc[table["grows"] == "budget", "relative"].item() == pytest.approx(12 / 38)


def test_supply_by_hand() -> None:
    table = shortfall(one_chip(budget=80.0, available=[[[3.0]]]))
    assert amounts(table, TOGETHER) == {("available", "a"): pytest.approx(2.0)}
    assert cannot(table) == {"budget"}


def test_two_limits_together() -> None:
    """Neither power for 5 nodes nor room for them: only both help."""
    table = shortfall(one_chip(power=[100.0], power_limit=[450.0], rack_limit=[4.0]))
    assert amounts(table, TOGETHER) == {
        ("power", ""): pytest.approx(50.0),
        ("rack_units", ""): pytest.approx(1.0),
    }
    assert cannot(table) == {"power", "rack units"}


def test_a_limit_of_nothing() -> None:
    """A supply of 0 is not divided by."""
    table = shortfall(one_chip(available=[[[0.0]]]))
    assert amounts(table, "supply of a") == {("available", "a"): pytest.approx(5.0)}


def test_power_that_existing_nodes_exceed() -> None:
    table = shortfall(one_chip(existing=[9.0], power_limit=[7.0], available=[[[9.0]]]))
    assert amounts(table, TOGETHER) == {("power", ""): pytest.approx(2.0)}
    assert cannot(table) == {"supply of a", "supply of all chips", "demand of train"}


@pytest.mark.parametrize("status", [1, 4])
def test_a_search_that_is_cut_short_is_not_a_limit_that_cannot_help(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """With no answer it is not known; with one that is not proven, less may do."""
    problem = one_chip(budget=38.0)
    real = scipy.optimize.milp

    def cut(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        if status == 4:
            found.x = None
        found.update(status=status, message="stopped")
        return found

    monkeypatch.setattr("clustersim.procurement.shortfall.milp", cut)
    table = find_shortfall(problem)
    assert not cannot(table)
    shown = {1: "less may be enough: stopped", 4: "unknown: stopped"}[status]
    assert set(table["note"]) == {shown}
    assert table["helps"].isna().all() == (status == 4)
    monkeypatch.setattr("clustersim.procurement.result.find_shortfall", lambda *_: table)
    plan = plan_purchases(define_plan(two_chips(budget="0 CNY")))
    assert "stopped early" in conclusion(plan)
    assert "Raising a single limit" not in conclusion(plan)
    assert shown in plan_text(plan)


IMPOSSIBLE = [0, 1, 2, 3]


def with_more(problem: Problem, amounts: pd.DataFrame, *, margin: float = 1e-9) -> Problem:
    """Return the problem with limits that have grown.

    Parameters
    ----------
    problem : Problem
    amounts : DataFrame
        Rows of :func:`find_shortfall`.
    margin : float
        By what share of itself each amount is larger, for rounding.
    """
    budget, quarter_budget = problem.budget, problem.quarter_budget.copy()
    available = problem.available.copy()
    power, racks = problem.power_limit.copy(), problem.rack_limit.copy()
    must_meet = problem.must_meet.copy()
    for row in amounts.to_dict("records"):
        amount = row["amount"] * (1 + margin)
        quarter = None if pd.isna(row["quarter"]) else int(row["quarter"]) - 1
        if row["constraint"] == "budget" and quarter is None:
            budget += amount
        elif row["constraint"] == "budget":
            quarter_budget[quarter] += amount
        elif row["constraint"] == "available":
            available[:, quarter, problem.chips.index(row["of"])] += amount
        elif row["constraint"] == "demand":
            index = problem.classes.index(row["of"])
            must_meet[index, quarter] -= min(
                must_meet[index, quarter], amount / problem.demand[index, quarter]
            )
        else:
            (power if row["constraint"] == "power" else racks)[quarter] += amount
    return dataclasses.replace(
        problem,
        budget=budget,
        quarter_budget=quarter_budget,
        available=available,
        power_limit=power,
        rack_limit=racks,
        must_meet=must_meet,
    )


@pytest.mark.parametrize("seed", IMPOSSIBLE)
def test_the_amounts_make_a_plan_possible_and_less_does_not(seed: int) -> None:
    problem = tightened(seed)
    table = shortfall(problem)
    assert TOGETHER in set(table["grows"])
    for group, rows in table.groupby("grows"):
        if not rows["helps"].all():
            continue
        assert solve(with_more(problem, rows, margin=1e-6)) is not None, group
        less = rows.assign(amount=0.98 * rows["amount"])
        assert solve(with_more(problem, less)) is None, group


def test_the_random_cases_are_of_both_kinds() -> None:
    """Some limits could do alone and some could not."""
    tables = [shortfall(tightened(seed)) for seed in IMPOSSIBLE]
    assert sum(bool(set(table["grows"]) - cannot(table) - {TOGETHER}) for table in tables) >= 1
    assert sum(bool(cannot(table)) for table in tables) >= 2
