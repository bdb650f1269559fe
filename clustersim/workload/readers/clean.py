"""What every reader does with its rows: types, drops by reason, estimates, order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.errors import InputError
from clustersim.units import counted
from clustersim.workload.columns import absent_columns
from clustersim.workload.jobs import REQUIRED_COLUMNS, JobLog, check_jobs
from clustersim.workload.readers.observed import early_note, ignored_note

__all__ = ["as_numbers", "finish", "log_of", "require_columns", "rounded_up", "seconds_since"]

_NUMERIC = ("submit_s", "n_accelerators", "duration_s", "estimate_s", "tokens")


def as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of a jobs table their types where their values allow it.

    Whole numbers become int64 (Int64 while some are absent), other numbers
    float64, ``vc`` and ``user`` text.  A column that cannot be converted stays
    for the check to name.
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


def _floats(column: pd.Series) -> npt.NDArray[np.float64] | None:
    """Return a column of numbers as floats, absent ones as NaN; None if it holds no numbers."""
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        return None
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def require_columns(table: pd.DataFrame, columns: Iterable[str], source: Path) -> None:
    """Refuse a table that lacks columns of its format, naming the nearest that it has."""
    problems = absent_columns(list(columns), [str(name) for name in table.columns])
    if problems:
        raise InputError(source, problems)


def seconds_since(times: pd.Series, origin: pd.Timestamp | pd.Series) -> pd.Series:
    """Whole seconds from `origin` to `times`; NA where a time is absent."""
    return (times - origin).dt.total_seconds().floordiv(1).astype("Int64")


def rounded_up(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Give jobs that share an accelerator a whole one, and say how many they are."""
    sizes = _floats(table["n_accelerators"])
    if sizes is None:
        return table, []
    parts = np.isfinite(sizes) & (sizes != np.floor(sizes)) & (sizes > 0)
    if not parts.any():
        return table, []
    asks = counted(int(parts.sum()), "job asks", "jobs ask")
    note = f"{asks} for part of an accelerator: rounded up to whole ones"
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
    """Make a job log of the rows of a recorded log.

    Rows without accelerators, a submit time or a run time are dropped and
    counted; what is left must pass :func:`~clustersim.workload.jobs.check_jobs`.

    Parameters
    ----------
    table : pandas.DataFrame
        The four columns of a jobs table and others; NA (or, as the archives
        write it, -1) where the log does not know.  Its index is the record's place in the
        file, from 0 on.
    source, format : str
        The file and the format that it was read as.
    reasons : pandas.Series, optional
        Why the reader leaves out rows of the `table`, absent where it does not.
    dropped : dict, optional
        Rows that the reader has left out already, by reason.
    notes : iterable of str
        What else the reader changed.
    ignored, shared : iterable of str
        Columns of the log that the simulation ignores, see
        :func:`~clustersim.workload.readers.observed.ignored_note`.
    origin : datetime, optional
        Local time at ``submit_s`` 0.
    sort : bool
        Sort by submit time (stable) where the rows are not in order.
    clip_to_estimate : bool
        End jobs at their estimate, as a scheduler that kills them would.

    Returns
    -------
    JobLog
    """
    counts = dict(dropped or {})
    rows_read = len(table) + sum(counts.values())
    table = records = as_numbers(table)
    if set(REQUIRED_COLUMNS) <= set(table.columns) and len(table):
        table, fresh = _drop(table, reasons)
        counts.update(fresh)
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
    )


def _drop(table: pd.DataFrame, reasons: pd.Series | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out the rows that are no jobs; the first reason that holds counts."""
    counts: dict[str, int] = {}
    if reasons is not None and reasons.notna().any():
        counts |= {str(why): int(n) for why, n in reasons.value_counts(sort=False).items()}
        table = table[reasons.isna()]
    sizes, runs, submits = (
        _floats(table[name]) for name in ("n_accelerators", "duration_s", "submit_s")
    )
    if sizes is None or runs is None or submits is None:
        return table, counts
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
    return (table if keep.all() else table[keep]), counts


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
) -> JobLog:
    """Fill in estimates, sort where asked, check, and wrap up.

    The index of the `table` is the record's place in the file, from 0 on; messages name it, and the
    jobs of the log are numbered anew.

    Raises
    ------
    InputError
        As :func:`~clustersim.workload.jobs.check_jobs`, or if every row was dropped.
    """
    notes = list(notes)
    dropped = dropped or {}
    if len(table) == 0 and dropped:
        reasons = ", ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
        raise InputError(source, f"no usable job among {counted(rows_read, 'row')} ({reasons})")
    table, filled = _fill_estimates(as_numbers(table))
    notes += filled
    notes += _early_starts(table)
    submits = table.get("submit_s")
    if sort and isinstance(submits, pd.Series) and not submits.is_monotonic_increasing:
        table = table.sort_values("submit_s", kind="stable")
        notes.append("sorted by submit time")
    check_jobs(table, source, records=table.index.to_numpy() + 1)
    table = table.reset_index(drop=True)
    for name in ("duration_s", "estimate_s", "tokens"):
        if name in table and pd.api.types.is_extension_array_dtype(table[name].dtype):
            table[name] = _floats(table[name])
    if clip_to_estimate and "estimate_s" in table:
        over = table["duration_s"] > table["estimate_s"]
        table["duration_s"] = table["duration_s"].where(~over, table["estimate_s"])
        notes.append(f"{counted(int(over.sum()), 'job')} ran over the estimate: ended there")
    return JobLog(table, rows_read, source, format, MappingProxyType(dropped), tuple(notes), origin)


def _early_starts(table: pd.DataFrame) -> list[str]:
    """Say which jobs start before they were submitted."""
    if not {"submit_s", "start_s"} <= set(table.columns):
        return []
    submits, starts = _floats(table["submit_s"]), _floats(table["start_s"])
    if submits is None or starts is None:
        return []
    return early_note(pd.Series(starts < submits, index=table.index))


def _fill_estimates(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Use the run time where a job has no estimate."""
    if "estimate_s" not in table or "duration_s" not in table:
        return table, []
    estimates, runs = _floats(table["estimate_s"]), _floats(table["duration_s"])
    if estimates is None or runs is None:
        return table, []
    unknown = np.isnan(estimates) & ~np.isnan(runs)
    if not unknown.any():
        return table, []
    filled = table["estimate_s"].mask(unknown, table["duration_s"])
    note = f"{counted(int(unknown.sum()), 'job')} without an estimate: the run time is taken for it"
    return as_numbers(table.assign(estimate_s=filled)), [note]
