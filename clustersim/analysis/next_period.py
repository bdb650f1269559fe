"""Intervals of what replications of a log show: for another period like the log.

A log is one sample of the periods that the site could have had.  Replications that draw its blocks
(weeks or days) again show how far such a sample is from its own mean, but two things are missing in
their spread: the log itself is a sample, as far from the truth as the next period will be, and
drawing with replacement from n blocks has only (n - 1)/n of the variance of the site (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 5 and 12; Hesterberg, "What Teachers
Should Know About the Bootstrap", The American Statistician 69, 2015, calls it the narrowness bias).

What-if and studies have the same intervals of the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.steady import is_of_log
from clustersim.array_types import Floats

__all__ = ["LOG_FACTS", "LogBlocks", "log_first", "next_estimate", "next_interval", "widest"]

ROOT = 3.0
"""Waits are transformed by this root: that of a skewed, nonnegative number is nearly normal, also
if some are 0 (Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931)."""
FEWEST = 2
"""Smallest number of replications, with the log as it happened, that have an interval."""
LOG_FACTS = ("log_blocks", "log_classes")
"""Metrics that say from how many blocks of a log the replications are drawn."""


@dataclass(frozen=True, slots=True)
class LogBlocks:
    """The blocks of a log from which its replications are drawn.

    Attributes
    ----------
    blocks, classes : float
        See :func:`~clustersim.workload.log_resample.block_counts`.  Without blocks, the log is not
        drawn again.  Infinite if the number of blocks is not known.
    """

    blocks: float
    classes: float

    @classmethod
    def of(cls, runs: pd.DataFrame | Mapping[str, Sequence[float]]) -> LogBlocks | None:
        """Return the blocks of the log whose jobs the runs have; None for a workload model.

        Parameters
        ----------
        runs : pandas.DataFrame or mapping
            With the columns of :func:`~clustersim.analysis.steady.is_of_log` and
            :data:`LOG_FACTS`.  Without the latter, as in runs of an earlier version, the number of
            blocks is taken to be large.

        Examples
        --------
        >>> nan = float("nan")
        >>> LogBlocks.of({"backlog_growth": [nan], "log_blocks": [26.0], "log_classes": [1.0]})
        LogBlocks(blocks=26.0, classes=1.0)
        >>> LogBlocks.of({"backlog_growth": [0.0]})
        """
        if not is_of_log(runs):
            return None
        blocks, classes = (_first_known(runs.get(name, ())) for name in LOG_FACTS)
        return cls(math.inf, 1.0) if math.isnan(blocks - classes) else cls(blocks, classes)

    @property
    def freedom(self) -> float:
        """How many times the blocks tell how much one of them differs from another."""
        return self.blocks - self.classes

    @property
    def are_drawn(self) -> bool:
        """Whether replications have other jobs than the log."""
        return self.blocks > 0

    def variance(self, square: float) -> float:
        """Return the variance of one period by the mean square distance of drawn ones from the log.

        Drawing n blocks of c classes with replacement shows (n - c)/n of it.  Draws that are the
        log in another order are drawn again (:mod:`~clustersim.workload.log_resample`), so the
        others are farther away: the square is divided by the share of the draws that are kept, for
        classes of equal size.

        Examples
        --------
        Two weeks that differ by 2 are either one drawn twice, 1 away from their mean:

        >>> round(LogBlocks(2, 1).variance(1.0), 9)
        1.0
        """
        if math.isinf(self.blocks):
            return square
        each = self.blocks / self.classes
        orders = math.exp(self.classes * (math.lgamma(each + 1.0) - each * math.log(each)))
        return square * self.blocks / self.freedom * (1.0 - orders)

    def degrees(self, drawn: int) -> float:
        """Return the degrees of freedom of the variance of one period, from `drawn` periods."""
        return 1.0 / (1.0 / self.freedom + 1.0 / drawn)


def next_interval(
    values: npt.ArrayLike,
    *,
    blocks: float,
    classes: float = 1,
    waits: bool = False,
    most: float | None = None,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return an interval for another period like the log, of the same length.

    It is the prediction interval of Student's t for the mean of as many further blocks as the log
    has (Hahn and Meeker, "Statistical Intervals", 1991, section 4.8), around the log as it
    happened, for waits that of their cube roots.  Its variance is twice that of one period: once
    for the log and once for the next period.  The variance of one period follows from the mean
    square distance of the drawn periods from the log (:meth:`LogBlocks.variance`).  The degrees of
    freedom are those of a variance that is known from a limited number of blocks and, again, from a
    limited number of replications (Satterthwaite, "An approximate distribution of estimates of
    variance components", Biometrics Bulletin 2, 1946): 1 / (1 / (blocks - classes) + 1 / drawn).

    Parameters
    ----------
    values : array_like (replications,)
        The first is the log as it happened, the others draw its blocks again.
    blocks, classes : float
        See :class:`LogBlocks`.
    waits : bool
        Whether the values are waits in seconds.
    most : float, optional
        The largest possible value of a quantity that is not negative; None for changes, which may
        be negative.
    level : float

    Returns
    -------
    low, high : float
        NaN with fewer than two replications, if one has no value, or if no two blocks can replace
        each other.

    Examples
    --------
    >>> next_interval([3.0, 3.0, 3.0], blocks=4)
    (3.0, 3.0)
    >>> low, high = next_interval([100.0, 120.0, 150.0, 90.0], blocks=8, waits=True)
    >>> 0 < low < 100 and 150 < high < 500
    True
    """
    numbers, log = np.asarray(values, dtype=np.float64), LogBlocks(blocks, classes)
    if len(numbers) < FEWEST or log.freedom < 1 or not np.isfinite(numbers).all():
        return math.nan, math.nan
    happened = float(numbers[0])
    scaled = np.cbrt(numbers) if waits else numbers
    middle, drawn = float(scaled[0]), scaled[1:]
    variance = log.variance(float(np.mean((drawn - middle) ** 2)))
    if variance == 0:
        return happened, happened
    reach = float(special.stdtrit(log.degrees(len(drawn)), 0.5 + level / 2))
    half = reach * math.sqrt(2.0 * variance)
    low, high = middle - half, middle + half
    if waits:
        low, high = max(0.0, low) ** ROOT, high**ROOT
    if most is not None:
        low, high = max(low, 0.0), min(high, most)
    return min(low, happened), max(high, happened)  # the cube of a cube root is inexact


