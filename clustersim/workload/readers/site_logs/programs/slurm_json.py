"""``sacct --json``, and the jobs in ``squeue --json``, of every version of Slurm's data parser.

Slurm 20.11 to 21.08 write plain numbers; since 23.02 (data_parser v0.0.39 and later) a number may
be ``{"set": true, "infinite": false, "number": 7}`` and a state a list. Both are read.
"""

from __future__ import annotations

from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED, uncounted
from clustersim.workload.readers.site_logs.gres import family_total, resource_names, tres_count
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_slurm_json", "read_slurm_json"]


_LIVE = ("job_state", "submit_time", "tres_alloc_str")
"""What jobs have that slurmctld knows, as ``squeue --json`` prints them."""


def is_slurm_json(content: Content) -> bool:
    """Return whether the file is the output of ``sacct --json``, or jobs of it."""
    return any(_jobs(document) for document in content.documents)


def _jobs(document: Any) -> list[dict[str, Any]]:
    """Return the jobs of a document: of the whole output, of its list, or one job of it (jq)."""
    jobs = document.get("jobs", [document]) if isinstance(document, dict) else document
    if not isinstance(jobs, list) or not jobs or not isinstance(jobs[0], dict):
        return []
    keys = set(jobs[0])
    return jobs if {"job_id", "time"} <= keys or {"job_id", *_LIVE} <= keys else []


def read_slurm_json(content: Content) -> Records:
    """Read the jobs of ``sacct --json``."""
    jobs = [job for document in content.documents for job in _jobs(document)]
    rows = [_row(job) if "time" in job else _live_row(job) for job in jobs]
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
    count = _accelerators(job)
    return {
        "job_id": _job_id(job),
        "submit": _number(time.get("submission")) or None,
        "start": _number(time.get("start")) or None,
        "end": _number(time.get("end")) or None,
        "run_s": _number(time.get("elapsed")),
        "limit_s": None if limit is None else limit * 60.0,
        "n": count,
        UNCOUNTED: None if count else uncounted(_generic(job)),
        "state": word,
        "partition": job.get("partition") or None,
        "user": job.get("user") or (job.get("association") or {}).get("user") or None,
        "account": job.get("account") or None,
        "qos": job.get("qos") or None,
    }


def _live_row(job: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a job of ``squeue --json`` or ``scontrol show jobs --json``."""
    words = job["job_state"]
    limit = _number(job.get("time_limit"))
    given = str(job.get("tres_alloc_str") or "")
    array = {"job_id": job.get("array_job_id"), "task_id": job.get("array_task_id"),
             "task": job.get("array_task_string")}  # fmt: skip
    het = {"job_id": job.get("het_job_id"), "job_offset": job.get("het_job_offset")}
    if not _number(het["job_id"]):
        het = {}
    return {
        "job_id": _job_id({"job_id": job["job_id"], "array": array, "het": het}),
        "submit": _number(job.get("submit_time")) or None,
        "start": _number(job.get("start_time")) or None,
        "end": _number(job.get("end_time")) or None,
        "limit_s": None if limit is None else limit * 60.0,
        "n": tres_count(given) if given else None,
        UNCOUNTED: uncounted(resource_names(given)),
        "state": " ".join(map(str, words)) if isinstance(words, list) else str(words),
        "partition": job.get("partition") or None,
        "user": job.get("user_name") or None,
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


def _generic(job: dict[str, Any]) -> list[str]:
    """Return the names of the generic resources allocated to a job."""
    entries = (job.get("tres") or {}).get("allocated") or []
    generic = [one for one in entries if one.get("type") == "gres" and _number(one.get("count"))]
    return [str(one.get("name", "")).partition(":")[0] for one in generic]


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
