"""Fabrics without switches: a full mesh of nodes, and an ideal network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.files import FileModel
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Endpoints, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["FullMesh", "FullMeshFabric", "IdealFabric", "NoFabric"]

MOST_MESH_NODES = 2048
"""Maximum number of nodes in a full mesh; a node does not have ports for more cables."""


class FullMesh(FileModel):
    """Full mesh: a link between every pair of nodes."""

    type: Literal["full-mesh"] = Field(description="kind of fabric")
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of the link between two nodes, one direction; by default the node's "
        "network bandwidth divided by its number of links",
    )
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")

    def build(self, endpoints: Endpoints) -> FullMeshFabric:
        """Return the fabric that connects the given servers."""
        return FullMeshFabric(self, endpoints)


class NoFabric(FileModel):
    """No topology: every node reaches every other node at its full network bandwidth."""

    type: Literal["none"] = Field("none", description="kind of fabric")
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")

    def build(self, endpoints: Endpoints) -> IdealFabric:
        """Return the fabric that connects the given servers."""
        return IdealFabric(self, endpoints)


class _Flat(Fabric):
    """Base class of fabrics without switches: all nodes form one group, and no links are shared."""

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Return 0 for every node, because all nodes are in one group."""
        return np.zeros(self.endpoints.nodes, dtype=np.int32)

    def unit_of_node(self) -> NDArray[np.int32]:
        """Return 0 for every node, because all nodes are in one group."""
        return self.leaf_of_node()

    def tiers(self) -> list[Tier]:
        """Return an empty list: there are no switches."""
        return []

    def trunks(self) -> tuple[Trunk, ...]:
        """Return an empty tuple: no bundles are shared."""
        return ()


class FullMeshFabric(_Flat):
    """A full mesh: n nodes and n (n - 1) / 2 links, of which (n/2)^2 cross the bisection."""

    port_hops = 0.5

    def __init__(self, spec: FullMesh, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        rate = endpoints.node_Bps / max(1, endpoints.nodes - 1)
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate

    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built."""
        if self.endpoints.nodes <= MOST_MESH_NODES:
            return []
        return [
            f"type: a full mesh can have at most {MOST_MESH_NODES} nodes, but the pool has "
            f"{self.endpoints.nodes}"
        ]

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric (bytes/s)."""
        ends = self.endpoints
        if ends.nodes == 1:
            return ends.nic_Bps
        return min(ends.nic_Bps, (ends.nodes - 1) * self.link_Bps / ends.chips_per_node)

    def levels(self) -> list[LinkLevel]:
        """Return the single level, node to node."""
        nodes, rate = self.endpoints.nodes, self.link_Bps
        if nodes == 1:
            return []
        links, across = nodes * (nodes - 1) // 2, (nodes // 2) * (nodes - nodes // 2)
        return [
            LinkLevel("mesh", "node", "node", links, rate, self.spec.latency, None, across * rate)
        ]

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return the nodes; there are no other vertices."""
        return [Vertices("node", self.endpoints.nodes, 1, 0)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield one edge for every pair of nodes."""
        one, other = np.triu_indices(self.endpoints.nodes, k=1)
        cables = np.ones(one.size, dtype=np.int64)
        if one.size:
            yield Wiring(
                "mesh", "node", "node", one, other, cables, self.link_Bps, self.spec.latency
            )


class IdealFabric(_Flat):
    """An ideal network, represented in graphs by one vertex that does not count as a switch."""

    def __init__(self, spec: NoFabric, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec

    def problems(self) -> list[str]:
        """Return an empty list: an ideal network can always be built."""
        return []

    def levels(self) -> list[LinkLevel]:
        """Return the single level, on which every node has its full network bandwidth."""
        ends = self.endpoints
        return [
            LinkLevel(
                "node-ideal", "node", "ideal", ends.chips, ends.nic_Bps, self.spec.latency, None,
                ends.chips * ends.nic_Bps / 2,
            )
        ]  # fmt: skip

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return the nodes and one vertex for the ideal network."""
        return [Vertices("node", self.endpoints.nodes, 1, 0), Vertices("ideal", 1, 1, 1)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield one edge from every node to the ideal network."""
        node = np.arange(self.endpoints.nodes)
        cables = np.full(node.size, self.endpoints.chips_per_node)
        yield Wiring(
            "node-ideal", "node", "ideal", node, np.zeros_like(node), cables,
            self.endpoints.nic_Bps, self.spec.latency,
        )  # fmt: skip
