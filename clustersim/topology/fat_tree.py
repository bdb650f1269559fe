"""The k-ary fat tree of Al-Fares, Loukissas and Vahdat (SIGCOMM 2008).

The tree has k pods with k/2 edge and k/2 aggregation switches each, (k/2)^2 core switches, and
k^3/4 hosts. Every switch has k ports. A server with several chips is one host in several parallel
trees ("planes"), with one port in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.array_types import Ints
from clustersim.files import FileModel
from clustersim.topology.fabric import Fabric, Ratio, ratio_note
from clustersim.topology.fabric_parts import Endpoints, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration, format_rate

__all__ = ["FatTree", "FatTreeFabric", "FatTreeOversubscription"]


class FatTreeOversubscription(FileModel):
    """Oversubscription per tier: the rate of the uplinks is divided by this number."""

    edge: Ratio = Field(1.0, description="oversubscription of the edge switches")
    aggregation: Ratio = Field(1.0, description="oversubscription of the aggregation switches")


class FatTree(FileModel):
    """k-ary fat tree with one parallel plane per network port of a node."""

    type: Literal["fat-tree"] = Field(description="kind of fabric")
    k: int | None = Field(
        None,
        ge=2,
        le=1024,
        description="ports per switch, an even number; the tree has room for k^3/4 nodes; "
        "by default the smallest k with room for the pool",
    )
    planes: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="parallel trees; each node has one port in each; by default one per chip",
    )
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of a link, one direction; by default the node's network bandwidth "
        "divided by the number of planes",
    )
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")
    oversubscription: FatTreeOversubscription = Field(
        default_factory=FatTreeOversubscription, description="oversubscription per tier of switches"
    )

    def build(self, endpoints: Endpoints) -> FatTreeFabric:
        """Return the fabric that connects the given servers."""
        return FatTreeFabric(self, endpoints)


class FatTreeFabric(Fabric):
    """Counts, trunks and wiring of a k-ary fat tree.

    Attributes
    ----------
    k, half, planes : int
        `half` is k/2.
    """

    def __init__(self, spec: FatTree, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        self.k = spec.k or _smallest_k(endpoints.nodes)
        self.half = self.k // 2
        self.planes = spec.planes or endpoints.chips_per_node
        rate = endpoints.node_Bps / self.planes
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate
        self.edge_up_Bps = self.link_Bps / spec.oversubscription.edge
        self.core_Bps = self.edge_up_Bps / spec.oversubscription.aggregation

    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built."""
        nodes = self.endpoints.nodes
        if self.k % 2:
            return [f"k: must be even, found {self.k}; use {self.k + 1}, for example"]
        if nodes > self.k**3 // 4:
            return [
                f"k: a {self.k}-ary fat tree has room for {self.k**3 // 4} nodes, but the pool has "
                f"{nodes}; use k of {_smallest_k(nodes)} or more"
            ]
        return []

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric (bytes/s)."""
        ends = self.endpoints
        return min(ends.nic_Bps, self.planes * self.link_Bps / ends.chips_per_node)

    def tiers(self) -> list[Tier]:
        """Return edge, aggregation and core switches of all planes: 5 k^2 / 4 per plane."""
        per_pod_layer = self.planes * self.k * self.half
        return [
            Tier("edge", per_pod_layer, self.k, self.link_Bps),
            Tier("aggregation", per_pod_layer, self.k, self.edge_up_Bps),
            Tier("core", self.planes * self.half**2, self.k, self.core_Bps),
        ]

    def levels(self) -> list[LinkLevel]:
        """Return the levels node-edge, edge-aggregation and aggregation-core.

        Each level of a full tree has k^3/4 links per plane. The node-edge level counts only the
        nodes of the pool; the upper levels count the full tree.
        """
        over, latency = self.spec.oversubscription, self.spec.latency
        links, nodes = self.planes * self.k**3 // 4, self.endpoints.nodes
        rows = (
            ("node-edge", "node", "edge", nodes * self.planes, self.link_Bps, None),
            ("edge-aggregation", "edge", "aggregation", links, self.edge_up_Bps, over.edge),
            ("aggregation-core", "aggregation", "core", links, self.core_Bps, over.aggregation),
        )
        return [
            LinkLevel(name, low, up, count, rate, latency, ratio, count * rate / 2)
            for name, low, up, count, rate, ratio in rows
        ]

    def ratio_notes(self) -> list[str]:
        """Return notes on differences between the requested and the built oversubscription.

        Differences arise if links are faster than the ports of the nodes, or if the pool has a
        single edge switch or a single pod.
        """
        over, chips = self.spec.oversubscription, self.endpoints.chips_per_node
        requested = {"edge": over.edge, "aggregation": over.aggregation}
        rate, built = self.port_Bps(), {}
        for tier, trunk in zip(requested, self.trunks(), strict=True):
            if trunk.n_groups > 1:
                share = trunk.up_Bps / (trunk.group_nodes * chips)
                built[tier] = rate / share
                rate = share
        end_to_end = self.port_Bps() / self.effective_nic_Bps()
        why = (
            f"a link has {format_rate(8 * self.link_Bps, 'b/s')} and a node sends "
            f"{format_rate(8 * self.port_Bps() * chips / self.planes, 'b/s')} into each plane"
        )
        return ratio_note(requested, built, end_to_end, why)

    def count_notes(self) -> list[str]:
        """Return a note if the tree has room for more nodes than the pool has."""
        room, nodes = self.k**3 // 4, self.endpoints.nodes
        if room == nodes:
            return []
        return [
            f"a {self.k}-ary fat tree has room for {room:,} nodes, but the pool has {nodes:,}; "
            "the switches and links of the full tree are counted"
        ]

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Return the edge switch of each node (the same index in every plane)."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.half)

    def unit_of_node(self) -> NDArray[np.int32]:
        """Return the pod of each node."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.half**2)

    def trunks(self) -> tuple[Trunk, ...]:
        """Return the trunks from edge switches to their pod, and from pods to the cores."""
        edge_up = self.planes * self.half * self.edge_up_Bps
        pod_up = self.planes * self.half**2 * self.core_Bps
        return (
            Trunk("edge", self.leaf_of_node(), self.half, edge_up),
            Trunk("pod", self.unit_of_node(), self.half**2, pod_up),
        )

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return nodes and edge, aggregation and core switches; `merge` joins parallel planes."""
        each = self.planes if merge else 1
        found = [Vertices("node", self.endpoints.nodes, 1, 0)]
        for level, tier in enumerate(self.tiers(), start=1):
            found.append(Vertices(tier.kind, tier.switches // each, each, level))
        return found

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield the edges; the switches of plane p are numbered after those of plane p - 1."""
        half, layer = self.half, self.k * self.half
        planes = np.arange(1 if merge else self.planes)[:, None]
        cables = self.planes if merge else 1

        def wires(low: str, up: str, lower: Ints, upper: Ints, rate: float) -> Wiring:
            lower, upper = np.broadcast_arrays(lower, upper)
            count = np.full(lower.size, cables)
            level, latency = f"{low}-{up}", self.spec.latency
            return Wiring(level, low, up, lower.ravel(), upper.ravel(), count, rate, latency)

        node = np.arange(self.endpoints.nodes)[None, :]
        yield wires("node", "edge", node, planes * layer + node // half, self.link_Bps)
        pod, edge, agg = (a.ravel()[None, :] for a in np.indices((self.k, half, half)))
        low, up = planes * layer + pod * half + edge, planes * layer + pod * half + agg
        yield wires("edge", "aggregation", low, up, self.edge_up_Bps)
        pod, agg, core = pod, edge, agg
        low = planes * layer + pod * half + agg
        up = planes * half**2 + agg * half + core
        yield wires("aggregation", "core", low, up, self.core_Bps)


def _smallest_k(nodes: int) -> int:
    """Return the smallest even k with k^3/4 >= nodes."""
    k = 2
    while k**3 // 4 < nodes:
        k += 2
    return k
