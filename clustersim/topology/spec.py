"""The topology file: pools of accelerators, their fabrics, their virtual clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from clustersim.brief import Brief
from clustersim.errors import ClusterSimError
from clustersim.files import FileModel
from clustersim.topology.dragonfly import Dragonfly
from clustersim.topology.fabric import Endpoints, Fabric
from clustersim.topology.fat_tree import FatTree
from clustersim.topology.mesh import FullMesh, NoFabric
from clustersim.topology.rail import RailOptimised
from clustersim.topology.torus import Torus
from clustersim.units import MOST_CHIPS, Bandwidth, Duration

__all__ = [
    "ALL",
    "MOST_CHIPS",
    "ClusterSpec",
    "DatacenterNetwork",
    "PoolName",
    "PoolSpec",
    "ScaleUp",
    "VirtualCluster",
]

FabricSpec = Annotated[
    RailOptimised | FatTree | FullMesh | Dragonfly | Torus | NoFabric, Field(discriminator="type")
]


def _names_are_text(value: Any) -> Any:
    """Say what to do about names that YAML reads as numbers (``6214e9``)."""
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            shown = ", ".join(map(str, wrong))
            raise ValueError(f"names must be text, found {shown}; put each in quotes")
    return value


ALL = "all"
"""Stands for all pools together where results are summarised; no pool's name."""


def _not_reserved(name: str) -> str:
    """Refuse names that stand for something else in results and in paths."""
    for reserved, told in (
        (name.lower() == ALL, "all pools together"),
        (name.lower().startswith("vc "), "virtual clusters"),
    ):
        if reserved:
            raise ValueError(f"{name!r} is reserved (results call {told} so); choose another name")
    if "." in name:
        raise ValueError(
            f"{name!r} has a dot, which separates the names of a path such as "
            f"cluster.pools.NAME.nodes; write for example {name.replace('.', '-')!r}"
        )
    return name


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$")]
PoolName = Annotated[Name, AfterValidator(_not_reserved)]
NamesAreText = BeforeValidator(_names_are_text)


class ScaleUp(FileModel):
    """The links within a server or supernode; what is absent comes from the catalogue."""

    bandwidth: Bandwidth | None = Field(
        None, description="of one chip to all its peers together, one direction"
    )
    shape: Literal["switch", "mesh", "none"] | None = Field(
        None,
        description="switch: any peer gets all of it; mesh: each of k - 1 peers gets 1/(k - 1)",
    )
    size: int | None = Field(
        None, ge=1, le=100_000, description="chips in one scale-up domain; by default a node's"
    )


