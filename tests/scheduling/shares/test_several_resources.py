"""Dominant resource fairness, asset fairness and CEEI: by hand, twins, independent optima."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from clustersim.errors import InputError
from clustersim.scheduling.shares import (
    asset_fairness,
    competitive_equilibrium,
    dominant_shares,
    fill_by_dominant_share,
)

Problem = tuple[list[int], list[list[int]], list[int]]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """What there is, what tasks need, and weights, in whole numbers."""
    n_resources = draw(st.integers(1, 3))
    total = draw(st.lists(st.integers(1, 40), min_size=n_resources, max_size=n_resources))
    row = st.lists(st.integers(0, 6), min_size=n_resources, max_size=n_resources).filter(any)
    need = draw(st.lists(row, min_size=1, max_size=5))
    weights = draw(st.lists(st.integers(1, 3), min_size=len(need), max_size=len(need)))
    return total, need, weights


def fill_in_fractions(problem: Problem) -> tuple[list[int], list[int]]:
    """Progressive filling with exact numbers and loops."""
    total, need, weights = problem
    users, resources = range(len(need)), range(len(total))
    tasks, order, open_to = [0] * len(need), [], set(users)

    def share(user: int) -> Fraction:
        most = max(Fraction(need[user][r], total[r]) for r in resources)
        return tasks[user] * most / weights[user]

    while open_to:
        user = min(open_to, key=lambda user: (share(user), user))
        used = [sum(tasks[u] * need[u][r] for u in users) for r in resources]
        if any(used[r] + need[user][r] > total[r] for r in resources):
            open_to.remove(user)
        else:
            tasks[user] += 1
            order.append(user)
    return tasks, order


@given(problems())
def test_filling_is_that_of_the_twin(problem: Problem) -> None:
    total, need, weights = problem
    filled = fill_by_dominant_share(total, need, weights=weights)
    assert (filled.tasks.tolist(), filled.order) == fill_in_fractions(problem)


def test_users_with_few_tasks_leave_the_rest_to_others() -> None:
    filled = fill_by_dominant_share([9, 18], [[1, 4], [3, 1]], most_tasks=[1, 9])
    assert filled.tasks.tolist() == [1, 2]
    assert filled.dominant_resource.tolist() == [1, 0]
    assert fill_by_dominant_share([9], [[1], [1]], most_tasks=[0, 4]).order == [1] * 4


def test_weights_by_resource() -> None:
    """User 0 has three times the right to GPUs: three of four GPUs for it."""
    filled = fill_by_dominant_share([4, 100], [[1, 1], [1, 1]], weights=[[3, 1], [1, 1]])
    assert filled.tasks.tolist() == [3, 1]


@given(problems())
def test_divisible_tasks_are_fair(problem: Problem) -> None:
    """At least an equal part for all, no envy, and no user with a resource left for more."""
    total, need, _ = (np.array(each, dtype=float) for each in problem)
    tasks = dominant_shares(total, need)
    used = tasks @ need
    assert (used <= total * (1 + 1e-9)).all()
    shares = (tasks[:, None] * need / total).max(axis=1)
    assert (shares >= 1 / len(need) - 1e-9).all()
    used_up = used >= total * (1 - 1e-9)
    assert (need[:, used_up] > 0).any(axis=1).all()
    for mine in range(len(need)):
        for theirs in range(len(need)):
            bundle = tasks[theirs] * need[theirs]
            wanted = need[mine] > 0
            assert (bundle[wanted] / need[mine][wanted]).min() <= tasks[mine] + 1e-9


@given(problems())
def test_assets_are_equal_by_weight_and_something_is_used_up(problem: Problem) -> None:
    total, need, weights = (np.array(each, dtype=float) for each in problem)
    tasks = asset_fairness(total, need, weights=weights)
    sums = (tasks[:, None] * need / total).sum(axis=1) / weights
    assert sums.tolist() == pytest.approx([sums[0]] * len(sums))
    assert (tasks @ need / total).max() == pytest.approx(1.0)


@given(problems())
def test_no_feasible_division_improves_the_product_of_the_equilibrium(problem: Problem) -> None:
    """At the optimum x of a concave problem, sum(w y / x) is largest at y = x: a linear program."""
    total, need, weights = (np.array(each, dtype=float) for each in problem)
    tasks = competitive_equilibrium(total, need, weights=weights)
    assert (tasks @ need <= total * (1 + 1e-9)).all()
    best = linprog(-weights / tasks, A_ub=need.T, b_ub=total)
    assert -best.fun == pytest.approx(weights.sum(), rel=1e-5)


def test_equilibrium_by_hand() -> None:
    """One resource: by income. Two, of which each user needs one: all of it."""
    assert competitive_equilibrium([12], [[1], [2]], weights=[1, 3]).tolist() == pytest.approx(
        [3, 4.5]
    )
    assert competitive_equilibrium([6, 8], [[1, 0], [0, 2]]).tolist() == pytest.approx([6, 4])


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="every task must need something"):
        dominant_shares([1, 1], [[0, 0]])
    with pytest.raises(InputError) as caught:
        asset_fairness([0, 1], [[1, 2, 3]], weights=[1, 2])
    assert len(caught.value.problems) == 3
