"""Mechanisms that hold jobs: limits of users, and dependencies between their jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.scheduling import find_policy
from clustersim.units import counted, format_duration
from clustersim.validation.case import Case
from clustersim.validation.granted import with_ceilings
from clustersim.validation.mechanism import Mechanism, Tested
from clustersim.validation.occupancy import Waiting, running_at
from clustersim.validation.replays import replayed, replayed_with_submissions

__all__ = [
    "at_ceiling",
    "common_ceiling",
    "dependencies",
    "most_at_once",
    "user_limits",
]

AFTER_S = 60.0
"""A job that starts within this time after the end of another job of its user may have waited for
it."""


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


def at_ceiling(
    case: Case, start_s: Floats, waiting: Waiting, group: Ints, weight: Ints, most: Ints
) -> Bools:
    """Return in which parts of the waits the job would have lifted its group over a ceiling.

    Parameters
    ----------
    case : Case
    start_s : float64 array (jobs,)
        Starts, recorded or simulated (seconds).
    waiting : Waiting
        The waits under these starts.
    group, weight : int64 arrays (jobs,)
        As for `most_at_once`.
    most : int64 array (groups,)
        The ceilings.

    Returns
    -------
    bool array (waits, parts)
    """
    known = np.isfinite(start_s) & (group >= 0)
    own = group[waiting.job]
    of = np.broadcast_to(np.maximum(own, 0)[:, None], waiting.time_s.shape)
    used = running_at(
        group[known], start_s[known], (start_s + case.run_s)[known], weight[known], of,
        waiting.time_s,
    )  # fmt: skip
    over: Bools = used + weight[waiting.job][:, None] > most[of]
    over &= (own >= 0)[:, None]
    return over


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
        if case.unclear_room:
            yield Mechanism(key, name, untested=case.unclear_room)
            continue
        most = most_at_once(case, case.user, weight, users)
        recorded, simulated = tested.both
        ceilings = at_ceiling(case, case.start_s, recorded, case.user, weight, most)
        held = recorded.room & ceilings
        bound = np.zeros(users, dtype=bool)
        bound[case.user[recorded.job[held.any(axis=1)]]] = True
        common = common_ceiling(most, bound)
        again = simulated.room & at_ceiling(
            case, tested.start_s, simulated, case.user, weight, most
        )
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
        yield _nearer_of_both(tested, mechanism, weight, limits)


def _nearer_of_both(
    tested: Tested, mechanism: Mechanism, weight: Ints, limits: Floats
) -> Mechanism:
    """Return the limit in the form that is nearer: smaller jobs of a user may pass, or not."""
    case, base = tested.case, find_policy(tested.policy)
    found = []
    for passing, what in ((True, "may pass"), (False, "wait for")):
        policy = with_ceilings(base, case.user, weight, limits, passing=passing)
        takes = f"{mechanism.takes}; other jobs of the user {what} one that is held by it"
        found.append(tested.granted(replace(mechanism, takes=takes), replayed(case, policy)))
    return min(found, key=lambda each: each.distance_s)


def dependencies(tested: Tested) -> Iterator[Mechanism]:
    """Test whether jobs that wait for another job of their user explain the difference."""
    case = tested.case
    name = "dependencies between the jobs of a user"
    if not (case.user >= 0).any():
        yield Mechanism("dependencies", name, untested="the log names no users")
        return
    if case.unclear_room:
        yield Mechanism("dependencies", name, untested=case.unclear_room)
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
    submit_s = case.submit_s.copy()
    submit_s[held] = np.maximum(_end_before(case, case.start_s)[held], submit_s[held])
    yield tested.granted(mechanism, replayed_with_submissions(case, tested.policy, submit_s))


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
