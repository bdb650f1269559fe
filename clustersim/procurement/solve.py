"""Solving a plan's program: the best purchases, and the bound of its linear relaxation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from clustersim.array_types import Floats, Ints
from clustersim.errors import ClusterSimError
from clustersim.procurement.problem import Problem
from clustersim.procurement.program import Program, build_program

__all__ = ["Effort", "Schedule", "solve", "solve_relaxed"]

OPTIMAL, LIMIT, INFEASIBLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to search.

    Attributes
    ----------
    gap : float
        Distance from the optimum that is allowed, relative.
    nodes : int
        Of branch and bound at most.
    """

    gap: float = 1e-6
    nodes: int = 200_000


@dataclass(frozen=True)
class Schedule:
    """Purchases and their use.

    Attributes
    ----------
    problem : Problem
    status : {"optimal", "stopped"}
        Stopped: the search ended before the gap was reached.
    gap : float
        Of the cost found, to the best bound.
    lots : int array (S, Q, K)
    busy : float array (S, Q, C, K)
        Nodes that work, on average.
    unmet : float array (S, Q, C)
        Tokens that are not processed.
    """

    problem: Problem
    status: str
    gap: float
    lots: Ints
    busy: Floats
    unmet: Floats

    @property
    def bought(self) -> Ints:
        """Nodes bought, (S, Q, K)."""
        return self.lots * self.problem.lot

    @property
    def nodes(self) -> Floats:
        """Nodes in place, (S, Q, K)."""
        nodes: Floats = self.problem.existing + np.cumsum(self.bought, axis=1)
        return nodes

    @property
    def spending(self) -> Floats:
        """Yuan paid for the nodes that are bought, (S, Q); their price, whatever is charged."""
        spending: Floats = (self.bought * self.problem.price).sum(axis=2)
        return spending

    def costs(self) -> dict[str, Floats]:
        """Yuan that each scenario is charged with, by kind; (S,) each.

        Depreciation is the part of the purchases (:attr:`spending`) that falls within the plan.
        """
        problem = self.problem
        prices = self.bought * problem.price
        depreciation = (prices * problem.charge[:, None]).sum(axis=(1, 2))
        interest = np.zeros(len(problem.scenarios))
        if problem.interest is not None:
            interest = (prices * problem.interest[:, None]).sum(axis=(1, 2))
        return {
            "depreciation": depreciation,
            "network_and_buildings": problem.site_share * depreciation,
            "interest": (1.0 + problem.site_share) * interest,
            "operation": (self.nodes * problem.operating).sum(axis=(1, 2)),
            "electricity": (self.busy * problem.energy).sum(axis=(1, 2, 3)),
            "unmet": (self.unmet * problem.value).sum(axis=(1, 2)),
        }

    @property
    def cost(self) -> Floats:
        """Yuan in each scenario, (S,)."""
        return np.asarray(sum(self.costs().values()), dtype=np.float64)

    @property
    def expected_cost(self) -> float:
        """Yuan, the mean over the scenarios."""
        return float((self.problem.probability * self.cost).sum())


def solve(
    problem: Problem, *, fixed: npt.ArrayLike | None = None, effort: Effort | None = None
) -> Schedule | None:
    """Find the purchases of least expected cost.

    HiGHS solves the mixed-integer program (`scipy.optimize.milp`); with the lots that it finds,
    rounded to whole numbers, the use of the nodes is solved again as a linear program, which is
    exact.  The same problem gives the same answer: the search counts nodes, not seconds.

    Parameters
    ----------
    problem : Problem
    fixed : int array (first, K), optional
        Lots of the quarters that are decided first, where they are known.
    effort : Effort, optional

    Returns
    -------
    Schedule or None
        None where the limits leave no plan.

    Raises
    ------
    ClusterSimError
        If the search found no plan within its nodes, or the solver failed.
    """
    effort = effort or Effort()
    program = build_program(problem, fixed=fixed)
    found: Any = milp(
        program.cost + program.tie,
        integrality=program.integral,
        bounds=Bounds(program.low, program.high),
        constraints=_constraints(program),
        options={"mip_rel_gap": effort.gap, "node_limit": effort.nodes},
    )
    if found.status == INFEASIBLE:
        return None
    if found.x is None:
        raise ClusterSimError(f"the search for a plan failed: {found.message}")
    lots = np.rint(found.x[program.lots]).astype(np.int64)
    use = _use(program, lots)
    solution = found.x if use is None else use
    works = program.busy >= 0
    return Schedule(
        problem=problem,
        status="optimal" if found.status == OPTIMAL else "stopped",
        gap=max(0.0, float(found.mip_gap or 0.0)),
        lots=lots,
        busy=np.where(works, np.maximum(solution[program.busy], 0.0), 0.0),
        unmet=np.maximum(solution[program.unmet], 0.0) * program.token_units,
    )


def _constraints(program: Program) -> LinearConstraint:
    least = np.where(program.equal, program.limit, -math.inf)
    return LinearConstraint(program.matrix, least, program.limit)


def _use(program: Program, lots: Ints) -> Floats | None:
    """Solve again for the use of nodes that are bought; None where rounding leaves no room."""
    low, high = program.low.copy(), program.high.copy()
    low[program.lots] = high[program.lots] = lots
    solution = _linear(program, low, high)
    return np.asarray(solution.x) if solution.status == OPTIMAL else None


def solve_relaxed(program: Program) -> Any:
    """Solve the linear relaxation: lots may be parts of one.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Of `linprog`; ``status`` is 2 where there is no solution.
    """
    return _linear(program, program.low, program.high)


def _linear(program: Program, low: Floats, high: Floats) -> Any:
    unequal = ~program.equal
    # The types of scipy's interface know neither sparse matrices nor arrays of bounds here.
    matrix: Any = program.matrix
    bounds: Any = np.stack([low, high], axis=1)
    return linprog(
        program.cost,
        A_ub=matrix[unequal],
        b_ub=program.limit[unequal],
        A_eq=matrix[program.equal],
        b_eq=program.limit[program.equal],
        bounds=bounds,
        method="highs",
    )
