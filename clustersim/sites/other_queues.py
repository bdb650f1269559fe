"""The queues of Flux, OAR and Grid Engine (``qstat``)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.sites.cells import Times, duration_s
from clustersim.sites.queue import QueuedJob, QueueState
from clustersim.sites.slurm_queue_jobs import at_time
from clustersim.workload.readers.observed import is_running, is_waiting
from clustersim.workload.readers.site_logs.programs.grid_engine import devices_asked
from clustersim.workload.readers.site_logs.programs.json_jobs import row_of_json_job
from clustersim.workload.readers.site_logs.read import site_records

__all__ = [
    "is_grid_engine_queue",
    "read_grid_engine_queue",
    "read_json_queue",
    "read_listed_queue",
]

_RUNNING = ("Running",)
_WAITING = ("Pending", "Held")


def read_listed_queue(path: Path, zone: tzinfo | None) -> QueueState | None:
    """Read a table of jobs with their states, as platforms export it; None if it is none.

    Columns are recognised by their names, as those of logs are.
    """
    records = site_records(path)
    if records is None or not {"state", "n", "submit"} <= set(records.table):
        return None
    table = records.table[records.table["reason"].isna()]
    table = table.assign(**{name: np.nan for name in ("run_s",) if name not in table})
    words = table["state"].fillna("")
    states = words.mask(is_running(words), "Running").mask(is_waiting(words), "Pending")
    asked = table["run_s"].where((states == "Pending") & (table["run_s"] > 0))  # as it waits
    table = table.assign(limit_s=table["limit_s"].fillna(asked) if "limit_s" in table else asked)
    rows = table.astype(object).where(table.notna(), None).assign(state=states).to_dict("records")
    named = [{str(key): value for key, value in row.items()} for row in rows]
    return _queue(named, str(path), "table of jobs", None, zone) if named else None


def _queue(
    rows: Sequence[Mapping[str, Any]],
    source: str,
    form: str,
    taken: datetime | None,
    zone: tzinfo | None = None,
) -> QueueState:
    """Return the queue in records of a log: those that run, and those that wait."""
    times = Times(zone)
    jobs: list[QueuedJob] = []
    left: list[tuple[str, str]] = []
    for row in rows:
        state = row.get("state") or "unknown"
        if state not in (*_RUNNING, *_WAITING):
            left.append((str(row["job_id"]), f"neither running nor waiting ({state})"))
            continue
        running = state in _RUNNING
        count, limit = row.get("n"), row.get("limit_s")
        count = None if count is None or math.isnan(count) else int(count)
        start = times.parse(row.get("start")) if running else None
        submit = row.get("submit")
        jobs.append(
            QueuedJob(
                job_id=str(row["job_id"]),
                state="running" if running else "waiting",
                n_accelerators=count,
                partition=str(row.get("partition") or ""),
                user=str(row.get("user") or ""),
                account=str(row.get("account") or ""),
                submit=None if submit is None else times.parse(submit),
                start=start,
                time_limit_s=None if limit is None else float(limit),
                held="held" if state == "Held" else "",
            )
        )
    zoned = zone is not None or not times.unzoned
    notes = tuple(times.notes())
    queue = QueueState(source, form, tuple(jobs), len(rows), None, zoned, tuple(left), notes)
    return queue if taken is None else at_time(queue, taken)


def read_json_queue(jobs: Sequence[Mapping[str, Any]], source: str) -> QueueState | None:
    """Read ``flux jobs --json`` or ``oarstat -J``; None if the jobs are of neither."""
    rows = []
    taken = None
    for job in jobs:
        row = row_of_json_job(job)
        if row is None:
            return None
        if job.get("t_run") and job.get("runtime") and job.get("state") == "RUN":
            taken = Times(None).parse(float(job["t_run"]) + float(job["runtime"]))
        rows.append(row)
    return _queue(rows, source, "list of jobs in JSON", taken) if rows else None


_HEADER = re.compile(r"(?m)^\s*job-ID\s+prior\s+name\s+user\s+state\s+submit/start at")
_ROW = re.compile(
    r"^\s*(\d+)\s+\d\.\d+\s+(\S+)\s+(\S+)\s+(\w+)\s+"
    r"(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)(?:\.\d+)?\s+(?:(\S+@\S+)\s+)?(\d+)(?:\s+(\S+))?\s*$"
)


def is_grid_engine_queue(text: str) -> bool:
    """Return whether a text is what ``qstat`` of Grid Engine prints."""
    return _HEADER.search(text) is not None


def read_grid_engine_queue(text: str, source: str, zone: tzinfo | None) -> QueueState:
    """Read ``qstat`` of Grid Engine; only ``qstat -r`` tells the accelerators."""
    times = Times(zone)
    requests = "Hard Resources:" in text
    jobs: list[QueuedJob] = []
    left: list[tuple[str, str]] = []
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        if _ROW.match(line):
            blocks.append([line])
        elif blocks and line.startswith("     "):
            blocks[-1].append(line.strip())
    for head, *rest in blocks:
        found = _ROW.match(head)
        assert found is not None
        number, _, user, state, when, queue, slots, tasks = found.groups()
        running = "r" in state or "t" in state
        if "s" in state or "d" in state:
            left.append((number, f"suspended or being deleted (state {state})"))
            continue
        asked = " ".join(rest).partition("Hard Resources:")[2].partition("Soft Resources:")[0]
        limit = re.search(r"\bh_rt=([\d:]+)", asked)
        count = devices_asked(asked) * int(slots)
        moment = times.parse(when)
        task = f".{tasks}" if tasks and tasks.isdigit() else ""
        jobs.append(
            QueuedJob(
                job_id=number + task,
                state="running" if running else "waiting",
                n_accelerators=int(count) if requests and count == count else None,
                tasks=1 if running else _tasks(tasks),
                partition=(queue or "").partition("@")[0],
                user=user,
                submit=None if running else moment,
                start=moment if running else None,
                time_limit_s=duration_s(limit[1], bare="seconds") if limit else None,
                held="held" if "h" in state else "",
            )
        )
    notes = () if requests else ("qstat does not tell accelerators; run qstat -r",)
    return QueueState(
        source, "qstat", tuple(jobs), len(blocks), None, zone is not None, tuple(left),
        (*notes, *times.notes()),
    )  # fmt: skip


def _tasks(text: str | None) -> int:
    """Return how many tasks ``1-10:1`` or ``3,5`` stands for."""
    count = 0
    for part in (text or "").split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", part)
        if ends:
            count += (int(ends[2]) - int(ends[1])) // int(ends[3] or 1) + 1
        elif part:
            count += 1
    return max(count, 1)
