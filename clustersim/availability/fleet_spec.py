"""The section `fleet` of a scenario: chips on hand, on order and in production, by pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from clustersim.availability.production import Memory, Output, Rate
from clustersim.availability.supply import Shipment
from clustersim.errors import unknown_name
from clustersim.files import FileModel, not_required
from clustersim.topology import MOST_CHIPS, DatacenterNetwork, PoolName
from clustersim.topology.spec import FabricSpec, ScaleUp
from clustersim.units import Bandwidth, Duration, Money, Power
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "FleetMemory",
    "FleetPool",
    "FleetSpec",
    "FoundryTerms",
    "MadeChips",
    "OrderedChips",
    "Purchases",
]

Name = Annotated[str, Field(min_length=1)]
Chips = Annotated[int, Field(ge=0, le=MOST_CHIPS)]
Probability = Annotated[float, Field(gt=0, le=1)]
Confidence = Literal["confirmed", "reported", "disputed", "assumption"]


class _KeyIsName(FileModel):
    """An entry of a mapping: its key is its name."""

    @model_validator(mode="after")
    def _no_second_name(self) -> Self:
        if getattr(self, "name", None) is not None:
            raise ValueError("name: is not allowed, because the key of the entry is its name")
        return self


class OrderedChips(_KeyIsName, Shipment):
    """Chips that are delivered."""

    chips: Chips = Field(description="number of chips, of the whole fleet; 0 for no delivery")
    confidence: Confidence | None = Field(None, description="how well the numbers are known")


class FoundryTerms(FileModel):
    """What a foundry offers: defaults for the chips that it makes, and the HBM that it brings."""

    at: Duration | None = Field(None, ge=0, description="start of the output")
    ramp: Duration | None = Field(
        None, ge=0, description="time over which the output rises linearly from 0"
    )
    slip: DurationDistribution | None = Field(None, description="delay of the start of the output")
    chips_per_month: Rate | None = Field(None, description="capacity: a number, or steps in time")
    usable: float | None = Field(None, gt=0, le=1, description="share of usable chips (yield)")
    until: Duration | None = Field(
        None, ge=0, description="end of the output, for example by a rule"
    )
    stacks_per_month: float | None = Field(
        None,
        ge=0,
        le=1e12,
        description="HBM stacks that come with the foundry, if `memory` does not state them",
    )
    confidence: Confidence | None = Field(None, description="how well the numbers are known")
    source: str = Field("", description="source of the numbers, or assumption")


_TERMS = ("at", "ramp", "slip", "chips_per_month", "usable", "until")
"""Fields of the chips made that a foundry's terms supply."""


class MadeChips(_KeyIsName, Output):
    """Chips that a foundry makes for the fleet."""

    model_config = not_required("at", "chips_per_month")

    chips: Chips = Field(
        description="number of chips made; if several foundries make chips for a pool, they stop "
        "when all of them together have made the sum of their numbers"
    )
    confidence: Confidence | None = Field(None, description="how well the numbers are known")


class FleetMemory(Memory):
    """Supply of HBM for all chips that are made; its stacks may come with the foundries."""

    model_config = not_required("stacks_per_month")


class Purchases(FileModel):
    """What limits purchases, for plans that name the fleet's file."""

    budget: Money | None = Field(None, description="money for purchases")
    power: Power | list[Power] | None = Field(
        None, description="power of all nodes without cooling: a number, or one per quarter"
    )
    probabilities: dict[Name, Probability] = Field(
        default_factory=dict, description="probability of each case that a plan considers"
    )
    confidence: Confidence | None = Field(None, description="how well the numbers are known")
    source: str = Field("", description="source of the numbers, or assumption")


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
    What a foundry's terms supply is filled in when the data are read, so `foundry` is the one key
    that changes date, yield and memory together; what `made` and `memory` state themselves applies
    with every foundry.
    """

    training_share: float = Field(
        1.0, ge=0, le=1, description="share of each pool that trains; the rest is not simulated"
    )
    pools: dict[PoolName, FleetPool] = Field(min_length=1, description="pools by name")
    foundries: dict[Name, FoundryTerms] = Field(
        default_factory=dict,
        description="terms of foundries by name, for fields that an entry of `made` omits",
    )
    memory: FleetMemory | None = Field(None, description="HBM for all chips that are made")
    purchases: Purchases = Field(Purchases(), description="limits of purchases, for plans")
    datacenter_network: DatacenterNetwork | None = Field(
        None, description="network between pools; by default pools are not connected"
    )

    @model_validator(mode="before")
    @classmethod
    def _terms_of_foundries(cls, data: Any) -> Any:
        return _with_terms(data)


def _with_terms(data: Any) -> Any:
    """Return the data of a fleet in which the terms of foundries are filled in."""
    if not isinstance(data, Mapping) or not isinstance(data.get("foundries"), Mapping):
        return data
    pools = data.get("pools")
    if not isinstance(pools, Mapping):
        return data
    foundries, used, filled = data["foundries"], {}, {}
    for name, pool in pools.items():
        filled[name] = pool
        if not isinstance(pool, Mapping) or not isinstance(pool.get("made"), Mapping):
            continue
        made = dict(pool["made"])
        for key, each in made.items():
            foundry = each.get("foundry") if isinstance(each, Mapping) else None
            if foundries and isinstance(foundry, str) and foundry not in foundries:
                unknown = unknown_name("foundry", foundry, foundries)
                raise ValueError(f"pools.{name}.made.{key}.foundry: {unknown}")
            terms = foundries.get(foundry) if isinstance(foundry, str) else None
            if isinstance(terms, Mapping):
                if each.get("chips") != 0:
                    used[foundry] = terms
                made[key] = {**{k: terms[k] for k in _TERMS if k in terms}, **each}
        filled[name] = {**pool, "made": made}
    found = {**data, "pools": filled}
    memory = data.get("memory")
    if isinstance(memory, Mapping) and memory.get("stacks_per_month") is None:
        brought = {name: each.get("stacks_per_month") for name, each in used.items()}
        stacks = [each for each in brought.values() if each is not None]
        if 0 < len(stacks) < len(used):
            without = next(name for name, each in brought.items() if each is None)
            raise ValueError(
                f"foundries.{without}.stacks_per_month: is missing; all foundries that make "
                "chips must state it, or `memory` states it for all"
            )
        if stacks and all(isinstance(each, int | float) for each in stacks):
            found["memory"] = {**memory, "stacks_per_month": sum(stacks)}
        elif not used:
            found["memory"] = None  # nothing is made
    return found
