"""What was run of which job, where and when: a job that is stopped has several attempts."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clustersim.engine.recovery import Progress

__all__ = ["AttemptLog", "Attempts", "single_attempts"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts in order of their start, a column an attribute.

    Attributes
    ----------
    job, partition : int64 arrays (attempts,)
    start_s, end_s : float64 arrays (attempts,)
        The end is NaN of one that still ran when the simulation ended.
    kept_s, lost_s, checkpoint_s, restart_s, slow_s : float64 arrays (attempts,)
        Where its time went, see :class:`~clustersim.engine.recovery.Progress`; of one that
        runs, so far.
    done : float64 array (attempts,)
        Share of the job's work that it did for good, or has done so far.
    """

    job: npt.NDArray[np.int64]
    partition: npt.NDArray[np.int64]
    start_s: Floats
    end_s: Floats
    kept_s: Floats
    lost_s: Floats
    checkpoint_s: Floats
    restart_s: Floats
    slow_s: Floats
    done: Floats


def single_attempts(
    start_s: Sequence[float],
    finish_s: Sequence[float],
    partition: Sequence[int],
    expected_s: Callable[[int], float],
    now: float,
) -> tuple[Attempts, npt.NDArray[np.int64]]:
    """Return the attempts of jobs that are never stopped, and the row of each job's.

    Parameters
    ----------
    start_s, finish_s : sequence of float (jobs,)
        NaN where it did not come to it.
    partition : sequence of int (jobs,)
        -1 of those that did not start.
    expected_s : callable
        How long a job runs where it was started.
    now : float
        When the simulation ended.

    Returns
    -------
    attempts : Attempts
        In order of job.
    row_of_job : int64 array (jobs,)
        -1 where there is none.
    """
    where = np.array(partition, dtype=np.int64)
    job = np.flatnonzero(where >= 0)
    row_of_job = np.full(len(where), -1, dtype=np.int64)
    row_of_job[job] = np.arange(len(job))
    start, end = np.array(start_s)[job], np.array(finish_s)[job]
    nothing = np.zeros(len(job))
    done = np.ones(len(job))
    runs = np.isnan(end)
    kept = np.where(runs, now, end) - start
    whole_s = np.array([expected_s(each) for each in job[runs].tolist()])
    done[runs] = (now - start[runs]) / whole_s
    split = (kept, nothing, nothing, nothing, nothing)
    return Attempts(job, where[job], start, end, *split, done), row_of_job


@dataclass(slots=True)
class AttemptLog:
    """Attempts as they begin and end."""

    _job: array[int] = field(default_factory=lambda: array("q"))
    _partition: array[int] = field(default_factory=lambda: array("q"))
    start_s: array[float] = field(default_factory=lambda: array("d"))
    _end_s: array[float] = field(default_factory=lambda: array("d"))
    _split: list[array[float]] = field(
        default_factory=lambda: [array("d") for _ in Progress._fields]
    )
    _done: array[float] = field(default_factory=lambda: array("d"))

    def begin(self, job: int, partition: int, now: float) -> int:
        """Note that a job starts; return the number of its attempt."""
        self._job.append(job)
        self._partition.append(partition)
        self.start_s.append(now)
        self._end_s.append(np.nan)
        for column in self._split:
            column.append(np.nan)
        self._done.append(0.0)
        return len(self._job) - 1

    def end(self, attempt: int, now: float, progress: Progress, done: float) -> None:
        """Note that an attempt ends, where its time went, and what share of the work it did."""
        self._end_s[attempt] = now
        self.note(attempt, progress, done)

    def note(self, attempt: int, progress: Progress, done: float) -> None:
        """Note where the time of an attempt went, and what share of its job's work it did."""
        self._done[attempt] = done
        for column, value in zip(self._split, progress, strict=True):
            column[attempt] = value

    def columns(self) -> Attempts:
        """Return what was noted, as arrays."""
        return Attempts(
            np.array(self._job, dtype=np.int64),
            np.array(self._partition, dtype=np.int64),
            *(np.array(column) for column in (self.start_s, self._end_s, *self._split, self._done)),
        )
