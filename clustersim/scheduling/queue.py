"""A queue of waiting jobs and the partitions of the cluster that it uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.calendar import ReleaseCalendar
from clustersim.scheduling.claims import Claims
from clustersim.scheduling.placement import ManyNodes, Nodes, Placement

__all__ = ["JobColumns", "Partition", "Queue", "StartJob"]


@dataclass(frozen=True, slots=True)
class JobColumns:
    """Properties of all jobs of a run that the scheduler uses, one column per attribute.

    Attributes
    ----------
    n_accelerators : sequence of int
        Number of accelerators of each job.
    estimate_s : sequence of sequence of float
        Estimated run time by pool and job, seconds.
    choices : sequence of tuple of int
        The distinct sets of partitions on which jobs can run, each in order of preference.
    choice_of : sequence of int
        Index of each job's set in `choices`.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns
    >>> estimates_s = [[60.0, 300.0]]
    >>> jobs = JobColumns([8, 16], estimate_s=estimates_s, choices=[(0,)], choice_of=[0, 0])
    >>> jobs.estimate_s[0][1]
    300.0
    """

    n_accelerators: Sequence[int]
    estimate_s: Sequence[Sequence[float]]
    choices: Sequence[tuple[int, ...]]
    choice_of: Sequence[int]


@dataclass(slots=True)
class Partition:
    """Accelerators of one type that are allocated together.

    A partition is a pool, or the share of a pool that one virtual cluster owns.

    Attributes
    ----------
    index : int
        Its index in the simulation's list of partitions.
    pool : int
        Index of its pool in the cluster.
    name, virtual_cluster : str
        Names for messages and tables; the virtual cluster is empty for nodes of a pool that belong
        to no virtual cluster.
    first_node : int
        Index of its first node in the pool.
    placement : Placement
        The placement that allocates its accelerators.
    calendar : ReleaseCalendar
        The times at which its accelerators become free: the returns of its nodes that are out of
        service and, if the policy looks ahead, the estimated ends of its running jobs.
    nodes_of : dict of int to Nodes
        Accelerators of each running job, if the placement tracks nodes.
    out_of_service : dict of int to float
        Time of the expected return of each node that is out of service, seconds; infinite if it
        never returns.
    n_gone : int
        Number of nodes that never return to service.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, Partition
    >>> partition = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> partition.withdraw(1, until=3600.0)
    >>> partition.placement.free
    8
    """

    index: int
    pool: int
    name: str
    virtual_cluster: str
    first_node: int
    placement: Placement
    calendar: ReleaseCalendar = field(default_factory=ReleaseCalendar)
    nodes_of: dict[int, Nodes] = field(default_factory=dict)
    out_of_service: dict[int, float] = field(default_factory=dict)
    n_gone: int = 0
    _claims: Claims = field(default_factory=Claims)
    _node_arrays: dict[int, tuple[Ints, Ints]] = field(default_factory=dict)

    @property
    def state(self) -> tuple[int, int]:
        """A value that changes whenever accelerators of the partition are allocated or released."""
        return self.calendar.version, self.placement.free

    @property
    def claims(self) -> Claims:
        """The claims of waiting gangs in the present state of the partition."""
        return self._claims.of(self.state)

    def node_arrays(self, job: int) -> tuple[Ints, Ints]:
        """Return the nodes of a running job and its chips on each, as arrays.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, Partition
        >>> partition = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> partition.nodes_of[7] = partition.placement.take(12)
        >>> nodes, chips = partition.node_arrays(7)
        >>> nodes.tolist(), chips.tolist()
        ([0, 1], [8, 4])
        """
        held = self.nodes_of[job]
        if isinstance(held, ManyNodes):
            return held.nodes, held.chips
        arrays = self._node_arrays.get(job)
        if arrays is None:
            nodes, chips = zip(*held, strict=True)
            arrays = self._node_arrays[job] = (np.array(nodes), np.array(chips))
        return arrays

    def withdraw(self, node: int, until: float) -> None:
        """Remove an idle node from service; it is expected to return at `until`.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, Partition
        >>> partition = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> partition.withdraw(1, until=3600.0)
        >>> partition.placement.free, partition.out_of_service
        (8, {1: 3600.0})
        """
        chips = self.placement.chips_per_node
        self.placement.take_these(((node, chips),), chips)
        self.out_of_service[node] = until
        self.n_gone += until == math.inf
        self.calendar.add_node(until, node, chips)

    def restore(self, node: int) -> None:
        """Return a node to service.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, Partition
        >>> partition = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> partition.withdraw(1, until=3600.0)
        >>> partition.restore(1)
        >>> partition.placement.free, partition.out_of_service
        (16, {})
        """
        chips = self.placement.chips_per_node
        until = self.out_of_service.pop(node)
        self.n_gone -= until == math.inf
        self.calendar.remove_node(until, node, chips)
        self.placement.give(((node, chips),), chips)

    def forget(self, job: int) -> Nodes:
        """Remove the record of a job that has ended, and return its accelerators.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, Partition
        >>> partition = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> partition.nodes_of[7] = partition.placement.take(12)
        >>> partition.forget(7), partition.nodes_of
        ([(0, 8), (1, 4)], {})
        """
        self._node_arrays.pop(job, None)
        return self.nodes_of.pop(job, ())


StartJob = Callable[[int, Partition, Nodes], None]
"""Called by the scheduler when it starts a job: the job, its partition and its accelerators."""


class Queue:
    """The interface of a policy to the simulation: partitions, jobs, and a way to start jobs.

    Parameters
    ----------
    partitions : sequence of Partition
        All partitions of the cluster, in order of their index.
    members : sequence of int
        Indices of the partitions on which this queue's jobs can run.
    jobs : JobColumns
        All jobs of the run.
    start : StartJob
        Called for each job that starts.
    looks_ahead : bool
        Whether the policy needs the calendars of estimated ends.

    Attributes
    ----------
    now : float
        The simulated time of the scheduling pass, seconds.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 16], estimate_s=[[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
    >>> started = []
    >>> def start(job, partition, nodes):
    ...     started.append((job, partition.name))
    >>> queue = Queue([h200], [0], jobs, start, looks_ahead=False)
    >>> queue.start_anywhere(0), queue.start_anywhere(1)
    (True, False)
    >>> started, queue.free
    ([(0, 'h200')], 8)
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        members: Sequence[int],
        jobs: JobColumns,
        start: StartJob,
        *,
        looks_ahead: bool,
    ) -> None:
        self.partitions = partitions
        self.members = tuple(members)
        self.jobs = jobs
        self.now = 0.0
        self._start = start
        self._looks_ahead = looks_ahead

    @property
    def free(self) -> int:
        """Number of accelerators free now in all partitions of the queue."""
        return sum(self.partitions[index].placement.free for index in self.members)

    def choices(self, job: int) -> tuple[int, ...]:
        """Indices of the partitions on which `job` can run, in order of preference.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.choices(0)
        (0,)
        """
        return self.jobs.choices[self.jobs.choice_of[job]]

    def estimate_s(self, job: int, partition: Partition | None = None) -> float:
        """Estimated run time of `job` on a partition (by default the preferred one), seconds.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.estimate_s(1)
        300.0
        """
        if partition is None:
            partition = self.partitions[self.choices(job)[0]]
        return self.jobs.estimate_s[partition.pool][job]

    def start_anywhere(self, job: int, *, closed: int = 0) -> bool:
        """Start `job` on the first of its partitions where it fits; return whether it started.

        Parameters
        ----------
        job : int
            A waiting job.
        closed : int
            Bit mask of partitions that must not be used.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0, closed=0b1), queue.start_anywhere(0), queue.free
        (False, True, 8)
        """
        jobs = self.jobs
        n = jobs.n_accelerators[job]
        for index in jobs.choices[jobs.choice_of[job]]:
            if closed >> index & 1:
                continue
            partition = self.partitions[index]
            nodes = partition.placement.take(n)
            if nodes is not None:
                self.start_taken(job, partition, nodes)
                return True
        return False

    def start_taken(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Start `job` on accelerators that the placement has allocated.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> nodes = h200.placement.take(8)
        >>> queue.start_taken(0, h200, nodes)
        >>> queue.free
        8
        """
        if self._looks_ahead:
            jobs = self.jobs
            end = self.now + jobs.estimate_s[partition.pool][job]
            partition.calendar.add(end, job, jobs.n_accelerators[job])
        self._start(job, partition, nodes)

    def release(self, job: int, partition: Partition, started: float) -> None:
        """Free the accelerators of `job`, which started at `started` and ends now.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0)
        True
        >>> queue.release(0, h200, started=0.0)
        >>> queue.free
        16
        """
        jobs = self.jobs
        n = jobs.n_accelerators[job]
        if self._looks_ahead:
            partition.calendar.remove(started + jobs.estimate_s[partition.pool][job], job, n)
        partition.placement.give(partition.forget(job), n)
