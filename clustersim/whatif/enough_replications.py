"""How many replications an interval for another period like the log needs.

The interval of :func:`~clustersim.whatif.result.WhatIf.groups` has the factor of Student's t for
1 / (1 / freedom + 1 / replications) degrees of freedom, where `freedom` comes from the number of
blocks of the log.  More replications bring the factor down to that of `freedom`, and no further.
"""

from __future__ import annotations

from scipy import special

__all__ = ["NEARLY", "enough_replications", "width_ratio"]

NEARLY = 1.1
"""From this ratio on, more replications hardly narrow an interval."""
_LEVEL = 0.95


def width_ratio(replications: int, freedom: int) -> float:
    """Return the width of an interval, relative to that with any number of replications.

    Parameters
    ----------
    replications : int
        Periods that were drawn, 1 or more.
    freedom : int
        Blocks of the log minus their classes, 1 or more.

    Examples
    --------
    Student's t is 4.303 for 2 degrees of freedom and 2.776 for 4:

    >>> round(width_ratio(4, 4), 3), round(4.303 / 2.776, 3)
    (1.55, 1.55)
    """
    degrees = 1.0 / (1.0 / freedom + 1.0 / replications)
    quantile = 0.5 + _LEVEL / 2
    return float(special.stdtrit(degrees, quantile) / special.stdtrit(freedom, quantile))


def enough_replications(freedom: int) -> int:
    """Return the smallest number of replications whose ratio of widths is at most `NEARLY`.

    Examples
    --------
    >>> count = enough_replications(4)
    >>> width_ratio(count, 4) <= 1.1 < width_ratio(count - 1, 4)
    True
    """
    high = 1
    while width_ratio(high, freedom) > NEARLY:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if width_ratio(middle, freedom) <= NEARLY else (middle, high)
    return high
