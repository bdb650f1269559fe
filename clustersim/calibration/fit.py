"""The fit of all coefficients to measured step times and microbenchmarks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from clustersim.array_types import Floats
from clustersim.calibration.fit_problem import FitProblem, keys_of, loss
from clustersim.calibration.timed import Timed
from clustersim.notes import note
from clustersim.performance.calibration import Calibration
from clustersim.performance.coefficient_draw import CoefficientDraw
from clustersim.performance.scatter import Scatter

__all__ = ["Fit", "fit", "recentred"]


WIDE = ((1.0, 1.0), (0.3, 1.0), (0.1, 0.5))
NARROW = ((0.03, 0.1), (0.01, 1e-2), (0.0025, 1e-5))
"""Widths of the model's rounded corners in successive descents, each with the norm of the gradient
at which the descent stops. The last width changes no step time by more than about 0.2 %."""
TRUST = {"initial_trust_radius": 3.0, "max_trust_radius": 30.0}
"""First and largest distance, in prior spreads, that all effects together may move in one step."""
MOST_STEPS = 200
REST_AT_WORST = 1e-3
"""Largest accepted norm of the final gradient; it limits the error of the effects to the same
share of their spread."""
NORMAL_COVERAGE_FACTOR = 1.645
"""Half width of a 90 % interval of the normal distribution, in standard deviations."""
CENTRING_DRAWS = 512
CENTRING_STEPS = 12
SLOPE_DRAWS = 32
"""Draws over which the slopes of the centring are averaged. At the posterior mean alone, the slope
of a coefficient that matters in some draws only, such as the least time of a mixture, can be 0."""
LEAST_STRENGTH = 0.02
"""Smallest information of the measurements in a direction, relative to the prior. In directions
with less information, the posterior is the prior."""


@dataclass(frozen=True)
class Fit:
    """The result of a fit.

    Attributes
    ----------
    calibration : Calibration
    residuals : array, shape (N,)
        Logarithm of predicted over measured seconds of the fitted rows.
    evaluations : int
    cost : float
        Half of the weighted sum of squares, including the priors.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.calibration import Fit
    >>> from clustersim.performance import default_calibration
    >>> found = Fit(default_calibration(), np.array([0.02, -0.01]), evaluations=12, cost=1.7)
    >>> float(abs(found.residuals).max())
    0.02
    """

    calibration: Calibration
    residuals: Floats
    evaluations: int
    cost: float


def fit(
    rows: Timed,
    seconds: Floats,
    scatter: Floats,
    *,
    start: Calibration | None = None,
) -> Fit:
    """Fit all coefficients by robust least squares with priors.

    Parameters
    ----------
    rows : Timed
        Training runs, microbenchmarks, or both (:class:`clustersim.calibration.timed.Joint`).
    seconds : array, shape (R,)
        Measured seconds of a step or of a microbenchmark.
    scatter : array, shape (R,)
        Uncertainty of each measurement (standard deviation of the logarithm).
    start : Calibration, optional
        A solution near the expected one, such as the fit to all rows for the folds of a
        cross-validation. The descents with wide corners are then skipped.

    Returns
    -------
    Fit

    Notes
    -----
    The fit minimises ``sum rho(r_i^2) + sum z_k^2`` over the effects z in units of their prior
    spreads, where r are the logarithms of predicted over measured seconds, divided by `scatter`.

    The cost has many local minima, and it is not differentiable where a row changes from one regime
    of the model to another. So the corners of the model are rounded, widely at first (graduated
    non-convexity: Blake and Zisserman 1987, Visual Reconstruction), and each descent starts where
    the previous one ended. A descent uses Newton's method in a trust region
    (`scipy.optimize.minimize`; Conn, Gould and Toint 2000), with Gauss-Newton second derivatives
    while the corners are wide. The solution therefore depends neither on the start nor on the order
    of floating-point additions.

    The posterior is the normal distribution with precision ``J' W J + I``, widened if the residuals
    scatter more than stated. A note is shown if the descent did not converge.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.calibration import fit, load_measurements
    >>> from clustersim.performance import default_calibration
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512, "step_time_s": 46.0}
    >>> pd.DataFrame([row]).to_csv("mine.csv", index=False)
    >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
    >>> rows, seconds, scatter = measured.fitted
    >>> found = fit(rows, seconds, scatter, start=default_calibration())
    >>> found.residuals.shape
    (1,)
    """
    keys = keys_of(rows)
    effects = np.zeros(len(keys))
    if start is not None:
        known = dict(zip(start.keys, start.mean, strict=True))
        effects = np.array([known.get(key, 0.0) for key in keys])
    problem = FitProblem(rows, seconds, 1.0 / scatter, keys, NARROW[-1][0])
    effects, evaluations = descend(problem, effects, NARROW if start else WIDE + NARROW)
    cost = problem.cost(effects)
    calibration = _posterior(problem, effects)
    problem.corner = 0.0
    residuals = problem.residuals(effects) * scatter
    return Fit(calibration, residuals, evaluations, cost)


def descend(
    problem: FitProblem, effects: Floats, corners: Sequence[tuple[float, float]]
) -> tuple[Floats, int]:
    """Minimise the cost with successively narrower corners.

    Returns
    -------
    array, shape (K,)
        The effects at the solution.
    int
        Number of evaluations of the cost.
    """
    evaluations = 0
    for problem.corner, rest in corners:
        exact = (problem.corner, rest) in NARROW
        solution = minimize(
            problem.cost,
            effects,
            jac=problem.gradient,
            hess=problem.hessian if exact else problem.gauss_newton,
            method="trust-exact",
            options=cast(Any, {"gtol": rest, "maxiter": MOST_STEPS, **TRUST}),
        )
        effects, evaluations = solution.x, evaluations + int(solution.nfev)
    left = float(np.linalg.norm(problem.gradient(effects)))
    if left <= REST_AT_WORST:
        effects = _settled(problem, effects)
    else:
        note(
            f"The fit did not converge: the norm of its gradient is {left:.2g}, but at most "
            f"{REST_AT_WORST:g} is allowed; its coefficients may be inaccurate."
        )
    return effects, evaluations


def _settled(problem: FitProblem, effects: Floats) -> Floats:
    """Return the effects after further Newton steps, which use only the gradient.

    Near the minimum, rounding hides differences in the cost.
    """
    try:
        factors = cho_factor(problem.hessian(effects))
    except (np.linalg.LinAlgError, ValueError):  # a saddle point, or not a number
        note("The fit did not end at a minimum of its cost; its coefficients may be inaccurate.")
        return effects
    gradient = problem.gradient(effects)
    while True:
        ahead = effects - cho_solve(factors, gradient, check_finite=False)
        left = problem.gradient(ahead)
        if not np.linalg.norm(left) < 0.5 * np.linalg.norm(gradient):
            return effects
        effects, gradient = ahead, left


def _posterior(problem: FitProblem, effects: Floats) -> Calibration:
    """Return the calibration at a solution, with the Gauss-Newton covariance of the effects.

    The covariance is widened if the residuals scatter more than stated.
    """
    count = len(problem.rows)
    residuals = problem.residuals(effects)
    weights = loss(residuals)[1]
    data = problem.jacobian(effects) * np.sqrt(weights)[:, None]
    _, singular, directions = np.linalg.svd(data, full_matrices=False)
    strength = singular**2
    effective = float(np.sum(strength / (1.0 + strength)))
    chi2 = float(np.sum(weights * residuals**2))
    overdispersion = np.sqrt(max(1.0, chi2 / max(count - effective, 1.0)))
    kept = strength > LEAST_STRENGTH
    basis = directions[kept].T
    basis *= np.where(basis[np.argmax(np.abs(basis), axis=0), np.arange(basis.shape[1])] < 0, -1, 1)
    return Calibration(
        keys=problem.keys,
        mean=effects,
        centre=effects,
        strength=strength[kept],
        basis=basis,
        scatter=Scatter({"base": float(np.log(np.median(1.0 / problem.weight)))}),
        coverage_factor=NORMAL_COVERAGE_FACTOR,
        overdispersion=float(overdispersion),
        facts={"effective_parameters": round(effective, 1), "rows": count},
    )


def recentred(calibration: Calibration, rows: Timed, scatter: Floats) -> Calibration:
    """Move the centre of the draws so that their mean step times match the posterior mean.

    Gauss-Newton steps, with the prior, reduce the mean logarithm of drawn over expected step time
    of each row towards 0. The slopes are those of the mean over some draws.

    Parameters
    ----------
    calibration : Calibration
    rows : Timed
        The fitted rows.
    scatter : array, shape (R,)
    """
    expected = log_seconds_in(calibration.mean_draw(), rows)
    weight = 1.0 / scatter
    problem = FitProblem(rows, np.exp(expected), weight, calibration.keys, NARROW[-1][0])
    effects = calibration.draw(SLOPE_DRAWS).effects
    drawn_effects = (
        np.array([effects[key] for key in calibration.keys]) / calibration.spreads[:, None]
    )
    slopes = np.mean([problem.jacobian(column) for column in drawn_effects.T], axis=0)
    system = slopes.T @ slopes + np.eye(len(calibration.keys))
    for _ in range(CENTRING_STEPS):
        drawn = log_seconds_in(calibration.draw(CENTRING_DRAWS), rows)
        bias = (drawn.mean(axis=0) - expected) / scatter
        shift = np.linalg.solve(system, slopes.T @ bias)
        calibration = dataclasses.replace(calibration, centre=calibration.centre - shift)
    return calibration


def log_seconds_in(draw: CoefficientDraw, rows: Timed) -> Floats:
    """Return the log seconds of rows with drawn coefficients.

    The result is an array of shape (rows,) or (draws, rows).
    """
    return rows.log_seconds(draw.coefficients(rows.labels))
