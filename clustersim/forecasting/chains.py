"""Chains of jobs in a log, each of which waits for the one before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Ints
from clustersim.forecasting.groups import batches_of, sessions_of

__all__ = ["FEWEST_LINKS", "in_chains"]

FEWEST_LINKS = 3
"""Jobs of a session that never overlap are a chain from this number on."""


def in_chains(jobs: pd.DataFrame) -> Bools:
    """Return which jobs of a log another job waited for.

    A log does not contain dependencies. The jobs of a session (one user, size and limit, submitted
    at most an hour one after the other) are assumed to be a chain if there are at least
    `FEWEST_LINKS` and each was submitted before the one before had ended and started after that.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``user``, ``n_accelerators``, ``submit_s``, ``start_s``, ``duration_s`` and ``limit_s``
        (missing if not known).

    Returns
    -------
    bool array (jobs,)
        True for all jobs of a chain but the last.

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": "ann", "n_accelerators": 8, "submit_s": [0.0, 1.0, 2.0]})
    >>> jobs = jobs.assign(start_s=[0.0, 60.0, 130.0], duration_s=60.0, limit_s=60.0)
    >>> in_chains(jobs).tolist()
    [True, True, False]
    """
    followed = np.zeros(len(jobs), dtype=bool)
    submit, start, run = (
        jobs[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in ("submit_s", "start_s", "duration_s")
    )
    if np.isnan(submit).all() or np.isnan(start).all():
        return followed
    batches = batches_of(jobs, jobs["limit_s"].fillna(-1.0).to_numpy())
    sessions = sessions_of(batches, submit)
    order: Ints = np.lexsort((start, submit, sessions))
    same = np.diff(sessions[order]) == 0
    before, after = order[:-1], order[1:]
    end = start[before] + run[before]
    follows = same & (start[after] >= end) & (submit[after] < end)
    links = np.bincount(sessions[after[follows]], minlength=sessions.max() + 1)
    size = np.bincount(sessions)
    chain = (size >= FEWEST_LINKS) & (links == size - 1)
    followed[before[follows & chain[sessions[before]]]] = True
    return followed
