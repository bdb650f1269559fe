"""A queue of waiting jobs and the partitions of the cluster that it draws on."""

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
    """What scheduling knows of every job of a run, a column an attribute.

    Attributes
    ----------
    n_accelerators : sequence of int
        Size of each job's gang.
    estimate_s : sequence of sequence of float
        Estimated run time by pool and job, seconds.
    choices : sequence of tuple of int
        Sets of partitions that occur, each in order of preference.
    choice_of : sequence of int
        Index into `choices` of each job.
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
        Its place in the simulation's list of partitions.
    pool : int
        Its pool's place in the cluster.
    name, virtual_cluster : str
        For messages and tables; the virtual cluster is empty for a pool's rest.
    first_node : int
        Index in the pool of its first node.
    placement : Placement
        Its free accelerators.
    calendar : ReleaseCalendar
        When its accelerators become free: its running jobs by estimated end, where the policy looks
        ahead, and its nodes that are out of service.
    nodes_of : dict of int to Nodes
        Accelerators of each running job, where the placement tells nodes apart.
    out_of_service : dict of int to float
        When each node that is out of service is expected back, seconds; infinite for never.
    n_gone : int
        Nodes that never serve again.
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
        """What changes whenever another job or node holds its accelerators."""
        return self.calendar.version, self.placement.free

    @property
    def claims(self) -> Claims:
        """What gangs that wait claim of it as it is now."""
        return self._claims.of(self.state)

    def node_arrays(self, job: int) -> tuple[Ints, Ints]:
        """Return the nodes of a running job and its chips on each, as arrays."""
        held = self.nodes_of[job]
        if isinstance(held, ManyNodes):
            return held.nodes, held.chips
        arrays = self._node_arrays.get(job)
        if arrays is None:
            nodes, chips = zip(*held, strict=True)
            arrays = self._node_arrays[job] = (np.array(nodes), np.array(chips))
        return arrays

    def withdraw(self, node: int, until: float) -> None:
        """Take a node out of service, on which nothing runs; it is expected back at `until`."""
        chips = self.placement.chips_per_node
        self.placement.take_these(((node, chips),), chips)
        self.out_of_service[node] = until
        self.n_gone += until == math.inf
        self.calendar.add_node(until, node, chips)

    def restore(self, node: int) -> None:
        """Take a node back into service."""
        chips = self.placement.chips_per_node
        until = self.out_of_service.pop(node)
        self.n_gone -= until == math.inf
        self.calendar.remove_node(until, node, chips)
        self.placement.give(((node, chips),), chips)

    def forget(self, job: int) -> Nodes:
        """Forget the accelerators of a job that has ended, and return them."""
        self._node_arrays.pop(job, None)
        return self.nodes_of.pop(job, ())


StartJob = Callable[[int, Partition, Nodes], None]
"""Told by the scheduler: this job starts now, on these accelerators."""


class Queue:
    """What a policy sees and does: its partitions, the jobs' columns, ``start``.

    Parameters
    ----------
    partitions : sequence of Partition
        All partitions of the cluster, by index.
    members : sequence of int
        Those of them that this queue's jobs can run on.
    jobs : JobColumns
        All jobs of the run.
    start : StartJob
        Called for each job that starts.
    looks_ahead : bool
        Whether the policy needs the calendars of estimated ends.

    Attributes
    ----------
    now : float
        The simulated time of the pass, seconds.
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
        """Accelerators free now in all the queue's partitions."""
        return sum(self.partitions[index].placement.free for index in self.members)

    def choices(self, job: int) -> tuple[int, ...]:
        """Partitions on which `job` may run, the preferred first."""
        return self.jobs.choices[self.jobs.choice_of[job]]

    def estimate_s(self, job: int, partition: Partition | None = None) -> float:
        """Estimated run time of `job` on a partition (the preferred one by default)."""
        if partition is None:
            partition = self.partitions[self.choices(job)[0]]
        return self.jobs.estimate_s[partition.pool][job]

    def start_anywhere(self, job: int, *, closed: int = 0) -> bool:
        """Start `job` on the first of its choices with room; say whether it started.

        Parameters
        ----------
        job : int
            A waiting job.
        closed : int
            Bit mask of partitions that are not to be used.
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
        """Start `job` on accelerators that the placement has handed out."""
        if self._looks_ahead:
            jobs = self.jobs
            end = self.now + jobs.estimate_s[partition.pool][job]
            partition.calendar.add(end, job, jobs.n_accelerators[job])
        self._start(job, partition, nodes)

    def release(self, job: int, partition: Partition, started: float) -> None:
        """Take back the accelerators of `job`, which started at `started` and ends now."""
        jobs = self.jobs
        n = jobs.n_accelerators[job]
        if self._looks_ahead:
            partition.calendar.remove(started + jobs.estimate_s[partition.pool][job], job, n)
        partition.placement.give(partition.forget(job), n)
