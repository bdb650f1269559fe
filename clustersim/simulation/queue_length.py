"""Number of waiting jobs over time, from the tables of a run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.simulation.tables import NEVER_RUNNABLE

__all__ = ["queue_length"]


def queue_length(jobs: pd.DataFrame, allocations: pd.DataFrame, end_s: float) -> pd.DataFrame:
    """Return the waiting jobs of a run as an exact step function of time.

    A job waits from its submission to its first start. If it is stopped, it waits again until its
    next start. Jobs that can never run are not counted.

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
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(allocations["job_id"]))
    start_s = allocations["start_s"].to_numpy(dtype=np.float64)
    stop_s = allocations["end_s"].to_numpy(dtype=np.float64)
    last = np.r_[row[1:] != row[:-1], True][: len(row)]
    finished = np.isfinite(jobs["finish_s"].to_numpy(dtype=np.float64))[row]
    # An attempt that still runs at the end of the simulation ends there, too.
    back = ~last | (~finished & (stop_s < end_s))
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
