"""The parts of a cluster's network that can fail, by name, and the cables that each consists of.

==============================  ==================================================================
name                            part
==============================  ==================================================================
``h200/leaf/3``                 a switch
``h200/node/5/nic/2``           a network port of a node, with its cable to a switch
``h200/leaf/3-spine/7``         a link: all cables between two switches, or a switch and a node
``h200/leaf/3-spine/7/1``       one of several cables of a link, counted from 0
``h200/unit/0/uplinks``         all cables from a group of nodes to the rest of its pool
``h200/uplinks``                the connection of a pool to the other pools
==============================  ==================================================================

Switches and nodes are numbered as in the graph of :func:`~clustersim.topology.build_graph` with
``merge_rails=False``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, unknown_name
from clustersim.topology.cluster import Cluster
from clustersim.topology.part_names import PartNames
from clustersim.topology.pool_cables import PartKind, PoolCables

__all__ = ["ListedParts", "NetworkParts", "is_datacenter"]


@dataclass(frozen=True, slots=True)
class ListedParts:
    """Parts of one kind in a pool, for tables.

    Attributes
    ----------
    pool, kind, first, last : str
        Kind of the part, and the names of the first and the last one.
    count, cables : int
        Number of these parts, and of all their cables.
    rate_Bps : float
        Rate of a cable, one direction (bytes/s); of a switch, that of a cable to the layer below.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
    >>> ports = cs.topology.NetworkParts(cluster).listed()[0]
    >>> ports.kind, ports.last
    ('network port', 'h20/node/255/nic/7')
    """

    pool: str
    kind: str
    first: str
    last: str
    count: int
    cables: int
    rate_Bps: float


class NetworkParts:
    """The cables of a cluster, and the parts of its network that they belong to.

    Cables are numbered over all pools. The connection of a pool to the other pools counts as one
    cable.

    Parameters
    ----------
    cluster : Cluster
        A topology compiled by :func:`~clustersim.topology.compile_cluster`.

    Attributes
    ----------
    rate_Bps : float64 array (cables,)
        Rate of each cable, one direction (bytes/s).
    port_node, port_cable : int64 arrays (ports,)
        Node, numbered over all pools, and cable of each port of a node.
    trunk_pool, trunk_level, trunk_group, trunk_cable : int64 arrays (members,)
        Each cable of each trunk: index of the pool, position of the trunk in ``Pool.trunks`` (-1
        for the connection to the other pools), number of the group of nodes, and the cable.

    Raises
    ------
    InputError
        If a pool was made without a fabric.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> parts = cs.topology.NetworkParts(cluster)
    >>> len(parts.cables_of("h200/leaf/0")), parts.cables_of("h200/node/5/nic/2").tolist()
    (64, [42])
    >>> parts.count(0, "leaf"), parts.part(0, "link", 33)[0]
    (32, 'h200/leaf/1-spine/0/1')
    """

    def __init__(self, cluster: Cluster) -> None:
        bare = [pool.name for pool in cluster.pools if pool.fabric is None]
        if bare:
            raise InputError("network", f"faults: pool {bare[0]} has no topology with cables")
        joined = cluster.datacenter_latency_s is not None and len(cluster.pools) > 1
        self._pools: list[PoolCables] = []
        n_cables = n_nodes = 0
        for index, pool in enumerate(cluster.pools):
            self._pools.append(PoolCables(index, pool, n_cables, n_nodes, joined=joined))
            n_cables += self._pools[-1].n_cables
            n_nodes += pool.n_nodes
        self._names = {
            each.pool.name: PartNames(each, [row.first for row in _listed(each)])
            for each in self._pools
        }
        self.rate_Bps: Floats = np.concatenate([each.rate_Bps() for each in self._pools])
        ports = [each.ports_of_all() for each in self._pools]
        self.port_node: Ints = np.concatenate([nodes for nodes, _ in ports])
        self.port_cable: Ints = np.concatenate([cables for _, cables in ports])
        members = [each.members() for each in self._pools]
        columns = [np.concatenate(column) for column in zip(*members, strict=True)]
        self.trunk_pool, self.trunk_level, self.trunk_group, self.trunk_cable = columns

    def cables_of(self, name: str) -> Ints:
        """Return the cables of the part with a name.

        Raises
        ------
        ValueError
            If there is no such part; the message states what is allowed.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> cs.topology.NetworkParts(cluster).cables_of("h20/leaf/64")
        Traceback (most recent call last):
            ...
        ValueError: there is no h20/leaf/64; allowed: h20/leaf/0 to h20/leaf/63
        """
        names, rest = self._of_pool(name)
        return names.find(rest)

    def _of_pool(self, name: str) -> tuple[PartNames, str]:
        pool, _, rest = name.partition("/")
        if pool not in self._names:
            raise ValueError(f"{name!r}: {unknown_name('pool', pool, self._names)}")
        return self._names[pool], rest

    def count(self, pool: int, kind: PartKind) -> int:
        """Return the number of parts of a kind in a pool.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> cs.topology.NetworkParts(cluster).count(0, "spine")
        32
        """
        return self._pools[pool].count(kind)

    def part(self, pool: int, kind: PartKind, number: int) -> tuple[str, Ints]:
        """Return the name and the cables of a part, counted from 0 within its kind.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> cs.topology.NetworkParts(cluster).part(0, "nic", 9)[0]
        'h20/node/1/nic/1'
        """
        return self._pools[pool].part(kind, number)

    def alike(self, pool: int, kind: PartKind) -> list[tuple[int, int]]:
        """Return the first of each group of parts of a kind on the same level, and their number.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> cs.topology.NetworkParts(cluster).alike(0, "switch")
        [(0, 64), (64, 32)]
        """
        return self._pools[pool].alike(kind)

    def all_cables(self, pool: int, kind: PartKind) -> Ints:
        """Return the cables of all parts of a kind in a pool.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> len(cs.topology.NetworkParts(cluster).all_cables(0, "link"))
        2048
        """
        return self._pools[pool].all_cables(kind)

    def listed(self) -> list[ListedParts]:
        """Return the parts of all pools by kind, with their first and last names.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> listed = cs.topology.NetworkParts(cluster).listed()
        >>> [(each.first, each.count) for each in listed][:2]
        [('h20/node/0/nic/0', 2048), ('h20/leaf/0', 64)]
        """
        return [row for each in self._pools for row in _listed(each)]

    def links_of(self, name: str) -> list[tuple[str, int, float]]:
        """Return the links of a part or a node: name, number of cables, rate of one (bytes/s).

        Raises
        ------
        ValueError
            If there is no such part.

        Examples
        --------
        >>> import clustersim as cs
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> cs.topology.NetworkParts(cluster).links_of("h20/node/0")[0]
        ('h20/node/0-leaf/0', 1, 50000000000.0)
        """
        names, rest = self._of_pool(name)
        cables = names.find(rest, nodes=True)
        return [row for each in self._pools for row in each.links(cables)]


def is_datacenter(name: str) -> bool:
    """Return whether the name of a part means the connection of a pool to the other pools.

    Examples
    --------
    >>> from clustersim.topology import is_datacenter
    >>> is_datacenter("h200/uplinks"), is_datacenter("h200/unit/0/uplinks")
    (True, False)
    """
    return name.partition("/")[2] == "uplinks"


def _listed(own: PoolCables) -> list[ListedParts]:
    """Return the parts of a pool by kind."""
    pool = own.pool
    rows: list[tuple[str, str, str, int, int, float]] = []
    if n := own.ports.size:
        first, last = (own.part("nic", each)[0] for each in (0, n - 1))
        rows.append(("network port", first, last, n, n, own.levels[0].wiring.link_Bps))
    for kind in own.switch_kinds:
        n = own.count_of[kind]
        first, last = (f"{pool.name}/{kind}/{each}" for each in (0, n - 1))
        ends = [{each.wiring.lower_kind, each.wiring.upper_kind} for each in own.levels]
        levels = [each for each, kinds in zip(own.levels, ends, strict=True) if kind in kinds]
        n_cables = sum(each.n_cables for each in levels)
        rows.append((f"switch ({kind})", first, last, n, n_cables, levels[0].wiring.link_Bps))
    for level in own.levels:
        if level.wiring.upper_kind != "ideal":
            n = len(level.wiring.lower)
            first, last = (f"{pool.name}/{level.link_name(each)}" for each in (0, n - 1))
            kind = f"link ({level.wiring.level})"
            rows.append((kind, first, last, n, level.n_cables, level.wiring.link_Bps))
    for trunk, (_, cables) in zip(pool.trunks, own.trunks, strict=True):
        n = trunk.n_groups
        first, last = (f"{pool.name}/{trunk.name}/{each}/uplinks" for each in (0, n - 1))
        kind = f"uplinks ({trunk.name})"
        if len(cables):
            rows.append((kind, first, last, n, len(cables), own.links(cables[:1])[0][2]))
    if own.datacenter >= 0:
        name = f"{pool.name}/uplinks"
        rows.append(("uplinks (pool)", name, name, 1, 1, pool.datacenter_Bps))
    return [ListedParts(pool.name, *row) for row in rows]
