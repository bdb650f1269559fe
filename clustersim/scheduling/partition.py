"""Accelerators that are allocated together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.calendar import ReleaseCalendar
from clustersim.scheduling.claims import Claims
from clustersim.scheduling.placements import ManyNodes, Nodes, Placement
from clustersim.scheduling.windows import Windows

__all__ = ["Partition"]


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
    windows : Windows or None
        The times that are known in advance in which nodes are closed; None if there are never any.

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
    windows: Windows | None = None
    _claims: Claims = field(default_factory=Claims)
    _node_arrays: dict[int, tuple[Ints, Ints]] = field(default_factory=dict)

    @property
    def pool_name(self) -> str:
        """Name of its pool, without that of the virtual cluster."""
        return (
            self.name.removesuffix(f"/{self.virtual_cluster}")
            if self.virtual_cluster
            else self.name
        )

    @property
    def in_service(self) -> int:
        """Number of accelerators on nodes that are in service."""
        return self.placement.capacity - len(self.out_of_service) * self.placement.chips_per_node

    @property
    def state(self) -> tuple[int, int]:
        """A value that changes whenever accelerators of the partition are allocated or released."""
        return self.calendar.version, self.placement.free

    @property
    def has_announced_windows(self) -> bool:
        """Whether there are windows that have been announced and are not over."""
        return self.windows is not None and bool(self.windows.announced)

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
        if self._node_arrays:
            self._node_arrays.pop(job, None)
        return self.nodes_of.pop(job, ())
