"""What holds jobs outside their queues: other jobs, arrays, and an earliest time.

Columns of a jobs table:

* ``after_any``: ids of jobs that must have ended before a job can start, with spaces, commas or
  colons between them;
* ``after_ok``: the same, and the job never runs if one of them is cancelled;
* ``array`` and ``array_limit``: the tasks of an array, of which at most so many are in the queue or
  run at a time;
* ``not_before_s``: time before which a job does not enter its queue, seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.engine.limits import Limits
from clustersim.errors import InputError, nearest_name, shown
from clustersim.notes import note
from clustersim.units import counted
from clustersim.workload.jobs import texts_of
from clustersim.workload.log_links import named_jobs

__all__ = ["Dependencies"]

COLUMNS = ("after_any", "after_ok", "array", "array_limit", "not_before_s")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What holds the jobs of a table, by their rows.

    Attributes
    ----------
    after, after_ok : mapping of int to set of int
        Rows of the jobs for which a job waits.
    arrays : mapping of int to (str, float)
        Array and its limit.
    not_before_s : mapping of int to float
        Seconds.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["sft", "rl"], "after_ok": ["", "sft"]})
    >>> Dependencies.of(jobs).after_ok
    {1: frozenset({0})}
    """

    after: Mapping[int, frozenset[int]]
    after_ok: Mapping[int, frozenset[int]]
    arrays: Mapping[int, tuple[str, float]]
    not_before_s: Mapping[int, float]

    @classmethod
    def of(cls, jobs: pd.DataFrame) -> Dependencies | None:
        """Return what holds the jobs of a table; None if nothing does.

        Raises
        ------
        InputError
            If a job waits for itself, for one that waits for it, or for an id that the table does
            not have, or a limit or a time is no number.
        """
        if not set(COLUMNS) & set(jobs.columns):
            return None
        after, after_ok = _others(jobs, "after_any"), _others(jobs, "after_ok")
        _check_circles(jobs, after, after_ok)
        found = cls(after, after_ok, _arrays(jobs), _times(jobs))
        return found if after or after_ok or found.arrays or found.not_before_s else None

    def never(self, never: Mapping[int, str], jobs: pd.DataFrame) -> dict[int, str]:
        """Return why jobs can never run that wait for jobs which can never run, by row.

        Parameters
        ----------
        never : mapping of int to str
            Why other jobs can never run, by row.
        jobs : pandas.DataFrame
        """
        ids = jobs["job_id"].tolist()
        found: dict[int, str] = {}
        more = True
        while more:
            more = False
            for waits in (self.after, self.after_ok):
                for row, others in waits.items():
                    gone = min((one for one in others if one in never or one in found), default=-1)
                    if gone >= 0 and row not in never and row not in found:
                        found[row] = f"it waits for job {ids[gone]}, which can never run"
                        more = True
        return found

    def until_s(self, ended_s: Floats, done_s: Floats) -> tuple[Floats, Floats]:
        """Return when jobs no longer wait for others, and their earliest times.

        Parameters
        ----------
        ended_s, done_s : float64 arrays (jobs,)
            When each job ended, and when it was done, seconds; infinite if it did not or was not.

        Returns
        -------
        after_s, opens_s : float64 arrays (jobs,)
            Seconds; 0 for a job without one, infinite for one that always waited for others.
        """
        after_s, opens_s = np.zeros(len(ended_s)), np.zeros(len(ended_s))
        for waits, end_s in ((self.after, ended_s), (self.after_ok, done_s)):
            for row, others in waits.items():
                after_s[row] = max(after_s[row], float(end_s[list(others)].max()))
        for row, time_s in self.not_before_s.items():
            opens_s[row] = time_s
        return after_s, opens_s

    def limits(self, rows: npt.NDArray[np.intp]) -> Limits:
        """Return the limits of the jobs at `rows`, as positions in it."""
        at = {int(row): position for position, row in enumerate(rows)}
        groups: list[tuple[str, float]] = []
        group_of: dict[str, int] = {}
        of_job = {}
        for row, (name, most) in self.arrays.items():
            if row in at:
                if name not in group_of:
                    group_of[name] = len(groups)
                    groups.append((f"array {name} runs at most {most:g} tasks at a time", most))
                of_job[at[row]] = [(group_of[name], 1.0)]

        def moved(waits: Mapping[int, frozenset[int]]) -> dict[int, frozenset[int]]:
            return {
                at[row]: frozenset(at[one] for one in others)
                for row, others in waits.items()
                if row in at
            }

        return Limits(
            groups,
            of_job,
            moved(self.after),
            moved(self.after_ok),
            {at[row]: time for row, time in self.not_before_s.items() if row in at},
        )


