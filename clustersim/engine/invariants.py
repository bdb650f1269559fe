"""Invariants that hold after every scheduling pass; checked in debug runs and in tests."""

from __future__ import annotations

from clustersim.engine.engine import Simulation
from clustersim.errors import ClusterSimError
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["InvariantError", "check_accelerators"]


class InvariantError(ClusterSimError):
    """The simulation violated an invariant."""


def check_accelerators(simulation: Simulation) -> None:
    """Check that no accelerator is allocated twice and none is lost.

    The rule for every partition and every node is: free + allocated + out of service = installed.
    What is held for a job that moves counts as allocated.

    Raises
    ------
    InvariantError
        If an invariant does not hold; the message states the time, the partition and the counts.
    """
    sizes = simulation.jobs.n_accelerators
    allocated = [0] * len(simulation.partitions)
    for job, attempt in simulation.running.items():
        if attempt.holding is None:
            allocated[attempt.partition.index] += sizes[job]
        else:
            for part in attempt.holding.parts:
                allocated[part.partition.index] += part.n
    moves = [move for queue in simulation.queues for move in queue.moves.values()]
    extra = [move.extra for move in moves if move.extra is not None]
    for part in extra:
        allocated[part.partition.index] += part.n
    for partition in simulation.partitions:
        placement, used = partition.placement, allocated[partition.index]
        used += len(partition.out_of_service) * placement.chips_per_node
        where = f"at {simulation.clock.now} s, {partition.name}"
        if placement.free < 0 or placement.free + used != placement.capacity:
            raise InvariantError(
                f"{where}: {placement.free} free + {used} allocated or out of service, but "
                f"{placement.capacity} installed"
            )
        if isinstance(placement, NodePlacement):
            held = [part.nodes for part in extra if part.partition is partition]
            _check_nodes(placement, partition, held, where)


def _check_nodes(
    placement: NodePlacement, partition: Partition, held: list[Nodes], where: str
) -> None:
    on_node = [0] * placement.n_nodes
    for node in partition.out_of_service:
        on_node[node] = placement.chips_per_node
    for nodes in (*partition.nodes_of.values(), *held):
        for node, chips in nodes:
            on_node[node] += chips
    for node, used in enumerate(on_node):
        free = placement.node_free[node]
        if free < 0 or free + used != placement.chips_per_node:
            raise InvariantError(
                f"{where}: node {node} has {free} free + {used} allocated or out of service, but "
                f"{placement.chips_per_node} installed"
            )
