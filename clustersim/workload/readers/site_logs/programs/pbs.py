"""Accounting logs of PBS Professional, OpenPBS and Torque.

Formats: "Accounting log" in the PBS Professional Administrator's Guide, and appendix "Accounting
records" of the Torque Administrator's Guide: ``date;record type;job id;key=value ...``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = ["accelerators", "accounting_row", "fields_of", "is_pbs", "read_pbs"]

_RECORD = re.compile(r"(?:^|[:\s-])(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d(?:\.\d+)?);(\w);([^;]*);(.*)$")
_KEY = re.compile(r"(?:^|\s)([A-Za-z_][\w.-]*)=")
_DEVICES = ("ngpus", "ngpu", "gpus", "naccelerators", "naccels", "nnpus", "npus", "ndcus", "nmlus")
_ENDED = "E"
_RERUN = "R"


def is_pbs(content: Content) -> bool:
    """Return whether the file is an accounting log of PBS or Torque."""
    return sum(bool(_RECORD.search(line)) for line in content.head[:50]) > 0


def read_pbs(content: Content) -> Records:
    """Read the records of ended jobs; other events are no jobs.

    A job that ran again has a record ``R`` for each earlier run. Accelerators are those of
    ``exec_vnode`` or ``exec_gpus``, else those asked for: per node in Torque's ``nodes``, per chunk
    in ``select``.
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
    return records_of(rows, "pbs")


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
        "n": accelerators(fields),
        "user": fields.get("user") or fields.get("owner", "").partition("@")[0] or None,
        "partition": fields.get("queue"),
        "account": fields.get("account") or fields.get("project") or fields.get("group"),
    }


def accelerators(fields: Mapping[str, str]) -> float:
    """Return the accelerators of a job; 0 if the record names none."""
    gpus = fields.get("exec_gpus")
    if gpus:
        return float(sum(_entries(part) for part in gpus.split("+")))
    vnodes = fields.get("exec_vnode")
    if vnodes and (count := sum(_devices(chunk) for chunk in re.findall(r"\(([^)]*)\)", vnodes))):
        return count
    for source in ("resource_assigned", "resources_assigned", "resources_used"):
        if count := _named(fields, source):
            return count
    if select := fields.get("Resource_List.select") or fields.get("Resource_List.schedselect"):
        return sum(_chunk(chunk) for chunk in select.split("+"))
    nodes = fields.get("Resource_List.nodes") or fields.get("Resource_List.neednodes")
    if nodes and (count := sum(_chunk(chunk) for chunk in nodes.split("+"))):
        return count
    count = _named(fields, "Resource_List")
    if count:
        nodect = fields.get("Resource_List.nodect", "1") if "Resource_List.gpus" in fields else "1"
        return count * (float(nodect) if nodect.isdigit() else 1.0)
    if "tasks" in fields:  # behind "-L "
        return _tasks(f"tasks={fields['tasks']}")
    return sum(_tasks(value) for key, value in fields.items() if key.startswith("Resource_Request"))


def _named(fields: Mapping[str, str], source: str) -> float:
    return sum(
        float(fields[f"{source}.{name}"])
        for name in _DEVICES
        if re.fullmatch(r"[\d.]+", fields.get(f"{source}.{name}", ""))
    )


def _devices(chunk: str) -> float:
    """Return the accelerators in ``ncpus=16:ngpus=4`` or ``ppn=16:gpus=2``."""
    return sum(
        float(number)
        for name, number in re.findall(r"(?:^|:)(\w+)=(\d+)", chunk)
        if name.lower() in _DEVICES
    )


def _chunk(chunk: str) -> float:
    """Return the accelerators of ``2:ncpus=16:ngpus=4``, which stands for two chunks."""
    first = re.match(r"\s*(\d+)(?::|$)", chunk)
    return (float(first[1]) if first else 1.0) * _devices(chunk)


def _entries(part: str) -> int:
    """Return how many devices ``gn007-gpu/0`` or ``gn007-gpu/0-3`` names."""
    indices = part.rpartition("/")[2]
    count = 0
    for one in indices.split(","):
        first, _, last = one.partition("-")
        count += int(last) - int(first) + 1 if last.isdigit() and first.isdigit() else 1
    return count


def _tasks(text: str) -> float:
    """Return the accelerators of Torque 6's ``-L tasks=2:lprocs=8:gpus=1``."""
    tasks = re.search(r"tasks=(\d+)", text)
    return (float(tasks[1]) if tasks else 1.0) * _devices(text.replace(" ", ":"))
