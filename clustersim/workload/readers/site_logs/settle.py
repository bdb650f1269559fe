"""Decide which records of a log are jobs, put runs and pods together, and build the job log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

import numpy as np
import pandas as pd

from clustersim.errors import InputError
from clustersim.time_zones import zone_name
from clustersim.units import counted, format_duration
from clustersim.workload.job_runs import RUNS
from clustersim.workload.jobs import JobLog
from clustersim.workload.log_window import listed_from
from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.clean import finish, rounded_up
from clustersim.workload.readers.observed import (
    ignored_note,
    is_cancelled,
    is_running,
    is_waiting,
)
from clustersim.workload.readers.site_logs.devices import UNCOUNTED
from clustersim.workload.readers.site_logs.moments import settle_instants
from clustersim.workload.readers.site_logs.reasons import REASONS
from clustersim.workload.readers.site_logs.records import EXTRA, START_UNKNOWN, Records
from clustersim.workload.readers.site_logs.runs import join_pods, join_runs
from clustersim.workload.readers.site_logs.time_texts import TimeColumn, read_times

__all__ = ["settle"]

_RESERVED = ("tokens", "start_s", "end_s", "estimate_s", "status", "req_time_s")
"""Names of columns that mean something to the simulation and are not handed on as texts."""
_MOST_OFF = 0.3
"""Accelerators by which a number that follows from rounded hours may be off a whole one."""
_LABELS = ("partition", "user", "account", "qos")


def settle(
    records: Records,
    source: str,
    *,
    zone: tzinfo | None,
    year: int,
    clip_to_estimate: bool = False,
) -> JobLog:
    """Return the jobs of records, and a reason for each record that is not a job.

    Parameters
    ----------
    records : Records
        The records of a file.
    source : str
        The file, for messages.
    zone : tzinfo or None
        Zone of times without an offset; None if it is not known.
    year : int
        Latest possible year of times without a year.
    clip_to_estimate : bool
        Whether to cut run times at the estimates.

    Raises
    ------
    InputError
        If no record is a job; the message has the number of records by reason.
    """
    table = _with_all_columns(records.table)
    notes = list(records.notes)
    if records.advice and (records.lacks or "n" not in records.table):
        raise InputError(source, records.advice)
    given = [name for name in ("submit", "start", "end") if name in table]
    blank = pd.Series(None, index=table.index, dtype=object)
    times, found = read_times(
        {
            name: table.get(name, blank).mask(table["reason"].notna())
            for name in ("submit", "start", "end")
        },
        year,
        month_first=_is_american(zone),
    )
    notes += found
    notes += _unread_times(times, table)
    local = any(bool(column.wall.notna().any()) for column in times.values())
    if local and zone is None:
        notes.append(
            "times without a zone: run times over a change of the clocks may be wrong by an hour; "
            "give --time-zone"
        )
    instants = settle_instants(
        times,
        zone or UTC,
        run_s=table["run_s"],
        wait_s=table["wait_s"],
        number=lambda: _numbers(table["job_id"]),
    )
    notes += instants.notes
    jobs = table.assign(submit=instants.submit, start=instants.start, end=instants.end)
    jobs = _derived(jobs, given)
    jobs["reason"] = _reasons(jobs, times, given)
    notes += _odd_runs(jobs, given)
    jobs = join_runs(join_pods(jobs))
    notes += _uncounted(jobs)
    return _log(jobs, records, source, notes, times, zone, local, clip_to_estimate)


def _is_american(zone: tzinfo | None) -> bool:
    """Return whether dates are written with the month first where a zone is used, or no zone."""
    name = zone_name(zone) if zone is not None else None
    return not name or name.startswith(("America/", "US/")) or name in ("UTC", "Etc/UTC", "GMT")


def _unread_times(times: dict[str, TimeColumn], table: pd.DataFrame) -> list[str]:
    """Return a note on each column of times with cells that cannot be read."""
    notes = []
    for name, column in times.items():
        unread = column.unread.fillna(False).astype(bool)
        if unread.any():
            first = str(table.loc[unread, name].iloc[0])[:40]
            cells = counted(int(unread.sum()), "cell is no time", "cells are no times")
            notes.append(f"{name}: {cells} that can be read, such as {first!r}")
    return notes


def _with_all_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns that a format has left out, and texts as texts."""
    table = table.reset_index(drop=True)
    for name in ("wait_s", "run_s", "limit_s", "n"):
        if name not in table:
            table[name] = np.nan
    for name in ("state", "reason", "group"):
        if name not in table:
            table[name] = pd.Series(None, index=table.index, dtype=object)
    for name in ("job_id", "row", "state", "reason", "group", *_LABELS):
        if name in table:  # one of only missing values would be a column of numbers
            table[name] = table[name].astype(object)
    return table


