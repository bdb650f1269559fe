"""Steps common to all readers: convert types, drop rows, fill in estimates, and sort."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.units import counted
from clustersim.workload.columns import absent_columns
from clustersim.workload.job_checks import check_jobs
from clustersim.workload.jobs import REQUIRED_COLUMNS, JobLog
from clustersim.workload.readers.observed import (
    BACKWARD,
    NEVER_STARTED,
    STILL_RUNNING,
    early_note,
    ignored_note,
)

__all__ = ["as_numbers", "finish", "log_of", "require_columns", "rounded_up", "seconds_since"]

_SHORT = {
    NEVER_STARTED: "never_started",
    STILL_RUNNING: "still_running",
    BACKWARD: "malformed",
    "uses no accelerator": "no_accelerator",
    "number of accelerators not recorded": "size_not_recorded",
    "no run time recorded": "run_not_recorded",
    "run time of 0 s": "zero_run_time",
    "submit time not recorded": "submit_not_recorded",
}
"""Short names of reasons, the same as in logs of sites."""
_NUMERIC = ("submit_s", "n_accelerators", "duration_s", "estimate_s", "tokens")


def as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns of a jobs table to their types if their values allow it.

    Whole numbers become int64 (Int64 if some are missing), other numbers become float64, and ``vc``
    and ``user`` become text. A column that cannot be converted is not changed; the check of the
    table reports it.
    """
    table = table.copy(deep=False)
    for name in _NUMERIC:
        column = table.get(name)
        if isinstance(column, pd.Series):
            table[name] = _number_column(column, whole=name == "n_accelerators")
    for name in ("vc", "user"):
        column = table.get(name)
        if isinstance(column, pd.Series) and not isinstance(column.dtype, pd.StringDtype):
            table[name] = column.astype(object).where(column.isna(), column.astype(str))
    return table


def _number_column(column: pd.Series, *, whole: bool) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column
    if not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column.astype(object), errors="coerce")
        if (numbers.isna() & column.notna()).any():
            return column
        column = numbers
    if pd.api.types.is_integer_dtype(column):
        return column if column.hasnans else column.astype(np.int64)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if whole and (np.abs(values) < 2.0**53).all() and (values == np.floor(values)).all():
        return pd.Series(values.astype(np.int64), index=column.index)
    return pd.Series(values, index=column.index)


def _floats(column: pd.Series) -> Floats | None:
    """Return a numeric column as floats, with NaN for missing values; None if it is not numeric."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return None
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def require_columns(table: pd.DataFrame, columns: Iterable[str], source: Path) -> None:
    """Raise an error on absent columns; the message suggests columns that may be meant instead."""
    problems = absent_columns(list(columns), [str(name) for name in table.columns])
    if problems:
        raise InputError(source, problems)


def seconds_since(times: pd.Series, origin: pd.Timestamp | pd.Series) -> pd.Series:
    """Return whole seconds from `origin` to `times`; NA if a time is missing."""
    return (times - origin).dt.total_seconds().floordiv(1).astype("Int64")


def rounded_up(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Round numbers of accelerators up, and return the table and a note on the changed jobs."""
    sizes = _floats(table["n_accelerators"])
    if sizes is None:
        return table, []
    parts = np.isfinite(sizes) & (sizes != np.floor(sizes)) & (sizes > 0)
    if not parts.any():
        return table, []
    requests = counted(int(parts.sum()), "job requests", "jobs request")
    note = f"{requests} a fraction of an accelerator, which is rounded up"
    return table.assign(n_accelerators=np.ceil(sizes)), [note]


def log_of(
    table: pd.DataFrame,
    *,
    source: str,
    format: str,
    reasons: pd.Series | None = None,
    dropped: dict[str, int] | None = None,
    notes: Iterable[str] = (),
    ignored: Iterable[str] = (),
    shared: Iterable[str] = (),
    origin: datetime | None = None,
    sort: bool = False,
    clip_to_estimate: bool = False,
) -> JobLog:
    """Build a job log from the rows of a recorded log.

    Rows without accelerators, a submit time or a run time are dropped and counted. The remaining
    rows must pass :func:`~clustersim.workload.job_checks.check_jobs`.

    Parameters
    ----------
    table : pandas.DataFrame
        The four required columns of a jobs table, and any other columns. Unknown values are NA (or
        -1, as in published archives). The index is the position of the record in the file, starting
        at 0.
    source, format : str
        The file and its format.
    reasons : pandas.Series, optional
        Reason why the reader drops a row of `table`; missing for rows that are kept.
    dropped : dict, optional
        Number of rows that the reader has already dropped, by reason.
    notes : iterable of str
        Notes on other changes by the reader.
    ignored, shared : iterable of str
        Columns of the log that the simulation ignores; see
        :func:`~clustersim.workload.readers.observed.ignored_note`.
    origin : datetime, optional
        Local time at ``submit_s`` 0.
    sort : bool
        Whether to sort rows that are not in order of submission (stable).
    clip_to_estimate : bool
        Whether to cut run times at the estimates, like a scheduler that kills jobs at their
        estimate.

    Returns
    -------
    JobLog
    """
    counts = dict(dropped or {})
    rows_read = len(table) + sum(counts.values())
    table = records = as_numbers(table)
    left_out = None
    if set(REQUIRED_COLUMNS) <= set(table.columns) and len(table):
        table, fresh, why = _drop(table, reasons)
        counts.update(fresh)
        left_out = _left_out(records, why)
        table, rounding = rounded_up(table)
        notes = [*notes, *rounding]
    notes = [*notes, *ignored_note(table, ignored, shared, records=records)]
    estimates = table.get("estimate_s")
    if isinstance(estimates, pd.Series):
        known = _floats(estimates)
        if known is not None:
            table = table.assign(estimate_s=estimates.mask(known < 0))
    return finish(
        table,
        source=source,
        format=format,
        rows_read=rows_read,
        dropped=counts,
        notes=notes,
        origin=origin,
        sort=sort,
        clip_to_estimate=clip_to_estimate,
        left_out=left_out,
    )


