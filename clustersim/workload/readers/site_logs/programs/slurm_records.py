"""``scontrol show job``, and the file that Slurm's plugin ``jobcomp/filetxt`` writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED, uncounted
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.gres import (
    gres_count,
    resource_names,
    tres_count,
)
from clustersim.workload.readers.site_logs.key_values import scontrol_records
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_slurm_records", "read_slurm_records"]

_JOB = re.compile(r"\s*JobId=\d+ .*\b(?:JobName|UserId|Name|ArrayJobId|HetJobId|PackJobId)=")
_ABSENT = ("", "(null)", "N/A", "Unknown", "None")


def is_slurm_records(content: Content) -> bool:
    """Return whether the file has jobs of Slurm as ``key=value``."""
    return any(_JOB.match(line) for line in content.head[:100])


def read_slurm_records(content: Content) -> Records:
    """Read ``scontrol show job`` (with or without ``-o``) and the file of ``jobcomp/filetxt``."""
    rows = [_row(record) for record in scontrol_records(content.text, "JobId")]
    advice = "no record has SubmitTime" if not any(row["submit"] for row in rows) else ""
    return records_of(rows, "slurm", advice=advice)


def _row(record: Mapping[str, str]) -> dict[str, Any]:
    given = {key: value for key, value in record.items() if value not in _ABSENT}
    run = given.get("RunTime")
    limit = given.get("TimeLimit", "")
    count = _accelerators(given)
    minutes = limit.isdigit()  # jobcomp writes the limit in minutes
    return {
        "job_id": _job_id(given),
        "submit": given.get("SubmitTime"),
        "start": given.get("StartTime"),
        "end": given.get("EndTime"),
        "run_s": None if run is None else duration_s(run),
        "limit_s": float(limit) * 60.0 if minutes else duration_s(limit),
        "n": count,
        UNCOUNTED: None if count else _uncounted(given),
        "state": given.get("JobState"),
        "partition": given.get("Partition"),
        "user": given.get("UserId", "").partition("(")[0] or None,
        "account": given.get("Account"),
        "qos": given.get("QOS"),
    }


def _job_id(record: Mapping[str, str]) -> str:
    """Return the job id as ``sacct`` prints it."""
    number = record["JobId"].split()[0]
    if "ArrayJobId" in record and "ArrayTaskId" in record:
        task = record["ArrayTaskId"]
        return f"{record['ArrayJobId']}_{task if task.isdigit() else f'[{task}]'}"
    first = record.get("HetJobId") or record.get("PackJobId")
    if first:
        return f"{first}+{record.get('HetJobOffset') or record.get('PackJobOffset') or 0}"
    return number


_PER = {"TresPerJob": "", "TresPerNode": "NumNodes", "Gres": "NumNodes", "TresPerTask": "NumTasks"}
"""Requests, and the field whose number they are times; a site may account no generic resources."""


def _accelerators(record: Mapping[str, str]) -> float:
    """Return the accelerators of a job; NaN if the record has no list of resources."""
    allocated = next((record[name] for name in _ALLOCATED if name in record), None)
    count = float("nan") if allocated is None else tres_count(_with_prefix(allocated))
    if count > 0 or (allocated is not None and "gres/" in allocated):
        return count
    asked = [_asked(record, name) for name in _PER if name in record]
    if asked:
        return max(asked)
    return tres_count(record["ReqTRES"]) if allocated is None and "ReqTRES" in record else count


_ALLOCATED = ("AllocTRES", "TRES", "Tres")


def _asked(record: Mapping[str, str], name: str) -> float:
    """Return the accelerators of a request, times the nodes or tasks of the job."""
    times = record.get(_PER[name]) or (record.get("NodeCnt") if _PER[name] == "NumNodes" else None)
    number = re.match(r"\d+", times or "1")
    text = record[name].replace("gres/", "").replace("gres:", "")
    return gres_count(text) * float(number[0] if number else 1)


def _uncounted(record: Mapping[str, str]) -> str | None:
    """Return the resources of a job that look like accelerators and are not counted."""
    texts = [record[name] for name in (*_ALLOCATED, *_PER) if name in record]
    return uncounted(name for text in texts for name in resource_names(text))


def _with_prefix(text: str) -> str:
    """Return a list of TRES in which generic resources have their prefix."""
    return re.sub(r"(^|,)(gpu[:=])", r"\1gres/\2", text)
