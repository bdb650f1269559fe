"""Tables of a validation: waits by group of jobs, and the use of the cluster over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from clustersim.analysis.size_waits import ENOUGH_JOBS
from clustersim.array_types import Bools, Floats
from clustersim.calendar import DAY_S, WEEK_S
from clustersim.validation.capacity import closures_of, day_edges_s, looks_s
from clustersim.validation.case import Case
from clustersim.validation.occupancy import running_at
from clustersim.validation.setting import Setting
from clustersim.workload.describe import size_bins
from clustersim.workload.job_groups import MOST_PARTITIONS, NO_PARTITION, OTHER_PARTITIONS

__all__ = ["KINDS", "groups_table", "jobs_table", "use_table"]

KINDS = ("all", "partition", "size", "hour", "week")
_FEW_WEEKS = 3


def groups_table(case: Case, starts: Mapping[str, Floats]) -> pd.DataFrame:
    """Return recorded and simulated waits by partition, size class, hour of day and week.

    Returns
    -------
    pandas.DataFrame
        One row per group of compared jobs: ``kind`` (see `KINDS`; ``day`` instead of ``week`` for
        a short log), ``group`` (of weeks and days the number since time 0), ``date`` (local time at
        which the week or day begins; only if the log has dates), ``jobs``,
        ``recorded_mean_wait_s``, ``recorded_median_wait_s``, ``recorded_p95_wait_s`` and, for each
        policy, the same and ``POLICY_distance_s``, the Wasserstein distance of its waits.  Groups
        of fewer than 20 jobs have no p95.
    """
    rows = []
    waits = {name: start - case.submit_s for name, start in starts.items()}
    waits = {"recorded": case.wait_s, **waits}
    lengths = {"week": WEEK_S, "day": DAY_S}
    for kind, group, chosen in _groups(case):
        row: dict[str, object] = {"kind": kind, "group": group, "jobs": int(chosen.sum())}
        if case.calendar.is_dated:
            begins = kind in lengths
            row["date"] = case.calendar.text(int(group) * lengths[kind]) if begins else ""
        for name, values in waits.items():
            own = values[chosen]
            median, p95 = np.quantile(own, [0.5, 0.95])
            row |= {f"{name}_mean_wait_s": own.mean(), f"{name}_median_wait_s": median}
            row[f"{name}_p95_wait_s"] = p95 if len(own) >= ENOUGH_JOBS else np.nan
            if name != "recorded":
                known = np.isfinite(waits["recorded"][chosen]).all()
                row[f"{name}_distance_s"] = (
                    wasserstein_distance(waits["recorded"][chosen], own) if known else np.nan
                )
        rows.append(row)
    return pd.DataFrame(rows)


def _groups(case: Case) -> Iterator[tuple[str, str, Bools]]:
    """Yield the groups of compared jobs."""
    compared = case.compared
    yield "all", "all", compared
    names = pd.Series(list(case.partition))
    counts = names[compared].value_counts(sort=True)
    if len(counts) > 1 or (len(counts) == 1 and counts.index[0] != NO_PARTITION):
        own = [str(name) for name in counts.index[:MOST_PARTITIONS]]
        for name in own:
            yield "partition", name, compared & (names == name).to_numpy()
        rest = compared & ~names.isin(own).to_numpy()
        if rest.any():
            yield "partition", OTHER_PARTITIONS, rest
    index, labels = size_bins(case.size)
    for k, label in enumerate(labels):
        if (chosen := compared & (index == k)).any():
            yield "size", label, chosen
    hour = case.calendar.hour_of_week(case.submit_s) % 24
    for k in range(24):
        if (chosen := compared & (hour == k)).any():
            yield "hour", f"{k:02d}", chosen
    span = float(np.ptp(case.submit_s[compared]))
    kind, length = ("week", WEEK_S) if span >= _FEW_WEEKS * WEEK_S else ("day", DAY_S)
    number = (case.submit_s // length).astype(np.int64)
    for k in np.unique(number[compared]).tolist():
        yield kind, str(k), compared & (number == k)


def jobs_table(case: Case, starts: Mapping[str, Floats]) -> pd.DataFrame:
    """Return the jobs with their recorded start and the simulated one of each policy."""
    names = ["job_id", "submit_s", "n_accelerators", "duration_s", "estimate_s", "vc", "user"]
    table = case.jobs[[name for name in names if name in case.jobs]].copy()
    table["compared"] = case.compared
    table["recorded_start_s"] = case.start_s
    for name, start in starts.items():
        table[f"{name}_start_s"] = start
    return table


def use_table(case: Case) -> pd.DataFrame:
    """Return the use of the cluster by day, as recorded.

    Returns
    -------
    pandas.DataFrame
        ``time_s`` (local midnight at which the day begins, before 0 for the first day; if the log
        has dates, ``date`` is its local time),
        ``mean_in_use``, ``most_in_use``, ``waiting`` (mean
        accelerators of waiting jobs), ``available`` (the capacity, or what was the most in use on
        days on which jobs waited half of the time although they had room) and ``capacity``.
    """
    plan = closures_of(Setting(case, ""))
    known = np.isfinite(case.start_s)
    submit, start, size = case.submit_s[known], case.start_s[known], case.size[known]
    days = day_edges_s(case, float(submit.min()), float(start.max()))[:-1]
    grid = looks_s(days)
    job, begin, end = case.runs
    zero, asked = np.zeros(len(start), dtype=np.int64), np.zeros(grid.shape, dtype=np.int64)
    used = running_at(np.zeros(len(job), dtype=np.int64), begin, end, case.size[job], asked, grid)
    waiting = running_at(zero, submit, start, size, asked, grid)
    total = case.cluster.n_chips
    closed = np.sum([numbers[:-1] for numbers in plan.closed.values()], axis=0)
    calendar = case.calendar
    dates = [f"{calendar.at(day):%Y-%m-%d %H:%M}" for day in days] if calendar.is_dated else None
    return pd.DataFrame(
        {
            "time_s": days,
            **({} if dates is None else {"date": dates}),
            "mean_in_use": used.mean(axis=1),
            "most_in_use": used.max(axis=1),
            "waiting": waiting.mean(axis=1),
            "available": np.maximum(total - closed, used.max(axis=1)),
            "capacity": total,
        }
    )
