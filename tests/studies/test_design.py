"""Points of a study: exact crossings by hand, and properties of what is drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.studies.design import Point, column_value, design
from clustersim.studies.spec import StudySpec

A, B, C, D = "scheduler.a", "scheduler.b", "scheduler.c", "scheduler.d"
UNIT = {A: {"from": 0.0, "to": 1.0}, B: {"from": 0.0, "to": 1.0}}


def points(seed: int = 1, **fields: Any) -> list[Point]:
    """Points of a study with these fields; a design knows no scenario, so any path will do."""
    return design(validate(StudySpec, {"name": "x", "base": "x", **fields}, "study"), seed=seed)


def values(path: str, *arguments: Any, **fields: Any) -> list[Any]:
    return [point.changes[path] for point in points(*arguments, **fields)]


# --- Lists, pairs and steps, by hand ------------------------------------------------


def test_lists_are_crossed_with_the_last_fastest() -> None:
    found = points(parameters={B: ["x", "y"], A: [1, 2, 3]})
    assert [point.index for point in found] == list(range(6))
    assert [tuple(point.changes.values()) for point in found] == [
        ("x", 1), ("x", 2), ("x", 3), ("y", 1), ("y", 2), ("y", 3),
    ]  # fmt: skip
    assert list(found[0].changes) == [B, A]


def test_pairs_advance_together() -> None:
    found = points(parameters={A: [1, 2]}, paired=[{B: [10, 20], C: ["x", "y"]}, {D: [0.5]}])
    assert [dict(point.changes) for point in found] == [
        {A: 1, B: 10, C: "x", D: 0.5},
        {A: 1, B: 20, C: "y", D: 0.5},
        {A: 2, B: 10, C: "x", D: 0.5},
        {A: 2, B: 20, C: "y", D: 0.5},
    ]


def test_a_capacity_search_alone_has_one_point() -> None:
    (point,) = points(objective={}, capacity={})
    assert point == Point(0, {})


STEPS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "fractions": ({"from": 0.1, "to": 0.5, "steps": 5}, [0.1, 0.2, 0.3, 0.4, 0.5]),
    "two": ({"from": 0.1, "to": 0.7, "steps": 2}, [0.1, 0.7]),
    "below 0": ({"from": -1.0, "to": 1.0, "steps": 3}, [-1.0, 0.0, 1.0]),
    "powers": (
        {"from": 0.001, "to": 1000.0, "steps": 7, "spacing": "log"},
        [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0],
    ),
    "whole numbers": ({"from": 1, "to": 10, "steps": 4}, [1, 4, 7, 10]),
    "whole powers": ({"from": 1, "to": 64, "steps": 7, "spacing": "log"}, [1, 2, 4, 8, 16, 32, 64]),
    "whole, one end not": ({"from": 1, "to": 4.0, "steps": 3}, [1.0, 2.5, 4.0]),
    "TB/s": (
        {"from": "2 TB/s", "to": "8 TB/s", "steps": 3},
        ["2000000000000.0 B/s", "5000000000000.0 B/s", "8000000000000.0 B/s"],
    ),
    "TB/s in powers": (
        {"from": "2 TB/s", "to": "8 TB/s", "steps": 3, "spacing": "log"},
        ["2000000000000.0 B/s", "4000000000000.0 B/s", "8000000000000.0 B/s"],
    ),
    "two units": (
        {"from": "30 min", "to": "2 h", "steps": 4},
        ["1800.0 s", "3600.0 s", "5400.0 s", "7200.0 s"],
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps(case: str) -> None:
    message, expected = STEPS[case]
    found = values(A, parameters={A: message})
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_steps_that_repeat_a_whole_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs 5 distinct whole numbers, but 1 to 3 has fewer"):
        points(parameters={A: {"from": 1, "to": 3, "steps": 5}})
    assert values(A, parameters={A: {"from": 1, "to": 5, "steps": 5}}) == [1, 2, 3, 4, 5]


def test_more_than_a_million_points_are_refused() -> None:
    wide = {"from": 0.1, "to": 0.9, "steps": 1001}
    with pytest.raises(InputError, match=r"1,001 x 1,000 combinations make 1,001,000 points"):
        points(parameters={A: wide, B: {**wide, "steps": 1000}})
    indices = {"method": "sobol-indices", "points": 2**18}
    with pytest.raises(InputError, match=r"1,048,576 points"):
        points(
            parameters={A: {"from": 0.0, "to": 1.0}, B: {"from": 0.0, "to": 1.0}}, sample=indices
        )


def test_columns_are_si_and_changes_as_written() -> None:
    (point, _) = points(parameters={A: ["2 TB/s", "3 TB/s"], B: ["fcfs"], C: ["30 min"], D: [4]})
    assert point.changes == {A: "2 TB/s", B: "fcfs", C: "30 min", D: 4}
    assert point.columns == {A: 2e12, B: "fcfs", C: 1800.0, D: 4}


# --- Samples ------------------------------------------------------------------------


def sampled(method: str, n: int, ranges: dict[str, Any], seed: int = 1) -> np.ndarray:
    """Drawn values, (points, parameters), in SI."""
    found = points(seed, parameters=ranges, sample={"method": method, "points": n})
    return np.array([[column_value(point.changes[path]) for path in ranges] for point in found])


@given(n=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_a_latin_hypercube_has_one_point_in_each_stratum(n: int, seed: int) -> None:
    drawn = sampled("latin-hypercube", n, UNIT, seed)
    for column in drawn.T:
        assert sorted(np.floor(column * n).astype(int)) == list(range(n))


@given(log_n=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_a_sobol_sequence_has_one_point_in_each_stratum(log_n: int, seed: int) -> None:
    """Scrambled, it keeps its balance: a (t, m, s)-net has one point in each 2^-m of an axis."""
    n = 2**log_n
    drawn = sampled("sobol", n, UNIT, seed)
    for column in drawn.T:
        assert sorted(np.floor(column * n).astype(int)) == list(range(n))


@given(seed=st.integers(0, 2**32), method=st.sampled_from(["sobol", "latin-hypercube"]))
def test_draws_stay_within_their_ranges(seed: int, method: str) -> None:
    ranges: dict[str, Any] = {
        A: {"from": 3, "to": 6},
        B: {"from": "2 TB/s", "to": "8 TB/s", "spacing": "log"},
        C: {"from": -2.0, "to": -1.0},
        D: {"from": 1, "to": 4, "spacing": "log"},
    }
    drawn = sampled(method, 16, ranges, seed)
    assert ((drawn >= [3, 2e12, -2, 1]) & (drawn <= [6, 8e12, -1, 4])).all()
    assert (drawn[:, [0, 3]] == np.floor(drawn[:, [0, 3]])).all()


def test_every_whole_number_gets_an_equal_part() -> None:
    drawn = sampled("latin-hypercube", 40, {A: {"from": 3, "to": 6}, B: UNIT[B]})
    assert np.unique(drawn[:, 0], return_counts=True)[1].tolist() == [10, 10, 10, 10]


def test_whole_draws_that_repeat_are_one_point() -> None:
    parameters = {A: {"from": 4, "to": 5}, B: ["x", "y", "z"]}
    for method in ("latin-hypercube", "sobol"):
        found = points(parameters=parameters, sample={"method": method, "points": 16})
        pairs = [(point.changes[A], point.changes[B]) for point in found]
        assert sorted(pairs) == [(n, name) for n in (4, 5) for name in "xyz"]
        assert [point.index for point in found] == list(range(6))


def test_a_log_range_is_even_in_its_logarithm() -> None:
    message = {A: {"from": "1 TB/s", "to": "16 TB/s", "spacing": "log"}}
    octaves = np.floor(np.log2(sampled("sobol", 64, message)[:, 0] / 1e12))
    assert np.unique(octaves, return_counts=True)[1].tolist() == [16, 16, 16, 16]


def test_units_are_kept() -> None:
    message = {A: {"from": "2 TB/s", "to": "8 TB/s"}, B: {"from": "1 h", "to": "2 h"}}
    found = points(parameters=message, sample={"method": "sobol", "points": 4})
    assert all(str(point.changes[A]).endswith(" B/s") for point in found)
    assert all(str(point.changes[B]).endswith(" s") for point in found)


def test_every_draw_is_run_at_each_combination_of_the_others() -> None:
    fields = {"parameters": {A: {"from": 0.0, "to": 1.0}, B: ["x", "y"]}}
    found = points(**fields, sample={"method": "latin-hypercube", "points": 3})
    by_system = {
        name: [point.changes[A] for point in found if point.changes[B] == name] for name in "xy"
    }
    assert [point.changes[B] for point in found] == ["x"] * 3 + ["y"] * 3
    assert by_system["x"] == by_system["y"]
    assert len(set(by_system["x"])) == 3


def test_blocks_of_the_indices() -> None:
    """A, B, and A with each column of B: Saltelli et al. (2010)."""
    n, names = 8, [A, B, C]
    ranges = {name: {"from": 10.0 * k, "to": 10.0 * k + 1} for k, name in enumerate(names)}
    drawn = sampled("sobol-indices", n, ranges)
    assert drawn.shape == (n * 5, 3)
    a, b, *mixed = drawn.reshape(5, n, 3)
    assert not (a == b).any()
    for k, block in enumerate(mixed):
        others = [column for column in range(3) if column != k]
        np.testing.assert_array_equal(block[:, k], b[:, k])
        np.testing.assert_array_equal(block[:, others], a[:, others])
    assert (np.floor(drawn / 10) == [0, 1, 2]).all(), "each column within its own range"


@pytest.mark.parametrize("method", ["latin-hypercube", "sobol", "sobol-indices"])
def test_draws_are_those_of_the_seed(method: str) -> None:
    first = sampled(method, 8, UNIT, seed=1)
    np.testing.assert_array_equal(sampled(method, 8, UNIT, seed=1), first)
    assert not (sampled(method, 8, UNIT, seed=2) == first).any()


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    first = sampled("latin-hypercube", 8, UNIT)
    np.random.seed(6)  # noqa: NPY002
    np.testing.assert_array_equal(sampled("latin-hypercube", 8, UNIT), first)
    np.random.seed(5)  # noqa: NPY002
    sampled("sobol", 8, UNIT)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002


# --- Steps, for any range -----------------------------------------------------------


@given(
    begin=st.floats(0.01, 100),
    ratio=st.floats(1.01, 1000),
    steps=st.integers(2, 30),
    spacing=st.sampled_from(["linear", "log"]),
)
def test_steps_rise_evenly_between_the_ends(
    begin: float, ratio: float, steps: int, spacing: str
) -> None:
    end = begin * ratio
    message = {"from": begin, "to": end, "steps": steps, "spacing": spacing}
    found = values(A, parameters={A: message})
    assert len(found) == steps
    assert (found[0], found[-1]) == (begin, end)
    even = found if spacing == "linear" else [math.log(value) for value in found]
    gaps = np.diff(even)
    assert (gaps > 0).all()
    np.testing.assert_allclose(gaps, (even[-1] - even[0]) / (steps - 1), rtol=1e-6)


@given(begin=st.integers(0, 1000), length=st.integers(1, 1000), steps=st.integers(2, 20))
def test_whole_steps_are_distinct_or_refused(begin: int, length: int, steps: int) -> None:
    message = {"from": begin, "to": begin + length, "steps": steps}
    if steps > length + 1:
        with pytest.raises(InputError, match="distinct whole numbers"):
            points(parameters={A: message})
        return
    found = values(A, parameters={A: message})
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (begin, begin + length)
    assert max(np.diff(found)) - min(np.diff(found)) <= 1
