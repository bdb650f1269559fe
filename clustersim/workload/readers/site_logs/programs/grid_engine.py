"""Accounting of Grid Engine (Sun, Son of, Univa, Altair): the file, and ``qacct -j``.

Format: accounting(5). ``-l gpu=N`` is a consumable, which complex(5) counts once per slot.
"""

from __future__ import annotations

import math
import re
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED, devices_in, uncounted
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = [
    "devices_asked",
    "is_accounting",
    "is_qacct",
    "job_row",
    "read_accounting_file",
    "read_qacct",
]

_FIELDS = 40
_RESOURCE = re.compile(r"(?:^|[\s,])([A-Za-z][\w.-]*)=([^\s,]+)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_AMERICAN = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (.*)")
"""How Univa Grid Engine writes times: with the month first."""
_ONE_HOST = re.compile(r"smp|omp|shared|thread|mt|single", re.I)
_MOST_PER_HOST = 16


def is_accounting(content: Content) -> bool:
    """Return whether the file is Grid Engine's file ``accounting``."""
    return any(_split(line) is not None for line in content.head[:50])


def _split(line: str) -> list[str] | None:
    separator = next((one for one in (":", "|", ";", "\t") if line.count(one) >= _FIELDS - 1), ":")
    cells = line.split(separator)
    if len(cells) < _FIELDS or not all(re.fullmatch(r"\d+", cells[at]) for at in (5, 8, 9, 10)):
        return None
    return cells


def read_accounting_file(content: Content) -> Records:
    """Read the file ``accounting``."""
    rows: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for number, line in enumerate(content.lines, 1):
        if not line.strip():
            continue
        cells = _split(line)
        if cells is None:
            reason = "malformed" if line.count(":") > 12 and not line.startswith("#") else "noise"
            rows.append({"row": f"line {number}", "line": number, "reason": reason})
            continue
        names = ("qname", "hostname", "group", "owner", "job_name", "job_number", "account")
        values: dict[str, str] = dict(zip(names, cells, strict=False))
        values |= {
            "qsub_time": cells[8],
            "start_time": cells[9],
            "end_time": cells[10],
            "ru_wallclock": cells[13],
            "project": cells[31],
            "department": cells[32],
            "granted_pe": cells[33],
            "slots": cells[34],
            "taskid": cells[35],
        }
        last = _behind_category(cells)
        category = ":".join(cells[39:last])
        values["category"] = category.replace("\ufffd", ":").replace("ÿ", ":")
        values["pe_taskid"] = cells[last + 1] if len(cells) > last + 1 else "NONE"
        rows.append({"line": number, **job_row(values, notes)})
    return records_of(rows, "grid-engine", notes)


def _behind_category(cells: list[str]) -> int:
    """Return where the category of a job ends: before a number, the id of a task, and a number."""
    for at in range(40, len(cells) - 2):
        if _NUMBER.fullmatch(cells[at]) and _NUMBER.fullmatch(cells[at + 2]):
            return at
    return 40


def is_qacct(content: Content) -> bool:
    """Return whether the file is what ``qacct -j`` prints."""
    starts = {line.split()[0] for line in content.head if line.split()}
    times = {"qsub_time", "submission_time"} & starts
    return (
        bool(times)
        and bool({"qname", "jobnumber", "job_number"} & starts)
        and "=" * 5 in {start[:5] for start in starts}
    )


def read_qacct(content: Content) -> Records:
    """Read the blocks of ``qacct -j``, which lines of ``=`` separate."""
    rows: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    values: dict[str, str] = {}
    first = 0
    for number, line in enumerate([*content.lines, "====="], 1):
        if re.match(r"={5,}", line.strip()):
            if values.get("jobnumber") or values.get("job_number") or values.get("qsub_time"):
                rows.append({"line": first, **job_row(values, notes)})
            values, first = {}, 0
            continue
        match = re.match(r"\s*(\S+)\s+(\S.*)$", line)
        if match:
            first = first or number
            values[match[1]] = match[2].strip()
    return records_of(rows, "grid-engine", notes)


def job_row(values: dict[str, str], notes: dict[str, None]) -> dict[str, Any]:
    """Return the record of a job from its fields by the names that ``qacct -j`` prints."""
    number = values.get("jobnumber") or values.get("job_number") or ""
    task = values.get("taskid", "undefined")
    job_id = f"{number}.{task}" if task.isdigit() and int(task) > 0 else number
    part = values.get("pe_taskid", "NONE")
    started = _time(values.get("start_time"))
    wall = values.get("wallclock") or values.get("ru_wallclock")
    run = None if wall is None else duration_s(wall)
    category = next((values[name] for name in ("category", "hard_resources") if name in values), "")
    count = _devices(values, notes)
    return {
        "job_id": job_id,
        "submit": _time(values.get("qsub_time") or values.get("submission_time")),
        "start": started,
        "end": _time(values.get("end_time")) if started else None,
        "run_s": run if started else None,
        "limit_s": _limit(category),
        "n": count,
        UNCOUNTED: None if count else uncounted(name for name, _ in _RESOURCE.findall(category)),
        "state": None if started else "Cancelled",
        "user": values.get("owner"),
        "partition": values.get("qname"),
        "account": values.get("project") if values.get("project") != "NONE" else None,
        "reason": "step" if part not in ("NONE", "none", "", "undefined") else None,
    }


def _time(text: str | None) -> str | None:
    if text is None or text.strip() in ("-/-", "0", ""):
        return None
    return _AMERICAN.sub(r"\3-\1-\2 \4", text.strip())


def _limit(category: str) -> float | None:
    match = re.search(r"[,\s]h_rt=([\d:]+)", " " + category)
    return duration_s(match[1]) if match else None


def devices_asked(text: str) -> float:
    """Return the accelerators of a slot in a list of resources such as ``gpu=1,h_rt=3600``.

    NaN if it has one without a number (``gpu=true``).
    """
    resources = {name: value.partition(":")[0] for name, value in _RESOURCE.findall(text)}
    return devices_in(resources)


def _devices(values: dict[str, str], notes: dict[str, None]) -> float:
    """Return the accelerators of a job: those of a slot times its slots."""
    names = ("category", "hard_resources", "granted_req.", "granted_req", "resource_map")
    requests = [devices_asked(values.get(name, "")) for name in names]
    per_slot = next((count for count in requests if count > 0), max(requests, key=math.isnan))
    if not per_slot:
        return 0.0
    slots = values.get("slots", "1")
    count = int(slots) if slots.isdigit() else 1
    pe = values.get("granted_pe", "NONE")
    if count == 1 or pe in ("NONE", "none", ""):
        return per_slot
    if _ONE_HOST.search(pe) and per_slot * count > _MOST_PER_HOST:
        notes[
            "accelerators of jobs on one host are those of the whole job where the product with "
            "the slots is above 16"
        ] = None
        return per_slot
    notes[
        "accelerators asked for with -l count once per slot (consumable YES): times the slots"
    ] = None
    return per_slot * count
