"""What the replications of a point say about its kind: a steady state, an overload, or a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.statistics import mean_interval

__all__ = [
    "LARGE_BACKLOG",
    "is_of_log",
    "is_overloaded",
    "is_rising",
    "piles_up",
]

OVERLOAD_GROWTH = 0.02
"""A point is overloaded if more than this share of the arriving work piles up."""
SURE_GROWTH = 0.1
"""A single run is overloaded if more than this share of the arriving work piles up.  Its spread is
unknown, and in a short run a few percent pile up by chance."""
LARGE_BACKLOG = 0.02
"""A larger share of the work of a log that waits at its end is reported."""
LARGE_RISE = 0.5
"""A rise of the waits by more than this share of the mean is always reported."""


def is_of_log(runs: pd.DataFrame | Mapping[str, Sequence[float]]) -> bool:
    """Whether the runs of a point have the jobs of a log, for which no growth is measured.

    Parameters
    ----------
    runs : pandas.DataFrame or mapping
        With the column ``backlog_growth``; without it, the answer is no.

    Examples
    --------
    >>> nan = float("nan")
    >>> [is_of_log({"backlog_growth": growth}) for growth in ([nan, nan], [0.0, nan], [])]
    [True, False, False]
    """
    growth = np.asarray(runs.get("backlog_growth", ()), dtype=np.float64)
    return bool(len(growth)) and bool(np.isnan(growth).all())


def is_overloaded(runs: pd.DataFrame) -> bool:
    """Whether the queue grows without bound at a point.

    Parameters
    ----------
    runs : pandas.DataFrame
        Replications of the point, with the columns ``offered_load`` (NaN if unknown) and
        ``backlog_growth``, the share of the arriving work that piled up in each replication.

    Returns
    -------
    bool
        True if the offered load is 1 or more, which is overload by definition.  It is also True if
        on average more than 2 % of the work piled up, and the growth is above 0 with 95 %
        confidence (Student t).  A single run must pile up 10 %.

    Examples
    --------
    >>> runs = pd.DataFrame({"offered_load": 0.9, "backlog_growth": [0.10, 0.11, 0.09]})
    >>> is_overloaded(runs), is_overloaded(runs.assign(backlog_growth=[0.10, -0.12, 0.08]))
    (True, False)
    """
    return bool((runs["offered_load"] >= 1).any()) or piles_up(runs["backlog_growth"])


def piles_up(backlog_growth: npt.ArrayLike) -> bool:
    """Whether work piles up in the replications; see :func:`is_overloaded`.

    Parameters
    ----------
    backlog_growth : array_like (replications,)
        NaN values are ignored.

    Examples
    --------
    >>> from clustersim.analysis.steady import piles_up
    >>> piles_up([0.3, 0.28, 0.31]), piles_up([0.01, -0.02, 0.0])
    (True, False)
    """
    growth = np.asarray(backlog_growth, dtype=np.float64)
    growth = growth[~np.isnan(growth)]
    if len(growth) == 0:
        return False
    mean, low, _ = mean_interval(growth)
    if len(growth) < 2:
        return bool(mean > SURE_GROWTH)
    return bool(mean > OVERLOAD_GROWTH and low > 0)


def is_rising(wait_rise_s: npt.ArrayLike, mean_wait_s: npt.ArrayLike) -> bool:
    """Whether later jobs waited longer than earlier ones, so longer runs would show longer waits.

    Parameters
    ----------
    wait_rise_s : array_like (replications,)
        Mean wait of the later half of the jobs minus the mean wait of the earlier half (seconds).
    mean_wait_s : array_like (replications,)
        Mean wait of all jobs (seconds).

    Returns
    -------
    bool
        True if the mean rise is above 0 with 95 % confidence (Student t), or more than half of the
        mean wait.  The second criterion is needed for few replications whose waits differ widely.

    Examples
    --------
    >>> is_rising([5.0, 6.0, 7.0], [60.0, 70.0, 80.0]), is_rising([-9.0, 9.0, 3.0], [60.0] * 3)
    (True, False)
    >>> is_rising([90.0, 5.0, 1.0], [70.0, 10.0, 3.0])
    True
    """
    rise, low, _ = mean_interval(wait_rise_s)
    wait, _, _ = mean_interval(mean_wait_s)
    return bool(low > 0 or rise > LARGE_RISE * wait)
