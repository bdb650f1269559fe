"""Reasons why jobs that could have run did not finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.attempts import StopCause
from clustersim.engine.gates import NEVER_RENEWED
from clustersim.engine.record import RunRecord
from clustersim.scheduling.queue import Partition
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.units import counted

__all__ = ["can_never_run", "cancelled", "unfinished_reasons", "waits_for_ever", "with_awaited"]

_HELD = "held outside the queue when the simulation ended"
CANCELLED = "cancelled by the policy"
GONE = "will ever be in service again"
STUCK = "it may wait behind a job that can never start"
WITHOUT_END = "which never ends"
AFTER_CANCELLED = "which was cancelled"
"""Endings of reasons that would also apply to a longer run."""
_FOR_EVER = (GONE, STUCK, NEVER_RENEWED, WITHOUT_END, AFTER_CANCELLED)


def unfinished_reasons(
    record: RunRecord,
    partitions: Sequence[Partition],
    submit_s: Floats,
    n_accelerators: Ints,
    choices: Sequence[tuple[int, ...]],
    choice_of: Ints,
    held: Mapping[int, str] = MappingProxyType({}),
    *,
    spans: bool = False,
) -> npt.NDArray[np.object_]:
    """Return the reason why each job of a run did not finish.

    Parameters
    ----------
    record : RunRecord
        The record of the jobs.
    partitions : sequence of Partition
        The partitions in their state at the end of the run.
    submit_s : float64 array (jobs,)
        Submission times, seconds.
    n_accelerators : int array (jobs,)
    choices : sequence of tuple of int
        The distinct sets of partitions on which jobs can run.
    choice_of : int array (jobs,)
        Index of each job's set in `choices`.
    held : mapping of int to str
        What holds jobs outside their queues, by job; empty for other jobs.
    spans : bool
        Whether a job can run on several of its partitions at once.

    Returns
    -------
    object array (jobs,)
        The reason as text; None for a job that finished.
    """
    reasons = np.full(len(n_accelerators), None, dtype=object)
    unfinished = ~np.isfinite(record.finish_s)
    waits = unfinished & (record.partition < 0)
    reasons[unfinished & ~waits] = "still running when the simulation ended"
    attempts = record.attempts
    reasons[attempts.job[attempts.cause == StopCause.CANCELLED]] = CANCELLED
    later = waits & (submit_s > record.end_s)
    reasons[later] = "not submitted before the simulation ended"
    alike: dict[tuple[int, int], str] = {}
    for job in np.flatnonzero(waits & ~later).tolist():
        kind = int(choice_of[job]), int(n_accelerators[job])
        if kind not in alike:
            why = _why_it_waits(record, partitions, choices[kind[0]], kind[1], spans)
            alike[kind] = f"still waiting when the simulation ended{why}"
        reasons[job] = f"{_HELD}: {held[job]}" if held.get(job) else alike[kind]
    return reasons


def with_awaited(
    reasons: npt.NDArray[np.object_], awaited: Mapping[int, Sequence[int]], ids: Sequence[object]
) -> npt.NDArray[np.object_]:
    """Return reasons in which jobs that wait for others name one that they wait for.

    It is one that was cancelled or never ends, if there is one.

    Parameters
    ----------
    reasons : object array (jobs,)
        Those of :func:`unfinished_reasons`.
    awaited : mapping of int to sequence of int
        The jobs for which each job that was submitted still waited at the end.
    ids : sequence (jobs,)

    Examples
    --------
    >>> reasons = np.array(["cancelled by the policy", "still waiting", "still waiting"], object)
    >>> for reason in with_awaited(reasons, {1: [0], 2: [1]}, "abc")[1:]:
    ...     print(reason)
    held outside the queue when the simulation ended: it waits for job a, which was cancelled
    held outside the queue when the simulation ended: it waits for job b, which never ends
    """
    followers: dict[int, list[int]] = {}
    for job, others in awaited.items():
        for other in others:
            followers.setdefault(other, []).append(job)
    ends = {  # how the sentence on a job that others wait for in vain ends
        job: AFTER_CANCELLED if reasons[job] == CANCELLED else WITHOUT_END
        for job in followers
        if (str(reasons[job]) == CANCELLED or str(reasons[job]).endswith(_FOR_EVER))
    }
    in_vain = list(ends)
    while in_vain:
        for job in followers.get(in_vain.pop(), ()):
            if job not in ends:
                ends[job] = WITHOUT_END
                in_vain.append(job)
    found = reasons.copy()
    for job, others in awaited.items():
        if others:
            other = min(others, key=lambda each: (each not in ends, each))
            text = ends.get(other, "which had not ended")
            found[job] = f"{_HELD}: it waits for job {ids[other]}, {text}"
    return found


def _why_it_waits(
    record: RunRecord,
    partitions: Sequence[Partition],
    choice: tuple[int, ...],
    n: int,
    spans: bool,
) -> str:
    """Describe what prevents a gang of `n` from starting; empty if it only waits for other jobs."""
    most_of = sum if spans else max
    pools = (" and " if spans else " or ").join(partitions[index].name for index in choice)
    size = {index: partitions[index].placement.chips_per_node for index in choice}
    capacity = {index: partitions[index].placement.capacity for index in choice}
    gone = {index: partitions[index].n_gone for index in choice}
    out = {index: len(partitions[index].out_of_service) for index in choice}
    most = most_of(capacity[index] - gone[index] * size[index] for index in choice)
    now = most_of(capacity[index] - out[index] * size[index] for index in choice)
    needs = f"it needs {counted(n, 'accelerator')} on {pools}"
    if n > most:
        return f": {needs}, where at most {most:,} {GONE}"
    if n > now:
        return f": {needs}, where only {now:,} {'is' if now == 1 else 'are'} in service"
    if record.nothing_could_start:
        return f": the policy did not start it, although it would fit; {STUCK}"
    return ""


def cancelled(jobs: pd.DataFrame) -> Bools:
    """Return which jobs of a result the policy cancelled; they left the system unfinished.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result; without the column ``reason``, none was cancelled.

    Returns
    -------
    bool array (jobs,)

    Examples
    --------
    >>> cancelled(pd.DataFrame({"reason": [None, "cancelled by the policy"]})).tolist()
    [False, True]
    """
    if "reason" not in jobs:
        return np.zeros(len(jobs), dtype=bool)
    found: Bools = (jobs["reason"] == CANCELLED).fillna(False).to_numpy(dtype=bool)
    return found


def can_never_run(jobs: pd.DataFrame) -> Bools:
    """Return which jobs of a result did not run and would not run in a longer run either.

    Such a job fits on no pool, possibly because nodes have left permanently, or it waits behind a
    job that can never start, or for one that was cancelled or never ends.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result.

    Returns
    -------
    bool array (jobs,)
    """
    waits = jobs["start_s"].isna().to_numpy()
    never = (jobs["outcome"] == NEVER_RUNNABLE).to_numpy(dtype=bool)
    found: Bools = never | (waits & waits_for_ever(jobs))
    return found


def waits_for_ever(jobs: pd.DataFrame) -> Bools:
    """Return which jobs of a result would wait forever even in a longer run.

    Some of these jobs may have run before and been stopped.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Jobs of a result.

    Returns
    -------
    bool array (jobs,)
    """
    reasons = jobs["reason"].fillna("").astype("string")
    found: Bools = reasons.str.endswith(_FOR_EVER).to_numpy(dtype=bool)
    return found
