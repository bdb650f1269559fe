"""The fit of the scatter and of the coverage factor to the errors of rows that were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import minimize

from clustersim.array_types import Bools, Floats
from clustersim.performance.scatter import Scatter

__all__ = ["COVERED", "LeftOutErrors", "fit_coverage", "fit_scatter"]


COVERED = 0.9
TAIL = 4.0
"""Degrees of freedom of the t distribution of errors; fitted to the project's rows, it is 4.1."""
FIRST = {"base": -3.0}
"""Where the descent starts, and the prior mean; 0 for all other unknowns."""
WIDENING = ("mixture", "new release", "new chip")
"""Contributions that cannot be negative: what is not known never narrows an interval."""
PRIOR = {"base": 5.0, **dict.fromkeys(WIDENING, 0.7)}
LARGEST = 20.0
"""Largest logarithm of a scatter or factor that the descent evaluates; it avoids overflow."""
GROUP_PRIOR = 0.4
"""Prior standard deviation of the contribution of an architecture."""
FACTOR_PRIOR = 0.3
"""Prior standard deviation of the logarithms of the factor on the spread of dense models, and of
that of mixtures over it."""


@dataclass(frozen=True)
class LeftOutErrors:
    """Errors of rows that were left out; sequences have the length N.

    Attributes
    ----------
    log_error : array
        Logarithm of predicted over measured step time.
    spread : array
        Standard deviation of the logarithm according to the fit.
    weights : sequence of mapping of str to float
        As returned by :func:`clustersim.performance.scatter.contributions_of`, with the runs of the
        fit that did not use the row.
    """

    log_error: Floats
    spread: Floats
    weights: Sequence[Mapping[str, float]]

    def take(self, chosen: Bools) -> LeftOutErrors:
        """Return the rows where `chosen` is true."""
        places = np.flatnonzero(chosen)
        weights = [self.weights[place] for place in places.tolist()]
        return LeftOutErrors(self.log_error[chosen], self.spread[chosen], weights)

    @classmethod
    def together(cls, parts: Sequence[LeftOutErrors]) -> LeftOutErrors:
        """Concatenate several sets of errors."""
        return cls(
            np.concatenate([part.log_error for part in parts]),
            np.concatenate([part.spread for part in parts]),
            [row for part in parts for row in part.weights],
        )


def fit_scatter(errors: LeftOutErrors) -> Scatter:
    """Fit the contributions to the scatter by maximum likelihood with priors.

    An error has a t distribution with :data:`TAIL` degrees of freedom, centred at 0, whose scale is
    :meth:`clustersim.performance.scatter.Scatter.deviation`. Dense models and mixtures have factors
    of their own on the spread: the errors on publishers that the fit does not know are larger, in
    relation to what it says of its uncertainty, for dense models than for mixtures.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> rows = [{"base": 1.0, "mixture": float(row % 2)} for row in range(2000)]
    >>> size = np.array([0.03 if row["mixture"] == 0.0 else 0.09 for row in rows])
    >>> error = size * generator.standard_t(TAIL, size.size)
    >>> found = fit_scatter(LeftOutErrors(error, np.zeros(size.size), rows))
    >>> found.of(rows[:2]).round(2).tolist()
    [0.03, 0.09]
    """
    names = list(dict.fromkeys(name for row in errors.weights for name in sorted(row)))
    design = np.array([[row.get(name, 0.0) for name in names] for row in errors.weights])
    mixture = [row.get("mixture", 0.0) > 0.0 for row in errors.weights]
    kinds = np.column_stack([np.ones(len(mixture)), mixture])
    first = [FIRST.get(name, 0.0) for name in names]
    centre = np.append(first, [0.0, 0.0])
    prior = np.append([PRIOR.get(name, GROUP_PRIOR) for name in names], [FACTOR_PRIOR] * 2)

    def cost(values: Floats) -> tuple[float, Floats]:
        scatter = np.exp(2.0 * np.minimum(design @ values[:-2], LARGEST))
        stated = np.exp(2.0 * np.minimum(kinds @ values[-2:], LARGEST)) * errors.spread**2
        variance = scatter + stated
        square = errors.log_error**2 / variance
        log_density = -0.5 * (TAIL + 1.0) * np.log1p(square / TAIL) - 0.5 * np.log(variance)
        slope = ((TAIL + 1.0) * square / (TAIL + square) - 1.0) / variance
        gradient = -np.append(design.T @ (slope * scatter), kinds.T @ (slope * stated))
        away = (values - centre) / prior
        return float(0.5 * away @ away - log_density.sum()), gradient + away / prior

    bounds = [(0.0 if name in WIDENING else None, None) for name in names] + [(None, None)] * 2
    options = cast(Any, {"gtol": 1e-6, "ftol": 1e-12, "maxiter": 1000})
    found = minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    contributions = dict(zip(names, np.round(found[:-2], 4).tolist(), strict=True))
    dense, of_mixtures = np.round(np.exp(np.cumsum(found[-2:])), 4).tolist()
    return Scatter(contributions, dense, of_mixtures)


def fit_coverage(errors: LeftOutErrors, scatter: Scatter) -> float:
    """Return the half width, in standard deviations, that covers 90 % of the errors.

    Examples
    --------
    >>> errors = LeftOutErrors(np.linspace(0.0, 0.1, 101), np.zeros(101), [{"base": 1.0}] * 101)
    >>> round(fit_coverage(errors, Scatter({"base": float(np.log(0.1))})), 3)
    0.9
    """
    size = np.abs(errors.log_error) / scatter.deviation(errors.spread, errors.weights)
    return float(np.quantile(size, COVERED))
