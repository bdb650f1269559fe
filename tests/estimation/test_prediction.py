"""Predicted step times and their 90 % intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import load_measurements
from clustersim.catalogue import load_catalogue
from clustersim.estimation import predict, read_configurations
from clustersim.estimation.prediction import draw_specifications
from clustersim.performance import default_calibration, default_draw, default_stack
from clustersim.performance.scatter import contributions_of
from tests.calibration.steps import seconds

CATALOGUE = load_catalogue()
CALIBRATION = default_calibration()
RUN = {
    "accelerator": "H100", "n_accelerators": "64", "model": "llama3-8b", "global_batch": "256",
    "tp": "2", "framework": default_stack("hopper"),
}  # fmt: skip


def rows(*changes):
    return read_configurations(pd.DataFrame([RUN | change for change in changes]), CATALOGUE)


def widths(*changes):
    """Half widths of the intervals of some changed runs, as logarithms."""
    found = predict(rows(*changes), CALIBRATION)
    return np.log(found.hi_s / found.lo_s) / 2


@pytest.fixture(scope="module")
def measured():
    return load_measurements()


@pytest.fixture(scope="module")
def predicted(measured):
    return predict(measured.rows, CALIBRATION)


def test_estimate_is_that_of_the_posterior_mean(measured, predicted):
    expected = seconds(default_draw(), measured.rows)
    np.testing.assert_allclose(predicted.step.step_time_s, expected, rtol=1e-12)
    assert (predicted.lo_s < expected).all()
    np.testing.assert_allclose(predicted.lo_s * predicted.hi_s, expected**2, rtol=1e-9)


def test_width_is_model_and_scatter_in_quadrature(measured, predicted):
    mixture = measured.rows.models.n_experts > 0
    weights = contributions_of(CALIBRATION.runs, measured.rows.labels, mixture)
    scatter = CALIBRATION.scatter
    factor = np.where(mixture, scatter.mixture_spread_factor, scatter.spread_factor)
    half = CALIBRATION.coverage_factor * np.hypot(factor * predicted.spread, scatter.of(weights))
    np.testing.assert_allclose(np.log(predicted.hi_s / predicted.step.step_time_s), half)
    assert (predicted.spread > 0).all()
    assert (predicted.spread < 0.5).all()


def test_intervals_cover_what_was_measured(measured, predicted):
    inside = (predicted.lo_s <= measured.step_time_s) & (measured.step_time_s <= predicted.hi_s)
    assert 0.85 < inside[measured.complete].mean() < 0.99
    assert 0.85 < inside.mean() < 0.99


def test_narrow_where_data_are_many():
    """A measured release, a new release, an unknown stack; the family has no effect."""
    found = widths({}, {"framework": "NeMo 99.12"}, {"framework": "our own"})
    assert found[0] < 0.12
    assert (np.diff(found) > 0.03).all()
    assert widths({"framework": ""})[0] > 2 * found[0]
    assert widths({"family": "dgxc"})[0] == found[0]


def test_chips_that_nobody_measured_are_wider():
    h100, h20, seedchip = widths({}, {"accelerator": "H20"}, {"accelerator": "SeedChip"})
    assert h100 < h20
    assert seedchip > 2 * h100


def test_same_seed_same_interval_in_any_order():
    changes = ({}, {"accelerator": "SeedChip"}, {"framework": "our own"}, {"tp": "4"})
    forth = predict(rows(*changes), CALIBRATION, seed=2)
    back = predict(rows(*reversed(changes)), CALIBRATION, seed=2)
    np.testing.assert_allclose(forth.hi_s, back.hi_s[::-1], rtol=1e-12)
    other = predict(rows(*changes), CALIBRATION, seed=3)
    np.testing.assert_array_equal(other.step.step_time_s, forth.step.step_time_s)
    assert (other.spread != forth.spread).all()


def test_more_draws_settle_the_width():
    few, many = (predict(rows({}), CALIBRATION, draws=n).spread[0] for n in (200, 2000))
    assert few == pytest.approx(many, rel=0.15)


def test_a_hypothetical_chip_is_drawn_from_its_ranges():
    sampled = CALIBRATION.draw(300, seed=4)
    found = rows({"accelerator": "SeedChip"}, {}, {"accelerator": "SeedChip", "precision": "fp8"})
    drawn = draw_specifications(found.chips, found.accelerators, sampled)
    ranges = CATALOGUE.accelerator("SeedChip").ranges
    for name in ("hbm_Bps", "scaleup_Bps", "nic_Bps"):
        values, (low, high) = getattr(drawn, name), ranges[name]
        assert values.shape == (300, 3)
        assert low <= values[:, 0].min() < low + 0.05 * (high - low)
        assert high >= values[:, 0].max() > high - 0.05 * (high - low)
        np.testing.assert_array_equal(values[:, 0], values[:, 2])  # one chip, one specification
        np.testing.assert_array_equal(values[:, 1], getattr(found.chips, name)[1])
    low, high = ranges["peak_flops.bf16"]
    share = (drawn.peak_flops[:, 0] - low) / (high - low)
    low, high = ranges["peak_flops.fp8"]
    np.testing.assert_allclose((drawn.peak_flops[:, 2] - low) / (high - low), share)
    again = draw_specifications(found.chips, found.accelerators, CALIBRATION.draw(300, seed=4))
    np.testing.assert_array_equal(again.hbm_Bps, drawn.hbm_Bps)


def test_a_known_chip_is_not_drawn():
    found = rows({}, {"accelerator": "910B2"})
    same = draw_specifications(found.chips, found.accelerators, CALIBRATION.draw(10))
    for name in ("hbm_Bps", "scaleup_Bps", "nic_Bps", "peak_flops", "bf16_flops"):
        np.testing.assert_array_equal(getattr(same, name), getattr(found.chips, name))
