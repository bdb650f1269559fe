"""Fabrics without switches to count: a full mesh of nodes, and none at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.files import FileModel
from clustersim.topology.fabric import Endpoints, Fabric, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["FullMesh", "FullMeshFabric", "IdealFabric", "NoFabric"]

MOST_MESH_NODES = 2048
"""More nodes than this would need more cables than any node has ports."""


class FullMesh(FileModel):
    """Every node cabled to every other."""

    type: Literal["full-mesh"] = Field(description="kind of fabric")
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of the link between two nodes, one direction; by default a node's "
        "network over its links",
    )
    latency: Duration = Field("1 us", validate_default=True, description="of one hop")

    def build(self, endpoints: Endpoints) -> FullMeshFabric:
        """Return the fabric for these servers."""
        return FullMeshFabric(self, endpoints)


class NoFabric(FileModel):
    """No topology: every node reaches every other at the rate of its network."""

    type: Literal["none"] = Field("none", description="kind of fabric")
    latency: Duration = Field("1 us", validate_default=True, description="of one hop")

    def build(self, endpoints: Endpoints) -> IdealFabric:
        """Return the fabric for these servers."""
        return IdealFabric(self, endpoints)


class _Flat(Fabric):
    """What both share: all nodes are in one group, and nothing is shared."""

    def leaf_of_node(self) -> NDArray[np.int32]:
        """One group for all nodes."""
        return np.zeros(self.endpoints.nodes, dtype=np.int32)

    def unit_of_node(self) -> NDArray[np.int32]:
        """One group for all nodes."""
        return self.leaf_of_node()

    def tiers(self) -> list[Tier]:
        """No switches."""
        return []

    def trunks(self) -> tuple[Trunk, ...]:
        """No shared bundles."""
        return ()


class FullMeshFabric(_Flat):
    """n nodes, n (n - 1) / 2 links, (n/2)^2 of them across the middle."""

    def __init__(self, spec: FullMesh, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        rate = endpoints.node_Bps / max(1, endpoints.nodes - 1)
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate

    def problems(self) -> list[str]:
        """What makes this fabric impossible."""
        if self.endpoints.nodes <= MOST_MESH_NODES:
            return []
        return [
            f"type: a full mesh of {self.endpoints.nodes} nodes is out of reach; allowed: up to "
            f"{MOST_MESH_NODES} nodes"
        ]

    def port_Bps(self) -> float:
        """Rate at which one chip enters the fabric (bytes/s)."""
        ends = self.endpoints
        if ends.nodes == 1:
            return ends.nic_Bps
        return min(ends.nic_Bps, (ends.nodes - 1) * self.link_Bps / ends.chips_per_node)

    def levels(self) -> list[LinkLevel]:
        """One level: node to node."""
        nodes, rate = self.endpoints.nodes, self.link_Bps
        if nodes == 1:
            return []
        links, across = nodes * (nodes - 1) // 2, (nodes // 2) * (nodes - nodes // 2)
        return [
            LinkLevel("mesh", "node", "node", links, rate, self.spec.latency, None, across * rate)
        ]

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Nodes only."""
        return [Vertices("node", self.endpoints.nodes, 1, 0)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Every pair of nodes."""
        one, other = np.triu_indices(self.endpoints.nodes, k=1)
        cables = np.ones(one.size, dtype=np.int64)
        if one.size:
            yield Wiring(
                "mesh", "node", "node", one, other, cables, self.link_Bps, self.spec.latency
            )


class IdealFabric(_Flat):
    """An ideal network, drawn as one vertex that is no switch."""

    def __init__(self, spec: NoFabric, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec

    def problems(self) -> list[str]:
        """Nothing can be wrong."""
        return []

    def levels(self) -> list[LinkLevel]:
        """Every node at its full rate."""
        ends = self.endpoints
        return [
            LinkLevel(
                "node-ideal", "node", "ideal", ends.chips, ends.nic_Bps, self.spec.latency, None,
                ends.chips * ends.nic_Bps / 2,
            )
        ]  # fmt: skip

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Nodes and the ideal network."""
        return [Vertices("node", self.endpoints.nodes, 1, 0), Vertices("ideal", 1, 1, 1)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Every node to the ideal network."""
        node = np.arange(self.endpoints.nodes)
        cables = np.full(node.size, self.endpoints.chips_per_node)
        yield Wiring(
            "node-ideal", "node", "ideal", node, np.zeros_like(node), cables,
            self.endpoints.nic_Bps, self.spec.latency,
        )  # fmt: skip
