"""Lexicographic max-min fairness: raise the smallest normalised rate, then the next, and so on.

Gavel's hierarchical policies call it water filling (OSDI 2020, section 4.3 and appendix). A stage
maximises the smallest normalised rate of the jobs that can still rise. A job stops rising either
at its own maximum, which is all of its time on its best pool, or where the pools are full. The
first kind needs no program: with a water level t a job has at least min(t, its maximum). The
second kind is found by the dual values: a job whose lower bound has a positive price cannot rise
in any optimum of the stage.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.scheduling.programs.linear import Group, TimeFractions, merged, time_fractions
from clustersim.scheduling.programs.problem import Allocation, AllocationProblem

__all__ = ["water_filling"]

_NONE = np.zeros(0)
_PRICED = 1e-7
"""Smallest price, of prices that add up to 1, that counts as positive."""
_SAME = 1e-7
"""Relative difference below which two levels count as equal."""


def water_filling(problem: AllocationProblem) -> Allocation:
    """Maximise the smallest normalised rate, then the second smallest, and so on.

    Normalised rates are those of `gavel.max_min_fairness`. The objective is the smallest of them.
    Jobs that can run nowhere are left out.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 0.0], [4.0, 0.0], [0.0, 1.0]], gangs=[1, 1, 1],
    ...                             accelerators=[1, 1])
    >>> water_filling(problem).fractions.tolist()
    [[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]]
    """
    normalised = problem.normalised_rates
    able = normalised.any(axis=1)
    if not able.any():
        return Allocation(np.zeros(problem.rates.shape), 0.0, 0)
    group = merged(normalised, problem.gangs)
    stages = _Stages(problem, group, normalised[group.first])
    rows = stages.run()
    fractions = rows[group.group_of]
    worst = (normalised * fractions).sum(axis=1)[able].min()
    return Allocation(fractions, float(worst), stages.space.solved)


class _Stages:
    """The stages of one water filling; rows are groups of equal jobs."""

    def __init__(self, problem: AllocationProblem, group: Group, values: Floats) -> None:
        self.space: TimeFractions = time_fractions(problem, group)
        self.sizes = group.sizes
        self.values = values
        self.sums = self.space.sums(values)
        self.caps = values.max(axis=1)
        self.level = np.zeros(len(values))
        self.rising: Bools = self.caps > 0

    def run(self) -> Floats:
        """Return the fractions of the last stage, improved by what is left over."""
        while self.rising.any():
            self._stage()
        total = self.values * self.sizes[:, None]
        fractions, _, _ = self.space.maximise(
            total, [(self.sums, None, self.space.relaxed(self.level))]
        )
        return fractions

    def _stage(self) -> None:
        """Raise the water until the pools stop somebody, or all are at their maximum."""
        caps = np.unique(self.caps[self.rising])
        low, high = 0, len(caps)
        # Find the first maximum that not everybody can reach: caps[low - 1] is reached.
        top, _ = self._rise(self.rising, ceiling=float(caps[0]))
        reached = top >= caps[0] * (1.0 - _SAME)
        if reached:
            low = 1
            while low < high:
                middle = (low + high) // 2
                if self._feasible(float(caps[middle])):
                    low = middle + 1
                else:
                    high = middle
        if low == len(caps):
            self.level[self.rising] = self.caps[self.rising]
            self.rising[:] = False
            return
        at_cap = self.rising & (self.caps < caps[low])
        self.level[at_cap] = self.caps[at_cap]
        self.rising &= ~at_cap
        top, prices = self._rise(self.rising, ceiling=float(caps[low]))
        rows = np.flatnonzero(self.rising)
        stopped = rows[prices >= max(_PRICED, 0.0)]
        if not len(stopped):
            stopped = rows[np.argmax(prices)][None]
        self.level[rows] = top
        self.rising[stopped] = False

    def _feasible(self, level: float) -> bool:
        """Return whether everybody can have the level or their own maximum."""
        wanted = np.where(self.rising, np.minimum(level, self.caps), self.level)
        top, _ = self._rise(np.ones(len(wanted), dtype=np.bool_), ceiling=1.0, slope=wanted)
        return top >= 1.0 - _SAME

    def _rise(
        self, rising: Bools, ceiling: float, slope: Floats | None = None
    ) -> tuple[float, Floats]:
        """Return the highest level of the rising rows, and the price of each of them."""
        rows = np.flatnonzero(rising)
        slopes = np.ones(len(rows)) if slope is None else slope[rows]
        fixed = np.flatnonzero(~rising)
        limits = [(self.sums[rows], slopes, np.zeros(len(rows)))]
        if len(fixed):
            limits.append((self.sums[fixed], None, self.space.relaxed(self.level[fixed])))
        _, top, prices = self.space.maximise(_NONE, limits, ceiling=ceiling)
        return top, prices[: len(rows)] * slopes
