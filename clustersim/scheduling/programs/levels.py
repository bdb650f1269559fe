"""The highest water level of max-min fairness, from prices per accelerator.

Whether every row can have a level or, if that is less, its own maximum, is no convex question in
the level. But for given prices of the pools the cheapest way to serve a row is known in closed
form: its cost by its rate is the lower convex hull of its pools, so a root search gives the level
at which all rows together cost as much as all accelerators. No prices give less than the highest
feasible level (weak duality), and some prices give exactly it. Kelley's cutting planes find them:
the accelerators that the rows would use bound what other prices can gain, and a linear program
with one variable per pool proposes the next prices (J. E. Kelley, "The cutting-plane method for
solving convex programs", 1960).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, linprog

from clustersim.array_types import Bools, Floats

__all__ = ["Level", "highest_level"]

_ENOUGH = 1e-9
"""Share of all accelerators below which what other prices could gain counts as nothing."""
_SCALE = 1e4
"""Factor of the cutting planes, such that the solver's absolute tolerance of 1e-7 is small."""
_MOST_PLANES = 300
_SAME_RATE = 1e-12
"""Relative difference below which two rates of a row count as equal."""


class Level(NamedTuple):
    """Answer of `highest_level`.

    Attributes
    ----------
    level : float
        No level above this one is feasible.
    gap : float
        By which share of all accelerators the rows may ask for more than there is at this level.
    """

    level: float
    gap: float


def highest_level(
    values: Floats, use: Floats, accelerators: Floats, least: Floats, rising: Bools
) -> Level:
    """Return the highest level that all rising rows can have, or their maximum if that is less.

    Parameters
    ----------
    values : array of float, shape (rows, pools)
        Rate of a row on each pool; 0 where it cannot run. Each row has one unit of time.
    use : array of float, shape (rows,)
        Accelerators that a row uses while it runs.
    accelerators : array of float, shape (pools,)
        Accelerators of each pool.
    least : array of float, shape (rows,)
        Rate that a row has at least. The rising rows can all have the smallest of theirs.
    rising : array of bool, shape (rows,)
        Which rows rise; the others stay at their least rate.

    Returns
    -------
    Level
        The largest maximum of a rising row if all can have theirs.

    Examples
    --------
    One pool of two accelerators; the first row cannot have more than 1.

    >>> import numpy as np
    >>> found = highest_level(np.array([[1.0], [4.0], [4.0]]), np.ones(3), np.array([2.0]),
    ...                       np.zeros(3), np.ones(3, dtype=bool))
    >>> round(found.level, 6)
    2.0
    """
    there = accelerators > 0
    rates, total = values[:, there], accelerators[there]
    most = rates.max(axis=1, initial=0.0)
    level = float(most[rising].max())
    base = float(least[rising].min())
    share = np.full(len(total), 1.0 / len(total))
    planes: list[Floats] = []
    gap = np.inf
    while gap > _ENOUGH and len(planes) < _MOST_PLANES:
        served = _Cheapest(rates, use[:, None] * (share / total))

        def excess(level: float, served: _Cheapest = served) -> float:
            return served.cost(np.where(rising, np.minimum(level, most), least)) - 1.0

        if excess(level) > 0.0:
            if excess(base) >= 0.0:
                return Level(base, 0.0)
            level = float(brentq(excess, base, level, xtol=1e-300, rtol=1e-14))
        fractions = served.fractions(np.where(rising, np.minimum(level, most), least))
        planes.append(use @ fractions / total - 1.0)
        share, gap = _best_shares(np.array(planes))
    return Level(level, max(gap, 0.0))


class _Cheapest:
    """The cheapest way to serve rows at each rate: the lower convex hull of their pools.

    A row has a list of segments, from one vertex of its hull to the next: from no pool to a first
    one, and from there to faster and dearer ones.
    """

    def __init__(self, rates: Floats, costs: Floats) -> None:
        rows, pools = rates.shape
        every = np.arange(rows)
        self._shape = rows, pools
        self._from, self._width, self._slope = np.zeros((3, pools, rows))
        self._to = np.zeros((pools, rows), dtype=np.int64)
        rate, cost = np.zeros(rows), np.zeros(rows)
        least = _SAME_RATE * rates.max(axis=1, initial=0.0)
        for k in range(pools):
            gain = rates - rate[:, None]
            slopes = np.full(rates.shape, np.inf)
            faster = gain > least[:, None]
            np.divide(costs - cost[:, None], gain, out=slopes, where=faster)
            to = slopes.argmin(axis=1)
            on = faster[every, to]
            self._from[k], self._to[k] = rate, to
            self._width[k] = np.where(on, gain[every, to], 0.0)
            self._slope[k] = np.where(on, slopes[every, to], 0.0)
            rate = np.where(on, rates[every, to], rate)
            cost = np.where(on, costs[every, to], cost)

    def _along(self, wanted: Floats) -> Floats:
        """Return how far each row goes on each of its segments."""
        along: Floats = np.clip(wanted - self._from, 0.0, self._width)
        return along

    def cost(self, wanted: Floats) -> float:
        """Return what all rows cost at the rates wanted."""
        return float((self._slope * self._along(wanted)).sum())

    def fractions(self, wanted: Floats) -> Floats:
        """Return the fractions of time of each row on each pool."""
        shape, width = self._slope.shape, self._width
        weight = np.divide(self._along(wanted), width, out=np.zeros(shape), where=width > 0)
        own = weight.copy()  # a vertex has what of the next segment is not gone
        own[:-1] -= weight[1:]
        fractions = np.zeros(self._shape)
        every = np.arange(self._shape[0])
        for to, part in zip(self._to, own, strict=True):
            fractions[every, to] += part
        return fractions


def _best_shares(planes: Floats) -> tuple[Floats, float]:
    """Return each pool's share in the price of all accelerators, and what it gains at most."""
    n_planes, pools = planes.shape
    solve: Any = linprog
    found = solve(
        np.append(np.zeros(pools), -1.0),
        A_ub=np.hstack([-_SCALE * planes, np.ones((n_planes, 1))]),
        b_ub=np.zeros(n_planes),
        A_eq=np.append(np.ones(pools), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0.0, None)] * pools + [(None, None)],
        method="highs-ds",
    )
    if found.status != 0:
        raise ArithmeticError(f"HiGHS: {found.message}")
    share = np.maximum(found.x[:pools], 0.0)
    return share / share.sum(), float(found.x[-1]) / _SCALE
