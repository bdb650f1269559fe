"""The fit of the scatter recovers what made the errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from clustersim.calibration.scatter_fit import TAIL, LeftOutErrors, fit_coverage, fit_scatter
from clustersim.performance import default_calibration, load_calibration
from clustersim.performance.calibration import checksum
from clustersim.performance.scatter import Scatter

ROWS = 4000


def errors(spread=0.0, factor=1.0, of_mixtures=None):
    """Errors whose scatter is 0.02, three times that for mixtures, and twice for new releases."""
    generator = np.random.default_rng(1)
    weights = [
        {"base": 1.0, "mixture": float(row % 2), "new release": float(row // 2 % 2)}
        for row in range(ROWS)
    ]
    scatter = np.array([0.02 * 3.0 ** w["mixture"] * 2.0 ** w["new release"] for w in weights])
    stated = np.where(np.arange(ROWS) % 5 == 0, spread, 0.0)
    mixture = np.array([w["mixture"] > 0.0 for w in weights])
    factors = np.where(mixture, factor if of_mixtures is None else of_mixtures, factor)
    size = np.hypot(factors * stated, scatter)
    return LeftOutErrors(size * generator.standard_t(TAIL, ROWS), stated, weights)


def test_contributions_are_recovered():
    found = fit_scatter(errors()).contributions
    assert found["base"] == pytest.approx(np.log(0.02), abs=0.1)
    assert found["mixture"] == pytest.approx(np.log(3.0), abs=0.1)
    assert found["new release"] == pytest.approx(np.log(2.0), abs=0.1)


def test_factor_of_the_stated_spread_is_recovered():
    found = fit_scatter(errors(0.3, 0.6))
    assert found.spread_factor == pytest.approx(0.6, rel=0.1)
    assert found.mixture_spread_factor == pytest.approx(0.6, rel=0.1)


def test_dense_models_and_mixtures_have_factors_of_their_own():
    known = errors(0.3, 1.0, of_mixtures=0.5)
    found = fit_scatter(known)
    assert found.spread_factor == pytest.approx(1.0, rel=0.1)
    assert found.mixture_spread_factor == pytest.approx(0.5, rel=0.1)
    inside = np.abs(known.log_error) <= fit_coverage(known, found) * found.deviation(
        known.spread, known.weights
    )
    certain = known.spread > 0.0
    mixture = np.array([w["mixture"] > 0.0 for w in known.weights])
    for kind in (certain & mixture, certain & ~mixture):
        assert inside[kind].mean() == pytest.approx(0.9, abs=0.03)


def test_deviation_by_hand():
    scatter = Scatter({"base": np.log(0.03)}, spread_factor=0.8, mixture_spread_factor=0.4)
    rows = [{"base": 1.0, "mixture": 0.0}, {"base": 1.0, "mixture": 1.0}]
    found = scatter.deviation(np.array([0.05, 0.1]), rows)
    np.testing.assert_allclose(found, [0.05, 0.05])


def test_a_calibration_of_one_factor_has_it_for_both_kinds(tmp_path):
    content = json.loads(default_calibration().to_json())
    del content["mixture_spread_factor"]
    content["checksum"] = checksum(content)
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    scatter = load_calibration(path).scatter
    assert scatter.mixture_spread_factor == scatter.spread_factor == content["spread_factor"]


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
