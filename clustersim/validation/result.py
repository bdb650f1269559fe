"""The result of a validation: how far each policy is from the log, and what explains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.calendar import Calendar
from clustersim.errors import InputError, check_kind
from clustersim.scenario.dates import time_s
from clustersim.scheduling import find_placement, find_policy
from clustersim.units import (
    counted,
    format_duration,
    format_percent,
    listed,
    parse_quantity,
)
from clustersim.validation.case import Case, case_of
from clustersim.validation.distance import given_comparison, statistics_of, wait_comparison
from clustersim.validation.mechanism import Mechanism
from clustersim.validation.mechanisms import mechanisms_of, tests_of
from clustersim.validation.recorded import EARLY_S
from clustersim.validation.replays import replayed, runnable
from clustersim.validation.steps import Steps
from clustersim.validation.tables import groups_table, jobs_table, use_table
from clustersim.validation.together import MOST_JOBS as MOST_JOBS_TOGETHER
from clustersim.validation.together import SLOW, Trial, selected, trials_table
from clustersim.workload import JobLog
from clustersim.workload.given_log import given_log

__all__ = [
    "GRANTED",
    "LEAST_EXPLAINED",
    "LEAST_RANK",
    "MOST_DISTANCE",
    "POLICIES",
    "Validation",
    "validate",
]

POLICIES = ("fcfs", "sjf", "easy", "conservative")
"""Candidates by default."""
SLOW_POLICY, MOST_JOBS = "conservative", 50_000
"""By default this policy is left out for more jobs, because it takes minutes."""
GRANTED = "granted"
"""Prefix of the columns of waits with the best mechanism granted."""
LEAST_SHARE, LEAST_S = 0.01, 1.0
"""A distance of at most this share of the recorded mean wait, or of so many seconds, is none."""

LEAST_EXPLAINED = 0.1
"""A mechanism that takes the smallest distance down by less than this share explains nothing."""
LEAST_RANK, MOST_DISTANCE = 0.5, 1.0
"""No policy is near if every rank correlation is below the first, or the smallest distance is above
this share of the recorded mean wait (at 1, waits of 0 would be as near)."""
_MUCH = 0.25
NEARLY, MOST_TESTED = 2.0, 3
"""Mechanisms are tested on policies up to this multiple of the smallest distance, at most three: a
policy may be nearest only because it makes up for a mechanism that it lacks."""


@dataclass(frozen=True, eq=False, repr=False)
class Validation(Brief):
    """How far simulated waits are from those of a log, and what explains the difference.

    Attributes
    ----------
    case : Case
        The jobs and the cluster.
    starts : mapping of str to float64 array (jobs,)
        Simulated start of each job of the case, by policy (seconds).
    tested : tuple of Mechanism
        Mechanisms granted to the nearest policies; what is then nearest to the log is first.
    notes : tuple of str
        What is assumed.
    together : tuple of Mechanism
        Mechanisms that are granted together, in this order; empty if no combination is a tenth
        nearer than every mechanism by itself.
    trials : tuple of Trial
        Which mechanisms were granted on top of others, and which were not tried.
    unfinished : str
        What is missing because the work has not ended; "" if nothing is.
    missing : tuple of str
        Policies that are still to be replayed.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
    >>> site = cs.replay(jobs, policy="easy", accelerators=256).jobs
    >>> found = cs.validate(jobs.assign(start_s=site["start_s"]), accelerators=256)
    >>> found.nearest, found.distance_s
    ('easy', 0.0)
    """

    case: Case
    starts: Mapping[str, Floats]
    tested: tuple[Mechanism, ...]
    notes: tuple[str, ...]
    together: tuple[Mechanism, ...] = ()
    trials: tuple[Trial, ...] = ()
    unfinished: str = ""
    missing: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Validation {self.case.source}", {
            "jobs": f"{int(self.case.compared.sum()):,}",
            "nearest": self.nearest,
            "distance": format_duration(self.distance_s),
        }

    @cached_property
    def recorded_s(self) -> Floats:
        """Recorded waits of the compared jobs."""
        return self.case.wait_s[self.case.compared]

    @cached_property
    def recorded(self) -> dict[str, float]:
        """Statistics of the recorded waits; those that are given, if the log has no starts."""
        if self.case.given:
            names = statistics_of(np.zeros(0))
            return names | {f"{key}_wait_s": value for key, value in self.case.given.items()}
        return statistics_of(self.recorded_s)

    def simulated_s(self, policy: str) -> Floats:
        """Return the simulated waits of the compared jobs under a policy.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
        >>> jobs["start_s"] = jobs["submit_s"] + 60.0
        >>> found = cs.validate(jobs, accelerators=4096, policies=["fcfs"], mechanisms=False)
        >>> float(found.simulated_s("fcfs").max()), found.distance_s
        (0.0, 60.0)
        """
        return (self.starts[policy] - self.case.submit_s)[self.case.compared]

    @cached_property
    def policies(self) -> pd.DataFrame:
        """One row for the log and one per policy, the nearest first; see `wait_comparison`."""
        rows = []
        for name in self.starts:
            own = self.simulated_s(name)
            if self.case.given:
                row = given_comparison(self.case.given, own)
            else:
                stratum = self.case.stratum[self.case.compared]
                row = wait_comparison(self.recorded_s, own, stratum)
            rows.append({"waits": name, **row})
        table = pd.DataFrame(rows).sort_values("distance_s", kind="stable")
        return pd.concat(
            [pd.DataFrame([{"waits": "recorded", **self.recorded}]), table], ignore_index=True
        )

    @property
    def nearest(self) -> str:
        """The policy at the smallest distance; of equally near ones, the first candidate."""
        return str(self.policies["waits"].iloc[1])

    @property
    def distance_s(self) -> float:
        """Distance of the nearest policy, seconds."""
        return float(self.policies["distance_s"].iloc[1])

    @property
    def rank_correlation(self) -> float:
        """The largest rank correlation of a policy; NaN without one."""
        if "spearman" not in self.policies:
            return math.nan
        return float(self.policies["spearman"].iloc[1:].max())

    @property
    def is_near(self) -> bool:
        """Whether a policy is near enough to the log to take it for that of the site."""
        if self.agrees:
            return True
        far = self.distance_s > MOST_DISTANCE * self.recorded["mean_wait_s"]
        return not (far or self.rank_correlation < LEAST_RANK)

    @property
    def near(self) -> list[str]:
        """The policies on which mechanisms are tested: the nearest, and others not far behind."""
        rows = self.policies.iloc[1 : 1 + MOST_TESTED]
        near = rows["distance_s"] <= NEARLY * self.distance_s
        return [str(name) for name in rows["waits"][near]]

    @property
    def agrees(self) -> bool:
        """Whether there is no difference to explain."""
        return self.distance_s <= self.enough_s

    @property
    def enough_s(self) -> float:
        """A distance that needs no explanation, seconds."""
        return max(LEAST_S, LEAST_SHARE * float(self.recorded["mean_wait_s"]))

    @property
    def explanation(self) -> Mechanism | None:
        """What is nearest to the log with a mechanism granted; None if it is hardly nearer.

        It is at least a tenth nearer than the nearest policy alone, and its trace, if it has one,
        is higher in the log than in the replay.
        """
        most_s = (1.0 - LEAST_EXPLAINED) * self.distance_s
        return next(
            (each for each in self.tested if each.is_seen and each.scaled_s <= most_s), None
        )

    @cached_property
    def mechanisms(self) -> pd.DataFrame:
        """One row per policy and mechanism, the nearest to the log first."""
        names = [
            "policy", "key", "name", "explained", "distance_s", "base_s", "mean_wait_s", "trace",
            "recorded", "simulated", "takes", "taken", "untested",
        ]  # fmt: skip
        rows = [{name: getattr(each, name) for name in names} for each in self.tested]
        return pd.DataFrame(rows, columns=names)

    @property
    def granted(self) -> tuple[Mechanism, ...]:
        """What is granted in the answer: `together`, else `explanation` if there is one."""
        if self.together:
            return self.together
        return () if self.explanation is None else (self.explanation,)

    @cached_property
    def combinations(self) -> pd.DataFrame:
        """One row per mechanism that was granted on top of others, or not; see `trials_table`."""
        return trials_table(self.trials, self.distance_s)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Waits by group of jobs; see `groups_table`.

        Columns ``granted_...`` are those with the mechanisms of `granted`.
        """
        starts = dict(self.starts)
        if self.granted and self.granted[-1].start_s is not None:
            starts[GRANTED] = self.granted[-1].start_s
        return groups_table(self.case, starts)

    @cached_property
    def use(self) -> pd.DataFrame:
        """Recorded use of the cluster by day; empty without recorded starts."""
        return use_table(self.case) if self.case.has_starts else pd.DataFrame()

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """The jobs with recorded and simulated starts."""
        return jobs_table(self.case, self.starts)


