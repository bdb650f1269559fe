"""Accelerators in use over time, and whether waiting jobs had room, from starts and run times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints

__all__ = ["SAMPLES", "Waiting", "running_at", "times_of_waits"]

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
        Whether the job surely had room in accelerators that nobody used, and was not held by a
        mechanism that is granted.
    """

    job: Ints
    time_s: Floats
    weight_s: Floats
    room: Bools

    def share(self, which: Bools) -> float:
        """Return the share of the waiting time of all jobs in which something was the case."""
        total = float(self.weight_s.sum()) * SAMPLES
        return float((which.sum(axis=1) * self.weight_s).sum()) / total if total > 0 else 0.0


def times_of_waits(
    submit_s: Floats, start_s: Floats, compared: Bools
) -> tuple[Ints, Floats, Floats]:
    """Return the jobs that waited, the middle of each part of their waits, and a part's length.

    Parameters
    ----------
    submit_s, start_s : float64 arrays (jobs,)
        Jobs without a start (NaN) are left out.
    compared : bool array (jobs,)
        The jobs whose waits are looked at.

    Returns
    -------
    int64 array (waits,), float64 array (waits, SAMPLES), float64 array (waits,)
        As in `Waiting`.

    Examples
    --------
    >>> job, time_s, _ = times_of_waits(np.zeros(2), np.array([0.0, 80.0]), np.ones(2, dtype=bool))
    >>> job.tolist(), time_s[0, :3].tolist()
    ([1], [5.0, 15.0, 25.0])
    """
    job = np.flatnonzero(np.isfinite(start_s) & compared & (start_s > submit_s))
    wait_s = start_s[job] - submit_s[job]
    parts = (np.arange(SAMPLES) + 0.5) / SAMPLES
    return job, submit_s[job][:, None] + wait_s[:, None] * parts, wait_s / SAMPLES
