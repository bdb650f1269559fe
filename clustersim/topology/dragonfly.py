"""Dragonfly: groups of fully connected routers; global links connect every pair of groups.

Kim, Dally, Scott and Abts, "Technology-Driven, Highly-Scalable Dragonfly Topology" (ISCA 2008): a
dragonfly has p nodes per router, a routers per group, h global links per router and at most a h + 1
groups. It is balanced if a = 2 p = 2 h. A server with several chips has one port in each of several
parallel networks ("planes").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.array_types import Ints
from clustersim.files import FileModel
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Endpoints, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["Dragonfly", "DragonflyFabric"]


class Dragonfly(FileModel):
    """Dragonfly with full local meshes and evenly distributed global links."""

    type: Literal["dragonfly"] = Field(description="kind of fabric")
    nodes_per_router: int = Field(ge=1, le=1024, description="p: nodes per router")
    routers_per_group: int = Field(ge=1, le=1024, description="a: routers per group")
    global_links: int = Field(ge=1, le=1024, description="h: links of a router to other groups")
    groups: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="number of groups, at most a h + 1; by default as many as the nodes need",
    )
    planes: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="parallel networks; each node has one port in each; by default one per chip",
    )
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of a node's port; by default the node's network bandwidth divided by "
        "the number of planes",
    )
    local_rate: Bandwidth | None = Field(
        None, description="rate of a link within a group; by default the link rate"
    )
    global_rate: Bandwidth | None = Field(
        None, description="rate of a link between groups; by default the link rate"
    )
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")

    def build(self, endpoints: Endpoints) -> DragonflyFabric:
        """Return the fabric that connects the given servers."""
        return DragonflyFabric(self, endpoints)


class DragonflyFabric(Fabric):
    """Counts, trunks and wiring of a dragonfly.

    Attributes
    ----------
    p, a, h, groups, planes : int
    pair_links : int
        Number of global links between any two groups in one plane; the remaining ports are unused.
    """

    def __init__(self, spec: Dragonfly, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        self.p, self.a, self.h = spec.nodes_per_router, spec.routers_per_group, spec.global_links
        self.groups = spec.groups or -(-endpoints.nodes // (self.p * self.a))
        self.pair_links = self.a * self.h // (self.groups - 1) if self.groups > 1 else 0
        self.planes = spec.planes or endpoints.chips_per_node
        rate = endpoints.node_Bps / self.planes
        self.link_Bps = rate if spec.link_rate is None else spec.link_rate
        self.local_Bps = self.link_Bps if spec.local_rate is None else spec.local_rate
        self.global_Bps = self.link_Bps if spec.global_rate is None else spec.global_rate

    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built."""
        most, room = self.a * self.h + 1, self.p * self.a * self.groups
        if self.groups > most:
            return [
                f"groups: {self.a} routers with {self.h} global links each connect at most {most} "
                f"groups, found {self.groups}; use more routers_per_group or global_links"
            ]
        if self.endpoints.nodes > room:
            return [
                f"groups: {self.groups} groups have room for {room} nodes, but the pool has "
                f"{self.endpoints.nodes}"
            ]
        return []

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric (bytes/s)."""
        ends = self.endpoints
        return min(ends.nic_Bps, self.planes * self.link_Bps / ends.chips_per_node)

    def tiers(self) -> list[Tier]:
        """Return the only tier: ``a g`` routers in each plane, for g groups."""
        ports = self.p + self.a - 1 + self.h
        fastest = max(self.link_Bps, self.local_Bps, self.global_Bps)
        return [Tier("router", self.planes * self.a * self.groups, ports, fastest)]

    def levels(self) -> list[LinkLevel]:
        """Return the levels of links: from nodes to routers, within groups, and between groups.

        The global bisection separates one half of the groups from the other. If there is a single
        group, the bisection separates one half of its routers from the other.
        """
        latency, g, planes = self.spec.latency, self.groups, self.planes
        down = planes * self.p * self.a * g * self.link_Bps
        nodes = self.endpoints.nodes * planes
        found = [
            LinkLevel(
                "node-router", "node", "router", nodes, self.link_Bps, latency, None,
                nodes * self.link_Bps / 2,
            )
        ]  # fmt: skip
        if self.a > 1:
            local = planes * g * self.a * (self.a - 1) // 2
            # Both directions of a local cable carry traffic upwards: each router uses a - 1 links.
            ratio = down / (2 * local * self.local_Bps)
            half = (self.a // 2) * (self.a - self.a // 2) * planes * self.local_Bps
            found.append(
                LinkLevel(
                    "local", "router", "router", local, self.local_Bps, latency, ratio,
                    half if g == 1 else None,
                )
            )  # fmt: skip
        if g > 1:
            links = planes * self.pair_links * g * (g - 1) // 2
            cut = (g // 2) * (g - g // 2) * self.pair_links * planes * self.global_Bps
            ratio = down / (2 * links * self.global_Bps)
            found.append(
                LinkLevel("global", "router", "router", links, self.global_Bps, latency, ratio, cut)
            )
        return found

    def count_notes(self) -> list[str]:
        """Return notes on unused global ports and on groups with room for more nodes."""
        notes = []
        unused = self.a * self.h - self.pair_links * (self.groups - 1)
        if self.groups > 1 and unused:
            notes.append(
                f"{unused} of {self.a * self.h} global links of a group are not used "
                f"(links to each other group: {self.pair_links}; other groups: {self.groups - 1})"
            )
        room = self.p * self.a * self.groups
        if room != self.endpoints.nodes:
            notes.append(
                f"{self.groups:,} groups have room for {room:,} nodes, but the pool has "
                f"{self.endpoints.nodes:,}; the routers and links of full groups are counted"
            )
        return notes

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Return the router of each node (the same index in every plane)."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.p)

    def unit_of_node(self) -> NDArray[np.int32]:
        """Return the group of each node."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.p * self.a)

    def trunks(self) -> tuple[Trunk, ...]:
        """Return the trunks from a router to all others, and from a group to all others.

        The hops are those of the longest minimal route: local, global, local.
        """
        outside = self.pair_links * (self.groups - 1) * self.global_Bps
        router_up = self.planes * ((self.a - 1) * self.local_Bps + outside / self.a)
        local_hop, group_up = 1.0 if self.a > 1 else 0.0, self.planes * outside
        group_hops = 0.5 + local_hop / 2
        return (
            Trunk("router", self.leaf_of_node(), self.p, router_up, local_hop / 2),
            Trunk("group", self.unit_of_node(), self.p * self.a, group_up, group_hops),
        )

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return nodes and routers; with `merge`, parallel planes are merged."""
        each = self.planes if merge else 1
        routers = self.tiers()[0].switches // each
        return [
            Vertices("node", self.endpoints.nodes, 1, 0),
            Vertices("router", routers, each, 1),
        ]

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield the edges; the routers of plane p are numbered after those of plane p - 1."""
        per_plane = self.a * self.groups
        planes = np.arange(1 if merge else self.planes)[:, None] * per_plane
        cables = self.planes if merge else 1
        node = np.arange(self.endpoints.nodes)
        pairs = [("node-router", "node", np.tile(node, len(planes)), node // self.p, self.link_Bps)]
        group = np.arange(self.groups)[:, None] * self.a
        one, other = np.triu_indices(self.a, k=1)
        if self.a > 1:
            lower = (planes + (group + one).ravel()).ravel()
            pairs.append(("local", "router", lower, (group + other).ravel(), self.local_Bps))
        if self.groups > 1:
            low, up = self._global_pairs()
            pairs.append(("global", "router", (planes + low).ravel(), up, self.global_Bps))
        for level, kind, lower, upper, rate in pairs:
            upper = (planes + upper).ravel()
            count = np.full(lower.size, cables)
            yield Wiring(
                level, kind, "router", lower, upper, count, rate, self.spec.latency
            ).merged()

    def _global_pairs(self) -> tuple[Ints, Ints]:
        """Return the pairs of routers that the global links of one plane connect.

        The ports of a group are numbered by the distance d = 1 .. g - 1 to the group at their other
        end (`pair_links` ports for each distance) and are assigned to the routers of the group
        round robin.
        """
        one, other = np.triu_indices(self.groups, k=1)
        copy = np.arange(self.pair_links)[:, None]
        distance = other - one
        out = (distance - 1) * self.pair_links + copy
        back = (self.groups - distance - 1) * self.pair_links + copy
        low = one * self.a + out % self.a
        up = other * self.a + back % self.a
        return low.ravel(), up.ravel()
