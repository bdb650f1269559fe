"""Step functions over time, by their mean and their largest value in intervals."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats

__all__ = ["step_largest", "step_means"]


def step_means(time_s: Floats, values: Floats, edges: Floats) -> Floats:
    """Return the mean of a step function over time in each bin.

    Parameters
    ----------
    time_s, values : float64 arrays (steps,)
        A value holds from its time until the next one; the last one is not used.
    edges : float64 array (bins + 1,)

    Examples
    --------
    >>> step_means(np.array([0.0, 5.0, 20.0]), np.array([2.0, 4.0, 0.0]), np.array([0.0, 10, 20]))
    array([3., 4.])
    """
    whole = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(time_s))])
    return np.asarray(np.diff(np.interp(edges, time_s, whole)) / np.diff(edges))


def step_largest(time_s: Floats, values: Floats, edges: Floats) -> Floats:
    """Return the largest value of a step function in each bin; the arguments are as above.

    Examples
    --------
    >>> step_largest(np.array([0.0, 5.0, 20.0]), np.array([2.0, 4.0, 0.0]), np.array([0.0, 4, 20]))
    array([2., 4.])
    """
    first = np.searchsorted(time_s, edges, side="right") - 1
    most = np.maximum.reduceat(values, first[:-1])
    inside = time_s[first[1:]] < edges[1:]
    return np.where(inside, np.maximum(most, values[first[1:]]), most)
