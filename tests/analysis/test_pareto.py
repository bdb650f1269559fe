"""The Pareto front is what its definition says, point by point."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.analysis.pareto import pareto_front
from clustersim.errors import InputError

VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("inf"), float("nan")])


def by_definition(costs: np.ndarray) -> list[bool]:
    def beats(one, other) -> bool:
        return bool(np.isfinite(one).all() and (one <= other).all() and (one < other).any())

    return [
        bool(np.isfinite(cost).all()) and not any(beats(other, cost) for other in costs)
        for cost in costs
    ]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@given(data=st.data())
def test_the_front_is_that_of_the_definition(width, data):
    rows = data.draw(st.lists(st.tuples(*[VALUES] * width), max_size=12))
    table = pd.DataFrame(
        np.array(rows, dtype=float).reshape(-1, width), columns=list("abcd")[:width]
    )
    assert pareto_front(table, list(table)).tolist() == by_definition(table.to_numpy())
    upward = [column for column in table if data.draw(st.booleans())]
    turned = table.assign(**{column: -table[column] for column in upward})
    assert (pareto_front(turned, list(table), upward) == pareto_front(table, list(table))).all()


def test_equal_points_are_all_on_the_front():
    table = pd.DataFrame({"cost": [2, 1, 1, 3], "wait": [1.0, 5.0, 5.0, 1.0]})
    assert pareto_front(table, ("cost", "wait")).tolist() == [True, True, True, False]


def test_the_index_of_the_table_does_not_matter():
    table = pd.DataFrame({"cost": [2, 1], "wait": [3.0, 1.0]}, index=[7, 7])
    assert pareto_front(table, ["cost", "wait"]).tolist() == [False, True]


def test_many_points_take_no_loop_over_pairs():
    draws = np.random.default_rng(3).random((200_000, 2))
    table = pd.DataFrame(draws, columns=["cost", "wait"])
    front = table[pareto_front(table, ["cost", "wait"])].sort_values("cost")
    assert 1 < len(front) < 100
    assert front["wait"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("columns", "maximise", "message"),
    [
        ([], [], "at least one column"),
        (["cots"], [], "did you mean 'cost'"),
        (["cost"], ["wait"], "unknown column to maximise 'wait'"),
        (["cost", "policy"], [], "must contain numbers"),
    ],
)
def test_bad_columns_are_refused(columns, maximise, message):
    table = pd.DataFrame({"cost": [1.0], "wait": [2.0], "policy": ["easy"]})
    with pytest.raises(InputError, match=message):
        pareto_front(table, columns, maximise)
