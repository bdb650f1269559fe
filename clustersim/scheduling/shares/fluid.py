"""Schedules of jobs that share servers in any fractions: processor sharing and least attained.

They are the limits that policies with finite quanta approach. Work is in seconds of one server, and
a job uses at most one server at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = ["finish_time_ratios", "least_attained_service", "processor_sharing"]

_SAME = 1e-9
"""Attained services that differ by less, as a part of all work, are equal."""


def processor_sharing(
    arrival_s: npt.ArrayLike, work_s: npt.ArrayLike, *, servers: float = 1.0
) -> Floats:
    """Return when each job ends if all present jobs share the servers equally.

    Parameters
    ----------
    arrival_s, work_s : array of float, shape (n,)
        Arrival of each job, and its run time on a server of its own, seconds.
    servers : float

    Raises
    ------
    InputError
        If the arrays differ in length, or a number is negative.

    Examples
    --------
    >>> processor_sharing([0, 0, 0], [2, 4, 6]).tolist()
    [6.0, 10.0, 12.0]
    """

    def rates(attained: Floats) -> tuple[Floats, float]:
        return np.full(len(attained), min(1.0, servers / len(attained))), np.inf

    return _finishes(arrival_s, work_s, rates)


def least_attained_service(
    arrival_s: npt.ArrayLike, work_s: npt.ArrayLike, *, servers: float = 1.0
) -> Floats:
    """Return when each job ends if the jobs that have had the least service always run.

    Jobs with the same service share (foreground-background, L. Kleinrock, "Queueing Systems" II,
    1976, section 4.6); Tiresias' discretised queues approach it (J. Gu et al., NSDI 2019).

    Parameters
    ----------
    arrival_s, work_s, servers
        See :func:`processor_sharing`.

    Raises
    ------
    InputError
        If the arrays differ in length, or a number is negative.

    Examples
    --------
    >>> least_attained_service([0, 0, 3], [4, 4, 2]).tolist()
    [10.0, 10.0, 6.0]
    """
    same = _SAME * max(1.0, float(np.sum(work_s)))

    def rates(attained: Floats) -> tuple[Floats, float]:
        order = np.argsort(attained, kind="stable")
        group = np.cumsum(np.diff(attained[order], prepend=attained[order[0]]) > same)
        sizes = np.bincount(group)
        before = np.cumsum(sizes) - sizes
        of_group = np.clip((servers - before) / sizes, 0.0, 1.0)
        level = np.zeros(len(sizes))
        np.add.at(level, group, attained[order])
        level /= sizes
        closing = of_group[:-1] - of_group[1:]
        until = np.divide(
            np.diff(level), closing, out=np.full(len(closing), np.inf), where=closing > 0
        )
        found = np.empty(len(attained))
        found[order] = of_group[group]
        return found, float(until.min(initial=np.inf))

    return _finishes(arrival_s, work_s, rates)


def _finishes(
    arrival_s: npt.ArrayLike,
    work_s: npt.ArrayLike,
    rates: Callable[[Floats], tuple[Floats, float]],
) -> Floats:
    """Move from event to event: arrivals, ends, and whatever else changes the rates.

    `rates` takes what the present jobs have attained, and returns their rates and how long these
    stay as they are.
    """
    arrival = np.asarray(arrival_s, dtype=np.float64)
    work = np.asarray(work_s, dtype=np.float64)
    if arrival.shape != work.shape:
        raise InputError("work_s", f"must be {arrival.size} numbers, found {work.size}")
    if not ((arrival >= 0).all() and (work >= 0).all()):
        raise InputError("jobs", "arrivals and work must be 0 or more")
    attained = np.zeros_like(work)
    finish = np.where(work == 0, arrival, np.nan)
    now = 0.0
    while np.isnan(finish).any():
        waiting = np.isnan(finish)
        present = np.flatnonzero(waiting & (arrival <= now))
        later = arrival[waiting & (arrival > now)]
        to_arrival = float(later.min(initial=np.inf)) - now
        if not len(present):
            now += to_arrival
            continue
        rate, steady = rates(attained[present])
        left = work[present] - attained[present]
        to_end = np.divide(left, rate, out=np.full_like(left, np.inf), where=rate > 0)
        elapsed = min(to_arrival, steady, float(to_end.min()))
        attained[present] += rate * elapsed
        now = float(later.min()) if elapsed == to_arrival else now + elapsed
        finish[present[to_end <= elapsed * (1 + 1e-12)]] = now
    return finish


def finish_time_ratios(
    arrival_s: npt.ArrayLike, finish_s: npt.ArrayLike, independent_s: npt.ArrayLike
) -> Floats:
    """Return the finish-time fairness of each job: its time to the end over that with its share.

    Source: K. Mahajan et al., "Themis: Fair and Efficient GPU Cluster Scheduling", NSDI 2020. A
    value above 1 means that the job would have ended earlier on a part of the cluster of its own.

    Parameters
    ----------
    arrival_s, finish_s : array of float, shape (n,)
        When jobs arrived and ended, seconds.
    independent_s : array of float, shape (n,)
        How long each job would have taken on its share of the cluster, seconds.

    Examples
    --------
    >>> finish_time_ratios([0, 0, 0], [2, 6, 12], [6, 12, 18]).round(3).tolist()
    [0.333, 0.5, 0.667]
    """
    taken = np.asarray(finish_s, dtype=np.float64) - np.asarray(arrival_s, dtype=np.float64)
    ratios: Floats = taken / np.asarray(independent_s, dtype=np.float64)
    return ratios
