"""The fit of all coefficients to measured step times and microbenchmarks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.sparse import coo_matrix, csr_matrix, diags_array, vstack

from clustersim.calibration.timed import Timed
from clustersim.notes import note
from clustersim.performance.calibration import Calibration
from clustersim.performance.coefficient_draw import CoefficientDraw, Key, is_unknown
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.parameters import LEVELS, PARAMETERS

__all__ = ["Fit", "fit", "recentred"]

Array = NDArray[np.float64]

OUTLIER = 2.0
"""Residuals beyond this many standard deviations count linearly (soft L1 loss)."""
STEP = 1e-5
BEND = 2e-4
"""Of the first and second differences, on the unbounded scale."""
WIDE = ((1.0, 1.0), (0.3, 1.0), (0.1, 0.5))
NARROW = ((0.03, 0.1), (0.01, 1e-5))
"""Widths to which the corners of the model are rounded, one descent after the other, and the norm
of the gradient at which each rests. The last width moves no step time by more than about 0.2 %."""
TRUST = {"initial_trust_radius": 3.0, "max_trust_radius": 30.0}
"""Prior spreads by which all effects together may move in one step."""
MOST_STEPS = 200
REST_AT_WORST = 1e-3
"""Of the norm of the gradient at the end; the effects are then off by no more of their spread."""
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
    """What a fit minimises, in the effects, each in units of its prior spread.

    Half of ``sum rho(r_i**2) + sum z_k**2`` with its derivatives; the corners of the model are
    rounded by `corner` (:mod:`clustersim.network.corners`), without which it had no gradient where
    a measurement lies on one of them.
    """

    def __init__(
        self, rows: Timed, seconds: Array, weight: Array, keys: tuple[Key, ...], corner: float
    ) -> None:
        self.rows = rows
        self.observed = np.log(seconds)
        self.weight = weight
        self.keys = keys
        self.corner = corner
        designs = design_matrices(rows, keys)
        self.designs = [designs[parameter.name] for parameter in PARAMETERS]
        self.moving = [place for place, design in enumerate(self.designs) if design.nnz]
        """Places of the coefficients that some row depends on."""
        self.stacked = csr_matrix(vstack([self.designs[place] for place in self.moving]))

    def unbounded(self, effects: Array) -> Array:
        """Coefficients of each row on the unbounded scale, shape (parameters, rows)."""
        pairs = zip(PARAMETERS, self.designs, strict=True)
        return np.stack([parameter.centre + design @ effects for parameter, design in pairs])

    def residuals(self, effects: Array) -> Array:
        """Logarithm of predicted over measured seconds in units of its scatter, shape (rows,)."""
        predicted = log_seconds(self.rows, self.unbounded(effects), self.corner)
        return (predicted - self.observed) * self.weight

    def cost(self, effects: Array) -> float:
        """Half of the weighted sum of squares, priors included."""
        return float(np.sum(loss(self.residuals(effects))[0]) + effects @ effects) / 2.0

    def gradient(self, effects: Array) -> Array:
        """Derivative of the cost in each effect."""
        residuals = self.residuals(effects)
        pull = loss(residuals)[1] * residuals * self.weight
        result: Array = self.stacked.T @ (self.slopes(effects) * pull).ravel() + effects
        return result

    def slopes(self, effects: Array) -> Array:
        """Derivatives of the rows in their moving coefficients, shape (moving, rows)."""
        single = [[(place, step)] for step in (STEP, -STEP) for place in self.moving]
        ahead, behind = np.split(self._moved(self.unbounded(effects), single), 2)
        return (ahead - behind) / (2.0 * STEP)

    def jacobian(self, effects: Array) -> Array:
        """Derivatives of the residuals, shape (rows, effects)."""
        slopes = self.slopes(effects) * self.weight
        parts = zip(slopes, self.moving, strict=True)
        data = sum(diags_array(slope) @ self.designs[place] for slope, place in parts)
        result: Array = csr_matrix(data).toarray()
        return result

    def gauss_newton(self, effects: Array) -> Array:
        """Second derivatives without those of the rows: cheaper, and never negative."""
        slopes = self.jacobian(effects)
        weights = loss(self.residuals(effects))[1]
        result: Array = slopes.T @ (weights[:, None] * slopes) + np.eye(effects.size)
        return result

    def hessian(self, effects: Array) -> Array:
        """Second derivatives of the cost, shape (effects, effects).

        Those of each row in its own few coefficients are differences; the designs spread them
        over the effects.
        """
        residuals = self.residuals(effects)
        _, first, second = loss(residuals)
        pull = first * residuals * self.weight
        bend = (first + 2.0 * second * residuals**2) * self.weight**2
        unbounded, count = self.unbounded(effects), len(self.moving)
        single = [[(place, step)] for step in (BEND, -BEND) for place in self.moving]
        here = self._moved(unbounded, [[]])[0]
        ahead, behind = np.split(self._moved(unbounded, single), 2)
        slopes = (ahead - behind) / (2.0 * BEND)
        table = slopes[:, None] * slopes * bend
        for one, place in enumerate(self.moving):
            pairs = [[(place, BEND), (other, BEND)] for other in self.moving[one + 1 :]]
            table[one, one] += pull * (ahead[one] - 2.0 * here + behind[one]) / BEND**2
            if pairs:
                both = self._moved(unbounded, pairs) - ahead[one] - ahead[one + 1 :] + here
                table[one, one + 1 :] += pull * both / BEND**2
                table[one + 1 :, one] = table[one, one + 1 :]
        rows = len(self.rows)
        block = np.arange(count * rows).reshape(count, rows)
        row, column = (np.broadcast_to(b, table.shape).ravel() for b in (block[:, None], block))
        among = coo_matrix((table.ravel(), (row, column)), shape=(count * rows, count * rows))
        bent: Array = (self.stacked.T @ (among.tocsr() @ self.stacked)).toarray()
        result: Array = (bent + bent.T) / 2.0 + np.eye(effects.size)
        return result

    def _moved(self, unbounded: Array, moves: Sequence[Sequence[tuple[int, float]]]) -> Array:
        """Logarithm of the seconds with some coefficients moved, shape (moves, rows)."""
        moved = np.repeat(unbounded[:, None, :], len(moves), axis=1)
        for variant, steps in enumerate(moves):
            for place, step in steps:
                moved[place, variant] += step
        return log_seconds(self.rows, moved, self.corner)


def loss(residuals: Array) -> Array:
    """Soft L1 of the squares of some residuals, and its two derivatives in these, shape (3, R)."""
    root = np.sqrt(1.0 + (residuals / OUTLIER) ** 2)
    squares = 2.0 * OUTLIER**2 * (root - 1.0)
    return np.stack([squares, 1.0 / root, -0.5 / (root**3 * OUTLIER**2)])


def log_seconds(rows: Timed, unbounded: Array, corner: float = 0.0) -> Array:
    """Logarithm of the seconds of each row for its coefficients on the unbounded scale.

    `unbounded` has the shape (parameters, rows), or an axis of variants between the two; the
    corners of the model are rounded to the width `corner`.
    """
    values = [
        parameter.natural(column) for parameter, column in zip(PARAMETERS, unbounded, strict=True)
    ]
    return rows.log_seconds(dataclasses.replace(Coefficients(*values), corner=corner))


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
        An end near which this one lies, as those of folds of a cross-validation lie near that of
        all rows: the descent over the wide corners is left out.

    Returns
    -------
    Fit

    Notes
    -----
    Minimises ``sum rho(r_i^2) + sum z_k^2`` over the effects z in units of their prior spreads; r
    are the logarithms of predicted over measured seconds over `scatter`. The cost has many local
    minima and is not differentiable where a row changes from one regime of the model to another, so
    the corners of the model are rounded, widely at first (graduated non-convexity: Blake and
    Zisserman 1987, Visual Reconstruction), and each descent starts where the one before ended:
    Newton's method in a trust region (`scipy.optimize.minimize`; Conn, Gould and Toint 2000), with
    the second derivatives of Gauss and Newton while the corners are wide. So the end depends
    neither on the start nor on the order in which a processor adds. The posterior is the normal
    distribution whose precision is ``J' W J + I``, widened to the residuals where these scatter
    more than stated. A note says where the descent did not come to rest.
    """
    keys = keys_of(rows)
    effects = np.zeros(len(keys))
    if start is not None:
        known = dict(zip(start.keys, start.mean, strict=True))
        effects = np.array([known.get(key, 0.0) for key in keys])
    problem = _Problem(rows, seconds, 1.0 / scatter, keys, NARROW[-1][0])
    effects, evaluations = descend(problem, effects, NARROW if start else WIDE + NARROW)
    cost = problem.cost(effects)
    calibration = _posterior(problem, effects)
    problem.corner = 0.0
    residuals = problem.residuals(effects) * scatter
    return Fit(calibration, residuals, evaluations, cost)


