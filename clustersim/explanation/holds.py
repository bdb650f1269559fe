"""Until when other jobs, an earliest time or an array kept jobs out of their queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.engine.attempts import StopCause
from clustersim.engine.gates import Gates
from clustersim.engine.limits import Limits
from clustersim.explanation.causes import Cause
from clustersim.explanation.state import RunState
from clustersim.scheduling import JobColumns
from clustersim.scheduling.policies.quota_jobs import QUEUE_COLUMNS
from clustersim.simulation.dependencies import Dependencies
from clustersim.simulation.entry_limits import EntryLimits
from clustersim.simulation.run_jobs import limits_of
from clustersim.simulation.tables import STOPS
from clustersim.units import counted, format_duration

__all__ = ["HELD", "Holds", "holds_of"]

HELD = (Cause.DEPENDENCY, Cause.NOT_BEFORE, Cause.ARRAY_LIMIT, Cause.LIMIT)
"""The causes that hold a job outside its queue, one after the other."""
_STOP, _END, _RENEW, _COMES, _START = range(5)
"""What happens first at one instant: jobs stop and end, budgets are renewed, then jobs come."""
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Holds:
    """Until when each job was held.

    Attributes
    ----------
    ended_s, done_s : float64 arrays (jobs,)
        When each job ended, and when it was done, seconds; infinite if it did not or was not.
    after_s : float64 array (jobs,)
        When each job no longer waited for others, seconds; infinite if it always did.
    opens_s : float64 array (jobs,)
        Its earliest time, seconds; 0 without one.
    enters_s : float64 array (jobs,)
        When it entered its queue, seconds; infinite if it did not. After `after_s` and `opens_s`,
        only limits held it.
    limit : mapping of int to str
        The limit that held a job, by job; those without one were held by that of their array.
    admitted_by : mapping of int to int
        Job whose end let a job in, by job.
    depend : Dependencies
        What holds the jobs.
    """

    ended_s: Floats
    done_s: Floats
    after_s: Floats
    opens_s: Floats
    enters_s: Floats
    limit: Mapping[int, str]
    admitted_by: Mapping[int, int]
    depend: Dependencies

    def until_s(self, rows: Ints, begin_s: Floats, end_s: Floats) -> list[Floats]:
        """Return until when each of `HELD` held jobs in their first waits, seconds.

        Parameters
        ----------
        rows : int array (waits,)
            The jobs.
        begin_s, end_s : float64 arrays (waits,)
            The waits, seconds.
        """
        found, now_s = [], begin_s
        of_array = np.zeros(len(self.enters_s))
        tasks = [row for row in self.depend.arrays if row not in self.limit]
        of_array[tasks] = self.enters_s[tasks]
        for until_s in (self.after_s, self.opens_s, of_array, self.enters_s):
            now_s = np.clip(until_s[rows], now_s, end_s)
            found.append(now_s)
        return found

    def binding(self, row: int, cause: int) -> int:
        """Return the job that held a job the longest; -1 if it was none."""
        if cause == Cause.DEPENDENCY:
            return max(self._others(row), key=lambda other: (self._until_s(row, other), other))
        return -1 if cause == Cause.NOT_BEFORE else self.admitted_by.get(row, -1)

    def detail(self, jobs: pd.DataFrame, row: int, cause: int) -> str:
        """Return a text on what held a job.

        Parameters
        ----------
        jobs : pandas.DataFrame
            Jobs of the result.
        row : int
        cause : int
            One of `HELD`.
        """
        since_s = float(jobs["submit_s"].iloc[row])
        if cause == Cause.NOT_BEFORE:
            after = format_duration(float(self.opens_s[row]) - since_s)
            return f"not before {after} after its submission (not_before_s)"
        other = self.binding(row, cause)
        name = f"job {jobs['job_id'].iloc[other]}" if other >= 0 else ""
        if cause in (Cause.ARRAY_LIMIT, Cause.LIMIT):
            limit = self.limit.get(row, "jobs before it wait for a limit")
            if cause == Cause.ARRAY_LIMIT:
                array, most = self.depend.arrays[row]
                limit = f"array {array} runs at most {counted(int(most), 'task')} at a time"
            if name:
                return f"{limit}; the end of {name} let it in"
            if np.isfinite(self.enters_s[row]) and self.enters_s[row] > since_s:
                after = format_duration(float(self.enters_s[row]) - since_s)
                return f"{limit}, until {after} after its submission"
            return limit
        column = "after_any" if other in self.depend.after.get(row, _NONE) else "after_ok"
        if np.isfinite(self._until_s(row, other)):
            ended = format_duration(float(self.ended_s[other]) - since_s)
            until = f"until {ended} after its submission"
        elif np.isfinite(self.ended_s[other]):
            until = "which was cancelled"
        else:
            until = "which had not ended when the run did"
        n = len(self._others(row))
        several = f", the last of {n:,} jobs" if n > 1 else ""
        return f"dependency on {name} ({column}){several}, {until}"

    def _others(self, row: int) -> frozenset[int]:
        return self.depend.after.get(row, _NONE) | self.depend.after_ok.get(row, _NONE)

    def _until_s(self, row: int, other: int) -> float:
        ok = other in self.depend.after_ok.get(row, _NONE)
        return float(self.done_s[other] if ok else self.ended_s[other])


def holds_of(state: RunState) -> Holds | None:
    """Return until when jobs were held; None if nothing holds jobs of the run.

    Parameters
    ----------
    state : RunState
    """
    depend = Dependencies.of(state.jobs)
    if depend is None and state.quotas is None:
        return None
    entry, columns = _entry_limits(state)
    if depend is None and entry is None:
        return None
    depend = Dependencies({}, {}, {}, {}) if depend is None else depend
    jobs = state.jobs
    done_s = jobs["finish_s"].to_numpy(dtype=np.float64, na_value=np.inf)
    ended_s = done_s.copy()
    cancelled = (state.stopped == STOPS[StopCause.CANCELLED]).to_numpy(dtype=bool)
    attempts = state.ranges.iloc[state.first_rows[cancelled]]
    rows = pd.Index(jobs["job_id"]).get_indexer(pd.Index(attempts["job_id"]))
    ended_s[rows] = attempts["end_s"].to_numpy(dtype=np.float64)
    after_s, opens_s = depend.until_s(ended_s, done_s)
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    enters_s = np.maximum.reduce([submit_s, after_s, opens_s])
    admitted_by: dict[int, int] = {}
    limit: dict[int, str] = {}
    if depend.arrays or entry is not None:
        runnable = np.flatnonzero(state.choice_of >= 0)
        limits = depend.limits(runnable)
        if entry is not None and state.rules is not None:
            limits = entry.limits(limits, state.rules.rank_held(columns, state.partitions))
        gates, why = Gates(limits, columns), dict[int, str]()
        tasks = np.array(sorted({*limits.of_job, *limits.ways, *limits.budgets}), dtype=np.int64)
        enters_s[runnable[tasks]] = np.inf
        times = submit_s[runnable], ended_s[runnable], done_s[runnable]
        charges = _charges(state, runnable, limits)
        for job, time_s in _admissions(
            gates, limits, *times, charges, why, sizes=state.elastic is not None
        ):
            enters_s[runnable[job]] = time_s
        started_s = jobs["start_s"].to_numpy(dtype=np.float64, na_value=np.inf)
        enters_s = np.minimum(enters_s, np.maximum(started_s, submit_s))
        limit = {row: _named(state, row, why[job]) for job in why for row in [int(runnable[job])]}
        admitted_by = {
            int(runnable[job]): int(runnable[by]) for job, by in gates.admitted_by.items()
        }
    return Holds(ended_s, done_s, after_s, opens_s, enters_s, limit, admitted_by, depend)


def _named(state: RunState, row: int, why: str) -> str:
    """Return the limit that is in use, with the name of the job's queue if it is a quota."""
    if why.startswith("the budget of"):
        return why.removesuffix(", it renews later")
    if not why.startswith("its queue"):
        return f"limit of {why}"
    by = None if state.quotas is None else state.quotas.file.by
    column = by or next(name for name in QUEUE_COLUMNS if name in state.jobs)
    return f"quota of queue {state.jobs[column].iloc[row]} is in use"


