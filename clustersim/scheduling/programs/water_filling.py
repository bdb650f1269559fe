"""Lexicographic max-min fairness: raise the smallest normalised rate, then the next, and so on.

Gavel's hierarchical policies call it water filling (OSDI 2020, section 4.3 and appendix). A stage
maximises the smallest normalised rate of the jobs that can still rise. A job stops rising either
at its own maximum, which is all of its time on its best pool, or where the pools are full. The
first kind needs no program: with a water level t a job has at least min(t, its maximum), and
`levels` finds the highest t. The second kind is found by the dual values of a linear program at
that level: a job whose lower bound has a positive price cannot rise in any optimum of the stage.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.scheduling.programs.levels import highest_level
from clustersim.scheduling.programs.linear import (
    AtLeast,
    Group,
    TimeFractions,
    merged,
    time_fractions,
)
from clustersim.scheduling.programs.problem import Allocation, AllocationProblem

__all__ = ["water_filling"]

_NONE = np.zeros(0)
_PRICED = 1e-7
"""Smallest price, of prices that add up to 1, that counts as positive."""
_SAME = 1e-7
"""Relative difference below which two levels count as equal."""
_NEAR = 1e-6
"""Relative error of a water level up to which the linear program of the stage corrects it."""


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
    return Allocation(
        fractions, float(worst), stages.space.solved, stages.space.losses[group.group_of]
    )


class _Stages:
    """The stages of one water filling; rows are groups of equal jobs."""

    def __init__(self, problem: AllocationProblem, group: Group, values: Floats) -> None:
        self.space: TimeFractions = time_fractions(problem, group)
        self.sizes = group.sizes
        self.use = (problem.gangs[group.first] * group.sizes).astype(np.float64)
        self.accelerators = problem.accelerators.astype(np.float64)
        self.values = values
        self.caps = values.max(axis=1)
        self.level = np.zeros(len(values))
        self.rising: Bools = self.caps > 0

    def run(self) -> Floats:
        """Return fractions with which nobody can rise further."""
        fractions: Floats | None = None
        while self.rising.any():
            fractions = self._stage()
        if fractions is None:  # something may be left over
            total = self.values * self.sizes[:, None]
            limit = AtLeast(self.space.sums(self.values), self.level)
            fractions, _, _ = self.space.maximise(total, [limit])
        best = self.values == self.caps[:, None]
        full = (self.caps > 0) & (self.level == self.caps) & (best.sum(axis=1) == 1)
        fractions[full] = best[full]  # exactly, and not to the tolerance of the program
        return fractions

    def _stage(self) -> Floats | None:
        """Raise the water until the pools stop somebody, or all are at their maximum.

        Returns the fractions if the pools stop everybody that is not at its maximum.
        """
        caps = np.unique(self.caps[self.rising])
        low = int(np.searchsorted(caps, self._top() * (1.0 - _NEAR), "right"))
        at_cap = self.rising & (self.caps <= (caps[low - 1] if low else 0.0))
        self.level[at_cap] = self.caps[at_cap]
        self.rising &= ~at_cap
        if low == len(caps):
            return None
        fractions, top, prices = self._rise(self.rising, ceiling=float(caps[low]))
        first, rows = self.rising.copy(), np.flatnonzero(self.rising)
        self.level[rows] = top
        if top >= caps[low] * (1.0 - _SAME):
            stopped = rows[self.caps[rows] == caps[low]]
        else:
            stopped = rows[prices >= _PRICED]
            if not len(stopped):
                stopped = rows[np.argmax(prices)][None]
        self.rising[stopped] = False
        done = not self.rising.any() and bool((first | (self.level == self.caps)).all())
        return fractions if done else None

    def _top(self) -> float:
        """Return the highest level of the rising rows, or slightly more."""
        top, gap = highest_level(self.values, self.use, self.accelerators, self.level, self.rising)
        if gap <= _NEAR:
            return top
        while (share := self._feasible_share(top)) < 1.0 - _SAME:
            top *= share
        return top

    def _feasible_share(self, level: float) -> float:
        """Return which share of the level, or of their own maximum, everybody can have."""
        wanted = np.where(self.rising, np.minimum(level, self.caps), self.level)
        return self._rise(np.ones(len(wanted), dtype=np.bool_), ceiling=1.0, slope=wanted)[1]

    def _rise(
        self, rising: Bools, ceiling: float, slope: Floats | None = None
    ) -> tuple[Floats, float, Floats]:
        """Return fractions with the highest level of the rising rows, and the price of each row.

        The others have at least their present level. With slopes the rising rows have these
        multiples of the level.
        """
        rows, fixed = np.flatnonzero(rising), np.flatnonzero(~rising)
        slopes = np.ones(len(rows)) if slope is None else slope[rows]
        limits = [AtLeast(self.space.sums(self.values, rows), np.zeros(len(rows)), slopes)]
        if len(fixed):
            limits.append(AtLeast(self.space.sums(self.values, fixed), self.level[fixed]))
        fractions, top, prices = self.space.maximise(_NONE, limits, ceiling=ceiling)
        return fractions, top, prices[: len(rows)] * slopes
