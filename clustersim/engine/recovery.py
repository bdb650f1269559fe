"""What a stopped job has lost: checkpoints, and the way back to where it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["NO_CHECKPOINTS", "Checkpoints", "Progress", "Recovery"]


class Progress(NamedTuple):
    """Where the time of one attempt of a job went, seconds; together they are all of it.

    Attributes
    ----------
    kept_s : float
        Work that is done for good.
    lost_s : float
        Work after the last checkpoint, to be done again.
    checkpoint_s : float
        Standing still for checkpoints.
    restart_s : float
        From the failure before it to the first step: detection, scheduling, loading.
    slow_s : float
        What all of it took longer because of slow nodes.
    """

    kept_s: float
    lost_s: float
    checkpoint_s: float
    restart_s: float
    slow_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How one job saves its state on one pool.

    Attributes
    ----------
    interval_s : float
        Work between checkpoints, seconds; infinite for none.
    cost_s : float
        How long it stands still for each.
    restart_s : float
        How long it takes to go on after it was stopped.
    write_s : float
        How long after it a checkpoint is worth anything: the job goes on while it is written.
    """

    interval_s: float = math.inf
    cost_s: float = 0.0
    restart_s: float = 0.0
    write_s: float = 0.0

    def wall_s(self, work_s: float, *, again: bool) -> float:
        """How long an attempt lasts that is not stopped.

        Parameters
        ----------
        work_s : float
            Work that is left.
        again : bool
            Whether the job was stopped before.
        """
        restart_s = self.restart_s if again else 0.0
        return restart_s + work_s + self.cost_s * self._count(work_s)

    def progress(self, elapsed_s: float, work_s: float, *, again: bool, saved: bool) -> Progress:
        """Account for an attempt that was stopped.

        Parameters
        ----------
        elapsed_s : float
            Since it began.
        work_s : float
            Work that was left when it began.
        again : bool
            Whether the job had been stopped before.
        saved : bool
            Whether it could save its state before it was stopped: nothing is lost.
        """
        restart_s = min(elapsed_s, self.restart_s) if again else 0.0
        running_s = elapsed_s - restart_s
        if math.isinf(self.interval_s):
            work, written, checkpoint_s = running_s, 0.0, 0.0
        else:
            count, cycle_s = self._count(work_s), self.interval_s + self.cost_s
            cycles = min(int(running_s // cycle_s), count)
            since_s = running_s - cycles * cycle_s
            # What is longer than the interval is the begin of a checkpoint, which is worth nothing.
            standing_s = max(0.0, since_s - self.interval_s) if cycles < count else 0.0
            checkpoint_s = cycles * self.cost_s + standing_s
            work = running_s - checkpoint_s
            in_time = max(0.0, running_s - self.write_s)
            written = min(int(in_time // cycle_s), cycles) * self.interval_s
        kept_s = work if saved else written
        return Progress(kept_s, work - kept_s, checkpoint_s, restart_s)

    def whole(self, work_s: float, *, again: bool) -> Progress:
        """Account for an attempt that ended with the job."""
        checkpoint_s = self.cost_s * self._count(work_s)
        return Progress(work_s, 0.0, checkpoint_s, self.restart_s if again else 0.0)

    def _count(self, work_s: float) -> int:
        """Checkpoints of so much work; none at its end."""
        if math.isinf(self.interval_s) or work_s <= self.interval_s:
            return 0
        return math.ceil(work_s / self.interval_s - _ROUNDING) - 1


NO_CHECKPOINTS = Checkpoints()
_ROUNDING = 1e-9
"""Of an interval: what is left of a job is a share of its work, and not quite exact."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How all jobs of a run save their state and come back.

    Attributes
    ----------
    interval_s : sequence of sequence of float
        Work between checkpoints by pool and job, seconds.
    cost_s : sequence of float (jobs,)
        How long each job stands still for a checkpoint.
    restart_s : sequence of float (jobs,)
        How long each takes to go on after it was stopped.
    write_s : sequence of float (jobs,), optional
        How long after it a checkpoint of each is worth anything; by default at once.
    """

    interval_s: Sequence[Sequence[float]]
    cost_s: Sequence[float]
    restart_s: Sequence[float]
    write_s: Sequence[float] | None = None

    def of_jobs(self, rows: Sequence[int]) -> Recovery:
        """Return how the jobs at some rows save their state and come back."""

        def chosen(values: Sequence[float]) -> list[float]:
            return [values[row] for row in rows]

        return Recovery(
            [chosen(column) for column in self.interval_s],
            chosen(self.cost_s),
            chosen(self.restart_s),
            None if self.write_s is None else chosen(self.write_s),
        )

    def standing_s(self, work_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how long jobs stand still for checkpoints in so much work, (pools, jobs)."""
        pools, jobs = work_s.shape
        interval_s = np.array([column[:jobs] for column in self.interval_s[:pools]])
        with np.errstate(invalid="ignore"):
            count = np.ceil(work_s / interval_s - _ROUNDING) - 1.0
        count = np.where(np.isfinite(interval_s) & np.isfinite(work_s), np.maximum(count, 0.0), 0.0)
        standing: npt.NDArray[np.float64] = count * np.array(self.cost_s[:jobs])
        return standing

    def of(self, job: int, pool: int) -> Checkpoints:
        """Return the checkpoints of a job on a pool."""
        write_s = 0.0 if self.write_s is None else self.write_s[job]
        return Checkpoints(
            self.interval_s[pool][job], self.cost_s[job], self.restart_s[job], write_s
        )
