"""The networkx graph of a topology, for descriptions, routing and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.errors import check_kind
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Wiring
from clustersim.topology.spec import ClusterSpec

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["build_graph"]


def build_graph(spec: ClusterSpec, *, merge_rails: bool = True) -> nx.Graph[str]:
    """Build the graph of a whole cluster, with nodes (servers) as its lowest vertices.

    Parameters
    ----------
    spec : ClusterSpec
        A topology loaded by :func:`~clustersim.topology.load_cluster`.
    merge_rails : bool
        If True, parallel switches (the rails of a unit, or planes) become one vertex and parallel
        cables one edge. The attribute `multiplicity` states how many of them were merged. The
        capacities between groups of nodes do not change.

    Returns
    -------
    networkx.Graph
        Vertices are named ``"{pool}/{kind}/{index}"``. They have the attributes kind (node, leaf,
        spine, core, edge, aggregation, router, ideal, gateway, datacenter), pool, level (0 for
        nodes), index and multiplicity. Edges have the attributes level (name), bandwidth_Bps (of
        all parallel cables, one direction), latency_s and multiplicity.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.load_cluster("mixed-small", cs.load_catalogue())
    >>> graph = cs.build_graph(cluster)
    >>> sum(data["kind"] == "node" for _, data in graph.nodes(data=True))
    60
    """
    import networkx as nx

    advice = "use clustersim.load_cluster(path_or_name, catalogue)"
    check_kind("cluster", spec, ClusterSpec, "a loaded topology that is not compiled", advice)
    graph: nx.Graph[str] = nx.Graph(name=spec.name)
    for name, pool in spec.pools.items():
        add_pool(graph, name, pool.build_fabric(), merge=merge_rails)
    if spec.datacenter_network is not None:
        _join_pools(graph, spec)
    return graph


def add_pool(graph: nx.Graph[str], pool: str, fabric: Fabric, *, merge: bool) -> None:
    """Add the vertices and edges of one pool."""
    for group in fabric.vertices(merge=merge):
        attributes = {"kind": group.kind, "pool": pool, "level": group.level}
        graph.add_nodes_from(
            (
                f"{pool}/{group.kind}/{index}",
                {**attributes, "index": index, "multiplicity": group.multiplicity},
            )
            for index in range(group.count)
        )
    for wiring in fabric.wiring(merge=merge):
        _add_wiring(graph, pool, wiring)


def _add_wiring(graph: nx.Graph[str], pool: str, wiring: Wiring) -> None:
    """Add the edges of one level."""
    shared: dict[int, dict[str, Any]] = {
        cables: {
            "level": wiring.level,
            "bandwidth_Bps": cables * wiring.link_Bps,
            "latency_s": wiring.latency_s,
            "multiplicity": cables,
        }
        for cables in np.unique(wiring.multiplicity).tolist()
    }
    graph.add_edges_from(
        (f"{pool}/{wiring.lower_kind}/{low}", f"{pool}/{wiring.upper_kind}/{up}", shared[cables])
        for low, up, cables in zip(
            wiring.lower.tolist(), wiring.upper.tolist(), wiring.multiplicity.tolist(), strict=True
        )
    )


def _join_pools(graph: nx.Graph[str], spec: ClusterSpec) -> None:
    """Add a gateway above the top switches of each pool, and connect it to the datacenter."""
    network = spec.datacenter_network
    if network is None:
        return
    level = 1 + max(int(data["level"]) for _, data in graph.nodes(data=True))
    top = {
        name: _top_vertices(graph, name, pool.build_fabric()) for name, pool in spec.pools.items()
    }
    graph.add_node("datacenter", pool="", **_vertex("datacenter", level + 1, 0))
    for name, members in top.items():
        gateway, rate = f"{name}/gateway/0", network.rate_of(name)
        graph.add_node(gateway, pool=name, **_vertex("gateway", level, 0))
        down = {
            **_edge("gateway", rate / len(members)),
            "latency_s": spec.pools[name].fabric.latency,
        }
        graph.add_edges_from(((member, gateway) for member in members), **down)
        across = {**_edge("datacenter", rate), "latency_s": network.latency / 2}
        graph.add_edge(gateway, "datacenter", **across)


def _top_vertices(graph: nx.Graph[str], pool: str, fabric: Fabric) -> list[str]:
    """Return the vertices of the topmost layer of one pool."""
    kind = fabric.vertices(merge=True)[-1].kind
    members: list[str] = []
    while f"{pool}/{kind}/{len(members)}" in graph:
        members.append(f"{pool}/{kind}/{len(members)}")
    return members


def _vertex(kind: str, level: int, index: int) -> dict[str, Any]:
    return {"kind": kind, "level": level, "index": index, "multiplicity": 1}


def _edge(level: str, bandwidth_Bps: float) -> dict[str, Any]:
    return {"level": level, "bandwidth_Bps": bandwidth_Bps, "multiplicity": 1}
