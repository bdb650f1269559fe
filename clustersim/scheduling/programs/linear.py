"""Sparse linear programs over time fractions, solved by HiGHS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from clustersim.array_types import Bools, Floats, Ints
from clustersim.scheduling.programs.problem import AllocationProblem

__all__ = ["AtLeast", "Group", "TimeFractions", "merged", "time_fractions"]

_SLACKS = (1e-9, 1e-8, 1e-7, 1e-6)
"""Relative amounts by which a program may fall short of the optimum of the one before.

The first one that makes it feasible is used: bounds that come from a program are exact to the
solver's tolerance only.
"""
_LARGE = 2000
"""Variables from which on a program is solved by interior points and crossover instead of the
dual simplex method, unless it chooses among the optima of another; measured."""
_INFEASIBLE = 2
"""Status of `linprog`."""


@dataclass(frozen=True)
class Group:
    """Jobs that a program cannot tell apart, merged to one row.

    Parameters
    ----------
    first : array of int, shape (groups,)
        One job of each group.
    group_of : array of int, shape (jobs,)
        Group of each job.
    sizes : array of int, shape (groups,)
        Jobs of each group.
    """

    first: Ints
    group_of: Ints
    sizes: Ints


def merged(*columns: Floats | Ints) -> Group:
    """Merge jobs that are equal in all columns.

    If swapping two jobs changes neither the constraints nor the objective, then the mean of an
    optimum and its mirror image is an optimum (the program is convex), and it gives both jobs the
    same fractions. So one row can stand for all of them.

    Examples
    --------
    >>> merged(np.array([2, 1, 2]), np.array([5.0, 5.0, 5.0])).sizes.tolist()
    [1, 2]
    """
    table = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    _, first, group_of, sizes = np.unique(
        table, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return Group(first, group_of.reshape(-1), sizes)


@dataclass(frozen=True)
class AtLeast:
    """Constraints ``sums >= constant + slope * t``, a row each.

    A slope of None stands for 0; the constants then come from a program that was solved before,
    and may be missed by a little (`_SLACKS`).
    """

    sums: sparse.csr_array
    constant: Floats
    slope: Floats | None = None


class TimeFractions:
    """The polytope of feasible time fractions, and linear programs over it.

    Variables are the fractions of the pairs (job, pool) with a positive rate, in row-major order,
    then further columns if asked for. Each row stands for ``counts`` equal jobs.

    Parameters
    ----------
    usable : array of bool, shape (rows, pools)
        Where a job can run.
    gangs, counts : array of int, shape (rows,)
        Accelerators of a job; number of jobs of the row.
    accelerators : array of int, shape (pools,)
        Accelerators of each pool.

    Attributes
    ----------
    solved : int
        Number of programs solved.
    losses : array of float, shape (rows, pools)
        Reduced costs of the last program, of one job of the row.
    """

    def __init__(self, usable: Bools, gangs: Ints, counts: Ints, accelerators: Ints) -> None:
        self.usable = usable
        self._counts = counts
        self.rows, self.pools = usable.shape
        self.row, self.pool = np.nonzero(usable)
        self.n = len(self.row)
        columns = np.arange(self.n)
        busy = (gangs * counts)[self.row] / accelerators[self.pool]
        self._bounds_matrix = sparse.csr_array(
            (
                np.concatenate([np.ones(self.n), busy]),
                (np.concatenate([self.row, self.rows + self.pool]), np.tile(columns, 2)),
            ),
            shape=(self.rows + self.pools, self.n),
        )
        self.solved = 0
        self.losses: Floats = np.zeros(usable.shape)

    def sums(self, coefficients: Floats, rows: Ints | None = None) -> sparse.csr_array:
        """Return the matrix of the weighted sum of each row; coefficients by (row, pool)."""
        values = coefficients[self.row, self.pool]
        shape = (self.rows, self.n)
        sums = sparse.csr_array((values, (self.row, np.arange(self.n))), shape=shape)
        return sums if rows is None else sums[rows]

    def maximise(
        self,
        objective: Floats,
        at_least: Sequence[AtLeast],
        ceiling: float | None = None,
    ) -> tuple[Floats, float, Floats]:
        """Maximise a linear function of the fractions, or one further variable ``t``.

        Parameters
        ----------
        objective : array of float, shape (rows, pools) or (0,)
            Coefficients of the fractions. If empty, the objective is ``t``.
        at_least : sequence of AtLeast
            Further constraints; at least one if the objective is ``t``.
        ceiling : float, optional
            Upper bound of ``t``.

        Returns
        -------
        fractions : array of float, shape (rows, pools)
        t : float
            0 if the objective is not ``t``.
        prices : array of float
            Dual value of each of the constraints ``at_least``, at least 0.
        """
        with_t = objective.size == 0
        matrix = self._matrix(at_least, with_t)
        costs = np.append(np.zeros(self.n), -1.0) if with_t else -objective[self.row, self.pool]
        bounds = np.zeros((len(costs), 2))
        bounds[:, 1] = np.inf
        if with_t and ceiling is not None:
            bounds[-1, 1] = ceiling
        large = self.n >= _LARGE and (with_t or not at_least)
        for slack in _SLACKS:
            limits = self._limits(at_least, slack)
            found = _solved(costs, matrix, limits, bounds, interior_first=large)
            self.solved += 1
            if found.status == 0:
                break
        else:
            raise ArithmeticError(f"HiGHS: {found.message}")
        fractions = np.zeros((self.rows, self.pools))
        fractions[self.row, self.pool] = np.clip(found.x[: self.n], 0.0, 1.0) + 0.0  # no -0.0
        self.losses = np.zeros((self.rows, self.pools))
        reduced = found.lower.marginals[: self.n] / self._counts[self.row]
        self.losses[self.row, self.pool] = np.maximum(reduced, 0.0)
        prices = -found.ineqlin.marginals[self.rows + self.pools :]
        return fractions, float(found.x[-1]) if with_t else 0.0, prices

    def _limits(self, at_least: Sequence[AtLeast], slack: float) -> Floats:
        """Return the upper bounds of all constraints."""
        lower = [each.constant * (1.0 - slack * (each.slope is None)) for each in at_least]
        return np.concatenate([np.ones(self.rows + self.pools), *(-each for each in lower)])

    def _matrix(self, at_least: Sequence[AtLeast], with_t: bool) -> Any:
        """Return the matrix of all constraints."""
        blocks: list[list[Any]] = [[self._bounds_matrix, None] if with_t else [self._bounds_matrix]]
        for limit in at_least:
            block: list[Any] = [-limit.sums]
            if with_t:
                slope = np.zeros(len(limit.constant)) if limit.slope is None else limit.slope
                block.append(sparse.csr_array(slope.reshape(-1, 1)))
            blocks.append(block)
        return sparse.block_array(blocks, format="csc")


def _solved(
    costs: Floats, matrix: Any, limits: Floats, bounds: Floats, *, interior_first: bool
) -> Any:
    """Minimise by one method of HiGHS, and by the other if that fails."""
    solve: Any = linprog
    methods = ("highs-ipm", "highs-ds") if interior_first else ("highs-ds", "highs-ipm")
    for method in methods:
        found = solve(costs, A_ub=matrix, b_ub=limits, bounds=bounds, method=method)
        if found.status in (0, _INFEASIBLE):
            break
    return found


def time_fractions(problem: AllocationProblem, group: Group | None = None) -> TimeFractions:
    """Return the polytope of a problem, with one row per job or per group of equal jobs."""
    if group is None:
        everyone = np.arange(problem.n_jobs)
        group = Group(everyone, everyone, np.ones(problem.n_jobs, dtype=np.int64))
    return TimeFractions(
        problem.rates[group.first] > 0,
        problem.gangs[group.first],
        group.sizes,
        problem.accelerators,
    )