def validate(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    policies: Sequence[str] | None = None,
    placement: str | None = None,
    since: float | str = 0.0,
    until: float | str = math.inf,
    partition_column: str | None = None,
    recorded_wait: Mapping[str, float | str] | None = None,
    mechanisms: bool = True,
    catalogue: Sequence[str | Path] = (),
    format: str | None = None,
    sort: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
    progress: Callable[[str], None] | None = None,
    so_far: Callable[[Validation], None] | None = None,
) -> Validation:
    """Compare the waits that a site recorded with those of a replay, and look for what is missing.

    Parameters
    ----------
    log : str, Path, JobLog or DataFrame
        A log with recorded starts that :func:`clustersim.read_jobs` reads, or its result.
    cluster : str, Path or mapping
        A topology.
    accelerators : int
        Number of accelerators, instead of a topology.  Without both, the most that were in use at
        once.
    policies : sequence of str, optional
        Candidate policies; by default fcfs, sjf, easy and, up to 50,000 jobs, conservative.
    placement : str, optional
        ``consolidate`` (the default with a cluster), ``pooled`` (without one), ``spread``, or
        ``FILE.py:ClassName``.
    since, until : float or str
        Compare the jobs submitted in this window (seconds, a duration such as ``"28 d"``, or a date
        if the log has dates).
        Jobs that ran or waited at `since` according to the log are there from the start.
    partition_column : str, optional
        Column with the partitions; by default ``vc``.
    recorded_wait : mapping of str to float or str, optional
        For a log without starts, what is known of the waits: ``mean`` and, if known, ``median`` and
        ``p95`` (seconds, or durations).
    mechanisms : bool
        Whether to test which missing mechanism explains the difference.
    catalogue, format, sort, time_zone, columns
        As for :func:`clustersim.read_jobs`.
    progress : callable, optional
        Called with the name of each step before it begins and, once policies are replayed, with the
        time that is left at most.
    so_far : callable, optional
        Called after each step with what is known, whose `unfinished` says what is missing.  This is
        what can be kept if the work is interrupted.

    Returns
    -------
    Validation

    Raises
    ------
    InputError
        If there are no waits to compare, or a parameter cannot be used.
    KeyboardInterrupt
        If a replay was stopped before its end.

    Examples
    --------
    A site that starts jobs in order, one at a time, on twice the accelerators that they need:

    >>> import clustersim as cs
    >>> import pandas as pd
    >>> jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 1, 2], "n_accelerators": 4,
    ...                      "duration_s": 100, "start_s": [0, 100, 200]})
    >>> found = cs.validate(jobs, accelerators=8)
    >>> found.nearest, round(found.distance_s, 1)
    ('fcfs', 66.3)
    """
    names = _candidates(policies)
    if placement is not None:
        find_placement(placement)
    read = given_log(log, format=format, sort=sort, time_zone=time_zone, columns=columns)
    calendar = Calendar(read.origin)
    since_s, until_s = _moment(since, calendar, "since"), _moment(until, calendar, "until")
    case = case_of(
        read,
        cluster=cluster,
        accelerators=accelerators,
        since_s=since_s,
        until_s=until_s,
        partition_column=partition_column,
        recorded={
            name: _seconds(value, "recorded_wait") for name, value in (recorded_wait or {}).items()
        },
        placement=placement,
        catalogue=catalogue,
    )
    if not case.compared.any():
        raise InputError(
            case.source,
            "there is no wait to compare: every job lacks a recorded start or started more than "
            f"{format_duration(EARLY_S)} before its submission",
        )
    case = runnable(case)
    notes = _notes_of(case)
    if policies is None and len(case.jobs) > MOST_JOBS:
        names.remove(SLOW_POLICY)
        notes.append(
            f"{SLOW_POLICY} is left out, because it takes minutes for "
            f"{counted(len(case.jobs), 'job')}; to include it, name it in --policies"
        )
    steps = Steps(len(names), progress)
    found = _compared(case, names, notes, steps, so_far, mechanisms=mechanisms)
    if not mechanisms or found.agrees:
        return found
    return _explained(found, steps, so_far)


