"""The end of the warm-up against a plain twin, and on series with a known transient."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from clustersim.analysis.warm_up import Truncation, mser5, series_bins
from clustersim.errors import InputError
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(100))


def plain_marginal_errors(series):
    """The rule as White, Cobb & Spratt (2000) print it, in loops."""
    batches = [sum(series[at : at + 5]) / 5 for at in range(0, len(series) // 5 * 5, 5)]
    errors = []
    for deleted in range(len(batches) - 4):
        kept = batches[deleted:]
        mean = math.fsum(kept) / len(kept)
        errors.append(math.fsum((value - mean) ** 2 for value in kept) / len(kept) ** 2)
    return errors


@repeatable
@given(st.lists(st.integers(-50, 50), min_size=50, max_size=200), st.integers(0, 80))
def test_against_the_plain_twin(numbers, first):
    series = [value + max(0, 20 * (first - at)) for at, value in enumerate(numbers)]
    errors = plain_marginal_errors(series)
    found = mser5(series)
    half = len(series) // 5 // 2
    assert found.n % 5 == 0
    if found.reached:
        assert errors[found.n // 5] <= min(errors) * (1 + 1e-12)
    else:
        assert found.n == 5 * half
        assert min(errors[half + 1 :]) <= min(errors) * (1 + 1e-12)


def test_by_hand():
    # batch means 9, 5, 1, 1, ...: nothing is left to gain after two batches, nor by a third
    assert mser5([9.0] * 5 + [5.0] * 5 + [1.0] * 50) == Truncation(10, reached=True)
    assert mser5([9.0] * 5 + [5.0] * 5 + [1.0] * 50 + [99.0] * 4) == Truncation(10, reached=True)
    assert mser5([0.1] * 100) == Truncation(0, reached=True)
    # five of ten batches are still half; six of eleven are more
    assert mser5([9.0] * 25 + [1.0] * 25) == Truncation(25, reached=True)
    assert mser5([9.0] * 30 + [1.0] * 25) == Truncation(25, reached=False)


def test_a_series_that_never_settles_or_is_short():
    assert mser5(np.arange(1000.0)) == Truncation(500, reached=False)
    assert mser5([1.0] * 49) == Truncation(20, reached=False)
    assert mser5([1.0] * 50) == Truncation(0, reached=True)
    assert mser5([]) == Truncation(0, reached=False)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(InputError, match="finite"):
        mser5([1.0, value])


def test_known_transient_is_cut_and_the_mean_set_right():
    # mean 10 in steady state, 30 more at first, gone with a time constant of 100 observations
    noise = np.random.Generator(np.random.PCG64(21)).standard_normal((300, 5000))
    series = 10 + lfilter([1.0], [1.0, -0.5], noise, axis=1)
    series += 30 * np.exp(-np.arange(5000) / 100)
    cuts = [mser5(row) for row in series]
    assert all(cut.reached for cut in cuts)
    assert 250 < np.median([cut.n for cut in cuts]) < 700
    kept = np.mean([row[cut.n :].mean() for row, cut in zip(series, cuts, strict=True)])
    assert series.mean() - 10 == pytest.approx(0.6, abs=0.02)
    assert abs(kept - 10) < 0.03


def test_a_huge_transient_does_not_swamp_what_follows():
    noise = 1e-3 * np.random.Generator(np.random.PCG64(22)).standard_normal(500)
    series = np.concatenate([np.full(50, 1e12), 1.0 + noise])
    assert mser5(series).n == 50 + mser5(series[50:]).n


@repeatable
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 120))
def test_bins_are_those_of_array_split(numbers, bins):
    shares = np.array_split(np.array(numbers), min(bins, len(numbers)))
    expected = [share.mean() for share in shares]
    np.testing.assert_allclose(series_bins(numbers, bins), expected, rtol=1e-9, atol=1e-6)


def test_bins_at_their_limits():
    assert series_bins([]).shape == (0,)
    assert series_bins([4, 5], bins=100).tolist() == [4.0, 5.0]
    assert series_bins([1.0, 2.0, math.inf, 3.0], bins=2).tolist() == [1.5, math.inf]
    assert series_bins(np.arange(100_000)).shape == (100,)
