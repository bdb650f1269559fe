"""The job log of Microsoft's Philly clusters (``cluster_job_log``, JSON).

Format: https://github.com/msr-fiddle/philly-traces (README, "Schema"); Jeon et
al., "Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training
Workloads", USENIX ATC 2019.  Times are local (Pacific) and without a zone.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from clustersim.errors import InputError
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.clean import log_of, seconds_since
from clustersim.workload.readers.source import Source, reading

__all__ = ["read_philly"]

_TIME = "%Y-%m-%d %H:%M:%S"
_NO_ATTEMPT = "no recorded attempt to run"
_NOT_ENDED = "still running when the log ends, or its last end not recorded"


def read_philly(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read Philly's ``cluster_job_log``.

    ``duration_s`` is the time on accelerators: the sum over the attempts that
    have both times (the publishers' notebook takes the last end minus the first
    start, which counts the waits between attempts as well).  ``n_accelerators``
    is the largest attempt's.  Jobs are sorted by submission; the log is not.

    Raises
    ------
    InputError
        If the file is not this JSON, or as `check_jobs`.
    """
    entries = _entries(source)
    attempts = _attempts(entries)
    jobs = pd.DataFrame(
        {
            "job_id": _texts(entries, "jobid"),
            "vc": _texts(entries, "vc"),
            "user": _texts(entries, "user"),
            "status": _texts(entries, "status"),
            "submitted": _times([entry.get("submitted_time") for entry in entries]),
        }
    )
    per_job = attempts.groupby("job")
    jobs["n_accelerators"] = per_job["gpus"].max()
    jobs["first_start"] = per_job["start"].min()
    attempts["run"] = seconds_since(attempts["end"], attempts["start"])
    jobs["duration_s"] = per_job["run"].sum(min_count=1).astype("Int64")
    jobs["attempts"] = per_job.size().reindex(jobs.index, fill_value=0)
    last_end = per_job["end"].last(skipna=False).reindex(jobs.index)
    none, open_end = jobs["attempts"] == 0, last_end.isna()
    dropped = {_NO_ATTEMPT: int(none.sum()), _NOT_ENDED: int((open_end & ~none).sum())}
    resized = int((per_job["gpus"].nunique() > 1).sum())
    note = f"{resized:,} jobs changed size between attempts: the largest is taken"
    jobs = jobs[~open_end].sort_values("submitted", kind="stable", ignore_index=True)
    origin = jobs["submitted"].min()
    jobs["submit_s"] = seconds_since(jobs["submitted"], origin)
    jobs["start_s"] = seconds_since(jobs["first_start"], origin)
    return log_of(
        jobs.drop(columns=["submitted", "first_start"]),
        source=str(source.path),
        format="philly",
        dropped={reason: count for reason, count in dropped.items() if count},
        notes=[note] if resized else [],
        origin=None if pd.isna(origin) else origin.to_pydatetime(),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def _entries(source: Source) -> list[dict[str, Any]]:
    with reading(source.path), source.open_text() as text:
        try:
            entries = json.load(text)
        except json.JSONDecodeError as error:
            raise InputError(
                source.path,
                f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}); "
                "is it cut short?",
            ) from None
    if not isinstance(entries, list):
        raise InputError(source.path, "holds no list of jobs, which Philly's cluster_job_log is")
    for row, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("attempts"), list):
            raise InputError(
                source.path,
                f"job {row} has no list of attempts; Philly's cluster_job_log has the keys "
                "status, vc, jobid, attempts, submitted_time, user",
            )
    if not entries:
        raise InputError(source.path, "holds no jobs")
    return entries


def _attempts(entries: list[dict[str, Any]]) -> pd.DataFrame:
    rows = [
        (
            job,
            attempt.get("start_time"),
            attempt.get("end_time"),
            sum(len(server.get("gpus", ())) for server in attempt.get("detail", ())),
        )
        for job, entry in enumerate(entries)
        for attempt in entry["attempts"]
    ]
    table = pd.DataFrame(rows, columns=["job", "start", "end", "gpus"])
    return table.assign(start=_times(list(table["start"])), end=_times(list(table["end"])))


def _texts(entries: list[dict[str, Any]], key: str) -> list[str | None]:
    return [None if entry.get(key) is None else str(entry[key]) for entry in entries]


def _times(texts: list[Any]) -> pd.Series:
    """Times of the log; "None", absent and malformed ones become NaT."""
    return pd.to_datetime(pd.Series(texts, dtype=object), format=_TIME, errors="coerce")
