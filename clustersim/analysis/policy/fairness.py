"""Fairness among jobs and users: finish-time fairness, and Jain's index."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.policy.names import name_codes
from clustersim.analysis.policy.steps import count_integral, integral
from clustersim.array_types import Bools, Floats
from clustersim.simulation.attempt_parts import one_row_an_attempt
from clustersim.simulation.metrics import in_service
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.simulation.unfinished import cancelled

__all__ = ["accelerator_s_of_jobs", "finish_time_fairness", "jains_index", "left_s", "user_index"]


def left_s(result: Result) -> Floats:
    """Return when each job left the system, seconds: its finish, its cancellation, or the end.

    Parameters
    ----------
    result : Result
        A run; jobs that were not submitted before its end leave when they are submitted.
    """
    jobs, end_s = result.jobs, float(result.provenance["simulated_s"])
    left = jobs["finish_s"].to_numpy(dtype=np.float64).copy()
    ran = result.allocation_ranges
    gone = cancelled(jobs)
    if gone.any():
        last_s = ran.groupby("job_id")["end_s"].max()
        left[gone] = jobs["job_id"][gone].map(last_s).to_numpy(dtype=np.float64)
    left = np.where(np.isnan(left), end_s, left)
    later: Floats = np.maximum(left, jobs["submit_s"].to_numpy(dtype=np.float64))
    return later


def finish_time_fairness(result: Result) -> Floats:
    """Return the finish-time fairness rho of each job of a run.

    Mahajan et al., "Themis: Fair and efficient GPU cluster scheduling", NSDI 2020, section 3.1:
    the time from submission to finish, divided by the time that the job would have taken alone on
    its share of the cluster.  As in the paper, time counts from the arrival of a job, also while it
    waits for other jobs.  The share is 1/n of the accelerators in service, where n is the mean
    number of jobs in the system (waiting or running, itself included) between its submission and
    its finish, and the accelerators in service are averaged over the same time.  Every log has what
    this needs, whereas entitlements of users are seldom known.  Alone on its share, a job takes as
    long as its work that was kept took on the accelerators on which it ran, without checkpoints,
    restarts and lost work.  If its gang is larger than the share, it takes longer by this factor,
    as if it were a turn of the whole gang in n.

    Parameters
    ----------
    result : Result

    Returns
    -------
    float64 array (jobs,)
        At most 1 for a job with its fair share; NaN for a job that did not finish or has no work.

    Examples
    --------
    Two jobs of 100 s need all 8 accelerators and are submitted at the same time.  While the first
    one is in the system, there are 2 jobs; during the 200 s of the second one, 1.5 on average.

    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": 0, "n_accelerators": 8})
    >>> result = cs.replay(log.assign(duration_s=100), policy="fcfs", accelerators=8)
    >>> finish_time_fairness(result).round(3).tolist()
    [0.5, 1.333]
    """
    jobs, end_s = result.jobs, float(result.provenance["simulated_s"])
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    left = left_s(result)
    life_s = left - submit_s
    there = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool) & (submit_s <= end_s)
    ends = [count_integral(submit_s[there], left[there], at) for at in (submit_s, left)]
    capacity = np.zeros((2, len(jobs)))
    for _, steps in result.utilisation.groupby("pool", observed=True, sort=False):
        time_s, served = steps["time_s"].to_numpy(dtype=np.float64), in_service(steps)
        for row, at in enumerate((submit_s, left)):
            capacity[row] += integral(time_s, served, at)
    kept_s = _kept_s(result)
    known = np.isfinite(jobs["finish_s"].to_numpy(dtype=np.float64)) & (kept_s > 0) & (life_s > 0)
    n = jobs["n_accelerators"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        # n of the accelerators times jobs, of the accelerators: both means have the same life.
        turns = n * ((ends[1] - ends[0]) / life_s) / ((capacity[1] - capacity[0]) / life_s)
        rho: Floats = life_s / (kept_s * np.maximum(1.0, turns))
    return np.where(known, rho, np.nan)


def _kept_s(result: Result) -> Floats:
    """Return the time that the kept work of each job took, seconds; 0 if it never ran."""
    table, name = result.attempts, "kept_s"
    if table is None:
        table = one_row_an_attempt(result.allocation_ranges)
        own = (table["end_s"] - table["start_s"]).to_numpy(dtype=np.float64)
    else:
        own = table[name].to_numpy(dtype=np.float64)
    row = pd.Index(result.jobs["job_id"]).get_indexer(pd.Index(table["job_id"]))
    total = np.bincount(row[row >= 0], own[row >= 0], minlength=len(result.jobs))
    return total.astype(np.float64)


def jains_index(amounts: npt.ArrayLike) -> float:
    """Return Jain's index of fairness: 1 if all have the same, 1/n if one of n has everything.

    Jain, Chiu and Hawe, "A quantitative measure of fairness and discrimination for resource
    allocation in shared computer systems", DEC TR-301, 1984: the square of the sum, divided by n
    times the sum of the squares.

    Parameters
    ----------
    amounts : array (users,)

    Returns
    -------
    float
        NaN without users, or if nobody has anything.

    Examples
    --------
    >>> jains_index([2, 2, 2]), jains_index([1, 0, 0, 0]), round(jains_index([3, 1]), 3)
    (1.0, 0.25, 0.8)
    """
    own = np.asarray(amounts, dtype=np.float64)
    squares = float((own**2).sum())
    return float(own.sum()) ** 2 / (len(own) * squares) if squares > 0 else math.nan


def user_index(jobs: pd.DataFrame) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the index of each job's user, -1 for a job without one, and the users' names.

    Examples
    --------
    >>> index, names = user_index(pd.DataFrame({"user": ["ann", "bo", "ann", None]}))
    >>> index.tolist(), names
    ([0, 1, 0, -1], ['ann', 'bo'])
    """
    return name_codes(jobs.get("user"), len(jobs))


def accelerator_s_of_jobs(
    result: Result, begin_s: float = 0.0, end_s: float = math.inf
) -> tuple[Floats, Bools]:
    """Return the accelerator-seconds that each job held in a time interval.

    Returns
    -------
    accelerator_s : float64 array (jobs,)
    present : bool array (jobs,)
        Whether the job waited or ran at some time in the interval.
    """
    jobs, ran = result.jobs, result.allocation_ranges
    starts, ends = (ran[name].to_numpy(dtype=np.float64) for name in ("start_s", "end_s"))
    held = np.clip(np.minimum(ends, end_s) - np.maximum(starts, begin_s), 0.0, None)
    held *= ran["n_accelerators"].to_numpy(dtype=np.float64)
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(ran["job_id"]))
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    until_s = min(end_s, float(result.provenance["simulated_s"]))
    there = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
    present: Bools = there & (submit_s <= until_s) & (left_s(result) >= begin_s)
    return np.bincount(row, held, minlength=len(jobs)).astype(np.float64), present
