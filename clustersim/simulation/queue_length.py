"""Number of waiting jobs over time, and what was idle meanwhile, from the tables of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.simulation.attempt_parts import one_row_an_attempt
from clustersim.simulation.metrics import in_service
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.simulation.unfinished import cancelled

__all__ = ["IdleWhileWaiting", "idle_while_waiting", "queue_length"]


def queue_length(jobs: pd.DataFrame, allocations: pd.DataFrame, end_s: float) -> pd.DataFrame:
    """Return the waiting jobs of a run as an exact step function of time.

    A job waits from its submission to its first start. If it is stopped, it waits again until its
    next start, unless the policy cancelled it. Jobs that can never run are not counted.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result: ``job_id``, ``submit_s``, ``n_accelerators``, ``finish_s``, ``outcome``.
    allocations : pandas.DataFrame
        Attempts of a result, in order of job, then of start: ``job_id``, ``start_s``, ``end_s``.
    end_s : float
        End of the simulation, seconds.

    Returns
    -------
    pandas.DataFrame
        ``time_s``, ``jobs`` (number of waiting jobs) and ``accelerators`` (number of accelerators
        that they request). There is a row at time 0, at every change and at the end; each row
        applies until the time of the next row.

    Examples
    --------
    Of two jobs that are submitted at time 0, the second waits until 10 s:

    >>> jobs = pd.DataFrame(
    ...     {
    ...         "job_id": [1, 2],
    ...         "submit_s": [0.0, 0.0],
    ...         "n_accelerators": [8, 4],
    ...         "finish_s": [10.0, 15.0],
    ...         "outcome": "finished",
    ...     }
    ... )
    >>> attempts = pd.DataFrame({"job_id": [1, 2], "start_s": [0.0, 10.0], "end_s": [10.0, 15.0]})
    >>> queue_length(jobs, attempts, 15.0).to_numpy().tolist()
    [[0.0, 1.0, 4.0], [10.0, 0.0, 0.0], [15.0, 0.0, 0.0]]
    """
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    n = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    joined = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool) & (submit_s <= end_s)
    allocations = one_row_an_attempt(allocations.assign(n_accelerators=0))
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(allocations["job_id"]))
    start_s = allocations["start_s"].to_numpy(dtype=np.float64)
    stop_s = allocations["end_s"].to_numpy(dtype=np.float64)
    last = np.r_[row[1:] != row[:-1], True][: len(row)]
    ended = np.isfinite(jobs["finish_s"].to_numpy(dtype=np.float64)) | cancelled(jobs)
    # An attempt that still runs at the end of the simulation ends there, too.
    back = ~last | (~ended[row] & (stop_s < end_s))
    times = np.concatenate([submit_s[joined], stop_s[back], start_s, [0.0, end_s]])
    sizes = np.concatenate([n[joined], n[row[back]], -n[row], [0, 0]])
    at, step = np.unique(times, return_inverse=True)
    change = np.bincount(step, np.sign(sizes)).astype(np.int64)
    accelerators = np.bincount(step, sizes).astype(np.int64)
    kept = (change != 0) | (accelerators != 0)
    kept[[0, -1]] = True
    return pd.DataFrame(
        {
            "time_s": at[kept],
            "jobs": change.cumsum()[kept],
            "accelerators": accelerators.cumsum()[kept],
        }
    )


@dataclass(frozen=True, slots=True)
class IdleWhileWaiting:
    """Accelerators that were idle while jobs waited.

    Attributes
    ----------
    waiting_s : float
        Time during which at least one job waited, seconds.
    jobs : float
        Mean number of waiting jobs during this time; 0 if no job waited.
    accelerators : float
        Mean number of accelerators in service that no job held during this time.
    idle : float
        The same, as a share of the accelerators in service.
    """

    waiting_s: float
    jobs: float
    accelerators: float
    idle: float


def idle_while_waiting(
    queue: pd.DataFrame, utilisation: pd.DataFrame, *, begin_s: float, end_s: float
) -> IdleWhileWaiting:
    """Return how many accelerators were idle while jobs waited.

    Parameters
    ----------
    queue : pandas.DataFrame
        From :func:`queue_length`.
    utilisation : pandas.DataFrame
        Utilisation table of a result.
    begin_s, end_s : float
        The time window, seconds.

    Examples
    --------
    One job waits for 30 s, and 6 of 8 accelerators are idle in the last 10 s of them:

    >>> queue = pd.DataFrame({"time_s": [0.0, 30.0, 40.0], "jobs": [1, 0, 0]})
    >>> steps = {"pool": "a", "time_s": [0.0, 20.0, 40.0], "allocated": [8, 2, 2], "installed": 8}
    >>> found = idle_while_waiting(queue, pd.DataFrame(steps), begin_s=0.0, end_s=40.0)
    >>> found.waiting_s, found.jobs, found.accelerators, found.idle
    (30.0, 1.0, 2.0, 0.25)
    """
    inside = np.concatenate([queue["time_s"], utilisation["time_s"]])
    at = np.unique(np.clip(np.append(inside, [begin_s, end_s]), begin_s, end_s))
    held_s, at = np.diff(at), at[:-1]
    waiting = _values_at(queue["time_s"], queue["jobs"], at)
    idle, there = np.zeros(len(at)), np.zeros(len(at))
    for _, steps in utilisation.groupby("pool", observed=True, sort=False):
        served = in_service(steps)
        idle += _values_at(steps["time_s"], served - steps["allocated"].to_numpy(), at)
        there += _values_at(steps["time_s"], served, at)
    held_s = np.where(waiting > 0, held_s, 0.0)
    total_s, all_s = float(held_s.sum()), float((held_s * there).sum())
    if total_s == 0:
        return IdleWhileWaiting(0.0, 0.0, 0.0, 0.0)
    idle_s = float((held_s * idle).sum())
    jobs = float((held_s * waiting).sum()) / total_s
    return IdleWhileWaiting(total_s, jobs, idle_s / total_s, idle_s / all_s if all_s else 0.0)


def _values_at(time_s: pd.Series, values: npt.ArrayLike, at: Floats) -> Floats:
    """Return the values of a step function at some times; 0 before its first step."""
    place = np.searchsorted(time_s.to_numpy(dtype=np.float64), at, side="right") - 1
    known = np.asarray(values, dtype=np.float64)
    return np.where(place >= 0, known[np.maximum(place, 0)], 0.0)
