"""The trunk graph: the bundles of links that jobs share, one capacity for each direction.

The switches of a fabric are merged until the network is a tree: a node has one trunk to its leaf, a
leaf one to the spines above it, a pod one to the cores, and a pool one to the datacenter network.
Traffic between two nodes goes up to the nearest switch that both can reach, and down again. Within
a scale-up domain, it does not enter the network. The capacity of a trunk is that of all its cables,
so the graph describes ideal load balancing.

Dragonflies are trees of routers and groups here. In a torus and in a full mesh, nodes share no
trunk: only the ports of the nodes are in the graph, which is the bandwidth to neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.topology import Cluster, Pool

__all__ = ["LEVELS", "TrunkGraph", "trunk_graph"]

LEVELS = ("scale-up", "rail", "leaf", "spine", "datacenter")
"""Levels of trunks: links within a scale-up domain; between a node and its leaf (or edge switch or
router); from leaves to the spines above them (within a group of a dragonfly: to its other routers);
from spines to cores (from a group to the others); from a pool to the datacenter network."""

SCALE_UP, RAIL, LEAF, SPINE, DATACENTER = range(len(LEVELS))


@dataclass(frozen=True, slots=True, eq=False)
class TrunkGraph:
    """Directed trunks of a cluster, and the trunks that each node uses.

    Nodes are numbered over all pools, in the order of the pools. A scale-up domain is a single
    trunk. At all other levels, the trunk downward has the number after that of the trunk upward.

    Attributes
    ----------
    capacity_Bps, latency_s : array of float, shape (n_trunks,)
        Capacity (bytes/s) and latency (seconds) of each trunk, in its direction. They are infinite
        and 0 in a cluster without topology. A scale-up domain has the sum of the bandwidths of its
        chips and latency 0.
    level, pool, group : array of int, shape (n_trunks,)
        Index in :data:`LEVELS`, index of the pool, and number of the scale-up domain, node, leaf
        or pod within the pool.
    upward : array of bool, shape (n_trunks,)
        True for trunks away from the nodes, and for scale-up domains.
    up_of_node : array of int, shape (n_levels, n_nodes)
        Trunk upward of each node at each level; -1 if there is none.
    first_node : array of int, shape (n_pools + 1,)
        Number of the first node of each pool, and the number of nodes.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.network import trunk_graph
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> graph = trunk_graph(cluster)
    >>> graph.n_nodes, graph.n_trunks
    (256, 784)
    >>> [round(1e6 * graph.latency_s[graph.route(0, node)].sum()) for node in (1, 255)]
    [2, 4]
    """

    capacity_Bps: Floats
    latency_s: Floats
    level: Ints
    pool: Ints
    group: Ints
    upward: Bools
    up_of_node: Ints
    first_node: Ints

    @property
    def n_trunks(self) -> int:
        """Number of trunks."""
        return self.capacity_Bps.size

    @property
    def n_nodes(self) -> int:
        """Number of nodes in all pools."""
        return int(self.first_node[-1])

    def pool_of_node(self, nodes: ArrayLike) -> Ints:
        """Return the index of the pool of each node."""
        return np.searchsorted(self.first_node, nodes, side="right") - 1

    def domain_of_node(self, nodes: Ints) -> Ints:
        """Return the trunk of each node's scale-up domain; a number of its own if it has none."""
        domain = self.up_of_node[SCALE_UP, nodes]
        return np.where(domain < 0, self.n_trunks + nodes, domain)

    def route(self, source: int, target: int) -> list[int]:
        """Return the trunks between two nodes, in the order in which traffic crosses them.

        The route from a node to itself, or to another node of its scale-up domain, is the domain.
        A node without scale-up links reaches itself over its leaf.

        Raises
        ------
        InputError
            If a node does not exist, or if the pools of the nodes are not connected.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.network import LEVELS, trunk_graph
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> graph = trunk_graph(cluster)
        >>> [LEVELS[graph.level[trunk]] for trunk in graph.route(0, 255)]
        ['rail', 'leaf', 'leaf', 'rail']
        """
        ends = np.array([source, target])
        self.check_nodes("route", ends)
        self.check_connected("route", ends, np.zeros(2, dtype=np.int64))
        domain = self.up_of_node[SCALE_UP, ends]
        if domain[0] >= 0 and domain[0] == domain[1]:
            return [int(domain[0])]
        leaving, entering = self.up_of_node[RAIL:, source], self.up_of_node[RAIL:, target]
        apart = leaving != entering
        if source == target:
            apart[0] = True
        up = leaving[apart & (leaving >= 0)]
        down = entering[apart & (entering >= 0)] + 1
        return [*up.tolist(), *down[::-1].tolist()]

    def check_nodes(self, source: str, nodes: Ints) -> None:
        """Raise an :class:`InputError` if a node does not exist."""
        wrong = np.flatnonzero((nodes < 0) | (nodes >= self.n_nodes))
        if wrong.size:
            problem = f"[{wrong[0]}]: unknown node {nodes[wrong[0]]}; allowed: 0 to "
            raise InputError(source, f"nodes{problem}{self.n_nodes - 1}")

    def check_connected(self, source: str, nodes: Ints, gang: Ints) -> None:
        """Raise an :class:`InputError` if a gang has nodes in pools that are not connected.

        Parameters
        ----------
        source : str
            Name of the function, for the message.
        nodes, gang : array of int, shape (n_rows,)
            The nodes of gang 0, those of gang 1, and so on.
        """
        pool = self.pool_of_node(nodes)
        joined = self.up_of_node[DATACENTER, nodes] >= 0
        apart = (gang[1:] == gang[:-1]) & (pool[1:] != pool[:-1]) & ~(joined[1:] & joined[:-1])
        wrong = np.flatnonzero(apart)
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                source,
                f"nodes[{row}] and nodes[{row + 1}]: the pools of nodes {nodes[row]} and "
                f"{nodes[row + 1]} are not connected; the topology needs a datacenter_network",
            )


