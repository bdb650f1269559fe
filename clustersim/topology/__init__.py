"""Clusters: topology files, networkx graphs, compiled arrays and summaries."""

from clustersim.topology.cluster import Cluster, Pool, compile_cluster, single_pool
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import LinkLevel, Tier, Trunk
from clustersim.topology.graph import build_graph
from clustersim.topology.load import (
    find_topology,
    load_cluster,
    resolve_cluster,
    topology_names,
)
from clustersim.topology.network_parts import ListedParts, NetworkParts, is_datacenter
from clustersim.topology.pool_cables import PartKind
from clustersim.topology.spec import (
    ALL,
    MOST_CHIPS,
    ClusterSpec,
    DatacenterNetwork,
    PoolName,
    PoolSpec,
    ScaleUp,
    VirtualCluster,
)
from clustersim.topology.summary import ClusterSummary, PoolSummary, summarise

__all__ = [
    "ALL",
    "MOST_CHIPS",
    "Cluster",
    "ClusterSpec",
    "ClusterSummary",
    "DatacenterNetwork",
    "Fabric",
    "LinkLevel",
    "ListedParts",
    "NetworkParts",
    "PartKind",
    "Pool",
    "PoolName",
    "PoolSpec",
    "PoolSummary",
    "ScaleUp",
    "Tier",
    "Trunk",
    "VirtualCluster",
    "build_graph",
    "compile_cluster",
    "find_topology",
    "is_datacenter",
    "load_cluster",
    "resolve_cluster",
    "single_pool",
    "summarise",
    "topology_names",
]
