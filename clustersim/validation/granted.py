"""Policies that grant a mechanism of the site: a start order, ceilings, or a capacity over time.

Each takes what it grants from the log, and leaves everything else to a policy of the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappush

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.scheduling import Partition, Policy, Pooled, Queue
from clustersim.scheduling.placements import Nodes
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
    base: type[Policy],
    group: Ints,
    ceilings: Sequence[tuple[Ints, Floats]],
    *,
    passing: bool,
) -> type[Policy]:
    """Return a policy in which a group of jobs never has more than some ceilings.

    A job enters the queue of `base` once its group, queue and running jobs together, has room
    below each of its ceilings; until then it is held.  A group without jobs may always have one.

    Parameters
    ----------
    base : type of Policy
    group : int64 array (jobs,)
        Group of each job, such as its user (-1: no ceiling).
    ceilings : sequence of (int64 array (jobs,), float64 array (groups,))
        What each job counts, such as its accelerators, or 1; and the most of each group, infinite
        for none.
    passing : bool
        Whether jobs of the group that have room pass one that is held, as under the limits of
        Slurm and PBS; otherwise, they are held until it has started.
    """
    groups = group.tolist()
    most = [own.tolist() for _, own in ceilings]
    free = [
        own < 0 or all(limits[own] == np.inf for limits in most) for own in groups
    ]  # fmt: skip

    class WithCeilings(base):  # type: ignore[misc, valid-type]
        """Holds jobs of groups that are at a ceiling."""

        def __init__(self, queue: Queue) -> None:
            super().__init__(queue)
            self._room = _Room(groups, ceilings)
            self._held: dict[int, list[int]] = {}
            self._admits = False

        def submit(self, job: int) -> None:
            if self._admits or free[job]:
                super().submit(job)
                return
            held = self._held.setdefault(groups[job], [])
            if self._room.has(job) and (passing or not held):
                self._room.count(job, 1)
                super().submit(job)
            else:
                held.append(job)

        def finish(self, job: int, partition: Partition) -> None:
            super().finish(job, partition)
            if free[job]:
                return
            self._room.count(job, -1)
            still_held: list[int] = []
            for waiting in self._held[groups[job]]:
                if self._room.has(waiting) and (passing or not still_held):
                    self._room.count(waiting, 1)
                    self._admits = True
                    super().resubmit(waiting)
                    self._admits = False
                else:
                    still_held.append(waiting)
            self._held[groups[job]] = still_held

    return WithCeilings


class _Room:
    """What is left below the ceilings of groups; see :func:`with_ceilings`."""

    def __init__(self, groups: Sequence[int], ceilings: Sequence[tuple[Ints, Floats]]) -> None:
        self._groups = groups
        self._weights = [weight.tolist() for weight, _ in ceilings]
        self._most = [own.tolist() for _, own in ceilings]
        self._every = range(len(ceilings))
        self._used: dict[int, list[int]] = {}

    def count(self, job: int, sign: int) -> None:
        """Count a job that enters (1) or has ended (-1)."""
        used = self._used.setdefault(self._groups[job], [0] * len(self._weights))
        for at in self._every:
            used[at] += sign * self._weights[at][job]

    def has(self, job: int) -> bool:
        """Whether there is room for a job; always for the first of its group."""
        own = self._groups[job]
        used = self._used.get(own)
        if used is None or not any(used):
            return True
        return all(used[at] + self._weights[at][job] <= self._most[at][own] for at in self._every)


class Closable(Pooled):
    """Counts accelerators, of which a changing number is closed to new jobs.

    Running jobs go on; accelerators that they use count towards the closed ones once they end.
    Several of them may share one number: what is closed is then any of their accelerators.

    Attributes
    ----------
    closed : int
        Accelerators that are closed to new jobs, in all of `together`.
    together : tuple of Closable
        Those that share the number; by default this one alone.

    Examples
    --------
    >>> placement = Closable(n_nodes=1, chips_per_node=8)
    >>> placement.closed = 6
    >>> placement.take(4) is None, placement.free
    (True, 2)
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self.closed = 0
        self.together: tuple[Closable, ...] = (self,)
        self._unused = 0
        super().__init__(n_nodes, chips_per_node)

    @property
    def free(self) -> int:
        """Accelerators that a new job may use."""
        if len(self.together) == 1:
            return max(0, self._unused - self.closed)
        left = sum(each._unused for each in self.together) - self.closed
        return max(0, min(self._unused, left))

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
    closed: Mapping[tuple[int, str], tuple[int, Sequence[int]]],
    wakes: set[int],
) -> type[Policy]:
    """Return a policy with a capacity that changes; the placement must be :class:`Closable`.

    Policies that look ahead expect closed accelerators back at the next change; if several places
    share a number, in each of them.

    Parameters
    ----------
    base : type of Policy
    change_s : sequence of float
        Times from which a number of accelerators is closed, ascending.
    closed : mapping of (int, str) to (int, sequence of int)
        By pool and virtual cluster, the part of the cluster to which it belongs, and the closed
        accelerators of this part from each of these times on.
    wakes : set of int
        Jobs of no length, one at each change, so that there is a scheduling pass.
    """
    times = np.asarray(change_s, dtype=np.float64)

    class WithCapacity(base):  # type: ignore[misc, valid-type]
        """Closes accelerators before each scheduling pass."""

        def __init__(self, queue: Queue) -> None:
            super().__init__(queue)
            self._closing = _Closing(queue, times, closed, self.looks_ahead)
            self._awake: list[int] = []

        def submit(self, job: int) -> None:
            if job in wakes:
                self._awake.append(job)
            else:
                super().submit(job)

        def finish(self, job: int, partition: Partition) -> None:
            if job not in wakes:
                super().finish(job, partition)

        def schedule(self, now: float) -> None:
            for partition in self._closing.changed(now):
                super().service_changed(partition)
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

    return WithCapacity


class _Closing:
    """Closes the accelerators of a queue's partitions over time; see :func:`with_capacity`."""

    def __init__(
        self,
        queue: Queue,
        times: Floats,
        closed: Mapping[tuple[int, str], tuple[int, Sequence[int]]],
        looks_ahead: bool,
    ) -> None:
        self._queue, self._times, self._closed = queue, times, closed
        self._looks_ahead = looks_ahead
        self._at = -1
        self._entries: dict[int, tuple[float, int]] = {}

    def changed(self, now: float) -> Iterator[Partition]:
        """Close what is closed now, and yield each partition after its change; none as before."""
        at = int(np.searchsorted(self._times, now, side="right")) - 1
        if at == self._at:
            return
        self._at = at
        parts: dict[int, list[Closable]] = {}
        for index in self._queue.members:
            partition = self._queue.partitions[index]
            placement = partition.placement
            assert isinstance(placement, Closable)
            part, numbers = self._closed[partition.pool, partition.virtual_cluster]
            parts.setdefault(part, []).append(placement)
            self._close(index, placement, numbers[at] if at >= 0 else 0)
            yield partition
        for own in parts.values():
            for placement in own:
                placement.together = tuple(own)

    def _close(self, index: int, placement: Closable, number: int) -> None:
        calendar = self._queue.partitions[index].calendar
        if self._looks_ahead and index in self._entries:
            back, chips = self._entries.pop(index)
            calendar.remove_node(back, 0, chips)
        placement.closed = number
        if self._looks_ahead and number:
            later = self._at + 1
            until = float(self._times[later]) if later < len(self._times) else np.inf
            most = min(number, placement.capacity)
            self._entries[index] = until, most
            calendar.add_node(until, 0, most)