def trunk_graph(cluster: Cluster) -> TrunkGraph:
    """Return the trunk graph of a compiled cluster.

    Parameters
    ----------
    cluster : Cluster
        A topology compiled by :func:`~clustersim.topology.compile_cluster`.

    Notes
    -----
    Latencies are those of the longest route below the nearest common switch. Half of the latency
    between pools, and one hop to a gateway, is at the trunk of each pool.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.network import trunk_graph
    >>> catalogue = cs.load_catalogue()
    >>> graph = trunk_graph(cs.compile_cluster(cs.load_cluster("mixed-small", catalogue)))
    >>> graph.first_node.tolist()
    [0, 32, 44, 52, 60]
    """
    sizes = [pool.n_nodes for pool in cluster.pools]
    first_node = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    up_of_node = np.full((len(LEVELS), int(first_node[-1])), -1, dtype=np.int64)
    columns: list[tuple[NDArray[Any], ...]] = []
    n_trunks = 0
    for index, pool in enumerate(cluster.pools):
        nodes = slice(first_node[index], first_node[index + 1])
        for level, group, capacity_Bps, latency_s in _bundles(pool, cluster.datacenter_latency_s):
            ways = 1 if level == SCALE_UP else 2
            up_of_node[level, nodes] = n_trunks + ways * group
            numbers = np.repeat(np.arange(capacity_Bps.size), ways)
            alike = (np.full(numbers.size, value) for value in (latency_s, level, index))
            upward = np.arange(numbers.size) % ways == 0
            columns.append((capacity_Bps[numbers], *alike, numbers, upward))
            n_trunks += numbers.size
    capacity, latency, levels, pools, groups, ups = map(np.concatenate, zip(*columns, strict=True))
    return TrunkGraph(capacity, latency, levels, pools, groups, ups, up_of_node, first_node)


Bundles = list[tuple[int, NDArray[Any], NDArray[Any], float]]


def _bundles(pool: Pool, datacenter_latency_s: float | None) -> Bundles:
    """Return level, group of each node, capacity of each group and latency of a pool's trunks."""
    node = np.arange(pool.n_nodes)
    found: Bundles = []
    if pool.scaleup_shape != "none":
        chip_Bps = np.inf if pool.scaleup_Bps is None else pool.scaleup_Bps
        domain = node * pool.chips_per_node // max(pool.scaleup_size, pool.chips_per_node)
        chips = np.bincount(domain) * pool.chips_per_node
        found.append((SCALE_UP, domain, chips * chip_Bps, 0.0))
    port_Bps = np.full(pool.n_nodes, pool.chips_per_node * pool.port_Bps)
    found.append((RAIL, node, port_Bps, pool.port_hops * pool.hop_s))
    for level, trunk in zip((LEAF, SPINE)[: len(pool.trunks)], pool.trunks, strict=True):
        capacity = np.full(trunk.n_groups, trunk.up_Bps)
        group = trunk.group_of_node.astype(np.int64)
        found.append((level, group, capacity, trunk.hops * pool.hop_s))
    if datacenter_latency_s is not None:
        latency_s = pool.hop_s + datacenter_latency_s / 2
        found.append((DATACENTER, np.zeros_like(node), np.array([pool.datacenter_Bps]), latency_s))
    return found
