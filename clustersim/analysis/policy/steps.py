"""Step functions of time, their integrals, and the least value of the intervals that cover a step.

All functions work on whole arrays; a run with 100,000 jobs has about a million steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints

__all__ = ["NONE", "count_integral", "integral", "least_covering", "values_at"]

NONE = np.iinfo(np.int64).max
"""Value of a step that no interval covers."""


def integral(time_s: Floats, values: npt.ArrayLike, at_s: Floats) -> Floats:
    """Return the integral of a step function from its first step to some times.

    Parameters
    ----------
    time_s : float64 array (steps,)
        Times in order; each value holds until the next time, and the last one has no length.
    values : array (steps,)
    at_s : float64 array (times,)

    Examples
    --------
    >>> integral(np.array([0.0, 10.0, 30.0]), [2, 1, 0], np.array([5.0, 20.0, 30.0])).tolist()
    [10.0, 30.0, 40.0]
    """
    known = np.asarray(values, dtype=np.float64)
    total = np.concatenate([[0.0], np.cumsum(np.diff(time_s) * known[:-1])])
    return np.asarray(np.interp(at_s, time_s, total))


def count_integral(begin_s: Floats, end_s: Floats, at_s: Floats) -> Floats:
    """Return the integral of the number of intervals that contain a time, up to some times.

    Examples
    --------
    Of two intervals, both contain the first 100 s, and one contains the next 100 s:

    >>> ends = np.array([100.0, 200.0])
    >>> count_integral(np.zeros(2), ends, np.array([100.0, 200.0])).tolist()
    [200.0, 300.0]
    """
    times = np.concatenate([begin_s, end_s])
    change = np.repeat([1, -1], len(begin_s))
    at, step = np.unique(times, return_inverse=True)
    counts = np.bincount(step, change).cumsum()
    return integral(at, counts, at_s) if len(at) else np.zeros(len(at_s))


def values_at(time_s: Floats, values: npt.NDArray[np.int64], at_s: Floats) -> Ints:
    """Return the values of a step function at some times; 0 before its first step.

    Examples
    --------
    >>> at_s = np.array([-1.0, 0.0, 9.0, 10.0])
    >>> values_at(np.array([0.0, 10.0]), np.array([5, 7]), at_s).tolist()
    [0, 5, 5, 7]
    """
    if not len(time_s):
        return np.zeros(len(at_s), dtype=np.int64)
    place = np.searchsorted(time_s, at_s, side="right") - 1
    found: Ints = np.where(place >= 0, values[np.maximum(place, 0)], 0)
    return found


def least_covering(first: Ints, last: Ints, value: Ints, n_steps: int) -> Ints:
    """Return, for each step, the least value of the intervals of steps that cover it.

    An interval is split into two that overlap and whose lengths are the same power of two.  The
    least value of each such block is then handed down to its halves, level by level: a sparse table
    in reverse, in time proportional to intervals plus steps times levels.

    Parameters
    ----------
    first, last : int64 arrays (intervals,)
        Each interval has the steps from `first` to `last`, which is not included; it is not empty.
    value : int64 array (intervals,)
    n_steps : int

    Returns
    -------
    int64 array (n_steps,)
        :data:`NONE` for a step that no interval covers.

    Examples
    --------
    >>> least = least_covering(np.array([0, 1]), np.array([2, 4]), np.array([5, 3]), 5)
    >>> [int(each) if each < NONE else None for each in least]
    [5, 3, 3, 3, None]
    """
    least = np.full(n_steps, NONE, dtype=np.int64)
    if not len(first):
        return least
    level = np.frexp((last - first).astype(np.float64))[1] - 1
    for k in range(int(level.max()), -1, -1):
        half = 1 << k
        own = least.copy()
        own[half:] = np.minimum(own[half:], least[: max(0, n_steps - half)])
        here = level == k
        np.minimum.at(own, first[here], value[here])
        np.minimum.at(own, last[here] - half, value[here])
        least = own
    return least
