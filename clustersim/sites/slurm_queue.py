"""The queue of Slurm: ``squeue`` in any format, ``squeue --json``, ``scontrol show job``.

Formats: https://slurm.schedmd.com/squeue.html and https://slurm.schedmd.com/job_state_codes.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import Times, number_of
from clustersim.sites.queue import QueueState
from clustersim.sites.slurm_queue_jobs import at_time, state_of_records
from clustersim.sites.text_tables import find_table, plain_name
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
    state = state_of_records(records, source, "squeue", times)
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
    state = state_of_records(records, source, "scontrol show job", times)
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
    state = state_of_records(records, source, "squeue --json", times)
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
