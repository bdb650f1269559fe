"""Whether a point has a steady state, judged by its replications."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.studies.statistics import mean_interval

__all__ = ["is_overloaded", "is_rising"]

OVERLOAD_GROWTH = 0.02
"""A point is overloaded where more than this share of the arriving work piles up."""


def is_overloaded(backlog_growth: npt.ArrayLike, *, load: float | None = None) -> bool:
    """Whether the queue grows without end.

    Parameters
    ----------
    backlog_growth : array_like (replications,)
        Share of the arriving work that piled up in each.
    load : float, optional
        The offered load, where it is known: 1 or more is overload by definition, however a run of
        finite length looks.

    Returns
    -------
    bool
        Whether more than 2 % of the work piled up on average, and with 95 % confidence (Student t)
        any did.

    Examples
    --------
    >>> is_overloaded([0.10, 0.11, 0.09]), is_overloaded([0.10, -0.12, 0.08])
    (True, False)
    """
    if load is not None and load >= 1:
        return True
    growth = np.asarray(backlog_growth, dtype=np.float64)
    growth = growth[~np.isnan(growth)]
    mean, low, _ = mean_interval(growth)
    return bool(mean > OVERLOAD_GROWTH and (low > 0 or len(growth) < 2))


def is_rising(wait_rise_s: npt.ArrayLike) -> bool:
    """Whether the later half of the jobs waited longer than the earlier, with 95 % confidence.

    Parameters
    ----------
    wait_rise_s : array_like (replications,)
        Mean wait of the later half less that of the earlier in each (seconds).
    """
    _, low, _ = mean_interval(wait_rise_s)
    return bool(low > 0)
