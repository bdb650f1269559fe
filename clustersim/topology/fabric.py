"""Interface of all fabrics: switches, links, trunks and wiring in closed form.

A fabric returns counts and arrays. The simulation uses them directly, and
:mod:`clustersim.topology.graph` builds the networkx graph from the same counts and arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from clustersim.topology.fabric_parts import (
    Endpoints,
    IntArray,
    LinkLevel,
    Tier,
    Trunk,
    Vertices,
    Wiring,
)
from clustersim.units import format_number

__all__ = [
    "Fabric",
    "Ratio",
    "ratio_note",
]

Ratio = Annotated[float, Field(ge=1, le=1000)]
"""Oversubscription: capacity downwards divided by capacity upwards."""
DIFFERS = 0.005
"""Relative difference between the requested and the built ratio above which a note is made."""


def ratio_note(
    requested: Mapping[str, float], built: Mapping[str, float], end_to_end: float, why: str
) -> list[str]:
    """Return notes on the differences between the requested and the built oversubscription.

    Parameters
    ----------
    requested, built : mapping of str to float
        Oversubscription by tier; the value for a tier that is not built has no effect.
    end_to_end : float
        Oversubscription of one chip as built, when all chips of the pool send to all others.
    why : str
        Explanation of the difference, for the note.

    Examples
    --------
    >>> ratio_note({"leaf": 4.0, "spine": 4.0}, {"leaf": 4.0}, 4.0, "")
    ['oversubscription.spine of 4:1 has no effect: the pool has no tier above it']
    >>> print(*ratio_note({"leaf": 3.0}, {"leaf": 2.9}, 2.9, "why"))
    oversubscription: requested leaf 3:1, 3:1 end to end; built leaf 2.9:1, 2.9:1 end to end (why)
    """
    notes = [
        f"oversubscription.{tier} of {format_number(ratio, 3)}:1 has no effect: the pool has "
        "no tier above it"
        for tier, ratio in requested.items()
        if tier not in built and ratio != 1
    ]
    wanted = math.prod(requested[tier] for tier in built)
    pairs = [(requested[tier], ratio) for tier, ratio in built.items()]
    pairs += [(wanted, end_to_end)] if built else []
    if any(abs(actual / target - 1) > DIFFERS for target, actual in pairs):
        targets = ", ".join(f"{tier} {format_number(requested[tier], 3)}:1" for tier in built)
        made = ", ".join(f"{tier} {format_number(ratio, 3)}:1" for tier, ratio in built.items())
        notes.append(
            f"oversubscription: requested {targets}, {format_number(wanted, 3)}:1 end to end; "
            f"built {made}, {format_number(end_to_end, 3)}:1 end to end ({why})"
        )
    return notes


class Fabric(ABC):
    """The scale-out network of one pool.

    Attributes
    ----------
    endpoints : Endpoints
    port_hops : float
        Hops from a node to its switch; 0.5 if links lead directly to other nodes.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.load_cluster("h20-pod", cs.load_catalogue())
    >>> (pool,) = cluster.pools.values()
    >>> fabric = pool.build_fabric()
    >>> [tier.kind for tier in fabric.tiers()]
    ['leaf', 'spine']
    """

    port_hops: ClassVar[float] = 1.0

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints

    @abstractmethod
    def problems(self) -> list[str]:
        """Return the reasons why this fabric cannot be built; empty if it can.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.problems()
        []
        """

    @abstractmethod
    def tiers(self) -> list[Tier]:
        """Return the layers of switches, from the nodes upwards.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> [tier.kind for tier in fabric.tiers()]
        ['leaf', 'spine']
        """

    @abstractmethod
    def levels(self) -> list[LinkLevel]:
        """Return the levels of links in closed form, from the nodes upwards.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> len(fabric.levels())
        2
        """

    @abstractmethod
    def leaf_of_node(self) -> IntArray:
        """Return the index of each node's first switch (or group of switches).

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.leaf_of_node()[:4].tolist()
        [0, 0, 0, 0]
        """

    @abstractmethod
    def unit_of_node(self) -> IntArray:
        """Return the index of each node's scalable unit, pod or group.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.unit_of_node()[:4].tolist()
        [0, 0, 0, 0]
        """

    @abstractmethod
    def trunks(self) -> tuple[Trunk, ...]:
        """Return the bundles of links that groups of nodes share, innermost first; may be empty.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> [trunk.group_nodes for trunk in fabric.trunks()]
        [32]
        """

    @abstractmethod
    def vertices(self, *, merge: bool) -> list[Vertices]:
        """Return the vertices of the graph, from the nodes upwards.

        With `merge`, parallel switches (rails or planes) become one vertex.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> len(fabric.vertices(merge=True))
        3
        """

    @abstractmethod
    def wiring(self, *, merge: bool) -> Iterator[Wiring]:
        """Yield the edges of the graph; for `merge`, see :meth:`vertices`.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> len(list(fabric.wiring(merge=True)))
        2
        """

    def port_Bps(self) -> float:
        """Return the rate at which one chip can send into the fabric, one direction (bytes/s).

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.port_Bps()
        50000000000.0
        """
        return self.endpoints.nic_Bps

    def effective_nic_Bps(self) -> float:
        """Return the rate of each chip when all chips send to all others (bytes/s).

        The rate is the minimum of the rate of the chip's port and the chip's share of each trunk
        that a collective over the whole pool crosses, ``up_Bps / (group_nodes * chips_per_node)``.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.effective_nic_Bps() <= fabric.port_Bps()
        True
        """
        return min([self.port_Bps(), *self._shares().values()])

    def oversubscription(self) -> dict[str, float]:
        """Return the factor by which each level reduces the rate of a chip, innermost first.

        The rates are those at which all chips send to all others. A level is named after the
        groups of nodes that share its bundles of links; one with a single group is left out,
        because no traffic of the pool crosses it. The factors are at least 1, and their product
        is the rate of the port divided by :meth:`effective_nic_Bps`.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> pool.build_fabric().oversubscription()
        {'unit': 1.0}
        """
        rate, factors = self.port_Bps(), {}
        for name, share in self._shares().items():
            below, rate = rate, min(rate, share)
            factors[name] = below / rate
        return factors

    def _shares(self) -> dict[str, float]:
        """Return the share of one chip in each trunk that traffic of the pool crosses (bytes/s)."""
        return {
            trunk.name: trunk.up_Bps / (trunk.group_nodes * self.endpoints.chips_per_node)
            for trunk in self.trunks()
            if trunk.n_groups > 1
        }

    def ratio_notes(self) -> list[str]:
        """Return notes on differences between the requested and the built oversubscription.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.ratio_notes()
        []
        """
        return []

    def count_notes(self) -> list[str]:
        """Return notes on units, pods and groups that are not full, and on unused ports.

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.count_notes()
        []
        """
        return []

    def bisection_Bps(self) -> float:
        """Return the capacity between two halves of the pool, one direction (bytes/s).

        Examples
        --------
        >>> import clustersim as cs
        >>> pool = cs.load_cluster("h20-pod", cs.load_catalogue()).pools["h20"]
        >>> fabric = pool.build_fabric()
        >>> fabric.bisection_Bps()
        51200000000000.0
        """
        cuts = [level.bisection_Bps for level in self.levels() if level.bisection_Bps is not None]
        return min(cuts, default=0.0)