def _entry_limits(state: RunState) -> tuple[EntryLimits | None, JobColumns]:
    """Return the limits of quotas that hold jobs outside their queues, and the jobs' columns."""
    rows = np.flatnonzero(state.choice_of >= 0)
    estimate_s = [of_pool[rows].tolist() for of_pool in state.estimates]
    columns = JobColumns(
        state.sizes[rows].tolist(),
        estimate_s,
        list(state.choices),
        state.choice_of[rows].tolist(),
        {str(name): state.jobs[name].to_numpy()[rows] for name in state.jobs.columns},
        elastic=None if state.elastic is None else state.elastic.of_jobs(rows),
    )
    quotas = state.quotas
    if quotas is None or state.rules is None:
        return None, columns
    found = limits_of(quotas, columns, state.partitions, state.rules)
    return (found if found.ways or found.budgets else None), replace(columns, choices=found.choices)


def _charges(
    state: RunState, runnable: npt.NDArray[np.intp], limits: Limits
) -> list[tuple[float, int, int, float]]:
    """Return when jobs start and stop that are charged for it: time, what, job, amount.

    Jobs with budgets are, and those with limits if jobs can have several sizes. The amount is the
    number of accelerators of a start, 1 for a stop after which the job waits again, else 0. A job
    that saves its state to grow is charged for its new size only from its next start on.
    """
    charged = {*limits.budgets, *(() if state.elastic is None else limits.ways)}
    if not charged:
        return []
    ranges = state.ranges.iloc[state.first_rows]
    n = np.bincount(state.attempt_of, state.ranges["n_accelerators"].to_numpy(dtype=np.float64))
    rows = pd.Index(state.jobs["job_id"]).get_indexer(pd.Index(ranges["job_id"]))
    start_s, end_s = (ranges[name].to_numpy(dtype=np.float64) for name in ("start_s", "end_s"))
    same_job = np.r_[rows[1:] == rows[:-1], False][: len(rows)]
    waits_again = same_job & (np.r_[start_s[1:], np.inf][: len(rows)] > end_s)
    job_of = np.full(len(state.jobs), -1, dtype=np.int64)
    job_of[runnable] = np.arange(len(runnable))
    found = []
    for at, job in enumerate(job_of[rows].tolist()):
        if job in charged:
            found.append((float(start_s[at]), _START, job, float(n[at])))
            found.append((float(end_s[at]), _STOP, job, float(waits_again[at])))
    periods = {budget.period_s for own in limits.budgets.values() for budget in own}
    for period_s in sorted(periods - {np.inf}):
        times = (number * period_s for number in range(1, int(state.end_s // period_s) + 1))
        found += [(time_s, _RENEW, -1, period_s) for time_s in times]
    return found


def _admissions(
    gates: Gates,
    limits: Limits,
    submit_s: Floats,
    ended_s: Floats,
    done_s: Floats,
    charges: Iterable[tuple[float, int, int, float]],
    why: dict[int, str],
    *,
    sizes: bool,
) -> Iterator[tuple[int, float]]:
    """Yield the jobs that limits hold, with the time at which they enter their queues.

    `charges` are those of :func:`_charges`. What holds jobs other than an array is written to
    `why`.
    """
    waits = {**limits.after, **limits.after_ok}
    held = {*limits.of_job, *limits.ways, *limits.budgets, *waits, *limits.not_before_s}
    others = {
        other for each in (limits.after, limits.after_ok) for w in each.values() for other in w
    }
    events = [(float(submit_s[job]), _COMES, job, 0.0) for job in held]
    events += [(time_s, _COMES, job, 0.0) for job, time_s in limits.not_before_s.items()]
    ends = (job for job in held | others if ended_s[job] < np.inf)
    events += [(float(ended_s[job]), _END, job, 0.0) for job in ends]
    events += charges
    inside: set[int] = set()
    for time_s, what, job, amount in sorted(events):
        entered: list[int] = []
        if what == _START:
            if job in limits.budgets:
                gates.start(job, time_s, int(amount), limits.time_s[job])
            if sizes and gates.resize(job, int(amount)):
                entered = gates.freed(job, time_s)
        elif what == _STOP:
            gates.stop(job, time_s)
            if sizes and amount and gates.wait_again(job):
                entered = gates.freed(job, time_s)
        elif what == _RENEW:
            for budget in [each for each in gates.renewals() if each.period_s == amount]:
                entered += gates.renewed(budget, time_s)
        elif what == _END:
            entered = gates.end(job, time_s, done=bool(done_s[job] < np.inf))
        elif job not in inside and gates.admits(job, time_s):
            entered = [job]
        elif job not in inside:
            text = gates.why(job, time_s)
            if text and not text.startswith("array "):
                why[job] = text
        inside.update(entered)
        yield from ((each, time_s) for each in entered)
