"""The capacity of a draw of the coefficients, from one replication.

A draw changes the step times, and so the capacity.  To find the change, a draw needs only one
replication, which is compared with the same replication at the posterior mean.  Both have the same
random numbers, so the change contains little of their noise.

The capacity of a single replication at the objective can be far from that of all replications, or
beyond the trial values: in a lucky replication, hardly any job waits.  The level of service at
which the replication is compared is therefore its own: what it measures, at the posterior mean, at
the capacity of the study.  The capacity of the draw is the value at which the replication measures
the same with the draw.  More exactly, the capacity of the study is multiplied by the ratio of two
values: where the replication reaches the level with the draw, and where at the posterior mean.
Both are interpolated in the same way.

The level is at least a quarter of the objective and at most four times the objective, so that a
replication without any job above the limit also has one.  If overload begins at the capacity, the
level is the objective.  Replications that reach their level at no trial value are left out.

Whether a queue piles up cannot be seen from one short run.  A run of a single replication counts as
overloaded only if its offered load is 1 or more, or its measurement is infinite.

The noise of a single replication does not cancel completely, so the range over the draws is rather
too wide.  In short runs near overload, in which few jobs decide, it is not reliable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clustersim.analysis.root_search import Root, RootSearch
from clustersim.analysis.samples import Sample
from clustersim.studies.objective import Measured, measured_at
from clustersim.studies.points import changed
from clustersim.studies.search_spec import CapacitySearch, Objective

__all__ = ["DrawTarget", "capacity_of_draw", "draw_targets", "level_search", "measured_alone"]

Samples = Mapping[str, Sample]
MOST_OFF = 4.0
"""Largest factor between the objective and the level at which a replication is compared."""


@dataclass(frozen=True, slots=True)
class DrawTarget:
    """What a draw is compared with.

    Attributes
    ----------
    replication : int
    level : float
        The measurement to reach, in the unit of the objective.
    usual : float
        Value at which the replication reaches the level at the posterior mean.
    """

    replication: int
    level: float
    usual: float


def measured_alone(
    objective: Objective, metrics: Mapping[str, Sequence[float]], samples: Sequence[Samples]
) -> Measured:
    """Return the measurement of a single replication; see
    :func:`~clustersim.studies.objective.measured_at`."""
    growth = [math.nan] * len(samples)
    return measured_at(objective, {**metrics, "backlog_growth": growth}, samples)


def draw_targets(
    tried: Mapping[int, Mapping[float, Measured]], capacity: float, finder: RootSearch
) -> list[DrawTarget]:
    """Return the targets of the draws; draw d has number d modulo their number.

    Parameters
    ----------
    tried : mapping of int to mapping of float to (Estimate, mapping)
        :func:`measured_alone` of each replication at the posterior mean, by trial value.
    capacity : float
        Capacity of the study at the posterior mean.  If it is not finite, there are no targets.
    finder : RootSearch
        The search of the study.

    Examples
    --------
    >>> from clustersim.analysis.control_variates import Estimate
    >>> finder = RootSearch(at_most=4.0, low=1.0, high=4.0, tolerance=0.1)
    >>> waits = {value: (Estimate(2 * value, 0.0, 9.0), {}) for value in (1.0, 2.0, 4.0)}
    >>> draw_targets({0: waits}, 2.0, finder)
    [DrawTarget(replication=0, level=4.0, usual=2.0)]
    """
    if not math.isfinite(capacity):
        return []
    found = []
    for replication in sorted(tried):
        measured = {value: plain for value, (plain, _) in tried[replication].items()}
        values = np.array(sorted(measured))
        logs = np.log1p(np.array([measured[v].value for v in values.tolist()]) / finder.at_most)
        with np.errstate(invalid="ignore"):
            here = float(np.interp(capacity, values, logs))
        level = finder.at_most * (math.expm1(here) if math.isfinite(here) else 1.0)
        level = min(max(level, finder.at_most / MOST_OFF), finder.at_most * MOST_OFF)
        usual = _crossing(level_search(finder, level).result(measured))
        if math.isfinite(usual):
            found.append(DrawTarget(replication, level, usual))
    return found


def level_search(finder: RootSearch, level: float) -> RootSearch:
    """Return a root search for another level."""
    return replace(finder, at_most=level)


def capacity_of_draw(
    tried: Mapping[float, Measured],
    target: DrawTarget,
    capacity: float,
    search: CapacitySearch,
    finder: RootSearch,
) -> float:
    """Return the capacity of a draw.

    Parameters
    ----------
    tried : mapping of float to (Estimate, mapping)
        Measurement of the target's replication with the draw, by trial value.
    target : DrawTarget
    capacity : float
        Capacity of the study at the posterior mean, not rounded.
    search : CapacitySearch
    finder : RootSearch
        The search of the study.

    Returns
    -------
    float
        Infinite if the level is kept at every trial value, or missed at every one.

    Examples
    --------
    A draw with which every job waits twice as long:

    >>> from clustersim.analysis.control_variates import Estimate
    >>> finder = RootSearch(at_most=4.0, low=1.0, high=4.0, tolerance=0.1)
    >>> waits = {value: (Estimate(4 * value, 0.0, 9.0), {}) for value in (0.5, 1.0, 4.0)}
    >>> target = DrawTarget(replication=0, level=4.0, usual=2.0)
    >>> capacity_of_draw(waits, target, 2.0, CapacitySearch(between=(0.5, 1.0)), finder)
    1.0
    """
    measured = {value: plain for value, (plain, _) in tried.items()}
    root = level_search(finder, target.level).result(measured)
    if math.isnan(root.value):
        return -math.inf if finder.rising else math.inf
    if math.isinf(root.value):
        return root.value
    bounds = (0.0, math.inf) if search.between[0] >= 0 else (-math.inf, math.inf)
    found = changed(capacity, _crossing(root), target.usual, bounds)
    if not search.whole:
        return found
    return float(math.floor(found + 1e-9) if finder.rising else math.ceil(found - 1e-9))


def _crossing(root: Root) -> float:
    """Return the value of a root before it is rounded to a whole number."""
    return root.crossing if math.isfinite(root.crossing) else root.value
