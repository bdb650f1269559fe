"""``sacct --json`` of every version of Slurm's data parser.

Slurm 20.11 to 21.08 write plain numbers; since 23.02 (data_parser v0.0.39 and later) a number may
be ``{"set": true, "infinite": false, "number": 7}`` and a state a list. Both are read.
"""

from __future__ import annotations

from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.gres import family_total
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_slurm_json", "read_slurm_json"]


def is_slurm_json(content: Content) -> bool:
    """Return whether the file is the output of ``sacct --json``, or jobs of it."""
    return any(_jobs(document) for document in content.documents)


def _jobs(document: Any) -> list[dict[str, Any]]:
    """Return the jobs of a document: of the whole output, of its list, or one job of it (jq)."""
    jobs = document.get("jobs", [document]) if isinstance(document, dict) else document
    if not isinstance(jobs, list) or not jobs or not isinstance(jobs[0], dict):
        return []
    return jobs if {"job_id", "time"} <= set(jobs[0]) else []


def read_slurm_json(content: Content) -> Records:
    """Read the jobs of ``sacct --json``."""
    jobs = [job for document in content.documents for job in _jobs(document)]
    rows = [_row(job) for job in jobs]
    return records_of(rows, "slurm-json")


def _number(value: Any) -> float | None:
    """Return a number that may be an object with ``set`` and ``number``; None if it is not set."""
    if isinstance(value, dict):
        if not value.get("set", True) or value.get("infinite"):
            return None
        value = value.get("number")
    if isinstance(value, str):
        value = float(value) if value.replace(".", "", 1).isdigit() else None
    return None if value is None or isinstance(value, (bool, list)) else float(value)


def _row(job: dict[str, Any]) -> dict[str, Any]:
    time = job.get("time") or {}
    state = (
        (job.get("state") or {}).get("current")
        if isinstance(job.get("state"), dict)
        else job.get("state")
    )
    words = state if isinstance(state, list) else [state]
    limit = _number(time.get("limit"))
    word = str(words[0]) if words and words[0] else None
    return {
        "job_id": _job_id(job),
        "submit": _number(time.get("submission")) or None,
        "start": _number(time.get("start")) or None,
        "end": _number(time.get("end")) or None,
        "run_s": _number(time.get("elapsed")),
        "limit_s": None if limit is None else limit * 60.0,
        "n": _accelerators(job),
        "state": word,
        "partition": job.get("partition") or None,
        "user": job.get("user") or (job.get("association") or {}).get("user") or None,
        "account": job.get("account") or None,
        "qos": job.get("qos") or None,
    }


def _job_id(job: dict[str, Any]) -> str:
    """Return the job id as ``sacct`` prints it without ``--json``."""
    array, het = job.get("array") or {}, job.get("het") or {}
    parent = _number(array.get("job_id"))
    if parent:
        task = _number(array.get("task_id"))
        if task is not None:
            return f"{parent:.0f}_{task:.0f}"
        if array.get("task"):
            return f"{parent:.0f}_[{array['task']}]"
    first = _number(het.get("job_id"))
    if first:
        return f"{first:.0f}+{_number(het.get('job_offset')) or 0:.0f}"
    return str(job["job_id"])


def _accelerators(job: dict[str, Any]) -> float | None:
    """Return the accelerators allocated to a job; None if nothing was allocated."""
    entries = (job.get("tres") or {}).get("allocated")
    if not entries:
        return None
    counts = []
    for entry in entries:
        if entry.get("type") == "gres":
            family, _, kind = str(entry.get("name", "")).partition(":")
            counts.append((family, kind, _number(entry.get("count")) or 0.0))
    return family_total(counts)
