"""The parts of attempts: what an attempt on several pools held and did on each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Ints
from clustersim.simulation.node_ranges import WORK_SHARE

__all__ = ["attempt_of_ranges", "attempts_by_pool", "one_row_an_attempt"]


def one_row_an_attempt(ranges: pd.DataFrame) -> pd.DataFrame:
    """Return allocations with one row for each attempt, also for those on several pools.

    Parameters
    ----------
    ranges : pandas.DataFrame
        ``Result.allocation_ranges``, in order of job, then of start.

    Returns
    -------
    pandas.DataFrame
        The first row of each attempt, with the accelerators of all its pools.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.simulation.attempt_parts import one_row_an_attempt
    >>> ranges = pd.DataFrame(
    ...     {
    ...         "job_id": [1, 1, 2],
    ...         "pool": ["h200", "h20", "h20"],
    ...         "n_accelerators": [16, 8, 8],
    ...         "start_s": 0.0,
    ...         "end_s": 60.0,
    ...     }
    ... )
    >>> one_row_an_attempt(ranges)[["job_id", "n_accelerators"]].to_numpy().tolist()
    [[1, 24], [2, 8]]
    """
    keys = [ranges[name].to_numpy() for name in ("job_id", "start_s", "end_s")]
    same = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    if not same.any():
        return ranges
    first = np.r_[True, ~same]
    size = np.add.reduceat(ranges["n_accelerators"].to_numpy(), np.flatnonzero(first))
    return ranges[first].assign(n_accelerators=size)


def attempt_of_ranges(ranges: pd.DataFrame, attempts: pd.DataFrame) -> Ints | None:
    """Return the row of the table of attempts to which each row of allocations belongs.

    Both tables have the same order, and the rows of an attempt on several pools follow each other
    and have its accelerators together.

    Parameters
    ----------
    ranges, attempts : pandas.DataFrame
        Tables of one result.

    Returns
    -------
    int64 array (rows of `ranges`,) or None
        None if the two tables do not have the same accelerators.

    Examples
    --------
    >>> held = pd.DataFrame({"n_accelerators": [8, 16, 4]})
    >>> attempt_of_ranges(held, pd.DataFrame({"n_accelerators": [24, 4]})).tolist()
    [0, 0, 1]
    """
    until = attempts["n_accelerators"].to_numpy(dtype=np.int64).cumsum()
    reached = ranges["n_accelerators"].to_numpy(dtype=np.int64).cumsum()
    if not np.isin(until, reached).all() or reached[-1:].tolist() != until[-1:].tolist():
        return None
    found: Ints = np.searchsorted(until, reached)
    return found


def attempts_by_pool(attempts: pd.DataFrame, ranges: pd.DataFrame) -> pd.DataFrame:
    """Return a table of attempts in which an attempt on several pools has a row for each of them.

    Parameters
    ----------
    attempts, ranges : pandas.DataFrame
        ``Result.attempts`` and ``Result.allocation_ranges`` of one result. If no row of `ranges`
        says which share of the work was done there (results of earlier versions), all accelerators
        of an attempt did the same share.

    Returns
    -------
    pandas.DataFrame
        The columns of `attempts`; ``pool`` is the pool of the part, ``n_accelerators`` the number
        that the attempt held there, and ``done`` the share of the job's work that was done there.
        The times apply to all parts of an attempt. `attempts` itself if none was on several pools.

    Examples
    --------
    A job holds 16 accelerators of one pool, which do four fifths of its work, and 8 of another:

    >>> import pandas as pd
    >>> from clustersim.simulation.attempt_parts import attempts_by_pool
    >>> held = {"pool": ["h200", "h20"], "n_accelerators": [16, 8], "work_share": [0.8, 0.2]}
    >>> attempts = pd.DataFrame({"pool": ["h200"], "n_accelerators": [24], "done": [0.5]})
    >>> attempts_by_pool(attempts, pd.DataFrame(held)).to_numpy().tolist()
    [['h200', 16, 0.4], ['h20', 8, 0.1]]
    """
    if len(ranges) <= len(attempts):
        return attempts
    attempt = attempt_of_ranges(ranges, attempts)
    if attempt is None:
        return attempts
    parts = attempts.take(attempt).reset_index(drop=True)
    n = ranges["n_accelerators"].to_numpy()
    share = n / parts["n_accelerators"].to_numpy()
    if WORK_SHARE in ranges:
        share = ranges[WORK_SHARE].to_numpy(dtype=np.float64)
    done = parts["done"].to_numpy() * share
    return parts.assign(pool=ranges["pool"].array, n_accelerators=n, done=done)
