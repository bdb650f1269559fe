"""Sobol indices: the contributions of parameters to the variance of a result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown

__all__ = ["SobolIndices", "sobol_design", "sobol_indices"]


@dataclass(frozen=True, slots=True)
class SobolIndices:
    """Shares of the variance of a result by parameter, each with its bootstrap interval.

    Attributes
    ----------
    first, first_low, first_high : array (parameters,)
        First-order index: the share that the parameter explains alone.
    total, total_low, total_high : array (parameters,)
        Total index: the share that the parameter explains alone and in interaction with others.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.analysis.sensitivity import sobol_design, sobol_indices
    >>> seed = np.random.SeedSequence(1)
    >>> points = sobol_design(2, 64, seed)
    >>> indices = sobol_indices(points[:, 0] + 0.1 * points[:, 1], 2, rng=seed)
    >>> bool(indices.first[0] > indices.first[1])
    True
    """

    first: Floats
    first_low: Floats
    first_high: Floats
    total: Floats
    total_low: Floats
    total_high: Floats


def sobol_design(
    n_parameters: int, points: int, rng: np.random.Generator | np.random.SeedSequence
) -> Floats:
    """Return the points at which to evaluate a model for its Sobol indices.

    A scrambled Sobol sequence with two dimensions per parameter gives the matrices A and B.  AB_i
    is A with its i-th column replaced by the i-th column of B (Saltelli et al., "Variance based
    sensitivity analysis of model output", Computer Physics Communications 181, 2010).

    Parameters
    ----------
    n_parameters : int
    points : int
        Number of rows of A, a power of two.
    rng : Generator or SeedSequence
        Source of randomness for the scrambling.

    Returns
    -------
    array (points * (n_parameters + 2), n_parameters)
        Points in [0, 1): the rows of A, B, AB_1, ..., AB_d.

    Raises
    ------
    InputError
        If `points` is not a power of two, or there is no parameter.

    Examples
    --------
    >>> sobol_design(3, 8, np.random.SeedSequence(1)).shape
    (40, 3)
    """
    from scipy.stats import qmc  # slow to import

    if n_parameters < 1:
        raise InputError(
            "sensitivity", f"parameters: must be 1 or more, found {shown(n_parameters)}"
        )
    if points < 1 or points & (points - 1):
        raise InputError("sensitivity", f"points: must be a power of two, found {shown(points)}")
    sequence = qmc.Sobol(2 * n_parameters, scramble=True, rng=np.random.default_rng(rng))
    both = sequence.random_base2(points.bit_length() - 1)
    a, b = both[:, :n_parameters], both[:, n_parameters:]
    blocks = np.tile(a, (n_parameters + 2, 1, 1))
    blocks[1] = b
    for index in range(n_parameters):
        blocks[2 + index, :, index] = b[:, index]
    return blocks.reshape(-1, n_parameters)


def sobol_indices(
    values: npt.ArrayLike,
    n_parameters: int,
    *,
    rng: np.random.Generator | np.random.SeedSequence,
    level: float = 0.95,
    resamples: int = 999,
) -> SobolIndices:
    """Estimate first-order and total Sobol indices.

    The estimators are (b) and (f) of table 2 of Saltelli et al. (2010), applied to the values minus
    their mean, as in `scipy.stats.sobol_indices`.  The intervals are bootstrap percentiles over the
    points of the design (Archer, Saltelli & Sobol', J. Statistical Computation and Simulation 58,
    1997).

    Parameters
    ----------
    values : array_like (points * (n_parameters + 2),)
        Results at the points of :func:`sobol_design`, in its order.  A point of A is ignored if
        one of the ``n_parameters + 2`` results that belong to it is NaN.
    n_parameters : int
    rng : Generator or SeedSequence
        Source of randomness for the bootstrap.
    level : float
        Confidence level.
    resamples : int

    Returns
    -------
    SobolIndices
        All NaN if the result does not vary, or if a value is infinite.

    Raises
    ------
    InputError
        If the number of values is not a multiple of ``n_parameters + 2``.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.analysis.sensitivity import sobol_design, sobol_indices
    >>> seed = np.random.SeedSequence(1)
    >>> points = sobol_design(2, 64, seed)
    >>> indices = sobol_indices(points[:, 0] + 0.1 * points[:, 1], 2, rng=seed)
    >>> indices.first.round(2).tolist()
    [0.99, 0.01]
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0 or len(numbers) % (n_parameters + 2):
        problem = (
            f"the number of values must be a positive multiple of {n_parameters + 2} "
            f"({n_parameters} parameters + 2), found {len(numbers)}"
        )
        raise InputError("sensitivity", problem)
    blocks = numbers.reshape(n_parameters + 2, -1)
    blocks = blocks[:, ~np.isnan(blocks).any(axis=0)]
    points = blocks.shape[1]
    if points == 0 or not np.isfinite(blocks).all() or np.ptp(blocks[:2]) == 0:
        return SobolIndices(*np.full((6, n_parameters), np.nan))
    drawn = np.random.default_rng(rng).multinomial(points, np.full(points, 1 / points), resamples)
    first, total = _indices(blocks, np.vstack([np.ones(points), drawn]) / points)
    ends = (0.5 - level / 2, 0.5 + level / 2)
    first_low, first_high = np.quantile(first[1:], ends, axis=0)
    total_low, total_high = np.quantile(total[1:], ends, axis=0)
    return SobolIndices(first[0], first_low, first_high, total[0], total_low, total_high)


def _indices(blocks: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the first-order and the total indices, each of shape (samples, parameters).

    `weights` has the shape (samples, points).
    """
    a, b, *mixed = blocks - blocks[:2].mean()
    ab = np.stack(mixed)
    variance = weights @ (0.5 * (a**2 + b**2)) - (weights @ (0.5 * (a + b))) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        first = weights @ (b * (ab - a)).T / variance[:, None]
        total = weights @ (0.5 * (a - ab) ** 2).T / variance[:, None]
    return first, total
