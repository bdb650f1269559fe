"""Rounded corners: plain without a width, within their asymptotes with one, and smooth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.network.corners import larger, smaller

SIZES = st.floats(0.0, 1e6) | st.floats(1e-9, 1e-3)


@given(SIZES, SIZES)
def test_without_a_width_they_are_the_plain_ones(one, other):
    a, b = np.array(one), np.array(other)
    assert smaller(a, b) == min(one, other)
    assert larger(a, b) == max(one, other)


@given(SIZES, SIZES, st.floats(1e-3, 1.0))
def test_they_stay_within_the_plain_ones_and_add_up(one, other, corner):
    a, b = np.array(one), np.array(other)
    less, more = float(smaller(a, b, corner)), float(larger(a, b, corner))
    least = min(one, other)
    assert least / (1.0 + corner) * (1 - 1e-9) <= less <= least * (1 + 1e-9)
    assert less + more == pytest.approx(one + other, rel=1e-12)
    assert less == smaller(b, a, corner)


def test_by_hand():
    """Roots of (1 - w^2) h^2 - (a + b) h + a b; at w = 1 the harmonic a b / (a + b)."""
    assert float(smaller(np.array(2.0), 6.0, 1.0)) == pytest.approx(12 / 8)
    assert float(smaller(np.array(3.0), 3.0, 0.5)) == pytest.approx(2.0)
    root = (5 - np.sqrt(25 - 4 * 0.75 * 6)) / 1.5
    assert float(smaller(np.array(2.0), 3.0, 0.5)) == pytest.approx(root)
    assert float(larger(np.array(2.0), 3.0, 0.5)) == pytest.approx(5 - root)


def test_where_one_is_zero_or_far_away_nothing_is_rounded():
    assert smaller(np.zeros(2), np.array([0.0, 3.0]), 0.1).tolist() == [0.0, 0.0]
    assert float(smaller(np.array(1.0), 1e9, 0.1)) == pytest.approx(1.0, rel=1e-9)


def test_the_slope_turns_from_one_to_zero_without_a_jump():
    size = np.linspace(0.5, 1.5, 2001)
    slopes = np.diff(smaller(size, 1.0, 0.05)) / np.diff(size)
    assert slopes[0] == pytest.approx(1.0, abs=0.02)
    assert slopes[-1] == pytest.approx(0.0, abs=0.02)
    assert np.abs(np.diff(slopes)).max() < 0.02
    assert np.abs(np.diff(np.diff(smaller(size, 1.0)) / np.diff(size))).max() > 0.9
