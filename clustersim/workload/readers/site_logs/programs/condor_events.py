"""Event logs of HTCondor: the file that ``log =`` names in a submit file, or the EVENT_LOG.

Format: "Job Event Log Codes" in the HTCondor manual. A job runs from an event 001 until it is
evicted, held or aborted, or until it ends. Accelerators are those in the table of resources behind
the end of a run, else those of the slot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["is_condor_events", "read_condor_events"]

_EVENT = re.compile(
    r"(\d{3}) \((\d+)\.(\d+)\.\d+\) "
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?|\d\d/\d\d \d\d:\d\d:\d\d)"
)
_SUBMITTED, _RUNS, _TERMINATED, _ABORTED, _HELD = "000", "001", "005", "009", "012"
_STOPS = ("004", "007", _TERMINATED, _ABORTED, _HELD, "024")
"""Evicted, shadow exception, terminated, aborted, held, reconnection failed."""
_USED = re.compile(r"\s*GPUs?(?: \([\w ]+\))?\s*:\s*([^\"]*)", re.I)
_SLOT = re.compile(r"\s*GPUs = (\d+)\s*$")
_TABLE = re.compile(r"\s*Partitionable Resources\s*:")


@dataclass(slots=True)
class _Job:
    """What the events of a job have said so far."""

    line: int
    submit: str | None = None
    runs: list[tuple[str, str]] = field(default_factory=list)
    begun: str | None = None
    end: str | None = None
    state: str | None = None
    has_table: bool = False
    n: float | None = None


def is_condor_events(content: Content) -> bool:
    """Return whether the file is a log of events of HTCondor."""
    return any(_EVENT.match(line) for line in content.head[:40])


def read_condor_events(content: Content) -> Records:
    """Read the events of each job; the log does not tell users."""
    jobs: dict[str, _Job] = {}
    job: _Job | None = None
    for number, line in enumerate(content.lines, 1):
        event = _EVENT.match(line)
        if event:
            name = f"{event[2]}.{int(event[3])}"
            job = jobs.setdefault(name, _Job(number))
            _happen(job, event[1], event[4])
        elif job is not None:
            _tell(job, line)
    rows = [_row(name, one) for name, one in jobs.items()]
    return records_of(rows, "htcondor")


def _happen(job: _Job, code: str, when: str) -> None:
    if code == _SUBMITTED:
        job.submit = when
    elif code == _RUNS:
        job.begun = when
    if code in _STOPS and job.begun is not None:
        job.runs.append((job.begun, when))
        job.begun = None
    if code in (_TERMINATED, _ABORTED):
        job.end = when
        job.state = "Completed" if code == _TERMINATED else "Cancelled"


def _tell(job: _Job, line: str) -> None:
    """Take the accelerators from a line behind an event."""
    used, slot = _USED.match(line), _SLOT.match(line)
    if used:  # the columns are usage, request, allocated; usage may be blank
        counts = re.findall(r"\d+(?:\.\d+)?", used[1])
        job.n = float(counts[-1]) if counts else job.n
    elif slot:
        job.n = max(job.n or 0.0, float(slot[1]))
    job.has_table |= bool(_TABLE.match(line))


def _row(name: str, job: _Job) -> dict[str, Any]:
    over = job.end is not None
    row: dict[str, Any] = {
        "job_id": name,
        "line": job.line,
        "submit": job.submit,
        "start": job.runs[0][0] if job.runs else job.begun,
        "end": job.runs[-1][1] if over and job.runs else None,
        "n": 0.0 if job.n is None and job.has_table else job.n,
        "state": job.state or ("Running" if job.begun else None if job.runs else "Pending"),
    }
    if over and len(job.runs) > 1:
        row["run_s"] = sum(_length_s(*run) for run in job.runs)
    return row


def _length_s(first: str, last: str) -> float:
    """Return the seconds between two times in the notation of one log."""
    if "/" in first:
        begin, end = (
            datetime.strptime(f"2024/{one}", "%Y/%m/%d %H:%M:%S") for one in (first, last)
        )
        if end < begin:  # over the turn of the year
            end = end.replace(year=2025)
    else:
        begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    return (end - begin).total_seconds()
