"""What the jobs of a user, a team or an account have used in a run, for fair-share policies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.scheduling.queue import Queue
from clustersim.scheduling.slurm.usage import decay, usage_of_runs

__all__ = ["USAGE", "UsageLog"]

USAGE = "usage"
"""Name under which the queues of a run share the log."""


class _Run(NamedTuple):
    """What a job held in an attempt that has ended, seconds."""

    job: int
    n: int
    start_s: float
    end_s: float


class _Group:
    """The usage of the values of a column, with a half-life, up to a time.

    The usage of ended runs is kept by value and decays as a whole, which is exact because decay is
    exponential; each run is added once.
    """

    def __init__(self, codes: Ints, half_life_s: float) -> None:
        self.codes, self.half_life_s = codes, half_life_s
        self._used = np.zeros(int(codes.max(initial=-1)) + 1)
        self._counted_s = 0.0
        self._n_runs = 0

    def count(self, runs: list[_Run], now: float) -> Floats:
        """Return the usage of ended runs by value at a time, accelerator-seconds."""
        self._used *= decay(now - self._counted_s, self.half_life_s)
        self._used += self.of(runs[self._n_runs :], now)
        self._counted_s, self._n_runs = now, len(runs)
        return self._used

    def of(self, runs: list[_Run], now: float) -> Floats:
        """Return the usage of some runs by value at a time."""
        if not runs:
            return np.zeros(len(self._used))
        job, n, start_s, end_s = np.array(runs, dtype=np.float64).T
        used = usage_of_runs(start_s, end_s, n, now, self.half_life_s)
        values = self.codes[job.astype(np.int64)]
        total: Floats = np.bincount(values, used, minlength=len(self._used)).astype(np.float64)
        return total


class UsageLog:
    """The attempts of all queues of a run, for policies with ``tracks_usage``.

    Examples
    --------
    Job 0 of ann holds 8 accelerators from 0 to 60 s. One minute later half of that counts:

    >>> from clustersim.scheduling import example_queue
    >>> queue, log = example_queue(), UsageLog()
    >>> log.watch(queue)
    >>> queue.start_anywhere(0)
    True
    >>> queue.now = 60.0
    >>> queue.release(0, queue.partitions[0], started=0.0)
    >>> log.usage(np.array([0, 1]), "user", 0.0, now=60.0).tolist()
    [480.0, 0.0]
    """

    def __init__(self) -> None:
        self._queues: list[Queue] = []
        self._runs: list[_Run] = []
        self._groups: dict[tuple[str, float], _Group] = {}

    def watch(self, queue: Queue) -> None:
        """Note what jobs of a queue hold from now on."""

        def released(job: int, started: float) -> None:
            self._runs.append(_Run(job, queue.size_of(job), started, queue.now))

        self._queues.append(queue)
        queue.when_released = released

    def usage(self, jobs: Ints, by: str, half_life_s: float, now: float) -> Floats:
        """Return what the values of jobs in a column have used, accelerator-seconds.

        Parameters
        ----------
        jobs : int array (jobs,)
        by : str
            A column of the jobs table.
        half_life_s : float
            Time after which half of it counts, seconds; 0 or infinite: all of it counts forever.
        now : float
            Seconds.
        """
        group = self._groups.get((by, half_life_s))
        if group is None:
            values = pd.Series(self._queues[0].jobs.columns[by]).astype(object)
            codes = pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64)
            group = self._groups[by, half_life_s] = _Group(codes, half_life_s)
        running = [
            _Run(job, queue.size_of(job), at.start_s, now)
            for queue in self._queues
            for job, at in queue.running.items()
        ]
        used = group.count(self._runs, now) + group.of(running, now)
        found: Floats = used[group.codes[jobs]]
        return found
