"""Quantiles of a mixture of lognormal distributions, beside a plain sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.training.mixtures import QUANTILES, half_widths, mixture_quantiles
from tests.examples import examples


@settings(max_examples=examples(40))
@given(
    middle=st.lists(st.floats(1.0, 1e3), min_size=1, max_size=6),
    half=st.floats(0.05, 1.0),
    never=st.integers(0, 3),
)
def test_beside_a_sample(middle: list[float], half: float, never: int) -> None:
    """Twenty thousand numbers of each distribution, at the middle of equal probabilities."""
    from statistics import NormalDist

    n, normal = 20_000, NormalDist()
    scores = np.array([normal.inv_cdf((k + 0.5) / n) for k in range(n)])
    deviation = half / normal.inv_cdf(0.95)
    parts = [at * np.exp(deviation * scores) for at in middle] + [np.full(n, np.inf)] * never
    sample = np.concatenate(parts)
    found = mixture_quantiles(
        np.array([*middle, *[np.inf] * never]), np.full(len(middle) + never, half)
    )
    for quantile, value in zip(QUANTILES, found, strict=True):
        assert np.mean(sample < value * (1 - 2e-3)) <= quantile + 1e-3
        assert np.mean(sample <= value * (1 + 2e-3)) >= min(quantile - 1e-3, 1.0)


def test_one_distribution_has_its_own_interval() -> None:
    low, middle, high = mixture_quantiles(
        np.array([5.0]), half_widths(np.array([5.0]), np.array([8.0]))
    )
    assert (low, middle, high) == pytest.approx((5 * 5 / 8, 5.0, 8.0))


def test_no_number_is_known() -> None:
    assert all(map(math.isnan, mixture_quantiles(np.array([1.0, np.nan]), np.ones(2))))
    assert mixture_quantiles(np.array([np.inf]), np.ones(1)) == (math.inf,) * 3
