"""Sobol indices against functions whose indices are known, and against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import sobol_indices as scipy_sobol_indices

from clustersim.analysis.sensitivity import sobol_design, sobol_indices
from clustersim.errors import InputError


def seeds(number):
    return np.random.SeedSequence(number)


def ishigami(unit):
    x = math.pi * (2 * unit - 1)
    return np.sin(x[:, 0]) * (1 + 0.1 * x[:, 2] ** 4) + 7 * np.sin(x[:, 1]) ** 2


def known_indices():
    """Of `ishigami`: Ishigami & Homma (1990)."""
    alone = 0.5 * (1 + 0.1 * math.pi**4 / 5) ** 2
    second = 7**2 / 8
    together = 8 * 0.1**2 * math.pi**8 / 225
    variance = alone + second + together
    first = np.array([alone, second, 0.0]) / variance
    total = np.array([alone + together, second, together]) / variance
    return first, total


def test_design_is_a_b_and_a_with_columns_of_b():
    design = sobol_design(3, 16, seeds(1))
    a, b, *mixed = design.reshape(5, 16, 3)
    for index, block in enumerate(mixed):
        expected = a.copy()
        expected[:, index] = b[:, index]
        np.testing.assert_array_equal(block, expected)
    assert design.min() >= 0
    assert design.max() < 1
    # a Sobol sequence: each sixteenth of every one of the six columns has one point
    columns = np.sort(np.floor(16 * np.hstack([a, b])), axis=0)
    np.testing.assert_array_equal(columns, np.tile(np.arange(16.0)[:, None], 6))


def test_design_follows_from_its_seed():
    np.testing.assert_array_equal(sobol_design(2, 8, seeds(1)), sobol_design(2, 8, seeds(1)))
    assert (sobol_design(2, 8, seeds(1)) != sobol_design(2, 8, seeds(2))).any()
    assert sobol_design(1, 1, np.random.default_rng(seeds(1))).shape == (3, 1)


@pytest.mark.parametrize("points", [0, 3, 100, -4])
def test_points_must_be_a_power_of_two(points):
    with pytest.raises(InputError, match="points: must be a power of two, found"):
        sobol_design(2, points, seeds(1))


def test_other_numbers_that_cannot_be():
    with pytest.raises(InputError, match="parameters: must be 1 or more, found 0"):
        sobol_design(0, 8, seeds(1))
    for values in ([], [1.0] * 9):
        with pytest.raises(InputError, match="must be a positive multiple of 4"):
            sobol_indices(values, 2, rng=seeds(1))


def test_ishigami():
    values = ishigami(sobol_design(3, 4096, seeds(3)))
    found = sobol_indices(values, 3, rng=seeds(4))
    first, total = known_indices()
    np.testing.assert_allclose(found.first, first, atol=0.015)
    np.testing.assert_allclose(found.total, total, atol=0.01)
    assert ((found.first_low <= first) & (first <= found.first_high)).all()
    assert ((found.total_low <= total) & (total <= found.total_high)).all()
    assert (found.total_high - found.total_low < 0.1).all()


def test_estimates_are_those_of_scipy():
    values = ishigami(sobol_design(3, 64, seeds(5)))
    found = sobol_indices(values, 3, rng=seeds(6))
    a, b, *mixed = values.reshape(5, 1, 64)
    expected = scipy_sobol_indices(func={"f_A": a, "f_B": b, "f_AB": np.array(mixed)}, n=64)
    np.testing.assert_allclose(found.first, expected.first_order, rtol=1e-10)
    np.testing.assert_allclose(found.total, expected.total_order, rtol=1e-10)


def test_additive_function_and_a_parameter_without_effect():
    design = sobol_design(3, 1024, seeds(7))
    found = sobol_indices(1e6 + design[:, 0] + 2 * design[:, 1], 3, rng=seeds(8))
    np.testing.assert_allclose(found.first, [0.2, 0.8, 0.0], atol=0.005)
    np.testing.assert_allclose(found.total, [0.2, 0.8, 0.0], atol=0.005)
    idle = (found.first, found.first_low, found.first_high, found.total_low, found.total_high)
    assert [numbers[2] for numbers in idle] == [0.0] * 5


def test_one_parameter_explains_all():
    found = sobol_indices(sobol_design(1, 256, seeds(9))[:, 0], 1, rng=seeds(9))
    np.testing.assert_allclose([found.first, found.total], 1.0, atol=0.02)


def test_without_variance_or_with_overload_there_are_no_indices():
    for value in (0.0, 0.1, math.nan):
        found = sobol_indices(np.full(4 * 8, value), 2, rng=seeds(1))
        assert np.isnan([found.first, found.total_low, found.total_high]).all()
    values = np.arange(32.0)
    values[20] = math.inf
    assert np.isnan(sobol_indices(values, 2, rng=seeds(1)).total).all()


def test_points_without_a_result_are_left_out():
    values = ishigami(sobol_design(3, 64, seeds(5)))
    blocks = values.reshape(5, 64).copy()
    blocks[3, 7] = blocks[0, 20] = math.nan
    found = sobol_indices(blocks.ravel(), 3, rng=seeds(6))
    rest = np.delete(blocks, [7, 20], axis=1)
    np.testing.assert_array_equal(found.first, sobol_indices(rest.ravel(), 3, rng=seeds(6)).first)


def test_bootstrap_against_drawing_the_points_themselves():
    values = ishigami(sobol_design(3, 16, seeds(5)))
    found = sobol_indices(values, 3, rng=seeds(6), resamples=40)
    blocks = values.reshape(5, 16) - values[:32].mean()
    first, total = [], []
    for counts in np.random.default_rng(seeds(6)).multinomial(16, np.full(16, 1 / 16), 40):
        a, b, *mixed = np.repeat(blocks, counts, axis=1)
        variance = np.var([a, b])
        first.append([np.mean(b * (ab - a)) / variance for ab in mixed])
        total.append([np.mean((a - ab) ** 2) / 2 / variance for ab in mixed])
    for indices, ends in (
        (first, (found.first_low, found.first_high)),
        (total, (found.total_low, found.total_high)),
    ):
        np.testing.assert_allclose(np.quantile(indices, (0.025, 0.975), axis=0), ends, rtol=1e-9)


def test_intervals_follow_from_their_seed_and_widen_with_the_level():
    values = ishigami(sobol_design(3, 64, seeds(5)))
    narrow, again, wide = (
        sobol_indices(values, 3, rng=seeds(6), level=level) for level in (0.8, 0.8, 0.99)
    )
    np.testing.assert_array_equal(narrow.first_low, again.first_low)
    assert (wide.total_low < narrow.total_low).all()
    assert (wide.total_high > narrow.total_high).all()


def test_bootstrap_covers_for_independent_points():
    # plain random A and B, for which the bootstrap is made; a Sobol sequence does better
    first, total = known_indices()
    covered = []
    for seed in range(300):
        generator = np.random.Generator(np.random.PCG64(seed))
        a, b = generator.random((2, 256, 3))
        blocks = np.stack([a, b, *([a] * 3)])
        for index in range(3):
            blocks[2 + index, :, index] = b[:, index]
        found = sobol_indices(ishigami(blocks.reshape(-1, 3)), 3, rng=generator, resamples=299)
        covered.append(
            [
                (found.first_low <= first) & (first <= found.first_high),
                (found.total_low <= total) & (total <= found.total_high),
            ]
        )
    shares = np.mean(covered, axis=0)
    assert (shares > 0.91).all()
    assert (shares < 0.985).all()
