"""What the logs of Helios and Acme have in common: Slurm's accounting as CSV."""

from __future__ import annotations

import pandas as pd

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.clean import log_of, require_columns, seconds_since
from clustersim.workload.readers.source import Source, read_csv

__all__ = ["read_accounting"]


def read_accounting(
    source: Source,
    *,
    format: str,
    columns: tuple[str, ...],
    zone: str | None,
    sort: bool,
    clip_to_estimate: bool,
) -> JobLog:
    """Read a CSV of jobs with ``gpu_num`` and three times.

    The run time is ``end_time`` minus ``start_time``, else the column ``duration``.

    Parameters
    ----------
    source : Source
        The file.
    format : str
        ``"helios"`` or ``"acme"``.
    columns : tuple of str
        Columns that it must have.
    zone : str, optional
        Fixed zone of the cluster, if the times carry offsets.
    sort, clip_to_estimate : bool
        As `read_jobs`.
    """
    table = read_csv(source, dtype={"job_id": str, "user": str, "vc": str})
    require_columns(table, columns, source.path)
    times = {
        name: pd.to_datetime(table[name], format="ISO8601", errors="coerce", utc=zone is not None)
        for name in ("submit_time", "start_time", "end_time")
    }
    submit = times["submit_time"]
    origin = submit.min()
    run = (times["end_time"] - times["start_time"]).dt.total_seconds()
    jobs = table.rename(columns={"gpu_num": "n_accelerators", "state": "status"}).assign(
        submit_s=seconds_since(submit, origin),
        start_s=seconds_since(times["start_time"], origin),
        duration_s=run.fillna(pd.to_numeric(table["duration"], errors="coerce")),
    )
    jobs = jobs.drop(columns=[*times, "duration", "queue", "gpu_time"], errors="ignore")
    jobs = jobs.sort_values("submit_s", kind="stable", ignore_index=True)
    if not jobs["job_id"].hasnans and jobs["job_id"].str.fullmatch(r"[1-9][0-9]{0,17}").all():
        jobs["job_id"] = jobs["job_id"].astype("int64")
    local = origin if zone is None or pd.isna(origin) else origin.tz_convert(zone)
    return log_of(
        jobs,
        source=str(source.path),
        format=format,
        origin=None if pd.isna(local) else local.to_pydatetime(),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
