"""The largest work at a fixed mix that pools can do, for many numbers of chips at once.

One linear program divides the jobs of a mix among pools so that no pool is overloaded:

    maximise  rate
    subject to  sum over pools of x[kind, pool] = rate * share[kind]
                sum over kinds of work[pool, kind] * x[kind, pool] <= chips[pool],  x >= 0

Its constraints depend on the chips only through their right-hand side.  The optimal basis of one
program is therefore optimal for all chips for which its solution is not negative, and there the
solution is a linear function of the chips (Bertsimas and Tsitsiklis, "Introduction to Linear
Optimization", 1997, section 5.2).  A basis of another program, with other work, is optimal if its
solution is not negative and its reduced costs have the right sign.  A few programs, and matrix
products, thus solve thousands of points exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csc_array

from clustersim.array_types import Bools, Floats, Ints

__all__ = ["MixProgram"]

_NONE = 1e-9
"""Values below this multiple of their scale count as 0."""


@dataclass(frozen=True, slots=True)
class MixProgram:
    """A mix of jobs, and the pools on which they can run.

    Attributes
    ----------
    work : float64 array (pools, kinds)
        Chip-seconds of a job; infinite if it cannot run on the pool.
    share : float64 array (kinds,)
        Relative number of jobs. Kinds that can run on no pool are left out.

    Examples
    --------
    Two kinds of jobs. The first runs on both pools, the second only on the first pool:

    >>> program = MixProgram(np.array([[1.0, 1.0], [2.0, np.inf]]), np.array([0.5, 0.5]))
    >>> program.jobs_per_s(np.array([[10.0, 0.0], [10.0, 20.0]])).sum(axis=(1, 2)).tolist()
    [10.0, 20.0]
    """

    work: Floats
    share: Floats

    def jobs_per_s(self, chips: Floats, known: list[Bools] | None = None) -> Floats:
        """Return the jobs per second of each kind that each pool does at the largest rate.

        Parameters
        ----------
        chips : float64 array (points, pools)
        known : list, optional
            Optimal bases of similar programs, which are tried first; new ones are added.

        Returns
        -------
        float64 array (points, pools, kinds)
        """
        bases: list[Bools] = [] if known is None else known
        n_pools, n_kinds = self.work.shape
        can = np.isfinite(self.work) & (self.share > 0)
        found = np.zeros((len(chips), n_pools, n_kinds))
        if not can.any() or not len(chips):
            return found
        scale = max(float(chips.max()), 1.0)
        unit = float(np.median(self.work[can]))
        table = _Table.of(self.work / unit, self.share, can)
        right, left = chips / scale, np.arange(len(chips))
        untried = list(bases[::-1])
        while len(left):
            if untried:
                basic = untried.pop(0)
            else:
                x = table.solve(right[left[0]])
                found[left[0]] = x[: can.size].reshape(can.shape) * (scale / unit)
                left, basic = left[1:], x > _NONE * float(x.max())
                if not any(np.array_equal(basic, each) for each in bases):
                    bases.append(basic)
            matrix = table.optimal(basic)
            if matrix is None:
                continue
            values = right[left] @ matrix.T
            fits = (values >= -_NONE).all(axis=1)
            if fits.any():
                flows = np.maximum(values[fits][:, : can.size], 0.0) * (scale / unit)
                found[left[fits]] = flows.reshape(-1, n_pools, n_kinds)
                left = left[~fits]
        return found


@dataclass(frozen=True, slots=True)
class _Table:
    """The equations of the program.

    Attributes
    ----------
    table : float64 array (rows, columns)
        Rows: the kinds that can run, then the pools on which one can. Columns: the flow of each
        kind on each pool, the rate, and the free chips of each pool.
    possible : bool array (columns,)
        Whether a variable exists.
    used : int64 array
        The pools of the rows.
    rate : int
        Column of the rate.
    """

    table: Floats
    possible: Bools
    used: Ints
    rate: int

    @property
    def kinds(self) -> int:
        """Number of kinds that can run."""
        return len(self.table) - len(self.used)

    @classmethod
    def of(cls, work: Floats, share: Floats, can: Bools) -> _Table:
        n_pools, n_kinds = work.shape
        n = n_pools * n_kinds
        listed, used = np.flatnonzero(can.any(axis=0)), np.flatnonzero(can.any(axis=1))
        table = np.zeros((len(listed) + len(used), n + 1 + n_pools))
        rows = np.arange(len(listed))
        for row, pool in enumerate(used, start=len(listed)):
            table[rows, pool * n_kinds + listed] = 1.0
            own = slice(pool * n_kinds, (pool + 1) * n_kinds)
            table[row, own] = np.where(can[pool], work[pool], 0.0)
            table[row, n + 1 + pool] = 1.0
        table[rows, n] = -share[listed] / share[listed].sum()
        possible = np.concatenate([can.ravel(), [True], can.any(axis=1)])
        return cls(table, possible, used, n)

    def solve(self, chips: Floats) -> Floats:
        """Return the optimal values of all variables."""
        columns = np.flatnonzero(self.possible)
        goal = np.where(columns == self.rate, -1.0, 0.0)
        right = np.concatenate([np.zeros(self.kinds), chips[self.used]])
        table: Any = csc_array(self.table[:, columns])
        solved = linprog(goal, A_eq=table, b_eq=right, method="highs-ds")
        assert solved.status == 0, solved.message
        found = np.zeros(len(self.possible))
        found[columns] = solved.x
        return found

    def optimal(self, basic: Bools) -> Floats | None:
        """Return the matrix by which variables follow chips, if a basis can be optimal.

        Returns
        -------
        float64 array (columns, pools) or None
            None if it is no basis, or if another one is better for all chips.
        """
        if len(basic) != len(self.possible) or basic.sum() != len(self.table):
            return None
        if (basic & ~self.possible).any():
            return None
        square = self.table[:, basic]
        try:
            inverse = np.linalg.inv(square)
        except np.linalg.LinAlgError:
            return None
        if not np.abs(inverse @ square - np.eye(len(square))).max() < 1e-6:
            return None
        goal = (np.flatnonzero(basic) == self.rate).astype(np.float64)
        gain = (goal @ inverse) @ self.table
        gain[self.rate] -= 1.0
        if (gain[self.possible] < -_NONE * float(np.abs(gain).max())).any():
            return None
        matrix = np.zeros((len(basic), len(self.possible) - 1 - self.rate))
        matrix[np.ix_(basic, self.used)] = inverse[:, self.kinds :]
        return matrix
