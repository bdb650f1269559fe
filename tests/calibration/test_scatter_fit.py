"""The fit of the scatter recovers what made the errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clustersim.calibration.scatter_fit import TAIL, LeftOutErrors, fit_coverage, fit_scatter

ROWS = 4000


def errors(spread=0.0, factor=1.0):
    """Errors whose scatter is 0.02, three times that for mixtures, and twice for new releases."""
    generator = np.random.default_rng(1)
    weights = [
        {"base": 1.0, "mixture": float(row % 2), "new release": float(row // 2 % 2)}
        for row in range(ROWS)
    ]
    scatter = np.array([0.02 * 3.0 ** w["mixture"] * 2.0 ** w["new release"] for w in weights])
    stated = np.where(np.arange(ROWS) % 5 == 0, spread, 0.0)
    size = np.hypot(factor * stated, scatter)
    return LeftOutErrors(size * generator.standard_t(TAIL, ROWS), stated, weights)


def test_contributions_are_recovered():
    found = fit_scatter(errors()).contributions
    assert found["base"] == pytest.approx(np.log(0.02), abs=0.1)
    assert found["mixture"] == pytest.approx(np.log(3.0), abs=0.1)
    assert found["new release"] == pytest.approx(np.log(2.0), abs=0.1)


def test_factor_of_the_stated_spread_is_recovered():
    assert fit_scatter(errors(0.3, 0.6)).spread_factor == pytest.approx(0.6, rel=0.1)


def test_coverage_is_that_of_the_distribution():
    known = errors()
    assert fit_coverage(known, fit_scatter(known)) == pytest.approx(
        stats.t.ppf(0.95, TAIL), rel=0.05
    )


def test_without_evidence_a_group_has_the_scatter_of_all():
    """A product with two rows, both wild, moves by less than their size suggests."""
    known = errors()
    wild = LeftOutErrors(np.array([0.5, -0.5]), np.zeros(2), [{"base": 1.0, "product x": 1.0}] * 2)
    found = fit_scatter(LeftOutErrors.together([known, wild])).contributions
    assert 0.2 < found["product x"] < 1.5
