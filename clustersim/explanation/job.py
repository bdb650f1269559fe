"""Why one job waited: intervals of time with the constraint that binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Ints
from clustersim.brief import Brief
from clustersim.explanation.causes import CAUSE_TEXTS, CAUSES, Cause, Phase
from clustersim.explanation.details import detail_of
from clustersim.explanation.holders import Holders
from clustersim.explanation.queue_order import Ahead, ahead_of
from clustersim.explanation.spells import Spells, spells_of
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import PartitionSteps, partition_steps
from clustersim.explanation.suspended import own_nodes_free
from clustersim.explanation.thresholds import Thresholds, thresholds
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.units import counted, format_duration, format_percent

__all__ = ["JobWait", "explain_job"]

_INTERVALS = (
    "begin_s",
    "end_s",
    "after",
    "cause",
    "free_least",
    "free_most",
    "behind",
    "jobs_ahead",
    "accelerators_ahead",
    "holders",
    "started",
    "n_started",
    "detail",
)
_MOST_STARTED = 5
_WITHOUT = ("cause", "seconds", "share", "start_s", "saved_s")


@dataclass(frozen=True, repr=False)
class JobWait(Brief):
    """Why a job waited, as :func:`clustersim.explain` returns it for one job.

    Attributes
    ----------
    job_id : object
    n_accelerators : int
    partition : str
        The partitions on which it may run; empty if it can never run.
    submit_s, start_s : float
        Seconds; the start is NaN if it never started.
    waited_s : float
        Time in the queue over all its attempts, seconds.
    jobs_ahead, accelerators_ahead, behind
        The jobs ahead of it at its submission, and the first of them; see `order_known`.
    order_known : bool
        Whether the order of the policy's queue is known; without it, jobs that were submitted
        earlier count as ahead.
    intervals : pandas.DataFrame
        One row for each interval: ``begin_s``, ``end_s``, ``after`` (what the wait follows),
        ``cause``, ``free_least`` and ``free_most`` (least and most free accelerators of its
        partition with most of them), ``behind`` (the first job in the queue), ``jobs_ahead``,
        ``accelerators_ahead``, ``holders`` (the jobs that held most, with their mean number of
        accelerators), ``started`` (the first jobs that the policy started on its partitions
        meanwhile), ``n_started`` (how many there were), ``detail``.
    without : pandas.DataFrame
        One row for each cause: ``seconds``, ``share`` of the wait, ``start_s`` (the first time in
        its first wait at which it would have fitted without this constraint and those tested before
        it, whatever the policy's order) and ``saved_s`` (by how much earlier that is).
    reason : str
        Why it can never run; otherwise empty.
    notes : tuple of str

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 0], "n_accelerators": [8, 8]})
    >>> run = cs.replay(jobs.assign(duration_s=3600), policy="fcfs", accelerators=8)
    >>> cs.explain(run, job=2).intervals[["begin_s", "end_s", "cause"]].values.tolist()
    [[0.0, 3600.0, 'accelerators']]
    """

    job_id: Any
    n_accelerators: int
    partition: str
    submit_s: float
    start_s: float
    waited_s: float
    jobs_ahead: int
    accelerators_ahead: int
    behind: str
    order_known: bool
    intervals: pd.DataFrame
    without: pd.DataFrame
    reason: str = ""
    notes: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        waited = format_duration(self.waited_s) if self.waited_s > 0 else ""
        causes = dict(zip(self.without["cause"], self.without["seconds"], strict=True))
        return f"Wait of job {self.job_id}", {
            "waited": waited,
            **{name: format_duration(value) for name, value in causes.items()},
        }

    @property
    def sentence(self) -> str:
        """The wait and its main cause in a sentence."""
        what = f"Job {self.job_id} ({counted(self.n_accelerators, 'accelerator')}"
        if self.reason:
            return f"{what}) can never run: {self.reason}."
        what += f" on {self.partition})"
        if not self.waited_s > 0:
            return f"{what} started at once."
        main = self.without.sort_values("seconds", ascending=False, kind="stable").iloc[0]
        share = format_percent(float(main["share"]), 0)
        end = "" if np.isfinite(self.start_s) else " and never started"
        return (
            f"{what} waited {format_duration(self.waited_s)}{end}, {share} of it because "
            f"{CAUSE_TEXTS[str(main['cause'])]}."
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """An interval with one cause."""

    begin_s: float
    end_s: float
    cause: int
    free_least: int
    free_most: int


def explain_job(state: RunState, row: int) -> JobWait:
    """Return why the job at `row` waited.

    Parameters
    ----------
    state : RunState
    row : int
    """
    jobs = state.jobs
    facts = jobs.iloc[row]
    if str(facts["outcome"]) == NEVER_RUNNABLE or state.choice_of[row] < 0:
        return _never(state, row)
    all_spells = spells_of(state)
    spells = all_spells.chosen(np.flatnonzero(all_spells.job == row))
    steps = partition_steps(state)
    choice = int(state.choice_of[row])
    levels = thresholds(state.choices[choice], state.others[choice], steps)
    submit_s = float(facts["submit_s"])
    end_s = float(spells.end_s.max()) if len(spells) else submit_s
    ahead = ahead_of(state, all_spells, row, submit_s, end_s)
    holders = Holders(state, state.choices[choice], submit_s, end_s)
    rows: list[dict[str, Any]] = []
    first: list[_Piece] = []
    for index in range(len(spells)):
        pieces = _pieces(state, spells, index, levels, steps)
        first = first if index else pieces
        phase = Phase(int(spells.phase[index]))
        before = -1
        for piece in pieces:
            rows += _rows(state, row, phase, piece, before, ahead, holders, end_s)
            before = piece.cause
    waiting = ahead.at(submit_s) if len(spells) else np.empty(0, dtype=np.intp)
    in_queue = ahead.spells.job[waiting]
    intervals = pd.DataFrame(rows, columns=list(_INTERVALS))
    in_first = len(spells) > 0 and spells.phase[0] == Phase.SUBMISSION
    return JobWait(
        job_id=facts["job_id"],
        n_accelerators=int(facts["n_accelerators"]),
        partition=state.where(choice),
        submit_s=submit_s,
        start_s=float(facts["start_s"]),
        waited_s=float((spells.end_s - spells.begin_s).sum()),
        jobs_ahead=len(in_queue),
        accelerators_ahead=int(state.sizes[in_queue].sum()),
        behind=str(jobs["job_id"].iloc[int(in_queue[0])]) if len(in_queue) else "",
        order_known=ahead.known,
        intervals=intervals,
        without=_without(intervals, first if in_first else []),
        notes=state.notes,
    )


def _never(state: RunState, row: int) -> JobWait:
    facts = state.jobs.iloc[row]
    nan = float("nan")
    return JobWait(
        job_id=facts["job_id"],
        n_accelerators=int(facts["n_accelerators"]),
        partition="",
        submit_s=float(facts["submit_s"]),
        start_s=nan,
        waited_s=0.0,
        jobs_ahead=0,
        accelerators_ahead=0,
        behind="",
        order_known=True,
        intervals=pd.DataFrame(columns=list(_INTERVALS)),
        without=pd.DataFrame(columns=list(_WITHOUT)),
        reason=str(facts["reason"]),
        notes=state.notes,
    )


def _pieces(
    state: RunState,
    spells: Spells,
    index: int,
    levels: Thresholds,
    steps: Sequence[PartitionSteps],
) -> list[_Piece]:
    """Return the intervals of a wait, neighbours with the same cause as one."""
    begin_s, end_s = float(spells.begin_s[index]), float(spells.end_s[index])
    n = int(state.sizes[spells.job[index]])
    low = int(np.searchsorted(levels.time_s, begin_s, side="right")) - 1
    high = int(np.searchsorted(levels.time_s, end_s, side="left"))
    time_s = np.maximum(levels.time_s[low:high], begin_s)
    free = levels.most_free[low:high]
    phase = spells.phase[index]
    cause: Ints
    if phase == Phase.SUSPENSION:
        own_s, fits = own_nodes_free(state, spells.chosen(np.array([index])), steps)[0]
        merged = np.unique(np.concatenate([time_s, own_s]))
        free = free[np.searchsorted(time_s, merged, side="right") - 1]
        fits = fits[np.searchsorted(own_s, merged, side="right") - 1]
        time_s = merged
        cause = np.where(fits, int(Cause.ORDER), int(Cause.SUSPENDED))
    else:
        cause = levels.causes(n, low, high)
        if phase == Phase.PREEMPTION:
            cause[cause == Cause.ACCELERATORS] = Cause.PREEMPTED
    begins = np.flatnonzero(np.r_[True, np.diff(cause) != 0])
    ends_s = np.r_[time_s[begins[1:]], end_s]
    least = np.minimum.reduceat(free, begins)
    most = np.maximum.reduceat(free, begins)
    return [
        _Piece(float(time_s[at]), float(until), int(cause[at]), int(low_free), int(high_free))
        for at, until, low_free, high_free in zip(begins, ends_s, least, most, strict=True)
    ]


def _rows(
    state: RunState,
    row: int,
    phase: Phase,
    piece: _Piece,
    before: int,
    ahead: Ahead,
    holders: Holders,
    last_s: float,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of an interval; that of the order is divided by the first job in the queue.

    A job that starts between two intervals is one that the policy preferred, if the gang fitted in
    one of them; it is a job of that interval. `before` is the cause of the interval before.
    """
    ids = state.jobs["job_id"]
    cuts = [(piece.begin_s, piece.end_s)]
    if piece.cause == Cause.ORDER:
        cuts = ahead.cuts(piece.begin_s, piece.end_s)
    for begin_s, end_s in cuts:
        waiting = ahead.spells.job[ahead.at(begin_s)]
        first = int(waiting[0]) if len(waiting) else -1
        order = piece.cause == Cause.ORDER
        since_s = np.nextafter(begin_s, end_s) if before == Cause.ORDER and not order else begin_s
        until_s = end_s if order and end_s < last_s else np.nextafter(end_s, begin_s)
        started = [job for job in holders.started(since_s, until_s) if job != ids.iloc[row]]
        found: dict[str, Any] = {
            "begin_s": begin_s,
            "end_s": end_s,
            "after": phase.label,
            "cause": CAUSES[piece.cause],
            "free_least": piece.free_least,
            "free_most": piece.free_most,
            "behind": str(ids.iloc[first]) if first >= 0 else "",
            "jobs_ahead": len(waiting),
            "accelerators_ahead": int(state.sizes[waiting].sum()),
            "holders": holders.most(begin_s, end_s),
            "started": started[:_MOST_STARTED],
            "n_started": len(started),
        }
        size = int(state.sizes[first]) if first >= 0 else 0
        detail = detail_of(state, row, found, size, known=ahead.known)
        yield {**found, "detail": detail}


def _without(intervals: pd.DataFrame, first: Sequence[_Piece]) -> pd.DataFrame:
    """Return the seconds of each cause, and when the job could have started without it."""
    length_s = intervals["end_s"].to_numpy(dtype=float) - intervals["begin_s"].to_numpy(dtype=float)
    seconds = pd.Series(length_s).groupby(intervals["cause"].to_numpy(), sort=False).sum()
    found = []
    for cause in Cause:
        if cause.label not in seconds.index:
            continue
        fitting = [piece.begin_s for piece in first if piece.cause <= cause]
        held = any(piece.cause == cause for piece in first)
        start_s = min(fitting) if held else float("nan")
        found.append(
            {
                "cause": cause.label,
                "seconds": float(seconds[cause.label]),
                "share": float(seconds[cause.label] / length_s.sum()),
                "start_s": start_s,
                "saved_s": first[-1].end_s - start_s if held else float("nan"),
            }
        )
    return pd.DataFrame(found, columns=list(_WITHOUT))
