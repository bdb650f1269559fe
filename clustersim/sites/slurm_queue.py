"""The queue of Slurm: ``squeue`` in any format, ``squeue --json``, ``scontrol show job``.

Formats: https://slurm.schedmd.com/squeue.html and https://slurm.schedmd.com/job_state_codes.html.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import ABSENT, Times, duration_s, number_of, whole
from clustersim.sites.hostlist import expand_hosts, indices
from clustersim.sites.queue import QueuedJob, QueueState, finite
from clustersim.sites.text_tables import find_table, plain_name
from clustersim.sites.tres import accelerators_of, is_cut, total
from clustersim.workload.readers.site_logs.key_values import scontrol_records

__all__ = [
    "SQUEUE_COMMAND",
    "SQUEUE_FORMAT",
    "SQUEUE_NAMES",
    "read_scontrol_jobs",
    "read_squeue",
    "read_squeue_json",
]

SQUEUE_COMMAND = "squeue -a --json > queue.json"
"""The command whose output has all that is read."""
SQUEUE_FORMAT = "%i|%P|%u|%a|%q|%T|%V|%S|%l|%L|%D|%C|%b|%E|%Q|%R"
"""The format whose output has all that is read of a table."""
_NAMES = {
    "id": ("jobid", "jobarrayid"),
    "array": ("arrayjobid",),
    "task": ("arraytaskid",),
    "partition": ("partition",),
    "user": ("user", "username"),
    "account": ("account",),
    "qos": ("qos",),
    "state": ("state", "st", "statecompact"),
    "elapsed": ("time", "timeused"),
    "limit": ("timelimit", "timelimi"),
    "left": ("timeleft",),
    "submit": ("submittime", "submit"),
    "start": ("starttime", "start"),
    "eligible": ("eligibletime", "eligible"),
    "nodes": ("nodes", "numnodes", "nnodes"),
    "n_tasks": ("tasks", "numtasks", "ntasks"),
    "alloc": ("tresalloc", "alloctres"),
    "required": ("tres", "reqtres", "tresreq"),
    "per_job": ("tresperjob",),
    "per_node": ("trespernode", "gres"),
    "per_task": ("trespertask",),
    "reason": ("reason", "nodelistreason", "reasonlist"),
    "nodelist": ("nodelist", "nodelistreason", "nodelistr", "reasonlist"),
    "priority": ("priority", "prioritylong"),
    "depends": ("dependency",),
}
SQUEUE_NAMES = frozenset(
    {
        *(name for names in _NAMES.values() for name in names),
        *("name", "cpus", "nodelist", "endtime", "minmemory", "mincpus", "features", "group"),
        *("uid", "gid", "comment", "command", "workdir", "exechost", "oversubscribe", "nice"),
        *("reservation", "wckey", "schednodes", "trespersocket", "licenses", "reqnodes"),
        *("excnodes", "numcpus", "userid", "jobname", "cluster", "contiguous", "preemptime"),
        *("feature", "mintmpdisk", "arrayid", "trespersocket", "sct", "nodelistr"),
    }
)
_OF_SACCT = frozenset(
    {"elapsed", "elapsedraw", "end", "exitcode", "jobidraw", "cputime", "cputimeraw"}
)
"""Names of columns of sacct that squeue does not print."""
_NO_QUEUE = (
    f", the accounting of jobs, not of squeue: print the queue with {SQUEUE_COMMAND}, and give "
    "this file to --history"
)
_RUNNING = frozenset({"RUNNING", "R", "CONFIGURING", "CF", "SIGNALING", "SI", "RESIZING", "RS"})
_WAITING = frozenset({"PENDING", "PD", "REQUEUED", "RQ", "REQUEUE_FED", "RF"})
_LEFT = {
    **dict.fromkeys(("COMPLETING", "CG"), "completing"),
    **dict.fromkeys(("SUSPENDED", "S", "STOPPED", "ST"), "suspended"),
    **dict.fromkeys(("REQUEUE_HOLD", "RH", "SPECIAL_EXIT", "SE", "RESV_DEL_HOLD", "RD"), "held"),
}
_HELD = re.compile(
    r"JobHeld|DependencyNever|InvalidAccount|InvalidQOS|BadConstraints|PartitionDown"
    r"|PartitionInactive|JobArrayTaskHeld|ReservationDeleted|launch failed|AccountNotAllowed"
    r"|QOSNotAllowed|PartitionNodeLimit|PartitionTimeLimit",
    re.IGNORECASE,
)
_DATE_LINE = re.compile(r"(?m)^(?:[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d+:\d\d:\d\d (?:\w+ )?\d{4})$")


def read_squeue(
    text: str, source: str, zone: tzinfo | None, columns: Sequence[str] = ()
) -> QueueState:
    """Read the table that ``squeue`` prints: by default, with ``-l``, ``-o`` or ``-O``.

    Raises
    ------
    InputError
        If there is no header, or a column that is needed is missing.
    """
    table = find_table(text, SQUEUE_NAMES, columns, least=3)
    if table is None:
        raise InputError(source, f"has no header of squeue; run {SQUEUE_COMMAND}")
    if foreign := sorted(_OF_SACCT & set(table.names)):
        raise InputError(source, f"{foreign[0]} is a column of sacct{_NO_QUEUE}")
    at = {
        key: next((name for name in names if name in table.names), None)
        for key, names in _NAMES.items()
    }
    missing = [key for key in ("id", "state") if at[key] is None]
    if missing:
        raise InputError(
            source,
            [
                f"{key}: has no column {_NAMES[key][0].upper()}; run {SQUEUE_COMMAND}"
                for key in missing
            ],
        )
    times = Times(zone)
    records = [
        {key: row[name] for key, name in at.items() if name is not None} for row in table.rows
    ]
    state = _state_of(records, source, "squeue", times)
    line = _DATE_LINE.search(text)
    taken = None if line is None else times.parse(line[0])
    left = tuple((line, "malformed") for line in table.malformed)
    state = replace(state, left_out=(*state.left_out, *left))
    state = state if taken is None else at_time(state, taken)
    rows = len(table.rows) + len(table.malformed)
    return replace(state, rows=rows, zoned=_zoned(zone, times)).with_notes(*times.notes())


def _zoned(zone: tzinfo | None, times: Times) -> bool:
    return zone is not None or not times.unzoned


def read_scontrol_jobs(text: str, source: str, zone: tzinfo | None) -> QueueState:
    """Read what ``scontrol show job`` prints."""
    times = Times(zone)
    records = [_of_scontrol(record) for record in scontrol_records(text, "JobId")]
    state = _state_of(records, source, "scontrol show job", times)
    return replace(state, zoned=_zoned(zone, times)).with_notes(*times.notes())


def _of_scontrol(record: Mapping[str, str]) -> dict[str, Any]:
    array, task = record.get("ArrayJobId", ""), record.get("ArrayTaskId", "")
    number = record["JobId"]
    if array and task:
        several = not task.isdigit()
        number = f"{array}_[{task}]" if several else f"{array}_{task}"
    found: dict[str, Any] = {
        "id": number,
        "array": array,
        "partition": record.get("Partition", ""),
        "user": record.get("UserId", "").partition("(")[0],
        "account": record.get("Account", ""),
        "qos": record.get("QOS", ""),
        "state": record.get("JobState", ""),
        "elapsed": record.get("RunTime"),
        "limit": record.get("TimeLimit"),
        "submit": record.get("SubmitTime"),
        "start": record.get("StartTime"),
        "eligible": record.get("EligibleTime"),
        "nodes": record.get("NumNodes", "1").partition("-")[0],
        "nodelist": record.get("NodeList"),
        "alloc": record.get("AllocTRES"),
        "required": record.get("ReqTRES") or record.get("TRES") or "",
        "per_node": record.get("TresPerNode") or record.get("Gres"),
        "per_job": record.get("TresPerJob"),
        "reason": record.get("Reason", ""),
        "priority": record.get("Priority"),
        "depends": record.get("Dependency", ""),
        "array_limit": record.get("ArrayTaskThrottle"),
    }
    return {key: value for key, value in found.items() if value is not None}


def read_squeue_json(document: Mapping[str, Any], source: str) -> QueueState:
    """Read ``squeue --json`` or ``scontrol show job --json``, of any version of its data parser."""
    jobs = document["jobs"]
    if jobs and all(isinstance(job.get("time"), Mapping) for job in jobs):
        raise InputError(source, f"the jobs have the field time of sacct --json{_NO_QUEUE}")
    times = Times(None)
    records = [_of_json(job) for job in jobs]
    state = _state_of(records, source, "squeue --json", times)
    updated = number_of(document.get("last_update"))
    taken = None if not updated else times.parse(updated)
    return state if taken is None else at_time(state, taken)


def _of_json(job: Mapping[str, Any]) -> dict[str, Any]:
    array = int(number_of(job.get("array_job_id")) or 0)
    task = number_of(job.get("array_task_id"))
    several = str(job.get("array_task_string") or "")
    het, offset = number_of(job.get("het_job_id")), number_of(job.get("het_job_offset"))
    number = str(job.get("job_id"))
    if array and several:
        number = f"{array}_[{several}]"
    elif array and task is not None:
        number = f"{array}_{int(task)}"
    elif het:
        number = f"{int(het)}+{int(offset or 0)}"
    words = job.get("job_state")
    limit = number_of(job.get("time_limit"))
    throttle = number_of(job.get("array_max_tasks"))
    return {
        "id": number,
        "array": str(array) if array else "",
        "partition": str(job.get("partition") or ""),
        "user": str(job.get("user_name") or job.get("user_id") or ""),
        "account": str(job.get("account") or ""),
        "qos": str(job.get("qos") or ""),
        "state": " ".join(map(str, words)) if isinstance(words, list) else str(words),
        "limit_s": None if limit is None else limit * 60.0,
        "submit": number_of(job.get("submit_time")),
        "start": number_of(job.get("start_time")),
        "eligible": number_of(job.get("eligible_time")),
        "nodes": number_of(job.get("node_count")) or 1,
        "nodelist": str(job.get("nodes") or ""),
        "on_each": job.get("gres_detail"),
        "n_tasks": number_of(job.get("tasks")) or 1,
        "alloc": job.get("tres_alloc_str") or "",
        "required": job.get("tres_req_str") or "",
        "per_job": job.get("tres_per_job") or "",
        "per_node": job.get("tres_per_node") or "",
        "per_task": job.get("tres_per_task") or "",
        "reason": str(job.get("state_reason") or ""),
        "priority": number_of(job.get("priority")),
        "depends": str(job.get("dependency") or ""),
        "array_limit": throttle,
        "held": bool(job.get("hold")),
    }


def _state_of(
    records: Sequence[Mapping[str, Any]], source: str, form: str, times: Times
) -> QueueState:
    jobs: list[QueuedJob] = []
    left: list[tuple[str, str]] = []
    shortened = 0
    for record in records:
        words = str(record["state"]).replace("+", " ").upper().split()
        kind = next((_LEFT[word] for word in words if word in _LEFT), None)
        running = any(word in _RUNNING for word in words)
        if kind is None and not running and not any(word in _WAITING for word in words):
            kind = f"neither running nor waiting ({' '.join(words) or 'no state'})"
        if kind is not None:
            left.append((str(record["id"]), kind))
            continue
        job = _job(record, times, running=running)
        shortened += "..." in job.job_id
        jobs.append(job)
    taken = _taken_at(jobs, records, times)
    notes = []
    if shortened:
        notes.append(
            f"{shortened:,} lists of array tasks are shortened with '...': only the tasks that are "
            "listed count (SLURM_BITSTR_LEN=0 prints all)"
        )
    return QueueState(
        source, form, tuple(_with_elapsed(job, taken) for job in jobs), len(records), taken,
        left_out=tuple(left), notes=tuple(notes),
    )  # fmt: skip


def _job(record: Mapping[str, Any], times: Times, *, running: bool) -> QueuedJob:
    number = _number(record)
    array, tasks, throttle = _array(record, number)
    limit = record["limit_s"] if "limit_s" in record else duration_s(record.get("limit"))
    left = duration_s(record.get("left"))
    elapsed = duration_s(record.get("elapsed")) if running else None
    if elapsed is None and running and limit is not None and left is not None:
        elapsed = limit - left if math.isfinite(limit) and math.isfinite(left) else None
    count, kinds = _accelerators(record, running)
    reason = str(record.get("reason", "")).strip().strip("()")
    start = times.parse(record.get("start"))
    priority = number_of(record.get("priority"))
    depends = tuple(re.findall(r"(\d+(?:_\d+)?)", str(record.get("depends", ""))))
    held = "" if running else _held(record, reason, priority)
    nodes, on_each = _where(record, count) if running else ((), ())
    return QueuedJob(
        job_id=number,
        state="running" if running else "waiting",
        n_accelerators=count,
        tasks=1 if running else tasks,
        partition=str(record.get("partition", "")),
        user=str(record.get("user", "")),
        account=str(record.get("account", "")),
        qos=str(record.get("qos", "")),
        submit=times.parse(record.get("submit")),
        start=start if running else None,
        expected_start=None if running else start,
        eligible=None if running else times.parse(record.get("eligible")),
        elapsed_s=elapsed,
        time_limit_s=finite(limit),
        reason="" if running else reason,
        priority=priority,
        array=array,
        array_limit=throttle,
        depends_on=() if running else depends,
        after_job=not (running or held) and reason.startswith("Dependency"),
        held=held,
        kinds=kinds,
        nodes=nodes,
        on_each=on_each,
    )


def _where(record: Mapping[str, Any], count: int | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the nodes of a running job, and its accelerators on each if they are recorded."""
    text = str(record.get("nodelist") or "")
    cut = re.search(r"[()\s]|\.\.\.", text) or text.count("[") != text.count("]")
    nodes = () if cut else tuple(dict.fromkeys(expand_hosts(text)))
    detail = record.get("on_each")
    details = detail if isinstance(detail, list) else []
    on_each = tuple(total(accelerators_of(str(each))) for each in details)
    known = len(on_each) == len(nodes) and all(on_each) and sum(on_each) == count
    return nodes, on_each if known else ()


