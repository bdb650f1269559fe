"""Intervals of what replications of a log show: for another period like the log.

A log is one sample of the periods that the site could have had.  Replications that draw its blocks
(weeks or days) again show how far such a sample is from its own mean, but two things are missing in
their spread: the log itself is a sample, as far from the truth as the next period will be, and
drawing with replacement from n blocks has only (n - 1)/n of the variance of the site (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 5 and 12; Hesterberg, "What Teachers
Should Know About the Bootstrap", The American Statistician 69, 2015, calls it the narrowness bias).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["next_interval"]

ROOT = 3.0
"""Waits are transformed by this root: that of a skewed, nonnegative number is nearly normal, also
if some are 0 (Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931)."""
FEWEST = 3
"""Smallest number of replications, with the log as it happened, that have an interval."""


def next_interval(
    values: npt.ArrayLike,
    *,
    blocks: int,
    classes: int = 1,
    waits: bool = False,
    most: float | None = None,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return an interval for another period like the log, of the same length.

    It is the prediction interval of Student's t for the mean of as many further blocks as the log
    has (Hahn and Meeker, "Statistical Intervals", 1991, section 4.8), around the log as it
    happened, for waits that of their cube roots.  Its variance is twice that of one period: once
    for the log and once for the next period.  The variance of one period is the mean square
    distance of the drawn periods from the log, times blocks / (blocks - classes).  The degrees of
    freedom are those of a variance that is known from a limited number of blocks and, again, from a
    limited number of replications (Satterthwaite, "An approximate distribution of estimates of
    variance components", Biometrics Bulletin 2, 1946): 1 / (1 / (blocks - classes) + 1 / drawn).

    Parameters
    ----------
    values : array_like (replications,)
        The first is the log as it happened, the others draw its blocks again.
    blocks, classes : int
        See :func:`~clustersim.workload.log_resample.block_counts`.
    waits : bool
        Whether the values are waits in seconds.
    most : float, optional
        The largest possible value of a quantity that is not negative; None for changes, which may
        be negative.
    level : float

    Returns
    -------
    low, high : float
        NaN with fewer than three replications, if one has no value, or if no two blocks can
        replace each other.

    Examples
    --------
    >>> next_interval([3.0, 3.0, 3.0], blocks=4)
    (3.0, 3.0)
    >>> low, high = next_interval([100.0, 120.0, 150.0, 90.0], blocks=8, waits=True)
    >>> 0 < low < 100 and 150 < high < 500
    True
    """
    numbers = np.asarray(values, dtype=np.float64)
    freedom = blocks - classes
    if len(numbers) < FEWEST or freedom < 1 or not np.isfinite(numbers).all():
        return math.nan, math.nan
    happened = float(numbers[0])
    scaled = np.cbrt(numbers) if waits else numbers
    middle, drawn = float(scaled[0]), scaled[1:]
    variance = float(np.mean((drawn - middle) ** 2)) * blocks / freedom
    if variance == 0:
        return happened, happened
    degrees = 1.0 / (1.0 / freedom + 1.0 / len(drawn))
    half = float(special.stdtrit(degrees, 0.5 + level / 2)) * math.sqrt(2.0 * variance)
    low, high = middle - half, middle + half
    if waits:
        low, high = max(0.0, low) ** ROOT, high**ROOT
    if most is not None:
        low, high = max(low, 0.0), min(high, most)
    return min(low, happened), max(high, happened)  # the cube of a cube root is inexact
