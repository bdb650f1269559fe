"""The partitions of a cluster, on which jobs are placed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.placements import Placement, levels_of
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster, Pool

__all__ = ["MakePlacement", "build_partitions"]

MakePlacement = Callable[[int, int], Placement]
"""A placement class, or a function that takes the number of nodes and the number of chips per node
and returns an empty placement."""


def build_partitions(
    cluster: Cluster, make_placement: MakePlacement, *, sizes: Ints | None = None
) -> list[Partition]:
    """Make the partitions of each pool: one per virtual cluster, and one for the other nodes.

    Parameters
    ----------
    cluster : Cluster
        A compiled topology.
    make_placement : callable
        Creates the placement of a partition.
    sizes : int array (jobs,), optional
        Sizes of the jobs of the run, for placements that use their distribution.

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
            placement = make_placement(n_nodes, pool.chips_per_node)
            levels = levels_of(_groups(pool, first_node, first_node + n_nodes))
            known = np.zeros(0, dtype=np.int64) if sizes is None else sizes
            placement.prepare(levels, known)
            partitions.append(
                Partition(
                    index=len(partitions),
                    pool=pool_index,
                    name=name,
                    virtual_cluster=virtual_cluster,
                    first_node=first_node,
                    placement=placement,
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


def _groups(pool: Pool, first: int, end: int) -> Iterator[tuple[str, Ints]]:
    """Yield the levels of the network of some nodes of a pool, with the group of each node."""
    for trunk in pool.trunks:
        yield trunk.name, np.asarray(trunk.group_of_node[first:end], dtype=np.int64)
    yield "leaf", np.asarray(pool.leaf_of_node[first:end], dtype=np.int64)
    yield "unit", np.asarray(pool.unit_of_node[first:end], dtype=np.int64)
