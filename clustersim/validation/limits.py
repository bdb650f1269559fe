"""Mechanisms that hold jobs: limits of users, and dependencies between their jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.units import counted, format_duration
from clustersim.validation.case import Case
from clustersim.validation.held import over_ceiling
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.occupancy import Waiting, running_at
from clustersim.validation.setting import Ceilings
from clustersim.workload.jobs import users_are_namespaces

__all__ = [
    "common_ceiling",
    "dependencies",
    "most_at_once",
    "user_limits",
]

AFTER_S = 60.0
"""A job that starts within this time after the end of another job of its user may have waited for
it."""

LEAST_SEEN = 0.01
"""A limit whose trace is seen in less than this share of the waiting time is tried in one form."""


def most_at_once(case: Case, group: Ints, weight: Ints, count: int) -> Ints:
    """Return the most that ran at once of each group, as recorded.

    Parameters
    ----------
    case : Case
    group, weight : int64 arrays (jobs,)
        Group of each job (-1 for none), and what it counts: its accelerators, or 1.
    count : int
        Number of groups.
    """
    job, start, end = case.runs
    known = group[job] >= 0
    job, start, end = job[known], start[known], end[known]
    own = group[job]
    at_start = running_at(own, start, end, weight[job], own, start)
    most = np.zeros(count, dtype=np.int64)
    np.maximum.at(most, own, at_start)
    return most


def common_ceiling(most: Ints, bound: Bools) -> tuple[int, int] | None:
    """Return the ceiling that most users reached exactly while held by it, and their number.

    At least two users must have been held at it, and no more than a tenth of all users may ever
    have had more.  None if there is no such ceiling.

    Parameters
    ----------
    most : int64 array (users,)
        The most that each user ever had.
    bound : bool array (users,)
        Users whose jobs waited with room while they had as much as ever.

    Examples
    --------
    >>> common_ceiling(np.array([8, 8, 8, 2, 1]), np.array([True, True, True, False, False]))
    (8, 3)
    """
    values, counts = np.unique(most[bound], return_counts=True)
    allowed = [
        (int(n), int(value))
        for value, n in zip(values, counts, strict=True)
        if n >= 2 and (most > value).mean() <= 0.1
    ]
    return (max(allowed)[1], max(allowed)[0]) if allowed else None


def user_limits(tested: Tested) -> Iterator[Mechanism]:
    """Test whether limits on the running accelerators or jobs of a user explain the difference.

    The limit is the one that several users reached exactly (see `common_ceiling`), else the most
    that each user ever had.
    """
    case = tested.case
    users = int(case.user.max()) + 1 if len(case.user) else 0
    for key, noun, weight in (
        ("user_accelerators", "accelerators", case.size),
        ("user_jobs", "jobs", np.ones(len(case.size), dtype=np.int64)),
    ):
        name = f"a limit on the running {noun} of a user"
        if users < 2:
            yield Mechanism(key, name, untested="the log names no two users")
            continue
        most = most_at_once(case, case.user, weight, users)
        recorded, simulated = tested.both
        held = _at_most_ever(tested, case.start_s, recorded, weight, most)
        bound = np.zeros(users, dtype=bool)
        bound[case.user[recorded.job[held.any(axis=1)]]] = True
        common = common_ceiling(most, bound)
        again = _at_most_ever(tested, tested.start_s, simulated, weight, most)
        limits = np.where(most > 0, most, np.inf).astype(np.float64)
        takes = f"the most that each of {counted(users, 'user')} ever had"
        if common is not None:
            limit, n = common
            limits = np.where(most <= limit, limit, np.inf).astype(np.float64)
            takes = f"one limit of {limit:,}, which {n} of {counted(users, 'user')} reached exactly"
            name = f"a limit of {limit:,} running {noun} of a user"
        mechanism = Mechanism(
            key,
            name,
            takes,
            f"waiting time with room in which the user had as many {noun} as ever",
            recorded.share(held),
            simulated.share(again),
            taken=users if common is None else 1,
        )
        yield _with_limit(tested, mechanism, weight, limits)


def _at_most_ever(
    tested: Tested, start_s: Floats, waiting: Waiting, weight: Ints, most: Ints
) -> Bools:
    """Return in which parts of the waits a job had room, and its user as much as ever."""
    case = tested.case
    ceiling = most.astype(np.float64)
    return waiting.room & over_ceiling(
        case, start_s, waiting.job, waiting.time_s, case.user, weight, ceiling
    )


def _with_limit(tested: Tested, mechanism: Mechanism, weight: Ints, limits: Floats) -> Mechanism:
    """Return the limit in the form that is nearer: smaller jobs of a user may pass, or not.

    If the trace of the limit is hardly ever seen, they may pass.
    """
    before = tested.setting.ceilings
    own = (weight, limits)
    both = (own,) if before is None else (*before.limits, own)
    forms = [
        replace(tested.setting, ceilings=Ceilings(tested.case.user, both, passing=passing))
        for passing in ((True, False) if mechanism.recorded >= LEAST_SEEN else (True,))
    ]
    found = tested.granted(mechanism, *forms)
    if found.setting is None or found.setting.ceilings is None:
        return found
    what = "may pass" if found.setting.ceilings.passing else "wait for"
    return replace(
        found, takes=f"{found.takes}; other jobs of the user {what} one that is held by it"
    )


def dependencies(tested: Tested) -> Iterator[Mechanism]:
    """Test whether jobs that wait for another job of their user explain the difference."""
    case = tested.case
    name = "dependencies between the jobs of a user"
    if not (case.user >= 0).any():
        yield Mechanism("dependencies", name, untested="the log names no users")
        return
    if users_are_namespaces(case.jobs):
        why = "users are namespaces, whose jobs seldom depend on each other"
        yield Mechanism("dependencies", name, untested=why)
        return
    traces = []
    for start, waiting in zip((case.start_s, tested.start_s), tested.both, strict=True):
        with_room = waiting.room.mean(axis=1) >= 0.5
        after = _end_before(case, start)[waiting.job]
        traces.append((waiting.job[with_room & np.isfinite(after)], len(waiting.job)))
    (held, waits), (others, simulated_waits) = traces
    mechanism = Mechanism(
        "dependencies",
        name,
        f"the end of the job before each of {counted(len(held), 'job')}",
        f"jobs that waited with room and started within {format_duration(AFTER_S)} after the end "
        "of another job of their user",
        len(held) / waits if waits else 0.0,
        len(others) / simulated_waits if simulated_waits else 0.0,
        taken=len(held),
    )
    if not len(held):
        yield replace(mechanism, untested="no job started that way")
        return
    ready_s = case.submit_s.copy()
    ready_s[held] = np.maximum(_end_before(case, case.start_s)[held], ready_s[held])
    yield tested.granted(mechanism, replace(tested.setting, ready_s=ready_s))


def _end_before(case: Case, start_s: Floats) -> Floats:
    """Return the end of another job of the user shortly before the start of each job, or NaN."""
    found = np.full(len(start_s), np.nan)
    known = np.flatnonzero(np.isfinite(start_s) & (case.user >= 0))
    end_s = start_s + case.run_s
    for rows in pd.Series(known).groupby(case.user[known]).groups.values():
        own = known[np.asarray(rows)]
        ends = np.sort(end_s[own])
        at = np.searchsorted(ends, start_s[own], side="right") - 1
        last = np.where(at >= 0, ends[np.maximum(at, 0)], -np.inf)
        near = (start_s[own] - last <= AFTER_S) & (last > case.submit_s[own])
        found[own[near]] = last[near]
    return found
