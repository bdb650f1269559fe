"""The jobs of a Slurm queue, from records that any of its commands printed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clustersim.sites.cells import ABSENT, Times, duration_s, number_of, whole
from clustersim.sites.hostlist import expand_hosts, indices
from clustersim.sites.queue import QueuedJob, QueueState, finite
from clustersim.sites.tres import accelerators_of, is_cut, total

__all__ = ["at_time", "state_of_records"]

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


def state_of_records(
    records: Sequence[Mapping[str, Any]], source: str, form: str, times: Times
) -> QueueState:
    """Return the jobs that run or wait, and what was left out of the records."""
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
