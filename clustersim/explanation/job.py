"""Why one job waited: intervals of time with the constraint that binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.brief import Brief
from clustersim.explanation.causes import CAUSE_TEXTS, CAUSES, N_LEVELS, Cause, Phase
from clustersim.explanation.details import detail_of, room_of
from clustersim.explanation.holders import Holders
from clustersim.explanation.holds import HELD, holds_of
from clustersim.explanation.queue_order import ahead_of
from clustersim.explanation.quotas import quota_rooms
from clustersim.explanation.spells import spells_of
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import partition_steps
from clustersim.explanation.suspended import own_nodes_free
from clustersim.explanation.thresholds import thresholds
from clustersim.explanation.windows import closures_of
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.units import counted, format_duration, format_percent, listed

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
_MOST_NAMED = 3
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
    queued_s : float
        When it entered its queue, seconds: its submission, unless a dependency, an earliest time or
        the limit of an array held it.
    waited_s : float
        Time that it waited over all its attempts, seconds.
    jobs_ahead, accelerators_ahead, behind
        The jobs ahead of it when it entered its queue, and the first of them; see `order_known`.
    order_known : bool
        Whether the order of the policy's queue is known; without it, jobs that were submitted
        earlier count as ahead.
    intervals : pandas.DataFrame
        One row for each interval: ``begin_s``, ``end_s``, ``after`` (what the wait follows),
        ``cause``, ``free_least`` and ``free_most`` (least and most free accelerators of its
        partition with most of them), ``behind`` (the first job in the queue, or the one on which it
        depends), ``jobs_ahead``, ``accelerators_ahead``, ``holders`` (the jobs that held most, with
        their mean number of accelerators), ``started`` (the first jobs that the policy started on
        its partitions meanwhile), ``n_started`` (how many there were), ``detail``.
    without : pandas.DataFrame
        One row for each cause: ``seconds``, ``share`` of the wait, ``start_s`` (the first time in
        its first wait at which it would have fitted without this constraint and those tested before
        it, whatever the policy's order; its end if there is none) and ``saved_s`` (by how much
        earlier that is).
    reason : str
        Why it can never run; otherwise empty.
    notes : tuple of str
    overtaken_by : tuple
        The jobs that were submitted after it and started on its partitions while it waited, in
        order of their start.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
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
    queued_s: float
    waited_s: float
    jobs_ahead: int
    accelerators_ahead: int
    behind: str
    order_known: bool
    intervals: pd.DataFrame
    without: pd.DataFrame
    reason: str = ""
    notes: tuple[str, ...] = ()
    overtaken_by: tuple[Any, ...] = ()

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
            f"{CAUSE_TEXTS[str(main['cause'])]}.{self._overtaken()}"
        )

    def _overtaken(self) -> str:
        """Return a sentence on the jobs that overtook it; empty without one."""
        if not self.overtaken_by:
            return ""
        names = [str(job) for job in self.overtaken_by[:_MOST_NAMED]]
        more = len(self.overtaken_by) - len(names)
        names += [f"{more:,} more"] if more > 0 else []
        jobs = counted(len(self.overtaken_by), "job")
        return f" It was overtaken by {jobs} submitted later ({listed(names)})."


@dataclass(frozen=True, slots=True)
class _Piece:
    """An interval with one cause."""

    begin_s: float
    end_s: float
    cause: int
    free_least: int
    free_most: int
    fits_s: tuple[float, ...]
    """The first time at which it fits if the causes up to each level are lifted, or infinity."""


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
    own = _Own(state, row)
    spells, submit_s = own.spells, float(facts["submit_s"])
    rows: list[dict[str, Any]] = []
    first: list[_Piece] = []
    for index in range(len(spells)):
        pieces = _pieces(own, index)
        first = first if index else pieces
        phase = Phase(int(spells.phase[index]))
        before = -1
        for piece in pieces:
            rows += _rows(own, phase, piece, before)
            before = piece.cause
    queued_s = float(spells.queued_s[0]) if len(spells) else submit_s
    waiting = own.ahead.at(queued_s) if len(spells) else np.empty(0, dtype=np.intp)
    in_queue = own.ahead.spells.job[waiting]
    intervals = pd.DataFrame(rows, columns=list(_INTERVALS))
    in_first = len(spells) > 0 and spells.phase[0] == Phase.SUBMISSION
    return JobWait(
        job_id=facts["job_id"],
        n_accelerators=int(facts["n_accelerators"]),
        partition=state.where(int(state.choice_of[row])),
        submit_s=submit_s,
        start_s=float(facts["start_s"]),
        queued_s=queued_s if in_first else submit_s,
        waited_s=float((spells.end_s - spells.begin_s).sum()),
        jobs_ahead=len(in_queue),
        accelerators_ahead=int(state.sizes[in_queue].sum()),
        behind=str(jobs["job_id"].iloc[int(in_queue[0])]) if len(in_queue) else "",
        order_known=own.ahead.known,
        intervals=intervals,
        without=_without(intervals, first if in_first else []),
        notes=state.notes,
        overtaken_by=tuple(own.holders.overtaking(row, spells.queued_s, spells.end_s)),
    )


class _Own:
    """What the wait of one job depends on.

    Parameters
    ----------
    state : RunState
    row : int
    """

    def __init__(self, state: RunState, row: int) -> None:
        self.state, self.row = state, row
        self.holds = holds_of(state)
        everyone = spells_of(state, self.holds)
        self.spells = everyone.chosen(np.flatnonzero(everyone.job == row))
        self.steps = partition_steps(state)
        choice, rooms = int(state.choice_of[row]), quota_rooms(state)
        self.quota = None if rooms is None else rooms.room(int(rooms.queue_of[row]))
        pools = [] if rooms is None else rooms.pools
        self.pools = [pools[index] for index in state.choices[choice]] if pools else []
        self.levels = thresholds(
            state.choices[choice],
            state.others[choice],
            self.steps,
            self.quota,
            pools,
            spans=state.spans,
        )
        submit_s = float(state.jobs["submit_s"].iloc[row])
        self.end_s = float(self.spells.end_s.max()) if len(self.spells) else submit_s
        self.ahead = ahead_of(state, everyone, row, submit_s, self.end_s, rooms)
        self.closures = closures_of(state, self.steps)
        self.holders = Holders(state, state.choices[choice], submit_s, self.end_s)


def _never(state: RunState, row: int) -> JobWait:
    facts = state.jobs.iloc[row]
    nan = float("nan")
    return JobWait(
        job_id=facts["job_id"],
        n_accelerators=int(facts["n_accelerators"]),
        partition="",
        submit_s=float(facts["submit_s"]),
        start_s=nan,
        queued_s=nan,
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


def _pieces(own: _Own, index: int) -> list[_Piece]:
    """Return the intervals of a wait, neighbours with the same cause as one."""
    spells, levels = own.spells, own.levels
    begin_s, end_s = float(spells.begin_s[index]), float(spells.end_s[index])
    n = int(own.state.needs[own.row])
    low = int(np.searchsorted(levels.time_s, begin_s, side="right")) - 1
    high = int(np.searchsorted(levels.time_s, end_s, side="left"))
    time_s = np.maximum(levels.time_s[low:high], begin_s)
    free, level = levels.most_free[low:high], levels.causes(n, low, high)
    cause = level.copy()
    phase = spells.phase[index]
    if phase == Phase.SUSPENSION:
        which = spells.chosen(np.array([index]))
        own_s, fits = own_nodes_free(own.state, which, own.steps)[0]
        time_s, free, level = _at_more_times(own_s, time_s, free, level)
        fits = fits[np.searchsorted(own_s, time_s, side="right") - 1]
        cause = np.where(fits, int(Cause.ORDER), int(Cause.SUSPENDED))
    elif phase == Phase.PREEMPTION:
        cause[cause == Cause.ACCELERATORS] = Cause.PREEMPTED
    closed = None
    if phase != Phase.SUSPENSION and own.closures is not None:
        closed = own.closures.closed(own.row, begin_s, end_s)
    if closed is not None:
        time_s, free, level, cause = _at_more_times(closed[0], time_s, free, level, cause)
        shut = closed[1][np.searchsorted(closed[0], time_s, side="right") - 1]
        cause = np.where(shut & (cause == Cause.ORDER), int(Cause.WINDOW), cause)
    if phase == Phase.SUBMISSION and own.holds is not None:
        until = own.holds.until_s(*(np.array([each]) for each in (own.row, begin_s, end_s)))
        opens_s = float(own.holds.opens_s[own.row])
        ends_s = [opens_s, *(float(each[0]) for each in until)]
        cuts = np.array([each for each in ends_s if begin_s < each < end_s])
        time_s, free, level, cause = _at_more_times(cuts, time_s, free, level, cause)
        for held, until_s in reversed(list(zip(HELD, until, strict=True))):
            cause = np.where(time_s < until_s, int(held), cause)
        # Without a dependency, it still could not start before its earliest time.
        level = np.where((cause == Cause.DEPENDENCY) & (time_s < opens_s), N_LEVELS, level)
    begins = np.flatnonzero(np.r_[True, np.diff(cause) != 0])
    ends = np.r_[begins[1:], len(cause)]
    return [
        _Piece(
            float(time_s[at]),
            float(time_s[until]) if until < len(time_s) else end_s,
            int(cause[at]),
            int(free[at:until].min()),
            int(free[at:until].max()),
            _fits_s(time_s[at:until], level[at:until]),
        )
        for at, until in zip(begins.tolist(), ends.tolist(), strict=True)
    ]


def _at_more_times(more_s: Floats, time_s: Floats, *values: Ints) -> tuple[Any, ...]:
    """Return times with others among them, and the values at all of them."""
    merged = np.unique(np.concatenate([time_s, more_s]))
    at = np.searchsorted(time_s, merged, side="right") - 1
    return merged, *(each[at] for each in values)


def _fits_s(time_s: Floats, level: Ints) -> tuple[float, ...]:
    """Return the first time at which each level is enough; infinite if it never is."""
    firsts = [np.flatnonzero(level <= each)[:1] for each in range(N_LEVELS + 1)]
    return tuple(float(time_s[first[0]]) if len(first) else np.inf for first in firsts)


def _rows(own: _Own, phase: Phase, piece: _Piece, before: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of an interval; that of the order is divided by the first job in the queue.

    A job that starts between two intervals is one that the policy preferred, if the gang fitted in
    one of them; it is a job of that interval. `before` is the cause of the interval before.
    """
    state, ahead, holders = own.state, own.ahead, own.holders
    ids = state.jobs["job_id"]
    cuts = [(piece.begin_s, piece.end_s)]
    order, held = piece.cause == Cause.ORDER, piece.cause in HELD
    if order:
        cuts = ahead.cuts(piece.begin_s, piece.end_s)
    for begin_s, end_s in cuts:
        waiting = ahead.spells.job[ahead.at(begin_s)] if not held else np.empty(0, dtype=np.int64)
        first = int(waiting[0]) if len(waiting) else -1
        if held and own.holds is not None:
            first = own.holds.binding(own.row, piece.cause)
        since_s = np.nextafter(begin_s, end_s) if before == Cause.ORDER and not order else begin_s
        until_s = end_s if order and end_s < own.end_s else np.nextafter(end_s, begin_s)
        started = [job for job in holders.started(since_s, until_s) if job != ids.iloc[own.row]]
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
        yield {**found, "detail": _detail(own, piece.cause, found, first)}


