"""The order of the queue of a policy, and the jobs ahead of a job."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.explanation.quotas import QuotaRooms
from clustersim.explanation.spells import Spells
from clustersim.explanation.state import RunState
from clustersim.units import format_duration

__all__ = ["Ahead", "ahead_of", "order_text", "queue_key", "reserves"]

_BY_SUBMISSION = ("fcfs", "easy", "easy_sjbf", "conservative", "first_fit")
_RESERVES = ("easy", "easy_sjbf", "conservative")


_ORDERS = {
    "multifactor": "jobs of higher priority come first, and accelerators are reserved for them",
    "drf": "jobs of users with a smaller dominant share come first",
    "srtf": "jobs with less time left come first",
    "srsf": "jobs with less accelerator-time left come first",
    "las": "jobs with less attained service come first",
    "qssf": "jobs with less predicted accelerator-time come first",
    "kai": "its queue is at its limit, or other queues come first by their quotas and shares",
    "kueue": "other jobs got the quota first, or wait with it for room on the nodes",
}
"""What comes first under policies whose order the tables do not tell."""


def order_text(state: RunState) -> str:
    """Return a text on the order that the policy of a run prefers."""
    if "round" in state.options:
        aware = state.options.get("heterogeneity_aware")
        kind = "" if aware is None else f"heterogeneity-{'aware' if aware else 'agnostic'} "
        reset_s = state.options.get("reset")
        often = (
            "" if reset_s is None else f", solved at most every {format_duration(float(reset_s))},"
        )
        return f"jobs start with a round if its {kind}program{often} gives them a turn"
    return _ORDERS.get(state.policy, "the tables do not say why")


def reserves(policy: str) -> bool:
    """Return whether a policy reserves accelerators for jobs ahead."""
    return policy in _RESERVES


def queue_key(state: RunState) -> Floats | None:
    """Return what the policy sorts its queue by, smallest first; ties in order of submission.

    Returns
    -------
    float64 array (jobs,) or None
        None if the order is not known: it depends on the progress of jobs, or is of the user.
    """
    n_jobs = len(state.jobs)
    if state.policy in _BY_SUBMISSION:
        return np.zeros(n_jobs)
    if state.policy == "sjf":
        return state.estimate_s
    if state.policy in ("largest_first", "smallest_first"):
        sign = -1.0 if state.policy == "largest_first" else 1.0
        return sign * state.sizes.astype(np.float64)
    if state.policy == "priority":
        priority = np.zeros(n_jobs)
        if "priority" in state.jobs:
            given = state.jobs["priority"].to_numpy(dtype=np.float64, na_value=np.nan)
            priority = np.nan_to_num(given)
        submit_s = state.jobs["submit_s"].to_numpy(dtype=np.float64)
        return -(priority - float(state.options.get("ageing", 0.0)) * submit_s / 3600.0)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """Waits of jobs that compete with a job for the same partitions and are ahead of it.

    Attributes
    ----------
    spells : Spells
        In the order of the queue.
    known : bool
        Whether the order of the queue is known; without it, `spells` are those of jobs that were
        submitted earlier.
    """

    spells: Spells
    known: bool

    def at(self, time_s: float) -> npt.NDArray[np.intp]:
        """Return the positions in `spells` of the jobs that are ahead and wait at a time."""
        return np.flatnonzero((self.spells.queued_s <= time_s) & (time_s < self.spells.end_s))

    def cuts(self, begin_s: float, end_s: float) -> list[tuple[float, float]]:
        """Divide a time by the first job in the queue.

        Returns
        -------
        list of (begin, end)
            Seconds.
        """
        found: list[tuple[float, float]] = []
        own = self.spells
        now = begin_s
        while now < end_s:
            waiting = self.at(now)
            head = int(waiting[0]) if len(waiting) else -1
            until = end_s if head < 0 else min(end_s, float(own.end_s[head]))
            before = own.queued_s if head < 0 else own.queued_s[:head]
            coming = before[(before > now) & (before < until)]
            until = float(coming.min()) if len(coming) else until
            found.append((now, until))
            now = until
        return found


def ahead_of(
    state: RunState,
    spells: Spells,
    row: int,
    begin_s: float,
    end_s: float,
    rooms: QuotaRooms | None = None,
) -> Ahead:
    """Return the waits of other jobs that compete with the job at `row` in a time.

    Parameters
    ----------
    state : RunState
    spells : Spells
        All waits.
    row : int
    begin_s, end_s : float
        Seconds.
    rooms : QuotaRooms, optional
        The queues of quotas; only jobs of the same queue are ahead.
    """
    own = {*state.choices[state.choice_of[row]]}
    shares = np.array([bool(own & {*choice}) for choice in state.choices])
    competes = (spells.queued_s < end_s) & (spells.end_s > begin_s) & (spells.job != row)
    competes &= shares[state.choice_of[spells.job]]
    key = queue_key(state)
    if rooms is not None:
        competes &= rooms.queue_of[spells.job] == rooms.queue_of[row]
        key = -rooms.priority.astype(np.float64)
    others = spells.chosen(competes)
    rank = np.zeros(len(state.jobs)) if key is None else key
    mine, theirs = rank[row], rank[others.job]
    before = (theirs < mine) | ((theirs == mine) & (others.job < row))
    ahead = others.chosen(before)
    order = np.lexsort([ahead.job, rank[ahead.job]])
    return Ahead(ahead.chosen(order), key is not None)
