"""Read jobs tables, and recorded logs with the same columns, as Parquet or CSV.

A table with a column ``status`` or ``req_time_s`` is a *recorded log*. Rows that are not jobs (no
accelerators, no run time) are dropped and counted. Fractions of accelerators are rounded up. The
requested time ``req_time_s`` is used as the estimate if there is no ``estimate_s``. Any other table
is a list of jobs that run unchanged. In such a table, rows that are not jobs are errors, and a run
time of 0 is allowed.

Columns with other common names are recognised (see :mod:`clustersim.workload.columns`), and a note
lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from clustersim.errors import InputError
from clustersim.workload.columns import absent_columns, names_job
from clustersim.workload.jobs import REQUIRED_COLUMNS, JobLog
from clustersim.workload.measured_rates import with_durations
from clustersim.workload.readers.cells import (
    SECONDS,
    given_cells,
    not_numbers,
    number_problem,
    refuse_problems,
)
from clustersim.workload.readers.clean import finish, log_of
from clustersim.workload.readers.meant import as_jobs_table
from clustersim.workload.readers.observed import (
    NEVER_STARTED,
    STILL_RUNNING,
    first_reason,
    ignored_note,
    is_cancelled,
    is_running,
    is_waiting,
)
from clustersim.workload.readers.source import Source, header_names, read_csv, reading

__all__ = ["jobs_of_table", "read_parquet_jobs", "read_table_jobs"]

_LOG_COLUMNS = ("status", "req_time_s")
_IGNORED = (
    *("gpu_spec", "gpu_type", "gpu_model", "constraint", "constraints", "features", "nodelist"),
    *("node_list", "dependency", "dependencies", "preceding_job", "reservation"),
)
_SHARED = ("partition", "queue", "qos", "model_or_type")
_TEXT = {"job_id": str, "vc": str, "user": str, "model": str, "job_class": str, "status": str}


def read_parquet_jobs(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read a Parquet file with the columns of the jobs table."""
    with reading(source.path):
        table = pq.read_table(source.path).to_pandas()
    if any(table.index.names):
        table = table.reset_index()
    return jobs_of_table(
        table.reset_index(drop=True),
        source.path,
        format="parquet",
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def read_table_jobs(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read a CSV file, optionally gzip-compressed, with the columns of the jobs table."""
    names = [*_TEXT, *(name for name in header_names(source) if names_job(name))]
    table = read_csv(source, dtype=dict.fromkeys(names, str), skipinitialspace=True)
    for name in [name for name in table.columns if name == "job_id" or names_job(name)]:
        table[name] = _whole_numbers(table[name])
    return jobs_of_table(
        table, source.path, format="csv", sort=sort, clip_to_estimate=clip_to_estimate
    )


def _whole_numbers(names: pd.Series) -> pd.Series:
    """Convert job ids to numbers if all are plain whole numbers; "007" and "a-3" are not."""
    if names.hasnans or not names.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all():
        return names
    return names.astype("int64")


def jobs_of_table(
    table: pd.DataFrame,
    source: str | Path,
    *,
    format: str,
    sort: bool = False,
    clip_to_estimate: bool = False,
) -> JobLog:
    """Build a job log from a table in memory.

    Parameters
    ----------
    table : pandas.DataFrame
        A table with the columns of the jobs table or of a recorded log.
    source : str or Path
        Name of the table in messages.
    format : str
        Format that the job log reports.
    sort : bool
        Whether to sort rows that are not in order of submission.
    clip_to_estimate : bool
        Whether to cut run times at the estimates.

    Raises
    ------
    InputError
        As in :func:`~clustersim.workload.job_checks.check_jobs`.
    """
    given = [str(name) for name in table.columns]
    meant = as_jobs_table(table.reset_index(drop=True))
    table = with_durations(meant.table)
    if meant.problems:
        others = [name for name in REQUIRED_COLUMNS if name not in meant.problems]
        others = [name for name in others if name not in table]
        raise InputError(source, [*meant.problems.values(), *absent_columns(others, given)])
    absent = [name for name in REQUIRED_COLUMNS if name not in table]
    if absent:
        raise InputError(source, absent_columns(absent, given))
    if not any(name in table for name in _LOG_COLUMNS) and meant.reasons is None:
        return finish(
            table,
            source=str(source),
            format=format,
            rows_read=len(table),
            notes=[*meant.notes, *ignored_note(table, _IGNORED, _SHARED)],
            origin=meant.origin,
            sort=sort,
            clip_to_estimate=clip_to_estimate,
        )
    refuse_problems(source, _mixed_columns(table))
    if "estimate_s" not in table and "req_time_s" in table and table["req_time_s"].notna().any():
        table = table.assign(estimate_s=table["req_time_s"])
    return log_of(
        table,
        source=str(source),
        format=f"{format}, recorded log",
        reasons=_not_run(table) if meant.reasons is None else meant.reasons,
        notes=meant.notes,
        ignored=_IGNORED,
        shared=_SHARED,
        origin=meant.origin,
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def _mixed_columns(table: pd.DataFrame) -> Iterator[str | None]:
    """Yield messages on time columns of a recorded log in which only some cells are numbers."""
    for name in ("start_s", "end_s", "req_time_s"):
        column = table.get(name)
        if isinstance(column, pd.Series):
            bad = not_numbers(column) & given_cells(column)
            if bad.any() and not bad[given_cells(column)].all():
                yield number_problem(name, column, SECONDS)


def _not_run(table: pd.DataFrame) -> pd.Series | None:
    """Return, for each row of a recorded log, the reason why it has no observed run time.

    The reason is missing for rows that are kept. A running job is kept only if the log has its end
    time, and this time is before the last end time of the log. A cancelled job is kept only if the
    log has its start time, or has no start times at all. The result is None if the log has no
    states or no run times.
    """
    if "status" not in table or "duration_s" not in table:
        return None
    runs, waits = is_running(table["status"]), is_waiting(table["status"])
    end, start = table.get("end_s"), table.get("start_s")
    if isinstance(end, pd.Series) and runs.any():
        ends = pd.to_numeric(end, errors="coerce")
        runs &= ends.isna() | (ends >= ends.max())
    if isinstance(start, pd.Series) and start.notna().any():
        waits |= start.isna() & is_cancelled(table["status"])
    return first_reason(table.index, {NEVER_STARTED: waits, STILL_RUNNING: runs})