def _numbers(ids: pd.Series) -> pd.Series:
    """Return the leading number of each job id, by which jobs are submitted; NaN without one."""
    numbers = pd.to_numeric(ids, errors="coerce").astype(np.float64)
    rest = numbers.isna() & ids.notna()
    if rest.any():
        leading = ids[rest].astype("string").str.extract(r"^(\d{1,15})")[0]
        numbers = numbers.fillna(pd.to_numeric(leading, errors="coerce").astype(np.float64))
    return numbers


def _derived(jobs: pd.DataFrame, given: list[str]) -> pd.DataFrame:
    """Fill in times and run times that follow from the others."""
    run = pd.to_timedelta(jobs["run_s"], unit="s")
    wait = pd.to_timedelta(jobs["wait_s"], unit="s")
    submit, start, end = jobs["submit"], jobs["start"], jobs["end"]
    if "submit" not in given:
        submit = submit.fillna(start - wait)
    if "start" not in given:  # else the wait of a job without a start is that so far
        start = start.fillna(submit + wait)
    if "end" in given:
        start = start.fillna((end - run).where(jobs["run_s"] > 0))
        if "submit" not in given:
            submit = submit.fillna(start - wait)
    else:
        end = end.fillna(start + run)
    length = (end - start).dt.total_seconds()
    run_s = jobs["run_s"].fillna(length)
    if "more_s" in jobs:  # of earlier runs that the record only sums up
        run_s = run_s + pd.to_numeric(jobs["more_s"], errors="coerce").fillna(0.0)
    jobs = jobs.assign(submit=submit, start=start, end=end, length_s=length, run_s=run_s)
    if "accelerator_s" in jobs:
        each = jobs["accelerator_s"] / run_s.where(run_s > 0)
        whole = each.round()
        jobs["n"] = jobs["n"].fillna(whole.where((each - whole).abs() <= _MOST_OFF))
    return jobs


def _reasons(jobs: pd.DataFrame, times: dict[str, TimeColumn], given: list[str]) -> pd.Series:
    """Return, for each record, the first reason why it is not a job; missing for jobs."""
    state, run, n = jobs["state"], jobs["run_s"], jobs["n"]
    known = state.notna()
    waits = known & is_waiting(state.fillna(""))
    runs = known & is_running(state.fillna(""))
    dropped = known & is_cancelled(state.fillna(""))
    over = known & ~waits & ~runs & ~dropped
    has_start = "start" in given or bool(jobs["wait_s"].notna().any())
    unread = pd.Series(False, index=jobs.index)
    for column in times.values():
        unread |= column.unread.fillna(False).astype(bool)
    if has_start:
        lacks = jobs["start"].isna() & ~(run > 0)
        if "start" not in given:  # the wait of a job that never ran is that until it was cancelled
            lacks |= run.isna() & jobs["end"].isna() & ~runs & ~over
        # an old sacct gives a job that was cancelled while it waited the time of that as its start
        cancelled = dropped & (run == 0) & ~(n > 0)
        never = waits | lacks | (cancelled & (jobs["start"] == jobs["end"]))
    else:
        never = waits | (run.isna() & ~runs & jobs["end"].isna() & ~over)
    ended = jobs["end"].notna() if "end" in given else run.notna() | over
    tests = {
        "malformed": unread | (jobs["length_s"] < 0) | (run < 0),
        "never_started": never,
        "still_running": runs | ~ended,
        "no_accelerator": n == 0,
        "size_not_recorded": n.isna() | (n < 0),
        "zero_run_time": run == 0,
        "submit_not_recorded": jobs["submit"].isna(),
        "start_not_recorded": jobs["start"].isna() & has_start,
        "run_not_recorded": run.isna(),
    }
    reason = jobs["reason"].astype(object)
    for name, holds in tests.items():
        reason = reason.mask(reason.isna() & holds.fillna(False).astype(bool), name)
    return reason


