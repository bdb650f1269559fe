"""Compiled topologies: the counts and arrays that the simulation uses, without a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clustersim.brief import Brief
from clustersim.errors import InputError, check_kind
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Trunk
from clustersim.topology.spec import MOST_CHIPS, ClusterSpec, PoolSpec

__all__ = ["Cluster", "Pool", "compile_cluster", "single_pool"]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Nodes of one chip type on one fabric.

    Attributes
    ----------
    name : str
    accelerator : str
        Name in the catalogue.
    n_nodes, chips_per_node : int
    nic_Bps : float
        Network bandwidth of one chip when all chips of the pool send to all others, that is, after
        oversubscription (bytes/s).
    scaleup_size : int
        Number of chips in one scale-up domain.
    leaf_of_node, unit_of_node : array of int32, shape (n_nodes,)
        Index of the first switch (or group of switches) of each node, and of its scalable unit, pod
        or group. Both arrays are in ascending order.
    virtual_clusters : dict of str to int
        Number of nodes by virtual cluster. The virtual clusters own consecutive ranges of nodes in
        this order; the remaining nodes belong to no virtual cluster.
    scaleup_Bps : float or None
        Scale-up bandwidth of one chip, one direction (bytes/s); None if the catalogue's value
        applies.
    scaleup_shape : str or None
        ``switch``, ``mesh`` or ``none``; None if the catalogue's value applies.
    transport : str or None
        Fabric between nodes (``infiniband``, ``roce``, ``efa``, ``tcpx``); None if the catalogue's
        value applies.
    port_Bps : float
        Network bandwidth of one chip before oversubscription (bytes/s).
    port_hops : float
        Hops from a node to its switch; 0.5 if links lead directly to other nodes.
    hop_s : float
        Latency of one hop (seconds).
    trunks : tuple of Trunk
        Bundles of links that groups of nodes share, innermost first.
    datacenter_Bps : float
        Bandwidth to the other pools, one direction (bytes/s); 0 if the pools are not connected.
    notes : tuple of str
        Notes on differences between the requested and the built oversubscription.
    queues : tuple of str
        Queues whose jobs may use the nodes that belong to no virtual cluster.
    flavors : tuple of str
        Resource flavors of Kueue that are nodes of the pool.
    node_names : str
        Names of the nodes in their order, as Slurm writes them (``gpu[001-038]``); empty if not
        known.
    fabric : Fabric or None
        What knows the cables; None for a pool that was made without a topology.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> pool = cluster.pools[0]
    >>> pool.name, pool.n_nodes, pool.n_chips
    ('h200', 32, 256)
    """

    name: str
    accelerator: str
    n_nodes: int
    chips_per_node: int
    nic_Bps: float
    scaleup_size: int
    leaf_of_node: NDArray[np.int32]
    unit_of_node: NDArray[np.int32]
    virtual_clusters: dict[str, int] = field(default_factory=dict)
    scaleup_Bps: float | None = None
    scaleup_shape: str | None = None
    transport: str | None = None
    port_Bps: float = float("inf")
    port_hops: float = 1.0
    hop_s: float = 0.0
    trunks: tuple[Trunk, ...] = ()
    datacenter_Bps: float = 0.0
    notes: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    flavors: tuple[str, ...] = ()
    node_names: str = ""
    fabric: Fabric | None = None

    @property
    def n_chips(self) -> int:
        """Number of chips in the pool."""
        return self.n_nodes * self.chips_per_node

    def virtual_cluster_ranges(self) -> dict[str, range]:
        """Return the node indices that each virtual cluster owns.

        Examples
        --------
        >>> import clustersim as cs
        >>> teams = {"a": {"nodes": 3}, "b": {"nodes": 1}}
        >>> pools = {"gpu": {"accelerator": "H200", "nodes": 8, "virtual_clusters": teams}}
        >>> tree = {"name": "two teams", "pools": pools}
        >>> spec = cs.topology.resolve_cluster(tree, cs.load_catalogue())
        >>> cs.compile_cluster(spec).pools[0].virtual_cluster_ranges()
        {'a': range(0, 3), 'b': range(3, 4)}
        """
        ranges, start = {}, 0
        for name, nodes in self.virtual_clusters.items():
            ranges[name] = range(start, start + nodes)
            start += nodes
        return ranges


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cluster(Brief):
    """A compiled topology: one or several pools.

    Attributes
    ----------
    name : str
    pools : tuple of Pool
    datacenter_latency_s : float or None
        Latency between pools (seconds); None if they are not connected.
    empty_pools : tuple of str
        Names of pools without nodes.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> cluster.n_chips, [pool.name for pool in cluster.pools]
    (480, ['h200', 'h20', '910b', 'seedchip'])
    """

    name: str
    pools: tuple[Pool, ...]
    datacenter_latency_s: float | None = None
    empty_pools: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        pools = [f"{pool.name}: {pool.n_chips:,} {pool.accelerator}" for pool in self.pools]
        return f"Cluster {self.name!r}", {
            "pools": str(len(self.pools)),
            "accelerators": f"{self.n_chips:,} ({', '.join(pools)})",
        }

    @property
    def n_chips(self) -> int:
        """Number of chips in all pools."""
        return sum(pool.n_chips for pool in self.pools)

    def undivided(self) -> Cluster:
        """Return the cluster without virtual clusters and queues: all jobs share all nodes.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("philly-like", cs.load_catalogue()))
        >>> cluster.undivided().pools[0].virtual_clusters
        {}
        """
        pools = tuple(replace(pool, virtual_clusters={}, queues=()) for pool in self.pools)
        return replace(self, pools=pools)