def _compared(
    case: Case,
    names: Sequence[str],
    notes: Sequence[str],
    steps: Steps,
    so_far: Callable[[Validation], None] | None,
    *,
    mechanisms: bool,
) -> Validation:
    """Return the comparison of the policies with the log."""
    starts: dict[str, Floats] = {}
    for at, name in enumerate(names, 1):
        steps.replay(name)
        starts[name] = replayed(case, name)
        steps.replayed(name)
        found = Validation(case, dict(starts), (), tuple(notes))
        if so_far is not None:
            left = tuple(names[at:])
            text = _unfinished(found, left, mechanisms=mechanisms)
            so_far(replace(found, unfinished=text, missing=left))
    return found


def _unfinished(found: Validation, policies: Sequence[str], *, mechanisms: bool) -> str:
    """Return what is missing if these policies are still to be replayed."""
    mechanisms = mechanisms and (bool(policies) or not found.agrees)
    parts = ["no mechanism was tested"] if mechanisms else []
    if policies:
        one = len(policies) == 1
        missing = "replay is missing" if one else "replays are missing"
        parts.insert(0, f"{listed(list(policies))}: {missing}")
    return "; ".join(parts)


def _explained(
    found: Validation, steps: Steps, so_far: Callable[[Validation], None] | None
) -> Validation:
    """Return the comparison with the mechanisms that were tested, alone and together."""
    near = {name: found.starts[name] for name in found.near}
    tests = tests_of(near)
    together = MOST_JOBS_TOGETHER / len(found.case.jobs) if found.case.has_starts else 0.0
    steps.tests(tests, together, SLOW)
    count = len(tests)

    def done(number: int, tested: Sequence[Mechanism]) -> None:
        if so_far is not None:
            made = f"{number} of {count} tests of mechanisms were made" if number < count else ""
            alone = "no mechanism was granted together with another"
            text = "; ".join(filter(None, [made, alone]))
            so_far(replace(found, tested=tuple(tested), unfinished=text))

    found = replace(found, tested=tuple(mechanisms_of(found.case, near, steps.test, done)))
    if not found.case.has_starts:
        return found
    granted, trials = selected(
        found.case,
        found.tested,
        nearest_s=found.distance_s,
        enough_s=found.enough_s,
        progress=steps.combination,
    )
    return replace(found, together=granted, trials=tuple(trials))


