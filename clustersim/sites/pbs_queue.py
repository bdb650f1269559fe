"""The queues of PBS and Torque (``qstat -f``) and of LSF (``bjobs -o``)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, tzinfo
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import Times, duration_s, number_of, whole
from clustersim.sites.hostlist import indices
from clustersim.sites.queue import QueuedJob, QueueState, finite
from clustersim.sites.text_tables import find_table, plain_name
from clustersim.workload.readers.site_logs.programs.pbs_jobs import (
    qstat_json_records,
    qstat_records,
)
from clustersim.workload.readers.site_logs.programs.pbs_sizes import accelerators

__all__ = ["BJOBS_COMMAND", "BJOBS_NAMES", "read_bjobs", "read_bjobs_rows", "read_qstat"]

_PBS_STATES = {"R": "running", "E": "running", "Q": "waiting", "H": "waiting", "W": "waiting",
               "B": "waiting", "T": "waiting"}  # fmt: skip
_PBS_LEFT = {"S": "suspended", "U": "suspended", "C": "finished", "F": "finished", "X": "finished",
             "M": "moved to another server"}  # fmt: skip


def read_qstat(text: str, source: str, zone: tzinfo | None) -> QueueState:
    """Read ``qstat -f`` of PBS or Torque."""
    return _qstat(qstat_records(text), source, zone, "qstat -f")


def read_qstat_json(document: Mapping[str, Any], source: str, zone: tzinfo | None) -> QueueState:
    """Read ``qstat -f -F json``."""
    state = _qstat(qstat_json_records(document), source, zone, "qstat -f -F json")
    taken = Times(zone).parse(document.get("timestamp"))
    return state if taken is None else _at(state, taken)


def _at(state: QueueState, taken: Any) -> QueueState:
    from clustersim.sites.slurm_queue_jobs import at_time

    return at_time(state, taken)


def _qstat(
    records: Sequence[tuple[str, Mapping[str, str]]], source: str, zone: tzinfo | None, form: str
) -> QueueState:
    times = Times(zone)
    jobs: list[QueuedJob] = []
    left: list[tuple[str, str]] = []
    for number, record in records:
        letter = record.get("job_state", "?")[:1]
        if letter not in _PBS_STATES:
            left.append((number, _PBS_LEFT.get(letter, f"state {letter}")))
            continue
        job = _pbs_job(number, record, times, letter)
        if job is None:
            left.append((number, "an array whose tasks all run or have ended"))
        else:
            jobs.append(job)
    starts = [job for job in jobs if job.start is not None and job.elapsed_s is not None]
    state = QueueState(
        source, form, tuple(jobs), len(records), None, zone is not None or not times.unzoned,
        tuple(left), tuple(times.notes()),
    )  # fmt: skip
    if not starts:
        return state
    ends = [job.start + timedelta(seconds=job.elapsed_s or 0) for job in starts if job.start]
    return _at(state, max(ends)).with_notes(
        "the file does not say its time: the latest start plus time used so far is assumed "
        "(--taken-at)"
    )


def _pbs_job(number: str, record: Mapping[str, str], times: Times, letter: str) -> QueuedJob | None:
    running = _PBS_STATES[letter] == "running"
    array = re.match(r"(\d+)\[(\d*)\]", number)
    tasks = 1
    if array is not None and not array[2] and not running:
        remaining = record.get("array_indices_remaining")
        queued = re.search(r"Queued'?:\s*(\d+)", record.get("array_state_count", ""))
        if remaining is not None:
            tasks = sum(1 for _ in indices(remaining)) if remaining.strip("- ") else 0
        elif queued is not None:
            tasks = int(queued[1])
        if not tasks:
            return None
    count = accelerators(record)
    start = times.parse(record.get("stime") or record.get("start_time"))
    hold = record.get("Hold_Types", "n")
    comment = record.get("comment", "")
    held = "held" if letter == "H" or hold not in ("n", "") else ""
    throttle = whole(record.get("max_run_subjobs", "")) or None
    nodes, on_each = _pbs_nodes(record, count) if running else ((), ())
    return QueuedJob(
        job_id=number,
        state="running" if running else "waiting",
        n_accelerators=None if math.isnan(count) else int(count),
        nodes=nodes,
        on_each=on_each,
        tasks=tasks,
        partition=record.get("queue", ""),
        user=record.get("Job_Owner", record.get("euser", "")).partition("@")[0],
        account=record.get("Account_Name", record.get("project", "")),
        submit=times.parse(record.get("qtime") or record.get("ctime")),
        start=start if running else None,
        expected_start=times.parse(record.get("estimated.start_time")),
        eligible=times.parse(record.get("Execution_Time")),
        elapsed_s=duration_s(record.get("resources_used.walltime"), bare="seconds")
        if running
        else None,
        time_limit_s=finite(duration_s(record.get("Resource_List.walltime"), bare="seconds")),
        reason="" if running else comment,
        priority=number_of(record.get("Priority")),
        array="" if array is None else array[1],
        array_limit=throttle,
        depends_on=tuple(re.findall(r"(\d+)(?:\[\])?\.", record.get("depend", ""))),
        held="" if running else held,
    )


def _pbs_nodes(record: Mapping[str, str], count: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the nodes of a running job, and its accelerators on each if they are recorded."""
    chips: dict[str, int] = {}
    for chunk in re.findall(r"[^()+\s]+", record.get("exec_vnode", "")):
        host, *resources = chunk.split(":")
        asked = dict(each.partition("=")[::2] for each in resources)
        chips[host] = chips.get(host, 0) + int(whole(asked.get("ngpus", "0")) or 0)
    if chips and sum(chips.values()) == count:
        used = {host: n for host, n in chips.items() if n}
        return tuple(used), tuple(used.values())
    hosts = re.findall(r"([^+/\s]+)/", record.get("exec_host", ""))
    return tuple(dict.fromkeys(hosts)), ()


