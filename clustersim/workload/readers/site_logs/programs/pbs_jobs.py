"""Jobs as ``qstat -xf`` (text and ``-F json``) and ``tracejob`` of PBS and Torque print them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.key_values import indented_records
from clustersim.workload.readers.site_logs.programs.pbs import (
    accounting_row,
    fields_of,
    pbs_records,
    sizes_of,
)
from clustersim.workload.readers.site_logs.records import Records

__all__ = [
    "is_qstat",
    "is_qstat_json",
    "is_tracejob",
    "qstat_json_records",
    "qstat_records",
    "read_qstat",
    "read_qstat_json",
    "read_tracejob",
]

_HEADING = re.compile(r"Job Id:\s*(\S+)")
_STATES = {
    **dict.fromkeys("QHWTM", "Pending"),
    **dict.fromkeys("REBSU", "Running"),
    **dict.fromkeys("FCX", "Completed"),
}
_GROUPS = ("Resource_List", "resources_used", "estimated")


def is_qstat(content: Content) -> bool:
    """Return whether the file is what ``qstat -f`` prints."""
    return any(_HEADING.match(line) for line in content.head[:100])


def read_qstat(content: Content) -> Records:
    """Read ``qstat -xf`` of PBS, or ``qstat -f`` of Torque."""
    rows = [_row(number, record) for number, record in qstat_records(content.text)]
    return pbs_records(rows)


def qstat_records(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the id and the attributes of each job in what ``qstat -f`` prints."""
    return indented_records(text, _HEADING)


def is_qstat_json(content: Content) -> bool:
    """Return whether the file is what ``qstat -f -F json`` prints."""
    return any(_jobs(document) for document in content.documents)


def _jobs(document: Any) -> Mapping[str, Any]:
    found = document.get("Jobs") if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def read_qstat_json(content: Content) -> Records:
    """Read ``qstat -xf -F json``."""
    rows = [
        _row(number, record)
        for document in content.documents
        for number, record in qstat_json_records(document)
    ]
    return pbs_records(rows)


def qstat_json_records(document: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the jobs of ``qstat -f -F json`` as ``qstat -f`` would print them."""
    records = []
    for number, record in _jobs(document).items():
        flat = {key: str(value) for key, value in record.items() if isinstance(value, str | int)}
        if isinstance(record.get("array_state_count"), Mapping):
            flat["array_state_count"] = str(record["array_state_count"])
        for group in _GROUPS:
            for key, value in (record.get(group) or {}).items():
                flat[f"{group}.{key}"] = str(value)
        records.append((number, flat))
    return records


def _row(number: str, record: Mapping[str, str]) -> dict[str, Any]:
    used = record.get("resources_used.walltime")
    limit = record.get("Resource_List.walltime")
    state = _STATES.get(record.get("job_state", "?")[:1])
    over = state == "Completed"
    start = record.get("stime") or record.get("start_time")
    if over and used is None and "Exit_status" not in record:
        start = None  # deleted while it waited
    return {
        "job_id": number,
        "submit": record.get("ctime") or record.get("qtime"),
        "start": start,
        "end": record.get("obittime") or record.get("comp_time") or record.get("mtime")
        if over
        else None,
        "run_s": duration_s(used) if over and used is not None else None,
        "limit_s": None if limit is None else duration_s(limit),
        **sizes_of(record),
        "state": state,
        "user": record.get("Job_Owner", "").partition("@")[0] or None,
        "partition": record.get("queue"),
        "account": record.get("Account_Name") or record.get("project"),
        "reason": "noise" if re.search(r"\[\]", number) and over else None,
    }


_TRACED = re.compile(r"^Job:\s*(\S+)\s*$")
_ACCOUNTED = re.compile(r"^(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)\s+A\s+(.*=.*)$")


def is_tracejob(content: Content) -> bool:
    """Return whether the file is what ``tracejob`` prints."""
    return any(_TRACED.match(line) for line in content.head[:50])


def read_tracejob(content: Content) -> Records:
    """Read the accounting records in what ``tracejob`` prints, one job after another."""
    rows: list[dict[str, Any]] = []
    name = ""
    for number, line in enumerate(content.lines, 1):
        heading = _TRACED.match(line)
        name = heading[1] if heading else name
        found = _ACCOUNTED.match(line)
        fields = fields_of(found[2]) if found else {}
        if name and "end" in fields:
            rows.append({"line": number, **accounting_row(name, fields)})
        elif line.strip():
            rows.append({"row": f"line {number}", "line": number, "reason": "noise"})
    return pbs_records(rows, "no accounting record has the end of a job")
