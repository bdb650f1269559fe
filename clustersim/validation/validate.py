"""Validates the simulator: compares recorded waits with replays, and tests what explains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calendar import Calendar
from clustersim.errors import InputError, check_kind, shown
from clustersim.scenario.dates import time_s
from clustersim.scheduling import find_placement
from clustersim.units import counted, format_duration, format_percent, listed, parse_quantity
from clustersim.validation.candidates import candidates, notes_on_options
from clustersim.validation.case import Case, case_of
from clustersim.validation.mechanism import Mechanism
from clustersim.validation.mechanisms import mechanisms_of, tests_of
from clustersim.validation.recorded import EARLY_S
from clustersim.validation.replays import replayed, runnable
from clustersim.validation.result import Validation
from clustersim.validation.steps import Steps
from clustersim.validation.together import MOST_JOBS as MOST_JOBS_TOGETHER
from clustersim.validation.together import SLOW, selected
from clustersim.workload import JobLog
from clustersim.workload.given_log import given_log

__all__ = ["validate"]

SLOW_POLICY, MOST_JOBS = "conservative", 50_000
"""By default this policy is left out for more jobs, because it takes minutes."""
_MUCH = 0.25


def validate(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    policies: Sequence[str] | None = None,
    placement: str | None = None,
    options: Mapping[str, Any] | None = None,
    placement_options: Mapping[str, Any] | None = None,
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
    options, placement_options : mapping of str to object, optional
        Options of the policies and of the placement; each of the former is that of the candidates
        which have it.
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
    options, placement_options = options or {}, placement_options or {}
    names = candidates(policies, options)
    if placement is not None:
        find_placement(placement, options=placement_options)
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
    _check_compared(case)
    if placement is None:
        find_placement(case.placement, options=placement_options)
    case = runnable(replace(case, options=options, placement_options=placement_options))
    notes = [*_notes_of(case), *notes_on_options(names, options)]
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


def _check_compared(case: Case) -> None:
    """Raise an error if the log has no wait to compare."""
    if not case.compared.any():
        raise InputError(
            case.source,
            "there is no wait to compare: every job lacks a recorded start or started more than "
            f"{format_duration(EARLY_S)} before its submission",
        )


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


def _moment(value: float | str, calendar: Calendar, name: str) -> float:
    """Return a time in seconds."""
    check_kind(name, value, (Real, str), "seconds, a duration or a date")
    found = time_s(value, calendar, name) if isinstance(value, str) else float(value)
    if not found >= 0:
        raise InputError(name, f"must be 0 s or more, found {shown(found)}")
    return found


def _seconds(value: float | str, name: str) -> float:
    if isinstance(value, str):
        try:
            return parse_quantity(value, "duration")
        except ValueError as error:
            raise InputError(name, str(error)) from None
    return float(value)
