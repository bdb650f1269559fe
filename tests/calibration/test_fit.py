"""The fit on step times made from known coefficients, and on the published runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import Errors, fit, load_measurements
from clustersim.calibration.fit import (
    NARROW,
    WIDE,
    _settled,
    descend,
    log_seconds_in,
    recentred,
)
from clustersim.calibration.fit_problem import FitProblem, design_matrices, keys_of
from clustersim.catalogue import load_catalogue
from clustersim.estimation import read_configurations
from clustersim.notes import forget_notes
from clustersim.performance import LEVELS, PARAMETERS, default_calibration, default_draw
from tests.calibration.small_fit import whole_fit
from tests.calibration.steps import seconds, sizes

SCATTER = 0.02
TRUTH = default_calibration().draw(0, seed=1)
"""The draw in which the made-up runs were measured."""


@pytest.fixture(scope="module")
def measured():
    return load_measurements()


@pytest.fixture(scope="module")
def rows(measured):
    """Half of the published configurations, of all families."""
    return measured.rows.take(np.arange(0, len(measured), 2))


@pytest.fixture(scope="module")
def noisy(rows):
    true = seconds(TRUTH, rows)
    noise = SCATTER * np.random.default_rng(1).standard_normal(len(rows))
    return true, true * np.exp(noise)


@pytest.fixture(scope="module")
def refit(measured):
    """From near its end, which is quick; where else it may begin is tested below."""
    return fit(*measured.fitted, start=default_calibration())


@pytest.mark.slow
@pytest.mark.full
def test_known_coefficients_are_recovered(rows):
    true = seconds(TRUTH, rows)
    prior = sizes(seconds(default_draw(), rows), true)
    found = fit(rows, true, np.full(len(rows), SCATTER))
    error = sizes(seconds(found.calibration.mean_draw(), rows), true)
    assert prior.mean() > 0.02  # the true values differ from the shipped ones
    assert error.mean() < 0.006
    assert error.max() < 0.05
    assert found.calibration.overdispersion == 1.0
    assert found.calibration.facts["rows"] == len(rows)


@pytest.mark.slow
@pytest.mark.full
def test_noise_is_averaged_out(rows, noisy):
    true, seen = noisy
    found = fit(rows, seen, np.full(len(rows), SCATTER))
    error = sizes(seconds(found.calibration.mean_draw(), rows), true)
    assert error.mean() < 0.8 * np.abs(seen / true - 1).mean()
    assert found.residuals == pytest.approx(
        np.log(seconds(found.calibration.mean_draw(), rows) / seen), abs=1e-12
    )
    assert 0.5 * SCATTER < found.residuals.std() < 1.2 * SCATTER


@pytest.mark.slow
@pytest.mark.full
def test_posterior_covers_the_truth(rows, noisy):
    """Nine in ten of the true effects lie in their 90 % intervals."""
    found = fit(rows, noisy[1], np.full(len(rows), SCATTER)).calibration
    error = found.overdispersion * found.standard_errors()
    apart = np.array(
        [
            (mean - TRUTH.effects[key]) / width
            for key, mean, width in zip(found.keys, found.mean * found.spreads, error, strict=True)
        ]
    )
    assert 0.8 < np.mean(np.abs(apart) < 1.645) < 0.97


@pytest.mark.slow
@pytest.mark.full
def test_outliers_do_not_spoil_the_rest(rows, noisy):
    true, seen = noisy
    bad = np.random.default_rng(2).choice(len(rows), len(rows) // 20, replace=False)
    spoilt = seen.copy()
    spoilt[bad] *= 3.0
    found = fit(rows, spoilt, np.full(len(rows), SCATTER)).calibration
    good = np.setdiff1d(np.arange(len(rows)), bad)
    error = sizes(seconds(found.mean_draw(), rows), true)[good]
    assert np.median(error) < 0.02
    assert found.overdispersion > 1.2


@pytest.mark.slow
@pytest.mark.xdist_group("calibration")
def test_refit_is_the_shipped_calibration(measured, refit):
    rows, shipped = measured.rows, default_calibration()
    assert refit.calibration.keys == shipped.keys
    again, before = (seconds(c.mean_draw(), rows) for c in (refit.calibration, shipped))
    np.testing.assert_allclose(again, before, rtol=1e-5)
    mean = [Errors.of(step / measured.step_time_s - 1).mean for step in (again, before)]
    assert mean[0] == pytest.approx(mean[1], rel=1e-5)
    assert mean[0] < 0.07
    assert refit.calibration.overdispersion == pytest.approx(shipped.overdispersion, rel=1e-3)
    centred = recentred(refit.calibration, rows, measured.scatter)
    np.testing.assert_allclose(centred.centre, shipped.centre, atol=1e-4)
    drawn = [np.log(seconds(c.draw(100, seed=1), rows)) for c in (centred, shipped)]
    np.testing.assert_allclose(drawn[0].std(axis=0), drawn[1].std(axis=0), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.xdist_group("calibration")
def test_draws_average_to_the_posterior_mean(measured, refit):
    """A step is convex in many effects, so draws about the mean of these would be too slow.

    The mean of 400 draws has a standard error of 0.3 % in the mean over the rows, and of up to 2 %
    for a mixture of experts.
    """
    mean = log_seconds_in(default_draw(), measured.rows)

    def bias(calibration):
        return log_seconds_in(calibration.draw(400, seed=1), measured.rows).mean(axis=0) - mean

    apart = np.abs(bias(default_calibration()))
    assert apart.mean() < 0.003
    assert apart.max() < 0.04
    assert bias(refit.calibration).mean() > 0.01  # its centre is its mean


@pytest.fixture(scope="module")
def problem(measured):
    rows, seconds, scatter = measured.fitted
    return FitProblem(rows, seconds, 1.0 / scatter, keys_of(rows), NARROW[-1][0])


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.xdist_group("calibration")
def test_a_fit_from_the_priors_ends_at_the_same_place(refit):
    again = whole_fit().fit
    assert again.cost == pytest.approx(refit.cost, rel=1e-9)
    assert again.evaluations > refit.evaluations
    np.testing.assert_allclose(again.calibration.mean, refit.calibration.mean, atol=1e-5)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.xdist_group("calibration")
def test_a_fit_from_afar_predicts_the_same(problem, refit):
    """From all effects one prior spread off, at random.

    The cost has several minima of nearly the same depth: they differ in effects that hardly any
    measurement depends on.
    """
    start = np.random.default_rng(4).standard_normal(len(problem.keys))
    assert problem.cost(start) > 2 * refit.cost
    found, _ = descend(problem, start, WIDE + NARROW)
    problem.corner = NARROW[-1][0]
    assert problem.cost(found) == pytest.approx(refit.cost, rel=1e-3)
    scatter = 1.0 / problem.weight
    apart = np.abs(problem.residuals(found) - problem.residuals(refit.calibration.mean)) * scatter
    assert np.median(apart) < 1e-3
    assert apart.max() < 0.02


def test_the_shipped_calibration_is_at_rest(problem):
    """Its cost has no gradient, but for the rounding to six digits."""
    problem.corner = NARROW[-1][0]
    assert np.linalg.norm(problem.gradient(default_calibration().mean)) < 0.05


@pytest.mark.slow
@pytest.mark.xdist_group("calibration")
def test_a_fit_is_at_rest(problem, refit):
    """No gradient is left, and the cost rises in every direction."""
    problem.corner = NARROW[-1][0]
    mean = refit.calibration.mean
    assert problem.cost(mean) == pytest.approx(refit.cost, rel=1e-12)
    assert np.linalg.norm(problem.gradient(np.zeros_like(mean))) > 100
    assert np.linalg.norm(problem.gradient(mean)) < 1e-5
    assert np.linalg.eigvalsh(problem.hessian(mean))[0] > 0.1


@pytest.mark.slow
@pytest.mark.xdist_group("calibration")
def test_rounded_corners_hardly_move_a_step_time(measured, problem, refit):
    problem.corner = NARROW[-1][0]
    rounded = problem.residuals(refit.calibration.mean) * measured.fitted[2]
    np.testing.assert_allclose(rounded, refit.residuals, atol=3e-3)


@pytest.mark.parametrize("corner", [1.0, 0.1])
def test_derivatives_are_those_of_the_cost(rows, noisy, corner):
    """Along a direction, by differences of the cost and of the gradient."""
    problem = FitProblem(rows, noisy[1], np.full(len(rows), 1 / SCATTER), keys_of(rows), corner)
    generator = np.random.default_rng(5)
    at, way = generator.standard_normal((2, len(problem.keys))) / 4.0
    way /= np.linalg.norm(way)
    step = 1e-5
    ahead, behind = at + step * way, at - step * way
    slope = (problem.cost(ahead) - problem.cost(behind)) / (2 * step)
    assert slope == pytest.approx(problem.gradient(at) @ way, rel=1e-5)
    bend = (problem.gradient(ahead) - problem.gradient(behind)) / (2 * step)
    np.testing.assert_allclose(problem.hessian(at) @ way, bend, atol=1e-3 * np.abs(bend).max())


class Flat:
    """A cost whose gradient and second derivatives are given, counted so that no test hangs."""

    def __init__(self, gradient, hessian):
        self.given, self.bend, self.calls = gradient, hessian, 0

    def gradient(self, effects):
        self.calls += 1
        assert self.calls < 100
        return self.given(effects)

    def hessian(self, _effects):
        return self.bend


@pytest.mark.parametrize("left", [0.0, np.nan, 1.0])
def test_the_last_steps_end_where_no_gradient_is_left_or_none_is_known(left):
    flat = Flat(lambda effects: np.full(2, left), np.eye(2))
    assert _settled(flat, np.ones(2)).tolist() == [1.0, 1.0]


def test_the_last_steps_go_on_while_the_gradient_falls():
    bowl = Flat(lambda effects: effects + 0.1 * effects**2, np.eye(2))
    np.testing.assert_allclose(_settled(bowl, np.full(2, 0.01)), 0.0, atol=1e-12)


@pytest.mark.parametrize("bend", [np.diag([1.0, -1.0]), np.zeros((2, 2)), np.full((2, 2), np.nan)])
def test_a_saddle_is_reported_and_left_as_it_is(bend, capsys):
    forget_notes()
    saddle = Flat(lambda effects: effects * 1e-6, bend)
    assert _settled(saddle, np.ones(2)).tolist() == [1.0, 1.0]
    assert "did not end at a minimum of its cost" in capsys.readouterr().err


def test_a_fit_that_does_not_rest_says_so(problem, capsys):
    start = np.zeros(len(problem.keys))
    _, evaluations = descend(problem, start, [(0.3, 1e9)])
    assert evaluations == 1
    assert "did not converge" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.xdist_group("calibration")
def test_posterior_is_a_covariance(refit):
    found = refit.calibration
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(found.strength.size), atol=1e-9)
    assert (found.strength > 0).all()
    assert (found.standard_errors() > 0).all()
    assert (found.standard_errors() <= found.spreads * (1 + 1e-9)).all()
    message = np.sum(found.strength / (1 + found.strength))
    assert message == pytest.approx(found.facts["effective_parameters"], abs=3.0)
    # many rows say more about a base value than its prior did
    base = found.keys.index(("matmul_efficiency", "base", ""))
    assert found.standard_errors()[base] < 0.8 * found.spreads[base]


def test_what_is_not_named_has_no_effects_of_its_own():
    run = {"accelerator": "H100", "n_accelerators": "8", "model": "llama3-8b", "global_batch": "64"}
    table = pd.DataFrame([run, run | {"framework": "our own", "family": "ours"}])
    keys = keys_of(read_configurations(table, load_catalogue()))
    labels = {level: {key[2] for key in keys if key[1] == level} for level in LEVELS}
    assert labels["product"] == labels["combination"] == set()
    assert labels["release"] == {"our own"}
    assert "source" not in labels
    assert labels["architecture"] == {"hopper"}


def test_a_design_is_what_a_draw_adds_up(rows):
    keys = keys_of(rows)
    designs = design_matrices(rows, keys)
    effects = np.random.default_rng(3).standard_normal(len(keys))
    place = {key: index for index, key in enumerate(keys)}
    for parameter in PARAMETERS:
        if not rows.labels_with(parameter.name):
            continue
        added = designs[parameter.name] @ effects
        for row in (0, 50, len(rows) - 1):
            expected = sum(
                spread * effects[place[parameter.name, level, label]]
                for level, label in zip(LEVELS, rows.labels[row], strict=True)
                if (spread := parameter.spread.get(level, 0.0)) and (label or level == "base")
            )
            assert added[row] == pytest.approx(expected, abs=1e-12)
