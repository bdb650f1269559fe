"""Mechanisms about capacity: what was not available, partitions, and nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S
from clustersim.simulation.eligibility import partition_names_of
from clustersim.units import counted, format_count
from clustersim.validation.case import Case
from clustersim.validation.limits import at_ceiling, most_at_once
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.occupancy import running_at
from clustersim.validation.replays import (
    Closures,
    by_partition,
    pooled,
    replayed,
    replayed_with_closures,
)

__all__ = ["CLOSED_S", "capacity", "closures_of", "day_edges_s", "looks_s", "nodes", "partitions"]

CLOSED_S = DAY_S
"""Length of the periods for which a capacity is granted: days that begin at local midnight."""
_GRID = 48
"""Number of times in each of them at which the queue is looked at."""
_LEAST_CLOSED = 0.5
"""A period is closed if a waiting job had room at this share of the times or more."""


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


def closures_of(case: Case) -> Closures:
    """Return what was closed in each period: what was never in use although jobs could use it.

    In a period in which, half of the time or more, a waiting job would have fitted in the
    accelerators that nobody used, the capacity is the most that was in use at once in the period.
    If it is not known where jobs had room, nothing is closed.
    """
    known = np.isfinite(case.start_s)
    submit, start, size = case.submit_s[known], case.start_s[known], case.size[known]
    share = case.share[known]
    job, run_start, run_end = case.runs
    first, last = float(submit.min()), float(start.max())
    edges = day_edges_s(case, first, last)
    grid = looks_s(edges[:-1])
    closed = {}
    for at, (name, there) in enumerate(case.capacity.items()):
        own = share == at
        held = case.share[job] == at
        begin, end, held_size = run_start[held], run_end[held], case.size[job][held]
        zero = np.zeros(len(begin), dtype=np.int64)
        asked = np.zeros(grid.shape, dtype=np.int64)
        used = running_at(zero, begin, end, held_size, asked, grid)
        least = _smallest_waiting(submit[own], start[own], size[own], grid)
        shut = (least <= there - used).mean(axis=1) >= _LEAST_CLOSED
        at_start = running_at(zero, begin, end, held_size, zero, begin)
        period = np.searchsorted(edges, begin, side="right") - 1
        most = used.max(axis=1)
        np.maximum.at(most, np.clip(period, 0, len(most) - 1), at_start)
        if case.unclear_room:
            shut[:] = False
        closed[name] = np.append(np.where(shut, np.maximum(there - most, 0), 0), 0)
    return Closures(np.maximum(edges, 0.0), closed)


def _smallest_waiting(submit_s: Floats, start_s: Floats, size: Ints, grid: Floats) -> Ints:
    """Return the smallest waiting job at each time of a grid; very large where none waits."""
    most = np.iinfo(np.int64).max
    least = np.full(grid.shape, most, dtype=np.int64)
    waited = start_s > submit_s
    sizes, group = np.unique(size[waited], return_inverse=True)
    ones = np.ones(len(group), dtype=np.int64)
    for at in range(len(sizes) - 1, -1, -1):
        asked = np.full(grid.shape, at, dtype=np.int64)
        own = group == at
        waits = running_at(
            group[own], submit_s[waited][own], start_s[waited][own], ones[own], asked, grid
        )
        least = np.where(waits > 0, sizes[at], least)
    return least


def capacity(tested: Tested) -> Iterator[Mechanism]:
    """Test whether capacity that was not available explains the difference; see `closures_of`."""
    case = tested.case
    name = "capacity that was not available (reservations, drains, failures)"
    if case.unclear_room:
        yield Mechanism("capacity", name, untested=case.unclear_room)
        return
    plan = closures_of(case)
    periods = int(sum((numbers > 0).sum() for numbers in plan.closed.values()))
    recorded, simulated = tested.both
    mechanism = Mechanism(
        "capacity",
        name,
        f"the capacity of {counted(periods, 'day')} on which jobs waited although they had room",
        "waiting time in which the job had room in accelerators that nobody used",
        recorded.share(recorded.room),
        simulated.share(simulated.room),
        taken=periods,
    )
    if not periods:
        yield replace(mechanism, untested="on no day did jobs wait half of the time with room")
        return
    yield tested.granted(mechanism, replayed_with_closures(case, tested.policy, plan))


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
        yield tested.granted(mechanism, replayed(case, tested.policy, cluster=pooled(case)))
        return
    names = sorted(set(case.partition))
    if len(names) < 2 or not case.has_starts:
        reason = (
            "the log names no two partitions" if case.has_starts else "this needs recorded starts"
        )
        yield Mechanism("partitions", name, untested=reason)
        return
    if case.unclear_room:
        yield Mechanism("partitions", name, untested=case.unclear_room)
        return
    code = np.searchsorted(names, case.partition).astype(np.int64)
    most = most_at_once(case, code, case.size, len(names))
    largest = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(largest, code, case.size)
    most = np.maximum(most, largest)
    recorded, simulated = (
        each.share(each.room & at_ceiling(case, start, each, code, case.size, most))
        for each, start in zip(tested.both, (case.start_s, tested.start_s), strict=True)
    )
    total, all_of = int(most.sum()), int(tested.capacity.sum())
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
    cluster = by_partition(own)
    yield tested.granted(
        mechanism, replayed(case, tested.policy, jobs=jobs, cluster=cluster, placement="pooled")
    )


def nodes(tested: Tested) -> Iterator[Mechanism]:
    """Test whether the packing of jobs on nodes explains the difference."""
    if tested.case.placement != "pooled":
        mechanism = Mechanism("nodes", "jobs spread over any free accelerators", "nothing")
        found = replayed(tested.case, tested.policy, placement="pooled")
        yield tested.granted(mechanism, found)
