"""What the replications of a point say about its kind: a steady state, an overload, or a log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from clustersim.analysis.statistics import mean_interval

__all__ = [
    "LARGE_BACKLOG",
    "LOG_FACTS",
    "is_of_log",
    "is_overloaded",
    "is_rising",
    "next_width",
    "piles_up",
]

OVERLOAD_GROWTH = 0.02
"""A point is overloaded if more than this share of the arriving work piles up."""
SURE_GROWTH = 0.1
"""A single run is overloaded if more than this share of the arriving work piles up.  Its spread is
unknown, and in a short run a few percent pile up by chance."""
LARGE_BACKLOG = 0.02
"""A larger share of the work of a log that waits at its end is reported."""
FEWEST = 2
"""Smallest number of replications that show how much periods differ."""
LOG_FACTS = ("log_blocks", "log_classes")
"""Metrics that say from how many blocks of a log the replications are drawn."""
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


def next_width(
    runs: pd.DataFrame | Mapping[str, Sequence[float]], replications: int, *, level: float = 0.95
) -> float:
    """Return by how much another period is less certain than the mean of the replications.

    The replications of a workload model are periods of the site, and the interval of their mean is
    the answer: 1.  Those of a log draw its blocks (weeks or days) again.  The mean of more of them
    says ever more exactly what the log was, not what the site is.  So an interval of a log is the
    prediction interval of Student's t for one more period like it (Hahn and Meeker, "Statistical
    Intervals", 1991, section 4.8).  Its variance is that of one period twice, once for the log and
    once for the next period, and that of the mean of the replications.  The variance of one period
    is that of the replications times ``blocks / (blocks - classes)``, because drawing n blocks with
    replacement has only (n - 1)/n of the variance of the site, and ``n / (n - 1)`` for n
    replications, because one of them is the log itself.  The degrees of freedom are those of a
    variance that is known from a limited number of blocks and, again, of replications
    (Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2, 1946): 1 / (1 / (blocks - classes) + 1 / (replications - 1)).

    Parameters
    ----------
    runs : pandas.DataFrame or mapping
        With the columns of :func:`is_of_log` and :data:`LOG_FACTS`.  Without the latter, the number
        of blocks is taken to be large.
    replications : int
        The interval of a single one is left as it is.
    level : float
        Level of the interval of the mean.

    Returns
    -------
    float
        Half width of the interval of another period, divided by that of the mean.  Infinite if no
        block of the log can replace another one.  If the log is not drawn again, because it is too
        short or must not be (``resample: none``), replications differ by failures alone, and the
        interval is that of one more replication of the same jobs.

    Examples
    --------
    >>> nan = float("nan")
    >>> next_width({"backlog_growth": [0.0, 0.0]}, 8)
    1.0
    >>> log = {"backlog_growth": [nan, nan], "log_blocks": [26.0, 26.0], "log_classes": [1.0, 1.0]}
    >>> round(next_width(log, 8), 2)
    4.76
    """
    if replications < FEWEST or not is_of_log(runs):
        return 1.0
    blocks, classes = (_first_known(runs.get(name, ())) for name in LOG_FACTS)
    freedom = blocks - classes
    if freedom < 1:
        return math.inf if blocks else math.sqrt(replications + 1)
    drawn = replications - 1
    again, degrees = 1.0, float(drawn)
    if math.isfinite(freedom):
        again, degrees = blocks / freedom, 1.0 / (1.0 / freedom + 1.0 / drawn)
    p = 0.5 + level / 2
    variance = (1.0 + 2.0 * replications * again) * replications / drawn
    return math.sqrt(variance) * float(special.stdtrit(degrees, p) / special.stdtrit(drawn, p))


def _first_known(values: npt.ArrayLike) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[~np.isnan(numbers)]
    return float(known[0]) if len(known) else math.nan


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
