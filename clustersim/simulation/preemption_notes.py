"""Notes on what preemptions cost the jobs of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from clustersim.engine.attempts import Attempts, StopCause
from clustersim.units import counted

__all__ = ["no_length_notes", "preemption_notes"]

_FREE = (
    "preemptions cost no time, because nothing says how long jobs take to save and restart; set "
    "{option} (in seconds; Hu et al., SC 2021, count 7 s for one accelerator, 30 s for up to 8 "
    "and 60 s for more)"
)
_FROM_THE_START = (
    "jobs that are requeued start again from their beginning, because the run has no checkpoints"
)


def preemption_notes(attempts: Attempts, policy: type[Any]) -> list[str]:
    """Return what a user has to know about the preemptions of a run without checkpoints.

    Parameters
    ----------
    attempts : Attempts
    policy : type
        The policy, whose option ``cost`` may say what a preemption costs.
    """
    notes = []
    costs = getattr(policy, "cost", None) is not None or attempts.restart_s.any()
    if (attempts.cause == StopCause.SAVED).any() and not costs:
        named = "option cost" if hasattr(policy, "cost") else "cost_s of Preempt"
        notes.append(_FREE.format(option=named))
    requeued = attempts.cause == StopCause.REQUEUED
    if requeued.any() and attempts.lost_s[requeued].any():
        notes.append(_FROM_THE_START)
    return notes


def no_length_notes(attempts: Attempts, policy: type[Any]) -> list[str]:
    """Return a note if jobs were preempted at the instant at which they started.

    With fair sharing, Kueue gives a victim of the preemptor's own queue back without looking at the
    shares again, so that two queues can preempt each other in turn; see docs/quotas.md.

    Parameters
    ----------
    attempts : Attempts
    policy : type
        The policy, whose option ``fair_sharing`` may explain it.
    """
    stopped = (attempts.cause == StopCause.SAVED) | (attempts.cause == StopCause.REQUEUED)
    at_once = stopped & (attempts.end_s == attempts.start_s)
    if not at_once.any():
        return []
    n_jobs = len(np.unique(attempts.job[at_once]))
    why = ""
    if getattr(policy, "fair_sharing", False):
        why = "; with fair sharing, queues can preempt each other in turn, as in Kueue"
    return [
        f"{counted(n_jobs, 'job')} made no progress in "
        f"{counted(int(at_once.sum()), 'attempt')}: preempted at the instant of the start{why}"
    ]
