"""Pareto-optimal points of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.errors import InputError, unknown_name

__all__ = ["pareto_front"]


def pareto_front(
    points: pd.DataFrame, columns: Sequence[str], maximise: Iterable[str] = ()
) -> Bools:
    """Return a mask of the points on the Pareto front.

    A point is on the front if no other point is at least as good in each column and better in one
    (Kung, Luccio & Preparata, "On finding the maxima of a set of vectors", 1975). With two columns,
    this takes one sort, O(n log n). With more columns, each front point is compared with all
    remaining points, O(n k) for a front of k points.

    Parameters
    ----------
    points : DataFrame
    columns : sequence of str
        Columns to compare; less is better.
    maximise : iterable of str
        Columns among `columns` in which more is better.

    Returns
    -------
    array of bool (points,)
        Points with equal values are either all on the front or all off it. A point with a
        non-finite value (overload, failure) is never on the front.

    Raises
    ------
    InputError
        If no column is given, or a column is unknown or not numeric.

    Examples
    --------
    >>> table = pd.DataFrame({"cost": [1, 2, 3, 3], "wait": [9.0, 4.0, 4.0, 1.0]})
    >>> pareto_front(table, ["cost", "wait"]).tolist()
    [True, True, False, True]
    """
    upward = list(maximise)
    _check(points, columns, upward)
    signs = np.where([column in upward for column in columns], -1.0, 1.0)
    costs = points[list(columns)].to_numpy(dtype=np.float64) * signs
    front = np.zeros(len(costs), dtype=np.bool_)
    finite = np.flatnonzero(np.isfinite(costs).all(axis=1))
    unique, inverse = np.unique(costs[finite], axis=0, return_inverse=True)
    kept = _front_of_two(unique) if unique.shape[1] <= 2 else _front_of_many(unique)
    front[finite] = kept[inverse.reshape(-1)]
    return front


def _check(points: pd.DataFrame, columns: Sequence[str], upward: Sequence[str]) -> None:
    if not columns:
        raise InputError("pareto_front", "at least one column must be given")
    problems = [
        unknown_name("column", column, map(str, points.columns))
        for column in columns
        if column not in points
    ]
    problems += [
        unknown_name("column to maximise", column, columns)
        for column in upward
        if column not in columns
    ]
    problems += [
        f"column {column!r} must contain numbers"
        for column in columns
        if column in points and not pd.api.types.is_numeric_dtype(points[column])
    ]
    if problems:
        raise InputError("pareto_front", problems)


def _front_of_two(costs: Floats) -> Bools:
    """Return a mask of the sorted distinct rows with a smaller last value than all earlier rows."""
    last = costs[:, -1]
    least = np.minimum.accumulate(np.concatenate(([np.inf], last)))[:-1]
    return np.asarray(last < least)


def _front_of_many(costs: Floats) -> Bools:
    """Return a mask of the sorted distinct rows that no earlier row dominates."""
    kept = np.zeros(len(costs), dtype=np.bool_)
    left = np.arange(len(costs))
    while len(left):
        first, rest = left[0], left[1:]
        kept[first] = True
        left = rest[(costs[rest] < costs[first]).any(axis=1)]
    return kept
