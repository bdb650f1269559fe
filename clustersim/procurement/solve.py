"""Solution of a plan's program: the best purchases, and the bound of the linear relaxation."""

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
    """Limits on the search.

    Attributes
    ----------
    gap : float
        Allowed relative distance from the optimum.
    nodes : int
        Largest number of branch-and-bound nodes.
    """

    gap: float = 1e-6
    nodes: int = 200_000


@dataclass(frozen=True)
class Schedule:
    """Purchases, and the use of the nodes in place.

    Axes of arrays: S (scenarios), Q (quarters), C (classes) and K (chips).

    Attributes
    ----------
    problem : Problem
    status : {"optimal", "stopped"}
        "stopped" means that the search ended before it reached the gap.
    gap : float
        Relative distance of the cost from the best bound.
    lots : int array (S, Q, K)
        Lots bought.
    busy : float array (S, Q, C, K)
        Average number of working nodes.
    unmet : float array (S, Q, C)
        Tokens of unmet demand.
    """

    problem: Problem
    status: str
    gap: float
    lots: Ints
    busy: Floats
    unmet: Floats

    @property
    def bought(self) -> Ints:
        """Number of nodes bought, as an array of shape (S, Q, K)."""
        return self.lots * self.problem.lot

    @property
    def nodes(self) -> Floats:
        """Number of nodes in place, as an array of shape (S, Q, K)."""
        nodes: Floats = self.problem.existing + np.cumsum(self.bought, axis=1)
        return nodes

    @property
    def spending(self) -> Floats:
        """Full price in yuan of the nodes bought, without depreciation.

        The value is an array of shape (S, Q).
        """
        spending: Floats = (self.bought * self.problem.price).sum(axis=2)
        return spending

    def costs(self) -> dict[str, Floats]:
        """Return the costs in yuan by kind of cost, each as an array with one value per scenario.

        Depreciation is the part of :attr:`spending` that is charged within the plan.
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
        """Total cost of each scenario in yuan, as an array of shape (S,)."""
        return np.asarray(sum(self.costs().values()), dtype=np.float64)

    @property
    def expected_cost(self) -> float:
        """Expected cost over the scenarios in yuan."""
        return float((self.problem.probability * self.cost).sum())


def solve(
    problem: Problem, *, fixed: npt.ArrayLike | None = None, effort: Effort | None = None
) -> Schedule | None:
    """Find the purchases with the least expected cost.

    HiGHS solves the mixed-integer program (`scipy.optimize.milp`).  The lots found are rounded to
    integers, and a linear program then recomputes the use of the nodes exactly.  The same problem
    always has the same solution, because the search is limited by branch-and-bound nodes, not by
    time.

    Parameters
    ----------
    problem : Problem
    fixed : int array (first, K), optional
        Lots bought in the quarters that are decided first, if these purchases are fixed.
    effort : Effort, optional

    Returns
    -------
    Schedule or None
        None if no plan satisfies the limits.

    Raises
    ------
    ClusterSimError
        If the search finds no plan within its limit of nodes, or the solver fails.
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
    """Solve for the use of the nodes with fixed lots; None if rounding made this infeasible."""
    low, high = program.low.copy(), program.high.copy()
    low[program.lots] = high[program.lots] = lots
    solution = _linear(program, low, high)
    return np.asarray(solution.x) if solution.status == OPTIMAL else None


def solve_relaxed(program: Program) -> Any:
    """Solve the linear relaxation, in which lots may be fractional.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Result of `linprog`; ``status`` is 2 if there is no solution.
    """
    return _linear(program, program.low, program.high)


def _linear(program: Program, low: Floats, high: Floats) -> Any:
    unequal = ~program.equal
    # SciPy's type stubs do not cover sparse matrices and arrays of bounds here.
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
