"""Summary of a topology: nodes, chips, switches, links, bisection and oversubscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clustersim.brief import Brief
from clustersim.errors import check_kind
from clustersim.topology.fabric_parts import LinkLevel, Tier
from clustersim.topology.spec import ClusterSpec, PoolSpec

__all__ = ["ClusterSummary", "PoolSummary", "summarise"]


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """Summary of one pool.

    Attributes
    ----------
    name, accelerator, fabric : str
    nodes, chips : int
    tiers : tuple of Tier
        Layers of switches from the nodes upwards.
    levels : tuple of LinkLevel
        Levels of links from the nodes upwards.
    port_Bps, nic_Bps : float
        Network bandwidth of one chip, before and after oversubscription (bytes/s).
    oversubscription_by_level : dict of str to float
        Factors whose product is :attr:`oversubscription`, by the groups that share uplinks.
    group_nodes : dict of str to int
        Number of nodes of a full group of each of these levels. Traffic within a group does not
        use the uplinks of its level.
    bisection_Bps : float
        Capacity between two halves of the pool, one direction (bytes/s).
    virtual_clusters : dict of str to int
        Number of nodes by virtual cluster.
    datacenter_Bps : float
        Bandwidth to the other pools (bytes/s); 0 if the pools are not connected.
    notes : tuple of str
        Notes on rounding, for example of the oversubscription, and on units that are not full.

    Examples
    --------
    >>> import clustersim as cs
    >>> (pool,) = cs.summarise(cs.load_cluster("h20-pod", cs.load_catalogue())).pools
    >>> pool.accelerator, pool.nodes, pool.chips
    ('H20', 256, 2048)
    """

    name: str
    accelerator: str
    fabric: str
    nodes: int
    chips: int
    tiers: tuple[Tier, ...]
    levels: tuple[LinkLevel, ...]
    port_Bps: float
    nic_Bps: float
    bisection_Bps: float
    virtual_clusters: dict[str, int]
    datacenter_Bps: float
    notes: tuple[str, ...] = ()
    oversubscription_by_level: dict[str, float] = field(default_factory=dict)
    group_nodes: dict[str, int] = field(default_factory=dict)

    @property
    def switches(self) -> int:
        """Number of switches in all tiers."""
        return sum(tier.switches for tier in self.tiers)

    @property
    def links(self) -> int:
        """Number of cables in all levels."""
        return sum(level.links for level in self.levels)

    @property
    def oversubscription(self) -> float:
        """Bandwidth of a chip that sends alone, divided by its bandwidth when all chips send."""
        return self.port_Bps / self.nic_Bps


@dataclass(frozen=True, slots=True, repr=False)
class ClusterSummary(Brief):
    """Summary of a cluster; totals are sums over its pools.

    Examples
    --------
    >>> import clustersim as cs
    >>> summary = cs.summarise(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> [pool.name for pool in summary.pools]
    ['h20']
    """

    name: str
    description: str
    pools: tuple[PoolSummary, ...]

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        pools = [f"{pool.name}: {pool.chips:,} {pool.accelerator}" for pool in self.pools]
        return f"ClusterSummary {self.name!r}", {
            "nodes": f"{self.nodes:,}",
            "accelerators": ", ".join(pools),
        }

    @property
    def nodes(self) -> int:
        """Number of nodes in all pools."""
        return sum(pool.nodes for pool in self.pools)

    @property
    def chips(self) -> int:
        """Number of chips in all pools."""
        return sum(pool.chips for pool in self.pools)

    @property
    def switches(self) -> int:
        """Number of switches in all pools."""
        return sum(pool.switches for pool in self.pools)

    @property
    def links(self) -> int:
        """Number of cables in all pools, without the network between pools."""
        return sum(pool.links for pool in self.pools)

    @property
    def bisection_Bps(self) -> float:
        """Sum of the bisection bandwidths of all pools (bytes/s)."""
        return sum(pool.bisection_Bps for pool in self.pools)


def summarise(spec: ClusterSpec) -> ClusterSummary:
    """Summarise a loaded topology from closed forms, without building a graph.

    Examples
    --------
    >>> import clustersim as cs
    >>> summary = cs.summarise(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> summary.nodes, summary.chips
    (60, 480)
    """
    advice = "use clustersim.load_cluster(path_or_name, catalogue)"
    check_kind("cluster", spec, ClusterSpec, "a loaded topology that is not compiled", advice)
    network = spec.datacenter_network
    pools = tuple(
        _summarise_pool(name, pool, 0.0 if network is None else network.rate_of(name))
        for name, pool in spec.pools.items()
    )
    return ClusterSummary(spec.name, spec.description, pools)


def _summarise_pool(name: str, spec: PoolSpec, datacenter_Bps: float) -> PoolSummary:
    fabric = spec.build_fabric()
    factors = fabric.oversubscription()
    return PoolSummary(
        name=name,
        accelerator=spec.accelerator,
        fabric=spec.fabric.type,
        nodes=spec.nodes,
        chips=fabric.endpoints.chips,
        tiers=tuple(fabric.tiers()),
        levels=tuple(fabric.levels()),
        port_Bps=fabric.port_Bps(),
        nic_Bps=fabric.effective_nic_Bps(),
        bisection_Bps=fabric.bisection_Bps(),
        virtual_clusters=spec.virtual_cluster_nodes(),
        datacenter_Bps=datacenter_Bps,
        notes=(*fabric.ratio_notes(), *fabric.count_notes(), *spec.share_notes()),
        oversubscription_by_level=factors,
        group_nodes={
            trunk.name: trunk.group_nodes for trunk in fabric.trunks() if trunk.name in factors
        },
    )
