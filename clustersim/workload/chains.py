"""Chains of jobs in a log, each of which waits for the one before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import HOUR_S
from clustersim.errors import InputError
from clustersim.units import counted
from clustersim.workload.jobs import texts_of
from clustersim.workload.log_links import named_jobs

__all__ = ["FEWEST_LINKS", "chained", "in_chains", "links_of"]

FEWEST_LINKS = 3
"""Jobs of a session that never overlap are a chain from this number on."""
_GAP_S = HOUR_S
_KEYS = ("user", "account", "n_accelerators", "estimate_s", "limit_s")


def links_of(jobs: pd.DataFrame) -> Ints:
    """Return the row of the job for which each job of a log waited; -1 for others.

    A log does not contain dependencies. The jobs of a session (one user, account, size and limit,
    submitted at most an hour one after the other) are assumed to be a chain if there are at least
    `FEWEST_LINKS` and each was submitted before the one before had ended and started after that.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``user``, ``n_accelerators``, ``submit_s``, ``duration_s``, and ``start_s`` or
        ``recorded_start_s``; ``account`` and limits (``estimate_s`` or ``limit_s``) if known.

    Returns
    -------
    int64 array (jobs,)

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": "ann", "n_accelerators": 8, "submit_s": [0.0, 1.0, 2.0]})
    >>> links_of(jobs.assign(start_s=[0.0, 60.0, 130.0], duration_s=60.0)).tolist()
    [-1, 0, 1]
    """
    before = np.full(len(jobs), -1, dtype=np.int64)
    start = _numbers(jobs, "recorded_start_s" if "recorded_start_s" in jobs else "start_s")
    submit, run = _numbers(jobs, "submit_s"), _numbers(jobs, "duration_s")
    if "user" not in jobs or not np.isfinite(start).any():
        return before
    users = texts_of(jobs["user"])
    keys = pd.DataFrame({"user": users, **{name: jobs[name] for name in _KEYS[1:] if name in jobs}})
    batch = keys.groupby(list(keys), sort=False, dropna=False).ngroup().to_numpy()
    order: Ints = np.lexsort((start, submit, batch))
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (np.diff(batch[order]) != 0) | (np.diff(submit[order]) > _GAP_S)
    session = np.cumsum(begins) - 1
    one, other = order[:-1], order[1:]
    end = start[one] + run[one]
    follows = ~begins[1:] & (start[other] >= end) & (submit[other] < end) & (users[other] != "")
    links = np.bincount(session[1:][follows], minlength=session[-1] + 1)
    size = np.bincount(session)
    chain = (size >= FEWEST_LINKS) & (links == size - 1)
    follows &= chain[session[1:]]
    before[other[follows]] = one[follows]
    return before


def _numbers(jobs: pd.DataFrame, name: str) -> Floats:
    if name not in jobs:
        return np.full(len(jobs), np.nan)
    return np.asarray(pd.to_numeric(jobs[name]).to_numpy(dtype=np.float64, na_value=np.nan))


def in_chains(jobs: pd.DataFrame) -> Bools:
    """Return which jobs of a log another job waited for; see :func:`links_of`.

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": "ann", "n_accelerators": 8, "submit_s": [0.0, 1.0, 2.0]})
    >>> in_chains(jobs.assign(start_s=[0.0, 60.0, 130.0], duration_s=60.0)).tolist()
    [True, True, False]
    """
    followed = np.zeros(len(jobs), dtype=bool)
    before = links_of(jobs)
    followed[before[before >= 0]] = True
    return followed


def chained(jobs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return a log in which each link of a chain waits for the one before, and a note.

    Raises
    ------
    InputError
        If the id of a job cannot be named in another one.

    Jobs keep what they wait for already (``after_any``).

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [7, 8, 9], "user": "ann", "n_accelerators": 8})
    >>> jobs = jobs.assign(submit_s=[0.0, 1.0, 2.0], start_s=[0.0, 60.0, 130.0], duration_s=60.0)
    >>> chained(jobs)[0]["after_any"].tolist()
    ['', '7', '8']
    """
    before = links_of(jobs)
    links = before >= 0
    if not links.any():
        return jobs, "chains: none are seen in the log"
    ids = texts_of(jobs["job_id"])
    odd = next((name for name in map(str, ids[before[links]]) if named_jobs(name) != [name]), None)
    if odd is not None:
        raise InputError("workload.chains", f"job {odd!r}: ids must have no space, comma or colon")
    own = texts_of(jobs["after_any"]) if "after_any" in jobs else np.full(len(jobs), "", object)
    after = np.where(links & (own == ""), ids[before], own)
    n = counted(int(links.sum()), "job waits", "jobs wait")
    return jobs.assign(after_any=after), f"chains: {n} for the end of the one before"
