"""Seconds of each wait by cause."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.explanation.causes import CAUSES, Cause, Phase
from clustersim.explanation.holds import HELD, Holds
from clustersim.explanation.quotas import QuotaRooms
from clustersim.explanation.spells import Spells
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import PartitionSteps
from clustersim.explanation.suspended import free_on_own_nodes
from clustersim.explanation.thresholds import Thresholds, thresholds
from clustersim.explanation.windows import Closures

__all__ = ["seconds_by_cause"]


_CALL = 20_000
"""Number of steps that take as long as one more call for a group of waits."""


def seconds_by_cause(
    state: RunState,
    spells: Spells,
    steps: Sequence[PartitionSteps],
    holds: Holds | None,
    rooms: QuotaRooms | None,
    closures: Closures | None = None,
) -> Floats:
    """Return how long each cause held, for each wait; the causes of a wait add up to it.

    The causes of a gang in its queue depend on its size, its partitions and the quota of its queue
    alone. For each size, the time during which each cause holds is therefore summed up once over
    the run, and each wait is a difference of two sums.

    Parameters
    ----------
    state : RunState
    spells : Spells
    steps : sequence of PartitionSteps
    holds : Holds or None
        What held jobs outside their queues.
    rooms : QuotaRooms or None
        What the queues of quotas could use.
    closures : Closures, optional
        What windows and hero jobs close.

    Returns
    -------
    float64 array (waits, causes)
    """
    found = np.zeros((len(spells), len(CAUSES)))
    plain = spells.phase != Phase.SUSPENSION
    if holds is not None:
        _add_held(found, spells, holds)
    in_queue = plain & (spells.queued_s < spells.end_s)
    choice = state.choice_of[spells.job]
    queue = np.zeros_like(choice) if rooms is None else rooms.queue_of[spells.job]
    alike = choice + len(state.choices) * queue
    for kind in np.unique(alike[in_queue]).tolist():
        rows = np.flatnonzero(in_queue & (alike == kind))
        which, index = divmod(kind, len(state.choices))
        levels = thresholds(
            state.choices[index],
            state.others[index],
            steps,
            None if rooms is None else rooms.room(which),
            () if rooms is None else rooms.pools,
            spans=state.spans,
        )
        _add(found, rows, state, spells, levels)
        if closures is not None:
            closures.divide(found, rows, spells, levels)
    after = spells.phase == Phase.PREEMPTION
    found[after, Cause.PREEMPTED] = found[after, Cause.ACCELERATORS]
    found[after, Cause.ACCELERATORS] = 0.0
    suspended = np.flatnonzero(~plain)
    if len(suspended):
        own_s = free_on_own_nodes(state, spells.chosen(suspended), steps)
        length_s = (spells.end_s - spells.begin_s)[suspended]
        found[suspended, Cause.ORDER] = own_s
        found[suspended, Cause.SUSPENDED] = length_s - own_s
    return found


def _add_held(found: Floats, spells: Spells, holds: Holds) -> None:
    """Write the seconds during which jobs were held outside their queues."""
    first = np.flatnonzero(spells.phase == Phase.SUBMISSION)
    since_s, end_s = spells.begin_s[first], spells.end_s[first]
    for cause, until_s in zip(HELD, holds.until_s(spells.job[first], since_s, end_s), strict=True):
        found[first, cause] = until_s - since_s
        since_s = until_s


def _add(
    found: Floats,
    rows: npt.NDArray[np.intp],
    state: RunState,
    spells: Spells,
    levels: Thresholds,
) -> None:
    """Add the seconds in the queue of the waits at `rows`, whose jobs have the same partitions."""
    time_s = levels.time_s
    first = np.searchsorted(time_s, spells.queued_s[rows], side="right") - 1
    last = np.searchsorted(time_s, spells.end_s[rows], side="left") - 1
    sizes = state.needs[spells.job[rows]]
    order = np.argsort(sizes, kind="stable")
    bounds = np.r_[np.flatnonzero(np.diff(sizes[order], prepend=-1)), len(order)]
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        at = order[begin:end]
        n = int(sizes[at[0]])
        apart = int((last[at] - first[at]).sum()) + _CALL * len(at)
        one_by_one = apart < int(last[at].max() - first[at].min())
        for group in [[each] for each in at.tolist()] if one_by_one else [at]:
            which = np.asarray(group)
            found[rows[which]] += _of_size(
                levels,
                n,
                first[which],
                last[which],
                spells.queued_s[rows[which]],
                spells.end_s[rows[which]],
            )


def _of_size(
    levels: Thresholds,
    n: int,
    first: npt.NDArray[np.intp],
    last: npt.NDArray[np.intp],
    begin_s: Floats,
    end_s: Floats,
) -> Floats:
    """Return the seconds by cause of waits of gangs of one size.

    `first` and `last` are the positions in the steps in which each wait begins and ends.
    """
    low, high = int(first.min()), int(last.max()) + 1
    time_s = levels.time_s[low:high]
    length_s = np.diff(time_s)
    found = np.zeros((len(first), len(CAUSES)))
    first, last = first - low, last - low
    for cause in range(Cause.ACCELERATORS + 1):
        if cause < Cause.ACCELERATORS and not levels.differs[cause]:
            continue
        holds = levels.waits_for(cause, n, low, high)
        if not holds.any():
            continue
        until_s = np.r_[0.0, np.cumsum(np.where(holds[:-1], length_s, 0.0))]
        ended = until_s[last] + np.where(holds[last], end_s - time_s[last], 0.0)
        begun = until_s[first] + np.where(holds[first], begin_s - time_s[first], 0.0)
        found[:, cause] = np.maximum(ended - begun, 0.0)
    return found
