"""Several resources divided among users whose tasks need them in fixed proportions.

Dominant resource fairness, asset fairness and competitive equilibrium from equal incomes, as
compared by A. Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource
Types", NSDI 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError

__all__ = [
    "Filling",
    "asset_fairness",
    "competitive_equilibrium",
    "dominant_shares",
    "fill_by_dominant_share",
]

_TIE = 1e-12
"""Dominant shares that differ by less, relatively, are equal."""


@dataclass(frozen=True, slots=True)
class Filling:
    """Whole tasks given to users one after the other.

    Attributes
    ----------
    tasks : array of int, shape (n_users,)
        Number of tasks of each user.
    dominant_share : array of float, shape (n_users,)
        The largest part of any resource that each user has.
    dominant_resource : array of int, shape (n_users,)
        Index of that resource.
    order : list of int
        The user of each task, in the order in which they were given.
    """

    tasks: Ints
    dominant_share: Floats
    dominant_resource: Ints
    order: list[int]


def fill_by_dominant_share(
    total: npt.ArrayLike,
    per_task: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    most_tasks: npt.ArrayLike | None = None,
) -> Filling:
    """Give the next task to the user with the lowest dominant share, while it fits.

    Source: Ghodsi et al., algorithm 1 (progressive filling with whole tasks). A user whose next
    task does not fit gets no more. The first of those that tie gets the task.

    Parameters
    ----------
    total : array of float, shape (n_resources,)
        What there is of each resource.
    per_task : array of float, shape (n_users, n_resources)
        What a task of each user needs.
    weights : array of float, shape (n_users,) or (n_users, n_resources), optional
        A user with twice the weight (for a resource) may have twice the share. All 1 by default.
    most_tasks : array of int, shape (n_users,), optional
        How many tasks each user has; by default without end.

    Raises
    ------
    InputError
        If shapes differ, a number is negative, or a task needs nothing.

    Examples
    --------
    >>> filled = fill_by_dominant_share([9, 18], [[1, 4], [3, 1]])
    >>> filled.tasks.tolist(), filled.dominant_share.round(3).tolist(), filled.order
    ([3, 2], [0.667, 0.667], [0, 1, 0, 1, 0])
    """
    available, need, weight = _checked(total, per_task, weights)
    n_users = len(need)
    most = np.full(n_users, np.inf) if most_tasks is None else np.asarray(most_tasks)
    parts = need / available
    step = (parts / weight).max(axis=1)  # weighted dominant share of one task
    tasks = np.zeros(n_users, dtype=np.int64)
    used = np.zeros_like(available)
    slack = _TIE * available
    heap = [(0.0, user) for user in range(n_users) if most[user] > 0]
    heapify(heap)
    order: list[int] = []
    while heap:
        user = _lowest(heap)
        after = used + need[user]
        if (after > available + slack).any():
            continue
        used = after
        tasks[user] += 1
        order.append(user)
        if tasks[user] < most[user]:
            heappush(heap, (tasks[user] * step[user], user))
    shares = tasks[:, None] * parts
    return Filling(tasks, shares.max(axis=1), parts.argmax(axis=1), order)


def _lowest(heap: list[tuple[float, int]]) -> int:
    """Take the user with the lowest share; of those that tie up to rounding, the first."""
    best = heappop(heap)
    near = []
    while heap and heap[0][0] <= best[0] * (1 + _TIE):
        near.append(heappop(heap))
    if near:
        tied = sorted([best, *near], key=lambda entry: entry[1])
        best = tied[0]
        for entry in tied[1:]:
            heappush(heap, entry)
    return best[1]


def dominant_shares(
    total: npt.ArrayLike, per_task: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> Floats:
    """Return tasks per user if tasks can be divided: equal dominant shares, raised together.

    A user stops when a resource that it needs is used up; the others go on.

    Parameters
    ----------
    total, per_task, weights
        See :func:`fill_by_dominant_share`.

    Returns
    -------
    array of float, shape (n_users,)

    Examples
    --------
    >>> dominant_shares([9, 18], [[1, 4], [3, 1]]).round(6).tolist()
    [3.0, 2.0]
    """
    available, need, weight = _checked(total, per_task, weights)
    rate = 1 / (need / available / weight).max(axis=1)  # tasks per unit of dominant share
    tasks = np.zeros(len(need))
    left = available.copy()
    active = np.ones(len(need), dtype=np.bool_)
    while active.any():
        use = (rate[active, None] * need[active]).sum(axis=0)
        lasts = np.divide(left, use, out=np.full_like(left, np.inf), where=use > 0)
        rise = lasts.min()
        tasks[active] += rise * rate[active]
        used_up = lasts <= rise * (1 + _TIE)
        left = np.where(used_up, 0.0, np.maximum(left - rise * use, 0.0))
        active &= ~(need[:, used_up] > 0).any(axis=1)
    return tasks


def asset_fairness(
    total: npt.ArrayLike, per_task: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> Floats:
    """Return tasks per user if the sums of their shares of all resources are equal.

    Source: Ghodsi et al., section 5.1. The sums are the largest that fit; tasks can be divided.

    Parameters
    ----------
    total, per_task, weights
        See :func:`fill_by_dominant_share`.

    Returns
    -------
    array of float, shape (n_users,)

    Examples
    --------
    >>> asset_fairness([9, 18], [[1, 4], [3, 1]]).round(6).tolist()
    [2.52, 2.16]
    """
    available, need, weight = _checked(total, per_task, weights)
    rate = 1 / (need / available / weight).sum(axis=1)
    use = rate @ need
    tasks: Floats = rate * (available[use > 0] / use[use > 0]).min()
    return tasks


def competitive_equilibrium(
    total: npt.ArrayLike, per_task: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> Floats:
    """Return tasks per user in the competitive equilibrium from equal incomes (CEEI).

    The equilibrium maximises the product of the tasks of all users (Nash's bargaining solution;
    with weights, each to the power of its weight). Source: Ghodsi et al., section 5.2; E. Eisenberg
    and D. Gale, 1959. Solved by its prices: with prices p, each user spends its income on tasks,
    ``tasks = weight / (need @ p)``, and the p sought minimise
    ``total @ p - sum(weight * log(need @ p))``.

    Parameters
    ----------
    total, per_task
        See :func:`fill_by_dominant_share`. Tasks can be divided.
    weights : array of float, shape (n_users,), optional
        Incomes. All 1 by default.

    Returns
    -------
    array of float, shape (n_users,)

    Raises
    ------
    InputError
        As :func:`fill_by_dominant_share`.

    Examples
    --------
    >>> competitive_equilibrium([9, 18], [[1, 4], [3, 1]]).round(6).tolist()
    [4.090909, 1.636364]
    """
    available, need, weight = _checked(total, per_task, weights)
    income = weight[:, 0]
    parts = need / available

    def loss(prices: Floats) -> tuple[float, Floats]:
        costs = parts @ prices
        return prices.sum() - income @ np.log(costs), 1 - parts.T @ (income / costs)

    n = len(available)
    least = 1e-12 * income.sum()
    start = np.full(n, income.sum() / n)
    solved = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(least, None)] * n)
    prices = _polished(parts, income, solved.x, least)
    tasks = income / (parts @ prices)
    return tasks / max(1.0, float((tasks @ parts).max()))


def _polished(parts: Floats, income: Floats, prices: Floats, least: float) -> Floats:
    """Return prices after some of Newton's steps on those that are not at their bound."""
    scarce = prices > 1e-7 * income.sum()
    best = np.where(scarce, prices, least)
    for _ in range(20):
        costs = parts @ best
        slope = 1 - parts[:, scarce].T @ (income / costs)
        curvature = parts[:, scarce].T @ (parts[:, scarce] * (income / costs**2)[:, None])
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        if not (best[scarce] - step > 0).all():
            break
        best[scarce] -= step
    return best


def _checked(
    total: npt.ArrayLike, per_task: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return the arrays; weights with a column for each resource, or one for all."""
    available = np.asarray(total, dtype=np.float64)
    need = np.asarray(per_task, dtype=np.float64)
    weight = np.ones(len(need)) if weights is None else np.asarray(weights, dtype=np.float64)
    weight = weight[:, None] if weight.ndim == 1 else weight
    problems = []
    if need.ndim != 2 or available.shape != need.shape[1:]:
        problems.append(f"per_task: must have shape (users, {available.size}), found {need.shape}")
    elif not ((need >= 0).all() and need.any(axis=1).all()):
        problems.append("per_task: must be 0 or more, and every task must need something")
    if not (available > 0).all():
        problems.append("total: must be above 0")
    if len(weight) != len(need) or not (weight > 0).all():
        problems.append("weights: must be above 0, and one for each user")
    if problems:
        raise InputError("shares", problems)
    return available, need, weight
