"""One resource divided among users who want different amounts of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = ["jain_index", "max_min"]


def max_min(
    capacity: float, demands: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Floats:
    """Return the weighted max-min fair division of a capacity (water filling).

    Nobody gets more than it demands, and the amounts per weight of all whose demand is not met are
    equal and at least those of the others. Source: S. Keshav, "An Engineering Approach to Computer
    Networking", 1997, section 9.2; D. Bertsekas and R. Gallager, "Data Networks", 1992, 6.5.2.

    Parameters
    ----------
    capacity : float
    demands : array of float, shape (n,)
    weights : array of float, shape (n,), optional
        All 1 by default.

    Raises
    ------
    InputError
        If a number is negative, a weight is not above 0, or the lengths differ.

    Examples
    --------
    >>> max_min(10, [2, 2.6, 4, 5]).round(3).tolist()
    [2.0, 2.6, 2.7, 2.7]
    >>> max_min(16, [4, 2, 10, 4], weights=[2.5, 4, 0.5, 1]).tolist()
    [4.0, 2.0, 6.0, 4.0]
    """
    wanted = np.asarray(demands, dtype=np.float64)
    weight = np.ones_like(wanted) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != wanted.shape:
        raise InputError("weights", f"must be {wanted.size} numbers, found {weight.size}")
    if not capacity >= 0 or not (wanted >= 0).all():
        raise InputError("max_min", "the capacity and all demands must be 0 or more")
    if not (weight > 0).all():
        raise InputError("weights", "must be above 0")
    if not wanted.size:
        return wanted
    order = np.argsort(wanted / weight, kind="stable")
    wanted_so_far = np.cumsum(wanted[order]) - wanted[order]
    weight_left = np.cumsum(weight[order][::-1])[::-1]
    level = (capacity - wanted_so_far) / weight_left  # if all before are met and none after
    unmet = wanted[order] / weight[order] > level
    if not unmet.any():
        return wanted.copy()
    height: float = max(level[unmet.argmax()], 0.0)
    return np.minimum(wanted, weight * height)


def jain_index(values: npt.ArrayLike) -> float:
    """Return Jain's index of fairness: 1 if all are equal, 1/n if one has all.

    Source: R. Jain, D. Chiu and W. Hawe, "A Quantitative Measure of Fairness and Discrimination for
    Resource Allocation in Shared Computer Systems", DEC-TR-301, 1984.

    Parameters
    ----------
    values : array of float, shape (n,)
        What each user has, or has per share; not negative.

    Returns
    -------
    float
        NaN without users; 1 if nobody has anything.

    Raises
    ------
    InputError
        If a value is negative.

    Examples
    --------
    >>> jain_index([2, 2, 2]), jain_index([1, 0, 0, 0]), jain_index([1, 1, 0])
    (1.0, 0.25, 0.6666666666666666)
    """
    given = np.asarray(values, dtype=np.float64)
    if (given < 0).any():
        raise InputError("jain_index", f"values must be 0 or more, found {given.min():g}")
    if not given.size:
        return float("nan")
    largest = given.max()
    if largest == 0:
        return 1.0
    parts = given / largest  # so that no square overflows or vanishes
    return float(parts.sum() ** 2 / (given.size * (parts**2).sum()))