def _notes_of(case: Case) -> list[str]:
    """Return the notes of a case, and what limits the comparison."""
    notes = list(case.notes)
    if case.has_starts and case.sharing.overlaps:
        notes.append(
            f"jobs may run in several of the {len(case.places)} parts of the cluster, and the log "
            "does not say where: a waiting job counts as one with room only if it had room "
            "wherever the running jobs were"
        )
    return [*notes, *_of_few_jobs(case)]


def _of_few_jobs(case: Case) -> list[str]:
    """Return a note if a few jobs hold much of the recorded waiting time."""
    waits = np.sort(case.wait_s[case.compared])
    few = len(waits) // 100
    if not case.has_starts or not few or waits.sum() == 0:
        return []
    share = float(waits[-few:].sum() / waits.sum())
    if share < _MUCH:
        return []
    verb = "holds" if few == 1 else "hold"
    return [
        f"{few:,} of {counted(len(waits), 'job')} {verb} {format_percent(share, 0)} of the "
        "recorded waiting time"
    ]


def _candidates(policies: Sequence[str] | None) -> list[str]:
    if isinstance(policies, str):
        raise InputError("policies", f"must be a list such as ['fcfs', 'easy'], found {policies!r}")
    names = list(POLICIES) if policies is None else [str(name).strip() for name in policies]
    if not names or "" in names:
        raise InputError("policies", "must name one policy or more, such as fcfs,easy")
    for name in names:
        find_policy(name)
    return list(dict.fromkeys(names))


def _moment(value: float | str, calendar: Calendar, name: str) -> float:
    """Return a time in seconds."""
    check_kind(name, value, (Real, str), "seconds, a duration or a date")
    found = time_s(value, calendar, name) if isinstance(value, str) else float(value)
    if not found >= 0:
        raise InputError(name, f"must be 0 s or more, found {found!r}")
    return found


def _seconds(value: float | str, name: str) -> float:
    if isinstance(value, str):
        try:
            return parse_quantity(value, "duration")
        except ValueError as error:
            raise InputError(name, str(error)) from None
    return float(value)