def _number(record: Mapping[str, Any]) -> str:
    """Return the id of a job as ``%i`` prints it, also where the array and task are apart."""
    number, array, task = (str(record.get(key) or "") for key in ("id", "array", "task"))
    if not number.isdigit() or not array.isdigit() or task.lower() in ABSENT:
        return number
    return f"{array}_{task}" if task.isdigit() else f"{array}_[{task}]"


def _held(record: Mapping[str, Any], reason: str, priority: float | None) -> str:
    if record.get("held") or priority == 0:
        return reason if _HELD.search(reason) else "held"
    if _HELD.search(reason):
        return reason
    return ""


def _array(record: Mapping[str, Any], number: str) -> tuple[str, int, int | None]:
    """Return the id of the array, the number of tasks of the row, and how many may run at once."""
    throttle = whole(record.get("array_limit", "")) or None
    found = re.fullmatch(r"(\d+)_(?:\[(.*?)(?:%(\d+))?\]?|(\d+))", number)
    shown = str(record.get("task", "")) if found is None else ""
    array = str(record.get("array") or "")
    if shown and shown.lower() not in ABSENT and array:
        found = re.fullmatch(r"(\d+)_(?:\[(.*?)(?:%(\d+))?\]?|(\d+))", f"{array}_[{shown}]")
    if found is None:
        return "", 1, None
    several = found[2]
    if several is None:
        return found[1], 1, throttle
    tasks = [task for task in indices(several) if "..." not in task]
    return found[1], max(1, len(tasks)), int(found[3]) if found[3] else throttle


