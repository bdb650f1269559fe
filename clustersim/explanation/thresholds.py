"""The largest gang that each constraint leaves room for, over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.explanation.causes import N_LEVELS, Cause
from clustersim.explanation.quotas import QuotaRoom
from clustersim.explanation.steps import PartitionSteps

__all__ = ["Thresholds", "thresholds"]


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """The largest gang that fits on a set of partitions, as constraints are lifted one by one.

    A gang of n waits for cause k at time t if ``room[k - 1] < n <= room[k]``; for ``ACCELERATORS``
    if n is above all of them.

    Attributes
    ----------
    time_s : float64 array (times,)
        Ascending, seconds.
    room : int64 array (causes, times)
        By :class:`~clustersim.explanation.causes.Cause` up to ``PARTITION``; no value is above that
        of the next cause.
    most_free : int64 array (times,)
        Free accelerators of the partition of the set with most of them, or of all that a job can
        span.
    differs : tuple of bool (causes,)
        Whether the room for a cause is ever more than that for the cause before it.
    """

    time_s: Floats
    room: Ints
    most_free: Ints
    differs: tuple[bool, ...]

    def causes(self, n: int, first: int = 0, end: int | None = None) -> Ints:
        """Return the cause for which a gang of `n` waits, at the times in [first, end).

        It is the last one that must be lifted, with all before it.
        """
        return np.asarray((self.room[:, first:end] < n).sum(axis=0), dtype=np.int64)

    def waits_for(self, cause: int, n: int, first: int, end: int) -> Bools:
        """Return whether a gang of `n` waits for `cause`, at the times in [first, end)."""
        found = np.ones(end - first, dtype=bool)
        if cause < N_LEVELS:
            found &= self.room[cause, first:end] >= n
        if cause > 0:
            found &= self.room[cause - 1, first:end] < n
        return found


def thresholds(
    choice: Sequence[int],
    others: Sequence[int],
    steps: Sequence[PartitionSteps],
    quota: QuotaRoom | None = None,
    pools: Sequence[str] = (),
    *,
    spans: bool = False,
) -> Thresholds:
    """Return the largest gang that fits on a set of partitions, as constraints are lifted.

    Parameters
    ----------
    choice : sequence of int
        The partitions that the jobs may use.
    others : sequence of int
        Those that they may not use, of the same accelerators.
    steps : sequence of PartitionSteps
        All partitions.
    quota : QuotaRoom, optional
        What the queue of the jobs can use.
    pools : sequence of str
        Name of the pool of each partition; needed with `quota`.
    spans : bool
        Whether a job that fits on none of the partitions can run on several at once.

    Examples
    --------
    One partition with a whole free node of 8, 4 free accelerators on each of two others, and a node
    of 8 that is out of service; a gang of 16 waits for its placement:

    >>> step = PartitionSteps(
    ...     np.zeros(1), *(np.array([each]) for each in (16, 12, 8, 0, 0))
    ... )
    >>> found = thresholds([0], [], [step])
    >>> [Cause(int(found.causes(n)[0])).label for n in (12, 16, 20, 24)]
    ['order', 'placement', 'out_of_service', 'accelerators']
    """
    times = [steps[index].time_s for index in (*choice, *others)]
    times += [] if quota is None else [quota.time_s]
    time_s = times[0] if len(times) == 1 else np.unique(np.concatenate(times))
    room = np.zeros((N_LEVELS, len(time_s)), dtype=np.int64)
    most_free = np.zeros(len(time_s), dtype=np.int64)
    gather = np.add if spans else np.maximum
    for index in choice:
        own = steps[index]
        at = _at(own, time_s)
        largest, free = own.largest[at], own.free[at]
        out = own.out[at]
        later = out + own.not_delivered[at]
        within = largest
        if quota is not None:
            within = np.minimum(largest, quota.left_of(pools[index])[_at(quota, time_s)])
        for cause, here in (
            (Cause.ORDER, within),
            (Cause.QUOTA, largest),
            (Cause.PLACEMENT, free),
            (Cause.OUT_OF_SERVICE, largest + out),
            (Cause.NOT_DELIVERED, largest + later),
            (Cause.SERVICE, largest + later + own.reserved[at]),
        ):
            gather(room[cause], here, out=room[cause])
        gather(most_free, free, out=most_free)
    for index in others:
        here = steps[index].largest[_at(steps[index], time_s)]
        np.maximum(room[Cause.PARTITION], here, out=room[Cause.PARTITION])
    differs = [True]
    for level in range(1, N_LEVELS):
        np.maximum(room[level], room[level - 1], out=room[level])
        differs.append(bool((room[level] > room[level - 1]).any()))
    return Thresholds(time_s, room, most_free, tuple(differs))


def _at(steps: PartitionSteps | QuotaRoom, time_s: Floats) -> slice | Ints:
    """Return the positions of times in the steps of a partition or a queue."""
    if steps.time_s is time_s:
        return slice(None)
    return np.searchsorted(steps.time_s, time_s, side="right") - 1
