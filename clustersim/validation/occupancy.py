"""Accelerators in use over time, and whether waiting jobs had room, from starts and run times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints

__all__ = ["SAMPLES", "Waiting", "running_at", "waiting_of"]

SAMPLES = 8
"""Number of equally long parts of each wait, in whose middle the state of the cluster is read."""


def running_at(
    group: Ints, start_s: Floats, end_s: Floats, size: Ints, of: Ints, time_s: Floats
) -> Ints:
    """Return the accelerators that run in group `of` just after each of the times.

    A job that ends at a time no longer runs then; a job that starts at that time runs.

    Parameters
    ----------
    group, start_s, end_s, size : arrays (jobs,)
        Group, start, end and accelerators of each job.
    of, time_s : arrays of one shape
        The groups and times that are asked about.

    Examples
    --------
    >>> zero = np.array([0, 0])
    >>> running_at(zero, np.array([0.0, 5.0]), np.array([5.0, 9.0]), np.array([4, 2]),
    ...            np.array([0, 0, 0]), np.array([4.0, 5.0, 9.0])).tolist()
    [4, 2, 0]
    """
    times = np.concatenate((start_s, end_s))
    if not len(times):
        return np.zeros(np.shape(time_s), dtype=np.int64)
    at, rank = np.unique(times, return_inverse=True)
    width = len(at) + 1
    key = np.concatenate((group, group)) * width + rank + 1
    change = np.concatenate((size, -size))
    order = np.argsort(key, kind="stable")
    key, total = key[order], np.concatenate(([0], np.cumsum(change[order])))
    asked = of * width + np.searchsorted(at, time_s, side="right")
    # Every group ends at 0, so the sum over all earlier groups is 0.
    found: Ints = total[np.searchsorted(key, asked, side="right")]
    return found


@dataclass(frozen=True, eq=False)
class Waiting:
    """The state of the cluster while each job waited.

    Attributes
    ----------
    job : int64 array (waits,)
        The jobs that waited.
    time_s : float64 array (waits, SAMPLES)
        The middle of each part of the wait.
    weight_s : float64 array (waits,)
        Length of a part of each wait.
    room : bool array (waits, SAMPLES)
        Whether the job would have fitted in the accelerators that nobody used.
    """

    job: Ints
    time_s: Floats
    weight_s: Floats
    room: Bools

    def share(self, which: Bools) -> float:
        """Return the share of the waiting time of all jobs in which something was the case."""
        total = float(self.weight_s.sum()) * SAMPLES
        return float((which.sum(axis=1) * self.weight_s).sum()) / total if total > 0 else 0.0


def waiting_of(
    submit_s: Floats,
    start_s: Floats,
    run_s: Floats,
    size: Ints,
    share: Ints,
    capacity: Ints,
    compared: Bools,
) -> Waiting:
    """Return the state of the cluster while jobs waited.

    Parameters
    ----------
    submit_s, start_s, run_s, size, share : arrays (jobs,)
        The jobs; `share` is the number of the capacity that a job uses.  Jobs without a start
        (NaN) use nothing.
    capacity : int64 array (shares,)
    compared : bool array (jobs,)
        The jobs whose waits are looked at.
    """
    known = np.isfinite(start_s)
    job = np.flatnonzero(known & compared & (start_s > submit_s))
    wait_s = start_s[job] - submit_s[job]
    parts = (np.arange(SAMPLES) + 0.5) / SAMPLES
    time_s = submit_s[job][:, None] + wait_s[:, None] * parts
    of = np.broadcast_to(share[job][:, None], time_s.shape)
    begin, end = start_s[known], (start_s + run_s)[known]
    used = running_at(share[known], begin, end, size[known], of, time_s)
    room = capacity[of] - used >= size[job][:, None]
    return Waiting(job, time_s, wait_s / SAMPLES, room)
