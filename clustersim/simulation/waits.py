"""Total waiting time of jobs, over all their attempts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats

__all__ = ["total_wait_s"]


def total_wait_s(
    submit_s: Floats,
    finish_s: Floats,
    row: npt.NDArray[np.integer],
    begin_s: Floats,
    end_s: Floats,
    until_s: float,
) -> Floats:
    """Return the time that each job spent in the queue, over all its attempts.

    This is the wait until the first start plus, for a job that was stopped, the waits until it
    started again. For a job that is waiting at the end of the run, the wait so far is included.
    Restarts (loading a checkpoint) are part of an attempt.

    Parameters
    ----------
    submit_s, finish_s : float64 arrays (jobs,)
        Seconds; the finish is NaN for a job that has not finished.
    row : int array (attempts,)
        Index of the job of each attempt. The attempts of a job are consecutive, in order of their
        start.
    begin_s, end_s : float64 arrays (attempts,)
        Seconds; the end of an attempt that is still running is `until_s`.
    until_s : float
        End of the run, seconds.

    Returns
    -------
    float64 array (jobs,)
        NaN for a job that has not started.

    Examples
    --------
    A job submitted at 0 s runs from 10 s until it is stopped at 30 s, and from 45 s to its end:

    >>> row, begin_s, end_s = np.array([0, 0]), np.array([10.0, 45.0]), np.array([30.0, 60.0])
    >>> total_wait_s(np.zeros(1), np.array([60.0]), row, begin_s, end_s, 100.0).tolist()
    [25.0]
    """
    total = np.full(len(submit_s), np.nan)
    if not len(row):
        return total
    first = np.r_[True, row[1:] != row[:-1]]
    since_s = np.where(first, submit_s[row], np.r_[0.0, end_s[:-1]])
    started = row[first]
    total[started] = np.add.reduceat(begin_s - since_s, np.flatnonzero(first))
    last_end_s = end_s[np.r_[first[1:], True]]
    total[started] += np.where(np.isnan(finish_s[started]), until_s - last_end_s, 0.0)
    return total
