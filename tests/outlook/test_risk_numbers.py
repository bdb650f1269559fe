"""Quantiles, misses, break-even and the loss factor, on cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.outlook.break_even import break_even_probability
from clustersim.outlook.fan import fan_of, probability_missed
from clustersim.outlook.loss_factor import LossRun, loss_of


def test_intervals_hold_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    fan = fan_of(generator.random((400, 1500)))
    for q, name in ((0.1, "p10"), (0.5, "p50"), (0.9, "p90")):
        low, high = getattr(fan, f"{name}_low"), getattr(fan, f"{name}_high")
        assert 0.93 < ((low <= q) & (q <= high)).mean() < 0.975
    assert 0.93 < (np.abs(fan.mean - 0.5) <= fan.mean_error).mean() < 0.97


def test_few_draws_have_no_fan() -> None:
    with pytest.raises(InputError, match="50 or more"):
        fan_of(np.zeros((49, 1)))


def test_a_target_at_a_value_is_met() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert probability_missed(values, 3.0).probability == 0.5
    assert probability_missed(values, 0.0).probability == 0.0
    assert probability_missed(values, 0.0).high > 0.3


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_break_even_is_where_a_search_finds_equal_expectations(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = generator.normal(0.0, 1.0, (2, 40))
    event = np.arange(40) < 15
    found = break_even_probability(a, b, event)

    def difference(q: np.ndarray) -> np.ndarray:
        weight = np.where(event, q[:, None] / 15, (1 - q[:, None]) / 25)
        return (weight * (a - b)).sum(axis=1)

    grid = np.linspace(0.0, 1.0, 10_001)
    signs = np.sign(difference(grid))
    changes = np.flatnonzero(np.diff(signs))
    if len(changes) == 0:
        assert math.isnan(found.probability)
        assert found.better_below == ("a" if signs[0] > 0 else "b")
        return
    assert len(changes) == 1
    assert grid[changes[0]] - 1e-9 <= found.probability <= grid[changes[0] + 1] + 1e-9
    assert found.low <= found.probability <= found.high
    assert found.better_below == ("a" if signs[0] > 0 else "b")


def test_interval_of_a_break_even_holds_with_the_same_random_numbers_for_both_ends() -> None:
    """Expectations 1 without the event and -1 with it; their errors are the same."""
    generator, happens = np.random.default_rng(4), np.arange(200) < 100
    inside = 0
    for _ in range(400):
        noise = np.tile(generator.normal(size=100), 2)
        found = break_even_probability(np.where(happens, -1.0, 1.0) + noise, 0 * noise, happens)
        inside += found.low <= 0.5 <= found.high
    assert 0.92 < inside / 400 < 0.98


def test_break_even_of_equal_options_and_of_an_event_that_never_happens() -> None:
    same, event = np.ones(6), np.arange(6) < 3
    assert break_even_probability(same, same, event).better_below == "neither"
    with pytest.raises(InputError, match="two draws"):
        break_even_probability(same, same, np.zeros(6, dtype=bool))


def runs(ratios: dict[str, list[float]], drift: float = 0.0, scatter: float = 0.0) -> list[LossRun]:
    """Runs of twelve months whose ratio is given, by case and replication."""
    months, generator = np.arange(12.0), np.random.default_rng(1)
    found = []
    for case, each in ratios.items():
        for replication, ratio in enumerate(each):
            fluid = 1e18 * (1.0 + 0.1 * months + len(found))
            change = 1.0 + drift * (months - 6.5) / 9 + scatter * generator.normal(size=12)
            found.append(LossRun(case, replication, 1.5, ratio * change * fluid, fluid))
    return found


def test_a_constant_ratio_is_the_factor() -> None:
    found = loss_of(runs({"a": [0.95, 0.94], "b": [0.95, 0.96]}))
    assert found.constant
    assert found.factor == pytest.approx(0.95)
    assert found.by_case == pytest.approx({"a": 0.945, "b": 0.955})
    assert found.trend == pytest.approx(0.0, abs=1e-9)
    assert found.by_month("a", 3).tolist() == [found.factor] * 3
    # By hand: deviations 0.005 from the means of cases, four values and two means.
    assert found.replications == pytest.approx(math.sqrt(4 * 0.005**2 / 2) / 0.95)
    assert found.r_squared > 0.99


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (runs({"a": [0.95, 0.95], "b": [0.80, 0.80], "c": [0.9, 0.9]}), "case b"),
        (runs({"a": [0.95] * 4}, drift=-0.12), "changes by"),
        (runs({"a": [0.95] * 4}, scatter=0.3), "between months"),
        (runs({"a": [0.95]}), "unknown with one run"),
    ],
)
def test_a_ratio_that_is_not_constant_is_flagged(made: list[LossRun], message: str) -> None:
    found = loss_of(made)
    assert not found.constant
    assert any(message in problem for problem in found.problems)
    assert found.by_month("a", 12).mean() == pytest.approx(found.by_case["a"], rel=0.05)
    assert found.by_month("another", 2).tolist() == [found.factor] * 2


def test_a_case_with_a_trend_has_a_line_of_its_own() -> None:
    found = loss_of(runs({"a": [0.9, 0.9]}, drift=-0.18))
    # By hand: the change is -0.18 over the nine steps from the third month to the last.
    expected = 0.9 * (1 - 0.02 * (np.maximum(np.arange(12), 2) - 6.5))
    assert found.by_month("a", 12) == pytest.approx(expected)


def test_a_trend_of_one_case_is_flagged_though_the_mean_has_none() -> None:
    made = [*runs({"up": [0.95] * 3}, drift=0.12), *runs({"down": [0.95] * 3}, drift=-0.12)]
    found = loss_of(made)
    assert abs(found.trend) < 0.01
    assert any("case up" in problem for problem in found.problems)
