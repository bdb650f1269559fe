"""Intervals and crossings against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clustersim.analysis.statistics import (
    mean_interval,
    quantile_interval,
    run_quantile_interval,
)


def test_interval_by_hand():
    # mean 10, standard deviation 1, error 1/sqrt(3), t(0.975, 2) = 4.302653
    mean, low, high = mean_interval([9.0, 10.0, 11.0])
    assert mean == 10.0
    assert high - 10.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert low == pytest.approx(20.0 - high)


def test_one_replication_has_no_interval_and_none_no_mean():
    assert mean_interval([5.0]) == (5.0, -math.inf, math.inf)
    assert all(math.isnan(value) for value in mean_interval([math.nan]))


def test_interval_covers_the_truth_as_often_as_it_says():
    draw = np.random.Generator(np.random.PCG64(4)).exponential(size=(2000, 30))
    covered = [low <= 1.0 <= high for _, low, high in map(mean_interval, draw)]
    assert 0.91 < np.mean(covered) < 0.965


def test_interval_of_a_quantile_of_one_run():
    """Independent observations are all kept; of repeated ones, those a power of two apart."""
    values = np.random.default_rng(3).exponential(size=400)
    assert run_quantile_interval(values, 0.9) == quantile_interval(values, 0.9)
    quantile, low, high = run_quantile_interval(np.repeat(values, 8), 0.9)
    assert quantile == pytest.approx(np.quantile(values, 0.9), rel=0.02)
    assert (low, high) == quantile_interval(values, 0.9)[1:]
    assert run_quantile_interval(values[:49], 0.5)[1:] == (-np.inf, np.inf)