BJOBS_COMMAND = (
    'bjobs -u all -o "jobid stat queue user gpu_num submit_time start_time run_time '
    "runtimelimit exec_host delimiter='|'\""
)
_BJOBS = {
    "gpus": ("gpunum", "gpualloc", "ngpus", "gpucombined"),
    "start": ("starttime",),
    "submit": ("submittime",),
    "elapsed": ("runtime",),
    "limit": ("runtimelimit", "rtlimit"),
    "reason": ("pendreason",),
    "state": ("stat",),
    "queue": ("queue",),
    "user": ("user",),
    "id": ("jobid",),
    "index": ("jobindex",),
    "hosts": ("exechost",),
}
BJOBS_NAMES = frozenset(
    {name for names in _BJOBS.values() for name in names}
    | {
        "fromhost",
        "exechost",
        "jobname",
        "slots",
        "nexechost",
        "proj",
        "projname",
        "effectiveresreq",
    }
)
_LSF_RUNNING = {"RUN"}
_LSF_LEFT = {"DONE": "finished", "EXIT": "finished", "SSUSP": "suspended", "USUSP": "suspended",
             "UNKWN": "unknown", "ZOMBI": "finished"}  # fmt: skip


def read_bjobs(
    text: str, source: str, zone: tzinfo | None, columns: Sequence[str] = ()
) -> QueueState:
    """Read ``bjobs -o`` of LSF.

    Raises
    ------
    InputError
        If there is no header.
    """
    table = find_table(text, BJOBS_NAMES, columns, least=3)
    if table is None:
        raise InputError(source, f"has no header of bjobs; run {BJOBS_COMMAND}")
    return read_bjobs_rows(table.rows, source, zone)


def read_bjobs_rows(
    rows: Sequence[Mapping[str, Any]], source: str, zone: tzinfo | None
) -> QueueState:
    """Return the queue in rows of ``bjobs``, also of ``bjobs -json``."""
    times = Times(zone)
    jobs: list[QueuedJob] = []
    left: list[tuple[str, str]] = []
    for each in rows:
        row = {plain_name(str(key)): str(value or "") for key, value in each.items()}
        record = {
            key: next((row[name] for name in names if name in row), None)
            for key, names in _BJOBS.items()
        }
        number, state = str(record["id"]), str(record["state"]).upper()
        if state in _LSF_LEFT:
            left.append((number, _LSF_LEFT[state]))
            continue
        running = state in _LSF_RUNNING
        elapsed = re.match(r"(\d+)", record["elapsed"] or "")
        limit = re.match(r"([\d.]+)", record["limit"] or "")
        jobs.append(
            QueuedJob(
                job_id=number,
                state="running" if running else "waiting",
                n_accelerators=None if record["gpus"] is None else whole(record["gpus"]) or 0,
                partition=record["queue"] or "",
                user=record["user"] or "",
                submit=times.parse(_dated(record["submit"])),
                start=times.parse(_dated(record["start"])) if running else None,
                elapsed_s=float(elapsed[1]) if running and elapsed is not None else None,
                time_limit_s=float(limit[1]) * 60.0 if limit is not None else None,
                reason=record["reason"] or "",
                held="held" if state == "PSUSP" else "",
                nodes=_lsf_hosts(record["hosts"]) if running else (),
            )
        )
    state_now = QueueState(source, "bjobs", tuple(jobs), len(rows), None, not times.unzoned, ())
    state_now = replace(state_now, left_out=tuple(left), zoned=zone is not None)
    state_now = state_now.with_notes(*times.notes())
    starts = [job for job in jobs if job.start is not None and job.elapsed_s is not None]
    if not starts:
        return state_now
    first = starts[0]
    assert first.start is not None
    return _at(state_now, first.start + timedelta(seconds=first.elapsed_s or 0.0))


def _lsf_hosts(text: str | None) -> tuple[str, ...]:
    """Return the hosts in a list such as ``2*gpu1:2*gpu2``."""
    names = (each.rpartition("*")[2].strip() for each in (text or "").split(":"))
    return tuple(dict.fromkeys(name for name in names if name and name != "-"))


def _dated(text: str | None) -> str | None:
    """Return a time of LSF without the letter that marks an estimate."""
    return None if text is None else re.sub(r"\s+[A-Z]$", "", text.strip())
