"""Accounting logs of PBS Professional, OpenPBS and Torque.

Formats: "Accounting log" in the PBS Professional Administrator's Guide, and appendix "Accounting
records" of the Torque Administrator's Guide: ``date;record type;job id;key=value ...``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.programs.pbs_sizes import (
    GRES_NOTE,
    accelerators,
    uncounted_in,
    uses_gres,
)
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["accounting_row", "fields_of", "is_pbs", "pbs_records", "read_pbs", "sizes_of"]

_RECORD = re.compile(r"(?:^|[:\s-])(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d(?:\.\d+)?);(\w);([^;]*);(.*)$")
_KEY = re.compile(r"(?:^|\s)([A-Za-z_][\w.-]*)=")
_BY_GRES = "by_gres"
_ENDED = "E"
_RERUN = "R"


def is_pbs(content: Content) -> bool:
    """Return whether the file is an accounting log of PBS or Torque."""
    return sum(bool(_RECORD.search(line)) for line in content.head[:50]) > 0


def read_pbs(content: Content) -> Records:
    """Read the records of ended jobs; other events are no jobs.

    A job that ran again has a record ``R`` for each earlier run.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(content.lines, 1):
        if not line.strip():
            continue
        match = _RECORD.search(line)
        name = f"line {number}"
        if match is None:
            rows.append({"row": name, "line": number, "reason": "noise"})
            continue
        _, kind, job_id, rest = match.groups()
        fields = fields_of(rest)
        ran = kind == _ENDED or (kind == _RERUN and "start" in fields and "end" in fields)
        if not ran or re.search(r"\[\]", job_id):
            rows.append({"row": job_id or name, "line": number, "reason": "noise"})
            continue
        rows.append({"line": number, **accounting_row(job_id, fields)})
    return pbs_records(rows)


def pbs_records(rows: Sequence[Mapping[str, Any]], advice: str = "") -> Records:
    """Return the records of rows, with a note if generic resources of Moab were counted."""
    notes = [GRES_NOTE] if any(row.get(_BY_GRES) for row in rows) else []
    return records_of(rows, "pbs", notes, advice)


def sizes_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the accelerators of a record, as columns of records."""
    count = accelerators(fields)
    return {
        "n": count,
        UNCOUNTED: None if count else uncounted_in(fields),
        _BY_GRES: uses_gres(fields),
    }


def fields_of(text: str) -> dict[str, str]:
    """Split ``key=value key=value``; a value may have blanks in it."""
    places = list(_KEY.finditer(text))
    ends = [*(match.start() for match in places[1:]), len(text)][: len(places)]
    return {
        match[1]: text[match.end() : end].strip().strip('"')
        for match, end in zip(places, ends, strict=True)
    }


def accounting_row(job_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of the job in the fields of an accounting record."""
    used = fields.get("resources_used.walltime")
    limit = fields.get("Resource_List.walltime")
    return {
        "job_id": job_id,
        "submit": fields.get("ctime") or fields.get("qtime") or fields.get("etime"),
        "start": fields.get("start"),
        "end": fields.get("end"),
        "run_s": None if used is None else duration_s(used),
        "limit_s": None if limit is None else duration_s(limit),
        **sizes_of(fields),
        "user": fields.get("user") or fields.get("owner", "").partition("@")[0] or None,
        "partition": fields.get("queue"),
        "account": fields.get("account") or fields.get("project") or fields.get("group"),
    }
