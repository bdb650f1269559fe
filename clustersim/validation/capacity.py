"""Mechanisms about capacity: what was not available, partitions, and nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.calendar import DAY_S
from clustersim.scheduling import find_policy
from clustersim.scheduling.policies import Easy
from clustersim.simulation.eligibility import partition_names_of
from clustersim.units import counted, format_count
from clustersim.validation.borrowed import borrowed
from clustersim.validation.case import Case
from clustersim.validation.held import over_ceiling, room_for
from clustersim.validation.limits import most_at_once
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.occupancy import running_at
from clustersim.validation.replays import by_partition, pooled
from clustersim.validation.setting import Closures, Setting

__all__ = ["CLOSED_S", "capacity", "closures_of", "day_edges_s", "looks_s", "nodes", "partitions"]

CLOSED_S = DAY_S
"""Length of the periods for which a capacity is granted: days that begin at local midnight."""
_GRID = 48
"""Number of times in each of them at which the queue is looked at."""
_LEAST_CLOSED = 0.5
"""A period is closed if a waiting job had room at this share of the times or more."""

_MOST_LOOKS = 2_000_000
"""Number of looks at waiting jobs at a time, to bound the memory."""


def looks_s(begin_s: Floats) -> Floats:
    """Return the times at which the queue is looked at in periods of `CLOSED_S`.

    Parameters
    ----------
    begin_s : float64 array (periods,)
        Start of each period (seconds).

    Returns
    -------
    float64 array (periods, looks)
        Seconds.

    Examples
    --------
    >>> looks_s(np.array([0.0]))[0, :2].tolist()
    [900.0, 2700.0]
    """
    times: Floats = begin_s[:, None] + (np.arange(_GRID) + 0.5) * (CLOSED_S / _GRID)
    return times


def day_edges_s(case: Case, first_s: float, last_s: float) -> Floats:
    """Return the midnights of the local clock around a period.

    Parameters
    ----------
    case : Case
    first_s, last_s : float
        Start and end of the period, seconds.

    Returns
    -------
    float64 array (days + 1,)
        Seconds, from the midnight at or before `first_s`, which may be before time 0, to the one
        after `last_s`.
    """
    first, last, start = case.calendar.local_s([first_s, last_s, 0.0])
    local = np.arange(math.floor(first / CLOSED_S), math.floor(last / CLOSED_S) + 2) * CLOSED_S
    return np.where(local < start, local - start, case.calendar.times_of(local))


def closures_of(setting: Setting) -> Closures:
    """Return what was closed in each period: what was never in use although jobs could use it.

    In a period in which, half of the time or more, a waiting job surely had room in accelerators
    that nobody used, and was not held by what is granted, the capacity of this part of the cluster
    is the most that was in use just after the start of a job in the period.  What runs on from
    before does not show that it was available.
    """
    case = setting.case
    known = np.isfinite(case.start_s)
    job, run_start, run_end = case.runs
    first, last = float(case.submit_s[known].min()), float(case.start_s[known].max())
    edges = day_edges_s(case, first, last)
    grid = looks_s(edges[:-1])
    seen = _with_room(setting, grid)
    closed = {}
    for at, (name, there) in enumerate(case.capacity.items()):
        held = case.share[job] == at
        begin, end, size = run_start[held], run_end[held], case.size[job][held]
        zero = np.zeros(len(begin), dtype=np.int64)
        shut = seen[at].mean(axis=1) >= _LEAST_CLOSED
        at_start = running_at(zero, begin, end, size, zero, begin)
        period = np.searchsorted(edges, begin, side="right") - 1
        most = np.zeros(len(grid), dtype=np.int64)
        np.maximum.at(most, np.clip(period, 0, len(most) - 1), at_start)
        closed[name] = np.append(np.where(shut, np.maximum(there - most, 0), 0), 0)
    return Closures(np.maximum(edges, 0.0), closed)


def _with_room(setting: Setting, grid: Floats) -> Bools:
    """Return at which times of a grid a waiting job had room, of shape (parts, *grid.shape)."""
    case, times = setting.case, grid.ravel()
    first = np.searchsorted(times, case.submit_s, side="left")
    last = np.searchsorted(times, np.where(np.isfinite(case.start_s), case.start_s, -np.inf))
    found = np.zeros((len(case.capacity), len(times)), dtype=bool)
    waits = np.flatnonzero(last > first)
    number = (last - first)[waits]
    batches = np.searchsorted(np.cumsum(number), np.arange(0, number.sum(), _MOST_LOOKS))
    for rows in np.split(np.arange(len(waits)), np.unique(batches)[1:]):
        job = np.repeat(waits[rows], number[rows])
        begin = np.repeat(first[waits[rows]] - np.cumsum(number[rows]) + number[rows], number[rows])
        at = begin + np.arange(len(job))
        room = room_for(setting, case.start_s, job, times[at][:, None])[:, 0]
        found[case.share[job[room]], at[room]] = True
    return found.reshape(len(found), *grid.shape)


def capacity(tested: Tested) -> Iterator[Mechanism]:
    """Test whether capacity that was not available explains the difference; see `closures_of`."""
    name = "capacity that was not available (reservations, drains, failures)"
    plan = closures_of(tested.setting)
    periods = int(sum((numbers > 0).sum() for numbers in plan.closed.values()))
    recorded, simulated = tested.both
    mechanism = Mechanism(
        "capacity",
        name,
        f"the capacity of {counted(periods, 'day')} on which jobs waited although they had room"
        f"{_where(tested)}",
        "waiting time in which the job had room in accelerators that nobody used",
        recorded.share(recorded.room),
        simulated.share(simulated.room),
        taken=periods,
    )
    if not periods:
        yield replace(mechanism, untested="on no day did jobs wait half of the time with room")
        return
    if reason := _unclear_pool(tested):
        yield replace(mechanism, untested=reason)
        return
    yield tested.granted(mechanism, replace(tested.setting, closures=plan))


def _unclear_pool(tested: Tested) -> str:
    """Return why capacity of pools that jobs share cannot be closed under the policy."""
    setting = tested.setting
    if setting.order_s is not None or not tested.case.sharing.overlaps:
        return ""
    policy = find_policy(setting.policy)
    if not policy.looks_ahead or issubclass(policy, Easy):
        return ""
    return (
        f"{setting.policy} reserves accelerators in each pool, and the log does not say in which "
        "of the pools that jobs share they were missing"
    )


def _where(tested: Tested) -> str:
    overlaps = tested.case.sharing.overlaps
    return ", in whichever of the pools that jobs share" if overlaps else ""


def partitions(tested: Tested) -> Iterator[Mechanism]:
    """Test whether partitions explain the difference.

    If the cluster has partitions, its pools are shared by all jobs; if it has none, each partition
    of the log gets the most accelerators that it had at once.
    """
    case = tested.case
    name = "partitions with accelerators of their own"
    if len(case.places) > 1 and partition_names_of(case.cluster):
        owned = any(pool.virtual_clusters for pool in case.cluster.pools)
        shared = "one pool instead of virtual clusters" if owned else "all pools for every queue"
        mechanism = Mechanism("pooled", shared, "nothing from the log")
        if case.has_starts:
            mechanism = _with_trace_of_pooled(tested, mechanism)
        other = replace(case, cluster=pooled(case))
        yield tested.granted(mechanism, replace(tested.setting, case=other))
        return
    names = sorted(set(case.partition))
    if len(names) < 2 or not case.has_starts:
        reason = (
            "the log names no two partitions" if case.has_starts else "this needs recorded starts"
        )
        yield Mechanism("partitions", name, untested=reason)
        return
    code = np.searchsorted(names, case.partition).astype(np.int64)
    most = most_at_once(case, code, case.size, len(names))
    largest = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(largest, code, case.size)
    most = np.maximum(most, largest)
    recorded, simulated = (
        each.share(
            each.room
            & over_ceiling(
                case, start, each.job, each.time_s, code, case.size, most.astype(np.float64)
            )
        )
        for each, start in zip(tested.both, (case.start_s, tested.start_s), strict=True)
    )
    total, all_of = int(most.sum()), sum(case.capacity.values())
    mechanism = Mechanism(
        "partitions",
        name,
        f"the most accelerators that each of {len(names)} partitions had at once "
        f"({format_count(total)} in all, of {format_count(all_of)})",
        "waiting time with room in which the partition had as many as ever",
        recorded,
        simulated,
        taken=len(names),
    )
    jobs = case.jobs.assign(vc=list(case.partition))
    own = {part: int(number) for part, number in zip(names, most, strict=True)}
    other = replace(case, jobs=jobs, cluster=by_partition(own), placement="pooled")
    yield tested.granted(mechanism, replace(tested.setting, case=other))


def _with_trace_of_pooled(tested: Tested, mechanism: Mechanism) -> Mechanism:
    """Return the mechanism with its trace: queues that held more than their pools have."""
    case = tested.case
    began = np.flatnonzero(np.isfinite(tested.start_s))
    begin_s = tested.start_s[began]
    return replace(
        mechanism,
        trace="starts after which the jobs of a queue held more accelerators than its pools have",
        recorded=borrowed(case, *case.runs),
        simulated=borrowed(case, began, begin_s, begin_s + case.run_s[began]),
    )


def nodes(tested: Tested) -> Iterator[Mechanism]:
    """Test whether the packing of jobs on nodes explains the difference."""
    if tested.case.placement != "pooled":
        mechanism = Mechanism("nodes", "jobs spread over any free accelerators", "nothing")
        other = replace(tested.case, placement="pooled")
        yield tested.granted(mechanism, replace(tested.setting, case=other))
