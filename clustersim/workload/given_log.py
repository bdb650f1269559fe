"""The log of jobs that a user gives in Python: a file, the result of ``read_jobs``, or a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clustersim.errors import check_kind
from clustersim.workload.job_checks import check_jobs
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers import read_jobs

__all__ = ["given_log"]


def given_log(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    format: str | None = None,
    sort: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
) -> JobLog:
    """Return a log in any of its forms as jobs that can be simulated.

    Parameters
    ----------
    log : str, Path, JobLog or DataFrame
        A file that :func:`clustersim.read_jobs` reads, its result, or a jobs table.
    format, sort, time_zone, columns
        As for :func:`clustersim.read_jobs`; they are ignored unless `log` is a file.

    Raises
    ------
    InputError
        If `log` is something else, or its jobs cannot be read or simulated.

    Examples
    --------
    >>> jobs = pd.DataFrame(
    ...     {"job_id": [1], "submit_s": [0.0], "n_accelerators": [8], "duration_s": [60.0]}
    ... )
    >>> given_log(jobs).rows_read
    1
    """
    if isinstance(log, JobLog):
        return log
    if isinstance(log, pd.DataFrame):
        check_jobs(log, "jobs")
        return JobLog(log.reset_index(drop=True), len(log), "jobs", "table")
    check_kind("log", log, (str, Path), "a path, the result of read_jobs, or a table of jobs")
    return read_jobs(log, format=format, sort=sort, time_zone=time_zone, columns=columns)
