"""The jobs of a state as the forecast simulates them: one row a job, in the order of the queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.errors import InputError
from clustersim.sites.hostlist import indices
from clustersim.sites.queue import QueuedJob, QueueState
from clustersim.sites.slurm_queue import SQUEUE_FORMAT
from clustersim.units import counted

__all__ = ["Snapshot", "snapshot_of"]

_COLUMNS = (
    *("job_id", "row_id", "n_accelerators", "tasks", "vc", "user", "account", "qos"),
    *("elapsed_s", "limit_s", "priority"),
    *("array", "array_limit", "eligible_s", "depends_on", "after_job", "held", "reason", "kinds"),
    *("submit_s", "expected_s", "pool", "flavor", "nodes", "on_each"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The jobs of a state that need accelerators.

    Attributes
    ----------
    running : pandas.DataFrame
        The running jobs, the largest first.
    waiting : pandas.DataFrame
        The waiting jobs in the order of the queue; each task of an array is a job. Times are
        seconds from now.
    notes : tuple of str
        What was assumed, such as the order.
    """

    running: pd.DataFrame
    waiting: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def jobs(self) -> pd.DataFrame:
        """The running, then the waiting jobs."""
        return pd.concat([self.running, self.waiting], ignore_index=True)


def snapshot_of(state: QueueState) -> Snapshot:
    """Return the jobs of a state that need accelerators.

    Raises
    ------
    InputError
        If the number of accelerators of a job is not known, or how long a job has been running.

    Examples
    --------
    >>> job = QueuedJob("7_[1-3]", "waiting", 8, tasks=3, array="7")
    >>> snapshot_of(QueueState("q", "squeue", (job,), 1)).waiting["job_id"].tolist()
    ['7_1', '7_2', '7_3']
    """
    unknown = [job.job_id for job in state.jobs if job.n_accelerators is None]
    if unknown:
        raise InputError(
            state.source,
            f"{state.format}: the number of accelerators is not recorded for "
            f"{counted(len(unknown), 'row')} (the first is job {unknown[0]}), and it is neither 0 "
            "nor 1: print the queue with squeue -a --json, or with squeue -a -o "
            f'"{SQUEUE_FORMAT}", or assume a number with --gpus-per-node N',
        )
    undated = [job.job_id for job in state.running if job.elapsed_s is None and job.n_accelerators]
    if undated:
        raise InputError(
            state.source,
            f"{state.format}: for {counted(len(undated), 'running job')}, it is not known how long "
            f"they have been running (the first is job {undated[0]}); say when the state was taken "
            "with --taken-at TIME",
        )
    notes = []
    without = sum(job.tasks for job in state.jobs if job.n_accelerators == 0)
    if without:
        notes.append(f"{counted(without, 'job')} without accelerators: read, but not simulated")
    running = _table([job for job in state.running if job.n_accelerators], state)
    running = running.sort_values("n_accelerators", ascending=False, kind="stable")
    waiting = [job for job in state.waiting if job.n_accelerators]
    order, how = (range(len(waiting)), state.order) if state.order else _order(waiting)
    notes.append(how)
    table = _table([task for at in order for task in _tasks(waiting[at])], state)
    return Snapshot(running.reset_index(drop=True), table, tuple(notes))


def _order(jobs: list[QueuedJob]) -> tuple[list[int], str]:
    """Return the positions of the jobs in the order of the queue, and how the order is known."""
    at = list(range(len(jobs)))
    submitted = all(job.submit is not None for job in jobs)
    if jobs and all(job.priority is not None for job in jobs):
        at.sort(key=lambda i: (-(jobs[i].priority or 0.0), *_submitted(jobs[i])))
        return at, "the queue is in order of priority, then of submission"
    if submitted:
        at.sort(key=lambda i: _submitted(jobs[i]))
        return at, "the queue is in order of submission: the file has no priorities"
    return at, "the queue is in the order of the file, which has neither priorities nor submissions"


def _submitted(job: QueuedJob) -> tuple[float]:
    return (job.submit.timestamp() if job.submit is not None else 0.0,)


def _tasks(job: QueuedJob) -> list[tuple[QueuedJob, str]]:
    """Return the job once for each of its tasks, with the id of the task."""
    _, bracket, inside = job.job_id.partition("_[")
    if job.tasks == 1 and not bracket:
        return [(job, job.job_id)]
    listed = indices(inside.rstrip("]").partition("%")[0]) if bracket else []
    names = [name for name in listed if "..." not in name]
    if len(names) != job.tasks:
        names = [str(at) for at in range(1, job.tasks + 1)]
    head = job.array or job.job_id
    return [(job, f"{head}_{name}") for name in names]


def _table(jobs: list[QueuedJob] | list[tuple[QueuedJob, str]], state: QueueState) -> pd.DataFrame:
    rows = []
    for each in jobs:
        job, name = each if isinstance(each, tuple) else (each, each.job_id)
        rows.append(
            {
                "job_id": name,
                "row_id": job.job_id,
                "n_accelerators": job.n_accelerators,
                "tasks": job.tasks,
                "vc": job.partition,
                "user": job.user,
                "account": job.account,
                "qos": job.qos,
                "elapsed_s": job.elapsed_s,
                "limit_s": job.time_limit_s,
                "priority": job.priority,
                "array": job.array,
                "array_limit": job.array_limit,
                "eligible_s": _from_now(job.eligible, state),
                "depends_on": job.depends_on,
                "after_job": job.after_job,
                "held": job.held,
                "reason": job.reason,
                "kinds": job.kinds,
                "submit_s": _from_now(job.submit, state) if job.age_s is None else -job.age_s,
                "expected_s": _from_now(job.expected_start, state),
                "pool": job.pool,
                "flavor": job.flavor,
                "nodes": job.nodes,
                "on_each": job.on_each,
            }
        )
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    for name in (
        "elapsed_s",
        "limit_s",
        "priority",
        "array_limit",
        "eligible_s",
        "submit_s",
        "expected_s",
    ):
        table[name] = table[name].astype(np.float64)
    return table


def _from_now(moment: object, state: QueueState) -> float | None:
    if moment is None or state.taken_at is None:
        return None
    return float((moment - state.taken_at).total_seconds())  # type: ignore[operator]