class VirtualCluster(FileModel):
    """What a team owns of a pool: whole nodes, or a share of them."""

    nodes: int | None = Field(None, ge=1, le=MOST_CHIPS, description="whole nodes")
    share: float | None = Field(
        None, gt=0, le=1, description="fraction of the pool's nodes, rounded to whole nodes"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> VirtualCluster:
        if (self.nodes is None) == (self.share is None):
            raise ValueError("needs either nodes or share, one of both")
        return self


class PoolSpec(FileModel):
    """Nodes of one chip type on one fabric."""

    accelerator: str = Field(description="a chip of the catalogue (clustersim catalogue)")
    nodes: int = Field(
        ge=0, le=MOST_CHIPS, description="servers in the pool; 0 leaves the pool out"
    )
    chips_per_node: int | None = Field(
        None, ge=1, le=100_000, description="chips of a server; by default the catalogue's"
    )
    nic: Bandwidth | None = Field(
        None,
        description="scale-out network of one chip, one direction; by default the catalogue's",
    )
    scale_up: ScaleUp = Field(
        default_factory=ScaleUp, description="overrides the catalogue's scale-up link"
    )
    fabric: FabricSpec = Field(
        default_factory=NoFabric, description="scale-out network that joins the nodes"
    )
    virtual_clusters: Annotated[dict[Name, VirtualCluster], NamesAreText] = Field(
        default_factory=dict,
        description="shares of the pool that teams own, in the order of the file: each owns the "
        "next nodes; those left over serve jobs without a virtual cluster",
    )
    notes: list[str] = Field(default_factory=list, description="arithmetic behind the numbers")
    sources: list[str] = Field(default_factory=list, description="where the numbers are from")

    @property
    def is_resolved(self) -> bool:
        """Whether everything that the catalogue fills in is there."""
        link = self.scale_up
        filled = (self.chips_per_node, self.nic, link.bandwidth, link.shape, link.size)
        return all(value is not None for value in filled)

    def endpoints(self) -> Endpoints:
        """Servers of this pool, once resolved.

        Raises
        ------
        ClusterSimError
            If the pool was not filled in from a catalogue (:func:`resolve`).
        """
        if not self.is_resolved:
            raise ClusterSimError(
                f"pool of {self.accelerator}: chips per node and network are not filled in; "
                "use load_cluster or resolve_cluster"
            )
        return Endpoints(self.nodes, self.chips_per_node or 0, self.nic or 0.0)

    def build_fabric(self) -> Fabric:
        """Return the fabric with its counts, trunks and wiring."""
        return self.fabric.build(self.endpoints())

    def virtual_cluster_nodes(self) -> dict[str, int]:
        """Nodes of each virtual cluster.

        Shares are rounded down, then the largest remainders get one node more until all shares
        together have as many nodes as their sum makes (largest-remainder method); a share has
        one node at least.
        """
        exact = {
            name: vc.share * self.nodes
            for name, vc in self.virtual_clusters.items()
            if vc.share is not None
        }
        whole = {name: max(1, math.floor(size + 1e-9)) for name, size in exact.items()}
        spare = round(sum(exact.values())) - sum(whole.values())
        by_remainder = sorted(exact, key=lambda name: whole[name] - exact[name])
        for name in by_remainder[: max(0, spare)]:
            whole[name] += 1
        return {
            name: whole[name] if vc.nodes is None else vc.nodes
            for name, vc in self.virtual_clusters.items()
        }

    def share_notes(self) -> list[str]:
        """Where a share of a virtual cluster is rounded to whole nodes."""
        notes, whole = [], self.virtual_cluster_nodes()
        for name, cluster in self.virtual_clusters.items():
            exact = None if cluster.share is None else cluster.share * self.nodes
            if exact is not None and abs(whole[name] - exact) > 1e-6:
                notes.append(
                    f"virtual cluster {name}: a share of {cluster.share:g} is {exact:.4g} nodes, "
                    f"rounded to {whole[name]:,}"
                )
        return notes


class DatacenterNetwork(FileModel):
    """What joins the pools; without one they are apart."""

    rate: Bandwidth = Field(description="between one pool and all others, one direction")
    rates: Annotated[dict[Name, Bandwidth], NamesAreText] = Field(
        default_factory=dict, description="rates of single pools where they differ"
    )
    latency: Duration = Field("100 us", validate_default=True, description="between two pools")

    def rate_of(self, pool: str) -> float:
        """Rate of one pool (bytes/s)."""
        return float(self.rates.get(pool, self.rate))


class ClusterSpec(Brief, FileModel):
    """A topology file: one cluster of one or several pools."""

    name: Name = Field(description="short name of the cluster")
    description: str = Field("", description="what it stands for, in a sentence or two")
    pools: Annotated[dict[PoolName, PoolSpec], NamesAreText] = Field(
        min_length=1, description="pools by name"
    )
    empty_pools: list[Name] = Field(
        default_factory=list, description="pools that have no nodes but may be named"
    )
    datacenter_network: DatacenterNetwork | None = Field(
        None, description="joins the pools; absent: they are apart"
    )
    notes: list[str] = Field(default_factory=list, description="arithmetic behind the numbers")
    sources: list[str] = Field(default_factory=list, description="where the numbers are from")

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        pools = [
            f"{name}: {pool.nodes} nodes, {pool.accelerator}" for name, pool in self.pools.items()
        ]
        return f"ClusterSpec {self.name!r}", {"pools": "; ".join(pools)}
