"""What every fabric tells: its switches, links, trunks and wiring, in closed form.

A fabric is asked for arrays and counts; the networkx graph is made from the same answers
(:mod:`clustersim.topology.graph`), so neither needs the other.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from clustersim.units import format_number

__all__ = [
    "Endpoints",
    "Fabric",
    "LinkLevel",
    "Ratio",
    "Tier",
    "Trunk",
    "Vertices",
    "Wiring",
    "ratio_note",
]

IntArray = NDArray[np.int32]
Ratio = Annotated[float, Field(ge=1, le=1000)]
"""An oversubscription: capacity downwards over capacity upwards."""
DIFFERS = 0.005
"""Relative difference of a ratio from what was asked for that is told."""


def ratio_note(
    asked: Mapping[str, float], built: Mapping[str, float], end_to_end: float, why: str
) -> list[str]:
    """Say what oversubscription was asked for and built, where they differ.

    Parameters
    ----------
    asked, built : mapping of str to float
        By tier; a tier that is not built has no effect.
    end_to_end : float
        That is built, of a chip when all of the pool sends to all.
    why : str
        What was rounded.

    Examples
    --------
    >>> ratio_note({"leaf": 4.0, "spine": 4.0}, {"leaf": 4.0}, 4.0, "")
    ['oversubscription.spine of 4:1 has no effect: the pool has nothing above it']
    >>> print(*ratio_note({"leaf": 3.0}, {"leaf": 2.9}, 2.9, "why"))
    oversubscription: asked for leaf 3:1, 3:1 end to end; built leaf 2.9:1, 2.9:1 end to end (why)
    """
    notes = [
        f"oversubscription.{tier} of {format_number(ratio, 3)}:1 has no effect: the pool has "
        "nothing above it"
        for tier, ratio in asked.items()
        if tier not in built and ratio != 1
    ]
    wanted = math.prod(asked[tier] for tier in built)
    pairs = [(asked[tier], ratio) for tier, ratio in built.items()]
    pairs += [(wanted, end_to_end)] if built else []
    if any(abs(ratio / told - 1) > DIFFERS for told, ratio in pairs):
        told = ", ".join(f"{tier} {format_number(asked[tier], 3)}:1" for tier in built)
        made = ", ".join(f"{tier} {format_number(ratio, 3)}:1" for tier, ratio in built.items())
        notes.append(
            f"oversubscription: asked for {told}, {format_number(wanted, 3)}:1 end to end; "
            f"built {made}, {format_number(end_to_end, 3)}:1 end to end ({why})"
        )
    return notes


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The servers that a fabric joins.

    Attributes
    ----------
    nodes, chips_per_node : int
    nic_Bps : float
        Scale-out network of one chip, one direction (bytes/s).
    """

    nodes: int
    chips_per_node: int
    nic_Bps: float

    @property
    def chips(self) -> int:
        """Chips in all nodes."""
        return self.nodes * self.chips_per_node

    @property
    def node_Bps(self) -> float:
        """Network of one node, one direction (bytes/s)."""
        return self.chips_per_node * self.nic_Bps


@dataclass(frozen=True, slots=True)
class Tier:
    """A layer of switches: its kind and how many there are."""

    kind: str
    switches: int


@dataclass(frozen=True, slots=True)
class LinkLevel:
    """All the links between two layers.

    Attributes
    ----------
    name, lower, upper : str
        The level, and the kinds of vertices that it joins.
    links : int
        Cables (full duplex).
    link_Bps : float
        Rate of one cable, one direction (bytes/s).
    latency_s : float
        Of one hop.
    oversubscription : float or None
        Capacity that enters the lower layer from below / capacity of this level; None where
        there is nothing below.
    bisection_Bps : float or None
        Capacity between two halves of the pool at this level, one direction; None where halves
        are not separated by this level.
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
    """The bundle of links by which a group of nodes reaches the rest of its pool.

    Attributes
    ----------
    name : str
        The group: ``leaf``, ``pod``, ``router`` ...
    group_of_node : array of int32, shape (n_nodes,)
    group_nodes : int
        Nodes in a full group.
    up_Bps : float
        Capacity of the bundle of one full group, one direction (bytes/s); the mean where the
        links do not divide evenly.
    """

    name: str
    group_of_node: IntArray
    group_nodes: int
    up_Bps: float

    @property
    def n_groups(self) -> int:
        """Groups that hold a node."""
        return int(self.group_of_node[-1]) + 1


@dataclass(frozen=True, slots=True)
class Vertices:
    """`count` vertices of one kind, each for `multiplicity` parallel switches.

    `level` is 0 for nodes and grows upwards.
    """

    kind: str
    count: int
    multiplicity: int
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Edges of one level: vertex `lower[i]` to `upper[i]` by `multiplicity[i]` cables.

    Attributes
    ----------
    level : str
    lower_kind, upper_kind : str
    lower, upper, multiplicity : array of int, shape (n_edges,)
    link_Bps, latency_s : float
        Of one cable, one direction.
    """

    level: str
    lower_kind: str
    upper_kind: str
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    link_Bps: float
    latency_s: float

    def merged(self) -> Wiring:
        """Return the same cables with parallel edges as one."""
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


class Fabric(ABC):
    """The scale-out network of one pool.

    Attributes
    ----------
    endpoints : Endpoints
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints

    @abstractmethod
    def problems(self) -> list[str]:
        """What makes this fabric impossible (empty if it can be built)."""

    @abstractmethod
    def tiers(self) -> list[Tier]:
        """Layers of switches from the nodes upwards."""

    @abstractmethod
    def levels(self) -> list[LinkLevel]:
        """Levels of links from the nodes upwards, in closed form."""

    @abstractmethod
    def leaf_of_node(self) -> IntArray:
        """First switch (group) of each node, shape (n_nodes,)."""

    @abstractmethod
    def unit_of_node(self) -> IntArray:
        """Scalable unit, pod or group of each node, shape (n_nodes,)."""

    @abstractmethod
    def trunks(self) -> tuple[Trunk, ...]:
        """Bundles that groups of nodes share, innermost first; empty where there are none."""

    @abstractmethod
    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Vertices of the graph from the nodes upwards; `merge` puts parallel rails in one."""

    @abstractmethod
    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Edges of the graph; `merge` as in :meth:`vertices`."""

    def port_Bps(self) -> float:
        """Rate at which one chip enters the fabric, one direction (bytes/s)."""
        return self.endpoints.nic_Bps

    def effective_nic_Bps(self) -> float:
        """Rate of every chip when all send to all (bytes/s).

        The tightest of the chip's own port and its share of each trunk that a collective over
        the whole pool crosses: ``up_Bps / (group_nodes * chips_per_node)``.
        """
        shares = [
            trunk.up_Bps / (trunk.group_nodes * self.endpoints.chips_per_node)
            for trunk in self.trunks()
            if trunk.n_groups > 1
        ]
        return min([self.port_Bps(), *shares])

    def ratio_notes(self) -> list[str]:
        """Where the oversubscription that is built is not the one that was asked for."""
        return []

    def count_notes(self) -> list[str]:
        """Where counts are rounded: units, pods or groups that are not full, ports left over."""
        return []

    def bisection_Bps(self) -> float:
        """Capacity between two halves of the pool, one direction (bytes/s)."""
        cuts = [level.bisection_Bps for level in self.levels() if level.bisection_Bps is not None]
        return min(cuts, default=0.0)
