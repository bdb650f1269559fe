"""The jobs table itself, and recorded logs in the same columns, as Parquet or CSV.

A table with a column ``status`` or ``req_time_s`` is a *recorded log*: rows that
are no jobs (no accelerators, no run time) are left out and counted, parts of
accelerators are rounded up, and the requested time ``req_time_s`` is the
estimate where there is no ``estimate_s``.  Any other table is a list of jobs to
run as it stands: there the same rows are faults, and a run time of 0 is allowed.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.clean import finish, log_of
from clustersim.workload.readers.source import Source, read_csv, reading

__all__ = ["jobs_of_table", "read_parquet_jobs", "read_table_jobs"]

_LOG_COLUMNS = ("status", "req_time_s")
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
    """Read a CSV file (packed by gzip or not) with the columns of the jobs table."""
    table = read_csv(source, dtype=_TEXT, skipinitialspace=True)
    if "job_id" in table:
        table["job_id"] = _whole_numbers(table["job_id"])
    return jobs_of_table(
        table, source.path, format="csv", sort=sort, clip_to_estimate=clip_to_estimate
    )


def _whole_numbers(names: pd.Series) -> pd.Series:
    """Turn job ids into numbers where all are, leaving "007" and "a-3" as they are."""
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
    """Make a job log of a table that is in memory.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of the jobs table, or of a recorded log.
    source : str or Path
        What to name in messages.
    format : str
        What the log says it was read as.
    sort : bool
        Sort by submit time where the rows are not in order.
    clip_to_estimate : bool
        End jobs at their estimate.

    Raises
    ------
    InputError
        As :func:`~clustersim.workload.jobs.check_jobs`.
    """
    if not any(name in table for name in _LOG_COLUMNS):
        return finish(
            table,
            source=str(source),
            format=format,
            rows_read=len(table),
            sort=sort,
            clip_to_estimate=clip_to_estimate,
        )
    if "estimate_s" not in table and "req_time_s" in table and table["req_time_s"].notna().any():
        table = table.assign(estimate_s=table["req_time_s"])
    return log_of(
        table,
        source=str(source),
        format=f"{format}, recorded log",
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