def compile_cluster(spec: ClusterSpec) -> Cluster:
    """Compute the arrays of a topology from closed forms, without building a graph.

    Parameters
    ----------
    spec : ClusterSpec
        A topology loaded by :func:`~clustersim.topology.load_cluster`.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> cluster.n_chips, cluster.pools[0].chips_per_node
    (2048, 8)
    """
    advice = "use clustersim.load_cluster(path_or_name, catalogue)"
    check_kind("cluster", spec, ClusterSpec, "a loaded topology that is not compiled", advice)
    network = spec.datacenter_network
    pools = tuple(
        _compile_pool(name, pool, 0.0 if network is None else network.rate_of(name))
        for name, pool in spec.pools.items()
    )
    latency_s = None if network is None else network.latency
    return Cluster(spec.name, pools, latency_s, tuple(spec.empty_pools))


def _compile_pool(name: str, spec: PoolSpec, datacenter_Bps: float) -> Pool:
    fabric = spec.build_fabric()
    ends = fabric.endpoints
    return Pool(
        name=name,
        accelerator=spec.accelerator,
        n_nodes=ends.nodes,
        chips_per_node=ends.chips_per_node,
        nic_Bps=fabric.effective_nic_Bps(),
        scaleup_size=spec.scale_up.size or ends.chips_per_node,
        leaf_of_node=fabric.leaf_of_node(),
        unit_of_node=fabric.unit_of_node(),
        virtual_clusters=spec.virtual_cluster_nodes(),
        scaleup_Bps=spec.scale_up.bandwidth,
        scaleup_shape=spec.scale_up.shape,
        transport=spec.transport,
        port_Bps=fabric.port_Bps(),
        port_hops=fabric.port_hops,
        hop_s=spec.fabric.latency,
        trunks=fabric.trunks(),
        datacenter_Bps=datacenter_Bps,
        notes=tuple(fabric.ratio_notes()),
        queues=tuple(spec.queues),
        flavors=tuple(spec.flavors),
        node_names=spec.node_names,
        fabric=fabric,
    )


def single_pool(n_accelerators: int, *, accelerator: str = "") -> Cluster:
    """Return a cluster without topology: a pool named ``pool`` that has all chips in one node.

    Parameters
    ----------
    n_accelerators : int
    accelerator : str
        Name in the catalogue; needed only if results depend on the chip.

    Raises
    ------
    InputError
        If `n_accelerators` is not between 1 and ten million.

    Examples
    --------
    >>> from clustersim import single_pool
    >>> single_pool(100).pools[0].n_chips
    100
    """
    check_kind("number of accelerators", n_accelerators, (int, np.integer), "a whole number")
    if not 1 <= n_accelerators <= MOST_CHIPS:
        raise InputError(
            "number of accelerators", f"found {n_accelerators}; allowed: 1 to {MOST_CHIPS:,}"
        )
    zero = np.zeros(1, dtype=np.int32)
    pool = Pool(
        name="pool",
        accelerator=accelerator,
        n_nodes=1,
        chips_per_node=n_accelerators,
        nic_Bps=float("inf"),
        scaleup_size=n_accelerators,
        leaf_of_node=zero,
        unit_of_node=zero,
    )
    return Cluster("single pool", (pool,))
