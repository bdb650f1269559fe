"""Rail-optimised Clos with leaf, spine and core switches in scalable units (NVIDIA DGX SuperPOD).

The i-th chip of every node in a scalable unit is connected to the same leaf, the leaf of rail i.
The shape, and the counts that the tests check, are from NVIDIA, "DGX SuperPOD reference
architecture, DGX H100" (RA-11333-001), compute fabric: units of 32 nodes, one leaf per rail and
unit, and switches with 64 ports, half of which are uplinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.array_types import Ints
from clustersim.files import FileModel
from clustersim.topology.fabric import Fabric, Ratio, ratio_note
from clustersim.topology.fabric_parts import Endpoints, LinkLevel, Tier, Trunk, Vertices, Wiring
from clustersim.units import Bandwidth, Duration

__all__ = ["RailFabric", "RailOptimised", "RailOversubscription"]


class RailOversubscription(FileModel):
    """Capacity downwards divided by capacity upwards, per tier of switches; 1 is full bandwidth."""

    leaf: Ratio = Field(
        1.0, description="oversubscription of the leaves: ports to nodes / ports to spines"
    )
    spine: Ratio = Field(
        1.0, description="oversubscription of the spines: ports to leaves / ports to cores"
    )


class RailOptimised(FileModel):
    """Leaf, spine and core switches with one leaf per rail and scalable unit (SuperPOD style)."""

    type: Literal["rail-optimised"] = Field(description="kind of fabric")
    unit_nodes: int = Field(32, ge=1, le=4096, description="nodes in one scalable unit")
    units_per_pod: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="scalable units under one layer of spines; by default the largest number "
        "for which a spine has a port to every leaf; more units need a layer of cores",
    )
    rails: int | None = Field(
        None, ge=1, le=1024, description="leaves per unit; by default one per chip of a node"
    )
    radix: int = Field(64, ge=2, le=4096, description="ports per switch")
    link_rate: Bandwidth | None = Field(
        None,
        description="rate of one link between switches, one direction; by default the network "
        "bandwidth of a chip; a slower rate also limits the chip",
    )
    latency: Duration = Field("1 us", validate_default=True, description="latency of one hop")
    oversubscription: RailOversubscription = Field(
        default_factory=RailOversubscription, description="oversubscription per tier of switches"
    )

    def build(self, endpoints: Endpoints) -> RailFabric:
        """Return the fabric that connects the given servers."""
        return RailFabric(self, endpoints)


class RailFabric(Fabric):
    """Counts, trunks and wiring of a rail-optimised Clos.

    Attributes
    ----------
    rails, units, pods, units_per_pod : int
    leaf_down, leaf_up : int
        Number of ports of one leaf to nodes and to spines.
    planes : int
        Number of groups of rails that have separate spines; 1 if a spine has a port for every leaf
        of its pod.
    """

    def __init__(self, spec: RailOptimised, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self.spec = spec
        self.rails = spec.rails or endpoints.chips_per_node
        self.units = -(-endpoints.nodes // spec.unit_nodes)
        self.units_per_pod = spec.units_per_pod or max(1, spec.radix // self.rails)
        self.pods = -(-self.units // self.units_per_pod)
        self.link_Bps = endpoints.nic_Bps if spec.link_rate is None else spec.link_rate
        self.nics_per_rail = max(1, endpoints.chips_per_node // self.rails)
        self.leaf_down = spec.unit_nodes * self.nics_per_rail

    @cached_property
    def leaf_up(self) -> int:
        """Number of ports of one leaf to spines; 0 if there is a single unit."""
        if self.units == 1:
            return 0
        wanted = self.leaf_down * self.port_Bps() / self.link_Bps
        return max(1, _ceil(wanted / self.spec.oversubscription.leaf))

    @cached_property
    def spine_down(self) -> int:
        """Number of ports of one spine to leaves; all its ports if there are no cores."""
        ratio = self.spec.oversubscription.spine
        return self.spec.radix if self.pods == 1 else int(self.spec.radix * ratio / (1 + ratio))

    @cached_property
    def spine_up(self) -> int:
        """Number of ports of one spine to cores; 0 if there is a single pod."""
        if self.pods == 1:
            return 0
        return max(1, _ceil(self.spine_down / self.spec.oversubscription.spine))

    @property
    def units_in_pod(self) -> int:
        """Number of units in a full pod."""
        return min(self.units, self.units_per_pod)

    @cached_property
    def planes(self) -> int:
        """Smallest number of groups of rails such that a spine can reach each leaf of its group."""
        for planes in range(1, self.rails + 1):
            if self.rails % planes == 0:
                leaves = self.rails // planes * self.units_in_pod
                if leaves <= self.spine_down:
                    return planes
        return self.rails

    @cached_property
    def plane_spines(self) -> int:
        """Number of spines in one plane of one pod."""
        leaves = self.rails // self.planes * self.units_in_pod
        return _ceil(leaves * self.leaf_up / self.spine_down)

    @cached_property
    def plane_cores(self) -> int:
        """Number of cores that connect the spines at the same position of a plane in all pods."""
        return _ceil(self.pods * self.spine_up / self.spec.radix)

    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built."""
        spec, chips = self.spec, self.endpoints.chips_per_node
        if chips % self.rails:
            return [f"rails: must divide the {chips} chips of a node, found {self.rails}"]
        found = []
        if self.leaf_down + self.leaf_up > spec.radix:
            found.append(
                f"unit_nodes: a leaf needs {self.leaf_down} ports down and {self.leaf_up} up, but "
                f"its radix is {spec.radix}; use fewer unit_nodes or a larger radix"
            )
        if self.leaf_up and self.units_in_pod > self.spine_down:
            found.append(
                f"units_per_pod: a spine has {self.spine_down} ports down, but a pod has "
                f"{self.units_in_pod} units; allowed: 1 to {self.spine_down}"
            )
        if self.pods > spec.radix:
            found.append(
                f"units_per_pod: {self.units} units form {self.pods} pods, but a core with "
                f"{spec.radix} ports connects at most {spec.radix} pods; use more units_per_pod or "
                "a larger radix"
            )
        return found

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric (bytes/s)."""
        return min(self.endpoints.nic_Bps, self.link_Bps)

    def tiers(self) -> list[Tier]:
        """Return the leaves and, if the pool needs them, the spines and the cores."""
        radix, rate = self.spec.radix, self.link_Bps
        fastest = max(self.port_Bps(), rate) if self.leaf_up else self.port_Bps()
        found = [Tier("leaf", self.units * self.rails, radix, fastest)]
        if self.leaf_up:
            spines = self.pods * self.planes * self.plane_spines
            found.append(Tier("spine", spines, radix, rate))
        if self.spine_up:
            cores = self.planes * self.plane_spines * self.plane_cores
            found.append(Tier("core", cores, radix, rate))
        return found

    def levels(self) -> list[LinkLevel]:
        """Return the levels node-leaf, leaf-spine and spine-core."""
        latency, ends = self.spec.latency, self.endpoints
        rate, nodes_in = self.port_Bps(), ends.chips * self.port_Bps()
        entering = self.units * self.rails * self.leaf_down * rate
        found = [
            LinkLevel("node-leaf", "node", "leaf", ends.chips, rate, latency, None, nodes_in / 2)
        ]
        counts = [("leaf-spine", "leaf", "spine", self.units * self.rails * self.leaf_up)]
        spines = self.pods * self.planes * self.plane_spines if self.leaf_up else 0
        counts.append(("spine-core", "spine", "core", spines * self.spine_up))
        for name, lower, upper, links in counts:
            if links:
                capacity = links * self.link_Bps
                ratio = entering / capacity if upper == "spine" else self._spine_ratio()
                found.append(
                    LinkLevel(
                        name, lower, upper, links, self.link_Bps, latency, ratio, capacity / 2
                    )
                )
        return found

    def _spine_ratio(self) -> float:
        """Return the oversubscription of the spines of a full pod."""
        leaves = self.units_in_pod * self.rails * self.leaf_up
        return leaves / (self.planes * self.plane_spines * self.spine_up)

    def ratio_notes(self) -> list[str]:
        """Return notes on differences between the requested and the built oversubscription.

        Differences arise because the numbers of ports and switches are whole.
        """
        over = self.spec.oversubscription
        requested = {"leaf": over.leaf, "spine": over.spine}
        built, why = {}, ""
        if self.leaf_up:
            up = self.leaf_up * self.link_Bps
            built["leaf"] = self.leaf_down * self.port_Bps() / up
            why = f"a leaf has {self.leaf_down} ports down and {self.leaf_up} up"
        if self.spine_up:
            built["spine"] = self._spine_ratio()
            leaves = self.rails * self.units_in_pod
            spines = self.planes * self.plane_spines
            why += (
                f"; a spine has {self.spine_down} down and {self.spine_up} up; a pod has "
                f"{leaves:,} leaves and {spines:,} spines"
            )
        end_to_end = self.port_Bps() / self.effective_nic_Bps()
        return ratio_note(requested, built, end_to_end, why)

    def count_notes(self) -> list[str]:
        """Return notes on a last unit or pod that is not full, and on unused ports."""
        notes = []
        last = self.endpoints.nodes % self.spec.unit_nodes
        if last and self.units > 1:
            notes.append(
                f"the last of {self.units:,} units has {last:,} of {self.spec.unit_nodes:,} nodes; "
                "it has the leaves and uplinks of a full unit"
            )
        last = self.units % self.units_per_pod
        if last and self.pods > 1:
            notes.append(
                f"the last of {self.pods:,} pods has {last:,} of {self.units_per_pod:,} units; it "
                "has the spines and uplinks of a full pod"
            )
        if self.spine_up:
            unused = self.spec.radix - self.spine_down - self.spine_up
            if unused > 0:
                notes.append(f"{unused} of {self.spec.radix} ports of a spine are not used")
        return notes

    def leaf_of_node(self) -> NDArray[np.int32]:
        """Return the leaf group of each node, that is, the leaves of all rails in its unit."""
        return np.arange(self.endpoints.nodes, dtype=np.int32) // np.int32(self.spec.unit_nodes)

    def unit_of_node(self) -> NDArray[np.int32]:
        """Return the scalable unit of each node."""
        return self.leaf_of_node()

    def trunks(self) -> tuple[Trunk, ...]:
        """Return the trunks from units to spines, and from pods to cores."""
        if not self.leaf_up:
            return ()
        unit = self.leaf_of_node()
        size = self.spec.unit_nodes
        found = [Trunk("unit", unit, size, self.rails * self.leaf_up * self.link_Bps)]
        if self.spine_up:
            up = self.planes * self.plane_spines * self.spine_up * self.link_Bps
            pod = unit // np.int32(self.units_per_pod)
            found.append(Trunk("pod", pod, size * self.units_per_pod, up))
        return tuple(found)

    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return nodes, leaves, spines and cores.

        With `merge`, the leaves of a unit become one vertex, and so do corresponding switches of
        all planes.
        """
        rails, planes = (self.rails, self.planes) if merge else (1, 1)
        found = [Vertices("node", self.endpoints.nodes, 1, 0)]
        multiplicities = {"leaf": rails, "spine": planes, "core": planes}
        for level, tier in enumerate(self.tiers(), start=1):
            each = multiplicities[tier.kind]
            found.append(Vertices(tier.kind, tier.switches // each, each, level))
        return found

    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield the edges; uplinks are assigned to spines and cores round robin."""
        yield self._node_wiring(merge)
        if self.leaf_up:
            yield self._leaf_wiring(merge)
        if self.spine_up:
            yield self._spine_wiring(merge)

    def _node_wiring(self, merge: bool) -> Wiring:
        node, rail = np.divmod(np.arange(self.endpoints.nodes * self.rails), self.rails)
        unit = node // self.spec.unit_nodes
        leaf = unit if merge else unit * self.rails + rail
        cables = np.full(node.size, self.nics_per_rail)
        return Wiring(
            "node-leaf", "node", "leaf", node, leaf, cables, self.port_Bps(), self.spec.latency
        ).merged()

    def _leaf_wiring(self, merge: bool) -> Wiring:
        """Return the links from the ports of each leaf to the spines of its pod and plane."""
        leaf, port = np.divmod(np.arange(self.units * self.rails * self.leaf_up), self.leaf_up)
        unit, rail = np.divmod(leaf, self.rails)
        pod, unit_in_pod = np.divmod(unit, self.units_per_pod)
        rails_in_plane = self.rails // self.planes
        plane, rail_in_plane = np.divmod(rail, rails_in_plane)
        position = (
            (unit_in_pod * rails_in_plane + rail_in_plane) * self.leaf_up + port
        ) % self.plane_spines
        spine = (
            pod * self.plane_spines + position
            if merge
            else (pod * self.planes + plane) * self.plane_spines + position
        )
        return self._switch_wiring("leaf", "spine", unit if merge else leaf, spine)

    def _spine_wiring(self, merge: bool) -> Wiring:
        """Return the links from the ports of each spine to the cores of its plane and position."""
        per_pod = self.planes * self.plane_spines
        spine, port = np.divmod(np.arange(self.pods * per_pod * self.spine_up), self.spine_up)
        pod, rest = np.divmod(spine, per_pod)
        plane, position = np.divmod(rest, self.plane_spines)
        nth = (pod * self.spine_up + port) % self.plane_cores
        group = position if merge else plane * self.plane_spines + position
        lower = pod * self.plane_spines + position if merge else spine
        return self._switch_wiring("spine", "core", lower, group * self.plane_cores + nth)

    def _switch_wiring(self, lower: str, upper: str, low: Ints, up: Ints) -> Wiring:
        cables = np.ones(low.size, dtype=np.int64)
        return Wiring(
            f"{lower}-{upper}", lower, upper, low, up, cables, self.link_Bps, self.spec.latency
        ).merged()


def _ceil(value: float) -> int:
    """Round up, ignoring rounding errors of a division."""
    return math.ceil(value - 1e-9)
