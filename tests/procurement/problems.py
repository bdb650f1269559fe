"""Small plans as numbers, and their optimum by trying all purchases."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import linprog

from clustersim.procurement.problem import Problem


def one_chip(**fields: Any) -> Problem:
    """One chip and class: a node costs 10 and does 100 tokens; 450 are demanded."""
    message: dict[str, Any] = {
        "chips": ("a",),
        "classes": ("train",),
        "scenarios": ("sure",),
        "quarters": 1,
        "first": 1,
        "probability": [1.0],
        "lot": [1],
        "price": [10.0],
        "charge": [1.0],
        "operating": [0.0],
        "energy": [0.0],
        "existing": [0.0],
        "available": [[[math.inf]]],
        "node_tokens": [[100.0]],
        "demand": [[450.0]],
        "must_meet": [[1.0]],
        "value": [0.0],
        "budget": math.inf,
        "quarter_budget": [math.inf],
        "power": [1.0],
        "rack_units": [1.0],
        "power_limit": [math.inf],
        "rack_limit": [math.inf],
        "utilisation": 1.0,
        **fields,
    }
    names = ("chips", "classes", "scenarios", "quarters", "first", "budget", "utilisation")
    return Problem(
        **{name: message[name] for name in names},
        lot=np.array(message["lot"], dtype=np.int64),
        **{
            name: np.array(message[name], dtype=np.float64)
            for name in message
            if name not in (*names, "lot")
        },
    )


def random_problem(seed: int) -> Problem:
    """Two chips, classes, quarters and scenarios, of which one takes supply away."""
    draw = np.random.default_rng(seed)
    available = draw.integers(1, 4, (2, 2, 2)).astype(float)
    available[1, 1:] = draw.integers(0, 2, (1, 2))
    available[:, 0] = available[0, 0]
    price = draw.uniform(4, 12, 2)
    demand = draw.uniform([100, 300], [400, 900], (2, 2))
    first_share = float(draw.uniform(0.3, 0.7))
    return one_chip(
        chips=("a", "b"),
        classes=("x", "y"),
        scenarios=("good", "bad"),
        quarters=2,
        probability=[first_share, 1 - first_share],
        lot=draw.integers(1, 3, 2),
        price=price,
        charge=[1.0, float(draw.uniform(0.4, 1.0))],
        operating=draw.uniform(0, 1, 2),
        energy=draw.uniform(0, 1, 2),
        existing=draw.integers(0, 2, 2),
        available=available * 2,
        node_tokens=draw.uniform(30, 120, (2, 2)),
        demand=demand,
        must_meet=np.repeat(draw.choice([0.0, 0.3], (2, 1)), 2, axis=1),
        value=draw.uniform(0.1, 0.3, 2),
        budget=float(draw.uniform(40, 110)),
        quarter_budget=[math.inf, float(draw.uniform(15, 60))],
        power=draw.uniform(1, 2, 2),
        rack_units=draw.uniform(1, 2, 2),
        power_limit=draw.uniform(8, 18, 2),
        rack_limit=draw.uniform(8, 18, 2),
        utilisation=float(draw.uniform(0.7, 1.0)),
    )


def tightened(seed: int) -> Problem:
    """A random problem with half the budget, and most of the demand to be met."""
    return dataclasses.replace(
        random_problem(seed),
        must_meet=np.full((2, 2), 0.9),
        budget=random_problem(seed).budget / 2,
    )


class BruteForce:
    """All whole purchases of a small plan, each with the best use of the nodes of each quarter."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.known: dict[tuple[int, tuple[int, ...]], float] = {}

    def optimum(self) -> float:
        """Least expected cost; infinite where there is no plan."""
        best = math.inf
        for first in self.purchases(None, 0):
            costs = [self.scenario(s, first) for s in range(len(self.problem.scenarios))]
            best = min(best, float(sum(self.problem.probability * np.array(costs))))
        return best

    def scenario(self, scenario: int, first: tuple[int, ...]) -> float:
        """Least cost of a scenario after the first quarter's purchases, in nodes."""
        if any(
            n > have for n, have in zip(first, self.problem.available[scenario, 0], strict=True)
        ):
            return math.inf
        later = self.purchases(scenario, 1) if self.problem.quarters > 1 else [()]
        return min(self.cost([first, second] if second else [first]) for second in later)

    def purchases(self, scenario: int | None, quarter: int) -> list[tuple[int, ...]]:
        """Whole lots within the supply, in nodes."""
        available = self.problem.available[:, quarter].max(axis=0)
        if scenario is not None:
            available = self.problem.available[scenario, quarter]
        ranges = [
            range(0, int(most) + 1, int(lot))
            for most, lot in zip(available, self.problem.lot, strict=True)
        ]
        return list(itertools.product(*ranges))

    def cost(self, bought: list[tuple[int, ...]]) -> float:
        """Cost of purchases by quarter, with the best use; infinite if a limit is broken."""
        p = self.problem
        nodes = np.array(bought, dtype=float)
        spending = nodes @ p.price
        there = p.existing + np.cumsum(nodes, axis=0)
        if spending.sum() > p.budget or (spending > p.quarter_budget).any():
            return math.inf
        if (there @ p.power > p.power_limit).any() or (there @ p.rack_units > p.rack_limit).any():
            return math.inf
        use = sum(self.use(q, tuple(there[q])) for q in range(p.quarters))
        return float((spending * p.charge).sum() + (there * p.operating).sum() + use)

    def use(self, quarter: int, there: tuple[float, ...]) -> float:
        """Least cost of electricity and of what is left undone, of one quarter."""
        key = (quarter, there)
        if key not in self.known:
            self.known[key] = self._use(quarter, there)
        return self.known[key]

    def _use(self, quarter: int, there: tuple[float, ...]) -> float:
        p = self.problem
        classes, chips = p.node_tokens.shape
        cost = [*np.tile(p.energy, classes), *p.value]
        capacity = np.hstack([np.tile(np.eye(chips), classes), np.zeros((chips, classes))])
        work = np.zeros((classes, classes * chips + classes))
        for c in range(classes):
            work[c, c * chips : (c + 1) * chips] = p.node_tokens[c]
            work[c, classes * chips + c] = 1.0
        most = (1 - p.must_meet[:, quarter]) * p.demand[:, quarter]
        bounds = [(0, None)] * (classes * chips) + [(0, float(m)) for m in most]
        found = linprog(
            cost, capacity, p.utilisation * np.array(there), work, p.demand[:, quarter], bounds
        )
        return float(found.fun) if found.status == 0 else math.inf
