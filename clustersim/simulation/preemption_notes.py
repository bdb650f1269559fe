"""Notes on what preemptions cost the jobs of a run without checkpoints."""

from __future__ import annotations

from typing import Any

from clustersim.engine.attempts import Attempts, StopCause

__all__ = ["preemption_notes"]

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
