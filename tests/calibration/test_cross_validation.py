"""Errors and intervals on runs that a fit has not seen.

Rows are left out at random within their families, and all rows of a publisher together. The model
has no effects of sources, so these are the errors that a user of known software and a user of
unknown software must expect. `clustersim fit` prints them, and the shipped calibration stores them
(``default_calibration().facts``).
"""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.calibration import Errors, fit, load_measurements
from clustersim.calibration.coverage import coverage_by_slice
from clustersim.calibration.cross_validation import (
    SOURCES,
    LeftOut,
    folds_within_families,
    leave_publishers_out,
)
from clustersim.calibration.diagnostics import row_table
from clustersim.performance import default_calibration
from tests.calibration.small_fit import whole_fit
from tests.calibration.steps import seconds, sizes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("calibration")]
PART = ("IBM", "Moore Threads")
"""Publishers that are left out again without a fit to all rows."""


@pytest.fixture(scope="module")
def calibrated():
    return whole_fit()


def group(measured, name):
    chips = np.array([chip.name for chip in measured.rows.accelerators])
    pretrained = (measured.table["kind"] == "pretrain").to_numpy() & measured.whole
    return {
        "sc21": np.isin(measured.families, ["sc21t1", "sc21t2"]),
        "fp8": (chips == "H100") & measured.rows.chips.fp8 & pretrained,
        "bloom": measured.families == "bloom",
    }[name]


@pytest.mark.full
@pytest.mark.parametrize("name", ["within", "across"])
def test_shipped_errors_are_those_of_the_fit(calibrated, name):
    left = getattr(calibrated, name)
    fact = {"within": "left_out_rows", "across": "left_out_publishers"}[name]
    mixture = calibrated.measured.rows.models.n_experts > 0
    for kind, chosen in (("all", mixture | True), ("dense", ~mixture), ("mixture", mixture)):
        stated = default_calibration().facts[fact][kind]
        found = Errors.of(left.error[chosen])
        assert stated["rows"] == found.rows
        for measure in ("median", "mean", "p90"):
            assert stated[measure] == pytest.approx(getattr(found, measure), rel=0.05)
        assert stated["covered"] == pytest.approx(left.covered[chosen].mean(), abs=0.02)


@pytest.mark.full
@pytest.mark.parametrize("name", ["within", "across"])
def test_intervals_cover_rows_that_set_neither_fit_nor_width(calibrated, name):
    found = coverage_by_slice(row_table(calibrated), name).set_index("slice")
    for kind in ("all rows", "model: dense", "model: mixture"):
        assert 0.85 <= found.loc[kind, "covered"] <= 0.95, kind


@pytest.mark.full
def test_shipped_errors_of_some_publishers_are_found_again():
    """A part of the cross-validation, from the shipped calibration: two fits."""
    measured = load_measurements()
    fold = np.array([PART.index(name) if name in PART else -1 for name in measured.publishers])
    for place, publisher in enumerate(PART):
        held = fold == place
        known, unseen = measured.take(~held), measured.take(held)
        found = fit(*known.fitted, start=default_calibration()).calibration
        error = seconds(found.mean_draw(), unseen.rows) / unseen.step_time_s - 1.0
        stated = default_calibration().facts["by_publisher"][publisher]
        assert stated["rows"] == held.sum()
        assert stated["median"] == pytest.approx(np.median(np.abs(error)), rel=0.02)
        assert stated["bias"] == pytest.approx(np.median(error), rel=0.02)


@pytest.mark.full
def test_every_publisher_was_left_out_alone(calibrated):
    publishers, fold = calibrated.measured.publishers, calibrated.across.fold
    assert np.unique(fold).size == np.unique(publishers).size > 10
    for publisher in np.unique(publishers):
        assert np.unique(fold[publishers == publisher]).size == 1


@pytest.mark.full
def test_an_unknown_publisher_is_less_certain(calibrated):
    """Errors and widths of left-out publishers exceed those of single left-out rows."""
    within, across = calibrated.within, calibrated.across
    assert np.median(across.half_width) > 2 * np.median(within.half_width)
    assert np.abs(across.error).mean() > np.abs(within.error).mean()


@pytest.mark.full
def test_every_family_of_the_table_has_a_name(calibrated):
    assert sorted(SOURCES) == sorted(set(calibrated.measured.families.tolist()))


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "rows", "calculon", "alone", "family"),
    [
        ("sc21", 14, 0.10, 0.07, 0.18),
        ("fp8", 68, 0.29, 0.06, 0.40),
        ("bloom", 15, 0.31, 0.05, 0.11),
    ],
)
def test_runs_that_calculon_was_checked_on(calibrated, name, rows, calculon, alone, family):
    chosen = group(calibrated.measured, name)
    assert chosen.sum() == rows
    within, across = (
        np.abs(left.error[chosen]).mean() for left in (calibrated.within, calibrated.across)
    )
    assert within < alone < calculon
    assert across < family


@pytest.mark.full
@pytest.mark.parametrize(("name", "most"), [("sc21", 0.18), ("fp8", 0.15), ("bloom", 0.11)])
def test_all_of_them_left_out_at_once(calibrated, name, most):
    measured = calibrated.measured
    chosen = group(measured, name)
    known, unseen = measured.take(~chosen), measured.take(chosen)
    found = fit(known.rows, known.step_time_s, known.scatter, start=calibrated.fit.calibration)
    predicted = seconds(found.calibration.mean_draw(), unseen.rows)
    assert sizes(predicted, unseen.step_time_s).mean() < most


class TestFolds:
    families = np.array(["a"] * 25 + ["b"] * 3 + ["c"])

    def test_every_family_is_spread_over_all_folds(self):
        fold = folds_within_families(self.families, 5)
        assert set(fold.tolist()) <= set(range(5))
        for family, least, most in (("a", 5, 5), ("b", 0, 1), ("c", 0, 1)):
            count = np.bincount(fold[self.families == family], minlength=5)
            assert least <= count.min() <= count.max() <= most

    def test_seed(self):
        one, same, other = (folds_within_families(self.families, 5, seed) for seed in (0, 0, 1))
        assert one.tolist() == same.tolist() != other.tolist()

    def test_publishers_are_folds_of_their_own(self):
        fold = leave_publishers_out(np.array(["b", "a", "b", "c"]))
        assert fold.tolist() == [1, 0, 1, 2]


def test_errors_by_hand():
    found = Errors.of(np.array([-0.1, 0.02, 0.03, -0.04, 0.05]))
    assert (found.rows, found.median) == (5, 0.04)
    assert found.mean == pytest.approx(0.048)
    assert found.p90 == pytest.approx(0.08)
    assert str(found) == "median 4.0 %, mean 4.8 %, 90th percentile 8.0 % (5 rows)"


def test_left_out_by_hand():
    weights = ({"base": 1.0}, {"base": 1.0, "mixture": 1.0})
    width = np.array([0.1, 0.6])
    left = LeftOut(np.log([1.1, 0.5]), np.array([0.03, 0.0]), np.array([0, 1]), weights, width)
    np.testing.assert_allclose(left.error, [0.1, -0.5])
    assert left.errors.weights == weights
    assert left.covered.tolist() == [True, False]
