"""The section `fleet` of a scenario: chips on hand, on order and in production, by pool."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clustersim.availability.production import Memory, Output
from clustersim.availability.supply import Shipment
from clustersim.files import FileModel
from clustersim.topology import MOST_CHIPS, DatacenterNetwork, PoolName
from clustersim.topology.spec import FabricSpec, ScaleUp
from clustersim.units import Bandwidth

__all__ = ["FleetPool", "FleetSpec", "MadeChips", "OrderedChips"]

Name = Annotated[str, Field(min_length=1)]
Chips = Annotated[int, Field(ge=0, le=MOST_CHIPS)]
Confidence = Literal["confirmed", "reported", "disputed", "assumption"]


class OrderedChips(Shipment):
    """Chips that are delivered."""

    chips: Chips = Field(description="number of chips, of the whole fleet; 0 for no delivery")
    confidence: Confidence | None = Field(None, description="how well the numbers are known")


class MadeChips(Output):
    """Chips that a foundry makes for the fleet."""

    chips: Chips = Field(
        description="number of chips made; if several foundries make chips for a pool, they stop "
        "when all of them together have made the sum of their numbers"
    )
    confidence: Confidence | None = Field(None, description="how well the numbers are known")


class FleetPool(FileModel):
    """Chips of one type, on one fabric."""

    accelerator: str = Field(description="a chip of the catalogue (clustersim catalogue)")
    stock: Chips = Field(0, description="chips in service at the start")
    confidence: Confidence | None = Field(None, description="how well the stock is known")
    deliveries: dict[Name, OrderedChips | None] = Field(
        default_factory=dict, description="chips on order, by name; null for none"
    )
    made: dict[Name, MadeChips | None] = Field(
        default_factory=dict, description="chips made by foundries, by name; null for none"
    )
    training_share: float | None = Field(
        None, ge=0, le=1, description="share of the pool that trains, if it differs from the fleet"
    )
    chips_per_node: int | None = Field(
        None, ge=1, le=100_000, description="chips per server; by default from the catalogue"
    )
    nic: Bandwidth | None = Field(None, description="see topologies")
    transport: Literal["infiniband", "roce", "efa", "tcpx"] | None = Field(
        None, description="see topologies"
    )
    scale_up: ScaleUp | None = Field(None, description="see topologies")
    fabric: FabricSpec | None = Field(None, description="see topologies")
    notes: list[str] = Field(default_factory=list, description="arithmetic behind the numbers")
    sources: list[str] = Field(default_factory=list, description="sources of the numbers")

    @property
    def ordered(self) -> dict[str, OrderedChips]:
        """Deliveries by name."""
        return {name: each for name, each in self.deliveries.items() if each is not None}

    @property
    def in_production(self) -> dict[str, MadeChips]:
        """Production by name."""
        return {name: each for name, each in self.made.items() if each is not None}


class FleetSpec(FileModel):
    """A fleet of chips and how it grows, of which a part trains.

    All numbers of chips, and the supply of memory, are those of the whole fleet. From them follow
    the `cluster` of a scenario and the deliveries, the production and the memory of its `supply`.
    """

    training_share: float = Field(
        1.0, ge=0, le=1, description="share of each pool that trains; the rest is not simulated"
    )
    pools: dict[PoolName, FleetPool] = Field(min_length=1, description="pools by name")
    memory: Memory | None = Field(None, description="HBM for all chips that are made")
    datacenter_network: DatacenterNetwork | None = Field(
        None, description="network between pools; by default pools are not connected"
    )
