"""Detection of the end of the warm-up in a series of observations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = ["Truncation", "mser5", "series_bins"]

BATCH = 5
"""Number of observations in a batch of MSER-5."""
FEWEST_BATCHES = 5
"""Smallest number of batches to keep; the standard error of fewer is not meaningful (Hoad, Robinson
& Davies, "Automating warm-up length estimation", J. Operational Research Society 61, 2010)."""


@dataclass(frozen=True, slots=True)
class Truncation:
    """The part of a series that belongs to the warm-up.

    Attributes
    ----------
    n : int
        Number of observations to delete at the start.
    reached : bool
        Whether a steady state was found.  If not, `n` is half of the series.
    """

    n: int
    reached: bool


def mser5(series: npt.ArrayLike) -> Truncation:
    """Find the end of the warm-up by the marginal standard error rule (MSER-5).

    The series is divided into m batches of five.  The rule deletes the first d batch means, where d
    minimises the sum of squares of the remaining means about their mean, divided by ``(m - d)**2``;
    of several minima, it takes the smallest d.  If the minimum lies in the second half, the series
    has not reached a steady state.  Sources: White, "An effective truncation heuristic for bias
    reduction in simulation output", Simulation 69 (1997); White, Cobb & Spratt, "A comparison of
    five steady-state truncation heuristics for simulation", Proc. Winter Simulation Conference
    (2000).

    Parameters
    ----------
    series : array_like (observations,)
        Observations in order.  Observations that do not fill a batch are dropped at the end.

    Returns
    -------
    Truncation
        With fewer than ten batches, `reached` is False.

    Raises
    ------
    InputError
        If an observation is not finite.

    Examples
    --------
    >>> mser5([50.0, 40.0, 30.0, 20.0, 10.0] * 2 + [1.0, 2.0, 3.0, 2.0, 1.0, 1.0] * 20)
    Truncation(n=10, reached=True)
    """
    numbers = np.asarray(series, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise InputError("warm-up", "every observation must be finite")
    count = len(numbers) // BATCH
    half = Truncation(BATCH * (count // 2), reached=False)
    if count < 2 * FEWEST_BATCHES:
        return half
    batches = numbers[: count * BATCH].reshape(count, BATCH).mean(axis=1)
    sizes, squares = _squares_from_the_end(batches)
    marginal = (squares / sizes**2)[::-1][: count - FEWEST_BATCHES + 1]
    deleted = int(np.argmin(marginal))
    return half if 2 * deleted > count else Truncation(BATCH * deleted, reached=True)


def series_bins(values: npt.ArrayLike, bins: int = 100) -> Floats:
    """Return the means of consecutive parts of a series, for plotting.

    Parameters
    ----------
    values : array_like (observations,)
    bins : int
        Number of parts.  Their lengths differ by at most 1; longer parts come first.

    Returns
    -------
    array (min(bins, observations),)

    Examples
    --------
    >>> series_bins([1.0, 3.0, 5.0, 6.0, 8.0], bins=2).tolist()
    [3.0, 7.0]
    """
    numbers = np.asarray(values, dtype=np.float64)
    shares = min(bins, len(numbers))
    if shares == 0:
        return np.empty(0)
    size, longer = divmod(len(numbers), shares)
    sizes = np.full(shares, size)
    sizes[:longer] += 1
    return np.asarray(np.add.reduceat(numbers, np.cumsum(sizes) - sizes) / sizes)


def _squares_from_the_end(
    batches: Floats,
) -> tuple[Floats, Floats]:
    """Return the counts and the sums of squares about the mean of the last 1, 2, ... numbers.

    Each number adds its squared distance from the mean of the k numbers after it, times
    ``k / (k + 1)`` (Welford 1962).  No term is negative, so there is no cancellation even for a
    large transient.
    """
    shifted = batches[::-1] - batches[-1]
    sizes = np.arange(1.0, len(shifted) + 1)
    means = np.cumsum(shifted) / sizes
    added = np.zeros_like(shifted)
    added[1:] = (shifted[1:] - means[:-1]) ** 2 * sizes[:-1] / sizes[1:]
    return sizes, np.cumsum(added)
