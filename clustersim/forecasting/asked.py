"""The waiting jobs that a question is about: single jobs, and all jobs of some users."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clustersim.errors import InputError, unknown_name
from clustersim.forecasting.snapshot import Snapshot

__all__ = ["asked_jobs", "check_asked"]


def check_asked(snapshot: Snapshot, jobs: Sequence[str], users: Sequence[str]) -> None:
    """Raise an error if a job or a user that is asked about has no place in the queue.

    Parameters
    ----------
    snapshot : Snapshot
    jobs, users : sequence of str

    Raises
    ------
    InputError
        The message names the nearest jobs or users that wait.
    """
    waiting = list(map(str, [*snapshot.waiting["job_id"], *snapshot.waiting["row_id"]]))
    running = set(map(str, snapshot.running["job_id"]))
    for job in jobs:
        if job in running and job not in waiting:
            raise InputError("--job", f"job {job} runs already")
        if job not in waiting:
            listed = "--json" if waiting else ""
            what = unknown_name("waiting job", job, waiting, listed_by=listed)
            raise InputError("--job", what)
    names = sorted(set(map(str, snapshot.waiting["user"])) - {""})
    for user in users:
        if not names:
            raise InputError("--user", "the waiting jobs have no users")
        if user not in names:
            raise InputError("--user", unknown_name("user with waiting jobs", user, names))


def asked_jobs(jobs: pd.DataFrame, ids: Sequence[str], users: Sequence[str]) -> list[str]:
    """Return the waiting jobs that are asked about, in the order of the queue.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Table ``jobs`` of a :class:`~clustersim.Forecast`.
    ids, users : sequence of str

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["1", "2", "3"], "user": ["ann", "bo", "ann"]})
    >>> asked_jobs(jobs, ["2"], ["ann"])
    ['1', '2', '3']
    """
    chosen = jobs["job_id"].isin(list(ids)) | jobs["user"].isin(list(users))
    if "row_id" in jobs:  # a row of an array, as the file has it
        chosen |= jobs["row_id"].isin(list(ids))
    return list(map(str, jobs.loc[chosen, "job_id"]))
