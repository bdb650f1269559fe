"""Find the instants of submissions, starts and ends from the times of a local clock.

When the clocks go back, a local time occurs twice. The run time that the scheduler recorded, the
other times of the row and the order of the job numbers decide which of the two instants is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import pandas as pd

from clustersim.units import counted
from clustersim.workload.readers.site_logs.time_texts import TimeColumn

__all__ = ["Instants", "settle_instants"]

_HOUR = pd.Timedelta(hours=1)


@dataclass(slots=True)
class Instants:
    """Instants of each row in UTC; NaT if not recorded."""

    submit: pd.Series
    start: pd.Series
    end: pd.Series
    notes: list[str]


def settle_instants(
    times: dict[str, TimeColumn],
    zone: tzinfo,
    *,
    run_s: pd.Series,
    wait_s: pd.Series,
    number: Callable[[], pd.Series],
) -> Instants:
    """Return the instants of the columns ``submit``, ``start`` and ``end``.

    Parameters
    ----------
    times : dict of str to TimeColumn
        The three columns.
    zone : tzinfo
        Zone of the local times.
    run_s, wait_s : pandas.Series
        Recorded run time and wait in seconds, NaN if not recorded.
    number : callable
        Returns the number of each job in order of submission, NaN if it has none.
    """
    first: dict[str, pd.Series] = {}
    second: dict[str, pd.Series] = {}
    skipped = 0
    for name, column in times.items():
        early, late, lost = _both(column, zone)
        first[name], second[name] = early, late
        skipped += lost
    twice = sum(int((first[name] != second[name])[first[name].notna()].sum()) for name in first)
    notes = []
    if skipped:
        notes.append(
            f"{counted(skipped, 'time is', 'times are')} in an hour that the clocks of {zone} "
            "skip: read as one hour later"
        )
    submit, start, end = first["submit"], first["start"], first["end"]
    if twice:
        start, end = _by_run(first, second, run_s)
        numbers = number()
        submit = _by_order(first["submit"], second["submit"], start, wait_s, numbers)
        notes.append(
            f"{counted(twice, 'time is', 'times are')} in an hour that the clocks of {zone} show "
            "twice: the recorded run time, the other times of the row and the order of job numbers "
            "decide"
        )
        open_rows = _undecided(submit, second["submit"], start, wait_s, numbers)
        open_runs = _undecided_runs(first, second, submit, run_s)
        if undecided := int((open_rows | open_runs).sum()):
            jobs = counted(undecided, "job")
            notes[-1] += f"; for {jobs} nothing does, and the first of both hours is assumed"
    return Instants(submit, start, end, notes)


def _both(column: TimeColumn, zone: tzinfo) -> tuple[pd.Series, pd.Series, int]:
    """Return both instants at which the clock showed each time, and how many it never showed."""
    wall = column.wall
    if not wall.notna().any():
        return column.known, column.known, 0
    early, late = (
        wall.dt.tz_localize(zone, ambiguous=np.full(len(wall), summer), nonexistent=_HOUR)
        for summer in (True, False)
    )
    lost = int((early.dt.tz_localize(None) != wall)[wall.notna()].sum())
    return (
        column.known.fillna(early.dt.tz_convert("UTC")),
        column.known.fillna(late.dt.tz_convert("UTC")),
        lost,
    )


def _by_run(
    first: dict[str, pd.Series], second: dict[str, pd.Series], run_s: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Return the pair of start and end whose distance is closest to the recorded run time.

    Without a run time, the first pair in order of time is taken whose end is not before its start
    and whose start is not before the first submission.
    """
    best_start, best_end = first["start"], first["end"]
    best = pd.Series(np.inf, index=run_s.index)
    for start in (first["start"], second["start"]):
        for end in (first["end"], second["end"]):
            length = (end - start).dt.total_seconds()
            off = (length - run_s).abs()
            off = off.where(run_s.notna(), (length < 0) * 1e6 + 0.0)
            early = (start - first["submit"]).dt.total_seconds() < 0
            off = off + early * 0.25
            better = (off < best - 1e-6) & start.notna()
            best_start, best_end = best_start.mask(better, start), best_end.mask(better, end)
            best = best.mask(better, off)
    return best_start, best_end


def _undecided_runs(
    first: dict[str, pd.Series],
    second: dict[str, pd.Series],
    submit: pd.Series,
    run_s: pd.Series,
) -> pd.Series:
    """Return whether a start or an end may as well be in the second hour.

    A recorded run time decides, unless both are in the hour and can be moved together.  Without it,
    an end must not be before its start.  A start must not be before the submission.
    """
    twice = {name: (first[name] != second[name]) & first[name].notna() for name in ("start", "end")}
    together = twice["start"] & twice["end"] & run_s.notna()
    start = twice["start"] & run_s.isna() & ~(second["start"] > second["end"])
    end = twice["end"] & run_s.isna() & ~(first["end"] < first["start"])
    return (together | start | end) & ~(submit > first["start"])


def _undecided(
    submit: pd.Series,
    late: pd.Series,
    start: pd.Series,
    wait_s: pd.Series,
    number: pd.Series,
) -> pd.Series:
    """Return whether a submission may as well be in the second hour, although it is in the first.

    The recorded wait, a start before the second hour, and a later job number with an earlier
    submission exclude the second hour.
    """
    free = (submit < late) & ~(wait_s.notna() & start.notna()) & ~(start < late)
    if not free.any() or not number.notna().any():
        return free
    order = number[number.notna() & submit.notna()].sort_values(kind="stable").index
    settled = submit.loc[order].where(~free.loc[order])
    following = settled[::-1].cummin().ffill()[::-1].shift(-1)
    if settled.dropna().is_monotonic_increasing:
        free.loc[order] &= ~(following < late.loc[order])
    return free


def _by_order(
    early: pd.Series,
    late: pd.Series,
    start: pd.Series,
    wait_s: pd.Series,
    number: pd.Series,
) -> pd.Series:
    """Return submissions by the wait, else by the order of job numbers."""
    settled = early.mask(
        (early != late) & (late + pd.to_timedelta(wait_s, unit="s") == start), late
    )
    by_wait = wait_s.notna() & start.notna()
    open_rows = (early != late) & early.notna() & ~by_wait
    if not open_rows.any() or not number.notna().any():
        return settled
    order = number[number.notna() & early.notna()].sort_values(kind="stable").index
    fixed = settled.loc[order].where(~open_rows.loc[order])
    if not fixed.dropna().is_monotonic_increasing:
        return settled  # numbers do not follow the submissions
    last = pd.Timestamp.min.tz_localize("UTC")
    for row in order[open_rows.loc[order].to_numpy().nonzero()[0][0] :]:
        if open_rows[row]:
            allowed = pd.isna(start[row]) or late[row] <= start[row]
            if early[row] < last and allowed:
                settled[row] = late[row]
        last = max(last, settled[row])
        if not open_rows[row] and last > late[open_rows].max():
            break
    return settled