def _left_out(records: pd.DataFrame, why: pd.Series) -> pd.DataFrame:
    """Return the rows that are not jobs: their id, the reason, and their place in the file."""
    gone = why[why.notna()]
    place = gone.index.to_numpy() + 1
    named = records["job_id"].reindex(gone.index).astype(object) if len(gone) else gone
    short = [_SHORT.get(str(reason), str(reason)) for reason in gone]
    return pd.DataFrame({"row": named.to_numpy(), "reason": short, "line": place})


def _drop(
    table: pd.DataFrame, reasons: pd.Series | None
) -> tuple[pd.DataFrame, dict[str, int], pd.Series]:
    """Drop the rows that are not jobs, count them by the first reason that applies, and list it."""
    counts: dict[str, int] = {}
    why = pd.Series(None, index=table.index, dtype=object)
    if reasons is not None and reasons.notna().any():
        counts |= {str(why): int(n) for why, n in reasons.value_counts(sort=False).items()}
        why = reasons.reindex(table.index).astype(object)
        table = table[reasons.isna()]
    sizes, runs, submits = (
        _floats(table[name]) for name in ("n_accelerators", "duration_s", "submit_s")
    )
    if sizes is None or runs is None or submits is None:
        return table, counts, why
    keep = np.ones(len(table), dtype=bool)
    for reason, bad in (
        ("uses no accelerator", sizes == 0),
        ("number of accelerators not recorded", np.isnan(sizes) | (sizes < 0)),
        ("no run time recorded", np.isnan(runs) | (runs < 0)),
        ("run time of 0 s", runs == 0),
        ("submit time not recorded", np.isnan(submits)),
    ):
        fresh = bad & keep
        if fresh.any():
            counts[reason] = int(fresh.sum())
            keep &= ~fresh
            why[table.index[fresh]] = reason
    return (table if keep.all() else table[keep]), counts, why


def finish(
    table: pd.DataFrame,
    *,
    source: str,
    format: str,
    rows_read: int,
    dropped: dict[str, int] | None = None,
    notes: Iterable[str] = (),
    origin: datetime | None = None,
    sort: bool = False,
    clip_to_estimate: bool = False,
    left_out: pd.DataFrame | None = None,
) -> JobLog:
    """Fill in estimates, sort if requested, check the table, and return the job log.

    The index of `table` is the position of the record in the file, starting at 0. Messages refer to
    this position. The index of the returned jobs starts at 0 again.

    Raises
    ------
    InputError
        As in :func:`~clustersim.workload.job_checks.check_jobs`, or if every row was dropped.
    """
    notes = list(notes)
    dropped = dropped or {}
    if len(table) == 0 and dropped:
        reasons = ", ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
        raise InputError(source, f"no usable job among {counted(rows_read, 'row')} ({reasons})")
    table, unknown, filled = _fill_estimates(as_numbers(table))
    notes += filled
    notes += _early_starts(table)
    submits = table.get("submit_s")
    if sort and isinstance(submits, pd.Series) and not submits.is_monotonic_increasing:
        table = table.sort_values("submit_s", kind="stable")
        notes.append("sorted by submit time")
    check_jobs(table, source, records=table.index.to_numpy() + 1)
    no_estimate = np.asarray(table.index.isin(unknown)) if len(unknown) else None
    table = table.reset_index(drop=True)
    for name in ("duration_s", "estimate_s", "tokens"):
        if name in table and pd.api.types.is_extension_array_dtype(table[name].dtype):
            table[name] = _floats(table[name])
    if clip_to_estimate and "estimate_s" in table:
        over = table["duration_s"] > table["estimate_s"]
        table["duration_s"] = table["duration_s"].where(~over, table["estimate_s"])
        ran = counted(int(over.sum()), "job ran longer than its", "jobs ran longer than their")
        notes.append(f"{ran} estimate: the run time is cut at the estimate")
    why = MappingProxyType(dropped)
    return JobLog(
        table, rows_read, source, format, why, tuple(notes), origin, left_out, no_estimate
    )


def _early_starts(table: pd.DataFrame) -> list[str]:
    """Return a note on jobs that start before they were submitted."""
    if not {"submit_s", "start_s"} <= set(table.columns):
        return []
    submits, starts = _floats(table["submit_s"]), _floats(table["start_s"])
    if submits is None or starts is None:
        return []
    return early_note(pd.Series(starts < submits, index=table.index))


def _fill_estimates(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index, list[str]]:
    """Use the run time as the estimate of jobs without one; also return their labels, a note."""
    if "estimate_s" not in table or "duration_s" not in table:
        return table, table.index[:0], []
    estimates, runs = _floats(table["estimate_s"]), _floats(table["duration_s"])
    if estimates is None or runs is None:
        return table, table.index[:0], []
    unknown = np.isnan(estimates) & ~np.isnan(runs)
    if not unknown.any():
        return table, table.index[:0], []
    filled = table["estimate_s"].mask(unknown, table["duration_s"])
    jobs = counted(int(unknown.sum()), "job has", "jobs have")
    note = f"{jobs} no estimate: the run time is used as the estimate"
    return as_numbers(table.assign(estimate_s=filled)), table.index[unknown], [note]
