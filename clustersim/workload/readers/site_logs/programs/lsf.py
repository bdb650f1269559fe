"""Accounting of IBM Spectrum LSF: ``lsb.acct``, and what ``bacct -l`` and ``bhist -l`` print.

Format of ``lsb.acct``: IBM Spectrum LSF 10.1, "lsb.acct" (record JOB_FINISH). GPUs of a job are
those of its ``-gpu num=N`` or ``rusage[ngpus_physical=N]``, which count per host, times its hosts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.devices import UNCOUNTED, is_device, uncounted
from clustersim.workload.readers.site_logs.records import Records, records_of

__all__ = [
    "is_lsb_acct",
    "is_lsf_text",
    "read_lsb_acct",
    "read_lsf_text",
]

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_NUM = re.compile(r"(?:^|[<:\s\"'])num=(\d+)(/task|/host)?")
_USAGE = re.compile(r"rusage\[([^\]]*)\]|(?:select)\[([^\]]*)\]")
_AMOUNT = re.compile(r"([A-Za-z]\w*)\s*=\s*(\d+(?:\.\d+)?)(/task)?")
_RUSAGE = re.compile(r"ngpus(?:_physical|_shared|_excl_p|_excl_t)?=\s*(\d+(?:\.\d+)?)(/task)?")
_DONE, _EXIT = 64, 32
_JOB = re.compile(r"^\s*Job\s*<([^>]+)>")
_WHEN = r"\w{3} \w{3} +\d+ +\d\d:\d\d:\d\d(?: \d{4})?"
_EVENT = re.compile(rf"^({_WHEN}):\s*(.*)$")


def is_lsb_acct(content: Content) -> bool:
    """Return whether the file is an ``lsb.acct`` (or ``lsb.events``) file."""
    return any(re.match(r'(?:[\w./-]+:)?"JOB_FINISH2?" "', line) for line in content.head)


def read_lsb_acct(content: Content) -> Records:
    """Read the records JOB_FINISH; other events are no jobs."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(content.lines, 1):
        if not line.strip():
            continue
        where = line.find('"JOB_FINISH" "')
        if where < 0:
            rows.append({"row": f"line {number}", "line": number, "reason": "noise"})
            continue
        tokens = [
            quoted if plain == "" else plain for quoted, plain in _TOKEN.findall(line[where:])
        ]
        try:
            rows.append({"line": number, **_finished(tokens)})
        except (IndexError, ValueError):
            row = tokens[3] if len(tokens) > 3 else f"line {number}"
            rows.append({"row": row, "line": number, "reason": "malformed"})
    return records_of(rows, "lsf")


def _finished(tokens: Sequence[str]) -> dict[str, Any]:
    """Return the record of one JOB_FINISH line."""
    asked = int(tokens[22])
    at = 23 + asked
    hosts_listed = int(tokens[at])
    hosts = {_host(host) for host in tokens[at + 1 : at + 1 + hosts_listed]}
    at += 1 + hosts_listed
    status = int(tokens[at])
    after = tokens[at + 4 + 19 :]  # behind status, host factor, name, command and 19 of rusage
    index = int(after[6]) if len(after) > 6 and re.fullmatch(r"\d+", after[6]) else 0
    job_id = f"{tokens[3]}[{index}]" if index else tokens[3]
    start = int(tokens[10])
    asked_for = [tokens[13], *tokens[at + 4 :]]
    count = _gpus(asked_for, len(hosts) or 1, int(tokens[6]))
    return {
        "job_id": job_id,
        "submit": int(tokens[7]),
        "start": start or None,
        "end": int(tokens[2]),
        "n": count,
        UNCOUNTED: None if count else _uncounted(asked_for),
        "state": {_DONE: "Completed", _EXIT: "Failed"}.get(status),
        "user": tokens[11],
        "partition": tokens[12],
        "account": after[1] if len(after) > 1 else None,
    }


def _host(text: str) -> str:
    return text.rpartition("*")[2]


def _gpus(texts: Sequence[str], hosts: int, tasks: int) -> float:
    """Return the GPUs of a job from its requests, which count per host or per task."""
    for pattern in (_NUM, _RUSAGE):
        found = [match for text in texts for match in pattern.findall(text)]
        if found:
            count, per = max(found, key=lambda pair: float(pair[0]))
            return float(count) * (tasks if per == "/task" else hosts)
    named = [
        (count, per)
        for text in texts
        for usage, _ in _USAGE.findall(text)
        for name, count, per in _AMOUNT.findall(usage)
        if is_device(name)
    ]
    if named:
        return float(named[0][0]) * (tasks if named[0][1] else hosts)
    return 0.0


def _uncounted(texts: Sequence[str]) -> str | None:
    """Return the resources in requirements that look like accelerators and are not counted."""
    used = [part for text in texts for parts in _USAGE.findall(text) for part in parts]
    return uncounted(name for part in used for name in re.findall(r"[A-Za-z]\w*", part))


