"""Water filling and Jain's index: by hand, a plain twin, and what fairness means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.shares import jain_index, max_min

AMOUNTS = st.floats(0, 100, allow_subnormal=False)
DEMANDS = st.lists(AMOUNTS, min_size=1, max_size=12)


def fill_in_steps(capacity: float, demands: list[float], weights: list[float]) -> list[float]:
    """Raise the water until the next one is full, again and again."""
    got = [0.0] * len(demands)
    thirsty = [i for i, demand in enumerate(demands) if demand > 0]
    while thirsty and capacity > 1e-12:
        rise = min((demands[i] - got[i]) / weights[i] for i in thirsty)
        rise = min(rise, capacity / sum(weights[i] for i in thirsty))
        for i in thirsty:
            got[i] += rise * weights[i]
            capacity -= rise * weights[i]
        thirsty = [i for i in thirsty if demands[i] - got[i] > 1e-9]
    return got


@given(st.data(), st.floats(0, 500), DEMANDS)
def test_the_division_is_that_of_the_twin(
    data: st.DataObject, capacity: float, demands: list[float]
) -> None:
    n = len(demands)
    weights = data.draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=n, max_size=n))
    found = max_min(capacity, demands, weights)
    assert found.tolist() == pytest.approx(fill_in_steps(capacity, demands, weights), abs=1e-6)


@given(st.floats(0, 500), DEMANDS)
def test_nothing_is_left_that_somebody_wants_and_nobody_envies(
    capacity: float, demands: list[float]
) -> None:
    found = max_min(capacity, demands)
    assert (found <= np.array(demands)).all()
    assert found.sum() == pytest.approx(min(capacity, sum(demands)), abs=1e-9)
    for mine, demand in zip(found, demands, strict=True):
        assert mine >= min(found.max(), demand) - 1e-9


def test_by_hand() -> None:
    assert max_min(12, [10, 1, 10], [1, 1, 2]).tolist() == pytest.approx([11 / 3, 1, 22 / 3])
    assert max_min(0, [1, 2]).tolist() == [0, 0]
    assert max_min(5, []).tolist() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, [1]), "0 or more"),
        ((1, [-1]), "0 or more"),
        ((1, [1], [0]), "above 0"),
        ((1, [1, 2], [1]), "must be 2 numbers, found 1"),
    ],
)
def test_wrong_numbers_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        max_min(*arguments)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1e200), min_size=1, max_size=10), st.floats(0.1, 10))
def test_jains_index_is_between_one_nth_and_one_whatever_the_unit(
    values: list[float], unit: float
) -> None:
    index = jain_index(values)
    assert 1 / len(values) - 1e-9 <= index <= 1 + 1e-9
    assert jain_index([unit * value for value in values]) == pytest.approx(index, rel=1e-6)


def test_jains_index_by_hand() -> None:
    assert jain_index([1, 3]) == pytest.approx(16 / 20)
    assert jain_index([0, 0]) == 1
    assert math.isnan(jain_index([]))