def _odd_runs(jobs: pd.DataFrame, given: list[str]) -> list[str]:
    """Return a note on recorded run times that are not end minus start."""
    if not {"start", "end"} <= set(given):
        return []
    off = (jobs["length_s"] - jobs["run_s"]).abs()[jobs["reason"].isna()]
    odd = int((off >= 2).sum())
    if not odd:
        return []
    return [
        f"the recorded run time of {counted(odd, 'job')} is not end minus start (a change of the "
        "clocks, a suspension, or several runs): the recorded run time is used"
    ]


_LOOKS = "look like accelerators but are not counted"


def _uncounted(jobs: pd.DataFrame) -> list[str]:
    """Return a note on the resources for which jobs without accelerators asked."""
    if UNCOUNTED not in jobs:
        return []
    names = jobs[UNCOUNTED][(jobs["reason"] == "no_accelerator") & jobs[UNCOUNTED].notna()]
    return [
        f"resources called {name} {_LOOKS}: {counted(int(count), 'record')} without others are "
        "left out as using no accelerator"
        for name, count in names.value_counts().items()
    ]


def _log(
    jobs: pd.DataFrame,
    records: Records,
    source: str,
    notes: list[str],
    times: dict[str, TimeColumn],
    zone: tzinfo | None,
    local: bool,
    clip_to_estimate: bool,
) -> JobLog:
    left = jobs[jobs["reason"].notna()]
    left_out = left[["row", "reason", "line"]].reset_index(drop=True)
    counts = left["reason"].value_counts()
    dropped = {REASONS[name]: int(counts[name]) for name in REASONS if name in counts}
    kept = jobs[jobs["reason"].isna()]
    if not len(kept):
        raise _none_usable(len(jobs), dropped, records, source, notes)
    relative = times["submit"].relative
    base = pd.Timestamp(0, tz="UTC") if relative else kept["submit"].min()
    in_order = bool(kept["submit"].is_monotonic_increasing)
    table, unknown = _columns_of_jobs(kept, base)
    notes += unknown
    if not in_order:
        table = table.sort_values("submit_s", kind="stable")
        notes.append("the log is not in order of submission: sorted by submit time")
    table, rounding = rounded_up(table)
    notes += ignored_note(table, ("gpu_spec", "gpu_type", "gpu_model"), ("qos",))
    begin_s, window = _window(jobs, kept, base, zone, local)
    log = finish(
        table,
        source=source,
        rows_read=len(jobs),
        format=records.format,
        dropped=dropped,
        notes=[*notes, *rounding, *window],
        origin=_origin(base, zone, local, relative),
        clip_to_estimate=clip_to_estimate,
        left_out=left_out,
    )
    return replace(log, begin_s=begin_s)


def _none_usable(
    rows: int, dropped: Mapping[str, int], records: Records, source: str, notes: list[str]
) -> InputError:
    """Return the error that no record is a job that can be used, with what may help."""
    listed = ", ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
    reasons = ("that can be read, such as", _LOOKS)
    advice = "".join(f"; {note}" for note in notes if any(why in note for why in reasons))
    advice += f"; {records.advice}" if records.advice else ""
    return InputError(source, f"no usable job among {counted(rows, 'row')} ({listed}){advice}")


