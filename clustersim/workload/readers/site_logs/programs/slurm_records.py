"""``scontrol show job``, and the file that Slurm's plugin ``jobcomp/filetxt`` writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.gres import gres_count, tres_count
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
    minutes = limit.isdigit()  # jobcomp writes the limit in minutes
    return {
        "job_id": _job_id(given),
        "submit": given.get("SubmitTime"),
        "start": given.get("StartTime"),
        "end": given.get("EndTime"),
        "run_s": None if run is None else duration_s(run),
        "limit_s": float(limit) * 60.0 if minutes else duration_s(limit),
        "n": _accelerators(given),
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


def _accelerators(record: Mapping[str, str]) -> float:
    """Return the accelerators of a job; NaN if the record has no list of resources."""
    for name in ("AllocTRES", "TRES", "Tres"):
        if name in record:
            return tres_count(_with_prefix(record[name]))
    for name in ("TresPerJob", "TresPerNode", "Gres"):
        if name in record:
            nodes = re.match(r"\d+", record.get("NumNodes") or record.get("NodeCnt") or "1")
            hosts = 1.0 if name == "TresPerJob" or nodes is None else float(nodes[0])
            return gres_count(record[name].replace("gres/", "").replace("gres:", "")) * hosts
    return tres_count(record["ReqTRES"]) if "ReqTRES" in record else float(np.nan)


def _with_prefix(text: str) -> str:
    """Return a list of TRES in which generic resources have their prefix."""
    return re.sub(r"(^|,)(gpu[:=])", r"\1gres/\2", text)
