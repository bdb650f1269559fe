"""Format of the topology file: pools of accelerators, their fabrics and virtual clusters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from clustersim.brief import Brief
from clustersim.errors import ClusterSimError
from clustersim.files import FileModel
from clustersim.topology.dragonfly import Dragonfly
from clustersim.topology.fabric import Fabric
from clustersim.topology.fabric_parts import Endpoints
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
    """Reject names that YAML reads as numbers (``6214e9``), with the advice to quote them."""
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            shown = ", ".join(map(str, wrong))
            raise ValueError(f"names must be text, found {shown}; put each in quotes")
    return value


ALL = "all"
"""Name of all pools together in summaries of results; a pool cannot have this name."""


def _not_reserved(name: str) -> str:
    """Reject names that have another meaning in results or in parameter paths."""
    for reserved, meaning in (
        (name.lower() == ALL, "all pools together"),
        (name.lower().startswith("vc "), "virtual clusters"),
    ):
        if reserved:
            raise ValueError(f"{name!r} is reserved for {meaning} in results; choose another name")
    if "." in name:
        raise ValueError(
            f"{name!r} has a dot, but dots separate the names of a path such as "
            f"cluster.pools.NAME.nodes; write, for example, {name.replace('.', '-')!r}"
        )
    return name


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$")]
PoolName = Annotated[Name, AfterValidator(_not_reserved)]
NamesAreText = BeforeValidator(_names_are_text)


class ScaleUp(FileModel):
    """The links within a server or supernode; the catalogue supplies omitted values.

    Examples
    --------
    >>> from clustersim.topology import ScaleUp
    >>> ScaleUp(bandwidth="450 GB/s", size=72).bandwidth
    450000000000.0
    """

    bandwidth: Bandwidth | None = Field(
        None, description="bandwidth of one chip to all its peers together, one direction"
    )
    shape: Literal["switch", "mesh", "none"] | None = Field(
        None,
        description="switch: each peer can get the full bandwidth; mesh: each of k - 1 peers gets "
        "1/(k - 1) of it; none: no scale-up links",
    )
    size: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="chips in one scale-up domain; by default the chips of a node",
    )


class VirtualCluster(FileModel):
    """The part of a pool that a team owns: a number of nodes, or a share of the pool's nodes.

    Examples
    --------
    >>> from clustersim.topology import VirtualCluster
    >>> VirtualCluster(share=0.25).share
    0.25
    """

    nodes: int | None = Field(None, ge=1, le=MOST_CHIPS, description="number of nodes")
    share: float | None = Field(
        None, gt=0, le=1, description="fraction of the pool's nodes, rounded to whole nodes"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> VirtualCluster:
        if (self.nodes is None) == (self.share is None):
            raise ValueError("needs either nodes or share, not both")
        return self


class PoolSpec(FileModel):
    """Nodes of one chip type on one fabric.

    Examples
    --------
    >>> from clustersim.topology import PoolSpec
    >>> PoolSpec(accelerator="H200", nodes=16, nic="400 Gb/s").nic
    50000000000.0
    """

    accelerator: str = Field(description="a chip of the catalogue (clustersim catalogue)")
    nodes: int = Field(
        ge=0, le=MOST_CHIPS, description="number of servers in the pool; 0 omits the pool"
    )
    chips_per_node: int | None = Field(
        None, ge=1, le=100_000, description="chips per server; by default from the catalogue"
    )
    nic: Bandwidth | None = Field(
        None,
        description="scale-out network bandwidth of one chip, one direction; by default from the "
        "catalogue",
    )
    transport: Literal["infiniband", "roce", "efa", "tcpx"] | None = Field(
        None,
        description="how chips reach other nodes: infiniband, roce, efa (AWS Elastic Fabric "
        "Adapter) or tcpx (Google GPUDirect-TCPX); by default from the catalogue",
    )
    scale_up: ScaleUp = Field(
        default_factory=ScaleUp, description="scale-up link; by default from the catalogue"
    )
    fabric: FabricSpec = Field(
        default_factory=NoFabric, description="scale-out network that connects the nodes"
    )
    virtual_clusters: Annotated[dict[Name, VirtualCluster], NamesAreText] = Field(
        default_factory=dict,
        description="parts of the pool that teams own, as consecutive ranges of nodes in the order "
        "of the file; the remaining nodes serve jobs without a virtual cluster",
    )
    queues: list[str] = Field(
        default_factory=list,
        max_length=10_000,
        description="queues of the site (partitions of Slurm) whose jobs may use the nodes of "
        "the pool that no virtual cluster owns; the column vc of a job names its queue. By default "
        "only jobs that name no virtual cluster or queue of the cluster",
    )
    flavors: list[str] = Field(
        default_factory=list,
        max_length=10_000,
        description="resource flavors of Kueue that are nodes of the pool: a job that runs now "
        "with one of them is on such a pool (forecast)",
    )
    node_names: str = Field(
        default="",
        description="names of the nodes in their order, as Slurm writes them (gpu[001-038]): a "
        "job that runs now is on the nodes that its queue names (forecast)",
    )
    notes: list[str] = Field(default_factory=list, description="arithmetic behind the numbers")
    sources: list[str] = Field(default_factory=list, description="sources of the numbers")

    @property
    def is_resolved(self) -> bool:
        """Whether all values from the catalogue are filled in."""
        link = self.scale_up
        filled = (self.chips_per_node, self.nic, link.bandwidth, link.shape, link.size)
        return all(value is not None for value in filled)

    def endpoints(self) -> Endpoints:
        """Return the servers of this pool.

        Raises
        ------
        ClusterSimError
            If the pool was not filled in from a catalogue.

        Examples
        --------
        >>> import clustersim as cs
        >>> servers = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"].endpoints()
        >>> servers.chips_per_node
        8
        """
        if not self.is_resolved:
            raise ClusterSimError(
                f"pool of {self.accelerator}: chips per node and network are not filled in; "
                "use load_cluster or resolve_cluster"
            )
        return Endpoints(self.nodes, self.chips_per_node or 0, self.nic or 0.0)

    def build_fabric(self) -> Fabric:
        """Return the fabric with its counts, trunks and wiring.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> pool.build_fabric().endpoints == pool.endpoints()
        True
        """
        return self.fabric.build(self.endpoints())

    def virtual_cluster_nodes(self) -> dict[str, int]:
        """Return the number of nodes of each virtual cluster.

        Shares are rounded to whole nodes by the largest-remainder method: all shares are rounded
        down, then the shares with the largest remainders get one more node each until the total
        matches the rounded sum of the shares. Every share gets at least one node.

        Examples
        --------
        >>> from clustersim.topology import PoolSpec
        >>> shares = {"a": {"share": 0.4}, "b": {"share": 0.6}}
        >>> PoolSpec(accelerator="H200", nodes=8, virtual_clusters=shares).virtual_cluster_nodes()
        {'a': 3, 'b': 5}
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
        """Return a note for each share of a virtual cluster that is rounded to whole nodes.

        Examples
        --------
        >>> from clustersim.topology import PoolSpec
        >>> shares = {"a": {"share": 0.3}}
        >>> PoolSpec(accelerator="H200", nodes=8, virtual_clusters=shares).share_notes()
        ['virtual cluster a: a share of 0.3 is 2.4 nodes, rounded to 2']
        """
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
    """The network between pools; without it, pools are not connected.

    Examples
    --------
    >>> from clustersim.topology import DatacenterNetwork
    >>> DatacenterNetwork(rate="100 GB/s").rate
    100000000000.0
    """

    rate: Bandwidth = Field(description="bandwidth between one pool and all others, one direction")
    rates: Annotated[dict[Name, Bandwidth], NamesAreText] = Field(
        default_factory=dict, description="bandwidths of single pools, if they differ from rate"
    )
    latency: Duration = Field(
        "100 us", validate_default=True, description="latency between two pools"
    )

    def rate_of(self, pool: str) -> float:
        """Return the bandwidth of one pool (bytes/s).

        Examples
        --------
        >>> from clustersim.topology import DatacenterNetwork
        >>> network = DatacenterNetwork(rate="100 GB/s", rates={"h20": "50 GB/s"})
        >>> network.rate_of("h200"), network.rate_of("h20")
        (100000000000.0, 50000000000.0)
        """
        return float(self.rates.get(pool, self.rate))


