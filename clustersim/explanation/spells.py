"""The waits of all jobs: from a submission or a stop to the next start."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.engine.attempts import StopCause
from clustersim.explanation.causes import Phase
from clustersim.explanation.holds import Holds
from clustersim.explanation.state import RunState
from clustersim.simulation.tables import FINISHED, STOPS

__all__ = ["Spells", "spells_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Spells:
    """The waits of jobs, in order of job, then of time; waits of length 0 are left out.

    Attributes
    ----------
    job : int64 array (spells,)
        Row of the job.
    begin_s, end_s : float64 arrays (spells,)
        Seconds. A wait that is not over ends with the run.
    phase : int64 array (spells,)
        What it follows, as a :class:`Phase`.
    attempt : int64 array (spells,)
        The attempt before it; -1 after the submission.
    started : bool array (spells,)
        Whether the job started at its end.
    queued_s : float64 array (spells,)
        When the job entered its queue, seconds: the beginning, unless something held it outside.
    """

    job: Ints
    begin_s: Floats
    end_s: Floats
    phase: Ints
    attempt: Ints
    started: Bools
    queued_s: Floats

    def __len__(self) -> int:
        return len(self.job)

    def chosen(self, which: Bools | Ints) -> Spells:
        """Return some of the waits."""
        names = ("job", "begin_s", "end_s", "phase", "attempt", "started", "queued_s")
        return Spells(*(getattr(self, name)[which] for name in names))


def spells_of(state: RunState, holds: Holds | None) -> Spells:
    """Return the waits of all jobs that can run.

    Parameters
    ----------
    state : RunState
    holds : Holds or None
        What held jobs outside their queues.
    """
    jobs, ranges = state.jobs, state.ranges.iloc[state.first_rows]
    row = pd.Index(jobs["job_id"]).get_indexer(pd.Index(ranges["job_id"])).astype(np.int64)
    start_s = ranges["start_s"].to_numpy(dtype=np.float64)
    end_s = ranges["end_s"].to_numpy(dtype=np.float64)
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    finished = (jobs["outcome"] == FINISHED).to_numpy(dtype=bool)
    phase_of = _phases(state)
    first = np.r_[True, row[1:] != row[:-1]][: len(row)]
    last = np.r_[first[1:], True][: len(row)]
    before = np.arange(len(row)) - 1
    since_s = np.where(first, submit_s[row], np.r_[0.0, end_s[:-1]][: len(row)])
    after = np.maximum(np.r_[0, phase_of[:-1]], Phase.PREEMPTION)[: len(row)]
    phase = np.where(first, Phase.SUBMISSION, after)
    # Jobs that were stopped and have not started again, and jobs that never started.
    open_end = np.flatnonzero(last & ~finished[row] & (phase_of >= 0))
    never = np.flatnonzero((state.choice_of >= 0) & (np.bincount(row, minlength=len(jobs)) == 0))
    begins_s = np.concatenate([since_s, end_s[open_end], submit_s[never]])
    found = Spells(
        job=np.concatenate([row, row[open_end], never]),
        begin_s=begins_s,
        end_s=np.concatenate([start_s, np.full(len(open_end) + len(never), state.end_s)]),
        phase=np.concatenate([phase, phase_of[open_end], np.zeros(len(never), dtype=np.int64)]),
        attempt=np.concatenate([np.where(first, -1, before), open_end, np.full(len(never), -1)]),
        started=np.concatenate(
            [np.ones(len(row), dtype=bool), np.zeros(len(open_end) + len(never), dtype=bool)]
        ),
        queued_s=begins_s,
    )
    if holds is not None:
        first_ones = found.phase == Phase.SUBMISSION
        queued_s = holds.until_s(found.job, found.begin_s, found.end_s)[-1]
        found = replace(found, queued_s=np.where(first_ones, queued_s, found.begin_s))
    kept = np.flatnonzero(found.end_s > found.begin_s)
    return found.chosen(kept[np.lexsort([found.begin_s[kept], found.job[kept]])])


def _phases(state: RunState) -> Ints:
    """Return the phase that follows each attempt; -1 if the job does not wait after it."""
    stopped = state.stopped.astype(str).to_numpy(dtype=object)
    found = np.full(len(stopped), int(Phase.PREEMPTION), dtype=np.int64)
    for cause, phase in (
        (StopCause.NOT_STOPPED, -1),
        (StopCause.CANCELLED, -1),
        (StopCause.NODE, Phase.NODE_EVENT),
        (StopCause.NETWORK, Phase.NETWORK_FAULT),
        (StopCause.SUSPENDED, Phase.SUSPENSION),
    ):
        found[stopped == STOPS[cause]] = int(phase)
    return found
