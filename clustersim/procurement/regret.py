"""What plans cost when a scenario comes true, and what it is worth to know more."""

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

    Only the quarters that are decided first are a candidate's own; what is bought later is chosen
    anew, knowing the scenario.

    Attributes
    ----------
    candidates : tuple of str
        The plan over all scenarios, the best plan of each scenario if it were sure, and the plan
        for the mean supply.
    cost : float array (candidates, S)
        Yuan; infinite where no later purchase meets what must be met, or the first purchases
        cannot be had.
    best : float array (S,)
        The least of each scenario.
    probability : float array (S,)
    """

    candidates: tuple[str, ...]
    cost: Floats
    best: Floats
    probability: Floats

    @property
    def regret(self) -> Floats:
        """Cost above the least of each scenario, (candidates, S)."""
        return self.cost - self.best

    @property
    def expected(self) -> Floats:
        """Expected cost of each candidate."""
        return np.asarray((self.cost * self.probability).sum(axis=1), dtype=np.float64)

    @property
    def expected_of_plan(self) -> float:
        """Expected cost of the plan over all scenarios (recourse problem, RP)."""
        return float(self.expected[0])

    @property
    def expected_with_foresight(self) -> float:
        """Expected cost if the scenario were known before anything is bought (wait and see, WS)."""
        return float((self.best * self.probability).sum())

    @property
    def expected_of_mean_plan(self) -> float:
        """Expected cost of the plan for the mean supply (EEV)."""
        return float(self.expected[-1])

    @property
    def value_of_stochastic_solution(self) -> float:
        """EEV - RP, never negative beyond the gap of the search."""
        return self.expected_of_mean_plan - self.expected_of_plan

    @property
    def value_of_perfect_information(self) -> float:
        """RP - WS (EVPI)."""
        return self.expected_of_plan - self.expected_with_foresight


def find_regret(problem: Problem, schedule: Schedule, effort: Effort | None = None) -> Regret:
    """Find what each candidate plan costs in each scenario.

    As in Birge and Louveaux, "Introduction to Stochastic Programming" (2011), chapter 4.

    Parameters
    ----------
    problem : Problem
    schedule : Schedule
        Its best plan.
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
    return Regret(tuple(candidates), cost, cost.min(axis=0), problem.probability)


def _costs(problem: Problem, lots: Ints, effort: Effort | None) -> Floats:
    """Cost of some first purchases in each scenario, with the best that can be done later."""
    costs = []
    for index in range(len(problem.scenarios)):
        found = solve(problem.only(index), fixed=lots, effort=effort)
        costs.append(math.inf if found is None else found.expected_cost)
    return np.array(costs)