def is_lsf_text(content: Content) -> bool:
    """Return whether the file is what ``bacct -l`` or ``bhist -l`` (or ``bjobs -l``) prints."""
    return any(_JOB.match(line) for line in content.head)


def read_lsf_text(content: Content) -> Records:
    """Read the jobs in the text of ``bacct -l`` or ``bhist -l``."""
    rows: list[dict[str, Any]] = []
    block: list[str] = []
    first = 0
    for number, line in enumerate([*content.lines, "Job <>"], 1):
        if line.startswith("Job <"):
            if block and first:
                rows.append({"line": first, **_block(block)})
            block, first = [], number
        block.append(line)
    return records_of(rows, "lsf")


def _joined(block: Sequence[str]) -> list[str]:
    """Put lines together that were wrapped: they are indented by twenty blanks or more."""
    lines: list[str] = []
    for line in block:
        if lines and re.match(r"\s{15,}\S", line) and not re.match(r"\s+\d+(\.\d+)?\s+\d", line):
            lines[-1] += line.strip()
        else:
            lines.append(line.rstrip())
    return lines


def _block(block: Sequence[str]) -> dict[str, Any]:
    """Return the record of one job."""
    lines = _joined(block)
    head = lines[0]
    submit = None
    runs: list[list[str | None]] = []
    hosts, tasks, text = 1, 1, ""
    for line in lines[1:]:
        event = _EVENT.match(line)
        if event is None:
            continue
        when, what = event.groups()
        text += what + "\n"
        if re.match(r"Submitted\s*from", what) and submit is None:
            submit = when
        elif re.match(r"(?:\[\d+\]\s*)?(?:started|dispatched|start)\b", what, re.I) and re.search(
            r"on\s*(?:Host|<|\d+\s*Host)|to\s*<|Task\(s\)", what
        ):
            if not runs or runs[-1][1] is not None:
                runs.append([when, None])
            else:
                runs[-1][0] = when
            hosts, tasks = _placed(what, tasks)
        elif re.match(
            r"Done\s*successfully|Exited|Completed|Requeue|Job\s*has\s*been\s*requeued", what
        ):
            if runs and runs[-1][1] is None:
                runs[-1][1] = when
            elif not runs and re.match(r"Exited|Completed", what):
                pass
    devices = _allocated(lines) or _gpus([head, text], hosts, tasks)
    status = re.search(r"Status\s*<(\w+)>", head)
    word = (status[1] if status else "").upper()
    state = {"DONE": "Completed", "EXIT": "Failed", "RUN": "Running", "PEND": "Pending"}.get(word)
    done = [run for run in runs if run[1] is not None]
    return {
        "job_id": _field(head, "Job") or "",
        "submit": submit,
        "start": runs[0][0] if runs else None,
        "end": done[-1][1] if done and runs[-1][1] is not None else None,
        "run_s": _run_seconds(lines),
        "n": devices,
        UNCOUNTED: None if devices else _uncounted([head, text]),
        "state": state,
        "user": _field(head, "User"),
        "partition": _field(head, "Queue") or _field(text, "to\\s*Queue"),
        "account": _field(head, "Project"),
    }


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"{name}\s*<([^>]*)>", text)
    return match[1] if match else None


def _placed(what: str, tasks: int) -> tuple[int, int]:
    """Return the hosts and tasks that a job was started on."""
    listed = re.findall(
        r"<(?:(\d+)\*)?([\w.-]+)>", re.split(r",?\s*Allocated|,?\s*Effective", what)[0]
    )
    hosts = len({host for _, host in listed})
    count = re.search(r"(\d+)\s*Task\(s\)", what)
    slots = sum(int(number or 1) for number, _ in listed)
    return max(hosts, 1), int(count[1]) if count else max(slots, tasks)


def _allocated(lines: Sequence[str]) -> float:
    """Return the GPUs in the table GPU_ALLOCATION: a row is a GPU, or a part of one, of a task.

    Columns are the host (blank if it is that of the row before), the tasks and the GPUs; a GPU that
    several tasks share has several rows.
    """
    found: set[tuple[str, ...]] = set()
    inside, host, parts = False, "", False
    for line in lines:
        cells = line.split()
        if re.match(r"\s*GPU_ALLOCATION", line):
            inside = True
        elif inside and cells[:1] == ["HOST"]:
            parts = "GI_ID" in line
        elif inside and cells:
            if not re.fullmatch(r"[\d,-]+", cells[0]):
                host, *cells = cells
            if len(cells) < 2 or not re.fullmatch(r"[\d,]+", cells[1]):
                inside = False
                continue
            part = tuple(cells[2:4]) if parts else ()
            found |= {(host, gpu, *part) for gpu in cells[1].split(",")}
    return float(len(found))


def _run_seconds(lines: Sequence[str]) -> float | None:
    """Return the seconds in the state RUN of bhist's summary; None if there is none."""
    for at, line in enumerate(lines[:-1]):
        names = line.split()
        if {"PEND", "RUN", "TOTAL"} <= set(names):
            cells = lines[at + 1].split()
            if len(cells) == len(names):
                return float(cells[names.index("RUN")])
    return None
