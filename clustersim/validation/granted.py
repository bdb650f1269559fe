"""Policies that grant a mechanism of the site: a start order, ceilings, or a capacity over time.

Each takes what it grants from the log, and leaves everything else to a policy of the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappush

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.scheduling import Partition, Policy, Pooled, Queue
from clustersim.scheduling.placement import Nodes
from clustersim.scheduling.policies import Sjf

__all__ = ["Closable", "in_order", "with_capacity", "with_ceilings"]


def in_order(key: Floats) -> type[Policy]:
    """Return a policy that starts the waiting job with the smallest key first.

    If this job does not fit, all jobs behind it wait.  With the recorded starts as keys, it keeps
    the order of the site and starts every job as soon as this order and the capacity allow.
    """
    keys: list[float] = np.where(np.isfinite(key), key, np.inf).tolist()

    class InOrder(Sjf):
        """Smallest key first; ties in order of submission."""

        def submit(self, job: int) -> None:
            line = self._lines.setdefault(self.queue.jobs.choice_of[job], [])
            heappush(line, (keys[job], job))

    return InOrder


def with_ceilings(
    base: type[Policy], group: Ints, weight: Ints, most: Floats, *, passing: bool
) -> type[Policy]:
    """Return a policy in which a group of jobs never has more than a ceiling.

    A job enters the queue of `base` once its group, queue and running jobs together, has room
    below its ceiling; until then it is held.  A group without jobs may always have one.

    Parameters
    ----------
    base : type of Policy
    group, weight : int64 arrays (jobs,)
        Group of each job, such as its user (-1: no ceiling), and what it counts: its
        accelerators, or 1.
    most : float64 array (groups,)
        Ceiling of each group; infinite for none.
    passing : bool
        Whether jobs of the group that have room pass one that is held, as under the limits of
        Slurm and PBS; otherwise, they are held until it has started.
    """
    groups, weights, ceilings = group.tolist(), weight.tolist(), most.tolist()

    class WithCeilings(base):  # type: ignore[misc, valid-type]
        """Holds jobs of groups that are at their ceiling."""

        def __init__(self, queue: Queue) -> None:
            super().__init__(queue)
            self._used: dict[int, int] = {}
            self._held: dict[int, list[int]] = {}
            self._admits = False

        def submit(self, job: int) -> None:
            own = groups[job]
            if self._admits or own < 0 or ceilings[own] == np.inf:
                super().submit(job)
                return
            held = self._held.setdefault(own, [])
            if self._has_room(own, job) and (passing or not held):
                self._used[own] = self._used.get(own, 0) + weights[job]
                super().submit(job)
            else:
                held.append(job)

        def finish(self, job: int, partition: Partition) -> None:
            super().finish(job, partition)
            own = groups[job]
            if own not in self._used:
                return
            self._used[own] -= weights[job]
            still_held: list[int] = []
            for waiting in self._held[own]:
                if self._has_room(own, waiting) and (passing or not still_held):
                    self._used[own] += weights[waiting]
                    self._admits = True
                    super().resubmit(waiting)
                    self._admits = False
                else:
                    still_held.append(waiting)
            self._held[own] = still_held

        def _has_room(self, own: int, job: int) -> bool:
            used = self._used.get(own, 0)
            return used == 0 or used + weights[job] <= ceilings[own]

    return WithCeilings


class Closable(Pooled):
    """Counts accelerators, of which a changing number is closed to new jobs.

    Running jobs go on; accelerators that they use count towards the closed ones once they end.

    Examples
    --------
    >>> placement = Closable(n_nodes=1, chips_per_node=8)
    >>> placement.closed = 6
    >>> placement.take(4) is None, placement.free
    (True, 2)
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.closed = 0
        self._unused = 0
        super().__init__(n_nodes, chips_per_node)

    @property
    def free(self) -> int:
        """Accelerators that a new job may use."""
        return max(0, self._unused - self.closed)

    @free.setter
    def free(self, number: int) -> None:
        """Set the number of accelerators that no job uses, closed or not."""
        self._unused = number

    def take(self, n: int) -> Nodes | None:
        """Allocate `n` accelerators that are not closed; None if there are too few."""
        if n > self.free:
            return None
        self._unused -= n
        return ()

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate `n` accelerators, also closed ones."""
        self._unused -= n

    def give(self, nodes: Nodes, n: int) -> None:
        """Free `n` accelerators."""
        self._unused += n


def with_capacity(
    base: type[Policy],
    change_s: Sequence[float],
    closed: Mapping[tuple[int, str], Sequence[int]],
    wakes: set[int],
) -> type[Policy]:
    """Return a policy with a capacity that changes; the placement must be :class:`Closable`.

    Policies that look ahead expect closed accelerators back at the next change.

    Parameters
    ----------
    base : type of Policy
    change_s : sequence of float
        Times from which a number of accelerators is closed, ascending.
    closed : mapping of (int, str) to sequence of int
        Closed accelerators from each of these times on, by pool and virtual cluster.
    wakes : set of int
        Jobs of no length, one at each change, so that there is a scheduling pass.
    """
    times = np.asarray(change_s, dtype=np.float64)

    class WithCapacity(base):  # type: ignore[misc, valid-type]
        """Closes accelerators before each scheduling pass."""

        def __init__(self, queue: Queue) -> None:
            super().__init__(queue)
            self._at = -1
            self._awake: list[int] = []
            self._entries: dict[int, tuple[float, int]] = {}

        def submit(self, job: int) -> None:
            if job in wakes:
                self._awake.append(job)
            else:
                super().submit(job)

        def finish(self, job: int, partition: Partition) -> None:
            if job not in wakes:
                super().finish(job, partition)

        def schedule(self, now: float) -> None:
            at = int(np.searchsorted(times, now, side="right")) - 1
            if at != self._at:
                self._close(at)
            super().schedule(now)
            self._awake = [job for job in self._awake if not self._woken(job)]

        def _woken(self, job: int) -> bool:
            for index in self.queue.choices(job):
                partition = self.queue.partitions[index]
                placement = partition.placement
                assert isinstance(placement, Closable)
                if placement._unused > 0:  # closed accelerators will do: it has no length
                    placement.take_these((), self.n_accelerators(job))
                    self.queue.start_taken(job, partition, ())
                    return True
            return False

        def _close(self, at: int) -> None:
            self._at = at
            until = float(times[at + 1]) if at + 1 < len(times) else np.inf
            for index in self.queue.members:
                partition = self.queue.partitions[index]
                placement = partition.placement
                assert isinstance(placement, Closable)
                place = partition.pool, partition.virtual_cluster
                number = closed[place][at] if at >= 0 else 0
                if self.looks_ahead and index in self._entries:
                    back, chips = self._entries.pop(index)
                    partition.calendar.remove_node(back, 0, chips)
                placement.closed = number
                if self.looks_ahead and number:
                    self._entries[index] = until, number
                    partition.calendar.add_node(until, 0, number)
                super().service_changed(partition)

    return WithCapacity
