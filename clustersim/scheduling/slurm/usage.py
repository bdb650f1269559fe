"""Usage that is forgotten: halved every half-life, and set to zero at the start of a period.

Source: Slurm's pages "Classic Fairshare Algorithm" (Normalized Usage) and ``slurm.conf``
(``PriorityDecayHalfLife``, ``PriorityUsageResetPeriod``).

A policy keeps one number per association and the time of its last update: ``usage =
usage_after(usage, elapsed_s, half_life_s, rate=billing of its running jobs)``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name

__all__ = ["HALF_LIFE_S", "RESET_PERIODS", "decay", "last_reset_s", "usage_after", "usage_of_runs"]

HALF_LIFE_S = 7 * 86400.0
"""Default of ``PriorityDecayHalfLife``, seconds."""
RESET_PERIODS = ("none", "daily", "weekly", "monthly", "quarterly", "yearly")
"""Values of ``PriorityUsageResetPeriod``. Slurm also has ``now``, a command rather than a rule."""


def decay(elapsed_s: npt.ArrayLike, half_life_s: float = HALF_LIFE_S) -> Floats:
    """Return the part of usage that still counts after a time.

    Parameters
    ----------
    elapsed_s : float or array of float
        Time since the usage, seconds.
    half_life_s : float
        Time after which half of it counts, seconds; 0 or infinite: all of it counts forever.

    Raises
    ------
    InputError
        If `half_life_s` is negative.

    Examples
    --------
    >>> decay([0.0, 86400.0, 172800.0], half_life_s=86400.0).tolist()
    [1.0, 0.5, 0.25]
    """
    if not half_life_s >= 0:
        raise InputError("half_life_s", f"must be 0 or more, found {half_life_s:g}")
    elapsed = np.asarray(elapsed_s, dtype=np.float64)
    if half_life_s == 0:
        return np.ones_like(elapsed)
    return np.exp2(-elapsed / half_life_s)


def usage_after(
    usage: npt.ArrayLike,
    elapsed_s: npt.ArrayLike,
    half_life_s: float = HALF_LIFE_S,
    *,
    rate: npt.ArrayLike = 0.0,
) -> Floats:
    """Return usage after some time in which it decays and is charged at a constant rate.

    The result is exact: two steps give the same as one over both.

    Parameters
    ----------
    usage : float or array of float
        Usage at the beginning.
    elapsed_s : float or array of float
        The time, seconds.
    half_life_s : float
        See :func:`decay`.
    rate : float or array of float
        Billing of the jobs that run in this time, per second.

    Examples
    --------
    >>> usage_after(100.0, 3600.0, half_life_s=3600.0).item()
    50.0
    >>> round(usage_after(0.0, 3600.0, half_life_s=3600.0, rate=1.0).item(), 1)
    2596.9
    """
    elapsed = np.asarray(elapsed_s, dtype=np.float64)
    kept = decay(elapsed, half_life_s)
    return np.asarray(usage) * kept + np.asarray(rate) * _kept_seconds(elapsed, half_life_s)


def usage_of_runs(
    start_s: npt.ArrayLike,
    end_s: npt.ArrayLike,
    rate: npt.ArrayLike,
    now_s: float,
    half_life_s: float = HALF_LIFE_S,
    *,
    since_s: float = -math.inf,
) -> Floats:
    """Return what runs of jobs still count for at a time, one value per run.

    Parameters
    ----------
    start_s, end_s : array of float, shape (n,)
        When each run began and ended, seconds; an end after `now_s` counts as `now_s`.
    rate : array of float, shape (n,)
        Billing of each run per second, times the usage factor of its quality of service.
    now_s : float
        The time, seconds.
    half_life_s : float
        See :func:`decay`.
    since_s : float
        Time of the last reset, seconds: usage before it does not count.

    Examples
    --------
    >>> usage_of_runs([0.0, 0.0], [3600.0, 7200.0], [2.0, 2.0], 3600.0, 0.0).tolist()
    [7200.0, 7200.0]
    """
    end = np.minimum(np.asarray(end_s, dtype=np.float64), now_s)
    start = np.minimum(np.maximum(np.asarray(start_s, dtype=np.float64), since_s), end)
    kept = decay(now_s - end, half_life_s)
    return np.asarray(rate) * _kept_seconds(end - start, half_life_s) * kept


def _kept_seconds(elapsed: Floats, half_life_s: float) -> Floats:
    """Return the integral of :func:`decay` over a time."""
    if half_life_s == 0 or math.isinf(half_life_s):
        return elapsed
    mean_life = half_life_s / math.log(2)
    return -mean_life * np.expm1(-elapsed / mean_life)


def last_reset_s(now_s: float, period: str) -> float:
    """Return when usage was last set to zero.

    Days begin at midnight UTC, weeks on Sunday, quarters in January, April, July and October.

    Parameters
    ----------
    now_s : float
        Seconds since 1970-01-01 UTC.
    period : str
        One of :data:`RESET_PERIODS`.

    Returns
    -------
    float
        Seconds since 1970-01-01 UTC, at most `now_s`; minus infinity for ``none``.

    Raises
    ------
    InputError
        If the period is unknown.

    Examples
    --------
    >>> now_s = datetime(2026, 5, 20, 12, tzinfo=UTC).timestamp()
    >>> for period in RESET_PERIODS[1:]:
    ...     start = datetime.fromtimestamp(last_reset_s(now_s, period), UTC)
    ...     print(period, start.date())
    daily 2026-05-20
    weekly 2026-05-17
    monthly 2026-05-01
    quarterly 2026-04-01
    yearly 2026-01-01
    """
    if period not in RESET_PERIODS:
        raise InputError("period", unknown_name("period", period, RESET_PERIODS))
    if period == "none":
        return -math.inf
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=math.floor(now_s))
    day = now.replace(hour=0, minute=0, second=0)
    if period == "weekly":
        day -= timedelta(days=(day.weekday() + 1) % 7)
    elif period == "monthly":
        day = day.replace(day=1)
    elif period == "quarterly":
        day = day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
    elif period == "yearly":
        day = day.replace(day=1, month=1)
    return day.timestamp()