def _accelerators(record: Mapping[str, Any], running: bool) -> tuple[int | None, tuple[str, ...]]:
    """Return the accelerators of a job and their types; None if no column has them."""
    asked = record.get("nodes")
    asked = asked.partition("-")[0] if isinstance(asked, str) else asked  # from 2 to 4: 2-4
    nodes = int(number_of(asked) or whole(asked) or 1)
    n_tasks = int(number_of(record.get("n_tasks")) or whole(record.get("n_tasks")) or 1)
    typed = accelerators_of(record.get("per_node")) or accelerators_of(record.get("per_job"))
    kinds = tuple(kind for kind in typed if kind not in ("gpu", "npu"))
    columns = (("alloc", 1), ("required", 1)) if running else (("required", 1), ("alloc", 1))
    each = (*columns, ("per_job", 1), ("per_node", nodes), ("per_task", n_tasks))
    recorded = False
    for name, times in each:
        text = record.get(name)
        if text is None:
            continue
        if is_cut(str(text)):
            return None, kinds
        given = str(text).strip().lower() not in ABSENT
        recorded = recorded or name not in ("alloc", "required") or given
        found = accelerators_of(text)
        if found:
            named = tuple(kind for kind in found if kind not in ("gpu", "npu"))
            return total(found) * times, named or kinds
    return (0 if recorded or _has_column(record) else None), kinds


