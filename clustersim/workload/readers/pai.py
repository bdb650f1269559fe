"""The job log of Alibaba's PAI cluster of 2020 (``pai_task_table.csv``).

Format: https://github.com/alibaba/clusterdata, ``cluster-trace-gpu-v2020/README.md``; Weng et al.,
"MLaaS in the Wild", NSDI '22. The tables have no header line. ``plan_gpu`` is the number of GPUs
per instance in percent. Times are seconds since an undisclosed origin; read as Unix time in UTC+8,
they have the correct time of day and day of the week.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clustersim.errors import InputError
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.cells import number_problem, refuse_problems
from clustersim.workload.readers.clean import log_of
from clustersim.workload.readers.observed import observed_run
from clustersim.workload.readers.source import Source, open_source, read_csv
from clustersim.workload.readers.times import local_start

__all__ = ["job_table_beside", "read_pai"]

_TASK = (
    "job_name",
    "task_name",
    "inst_num",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
    "plan_gpu",
    "gpu_type",
)
_JOB = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
_IGNORED = ("gpu_type",)
_ZONE = "Asia/Shanghai"
_NUMBERS = ("inst_num", "start_time", "end_time", "plan_gpu")


def read_pai(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read the task table of PAI, and the job table if it is in the same folder.

    A job consists of all GPU tasks with the same ``job_name``. ``n_accelerators`` is the sum of
    instances times ``plan_gpu`` / 100, rounded up with a note. The job runs from the earliest start
    to the latest end of its GPU tasks. It is dropped if a task lacks one of these times, or is
    running or waiting. The submit time is the ``start_time`` in the job table. Without the job
    table, the submit time is the earliest start of a task, so waits are unknown; a note reports
    this.

    Raises
    ------
    InputError
        If a table has other columns, or as in `check_jobs`.
    """
    tasks = _table(source, _TASK, _NUMBERS)
    tasks["gpus"] = (tasks["inst_num"].fillna(1) * tasks["plan_gpu"].fillna(0) / 100).round(6)
    tasks["run"], tasks["why"] = observed_run(
        tasks["start_time"], tasks["end_time"], tasks["status"]
    )
    tasks["record"] = tasks.index
    per_job = tasks[tasks["gpus"] > 0].groupby("job_name", sort=False)
    jobs = pd.DataFrame(
        {
            "n_accelerators": per_job["gpus"].sum(),
            "start_time": per_job["start_time"].min(),
            "end_time": per_job["end_time"].max(),
            "gpu_type": per_job["gpu_type"].first(),
            "status": per_job["status"].first(),
            "record": per_job["record"].first(),
            "why": per_job["why"].first(),
        }
    ).rename_axis("job_id")
    without = tasks["job_name"].nunique() - len(jobs)
    submits, notes = _submits(source, jobs)
    jobs["duration_s"] = jobs["end_time"] - jobs["start_time"]
    jobs = jobs.join(submits).sort_values("submitted", kind="stable").reset_index()
    jobs = jobs.set_index("record").rename_axis(None)
    origin = jobs["submitted"].min()
    jobs["submit_s"] = jobs["submitted"] - origin
    jobs["start_s"] = jobs["start_time"] - origin
    return log_of(
        jobs.drop(columns=["submitted", "start_time", "end_time", "why"]),
        source=str(source.path),
        format="pai",
        reasons=jobs["why"],
        dropped={"uses no accelerator": int(without)} if without else {},
        notes=notes,
        ignored=_IGNORED,
        origin=local_start(pd.to_datetime(origin, unit="s", utc=True), _ZONE),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def job_table_beside(tasks: Path) -> Path | None:
    """Return the path of the job table in the folder of a task table; None if it does not exist."""
    beside = (tasks.with_name(f"pai_job_table{ending}") for ending in (".csv", ".csv.gz"))
    return next((path for path in beside if path.is_file()), None)


def _submits(source: Source, jobs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return submit times (and users, if known) by job name, and a note on their source."""
    path = job_table_beside(source.path)
    if path is not None:
        table = _table(open_source(path), _JOB, ("start_time",)).drop_duplicates("job_name")
        known = table.set_index("job_name").rename(columns={"start_time": "submitted"})
        return known[["submitted", "user"]], [f"submit times and users are from {path.name}"]
    note = (
        "no pai_job_table.csv in the same folder: the earliest start of a task is used as the "
        "submit time"
    )
    return jobs[["start_time"]].rename(columns={"start_time": "submitted"}), [note]


def _table(source: Source, columns: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    table = read_csv(source, header=None, dtype=str)
    if table.shape[1] != len(columns):
        raise InputError(
            source.path,
            f"has {table.shape[1]} columns, but a table of PAI has {len(columns)}: "
            + ", ".join(columns),
        )
    table.columns = pd.Index(columns)
    if tuple(table.iloc[0]) == columns:
        table = table.iloc[1:].reset_index(drop=True)
    refuse_problems(source.path, (number_problem(name, table[name]) for name in numbers))
    for name in numbers:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table
