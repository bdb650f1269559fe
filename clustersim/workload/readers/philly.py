"""The job log of Microsoft's Philly clusters (``cluster_job_log``, JSON).

Format: https://github.com/msr-fiddle/philly-traces (README, "Schema"); Jeon et al., "Analysis of
Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads", USENIX ATC 2019. Times are local
times without a zone. The utilisation logs published with the job log are in PDT and PST, that is,
Pacific time with daylight saving time.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from clustersim.errors import InputError
from clustersim.units import counted
from clustersim.workload.columns import shortened
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.cells import refuse_problems, time_problem
from clustersim.workload.readers.clean import log_of, seconds_since
from clustersim.workload.readers.observed import first_reason
from clustersim.workload.readers.source import Source, reading
from clustersim.workload.readers.times import Clock, local_start

__all__ = ["read_philly"]

_TIME = "%Y-%m-%d %H:%M:%S"
_ZONE = "America/Los_Angeles"
_NO_ATTEMPT = "no recorded attempt to run"
_NOT_ENDED = "still running at the end of the log, or last end not recorded"
_PARTLY = "run time unknown: an attempt has no recorded start or end"
_BACKWARD = "run time unknown: an attempt ends before it starts"


def read_philly(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read the ``cluster_job_log`` of Philly.

    ``duration_s`` is the time on accelerators, that is, the sum over the attempts. (The notebook of
    the publishers uses the last end minus the first start, which includes the waits between
    attempts.) A job is dropped if an attempt lacks a time or ends before it starts, because its run
    time is unknown. ``n_accelerators`` is the size of the largest attempt. Jobs are sorted by
    submission, because the log is not sorted.

    Raises
    ------
    InputError
        If the file is not a job log of Philly in JSON format, or as in `check_jobs`.
    """
    entries = _entries(source)
    jobs = pd.DataFrame(
        {
            "job_id": _texts(entries, "jobid"),
            "vc": _texts(entries, "vc"),
            "user": _texts(entries, "user"),
            "status": _texts(entries, "status"),
        }
    )
    clock = Clock(_ZONE)
    attempts = _attempts(entries, source)
    submitted = _in_order(
        _times(
            pd.Series([entry.get("submitted_time") for entry in entries], dtype=object),
            "submitted_time",
            source,
        ),
        attempts,
        clock,
    )
    per_job = attempts.groupby("job")
    jobs["n_accelerators"] = per_job["gpus"].max()
    attempts["run"] = seconds_since(attempts["end"], attempts["start"])
    jobs["duration_s"] = per_job["run"].sum(min_count=1).astype("Int64")
    jobs["attempts"] = per_job.size().reindex(jobs.index, fill_value=0)
    last_end = per_job["end"].last(skipna=False).reindex(jobs.index)
    lacks = attempts["run"].isna().groupby(attempts["job"]).any()
    backward = (attempts["run"] < 0).groupby(attempts["job"]).any()
    reasons = first_reason(
        jobs.index,
        {
            _NO_ATTEMPT: jobs["attempts"] == 0,
            _NOT_ENDED: last_end.isna(),
            _PARTLY: lacks.reindex(jobs.index, fill_value=False),
            _BACKWARD: backward.reindex(jobs.index, fill_value=False),
        },
    )
    kept = reasons.isna()
    resized = int((per_job["gpus"].nunique().reindex(jobs.index, fill_value=0)[kept] > 1).sum())
    notes = [f"{counted(resized, 'job')} changed size between attempts: the largest size is used"]
    origin = submitted.min()
    jobs["submit_s"] = seconds_since(submitted, origin)
    jobs["start_s"] = seconds_since(per_job["start"].min().reindex(jobs.index), origin)
    jobs = jobs.sort_values("submit_s", kind="stable")
    return log_of(
        jobs,
        source=str(source.path),
        format="philly",
        reasons=reasons.loc[jobs.index],
        notes=[*(notes if resized else []), *clock.notes()],
        origin=local_start(origin, _ZONE),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def _in_order(submitted: pd.Series, attempts: pd.DataFrame, clock: Clock) -> pd.Series:
    """Convert local times to UTC: return the submit times, and change `attempts` in place.

    The submission, first start, first end, second start and so on of a job occur in this order. If
    the clock shows a time twice, the order determines which of the two instants is meant.
    """
    instants, _ = clock.both(submitted)
    starts, late_starts = clock.both(attempts["start"])
    ends, late_ends = clock.both(attempts["end"])
    twice = (starts != late_starts) & starts.notna() | (ends != late_ends) & ends.notna()
    for job in attempts.loc[twice, "job"].unique():
        last = instants[job]
        for row in attempts.index[attempts["job"] == job]:
            for first, second in ((starts, late_starts), (ends, late_ends)):
                if first[row] < last <= second[row]:
                    first[row] = second[row]
                last = last if pd.isna(first[row]) else first[row]
    attempts["start"], attempts["end"] = starts, ends
    return instants


_OTHER = (
    "supported JSON is sacct --json, kubectl get -o json, condor_history -json, qstat -F json, "
    "bjobs -json, flux jobs --json, Batsim, Philly's cluster_job_log, and lists of objects with "
    "the times and the accelerators of a job; convert other logs to CSV with job_id, submit_s, "
    "n_accelerators, duration_s"
)


def _kind_of(data: Any) -> str:
    """Describe a JSON document that is not a list."""
    if not isinstance(data, dict):
        return f"is JSON, but contains a single {type(data).__name__}"
    keys = set(data)
    kind = data.get("kind")
    for what, matches in (
        ("a Batsim workload", {"jobs", "profiles"} <= keys or {"nb_res", "jobs"} <= keys),
        ("output of a Slurm command (--json)", {"meta", "jobs"} <= keys or "errors" in keys),
        (f"a Kubernetes {kind}", "apiVersion" in keys),
    ):
        if matches:
            return f"is {what} (keys {shortened(sorted(data))})"
    return f"is a JSON object (keys {shortened(sorted(data)) or 'none'})"


def _entries(source: Source) -> list[dict[str, Any]]:
    with reading(source.path), source.open_text() as text:
        try:
            entries = json.load(text)
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and error.lineno > 1:
                raise InputError(source.path, f"has one JSON value per line; {_OTHER}") from None
            raise InputError(
                source.path,
                f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}); "
                "it may be truncated",
            ) from None
    if not isinstance(entries, list):
        raise InputError(source.path, f"{_kind_of(entries)}; {_OTHER}")
    for row, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("attempts"), list):
            keys = f" (its keys: {shortened(sorted(entry))})" if isinstance(entry, dict) else ""
            raise InputError(
                source.path,
                f"job {row} has no list of attempts{keys}; a job of Philly's cluster_job_log has "
                "the keys status, vc, jobid, attempts, submitted_time, user",
            )
    if not entries:
        raise InputError(source.path, "contains no jobs")
    return entries