def _columns_of_jobs(kept: pd.DataFrame, base: pd.Timestamp) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns of a log, in the order of the records, and notes on unknown starts."""
    table = pd.DataFrame(
        {
            "job_id": _whole_numbers(_unique(kept["job_id"], kept["row"])),
            "submit_s": _seconds(kept["submit"] - base),
            "n_accelerators": kept["n"],
            "duration_s": _plain(kept["run_s"]),
        }
    )
    start, unknown = _known_starts(kept)
    if start.notna().any():
        table["start_s"] = (start - base).dt.total_seconds()
    for name in _LABELS:
        if name in kept and kept[name].notna().any():
            texts = kept[name].astype(object).where(kept[name].notna(), None)
            table[name] = texts.map(lambda text: None if text is None else str(text))
    if kept["state"].notna().any():
        table["status"] = kept["state"].astype(object)
    if (kept["limit_s"] > 0).any():
        table["estimate_s"] = kept["limit_s"].where(kept["limit_s"] > 0)
    for column in kept:
        plain = str(column).removeprefix(EXTRA)
        if plain == RUNS and kept[column].isna().all():
            continue
        if plain != column and plain not in table and plain not in _RESERVED:
            table[plain] = _typed(kept[column])
    return table, unknown


def _window(
    jobs: pd.DataFrame, kept: pd.DataFrame, base: pd.Timestamp, zone: tzinfo | None, local: bool
) -> tuple[float, list[str]]:
    """Return the second from which the log has all jobs, and a note if it is not the first."""
    known = jobs[jobs["submit"].notna()]
    if not known["end"].notna().any():
        return 0.0, []
    owners = known["user"] if "user" in known else pd.Series("", index=known.index)
    begin_s = listed_from(
        np.asarray((known["submit"] - base).dt.total_seconds(), dtype=np.float64),
        np.asarray((known["end"] - base).dt.total_seconds(), dtype=np.float64),
        pd.factorize(owners)[0].astype(np.float64),
    )
    submit_s = (kept["submit"] - base).dt.total_seconds()
    if begin_s is None or not 0 < begin_s <= float(submit_s.max()):
        return 0.0, []
    early = submit_s[submit_s < begin_s]
    moment = _origin(base + pd.Timedelta(seconds=begin_s), zone, local, relative=False)
    were = counted(len(early), "job was", "jobs were")
    return begin_s, [
        f"{were} submitted up to {format_duration(begin_s - float(early.min()))} before "
        f"{moment:%Y-%m-%d %H:%M}, the first recorded end: the log lists jobs because they still "
        "waited or ran then, and lacks those that had ended"
    ]


def _known_starts(kept: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Return the first start of each job, and a note on those that have only a later one."""
    start: pd.Series = kept["start"]
    if START_UNKNOWN not in kept:
        return start, []
    later = kept[START_UNKNOWN].eq(True)
    if not later.any():
        return start, []
    jobs = counted(int(later.sum()), "job was", "jobs were")
    return start.mask(later), [
        f"{jobs} stopped and started again more often than the log tells when: their run times are "
        "those of all their runs, but they have no recorded start"
    ]


def _origin(
    base: pd.Timestamp, zone: tzinfo | None, local: bool, relative: bool
) -> datetime | None:
    """Return the local time at second 0; without a zone if the zone is not known."""
    if relative:
        return None
    instant = base.to_pydatetime(warn=False)
    if zone is not None and zone_name(zone):
        return instant.astimezone(zone)
    return instant.replace(tzinfo=None) if local else instant


def _typed(cells: pd.Series) -> pd.Series:
    """Return cells as numbers if all that have a value are, else as texts; None for the others."""
    given = pd.Series(given_cells(cells), index=cells.index)
    numbers = pd.to_numeric(cells.where(given), errors="coerce")
    if given.any() and (numbers.notna() == given).all():
        return numbers
    return cells.astype(object).where(given, None)


def _seconds(length: pd.Series) -> pd.Series:
    return _plain(length.dt.total_seconds())


def _plain(seconds: pd.Series) -> pd.Series:
    """Return seconds to the microsecond, as whole numbers if all are."""
    values = seconds.astype(np.float64).round(6)
    return values.astype(np.int64) if (values == np.floor(values)).all() else values


def _unique(ids: pd.Series, rows: pd.Series) -> pd.Series:
    """Give every job an id of its own."""
    ids = ids.astype(object).where(ids.notna(), rows).astype(str)
    again = ids.groupby(ids).cumcount()
    return ids.where(again == 0, ids + "#" + (again + 1).astype(str))


def _whole_numbers(ids: pd.Series) -> pd.Series:
    """Convert job ids to numbers if all are plain whole numbers."""
    if ids.str.fullmatch(r"0|[1-9][0-9]{0,17}").all():
        return ids.astype("int64")
    return ids
