"""What fabrics consist of: the servers that they connect, switches, trunks and links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Ints

__all__ = ["Endpoints", "LinkLevel", "Tier", "Trunk", "Vertices", "Wiring"]

IntArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The servers that a fabric connects.

    Attributes
    ----------
    nodes, chips_per_node : int
    nic_Bps : float
        Scale-out network bandwidth of one chip, one direction (bytes/s).
    """

    nodes: int
    chips_per_node: int
    nic_Bps: float

    @property
    def chips(self) -> int:
        """Number of chips in all nodes."""
        return self.nodes * self.chips_per_node

    @property
    def node_Bps(self) -> float:
        """Network bandwidth of one node, one direction (bytes/s)."""
        return self.chips_per_node * self.nic_Bps


@dataclass(frozen=True, slots=True)
class Tier:
    """A layer of switches of one kind, with the number of switches.

    Attributes
    ----------
    kind : str
    switches, ports : int
        Number of switches, and of the ports of each of them; some ports may not be used.
    port_Bps : float
        Rate of the fastest port, one direction (bytes/s).

    Examples
    --------
    >>> import clustersim as cs
    >>> (pool,) = cs.summarise(cs.load_cluster("h20-pod", cs.load_catalogue())).pools
    >>> [(tier.kind, tier.switches) for tier in pool.tiers]
    [('leaf', 64), ('spine', 32)]
    """

    kind: str
    switches: int
    ports: int
    port_Bps: float


@dataclass(frozen=True, slots=True)
class LinkLevel:
    """All the links between two layers.

    Attributes
    ----------
    name, lower, upper : str
        Name of the level, and the kinds of vertices that it connects.
    links : int
        Number of cables (full duplex).
    link_Bps : float
        Rate of one cable, one direction (bytes/s).
    latency_s : float
        Latency of one hop (seconds).
    oversubscription : float or None
        Capacity that enters the lower layer from below, divided by the capacity of this level; None
        for the lowest level.
    bisection_Bps : float or None
        Capacity between two halves of the pool at this level, one direction (bytes/s); None if
        this level does not separate the halves.

    Examples
    --------
    >>> import clustersim as cs
    >>> (pool,) = cs.summarise(cs.load_cluster("h20-pod", cs.load_catalogue())).pools
    >>> [(level.name, level.links) for level in pool.levels]
    [('node-leaf', 2048), ('leaf-spine', 2048)]
    """

    name: str
    lower: str
    upper: str
    links: int
    link_Bps: float
    latency_s: float
    oversubscription: float | None
    bisection_Bps: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """The bundle of links that connects a group of nodes to the rest of its pool.

    Attributes
    ----------
    name : str
        Kind of group: ``leaf``, ``pod``, ``router`` ...
    group_of_node : array of int32, shape (n_nodes,)
    group_nodes : int
        Number of nodes in a full group.
    up_Bps : float
        Capacity of the bundle of one full group, one direction (bytes/s); the mean over groups if
        the links do not divide evenly.
    hops : float
        Hops on the way through the bundle in one direction; 0.5 if the bundle of one group leads
        directly to another group, so that the two bundles are one hop together.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("philly-like", cs.load_catalogue()))
    >>> [(trunk.name, trunk.group_nodes) for trunk in cluster.pools[0].trunks]
    [('edge', 6), ('pod', 36)]
    """

    name: str
    group_of_node: IntArray
    group_nodes: int
    up_Bps: float
    hops: float = 1.0

    @property
    def n_groups(self) -> int:
        """Number of groups with at least one node."""
        return int(self.group_of_node[-1]) + 1


@dataclass(frozen=True, slots=True)
class Vertices:
    """`count` vertices of one kind; each represents `multiplicity` parallel switches.

    `level` is 0 for nodes and increases upwards.
    """

    kind: str
    count: int
    multiplicity: int
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Edges of one level: `multiplicity[i]` cables connect vertex `lower[i]` to `upper[i]`.

    Attributes
    ----------
    level : str
    lower_kind, upper_kind : str
    lower, upper, multiplicity : array of int, shape (n_edges,)
    link_Bps, latency_s : float
        Rate (bytes/s) and latency (seconds) of one cable, one direction.
    """

    level: str
    lower_kind: str
    upper_kind: str
    lower: Ints
    upper: Ints
    multiplicity: Ints
    link_Bps: float
    latency_s: float

    def merged(self) -> Wiring:
        """Return the same cables with parallel edges merged into one."""
        width = int(self.upper.max(initial=0)) + 1
        keys, inverse = np.unique(self.lower * width + self.upper, return_inverse=True)
        cables = np.bincount(inverse, weights=self.multiplicity).astype(np.int64)
        return Wiring(
            self.level,
            self.lower_kind,
            self.upper_kind,
            keys // width,
            keys % width,
            cables,
            self.link_Bps,
            self.latency_s,
        )
