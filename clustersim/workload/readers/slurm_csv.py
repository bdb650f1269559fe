"""Slurm accounting data as CSV, the format of the Helios and Acme logs."""

from __future__ import annotations

from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.cells import number_problem, refuse_problems, time_problem
from clustersim.workload.readers.clean import log_of, require_columns, seconds_since
from clustersim.workload.readers.observed import observed_run
from clustersim.workload.readers.source import Source, read_csv
from clustersim.workload.readers.times import Clock, instants, local_start

__all__ = ["read_accounting"]

_TIMES = ("submit_time", "start_time", "end_time")


def read_accounting(
    source: Source,
    *,
    format: str,
    columns: tuple[str, ...],
    ignored: tuple[str, ...],
    zone: str,
    sort: bool,
    clip_to_estimate: bool,
) -> JobLog:
    """Read a CSV file with the ``gpu_num`` and the submit, start and end time of each job.

    The run time is ``end_time`` minus ``start_time``, because the column ``duration`` may start at
    the submission or end at the time of the query. Rows that lack one of these two times, running
    jobs and waiting jobs are dropped with a reason.

    Parameters
    ----------
    source : Source
        The file.
    format : str
        ``"helios"`` or ``"acme"``.
    columns : tuple of str
        Required columns.
    ignored : tuple of str
        Columns with requirements of jobs; the simulation ignores these columns.
    zone : str
        Time zone of the cluster; times without an offset are local times in this zone.
    sort, clip_to_estimate : bool
        As in `read_jobs`.

    Raises
    ------
    InputError
        If a column is missing, a time is not in ISO 8601 format or a ``gpu_num`` is not a number,
        or as in `check_jobs`.
    """
    table = read_csv(
        source, dtype={"job_id": str, "user": str, "vc": str, **dict.fromkeys(_TIMES, str)}
    )
    require_columns(table, columns, source.path)
    clock = Clock(zone)
    submit, start, end = instants([table[name] for name in _TIMES], clock)
    refuse_problems(
        source.path,
        (
            *(
                time_problem(name, table[name], times)
                for name, times in zip(_TIMES, (submit, start, end), strict=True)
            ),
            number_problem("gpu_num", table["gpu_num"], "a whole number is needed"),
        ),
    )
    run, reasons = observed_run(start, end, table.get("state"))
    origin = submit.min()
    jobs = table.rename(columns={"gpu_num": "n_accelerators", "state": "status"}).assign(
        submit_s=seconds_since(submit, origin),
        start_s=seconds_since(start, origin),
        duration_s=run,
    )
    jobs = jobs.drop(columns=[*_TIMES, "duration", "queue", "gpu_time"], errors="ignore")
    jobs = jobs.sort_values("submit_s", kind="stable")
    if not jobs["job_id"].hasnans and jobs["job_id"].str.fullmatch(r"[1-9][0-9]{0,17}").all():
        jobs["job_id"] = jobs["job_id"].astype("int64")
    return log_of(
        jobs,
        source=str(source.path),
        format=format,
        reasons=reasons.loc[jobs.index],
        notes=clock.notes(),
        ignored=ignored,
        origin=local_start(origin, zone),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )
