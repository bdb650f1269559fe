"""The partitions of a cluster, on which jobs are placed."""

from __future__ import annotations

from collections.abc import Callable

from clustersim.scheduling.placement import Placement
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster, Pool

__all__ = ["MakePlacement", "build_partitions"]

MakePlacement = Callable[[int, int], Placement]
"""A placement class, or a function that takes the number of nodes and the number of chips per node
and returns an empty placement."""


def build_partitions(cluster: Cluster, make_placement: MakePlacement) -> list[Partition]:
    """Make the partitions of each pool: one per virtual cluster, and one for the other nodes.

    Parameters
    ----------
    cluster : Cluster
        A compiled topology.
    make_placement : callable
        Creates the placement of a partition.

    Returns
    -------
    list of Partition
        For each pool in turn: a partition for each virtual cluster in the order of the file, then a
        partition for the other nodes, if any.
    """
    partitions: list[Partition] = []
    for pool_index, pool in enumerate(cluster.pools):
        for virtual_cluster, first_node, n_nodes in _shares(pool):
            name = f"{pool.name}/{virtual_cluster}" if virtual_cluster else pool.name
            partitions.append(
                Partition(
                    index=len(partitions),
                    pool=pool_index,
                    name=name,
                    virtual_cluster=virtual_cluster,
                    first_node=first_node,
                    placement=make_placement(n_nodes, pool.chips_per_node),
                )
            )
    return partitions


def _shares(pool: Pool) -> list[tuple[str, int, int]]:
    """Return the virtual cluster, first node and number of nodes of each partition of `pool`."""
    shares = [
        (name, nodes.start, len(nodes)) for name, nodes in pool.virtual_cluster_ranges().items()
    ]
    used = sum(n_nodes for _, _, n_nodes in shares)
    if used < pool.n_nodes:
        shares.append(("", used, pool.n_nodes - used))
    return shares
