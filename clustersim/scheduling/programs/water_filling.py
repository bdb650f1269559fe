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
        self.values = values
        self.caps = values.max(axis=1)
        self.level = np.zeros(len(values))
        self.rising: Bools = self.caps > 0

    def run(self) -> Floats:
        """Return the fractions of the last stage, improved by what is left over."""
        while self.rising.any():
            self._stage()
        total = self.values * self.sizes[:, None]
        limit = AtLeast(self.space.sums(self.values), self.level)
        fractions, _, _ = self.space.maximise(total, [limit])
        return fractions

    def _stage(self) -> None:
        """Raise the water until the pools stop somebody, or all are at their maximum."""
        caps = np.unique(self.caps[self.rising])
        low = self._reached(caps)
        if low == len(caps):
            self.level[self.rising] = self.caps[self.rising]
            self.rising[:] = False
            return
        at_cap = self.rising & (self.caps < caps[low])
        self.level[at_cap] = self.caps[at_cap]
        self.rising &= ~at_cap
        top, prices = self._rise(self.rising, ceiling=float(caps[low]))
        rows = np.flatnonzero(self.rising)
        stopped = rows[prices >= _PRICED]
        if not len(stopped):
            stopped = rows[np.argmax(prices)][None]
        self.level[rows] = top
        self.rising[stopped] = False

    def _reached(self, caps: Floats) -> int:
        """Return how many of the maxima, in ascending order, the water level reaches.

        A bisection whose guesses are better than the middle: after a miss the level shrinks by
        the share that was feasible; after a hit an upper bound of the level is solved for.
        """
        top, _ = self._rise(self.rising, ceiling=float(caps[0]))
        if top < caps[0] * (1.0 - _SAME):
            return 0
        low, high, guess = 1, len(caps), len(caps) // 2
        while low < high:
            share = self._feasible_share(float(caps[guess]))
            if share >= 1.0 - _SAME:
                low = guess + 1
                if low < high < len(caps):
                    bound = self._level_above(float(caps[guess]), float(caps[high]))
                    high = min(high, int(np.searchsorted(caps, bound * (1.0 + _SAME), "right")))
                    guess = high - 1
                else:
                    guess = (low + high) // 2
            else:
                high = guess
                near = int(np.searchsorted(caps, share * caps[guess]))
                guess = near if low < near < high else (low + high) // 2
        return low

    def _level_above(self, reached: float, missed: float) -> float:
        """Return an upper bound of the water level between one that it reaches and one that not.

        Only rows with a maximum of at least the missed level rise; those with a maximum in
        between stay at the level reached, which is less than they will have.
        """
        wanted = np.where(self.rising, np.minimum(reached, self.caps), self.level)
        return self._rise(self.rising & (self.caps >= missed), ceiling=missed, least=wanted)[0]

    def _feasible_share(self, level: float) -> float:
        """Return which share of the level, or of their own maximum, everybody can have."""
        wanted = np.where(self.rising, np.minimum(level, self.caps), self.level)
        return self._rise(np.ones(len(wanted), dtype=np.bool_), ceiling=1.0, slope=wanted)[0]

    def _rise(
        self,
        rising: Bools,
        ceiling: float,
        slope: Floats | None = None,
        least: Floats | None = None,
    ) -> tuple[float, Floats]:
        """Return the highest level of the rising rows, and the price of each of them.

        The others have at least ``least``, by default their present level. With slopes the rising
        rows have these multiples of the level.
        """
        rows, fixed = np.flatnonzero(rising), np.flatnonzero(~rising)
        slopes = np.ones(len(rows)) if slope is None else slope[rows]
        least = self.level if least is None else least
        limits = [AtLeast(self.space.sums(self.values, rows), np.zeros(len(rows)), slopes)]
        if len(fixed):
            limits.append(AtLeast(self.space.sums(self.values, fixed), least[fixed]))
        _, top, prices = self.space.maximise(_NONE, limits, ceiling=ceiling)
        return top, prices[: len(rows)] * slopes