def _has_column(record: Mapping[str, Any]) -> bool:
    return any(record.get(name) is not None for name in ("required", "per_node", "per_job"))


def _taken_at(
    jobs: Sequence[QueuedJob], records: Sequence[Mapping[str, Any]], times: Times
) -> datetime | None:
    """Return when the state was taken, if running jobs have both a start and an elapsed time."""
    found = Counter(
        job.start + timedelta(seconds=job.elapsed_s)
        for job in jobs
        if job.start is not None and job.elapsed_s is not None
    )
    return found.most_common(1)[0][0] if found else None


def _with_elapsed(job: QueuedJob, taken: datetime | None) -> QueuedJob:
    if job.state != "running" or taken is None:
        return job
    if job.start is None and job.elapsed_s is not None:
        return replace(job, start=taken - timedelta(seconds=job.elapsed_s))
    if job.elapsed_s is None and job.start is not None:
        return replace(job, elapsed_s=max(0.0, (taken - job.start).total_seconds()))
    return job


def at_time(state: QueueState, taken: datetime) -> QueueState:
    """Return the state with the time at which it was taken, and the times that follow from it.

    Examples
    --------
    >>> from datetime import UTC
    >>> job = QueuedJob("1", "running", 8, elapsed_s=60.0)
    >>> state = at_time(QueueState("q", "squeue", (job,), 1), datetime(2025, 5, 14, tzinfo=UTC))
    >>> state.jobs[0].start.isoformat()
    '2025-05-13T23:59:00+00:00'
    """
    return replace(
        state, taken_at=taken, jobs=tuple(_with_elapsed(job, taken) for job in state.jobs)
    )


def is_squeue(text: str) -> bool:
    """Return whether a text has the header of ``squeue``.

    Examples
    --------
    >>> is_squeue("JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)\\n")
    True
    """
    return any(
        {"jobid"} <= (names := {plain_name(word) for word in re.split(r"[|\s,;]+", line)})
        and len(names & SQUEUE_NAMES) >= 3
        for line in text.split("\n")[:200]
    )
