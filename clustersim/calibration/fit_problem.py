"""The cost that a fit of the coefficients minimises, and its derivatives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags_array, vstack

from clustersim.array_types import Floats
from clustersim.calibration.timed import Timed
from clustersim.performance.coefficient_draw import Key, is_unknown
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.parameters import LEVELS, PARAMETERS

__all__ = ["FitProblem", "design_matrices", "keys_of", "log_seconds", "loss"]

OUTLIER = 2.0
"""Residuals beyond this many standard deviations have a linear loss (soft L1)."""
STEP = 1e-5
BEND = 2e-4
"""Steps of the first and second differences, on the unbounded scale."""


class FitProblem:
    """The cost that a fit minimises, as a function of the effects in units of their prior spread.

    The cost is half of ``sum rho(r_i**2) + sum z_k**2``. The corners of the model are rounded by
    `corner` (:mod:`clustersim.network.corners`); otherwise the cost would have no gradient if a
    measurement were on a corner.
    """

    def __init__(
        self, rows: Timed, seconds: Floats, weight: Floats, keys: tuple[Key, ...], corner: float
    ) -> None:
        self.rows = rows
        self.observed = np.log(seconds)
        self.weight = weight
        self.keys = keys
        self.corner = corner
        designs = design_matrices(rows, keys)
        self.designs = [designs[parameter.name] for parameter in PARAMETERS]
        self.moving = [place for place, design in enumerate(self.designs) if design.nnz]
        """Indices of the coefficients on which at least one row depends."""
        self.stacked = csr_matrix(vstack([self.designs[place] for place in self.moving]))

    def unbounded(self, effects: Floats) -> Floats:
        """Return the unbounded coefficients of rows, as an array of shape (parameters, rows)."""
        pairs = zip(PARAMETERS, self.designs, strict=True)
        return np.stack([parameter.centre + design @ effects for parameter, design in pairs])

    def residuals(self, effects: Floats) -> Floats:
        """Return log(predicted over measured seconds) over its scatter for each row."""
        predicted = log_seconds(self.rows, self.unbounded(effects), self.corner)
        return (predicted - self.observed) * self.weight

    def cost(self, effects: Floats) -> float:
        """Return half of the weighted sum of squares, including the priors."""
        return float(np.sum(loss(self.residuals(effects))[0]) + effects @ effects) / 2.0

    def gradient(self, effects: Floats) -> Floats:
        """Return the derivative of the cost with respect to each effect."""
        residuals = self.residuals(effects)
        pull = loss(residuals)[1] * residuals * self.weight
        result: Floats = self.stacked.T @ (self.slopes(effects) * pull).ravel() + effects
        return result

    def slopes(self, effects: Floats) -> Floats:
        """Return the derivatives of the log seconds by the `moving` coefficients.

        The result is an array of shape (moving, rows).
        """
        single = [[(place, step)] for step in (STEP, -STEP) for place in self.moving]
        ahead, behind = np.split(self._moved(self.unbounded(effects), single), 2)
        return (ahead - behind) / (2.0 * STEP)

    def jacobian(self, effects: Floats) -> Floats:
        """Return the derivatives of the residuals, as an array of shape (rows, effects)."""
        slopes = self.slopes(effects) * self.weight
        parts = zip(slopes, self.moving, strict=True)
        data = sum(diags_array(slope) @ self.designs[place] for slope, place in parts)
        result: Floats = csr_matrix(data).toarray()
        return result

    def gauss_newton(self, effects: Floats) -> Floats:
        """Return the Gauss-Newton approximation of :meth:`hessian`, with the same shape.

        It omits the second derivatives of the rows. It is cheaper to compute and always positive
        definite.
        """
        slopes = self.jacobian(effects)
        weights = loss(self.residuals(effects))[1]
        result: Floats = slopes.T @ (weights[:, None] * slopes) + np.eye(effects.size)
        return result

    def hessian(self, effects: Floats) -> Floats:
        """Return the second derivatives of the cost, as an array of shape (effects, effects).

        The second derivatives of each row with respect to its few coefficients are finite
        differences; the design matrices map them to the effects.
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
        bent: Floats = (self.stacked.T @ (among.tocsr() @ self.stacked)).toarray()
        result: Floats = (bent + bent.T) / 2.0 + np.eye(effects.size)
        return result

    def _moved(self, unbounded: Floats, moves: Sequence[Sequence[tuple[int, float]]]) -> Floats:
        """Return the log seconds after some coefficients are moved.

        The result is an array of shape (moves, rows).
        """
        moved = np.repeat(unbounded[:, None, :], len(moves), axis=1)
        for variant, steps in enumerate(moves):
            for place, step in steps:
                moved[place, variant] += step
        return log_seconds(self.rows, moved, self.corner)


def loss(residuals: Floats) -> Floats:
    """Return the soft L1 loss of squared residuals and its first two derivatives.

    The result is an array of shape (3, R).
    """
    root = np.sqrt(1.0 + (residuals / OUTLIER) ** 2)
    squares = 2.0 * OUTLIER**2 * (root - 1.0)
    return np.stack([squares, 1.0 / root, -0.5 / (root**3 * OUTLIER**2)])


def log_seconds(rows: Timed, unbounded: Floats, corner: float = 0.0) -> Floats:
    """Return the logarithm of each row's seconds for coefficients on the unbounded scale.

    `unbounded` has the shape (parameters, rows), or an additional axis of variants in between. The
    corners of the model are rounded with the width `corner`.
    """
    values = [
        parameter.natural(column) for parameter, column in zip(PARAMETERS, unbounded, strict=True)
    ]
    return rows.log_seconds(dataclasses.replace(Coefficients(*values), corner=corner))


def keys_of(rows: Timed) -> tuple[Key, ...]:
    """Return the keys of all effects that at least one row has, in a fixed order."""
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
    """Return, for each parameter, the prior spreads of its effects as a sparse matrix.

    A matrix has the shape (rows, effects)."""
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
