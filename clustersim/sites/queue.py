"""A queue as a scheduler prints it: the jobs that run now, and those that wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from clustersim.brief import Brief

__all__ = ["QueueState", "QueuedJob"]


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that runs or waits; a row of waiting tasks of an array is one, too.

    Attributes
    ----------
    job_id : str
        As the scheduler prints it: ``123``, ``123_4``, ``123_[5-10%2]``, ``123+0``.
    state : {"running", "waiting"}
    n_accelerators : int or None
        Accelerators of one task; 0 for a job on CPUs, None if the file does not say.
    tasks : int
        Number of jobs for which the row stands.
    partition, user, account, qos : str
        Empty if not known. A job of Slurm that may run in several partitions has them all,
        separated by commas.
    submit, start : datetime or None
        UTC. The start of a job that runs.
    age_s : float or None
        Time since its submission, seconds, where `submit` is not known.
    expected_start : datetime or None
        Start that the scheduler itself expects of a job that waits, UTC.
    eligible : datetime or None
        Time before which it may not start, UTC.
    elapsed_s : float or None
        Run time so far, seconds.
    time_limit_s : float or None
        Limit of the run time, seconds; None if it has none or the file does not tell.
    reason : str
        Why it waits, in the scheduler's words.
    priority : float or None
        Jobs of higher priority come first.
    array : str
        Id of its array; empty if it is in none.
    array_limit : int or None
        How many tasks of its array may run at a time.
    depends_on : tuple of str
        Ids of the jobs that must end first.
    after_job : bool
        Whether the scheduler says that it waits for another job, also if it does not name it.
    held : str
        Why the queue does not start it at all, such as a hold; empty if it may start.
    kinds : tuple of str
        Types of accelerators for which it asks, as written.
    pool : str
        Pool of the cluster on which it runs, with its virtual cluster (``pool/vc``); empty if not
        known.
    flavor : str
        Resource flavor of Kueue with which it runs; empty if not known.
    nodes : tuple of str
        Names of the nodes on which it runs; empty if not known.
    on_each : tuple of int
        Its accelerators on each of these nodes; empty if they are not known, but their sum is.
    """

    job_id: str
    state: Literal["running", "waiting"]
    n_accelerators: int | None
    tasks: int = 1
    partition: str = ""
    user: str = ""
    account: str = ""
    qos: str = ""
    submit: datetime | None = None
    start: datetime | None = None
    expected_start: datetime | None = None
    eligible: datetime | None = None
    elapsed_s: float | None = None
    time_limit_s: float | None = None
    reason: str = ""
    priority: float | None = None
    array: str = ""
    array_limit: int | None = None
    depends_on: tuple[str, ...] = ()
    after_job: bool = False
    held: str = ""
    kinds: tuple[str, ...] = ()
    pool: str = ""
    age_s: float | None = None
    flavor: str = ""
    nodes: tuple[str, ...] = ()
    on_each: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class QueueState(Brief):
    """The jobs of a site at one time.

    Attributes
    ----------
    source, format : str
    jobs : tuple of QueuedJob
        In the order of the file.
    rows : int
        Records in the file.
    taken_at : datetime or None
        When the state was taken, UTC; None if the file does not say.
    zoned : bool
        Whether its times are instants; otherwise only their differences are right.
    left_out : tuple of (str, str)
        Records that are neither running nor waiting jobs, each with the reason.
    notes : tuple of str
        What was assumed while reading.
    order : str
        How the order of the jobs is known, if it is that of the queue; empty if it is that of the
        file.

    Examples
    --------
    >>> job = QueuedJob("1", "waiting", 8, tasks=2, partition="h100")
    >>> QueueState("q.txt", "squeue", (job,), rows=1).document()["accelerators_waiting"]
    16
    """

    source: str
    format: str
    jobs: tuple[QueuedJob, ...]
    rows: int
    taken_at: datetime | None = None
    zoned: bool = True
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    order: str = ""

    @property
    def running(self) -> list[QueuedJob]:
        """The jobs that run."""
        return [job for job in self.jobs if job.state == "running"]

    @property
    def waiting(self) -> list[QueuedJob]:
        """The rows of jobs that wait."""
        return [job for job in self.jobs if job.state == "waiting"]

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"QueueState {self.source}", {
            "format": self.format,
            "running": f"{len(self.running):,}",
            "waiting": f"{sum(job.tasks for job in self.waiting):,}",
        }

    def with_notes(self, *notes: str) -> QueueState:
        """Return a copy with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def shown(self, moment: datetime | None) -> str | None:
        """Return a time as text: an instant in UTC, or a time of the site's clock."""
        if moment is None:
            return None
        text = moment.replace(tzinfo=None).isoformat(timespec="seconds")
        return f"{text}Z" if self.zoned else text

    def document(self) -> dict[str, Any]:
        """Return counts and jobs as plain data; sums are None if a job's number is not known."""
        return {
            "source": self.source,
            "format": self.format,
            "rows": self.rows,
            "taken_at": self.shown(self.taken_at),
            "running_jobs": len(self.running),
            "waiting_jobs": sum(job.tasks for job in self.waiting),
            "waiting_rows": len(self.waiting),
            "accelerators_running": _sum(self.running),
            "accelerators_waiting": _sum(self.waiting),
            "partitions": self.by_partition().to_dict("records"),
            "running": [self._running(job) for job in self.running],
            "waiting": [self._waiting(job) for job in self.waiting],
            "left_out": [{"row": row, "reason": reason} for row, reason in self.left_out],
        }

    def by_partition(self) -> pd.DataFrame:
        """Return jobs and accelerators by partition.

        Returns
        -------
        pandas.DataFrame
            ``partition``, ``running_jobs``, ``running_accelerators``, ``waiting_jobs``,
            ``waiting_rows``, ``waiting_accelerators``; accelerators are None if not known.
        """
        rows = []
        for name in dict.fromkeys(job.partition for job in self.jobs):
            running = [job for job in self.running if job.partition == name]
            waiting = [job for job in self.waiting if job.partition == name]
            rows.append(
                {
                    "partition": name,
                    "running_jobs": len(running),
                    "running_accelerators": _sum(running),
                    "waiting_jobs": sum(job.tasks for job in waiting),
                    "waiting_rows": len(waiting),
                    "waiting_accelerators": _sum(waiting),
                }
            )
        columns = ["partition", "running_jobs", "running_accelerators", "waiting_jobs"]
        columns += ["waiting_rows", "waiting_accelerators"]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    def running_table(self) -> pd.DataFrame:
        """Return the running jobs as a table."""
        return pd.DataFrame([self._running(job) for job in self.running])

    def waiting_table(self) -> pd.DataFrame:
        """Return the rows of waiting jobs as a table."""
        return pd.DataFrame([self._waiting(job) for job in self.waiting])

    def _running(self, job: QueuedJob) -> dict[str, Any]:
        return {
            "job_id": job.job_id,
            "start": self.shown(job.start),
            "elapsed_s": job.elapsed_s,
            "time_limit_s": job.time_limit_s,
            "n_accelerators": job.n_accelerators,
            "partition": job.partition,
            "user": job.user,
            "submit": self.shown(job.submit),
        }

    def _waiting(self, job: QueuedJob) -> dict[str, Any]:
        return {
            "job_id": job.job_id,
            "tasks": job.tasks,
            "time_limit_s": job.time_limit_s,
            "n_accelerators_each": job.n_accelerators,
            "partition": job.partition,
            "user": job.user,
            "submit": self.shown(job.submit),
            "reason": job.reason,
        }


def _sum(jobs: list[QueuedJob]) -> int | None:
    if any(job.n_accelerators is None for job in jobs):
        return None
    return sum((job.n_accelerators or 0) * job.tasks for job in jobs)


def finite(seconds: float | None) -> float | None:
    """Return a time limit, or None if there is none.

    Examples
    --------
    >>> finite(60.0), finite(float("inf")), finite(None)
    (60.0, None, None)
    """
    return seconds if seconds is not None and math.isfinite(seconds) else None