def _others(jobs: pd.DataFrame, column: str) -> dict[int, frozenset[int]]:
    """Return the rows of the jobs that a column names, by row."""
    if column not in jobs:
        return {}
    row_of = {str(name): row for row, name in enumerate(jobs["job_id"].tolist())}
    found, problems = {}, []
    for row, text in enumerate(texts_of(jobs[column]).tolist()):
        names = named_jobs(text)
        unknown = [name for name in names if name not in row_of]
        if unknown:
            near = nearest_name(unknown[0], row_of)
            hint = f"; did you mean {near!r}?" if near else ""
            own = jobs["job_id"].iloc[row]
            problems.append(f"{column}: job {own} waits for {unknown[0]!r}, which is no job{hint}")
        elif names:
            found[row] = frozenset(row_of[name] for name in names)
    if problems:
        raise InputError("jobs", problems[:3])
    return found


def _check_circles(jobs: pd.DataFrame, *waits: Mapping[int, frozenset[int]]) -> None:
    """Raise an error if jobs wait for each other."""
    left: dict[int, set[int]] = {}
    for each in waits:
        for row, others in each.items():
            left.setdefault(row, set()).update(others)
    while free := [row for row, others in left.items() if not others & left.keys()]:
        for row in free:
            del left[row]
    if left:
        ids = [str(jobs["job_id"].iloc[row]) for row in sorted(left)[:4]]
        raise InputError("jobs", f"after_ok, after_any: jobs wait for each other: {', '.join(ids)}")


def _arrays(jobs: pd.DataFrame) -> dict[int, tuple[str, float]]:
    """Return the array and its limit of each task whose array has a limit, by row.

    Raises
    ------
    InputError
        If a limit belongs to no array, or an array has two different limits.
    """
    names = texts_of(jobs["array"]).tolist() if "array" in jobs else [""] * len(jobs)
    limit_of: dict[str, float] = {}
    limits = _numbers(jobs, "array_limit", least=1.0) if "array_limit" in jobs else ()
    for row, limit in limits:
        name = names[row]
        if not name:
            problem = f"array_limit: job {jobs['job_id'].iloc[row]} is in no array (column array)"
            raise InputError("jobs", problem)
        if limit_of.setdefault(name, limit) != limit:
            both = f"{limit_of[name]:g} and {limit:g}"
            raise InputError("jobs", f"array_limit: array {name} has the limits {both}")
    if without := {name for name in names if name} - limit_of.keys():
        some = min(without)
        arrays = counted(len(without), "array")
        note(f"{arrays} without array_limit (such as {some}): all tasks may run at a time")
    return {
        row: (name, limit_of[name])
        for row, name in enumerate(names)
        if limit_of.get(name, float("inf")) < float("inf")
    }


def _times(jobs: pd.DataFrame) -> dict[int, float]:
    if "not_before_s" not in jobs:
        return {}
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    times = _numbers(jobs, "not_before_s", least=0.0, finite=True)
    return {row: time for row, time in times if time > submit_s[row]}


def _numbers(
    jobs: pd.DataFrame, column: str, *, least: float, finite: bool = False
) -> Iterator[tuple[int, float]]:
    """Yield the rows with a number and this number.

    Raises
    ------
    InputError
        If a cell is no number, or a number is too small.
    """
    values = pd.to_numeric(jobs[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = (np.isnan(values) & jobs[column].notna().to_numpy()) | (values < least)
    bad |= np.isposinf(values) & finite
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            "jobs",
            f"{column}: must be a number of at least {least:g}, found "
            f"{shown(jobs[column].iloc[row])} (job {jobs['job_id'].iloc[row]})",
        )
    for row in np.flatnonzero(~np.isnan(values)).tolist():
        yield row, float(values[row])