def _detail(own: _Own, cause: int, found: Mapping[str, Any], first: int) -> str:
    """Return a text on the binding constraint; `first` is the row of the job ahead."""
    if cause in HELD and own.holds is not None:
        return own.holds.detail(own.state.jobs, own.row, cause)
    if cause == Cause.WINDOW and own.closures is not None:
        text = own.closures.text(own.row, float(found["begin_s"]), float(found["end_s"]))
        return f"{room_of(own.state, own.row, found)}, so it fitted, but {text}"
    size = int(own.state.sizes[first]) if first >= 0 else 0
    n, state = int(own.state.needs[own.row]), own.state
    text = f"needs {n:,}"
    if cause != Cause.QUOTA:
        text = detail_of(state, own.row, found, size, known=own.ahead.known)
    time = float(found["begin_s"]), float(found["end_s"])
    if own.quota is None or own.quota.allows(own.pools, n, *time):
        return text
    return f"{text}; {own.quota.detail(n, *time)}"


def _without(intervals: pd.DataFrame, first: Sequence[_Piece]) -> pd.DataFrame:
    """Return the seconds of each cause, and when the job could have started without it."""
    length_s = intervals["end_s"].to_numpy(dtype=float) - intervals["begin_s"].to_numpy(dtype=float)
    seconds = pd.Series(length_s).groupby(intervals["cause"].to_numpy(), sort=False).sum()
    found = []
    for cause in Cause:
        if cause.label not in seconds.index:
            continue
        start_s = _could_start_s(first, cause)
        found.append(
            {
                "cause": cause.label,
                "seconds": float(seconds[cause.label]),
                "share": float(seconds[cause.label] / length_s.sum()),
                "start_s": start_s,
                "saved_s": first[-1].end_s - start_s if first else float("nan"),
            }
        )
    return pd.DataFrame(found, columns=list(_WITHOUT))


def _could_start_s(first: Sequence[_Piece], cause: Cause) -> float:
    """Return the first time in the first wait at which the gang fits without a cause.

    NaN if the cause does not hold in this wait.
    """
    if not any(piece.cause == cause for piece in first):
        return float("nan")
    level = cause if cause <= N_LEVELS else Cause.ORDER
    fits_s = [
        piece.fits_s[level] for piece in first if piece.cause == cause or piece.cause not in HELD
    ]
    return min(*fits_s, first[-1].end_s)
