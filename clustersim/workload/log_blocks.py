"""Weeks or days of a log, moved as whole blocks along the local clock.

Blocks are counted from the first submission, so all of them except the last one, which may be cut
off by the end of the log, are complete.  A move by a whole number of weeks keeps the time of day
and the day of the week of every job; a move by days keeps the time of day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S, WEEK_S, Calendar
from clustersim.workload.jobs import texts_of

__all__ = ["LogClock", "with_new_ids"]

MOST_MARKS = 4
"""Largest number of marks in the id of a copy."""


@dataclass(frozen=True, eq=False)
class LogClock:
    """The submissions of a log in local time.

    Attributes
    ----------
    calendar : Calendar
    local_s : float64 array (jobs,)
        Local submission times; see :meth:`~clustersim.calendar.Calendar.local_s`.
    first_s, span_s : float
        Local time of the first submission, and time from the first to the last one.

    Examples
    --------
    >>> from clustersim.calendar import UNDATED
    >>> clock = LogClock.of(pd.DataFrame({"submit_s": [0.0, 10 * 86400.0]}), UNDATED)
    >>> clock.weeks, clock.days
    (1, 10)
    """

    calendar: Calendar
    local_s: Floats
    first_s: float
    span_s: float

    def of_part(self, jobs: pd.DataFrame) -> LogClock:
        """Return the clock of jobs within the period of this log."""
        local_s = self.calendar.local_s(jobs["submit_s"].to_numpy(dtype=np.float64))
        return replace(self, local_s=local_s)

    @classmethod
    def of(cls, jobs: pd.DataFrame, calendar: Calendar) -> LogClock:
        """Return the clock of a jobs table, which is in order of submission."""
        local_s = calendar.local_s(jobs["submit_s"].to_numpy(dtype=np.float64))
        first_s = float(local_s.min()) if len(local_s) else 0.0
        span_s = float(local_s.max()) - first_s if len(local_s) else 0.0
        return cls(calendar, local_s, first_s, span_s)

    @property
    def weeks(self) -> int:
        """Number of complete weeks."""
        return int(self.span_s // WEEK_S)

    @property
    def days(self) -> int:
        """Number of complete days."""
        return int(self.span_s // DAY_S)

    def blocks(self, length_s: float) -> tuple[Ints, Floats]:
        """Return the block of each job, counted from 0, and its time since the block began."""
        since_s = self.local_s - self.first_s
        block = np.floor(since_s / length_s).astype(np.int64)
        return block, since_s - block * length_s

    def moved(self, rows: Ints, by_s: Floats, submit_s: Floats) -> Floats:
        """Return the submission times of jobs that are moved along the local clock.

        Parameters
        ----------
        rows : int64 array (moved jobs,)
            Rows of the jobs table.
        by_s : float64 array (moved jobs,)
            Local seconds by which each is moved; a job that is not moved keeps its exact time.
        submit_s : float64 array (jobs,)
            Submission times of the jobs table.
        """
        times_s = submit_s[rows].copy()
        away = by_s != 0
        if away.any():
            times_s[away] = self.calendar.times_of(self.local_s[rows[away]] + by_s[away])
        return times_s

    def rotated(self, rows: Ints, steps: Ints, submit_s: Floats) -> Floats:
        """Return the submission times of jobs that are moved by whole blocks within the log.

        A job that would leave the log at its end enters it again at its start.  The blocks are
        weeks if the log has two or more, else days if it has two or more; otherwise no job moves.

        Parameters
        ----------
        rows : int64 array (moved jobs,)
            Rows of the jobs table.
        steps : int64 array (moved jobs,)
            Number of blocks by which each is moved.
        submit_s : float64 array (jobs,)
            Submission times of the jobs table.
        """
        length_s = WEEK_S if self.weeks >= 2 else DAY_S
        block, within_s = self.blocks(length_s)
        full = int(self.span_s // length_s)
        if full < 2:
            return submit_s[rows]
        count = full + (within_s[rows] <= self.span_s - full * length_s)
        target = (block[rows] + steps) % count
        by_s: Floats = (target - block[rows]).astype(np.float64) * length_s
        return self.moved(rows, by_s, submit_s)


def with_new_ids(jobs: pd.DataFrame, again: Ints, mark: str) -> pd.DataFrame:
    """Return a jobs table in which jobs that occur more than once have different ids.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Copies have the id of their original.
    again : int64 array (jobs,)
        0 for a job that keeps its id, k for its k-th copy.
    mark : str
        Comes between the id and k; it is repeated if the log has such ids already.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [7, 8, 7]})
    >>> with_new_ids(jobs, np.array([0, 0, 1]), "~")["job_id"].tolist()
    ['7', '8', '7~1']
    """
    copies = np.asarray(again, dtype=np.int64)
    if not copies.any():
        return jobs
    ids = texts_of(jobs["job_id"])
    numbers = copies.astype(str).astype(object)
    own = mark
    while True:
        named = np.where(copies > 0, ids + own + numbers, ids)
        if len(own) > len(mark) * MOST_MARKS or pd.Index(named).is_unique:
            return jobs.assign(job_id=named)
        own += mark
