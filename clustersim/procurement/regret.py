"""Regret: costs of candidate plans in each scenario, and the value of information."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.procurement.problem import Problem
from clustersim.procurement.solve import Effort, Schedule, solve

__all__ = ["EXPECTED", "STOCHASTIC", "Regret", "find_regret"]

STOCHASTIC, EXPECTED = "this plan", "for the mean supply"


@dataclass(frozen=True)
class Regret:
    """Costs of candidate plans in every scenario.

    A candidate fixes only the purchases that are decided first.  Later purchases are optimised for
    the scenario, which is known by then.

    Attributes
    ----------
    candidates : tuple of str
        Names of the plan for all scenarios, of the best plan for each single scenario, and of the
        plan for the mean supply.
    cost : float array (candidates, S)
        Cost in yuan; infinite if no later purchases meet the required demand, or if the first
        purchases exceed the supply.
    best : float array (S,)
        Least cost in each scenario.
    probability : float array (S,)
        Probability of each of the S scenarios.
    buys : tuple of str
        What each candidate buys first, such as ``h200 32 in Q1``; candidates with the same text are
        the same decision.
    """

    candidates: tuple[str, ...]
    cost: Floats
    best: Floats
    probability: Floats
    buys: tuple[str, ...]

    @property
    def regret(self) -> Floats:
        """Cost above the least cost in the same scenario, in yuan.

        The value is an array of shape (candidates, S).
        """
        return self.cost - self.best

    @property
    def expected(self) -> Floats:
        """Expected cost of each candidate, in yuan."""
        return np.asarray((self.cost * self.probability).sum(axis=1), dtype=np.float64)

    @property
    def expected_of_plan(self) -> float:
        """Expected cost of the plan for all scenarios (recourse problem, RP)."""
        return float(self.expected[0])

    @property
    def expected_with_foresight(self) -> float:
        """Expected cost if the scenario were known before any purchase (wait and see, WS)."""
        return float((self.best * self.probability).sum())

    @property
    def expected_of_mean_plan(self) -> float:
        """Expected cost of the plan for the mean supply (EEV)."""
        return float(self.expected[-1])

    @property
    def value_of_stochastic_solution(self) -> float:
        """Value of the stochastic solution (yuan): EEV - RP; below 0 only within the solver gap."""
        return self.expected_of_mean_plan - self.expected_of_plan

    @property
    def value_of_perfect_information(self) -> float:
        """Expected value of perfect information (EVPI) in yuan: RP - WS."""
        return self.expected_of_plan - self.expected_with_foresight


def find_regret(problem: Problem, schedule: Schedule, effort: Effort | None = None) -> Regret:
    """Return the cost of each candidate plan in each scenario.

    The method is described in Birge and Louveaux, "Introduction to Stochastic Programming" (2011),
    chapter 4.

    Parameters
    ----------
    problem : Problem
    schedule : Schedule
        The best plan for all scenarios of the problem.
    effort : Effort, optional
    """
    first = problem.first
    candidates: dict[str, Ints | None] = {STOCHASTIC: schedule.lots[0, :first]}
    for index, name in enumerate(problem.scenarios):
        alone = solve(problem.only(index), effort=effort)
        candidates[f"for {name}"] = None if alone is None else alone.lots[0, :first]
    mean = solve(problem.expected(), effort=effort)
    candidates[EXPECTED] = None if mean is None else mean.lots[0, :first]
    known: dict[bytes, Floats] = {}
    rows = []
    for lots in candidates.values():
        if lots is None:
            rows.append(np.full(len(problem.scenarios), math.inf))
            continue
        key = lots.tobytes()
        if key not in known:
            known[key] = _costs(problem, lots, effort)
        rows.append(known[key])
    cost = np.array(rows)
    buys = tuple(_buys(problem, lots) for lots in candidates.values())
    return Regret(tuple(candidates), cost, cost.min(axis=0), problem.probability, buys)


def _buys(problem: Problem, lots: Ints | None) -> str:
    """Return the nodes of each chip bought in each of the first quarters, as text."""
    if lots is None:
        return "no plan"
    parts = [
        f"{chip} {count:,} in Q{quarter}"
        for quarter, bought in enumerate(lots * problem.lot, 1)
        for chip, count in zip(problem.chips, bought.tolist(), strict=True)
        if count
    ]
    return ", ".join(parts) or "nothing"


def _costs(problem: Problem, lots: Ints, effort: Effort | None) -> Floats:
    """Return the cost in each scenario if `lots` are bought first and the rest is optimal."""
    costs = []
    for index in range(len(problem.scenarios)):
        found = solve(problem.only(index), fixed=lots, effort=effort)
        costs.append(math.inf if found is None else found.expected_cost)
    return np.array(costs)
