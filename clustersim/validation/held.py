"""Which waiting jobs were held by a mechanism that is granted, so that room was of no use to them.

What is looked for on top of a mechanism must not be found in waits that this mechanism explains:
jobs of a user at a limit do not show that capacity was missing.
"""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.validation.case import Case
from clustersim.validation.occupancy import running_at
from clustersim.validation.setting import Setting

__all__ = ["held_by", "next_in_order", "over_ceiling", "room_for"]


def over_ceiling(
    case: Case, start_s: Floats, job: Ints, time_s: Floats, group: Ints, weight: Ints, most: Floats
) -> Bools:
    """Return when a waiting job would have lifted its group over a ceiling.

    Parameters
    ----------
    case : Case
    start_s : float64 array (jobs,)
        Starts, recorded or simulated (seconds).
    job : int64 array (waits,)
        The waiting jobs.
    time_s : float64 array (waits, times)
    group, weight : int64 arrays (jobs,)
        Group of each job (-1 for none), and what it counts: its accelerators, or 1.
    most : float64 array (groups,)
        The ceilings.

    Returns
    -------
    bool array (waits, times)
    """
    known = np.isfinite(start_s) & (group >= 0)
    own = group[job]
    of = np.broadcast_to(np.maximum(own, 0)[:, None], time_s.shape)
    used = running_at(
        group[known], start_s[known], (start_s + case.run_s)[known], weight[known], of, time_s
    )
    over: Bools = used + weight[job][:, None] > most[of]
    over &= (own >= 0)[:, None]
    return over


def next_in_order(
    submit_s: Floats, start_s: Floats, key: Floats, line: Ints, of: Ints, time_s: Floats
) -> Floats:
    """Return the smallest key of the jobs of a line that wait at each time; infinite if none.

    Parameters
    ----------
    submit_s, start_s, key, line : arrays (jobs,)
        A job waits from its submission until just before its start.
    of : int64 array
        The line that is asked about at each time.
    time_s : float64 array of the same shape

    Examples
    --------
    >>> next_in_order(np.array([0.0, 1.0]), np.array([9.0, 4.0]), np.array([9.0, 4.0]),
    ...               np.zeros(2, dtype=int), np.zeros(3, dtype=int), np.array([0.5, 2.0, 5.0]))
    array([9., 4., 9.])
    """
    asked, lines = time_s.ravel(), of.ravel()
    found = np.full(len(asked), np.inf)
    queries = np.argsort(asked, kind="stable")
    jobs = np.argsort(submit_s, kind="stable")
    submits, starts, keys = submit_s.tolist(), start_s.tolist(), key.tolist()
    heaps: dict[int, list[tuple[float, int]]] = {int(name): [] for name in np.unique(lines)}
    at = 0
    for query in queries.tolist():
        now = float(asked[query])
        while at < len(jobs) and submits[jobs[at]] <= now:
            job = int(jobs[at])
            at += 1
            if int(line[job]) in heaps:
                heappush(heaps[int(line[job])], (keys[job], job))
        heap = heaps[int(lines[query])]
        while heap and not starts[heap[0][1]] > now:
            heappop(heap)
        if heap:
            found[query] = heap[0][0]
    return found.reshape(time_s.shape)


def held_by(setting: Setting, start_s: Floats, job: Ints, time_s: Floats) -> Bools:
    """Return when waiting jobs were held by what is granted, apart from closed capacity.

    Parameters
    ----------
    setting : Setting
    start_s : float64 array (jobs,)
        Starts, recorded or simulated (seconds).
    job : int64 array (waits,)
        The waiting jobs.
    time_s : float64 array (waits, times)

    Returns
    -------
    bool array (waits, times)
    """
    case = setting.case
    held = np.zeros(time_s.shape, dtype=bool)
    if setting.ready_s is not None:
        held |= time_s < setting.ready_s[job][:, None]
    if setting.hours is not None:
        held |= setting.hours.closed(case, job, time_s)
    if setting.ceilings is not None:
        own = setting.ceilings
        for weight, most in own.limits:
            held |= over_ceiling(case, start_s, job, time_s, own.group, weight, most)
    if setting.order_s is not None:
        key, line = setting.order_s, case.sharing.set_of
        known = np.isfinite(start_s)
        of = np.broadcast_to(line[job][:, None], time_s.shape)
        first = next_in_order(
            case.submit_s[known], start_s[known], key[known], line[known], of, time_s
        )
        held |= key[job][:, None] > first
    return held


def room_for(setting: Setting, start_s: Floats, job: Ints, time_s: Floats) -> Bools:
    """Return when waiting jobs surely had room and were not held by what is granted.

    Parameters
    ----------
    setting, start_s, job, time_s
        As for `held_by`.
    """
    case = setting.case
    of = np.broadcast_to(case.sharing.set_of[job][:, None], time_s.shape)
    closed = None
    if setting.closures is not None:
        part = np.broadcast_to(case.share[job][:, None], time_s.shape)
        closed = setting.closures.at(part, time_s)
    end_s = start_s + case.run_s
    largest = case.sharing.largest(start_s, end_s, case.size, of, time_s, closed)
    room: Bools = case.size[job][:, None] <= largest
    return room & ~held_by(setting, start_s, job, time_s)
