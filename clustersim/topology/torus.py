"""Two- or three-dimensional torus: every node is cabled to its neighbours, without switches.

Counts and bisection: Dally and Towles, "Principles and Practices of Interconnection Networks"
(2004), chapter 5: n nodes of d dimensions have d n links; a cut across the longest dimension m
severs 2 n / m of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.files import FileModel
from clustersim.topology.fabric import Endpoints, Fabric, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["Torus", "TorusFabric"]

Dimension = Annotated[int, Field(ge=1, le=100_000)]


class Torus(FileModel):
    """2-D or 3-D torus of nodes."""

    type: Literal["torus"] = Field(description="kind of fabric")
    dims: list[Dimension] = Field(
        min_length=2,
        max_length=3,
        description="nodes along each dimension; their product is the number of nodes",
    )
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of a link, one direction; by default a node's network over its links",
    )
    latency: Duration = Field("1 us", validate_default=True, description="of one hop")

    def build(self, endpoints: Endpoints) -> TorusFabric:
        """Return the fabric for these servers."""
        return TorusFabric(self, endpoints)


class TorusFabric(Fabric):
    """Counts and wiring of a torus.

    Attributes
    ----------
    dims : tuple of int
    wrapped : tuple of int
        The dimensions (their indices) that have links: those of two nodes or more.
    """

    def __init__(self, spec: Torus, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        self.dims = tuple(spec.dims)
        self.wrapped = tuple(axis for axis, size in enumerate(self.dims) if size > 1)
        rate = endpoints.node_Bps / (2 * max(1, len(self.wrapped)))
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate

    def problems(self) -> list[str]:
        """What makes this fabric impossible."""
        product, nodes = math.prod(self.dims), self.endpoints.nodes
        if product == nodes:
            return []
        shape = " x ".join(map(str, self.dims))
        return [f"dims: {shape} = {product} nodes, but the pool has {nodes}; they must be equal"]

    def tiers(self) -> list[Tier]:
        """None: the nodes pass on what is not for them."""
        return []

    def levels(self) -> list[LinkLevel]:
        """One level per dimension, with the cut across that dimension (two links a ring)."""
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
        """Rate at which one chip enters the fabric (bytes/s)."""
        ends = self.endpoints
        if not self.wrapped:
            return ends.nic_Bps
        all_links = 2 * len(self.wrapped) * self.link_Bps
        return min(ends.nic_Bps, all_links / ends.chips_per_node)

    def effective_nic_Bps(self) -> float:
        """Rate of every chip when all send to all: half of the traffic crosses the bisection.

        With n chips at rate r each half sends ``n/2 * r/2`` to the other, so ``r <= 4 B / n``
        (Dally and Towles, section 3.3).
        """
        if not self.wrapped:
            return self.port_Bps()
        return min(self.port_Bps(), 4 * self.bisection_Bps() / self.endpoints.chips)

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Ring of each node along the last dimension (there are no leaf switches)."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.dims[-1])

    def unit_of_node(self) -> NDArray[np.int32]:
        """Plane of each node: the last two dimensions."""
        plane = self.dims[-1] * self.dims[-2]
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(plane)

    def trunks(self) -> tuple[Trunk, ...]:
        """None: no group of nodes shares a bundle."""
        return ()

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Nodes only."""
        return [Vertices("node", self.endpoints.nodes, 1, 0)]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Each node to the next one of every dimension, the last to the first.

        In a ring of two both links join the same pair: one edge of two cables.
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
