"""The waiting jobs that a question is about: single jobs, and all jobs of some users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from clustersim.errors import InputError, nearest_name, unknown_name
from clustersim.forecasting.snapshot import Snapshot

__all__ = ["asked_jobs", "check_asked", "check_partitions"]


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
    names = [*snapshot.waiting["job_id"], *snapshot.waiting["row_id"], *snapshot.waiting["array"]]
    waiting = list(map(str, dict.fromkeys(name for name in names if name)))
    running = set(map(str, snapshot.running["job_id"]))
    for job in jobs:
        if job in running and job not in waiting:
            raise InputError("--job", f"job {job} runs already")
        if job not in waiting:
            listed = "--json" if waiting else ""
            what = unknown_name("waiting job", job, waiting, listed_by=listed)
            raise InputError("--job", what)
    known = sorted(set(map(str, snapshot.waiting["user"])) - {""})
    for user in users:
        if not known:
            raise InputError("--user", "the waiting jobs have no users")
        if user not in known:
            raise InputError("--user", unknown_name("user with waiting jobs", user, known))


def check_partitions(option: str, numbers: object, jobs: pd.DataFrame) -> None:
    """Raise an error if numbers name no partition of a job, but almost one that they lack.

    Examples
    --------
    >>> check_partitions("--accelerators", {"gqu": 8}, pd.DataFrame({"vc": ["gpu,long"]}))
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: --accelerators: unknown partition 'gqu'; did you mean 'gpu'? \
allowed: gpu, long
    """
    if not isinstance(numbers, Mapping):
        return
    named = [set(str(names).split(",")) for names in jobs["vc"] if names]
    known = sorted(set().union(*named))
    lacking = {name for names in named if not names & set(numbers) for name in names}
    for name in map(str, numbers):
        if name not in known and nearest_name(name, lacking) is not None:
            raise InputError(option, unknown_name("partition", name, known))


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
    arrays = jobs["job_id"].astype(str).str.extract(r"^(\d+)_")[0]
    chosen |= arrays.isin(list(ids))
    return list(map(str, jobs.loc[chosen, "job_id"]))
