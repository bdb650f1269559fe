"""A case under a policy, with mechanisms of the site granted: what a replay of it takes from a log.

Mechanisms can be granted together.  Those that change the cluster or the time limits change the
case; the others are fields of `Setting`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import DAY_S, WEEK_S
from clustersim.scheduling import Policy
from clustersim.validation.case import Case
from clustersim.validation.granted import Closable, in_order, with_capacity, with_ceilings
from clustersim.validation.replays import replayed

__all__ = ["Ceilings", "ClosedHours", "Closures", "Setting", "first_open_s"]

_HOUR_S = 3600.0
_ROUNDS, _MORE_ROUNDS = 6, 2
"""How often jobs that would start in a closed hour are submitted again: at first, and on top of
submissions that were already moved."""


@dataclass(frozen=True, eq=False)
class Closures:
    """Accelerators that were closed to jobs, over time.

    Attributes
    ----------
    change_s : float64 array (changes,)
        Times from which the numbers hold; at the last one nothing is closed.
    closed : dict of str to int64 array (changes,)
        By part of the cluster, as `Case.capacity`.
    """

    change_s: Floats
    closed: dict[str, Ints]

    def at(self, part: Ints, time_s: Floats) -> Ints:
        """Return what is closed in a part of the cluster at each time; arrays of one shape.

        Examples
        --------
        >>> plan = Closures(np.array([0.0, 50.0]), {"": np.array([6, 0])})
        >>> plan.at(np.array([0, 0]), np.array([10.0, 50.0])).tolist()
        [6, 0]
        """
        numbers = np.stack([np.append(0, own) for own in self.closed.values()])
        found: Ints = numbers[part, np.searchsorted(self.change_s, time_s, side="right")]
        return found


@dataclass(frozen=True, eq=False)
class Ceilings:
    """Limits on what each group of jobs has at once; see `with_ceilings` for the fields."""

    group: Ints
    limits: tuple[tuple[Ints, Floats], ...]
    passing: bool


@dataclass(frozen=True, eq=False)
class ClosedHours:
    """Hours of the week in which jobs may not start.

    Attributes
    ----------
    level : int64 array (jobs,)
        Class of each job.
    table : bool array (classes, 168)
        Hours that are closed to each class.
    submit_s : float64 array (jobs,), optional
        Submissions that are already moved out of these hours (seconds).
    """

    level: Ints
    table: Bools
    submit_s: Floats | None = None

    def closed(self, case: Case, job: Ints, time_s: Floats) -> Bools:
        """Return whether the hour of each time is closed to a job; `time_s` is (jobs, times)."""
        at = case.calendar.hour_of_week(time_s.ravel()).reshape(time_s.shape)
        found: Bools = self.table[self.level[job][:, None], at]
        return found


@dataclass(frozen=True, eq=False)
class Setting:
    """A case under a policy, with what is granted.

    Attributes
    ----------
    case : Case
    policy : str
    order_s : float64 array (jobs,), optional
        Jobs start in the order of these numbers, and the policy is ignored.
    ceilings : Ceilings, optional
    closures : Closures, optional
    ready_s : float64 array (jobs,), optional
        Time before which a job may not start (seconds).
    hours : ClosedHours, optional
    """

    case: Case
    policy: str
    order_s: Floats | None = None
    ceilings: Ceilings | None = None
    closures: Closures | None = None
    ready_s: Floats | None = None
    hours: ClosedHours | None = None

    def outcome(self) -> tuple[Floats, Setting]:
        """Return the simulated starts (seconds), and the setting for a replay with more granted.

        The setting keeps the submissions that were moved out of closed hours.
        """
        case = self.case
        submit_s = case.submit_s if self.ready_s is None else self.ready_s
        if self.hours is None:
            return self._starts(submit_s), self
        moved = self.hours.submit_s
        submit_s = submit_s if moved is None else np.maximum(submit_s, moved)
        submit_s, start_s = self._held(submit_s, _ROUNDS if moved is None else _MORE_ROUNDS)
        return start_s, replace(self, hours=replace(self.hours, submit_s=submit_s))

    def _held(self, submit_s: Floats, rounds: int) -> tuple[Floats, Floats]:
        """Return submissions and starts if jobs are held in hours that are closed to them.

        A job that would start in a closed hour is submitted again in the next open one; this is
        repeated until nearly none does.
        """
        assert self.hours is not None
        case, level, table = self.case, self.hours.level, self.hours.table
        submit_s = first_open_s(case, submit_s, level, table)
        start_s = self._starts(submit_s)
        for _ in range(rounds):
            wrong = np.zeros(len(start_s), dtype=bool)
            known = np.flatnonzero(np.isfinite(start_s))
            wrong[known] = table[level[known], case.calendar.hour_of_week(start_s[known])]
            if not wrong.any():
                break
            submit_s = np.where(wrong, start_s, submit_s)
            submit_s = first_open_s(case, submit_s, level, table)
            start_s = self._starts(submit_s)
        return submit_s, start_s

    def _starts(self, submit_s: Floats) -> Floats:
        """Return the starts of the jobs if they are submitted at given times."""
        jobs = self.case.jobs.assign(submit_s=submit_s)
        n_jobs = len(jobs)
        if self.closures is not None:
            jobs = pd.concat([jobs, self._wakes(self.closures)], ignore_index=True)
        order = np.argsort(jobs["submit_s"].to_numpy(), kind="stable")
        if self.closures is not None:
            jobs = jobs.iloc[order].reset_index(drop=True).assign(job_id=np.arange(len(order)))
        else:
            jobs = jobs.iloc[order].reset_index(drop=True)
        policy = self._policy(order, n_jobs)
        placement = None if self.closures is None else Closable
        found = np.empty(len(order))
        found[order] = replayed(self.case, policy, jobs=jobs, placement=placement)
        return found[:n_jobs]

    def _policy(self, order: Ints, n_jobs: int) -> str | type[Policy]:
        """Return the policy with what is granted; `order` are the rows in order of submission."""
        if self.order_s is None and self.ceilings is None and self.closures is None:
            return self.policy
        is_job = order < n_jobs
        row = np.where(is_job, order, 0)
        policy = self.case.policy(self.policy)
        if self.order_s is not None:
            policy = in_order(self.order_s[row])
        if self.ceilings is not None:
            own = self.ceilings
            limits = [(weight[row], most) for weight, most in own.limits]
            group = np.where(is_job, own.group[row], -1)
            policy = with_ceilings(policy, group, limits, passing=own.passing)
        if self.closures is not None:
            wakes = set(np.flatnonzero(~is_job).tolist())
            policy = with_capacity(policy, self.closures.change_s.tolist(), self._closed(), wakes)
        return policy

    def _closed(self) -> dict[tuple[int, str], tuple[int, list[int]]]:
        """Return the part of each place of the cluster, and what is closed in it."""
        assert self.closures is not None
        case, numbers = self.case, list(self.closures.closed.values())
        return {
            (place.pool, place.virtual_cluster): (part, numbers[part].tolist())
            for place, part in zip(
                case.places, case.sharing.part_of_place.tolist(), strict=True
            )
        }  # fmt: skip

    def _wakes(self, plan: Closures) -> pd.DataFrame:
        """Return jobs of no length at each change, in each part, so that there is a pass then."""
        case = self.case
        _, first = np.unique(case.share, return_index=True)  # a job that may use each part
        rows = np.repeat(first, len(plan.change_s))
        wakes = case.jobs.iloc[rows].assign(
            submit_s=np.tile(plan.change_s, len(first)), n_accelerators=1, duration_s=0.0
        )
        return wakes.assign(estimate_s=0.0) if "estimate_s" in wakes else wakes


def first_open_s(case: Case, time_s: Floats, level: Ints, table: Bools) -> Floats:
    """Return the first time from a time on in a local hour that is open to each job.

    Parameters
    ----------
    case : Case
    time_s : float64 array (jobs,)
    level, table : arrays
        As in `ClosedHours`.
    """
    found = time_s.copy()
    edges_s = case.calendar.hour_edges_s(float(found.max(initial=0.0)) + WEEK_S + DAY_S)
    waits = np.flatnonzero(table[level].any(axis=1) & ~table[level].all(axis=1))
    for _ in range(int(WEEK_S / _HOUR_S)):
        waits = waits[table[level[waits], case.calendar.hour_of_week(found[waits])]]
        if not len(waits):
            break
        found[waits] = edges_s[np.searchsorted(edges_s, found[waits], side="right")]
    return found
