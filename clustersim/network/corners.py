"""Minimum and maximum of two times, optionally with a rounded corner where they are equal.

The model uses sharp corners. A fit rounds them, because derivatives jump at a sharp corner: a row
whose measurement falls on the corner would keep the fit at the corner, and the optimiser would
alternate between the two sides.
"""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats

__all__ = ["larger", "smaller"]


def smaller(one: Floats, other: Floats | float, corner: Floats | float = 0.0) -> Floats:
    """Return the smaller of two quantities, rounded near the point where they are equal.

    Parameters
    ----------
    one, other : array
        Finite numbers, 0 or more.
    corner : float
        Width w of the corner; 0 means the plain minimum. If both quantities are equal, the result
        is their value divided by 1 + w. If they differ by a factor f, with f - 1 much larger than
        w, the result is below the smaller one by a fraction of about ``w**2 / (f - 1)``.

    Notes
    -----
    The result is the smaller root h of ``(1 - w**2) h**2 - (a + b) h + a b = 0``, a hyperbola with
    the asymptotes h = a and h = b (the non-rectangular hyperbola of Thornley 1976, Mathematical
    Models in Plant Physiology, chapter 4).

    Examples
    --------
    >>> float(smaller(np.array(2.0), 3.0))
    2.0
    >>> round(float(smaller(np.array(2.0), 2.0, 0.25)), 4)
    1.6
    """
    if not np.any(corner):
        return np.minimum(one, other)
    least, most = np.minimum(one, other), np.maximum(one, other)
    # Squares and products of very small numbers would underflow, so none are formed.
    root = np.hypot(most - least, 2.0 * corner * np.sqrt(least) * np.sqrt(most))
    total = np.where(most > 0.0, least + most + root, 1.0)
    result: Floats = least * (2.0 * most / total)
    return result


def larger(one: Floats, other: Floats | float, corner: Floats | float = 0.0) -> Floats:
    """Return the larger of two quantities, rounded so that ``smaller + larger = one + other``.

    Examples
    --------
    >>> round(float(larger(np.array(2.0), 2.0, 0.25)), 4)
    2.4
    """
    if not np.any(corner):
        return np.maximum(one, other)
    return one + other - smaller(one, other, corner)
