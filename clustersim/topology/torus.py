"""Two- or three-dimensional torus: every node is connected to its neighbours, without switches.

Counts and bisection follow Dally and Towles, "Principles and Practices of Interconnection Networks"
(2004), chapter 5: n nodes in d dimensions have d n links, and a cut across the longest dimension (m
nodes) severs 2 n / m links.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.files import FileModel
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Endpoints, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["Torus", "TorusFabric"]

Dimension = Annotated[int, Field(ge=1, le=100_000)]


class Torus(FileModel):
    """2-D or 3-D torus of nodes."""

    type: Literal["torus"] = Field(description="kind of fabric")
    dims: list[Dimension] = Field(
        min_length=2,
        max_length=3,
        description="nodes along each dimension; their product must be the number of nodes",
    )
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of a link, one direction; by default the node's network bandwidth "
        "divided by its number of links",
    )
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")

    def build(self, endpoints: Endpoints) -> TorusFabric:
        """Return the fabric that connects the given servers."""
        return TorusFabric(self, endpoints)


class TorusFabric(Fabric):
    """Counts and wiring of a torus.

    Attributes
    ----------
    dims : tuple of int
    wrapped : tuple of int
        Indices of the dimensions with links, that is, with two or more nodes.
    """

    port_hops = 0.5

    def __init__(self, spec: Torus, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        self.dims = tuple(spec.dims)
        self.wrapped = tuple(axis for axis, size in enumerate(self.dims) if size > 1)
        rate = endpoints.node_Bps / (2 * max(1, len(self.wrapped)))
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate

    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built."""
        product, nodes = math.prod(self.dims), self.endpoints.nodes
        if product == nodes:
            return []
        shape = " x ".join(map(str, self.dims))
        return [
            f"dims: {shape} = {product} nodes, but the pool has {nodes}; "
            "the two numbers must be equal"
        ]

    def tiers(self) -> list[Tier]:
        """Return an empty list: nodes forward traffic themselves, without switches."""
        return []

    def levels(self) -> list[LinkLevel]:
        """Return one level per dimension; a cut across a dimension severs two links per ring."""
        nodes, rate = self.endpoints.nodes, self.link_Bps
        return [
            LinkLevel(
                f"torus-{'xyz'[axis]}",
                "node",
                "node",
                nodes,
                rate,
                self.spec.latency,
                None,
                2 * nodes / self.dims[axis] * rate,
            )
            for axis in self.wrapped
        ]

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric (bytes/s)."""
        ends = self.endpoints
        if not self.wrapped:
            return ends.nic_Bps
        all_links = 2 * len(self.wrapped) * self.link_Bps
        return min(ends.nic_Bps, all_links / ends.chips_per_node)

    def effective_nic_Bps(self) -> float:
        """Return the rate of each chip when all chips send to all others (bytes/s).

        Half of the traffic crosses the bisection: of n chips at rate r, each half sends
        ``n/2 * r/2`` to the other, so ``r <= 4 B / n`` for a bisection bandwidth B (Dally and
        Towles, section 3.3).
        """
        if not self.wrapped:
            return self.port_Bps()
        return min(self.port_Bps(), 4 * self.bisection_Bps() / self.endpoints.chips)

    def oversubscription(self) -> dict[str, float]:
        """Return the factor by which the bisection reduces the rate of a chip."""
        if not self.wrapped:
            return {}
        return {"bisection": self.port_Bps() / self.effective_nic_Bps()}

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Return the index of each node's ring along the last dimension (it has no leaf switch)."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.dims[-1])

    def unit_of_node(self) -> NDArray[np.int32]:
        """Return the index of each node's plane along the last two dimensions."""
        plane = self.dims[-1] * self.dims[-2]
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(plane)

    def trunks(self) -> tuple[Trunk, ...]:
        """Return an empty tuple: no group of nodes shares a bundle of links."""
        return ()

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return the nodes; there are no other vertices."""
        return [Vertices("node", self.endpoints.nodes, 1, 0)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield the edges from each node to the next node in every dimension, with wrap-around.

        In a ring of two nodes, both links connect the same pair of nodes and are merged into one
        edge with two cables.
        """
        index = np.arange(self.endpoints.nodes).reshape(self.dims)
        for axis in self.wrapped:
            here, there = index.ravel(), np.roll(index, -1, axis=axis).ravel()
            lower, upper = np.minimum(here, there), np.maximum(here, there)
            cables = np.ones(lower.size, dtype=np.int64)
            yield Wiring(
                f"torus-{'xyz'[axis]}",
                "node",
                "node",
                lower,
                upper,
                cables,
                self.link_Bps,
                self.spec.latency,
            ).merged()
