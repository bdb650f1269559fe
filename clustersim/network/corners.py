"""The smaller and the larger of two times, with a corner where they meet that can be rounded.

The model takes them as they are. A fit rounds the corners: at a sharp one the derivatives jump, a
row whose measurement lies on it holds the fit there, and a descent alternates between its sides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["larger", "smaller"]

Array = NDArray[np.float64]


def smaller(one: Array, other: Array | float, corner: Array | float = 0.0) -> Array:
    """Return the smaller of two quantities, rounded where they meet.

    Parameters
    ----------
    one, other : array
        0 or more, finite.
    corner : float
        Width w of the corner; 0 is the plain minimum. Where both are equal the result is their
        value over 1 + w, and where they differ by a factor f much further apart than w it is less
        than the smaller by about the share ``w**2 / (f - 1)``.

    Notes
    -----
    The smaller root h of ``(1 - w**2) h**2 - (a + b) h + a b = 0``, a hyperbola within its two
    asymptotes h = a and h = b (the non-rectangular hyperbola of Thornley 1976, Mathematical Models
    in Plant Physiology, chapter 4).

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
    # Without squares and products of the two, which very small ones would lose to underflow.
    root = np.hypot(most - least, 2.0 * corner * np.sqrt(least) * np.sqrt(most))
    total = np.where(most > 0.0, least + most + root, 1.0)
    result: Array = least * (2.0 * most / total)
    return result


def larger(one: Array, other: Array | float, corner: Array | float = 0.0) -> Array:
    """Return the larger of two quantities, rounded as :func:`smaller`: all three add up.

    Examples
    --------
    >>> round(float(larger(np.array(2.0), 2.0, 0.25)), 4)
    2.4
    """
    if not np.any(corner):
        return np.maximum(one, other)
    return one + other - smaller(one, other, corner)