def _attempts(entries: list[dict[str, Any]], source: Source) -> pd.DataFrame:
    rows = []
    for job, entry in enumerate(entries):
        for attempt in entry["attempts"]:
            servers = attempt.get("detail") or () if isinstance(attempt, dict) else None
            if servers is None or not all(isinstance(server, dict) for server in servers):
                raise InputError(
                    source.path,
                    f"job {job + 1} has an invalid attempt; an attempt of Philly's "
                    "cluster_job_log has the keys start_time, end_time, detail",
                )
            gpus = sum(len(server.get("gpus") or ()) for server in servers)
            rows.append((job, attempt.get("start_time"), attempt.get("end_time"), gpus))
    table = pd.DataFrame(rows, columns=["job", "start", "end", "gpus"])
    times = {
        name: _times(table[name].astype(object).set_axis(table["job"]), f"{name}_time", source)
        for name in ("start", "end")
    }
    return table.assign(**{name: column.set_axis(table.index) for name, column in times.items()})


def _texts(entries: list[dict[str, Any]], key: str) -> list[str | None]:
    return [None if entry.get(key) is None else str(entry[key]) for entry in entries]


def _times(texts: pd.Series, name: str, source: Source) -> pd.Series:
    """Return the times of the log; "None" and missing times become NaT.

    The index is the position of the job in the log, starting at 0.
    """
    times = pd.to_datetime(texts, format=_TIME, errors="coerce").astype("datetime64[ns]")
    needed = "a time such as 2017-10-09 07:01:55 is needed; a row is a job in the list"
    refuse_problems(source.path, [time_problem(name, texts, times, needed)])
    return times
