"""Draw the sessions of a workload model: which job is submitted when, by which class.

Sessions of a class arrive in operational time, in which the mean rate is one session per unit, and
are mapped to seconds by the inverse of the cumulative rate, as in
:mod:`clustersim.workload.arrivals`.  A higher load or a longer run changes this map only: the
sessions of a class, their sizes, users and durations remain the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from clustersim.array_types import Floats, Ints
from clustersim.calendar import HOUR_S, WEEK_S, Calendar
from clustersim.units import SECONDS_PER_YEAR
from clustersim.workload.sessions import ClassSessions, Sessions
from clustersim.workload.spec import JobClass, WorkloadSpec

__all__ = ["LEAD_S", "SessionJobs", "mean_demand", "session_jobs"]

LEAD_S = WEEK_S
"""Sessions are drawn from this time before time 0 on, as some of their jobs come after it."""
_CHUNK = 4096
_LEAST = 1e-12

Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True, slots=True, eq=False)
class SessionJobs:
    """Jobs in order of submission, with the uniform numbers from which their properties follow.

    Attributes
    ----------
    submit_s : float64 array (jobs,)
        May be negative.
    job_class : int64 array (jobs,)
        Index of the class.
    size, duration, estimate, vc, user : float64 array (jobs,)
        Uniform numbers; all jobs of a session have the same `size`, `vc` and `user`.
    """

    submit_s: Floats
    job_class: Ints
    size: Floats
    duration: Floats
    estimate: Floats
    vc: Floats
    user: Floats


def session_jobs(
    spec: WorkloadSpec, streams: Streams, until_s: float, rate_per_s: float, calendar: Calendar
) -> SessionJobs:
    """Draw the jobs of all sessions that begin before a time.

    Parameters
    ----------
    spec : WorkloadSpec
        Its arrivals are sessions.
    streams : callable
        Function that returns the random generator for a purpose.
    until_s : float
        Time up to which sessions begin (seconds).  A later time does not change the jobs before.
    rate_per_s : float
        Mean arrival rate of jobs (1/s).
    calendar : Calendar
        The local clock, for daily and weekly cycles.

    Returns
    -------
    SessionJobs
    """
    process = spec.arrivals.process
    assert isinstance(process, Sessions), "the arrivals are sessions"
    edges_s, rate = _cells(spec, until_s, calendar)
    start = int(np.searchsorted(edges_s, 0.0))
    begin = float(streams("begin of the levels").random())
    total = sum(job_class.weight for job_class in spec.classes)
    parts: list[tuple[Floats, ...]] = []
    indices: list[int] = []
    for index, job_class in enumerate(spec.classes):
        sessions = job_class.sessions or ClassSessions()
        level = 1.0 if sessions.level is None else _level(process, sessions.level, begin, edges_s)
        share = job_class.weight / total / sessions.mean_jobs()
        due = rate * level * np.diff(edges_s) * rate_per_s * share
        # The sessions before time 0 have their own streams: as many as they are, the sessions from
        # time 0 on are the same at every load.
        for cells, when in ((slice(0, start), " before time 0"), (slice(start, None), "")):
            edges = edges_s[cells.start : None if cells.stop is None else cells.stop + 1]
            until = np.append(0.0, np.cumsum(due[cells]))
            parts.append(_of_class(job_class.name + when, sessions, streams, until, edges))
            indices.append(index)
    columns = [np.concatenate([part[k] for part in parts]) for k in range(6)]
    of_class = np.repeat(np.array(indices, dtype=np.int64), [len(part[0]) for part in parts])
    order = np.argsort(columns[0], kind="stable")
    submit, size, duration, estimate, vc, user = (column[order] for column in columns)
    return SessionJobs(submit, of_class[order], size, duration, estimate, vc, user)


def _cells(spec: WorkloadSpec, until_s: float, calendar: Calendar) -> tuple[Floats, Floats]:
    """Return the edges of local hours, from `LEAD_S` before time 0 on, and the relative rates."""
    arrivals = spec.arrivals
    after = np.unique(np.append(calendar.hour_edges_s(until_s), [0.0, until_s]))
    after = after[(after >= 0) & (after <= until_s)]
    before = np.arange(-LEAD_S, 0.0, HOUR_S)
    # The week before time 0 has the hours of the first week, one week earlier.
    edges_s = np.append(before, after)
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    hour = calendar.hour_of_week(np.where(middle_s < 0, middle_s + WEEK_S, middle_s))
    growth_per_s = float(np.log(arrivals.growth)) / SECONDS_PER_YEAR
    return edges_s, arrivals.weekly_profile()[hour] * np.exp(growth_per_s * middle_s)


def _level(process: Sessions, name: str, begin: float, edges_s: Floats) -> Floats:
    """Return the level in each cell, if time 0 is at the part `begin` of the list."""
    levels = process.relative_levels(name)
    middle_s = (edges_s[1:] + edges_s[:-1]) / 2
    period = np.floor(middle_s / float(process.level_length) + begin * len(levels))
    found: Floats = levels[period.astype(np.int64) % len(levels)]
    return found


def _of_class(
    name: str, sessions: ClassSessions, streams: Streams, due: Floats, edges_s: Floats
) -> tuple[Floats, ...]:
    """Return the jobs of a class, session after session: the columns of `SessionJobs`.

    Parameters
    ----------
    due : float64 array (edges,)
        Number of sessions expected up to each edge.
    """
    drawn = _until(streams(f"sessions of {name}"), float(due[-1]))
    operational = np.cumsum(drawn[:, 0])
    drawn = drawn[operational < due[-1]]
    begin_s = np.interp(operational[: len(drawn)], due, edges_s)
    counts = np.array(list(sessions.jobs), dtype=np.int64)
    shares = np.cumsum(list(sessions.jobs.values()))
    picked = np.searchsorted(shares, drawn[:, 1] * shares[-1], side="right")
    jobs = counts[np.minimum(picked, len(counts) - 1)]
    session = np.repeat(np.arange(len(jobs)), jobs)
    own = streams(f"jobs of {name}").random((len(session), 3))
    first = np.repeat(np.cumsum(jobs) - jobs, jobs)
    gap_s = np.zeros(len(session)) if sessions.gap is None else sessions.gap.quantile(own[:, 0])
    since_s = np.cumsum(gap_s)
    since_s -= since_s[first] if len(first) else 0.0
    score = np.sqrt(sessions.alike) * special.ndtri(np.maximum(drawn[:, 3], _LEAST))[session]
    score += np.sqrt(1 - sessions.alike) * special.ndtri(np.maximum(own[:, 1], _LEAST))
    duration = np.minimum(special.ndtr(score), 1 - _LEAST)
    size, vc, user = (drawn[:, k][session] for k in (2, 4, 5))
    return begin_s[session] + since_s, size, duration, own[:, 2], vc, user


def _until(rng: np.random.Generator, due: float) -> Floats:
    """Return rows of (gap, five uniform numbers) whose gaps add up to more than `due`.

    The rows are drawn in chunks of a fixed size: a larger `due` gives the same rows and more.
    """
    rows = []
    reached = 0.0
    while reached <= due:
        drawn = rng.random((_CHUNK, 6))
        drawn[:, 0] = -np.log1p(-drawn[:, 0])
        reached += float(drawn[:, 0].sum())
        rows.append(drawn)
    return np.concatenate(rows)


def mean_demand(classes: tuple[JobClass, ...], rate_per_s: float) -> float:
    """Return the mean number of accelerators that the jobs would use if none of them waited.

    Parameters
    ----------
    classes : tuple of JobClass
        All with a duration.
    rate_per_s : float
        Mean arrival rate of jobs (1/s).
    """
    work = [
        each.weight
        * np.average(list(each.sizes), weights=list(each.sizes.values()))
        * each.duration.mean()
        for each in classes
        if each.duration is not None
    ]
    return rate_per_s * float(np.sum(work)) / sum(job_class.weight for job_class in classes)
