"""Explains why the jobs of a finished run waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from clustersim.errors import InputError, check_kind, unknown_name
from clustersim.explanation.job import JobWait, explain_job
from clustersim.explanation.state import open_state
from clustersim.explanation.summary import WaitCauses, explain_run
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.topology import Cluster

__all__ = ["WAITED_FOR", "explain", "with_waited_for"]

WAITED_FOR = "waited_for"
"""Column with the main cause of the wait of each job."""


@overload
def explain(
    result: Result | str | Path,
    *,
    job: None = None,
    cluster: Cluster | str | Path | None = None,
    catalogue: Sequence[str | Path] = (),
    scheduling: Scheduling | None = None,
) -> WaitCauses: ...
@overload
def explain(
    result: Result | str | Path,
    *,
    job: int | str,
    cluster: Cluster | str | Path | None = None,
    catalogue: Sequence[str | Path] = (),
    scheduling: Scheduling | None = None,
) -> JobWait: ...


def explain(
    result: Result | str | Path,
    *,
    job: int | str | None = None,
    cluster: Cluster | str | Path | None = None,
    catalogue: Sequence[str | Path] = (),
    scheduling: Scheduling | None = None,
) -> WaitCauses | JobWait:
    """Explain why the jobs of a finished run waited, or why one of them did.

    The tables of the run determine which accelerators and nodes were free at each instant, and
    whether a gang would have fitted on them. Nothing is simulated again.

    Parameters
    ----------
    result : Result, str or Path
        A result, or the folder of one.
    job : int or str, optional
        The id of a job.
    cluster : Cluster, str or Path, optional
        The cluster on which it ran, if the result does not say that: a compiled topology, a name or
        a file.
    catalogue : sequence of str or Path
        Files with chips of the user, for `cluster`.
    scheduling : Scheduling, optional
        Its policy and placement, if the result does not say them. By default the placement follows
        from the tables, and the policy's order is not known.

    Returns
    -------
    WaitCauses or JobWait
        Accelerator-hours of waiting by cause, or the intervals of the wait of the job.

    Raises
    ------
    InputError
        If the folder has no result, the job or the cluster is not known, or a file that the run
        used cannot be read any more.

    Examples
    --------
    >>> import pandas as pd
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 0], "n_accelerators": [8, 4]})
    >>> run = cs.replay(jobs.assign(duration_s=3600), policy="fcfs", accelerators=8)
    >>> cs.explain(run).sentence
    'Jobs waited 4 accelerator-hours: 100 % for accelerators that other jobs held.'
    >>> cs.explain(run, job=2).intervals["detail"][0]
    'needs 4 on pool, 0 free; held by job 1 (8)'
    """
    if isinstance(result, str | Path):
        result = Result.load(result)
    check_kind("explain", result, Result, "a result or the folder of one")
    if job is None:
        return explain_run(open_state(result, cluster, catalogue, scheduling))
    row = _row_of(result, job)
    return explain_job(open_state(result, cluster, catalogue, scheduling), row)


def with_waited_for(result: Result) -> Result:
    """Return a result whose jobs have a column ``waited_for``: the main cause of their wait.

    Parameters
    ----------
    result : Result
        Of a scenario or a replay, which says on which cluster it ran.

    Raises
    ------
    InputError
        If the cluster is not known, or a file that the run used cannot be read any more.

    Examples
    --------
    >>> import clustersim as cs
    >>> run = cs.run(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...     }
    ... )
    >>> "waited_for" in with_waited_for(run).jobs
    True
    """
    causes = explain(result).jobs[WAITED_FOR]
    return replace(result, jobs=result.jobs.assign(**{WAITED_FOR: causes.to_numpy()}))


def _row_of(result: Result, job: Any) -> int:
    """Return the row of a job; its id may be given as text."""
    ids = result.jobs["job_id"].astype(str).to_numpy(dtype=object)
    rows = np.flatnonzero(ids == str(job))
    if not len(rows):
        listed_by = "clustersim explain DIR --out FILE.csv"
        raise InputError("--job", unknown_name("job", str(job), ids.tolist(), listed_by=listed_by))
    return int(rows[0])
