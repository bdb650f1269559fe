"""Fit a workload model with sessions to a log, so that its jobs wait about as long as the log's.

Classes are bins of size and of run time (a joint distribution), each with enough jobs.  Its run
times are a table of quantiles, scaled so that the expected work of the class is that of the log.
A session is a series of jobs of one user and one class whose submissions are at most `GAP_S` apart,
and much less than is usual for this user and class; how many jobs, how far apart and how much alike
comes from the log.  The level of the weeks comes
from the work of the classes that bring most of the work (``heavy``), and from the number of jobs of
the others (``light``), after the part that the sampling of sessions alone explains is removed.

How strongly the levels vary, and the headroom of the feedback, are chosen by
:mod:`clustersim.workload.calibrate_sessions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from clustersim.array_types import Floats, Ints
from clustersim.calendar import WEEK_S, Calendar
from clustersim.workload.arrivals import Arrivals
from clustersim.workload.calibrate_sessions import SessionFit, as_rates
from clustersim.workload.describe import clock_of, size_bins
from clustersim.workload.distributions import QuantileTableDuration
from clustersim.workload.fit import (
    check_fit,
    cycle_of,
    estimates_of,
    merge_small,
    size_mix,
    span_of,
)
from clustersim.workload.sessions import SHORTEST_LEVEL_S, ClassSessions, Sessions
from clustersim.workload.spec import JobClass, WorkloadSpec

__all__ = ["fit_sessions"]

GAP_S = 3600.0
"""Longest time between two jobs of a session."""
USUAL = 0.25
"""Longest time between two jobs of a session, relative to the mean of their user and class."""
BANDS_S = (300.0, 3600.0, 21600.0)
"""Run times (seconds) between which the classes of a size bin are divided."""
_BANDS = ("<5 min", "5 min-1 h", "1-6 h", ">6 h")
HEAVY_SHARE = 0.95
"""Share of the work that the heavy classes bring."""
MOST_USERS = 12
"""Largest number of users of a class by name; all others together are ``other``."""
_CHANCES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Class:
    """Jobs of a class in the log, session after session.

    Attributes
    ----------
    name : str
    rows : int64 array (jobs,)
        Rows of the log.
    session : int64 array (jobs,)
        Number of the session of each job, ascending.
    """

    name: str
    rows: Ints
    session: Ints


def fit_sessions(
    jobs: pd.DataFrame,
    *,
    name: str,
    description: str = "",
    sources: dict[str, str] | None = None,
    calendar: Calendar | None = None,
    virtual_clusters: bool = False,
) -> SessionFit:
    """Fit a workload model with sessions to the jobs of a log.

    If the log does not name users, the jobs of a virtual cluster count as those of one user, and
    without virtual clusters all jobs do.  :func:`~clustersim.workload.fit.fit_workload` fits a
    model of independent jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table with run times above 0.
    name, description, sources : str, str, dict
        Name, description and sources of the model.
    calendar : Calendar, optional
        The local clock of the log; by default, time 0 is Monday, 00:00.
    virtual_clusters : bool
        Whether the model keeps each virtual cluster's share of the jobs.

    Returns
    -------
    SessionFit
        Its method ``model`` returns the workload model.

    Raises
    ------
    InputError
        If there are fewer than 50 jobs, all jobs are submitted at the same time, or a run time is
        missing or 0.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.workload.fit_sessions import fit_sessions
    >>> log = cs.generate_jobs(cs.load_workload("kth-sp2"), cs.Streams(1), n_jobs=500)
    >>> fit_sessions(log, name="again").model().arrivals.process.kind
    'sessions'
    """
    check_fit(jobs, name)
    clock = clock_of(0.0) if calendar is None else calendar
    jobs = jobs.reset_index(drop=True)
    classes = list(_classes(jobs))
    heavy = _heavy(jobs, classes)
    cycle = cycle_of(jobs, clock)
    levels, length_s = _levels(jobs, classes, heavy, cycle, clock)
    spec = WorkloadSpec(
        name=name,
        description=description,
        arrivals=cycle.model_copy(
            update={
                "process": Sessions(
                    kind="sessions",
                    level_length=f"{max(length_s, SHORTEST_LEVEL_S):.6g} s",
                    levels=as_rates(levels),
                )
            }
        ),
        classes=tuple(
            _job_class(jobs, each, "heavy" if is_heavy else "light", levels, virtual_clusters)
            for each, is_heavy in zip(classes, heavy, strict=True)
        ),
        sources=sources or {},
    )
    return SessionFit.of(spec, jobs, levels, clock)


def _classes(jobs: pd.DataFrame) -> Iterator[_Class]:
    """Yield the classes of a log: bins of size and run time with enough jobs each."""
    sizes, labels = size_bins(jobs["n_accelerators"])
    bands = np.searchsorted(BANDS_S, jobs["duration_s"].to_numpy(dtype=np.float64), side="right")
    users = _users(jobs)
    submit = jobs["submit_s"].to_numpy(dtype=np.float64)
    span = submit[-1] - submit[0]
    for first, last in merge_small(np.bincount(sizes, minlength=len(labels))):
        of_size = (sizes >= first) & (sizes <= last)
        for low, high in merge_small(np.bincount(bands[of_size], minlength=len(_BANDS))):
            rows = np.flatnonzero(of_size & (bands >= low) & (bands <= high))
            rows = rows[np.lexsort((rows, users[rows]))]
            usual_s = span / np.bincount(users[rows])[users[rows]]
            longest = np.minimum(GAP_S, USUAL * usual_s)[1:]
            apart = (np.diff(users[rows]) != 0) | (np.diff(submit[rows]) > longest)
            later = np.append(0, np.cumsum(apart))
            label = span_of(labels[first], labels[last])
            yield _Class(f"{label}, {_band(low, high)}", rows, later.astype(np.int64))


def _band(low: int, high: int) -> str:
    """Return the label of a range of bands of run times."""
    if low == high:
        return _BANDS[low]
    if low == 0:
        return "all" if high == len(_BANDS) - 1 else "<" + ("", "1 h", "6 h")[high]
    return ">" + ("", "5 min", "1 h")[low] if high == len(_BANDS) - 1 else "5 min-6 h"


def _users(jobs: pd.DataFrame) -> Ints:
    """Return the number of the user of each job; of the virtual cluster if users are unknown."""
    for column in ("user", "vc"):
        if column in jobs and jobs[column].notna().any():
            return np.asarray(pd.factorize(jobs[column], use_na_sentinel=False)[0], dtype=np.int64)
    return np.zeros(len(jobs), dtype=np.int64)


def _work(jobs: pd.DataFrame) -> Floats:
    return (jobs["n_accelerators"] * jobs["duration_s"]).to_numpy(dtype=np.float64)


def _heavy(jobs: pd.DataFrame, classes: list[_Class]) -> list[bool]:
    """Return which classes are heavy: those with most work a job that bring `HEAVY_SHARE` of it."""
    work = _work(jobs)
    total = np.array([work[each.rows].sum() for each in classes])
    order = np.argsort([-work[each.rows].mean() for each in classes], kind="stable")
    before = np.cumsum(total[order]) - total[order]
    heavy = np.zeros(len(classes), dtype=bool)
    heavy[order[before < HEAVY_SHARE * total.sum()]] = True
    return [bool(each) for each in heavy]


def _levels(
    jobs: pd.DataFrame, classes: list[_Class], heavy: list[bool], cycle: Arrivals, clock: Calendar
) -> tuple[dict[str, Floats], float]:
    """Return the relative level of each period by kind of class, and the length of a period.

    A level is what arrived, divided by what the daily and weekly cycle lets one expect.  It varies
    even if the rate is constant, because sessions are few and differ; deviations from 1 are
    reduced so that this part is removed from their variance.
    """
    submit = jobs["submit_s"].to_numpy(dtype=np.float64)
    first, span = submit[0], submit[-1] - submit[0]
    count = max(1, round(span / WEEK_S))
    rate = 1 / float(cycle.mean_interarrival)
    edges = first + span * np.arange(count + 1) / count
    due = np.diff(cycle.to_operational(edges, rate, clock))
    amounts = {"heavy": _work(jobs), "light": np.ones(len(jobs))}
    found = {}
    for kind, amount in amounts.items():
        brought, squares = np.zeros(count), 0.0
        for each, is_heavy in zip(classes, heavy, strict=True):
            if is_heavy != (kind == "heavy"):
                continue
            begin = submit[each.rows][np.append(True, np.diff(each.session) > 0)]
            of_session = np.bincount(each.session, weights=amount[each.rows])
            period = np.clip(((begin - first) / span * count).astype(np.int64), 0, count - 1)
            brought += np.bincount(period, weights=of_session, minlength=count)
            squares += float((of_session**2).sum())
        if not brought.sum() > 0 or count == 1:
            continue
        level = brought / brought.sum() / np.maximum(due / due.sum(), 1e-12)
        level /= level.mean()
        noise = squares / brought.sum() ** 2 * count
        own = max(0.0, 1 - noise / float(level.var())) if level.var() > 0 else 0.0
        found[kind] = np.maximum(1 + np.sqrt(own) * (level - 1), 0.0)
    return found, span / count


def _job_class(
    jobs: pd.DataFrame, of: _Class, kind: str, levels: dict[str, Floats], clusters: bool
) -> JobClass:
    rows = jobs.iloc[of.rows]
    mix = size_mix(rows)
    mean_size = float(np.average(list(mix), weights=list(mix.values())))
    work = float(_work(rows).sum())
    shares = {
        field: _shares(rows[column], most)
        for field, column, most in (("vcs", "vc", None), ("users", "user", MOST_USERS))
        if column in rows and rows[column].notna().any() and (clusters or column == "user")
    }
    return JobClass(
        name=of.name,
        weight=float(f"{len(rows) / len(jobs):.6g}"),
        sizes=mix,
        duration=_durations(rows["duration_s"].to_numpy(), work / len(rows) / mean_size),
        estimate=estimates_of(rows),
        sessions=_sessions(rows, of.session, kind if kind in levels else None),
        **shares,
    )


def _shares(labels: pd.Series, most: int | None) -> dict[str, float]:
    """Return the share of each label, of the most frequent ones if there are more than `most`."""
    counts = labels.astype("string").fillna("unknown").value_counts(normalize=True)
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    shares = {str(label): float(f"{share:.4g}") for label, share in counts.iloc[:most].items()}
    rest = float(counts.iloc[most:].sum()) if most is not None else 0.0
    return {**shares, "other": float(f"{rest:.4g}")} if rest > 0 else shares


def _durations(runs: Floats, mean: float) -> QuantileTableDuration:
    """Return the quantiles of run times, scaled to a mean."""
    chances = _CHANCES if len(runs) >= 20 else (0.0, 0.5, 1.0)
    values = np.maximum(np.quantile(runs, chances), 1e-3)
    table = QuantileTableDuration(
        kind="quantiles",
        probabilities=chances,
        values=tuple(f"{value:.9g} s" for value in values),
    )
    scaled = values * (mean / table.mean())
    return table.model_copy(update={"values": tuple(float(f"{v:.6g}") for v in scaled)})


def _sessions(rows: pd.DataFrame, session: Ints, level: str | None) -> ClassSessions:
    counts = np.bincount(session)
    gaps = np.diff(rows["submit_s"].to_numpy(dtype=np.float64))[np.diff(session) == 0]
    gap = None
    if len(gaps) and gaps.max() > 0:
        values = np.quantile(np.maximum(gaps, 1e-3), _CHANCES)
        gap = QuantileTableDuration(
            kind="quantiles",
            probabilities=_CHANCES,
            values=tuple(f"{float(f'{value:.4g}'):g} s" for value in values),
        )
    alike = _alike(rows["duration_s"].to_numpy(dtype=np.float64), session, counts)
    return ClassSessions(jobs=_counts(counts), gap=gap, alike=alike, level=level)


def _counts(counts: Ints) -> dict[int, float]:
    """Return a short table of the numbers of jobs in a session, with the same mean.

    Numbers of more than 4 are combined in bins that end at powers of 2; each bin has the two whole
    numbers next to its mean.
    """
    table: dict[int, float] = {}
    bins = np.where(counts <= 4, counts, 4 + np.ceil(np.log2(counts / 4))).astype(np.int64)
    for each in np.unique(bins):
        inside = counts[bins == each]
        low = int(inside.mean())
        upper = float(inside.mean()) - low
        for count, part in ((low, 1 - upper), (low + 1, upper)):
            if part > 1e-9:
                table[count] = table.get(count, 0.0) + part * len(inside)
    return {count: float(f"{weight:.8g}") for count, weight in sorted(table.items())}


def _alike(runs: Floats, session: Ints, counts: Ints) -> float:
    """Return the intraclass correlation of the normal scores of run times, by sessions."""
    freedom = len(runs) - len(counts)
    if freedom < 10 or runs.min() == runs.max():
        return 0.0
    scores = special.ndtri((pd.Series(runs).rank().to_numpy() - 0.5) / len(runs))
    means = np.bincount(session, weights=scores) / counts
    within = float(((scores - means[session]) ** 2).sum()) / freedom
    return float(f"{np.clip(1 - within / scores.var(), 0.0, 0.99):.2f}")
