"""The fit of all coefficients to measured step times and microbenchmarks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix, diags_array, eye_array, vstack

from clustersim.calibration.timed import Timed
from clustersim.performance.calibration import Calibration
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.parameters import LEVELS, PARAMETERS
from clustersim.performance.world import Key, World, is_unknown

__all__ = ["Fit", "fit", "recentred"]

Array = NDArray[np.float64]

OUTLIER = 2.0
"""Residuals beyond this many standard deviations count linearly (soft L1 loss)."""
STEP = 1e-5
"""Of the finite differences, on the unbounded scale."""
MOST_EVALUATIONS = 300
NORMAL_REACH = 1.645
"""Half width of a 90 % interval of the normal distribution, in standard deviations."""
CENTRING_DRAWS = 256
CENTRING_STEPS = 3
LEAST_STRENGTH = 0.02
"""Directions about which the measurements say less than this against the prior are left to it."""


@dataclass(frozen=True)
class Fit:
    """A finished fit.

    Attributes
    ----------
    calibration : Calibration
    residuals : array, shape (N,)
        Logarithm of predicted over measured seconds of the rows that it was fitted on.
    evaluations : int
    cost : float
        Half of the weighted sum of squares, priors included.
    """

    calibration: Calibration
    residuals: Array
    evaluations: int
    cost: float


class _Problem:
    """Residuals and their derivatives in the effects, each in units of its prior spread."""

    def __init__(self, rows: Timed, seconds: Array, weight: Array, keys: tuple[Key, ...]) -> None:
        self.rows = rows
        self.observed = np.log(seconds)
        self.weight = weight
        self.keys = keys
        self.designs = design_matrices(rows, keys)

    def unbounded(self, effects: Array) -> Array:
        """Coefficients of each row on the unbounded scale, shape (parameters, rows)."""
        return np.stack(
            [parameter.centre + self.designs[parameter.name] @ effects for parameter in PARAMETERS]
        )

    def residuals(self, effects: Array) -> Array:
        predicted = log_seconds(self.rows, self.unbounded(effects))
        return np.concatenate([(predicted - self.observed) * self.weight, effects])

    def jacobian(self, effects: Array) -> csr_matrix:
        """Derivatives: each effect moves one coefficient of the rows that it belongs to."""
        unbounded = self.unbounded(effects)
        count = len(PARAMETERS)
        moved = np.repeat(unbounded[:, None, :], count + 1, axis=1)
        for place in range(count):
            moved[place, place] += STEP
        seconds = log_seconds(self.rows, moved)
        slopes = (seconds[:count] - seconds[count]) / STEP
        data = sum(
            diags_array(self.weight * slopes[place]) @ self.designs[parameter.name]
            for place, parameter in enumerate(PARAMETERS)
        )
        return csr_matrix(vstack([data, eye_array(effects.size)]))

    def loss(self, squares: Array) -> Array:
        """Soft L1 for the measurements, plain squares for the priors; as scipy asks for it."""
        rows = len(self.rows)
        result = np.stack([squares, np.ones(squares.size), np.zeros(squares.size)])
        scaled = squares[:rows] / OUTLIER**2
        root = np.sqrt(1.0 + scaled)
        result[0, :rows] = 2.0 * OUTLIER**2 * (root - 1.0)
        result[1, :rows] = 1.0 / root
        result[2, :rows] = -0.5 / (root**3 * OUTLIER**2)
        return result


def log_seconds(rows: Timed, unbounded: Array) -> Array:
    """Logarithm of the seconds of each row for its coefficients on the unbounded scale.

    `unbounded` has the shape (parameters, rows), or an axis of variants between the two.
    """
    values = [
        parameter.natural(column) for parameter, column in zip(PARAMETERS, unbounded, strict=True)
    ]
    return rows.log_seconds(Coefficients(*values))


def keys_of(rows: Timed) -> tuple[Key, ...]:
    """Every effect that some row has, in a fixed order."""
    keys = []
    for parameter in PARAMETERS:
        dependent = rows.labels_with(parameter.name)
        for place, level in enumerate(LEVELS):
            if parameter.spread.get(level, 0.0) > 0:
                labels = sorted({labels[place] for labels in dependent})
                keys += [
                    (parameter.name, level, label)
                    for label in labels
                    if not is_unknown(level, label)
                ]
    return tuple(keys)


def design_matrices(rows: Timed, keys: tuple[Key, ...]) -> Mapping[str, csr_matrix]:
    """For each parameter a sparse (rows, effects) matrix of the prior spreads of its effects."""
    place_of = {key: place for place, key in enumerate(keys)}
    matrices = {}
    for parameter in PARAMETERS:
        entries = [
            (row, place_of[key], parameter.spread[level])
            for row, labels in enumerate(rows.labels)
            for level, label in zip(LEVELS, labels, strict=True)
            if (key := (parameter.name, level, label)) in place_of
        ]
        row_index, column, value = zip(*entries, strict=True) if entries else ((), (), ())
        matrices[parameter.name] = csr_matrix(
            (np.array(value, dtype=np.float64), (row_index, column)), shape=(len(rows), len(keys))
        )
    return matrices


def fit(
    rows: Timed,
    seconds: Array,
    scatter: Array,
    *,
    start: Calibration | None = None,
) -> Fit:
    """Fit all coefficients by robust least squares about their priors.

    Parameters
    ----------
    rows : Timed
        Training runs, microbenchmarks, or both (:class:`clustersim.calibration.timed.Joint`).
    seconds : array, shape (R,)
        Measured, of a step or of what a microbenchmark does.
    scatter : array, shape (R,)
        How far each measurement may be off (standard deviation of the logarithm).
    start : Calibration, optional
        Where to start (for folds of a cross-validation).

    Returns
    -------
    Fit

    Notes
    -----
    Minimises ``sum rho(r_i^2) + sum z_k^2`` over the effects z in units of their prior spreads, by
    the trust region method of `scipy.optimize.least_squares`; r are the logarithms of predicted
    over measured seconds over `scatter`. The posterior is the normal distribution whose
    precision is ``J' W J + I``, widened to the residuals where these scatter more than stated.
    """
    keys = keys_of(rows)
    problem = _Problem(rows, seconds, 1.0 / scatter, keys)
    first = np.zeros(len(keys))
    if start is not None:
        known = dict(zip(start.keys, start.mean, strict=True))
        first = np.array([known.get(key, 0.0) for key in keys])
    solution = least_squares(
        problem.residuals,
        first,
        jac=problem.jacobian,
        loss=cast(Any, problem.loss),
        method="trf",
        tr_solver="lsmr",
        x_scale=1.0,
        ftol=1e-7,
        xtol=1e-7,
        gtol=1e-6,
        max_nfev=MOST_EVALUATIONS,
    )
    calibration = _posterior(problem, solution.x)
    residuals = problem.residuals(solution.x)[: len(rows)] * scatter
    return Fit(calibration, residuals, int(solution.nfev), float(solution.cost))


def _posterior(problem: _Problem, effects: Array) -> Calibration:
    """Gauss-Newton covariance at the solution, widened to the residuals."""
    count = len(problem.rows)
    residuals = problem.residuals(effects)[:count]
    weights = problem.loss(np.concatenate([residuals, effects]) ** 2)[1, :count]
    data = problem.jacobian(effects)[:count].toarray() * np.sqrt(weights)[:, None]
    _, singular, directions = np.linalg.svd(data, full_matrices=False)
    strength = singular**2
    told = float(np.sum(strength / (1.0 + strength)))
    chi2 = float(np.sum(weights * residuals**2))
    widening = np.sqrt(max(1.0, chi2 / max(count - told, 1.0)))
    kept = strength > LEAST_STRENGTH
    basis = directions[kept].T
    basis *= np.where(basis[np.argmax(np.abs(basis), axis=0), np.arange(basis.shape[1])] < 0, -1, 1)
    return Calibration(
        keys=problem.keys,
        mean=effects,
        centre=effects,
        strength=strength[kept],
        basis=basis,
        scatter={"": float(np.median(1.0 / problem.weight))},
        reach=NORMAL_REACH,
        widening=float(widening),
        facts={"effective_parameters": round(told, 1), "rows": count},
    )


def recentred(calibration: Calibration, rows: Timed, scatter: Array) -> Calibration:
    """Move the centre of draws so that drawn step times average to those of the posterior mean.

    Gauss-Newton steps towards a mean of nought of the logarithm of drawn over expected step time
    of each row, about the prior.

    Parameters
    ----------
    calibration : Calibration
    rows : Timed
        The rows that it was fitted on.
    scatter : array, shape (R,)
    """
    expected = log_seconds_in(calibration.world(), rows)
    problem = _Problem(rows, np.exp(expected), 1.0 / scatter, calibration.keys)
    slopes = problem.jacobian(calibration.mean)[: len(rows)].toarray()
    system = slopes.T @ slopes + np.eye(len(calibration.keys))
    for _ in range(CENTRING_STEPS):
        drawn = log_seconds_in(calibration.draw(CENTRING_DRAWS), rows)
        bias = (drawn.mean(axis=0) - expected) / scatter
        shift = np.linalg.solve(system, slopes.T @ bias)
        calibration = dataclasses.replace(calibration, centre=calibration.centre - shift)
    return calibration


def log_seconds_in(world: World, rows: Timed) -> Array:
    """Logarithm of the seconds of some rows in a world, shape (rows,) or (draws, rows)."""
    return rows.log_seconds(world.coefficients(rows.labels))