def _or_the_name_of_a_fleet(schema: dict[str, Any]) -> None:
    """Allow, in a file, the name of a fleet file in place of the pools; see `whole_fleet`."""
    schema["description"] = schema["description"].partition("\n\nExamples\n")[0]
    schema["required"] = [each for each in schema["required"] if each != "pools"]
    schema["anyOf"] = [{"required": ["pools"]}, {"required": ["fleet"]}]
    schema["properties"] |= {
        "fleet": {
            "type": "string",
            "description": "scenario with a section `fleet`, whose chips make up the pools",
        },
        "case": {"type": "string", "description": "case of the fleet file; by default none"},
    }


class ClusterSpec(Brief, FileModel):
    """A topology file: one cluster with one or several pools.

    Examples
    --------
    >>> from clustersim.topology import ClusterSpec
    >>> spec = ClusterSpec(name="small", pools={"gpu": {"accelerator": "H200", "nodes": 16}})
    >>> spec.pools["gpu"].nodes
    16
    """

    model_config = ConfigDict(json_schema_extra=_or_the_name_of_a_fleet)

    name: Name = Field(description="short name of the cluster")
    description: str = Field("", description="description of the cluster in one or two sentences")
    pools: Annotated[dict[PoolName, PoolSpec], NamesAreText] = Field(
        min_length=1, description="pools by name"
    )
    empty_pools: list[Name] = Field(
        default_factory=list, description="pools without nodes that other files may name"
    )
    datacenter_network: DatacenterNetwork | None = Field(
        None, description="network between pools; by default pools are not connected"
    )
    notes: list[str] = Field(default_factory=list, description="arithmetic behind the numbers")
    sources: list[str] = Field(default_factory=list, description="sources of the numbers")

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        pools = [
            f"{name}: {pool.nodes} nodes, {pool.accelerator}" for name, pool in self.pools.items()
        ]
        return f"ClusterSpec {self.name!r}", {"pools": "; ".join(pools)}