def next_estimate(found: Estimate, values: npt.ArrayLike, log: LogBlocks) -> Estimate:
    """Return an estimate whose error is that of another period, to first order.

    The interval is that of :func:`next_interval`, around the estimate.  The influence of each drawn
    period is its distance from the log, so that errors of several estimates from the same
    replications can be combined.

    Parameters
    ----------
    found : Estimate
        Over all replications.
    values : array_like (replications,)
        Of each replication; the first is the log as it happened.
    log : LogBlocks

    Examples
    --------
    >>> found = next_estimate(Estimate(10.0, 9.0, 11.0), [10.0, 11.0, 13.0], LogBlocks(30, 1))
    >>> low, high = next_interval([10.0, 11.0, 13.0], blocks=30)
    >>> math.isclose(found.low, low), math.isclose(found.high, high), len(found.influence)
    (True, True, 2)
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not math.isfinite(found.value):
        return found
    if len(numbers) < FEWEST or log.freedom < 1 or not np.isfinite(numbers).all():
        return found.wider(math.inf)
    drawn = len(numbers) - 1
    influence = (numbers[1:] - numbers[0]) * math.sqrt(2.0 * log.variance(1.0) / drawn)
    degrees = log.degrees(drawn)
    half = float(special.stdtrit(degrees, 0.975)) * math.sqrt(float((influence**2).sum()))
    return Estimate(
        found.value,
        found.value - half,
        found.value + half,
        influence=tuple(influence.tolist()),
        freedom=degrees,
    )


def widest(
    values: npt.ArrayLike,
    logs: Sequence[LogBlocks],
    *,
    waits: bool = False,
    most: float | None = None,
) -> tuple[float, float]:
    """Return the interval of another period by the log that says least about one.

    Parameters
    ----------
    values : array_like (replications,)
        As for :func:`next_interval`; the first is NaN if the log as it happened has no value.
        Further NaN values are ignored.
    logs : sequence of LogBlocks
        Those that are drawn again.
    waits, most
        As for :func:`next_interval`.

    Returns
    -------
    low, high : float
        Infinite if the interval is not known.

    Examples
    --------
    >>> widest([5.0, 5.0, float("nan")], [LogBlocks(4, 1), LogBlocks(8, 1)])
    (5.0, 5.0)
    >>> widest([5.0, 6.0], [LogBlocks(2, 2)])
    (-inf, inf)
    """
    numbers: Floats = np.asarray(values, dtype=np.float64)
    first, later = numbers[:1], numbers[1:]
    kept = np.concatenate([first, later[~np.isnan(later)]])
    ends = [
        next_interval(kept, blocks=log.blocks, classes=log.classes, waits=waits, most=most)
        for log in logs
    ]
    if np.isnan(ends).any():
        return -math.inf, math.inf
    return min(low for low, _ in ends), max(high for _, high in ends)


def log_first(values: npt.ArrayLike, replications: npt.ArrayLike | None) -> Floats:
    """Return values with the log as it happened (replication 0) first; NaN if it is missing.

    Parameters
    ----------
    values : array_like (replications,)
    replications : array_like (replications,) or None
        Their numbers; None if they are in order.

    Examples
    --------
    >>> log_first([3.0, 1.0, 2.0], [2, 0, 1]).tolist(), log_first([3.0], [2]).tolist()
    ([1.0, 2.0, 3.0], [nan, 3.0])
    """
    numbers = np.asarray(values, dtype=np.float64)
    if replications is None or not len(numbers):
        return numbers
    own = np.asarray(replications, dtype=np.float64)
    ordered: Floats = numbers[np.argsort(own, kind="stable")]
    return ordered if own.min() == 0 else np.concatenate([[math.nan], ordered])


def _first_known(values: npt.ArrayLike) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[~np.isnan(numbers)]
    return float(known[0]) if len(known) else math.nan
