"""Hours of the week in which long jobs may not start, as at sites with night and weekend queues.

For jobs with a time limit above a threshold, the hazard of an hour of the week is the number of
starts per hour of waiting with room.  An hour in which they waited long but hardly ever started is
closed to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.setting import ClosedHours

__all__ = ["closed_hours", "hours"]

HOURS = 168
_HOUR_S = 3600.0
_THRESHOLDS = (0.5, 0.8, 0.9, 0.95, 0.98)
"""Quantiles of the time limits above which hours may be closed."""
_LEAST_WAIT_S = 20 * _HOUR_S
_FEWER_STARTS = 0.25
"""An hour is closed if jobs waited at least so long in it with room, and started at less than this
share of the hazard of the whole week."""
_WAITED_S = 60.0
_FINER = 4
"""Number of times in each part of a wait, so that no hour of a wait of a day is missed."""


def closed_hours(starts: Floats, waited_s: Floats) -> Bools:
    """Return the hours of the week that are closed to some jobs.

    Parameters
    ----------
    starts, waited_s : float64 arrays (168,)
        Starts after a wait, and waiting time with room, in each hour of the week.

    Examples
    --------
    Jobs waited for 100 hours in each hour, and started in the first two only:

    >>> starts, waited_s = np.zeros(168), np.full(168, 360000.0)
    >>> starts[:2] = 50
    >>> closed_hours(starts, waited_s)[:4].tolist()
    [False, False, True, True]
    """
    if starts.sum() < HOURS / 8 or waited_s.sum() == 0:
        return np.zeros(HOURS, dtype=bool)
    usual = starts.sum() / waited_s.sum()
    found: Bools = (waited_s >= _LEAST_WAIT_S) & (starts < _FEWER_STARTS * usual * waited_s)
    return found


def hours(tested: Tested) -> Iterator[Mechanism]:
    """Test whether long jobs start only in some hours of the week."""
    case = tested.case
    name = "hours of the week in which long jobs may not start"
    if "estimate_s" not in case.jobs:
        yield Mechanism("hours", name, untested="the log has no time limits")
        return
    limit_s = case.jobs["estimate_s"].to_numpy(dtype=np.float64)
    level, table = _closed_to_jobs(tested, limit_s)
    count = int(table.any(axis=0).sum())
    closed = ClosedHours(level, table)
    shares = [
        each.share(each.room & closed.closed(case, each.job, each.time_s)) for each in tested.both
    ]
    mechanism = Mechanism(
        "hours",
        name,
        f"the hours of the week ({count} of {HOURS}) in which long jobs hardly ever started",
        "waiting time with room in hours that are closed to the job",
        recorded=shares[0],
        simulated=shares[1],
        taken=count,
    )
    if not count:
        yield replace(mechanism, untested="there are no such hours")
        return
    yield tested.granted(mechanism, replace(tested.setting, hours=closed))


def _closed_to_jobs(tested: Tested, limit_s: Floats) -> tuple[Ints, Bools]:
    """Return the class of each job, and the hours that are closed to each class.

    Class k has a limit above the first k thresholds, and all hours that are closed above one of
    them are closed to it.
    """
    case, waiting = tested.case, tested.both[0]
    known = np.isfinite(case.start_s)
    waited = np.flatnonzero(known & (case.start_s - case.submit_s > _WAITED_S))
    hour = case.calendar.hour_of_week(case.start_s[waited])
    offset = ((np.arange(_FINER) + 0.5) / _FINER - 0.5) * waiting.weight_s[:, None]
    time_s = waiting.time_s[:, :, None] + offset[:, None, :]
    at = case.calendar.hour_of_week(time_s.ravel())
    room_s = np.repeat((waiting.room * waiting.weight_s[:, None]).ravel(), _FINER) / _FINER
    limit_of_wait = np.repeat(limit_s[waiting.job], waiting.time_s.shape[1] * _FINER)
    thresholds = np.unique(np.quantile(limit_s[known], _THRESHOLDS))
    table = np.zeros((len(thresholds) + 1, HOURS), dtype=bool)
    for k, threshold in enumerate(thresholds):
        starts = np.bincount(hour[limit_s[waited] > threshold], minlength=HOURS)
        there = limit_of_wait > threshold
        waited_s = np.bincount(at[there], weights=room_s[there], minlength=HOURS)
        own = closed_hours(starts.astype(np.float64), waited_s.astype(np.float64))
        table[k + 1] = table[k] | own
    return np.searchsorted(thresholds, limit_s, side="left"), table
