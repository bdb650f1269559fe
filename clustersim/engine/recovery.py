"""Checkpoints and restarts: how much work a stopped job keeps and loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from clustersim.array_types import Floats
from clustersim.engine.storage_use import StorageUse

__all__ = ["NO_CHECKPOINTS", "Checkpoints", "Progress", "Recovery"]


class Progress(NamedTuple):
    """How the time of one attempt of a job was used, in seconds; the parts add up to its duration.

    Attributes
    ----------
    kept_s : float
        Time for work that is not lost.
    lost_s : float
        Time for work after the last checkpoint, which must be repeated.
    checkpoint_s : float
        Time in which the job is blocked by checkpoints.
    restart_s : float
        Time from the previous failure to the first step: detection, scheduling, loading.
    slow_s : float
        Extra time because of slow nodes.
    network_s : float
        Extra time because of the position of the job's nodes in the network and of other jobs.
    storage_s : float
        Extra time because other jobs use the storage, too.
    """

    kept_s: float
    lost_s: float
    checkpoint_s: float
    restart_s: float
    slow_s: float = 0.0
    network_s: float = 0.0
    storage_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How one job saves its state on one pool.

    Attributes
    ----------
    interval_s : float
        Work between checkpoints, seconds; infinite for a job without checkpoints.
    cost_s : float
        Time for which each checkpoint blocks the job, seconds.
    restart_s : float
        Time from a restart to the first step, seconds.
    write_s : float
        Time after a checkpoint until it can be used, seconds; the job continues while it is
        written.
    load_s : float
        Last part of `restart_s`, in which the job reads from storage that it shares, seconds.
    load_bytes : float
        What it reads then.

    If the job shares storage, `cost_s`, `write_s` and `load_s` are the times that it would take
    alone.
    """

    interval_s: float = math.inf
    cost_s: float = 0.0
    restart_s: float = 0.0
    write_s: float = 0.0
    load_s: float = 0.0
    load_bytes: float = 0.0

    def wall_s(self, work_s: float, *, again: bool) -> float:
        """Return the duration of an attempt that is not stopped.

        Parameters
        ----------
        work_s : float
            Work that is left, seconds.
        again : bool
            Whether the job was stopped before.
        """
        restart_s = self.restart_s if again else 0.0
        return restart_s + work_s + self.cost_s * self.count(work_s)

    def progress(
        self,
        elapsed_s: float,
        work_s: float,
        *,
        again: bool,
        saved: bool,
        in_time_s: float | None = None,
    ) -> Progress:
        """Return how the time of a stopped attempt was used.

        Parameters
        ----------
        elapsed_s : float
            Time since its start, seconds.
        work_s : float
            Work that was left at its start, seconds.
        again : bool
            Whether the job had been stopped before.
        saved : bool
            Whether it could save its state before it was stopped, so that no work is lost.
        in_time_s : float, optional
            Elapsed time of which all checkpoints can be used; by default `write_s` less than all.
        """
        restart_s = min(elapsed_s, self.restart_s) if again else 0.0
        running_s = elapsed_s - restart_s
        if math.isinf(self.interval_s):
            work, written, checkpoint_s = running_s, 0.0, 0.0
        else:
            count, cycle_s = self.count(work_s), self.interval_s + self.cost_s
            cycles = min(int(running_s // cycle_s), count)
            since_s = running_s - cycles * cycle_s
            # Time beyond the interval belongs to a checkpoint that was begun but not completed.
            standing_s = max(0.0, since_s - self.interval_s) if cycles < count else 0.0
            checkpoint_s = cycles * self.cost_s + standing_s
            work = running_s - checkpoint_s
            until_s = elapsed_s - self.write_s if in_time_s is None else in_time_s
            in_time = max(0.0, until_s - restart_s)
            written = min(int(in_time // cycle_s), cycles) * self.interval_s
        kept_s = work if saved else written
        return Progress(kept_s, work - kept_s, checkpoint_s, restart_s)

    def whole(self, work_s: float, *, again: bool) -> Progress:
        """Return how an attempt that completed its job used its time."""
        checkpoint_s = self.cost_s * self.count(work_s)
        return Progress(work_s, 0.0, checkpoint_s, self.restart_s if again else 0.0)

    def count(self, work_s: float) -> int:
        """Return the number of checkpoints in `work_s` seconds of work; none is made at the end."""
        if math.isinf(self.interval_s) or work_s <= self.interval_s:
            return 0
        return math.ceil(work_s / self.interval_s - _ROUNDING) - 1


NO_CHECKPOINTS = Checkpoints()
_ROUNDING = 1e-9
"""Tolerance as a share of an interval; the work left is a product of shares, so it is inexact."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How all jobs of a run save their state and restart.

    Attributes
    ----------
    interval_s : sequence of sequence of float
        Work between checkpoints by pool and job, seconds.
    cost_s : sequence of float (jobs,)
        Time for which a checkpoint blocks each job, seconds.
    restart_s : sequence of float (jobs,)
        Time from a restart of each job to its first step, seconds.
    write_s : sequence of float (jobs,), optional
        Time after a checkpoint of each job until it can be used, seconds; 0 by default.
    at_first : bool
        Whether the first start of a job takes the time of a restart, too.
    storage : StorageUse, optional
        What jobs write to and read from storage that they share. Its times replace `cost_s` and
        `write_s`, and loading the state comes on top of `restart_s`.
    """

    interval_s: Sequence[Sequence[float]]
    cost_s: Sequence[float]
    restart_s: Sequence[float]
    write_s: Sequence[float] | None = None
    at_first: bool = False
    storage: StorageUse | None = None

    def of_jobs(self, rows: Sequence[int]) -> Recovery:
        """Return the recovery settings of only the jobs at `rows`."""

        def chosen(values: Sequence[float]) -> list[float]:
            return [values[row] for row in rows]

        return Recovery(
            [chosen(column) for column in self.interval_s],
            chosen(self.cost_s),
            chosen(self.restart_s),
            None if self.write_s is None else chosen(self.write_s),
            self.at_first,
            None if self.storage is None else self.storage.of_jobs(rows),
        )

    def standing_s(self, work_s: Floats) -> Floats:
        """Return the seconds that each job needs besides its work, if it is never stopped.

        Checkpoints block it, and it may read from shared storage first; shape (pools, jobs).
        """
        pools, jobs = work_s.shape
        interval_s = np.array([column[:jobs] for column in self.interval_s[:pools]])
        with np.errstate(invalid="ignore"):
            count = np.ceil(work_s / interval_s - _ROUNDING) - 1.0
        count = np.where(np.isfinite(interval_s) & np.isfinite(work_s), np.maximum(count, 0.0), 0.0)
        cost_s, first_s = np.array(self.cost_s[:jobs]), np.zeros(jobs)
        if self.storage is not None:
            cost_s = np.array([column[:jobs] for column in self.storage.cost_s])
            first_s = np.array([column[:jobs] for column in self.storage.first_s])
        standing: Floats = count * cost_s + first_s
        return standing

    def of(self, job: int, pool: int, n: int | None = None, *, saved: bool = True) -> Checkpoints:
        """Return the checkpoint settings of a job on a pool.

        Parameters
        ----------
        job, pool : int
        n : int, optional
            Number of accelerators; by default those for which it asks.
        saved : bool
            Whether there is a state of the job to load when it restarts.
        """
        interval_s = self.interval_s[pool][job]
        if self.storage is None:
            write_s = 0.0 if self.write_s is None else self.write_s[job]
            return Checkpoints(interval_s, self.cost_s[job], self.restart_s[job], write_s)
        use = self.storage
        times = use.times(job, pool, use.n_accelerators[job] if n is None else n)
        load_s, size = times.load_s, use.size_bytes[job]
        if not saved:
            load_s, size = times.first_s, use.first_bytes[job]
        restart_s = self.restart_s[job] + load_s
        return Checkpoints(interval_s, times.cost_s, restart_s, times.write_s, load_s, size)

    def first(self, job: int, pool: int, n: int) -> Checkpoints | None:
        """Return the settings of a job that reads from shared storage when it first starts.

        The read takes the place of a restart. None if the job reads nothing.
        """
        if self.storage is None or not self.storage.first_bytes[job]:
            return None
        usual = self.of(job, pool, n, saved=False)
        return usual if self.at_first else replace(usual, restart_s=usual.load_s)

    def restart_of(self, job: int, pool: int) -> float:
        """Return the time from a restart of a job on a pool to its first step, seconds."""
        if self.storage is None:
            return self.restart_s[job]
        return self.of(job, pool).restart_s