def descend(
    problem: _Problem, effects: Array, corners: Sequence[tuple[float, float]]
) -> tuple[Array, int]:
    """Minimise the cost over narrower and narrower corners.

    Returns
    -------
    array, shape (K,)
        The effects where it came to rest.
    int
        Evaluations of the cost.
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
            f"The fit did not come to rest: the norm of its gradient is {left:.2g}, where "
            f"{REST_AT_WORST:g} is allowed; its coefficients may differ a little elsewhere."
        )
    return effects, evaluations


def _settled(problem: _Problem, effects: Array) -> Array:
    """Follow the gradient to the end, where differences of the cost drown in its rounding."""
    try:
        factors = cho_factor(problem.hessian(effects))
    except (np.linalg.LinAlgError, ValueError):  # a saddle, or no number
        note(
            "The fit came to rest where its cost has no minimum; its coefficients may differ "
            "elsewhere."
        )
        return effects
    gradient = problem.gradient(effects)
    while True:
        ahead = effects - cho_solve(factors, gradient, check_finite=False)
        left = problem.gradient(ahead)
        if not np.linalg.norm(left) < 0.5 * np.linalg.norm(gradient):
            return effects
        effects, gradient = ahead, left


def _posterior(problem: _Problem, effects: Array) -> Calibration:
    """Gauss-Newton covariance at the solution, widened to the residuals."""
    count = len(problem.rows)
    residuals = problem.residuals(effects)
    weights = loss(residuals)[1]
    data = problem.jacobian(effects) * np.sqrt(weights)[:, None]
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
        coverage_factor=NORMAL_REACH,
        overdispersion=float(widening),
        facts={"effective_parameters": round(told, 1), "rows": count},
    )


def recentred(calibration: Calibration, rows: Timed, scatter: Array) -> Calibration:
    """Move the centre of draws so that drawn step times average to those of the posterior mean.

    Gauss-Newton steps towards a mean of 0 of the logarithm of drawn over expected step time
    of each row, about the prior.

    Parameters
    ----------
    calibration : Calibration
    rows : Timed
        The rows that it was fitted on.
    scatter : array, shape (R,)
    """
    expected = log_seconds_in(calibration.mean_draw(), rows)
    weight = 1.0 / scatter
    problem = _Problem(rows, np.exp(expected), weight, calibration.keys, NARROW[-1][0])
    slopes = problem.jacobian(calibration.mean)
    system = slopes.T @ slopes + np.eye(len(calibration.keys))
    for _ in range(CENTRING_STEPS):
        drawn = log_seconds_in(calibration.draw(CENTRING_DRAWS), rows)
        bias = (drawn.mean(axis=0) - expected) / scatter
        shift = np.linalg.solve(system, slopes.T @ bias)
        calibration = dataclasses.replace(calibration, centre=calibration.centre - shift)
    return calibration


def log_seconds_in(draw: CoefficientDraw, rows: Timed) -> Array:
    """Logarithm of the seconds of some rows in a draw, shape (rows,) or (draws, rows)."""
    return rows.log_seconds(draw.coefficients(rows.labels))
