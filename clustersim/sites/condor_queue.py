"""The queue of HTCondor: ``condor_q -allusers -long`` and ``condor_q -allusers -json``.

Attributes: "Job ClassAd Attributes" in the HTCondor manual.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clustersim.sites.cells import number_of, whole
from clustersim.sites.queue import QueuedJob, QueueState, finite
from clustersim.sites.slurm_queue_jobs import at_time

__all__ = ["CONDOR_COMMAND", "is_class_ads", "read_condor_q"]

CONDOR_COMMAND = "condor_q -allusers -long"
_RUNS, _HELD = (2, 6), 5
_LEFT = {3: "removed", 4: "completed", 7: "suspended"}
"""Values of JobStatus that are neither idle (1), held (5), running (2) nor transferring (6)."""
_LIMITS = ("allowedjobduration", "allowedexecuteduration", "maxwalltimesecs")


def is_class_ads(text: str) -> bool:
    """Return whether a text has the ads of jobs, one attribute a line.

    Examples
    --------
    >>> is_class_ads("ClusterId = 7\\nJobStatus = 1\\n"), is_class_ads("JOBID STATE")
    (True, False)
    """
    return all(re.search(rf"(?mi)^\s*{name} = ", text) for name in ("ClusterId", "JobStatus"))


def read_condor_q(ads: Sequence[Mapping[str, Any]], source: str, form: str) -> QueueState:
    """Return the state that the ads of jobs describe.

    HTCondor serves users by their fair share, which the ads do not contain; ``JobPrio`` only orders
    the jobs of a user. The jobs of each user therefore take the places of this user's submissions
    in the order of ``JobPrio``.

    Parameters
    ----------
    ads : sequence of mapping
    source : str
    form : str
        The command, for the reader.

    Examples
    --------
    >>> ad = {"ClusterId": 7, "ProcId": 0, "JobStatus": 1, "RequestGPUs": 2, "Owner": "ann"}
    >>> job = read_condor_q([ad], "q.json", "condor_q -json").waiting[0]
    >>> job.job_id, job.n_accelerators, job.user
    ('7.0', 2, 'ann')
    """
    records = [{key.lower(): value for key, value in ad.items()} for ad in ads]
    records = [each for each in records if "clusterid" in each and "jobstatus" in each]
    jobs, left = [], []
    for record in records:
        name = f"{record['clusterid']}.{record.get('procid', 0)}"
        status = whole(record["jobstatus"]) or 0
        if status in _LEFT:
            left.append((name, _LEFT[status]))
        else:
            jobs.append(_job(name, record, status))
    state = QueueState(
        source, form, tuple(_ordered(jobs)), len(records), left_out=tuple(left),
        order="the queue is in order of submission, and for each user in order of JobPrio: the "
        "file has no fair shares of users",
    )  # fmt: skip
    times = [moment for each in records if (moment := _time(each.get("servertime"))) is not None]
    return at_time(state, max(times)) if times else state


def _job(name: str, record: Mapping[str, Any], status: int) -> QueuedJob:
    runs = status in _RUNS
    limits = (number_of(record.get(limit)) for limit in _LIMITS)
    start = record.get("jobcurrentstartdate", record.get("jobstartdate"))
    return QueuedJob(
        job_id=name,
        state="running" if runs else "waiting",
        n_accelerators=whole(record.get("requestgpus")) or 0,
        user=str(record.get("owner", record.get("user", ""))).partition("@")[0],
        account=str(record.get("accountinggroup", record.get("acctgroup", ""))),
        submit=_time(record.get("qdate")),
        start=_time(start) if runs else None,
        time_limit_s=finite(next((limit for limit in limits if limit), None)),
        reason=str(record.get("holdreason", "")) if status == _HELD else "",
        priority=number_of(record.get("jobprio")),
        held="held" if status == _HELD else "",
    )


def _time(value: Any) -> datetime | None:
    seconds = number_of(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _ordered(jobs: list[QueuedJob]) -> list[QueuedJob]:
    """Return the jobs by submission, each user's own waiting jobs by their priority."""

    def submitted(job: QueuedJob) -> float:
        return job.submit.timestamp() if job.submit is not None else 0.0

    by_time = sorted(jobs, key=submitted)
    own: dict[str, Iterator[QueuedJob]] = {}
    for user in dict.fromkeys(job.user for job in jobs):
        waiting = [job for job in by_time if job.user == user and job.state == "waiting"]
        own[user] = iter(sorted(waiting, key=lambda job: -(job.priority or 0.0)))
    return [job if job.state == "running" else next(own[job.user]) for job in by_time]
