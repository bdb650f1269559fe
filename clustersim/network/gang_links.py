"""Demand of running gangs on the trunks that may limit them.

:mod:`~clustersim.network.gang_traffic` computes the bytes of many gangs on all trunks. A simulation
needs, at each start of a gang, only the trunks that can ever be full, and mostly finds that the
gang uses none of them; this takes a few comparisons here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clustersim.array_types import Floats
from clustersim.network.contention import NetworkResponse
from clustersim.network.load_balancing import LoadBalancing, usable_share
from clustersim.network.trunks import DATACENTER, LEAF, RAIL, TrunkGraph

__all__ = ["Communication", "Gang", "GangLinks"]

Gang = Sequence[tuple[int, int]]
"""Nodes of a gang, numbered over all pools, in the order of the ranks, with the chips on each."""
_FULL = 1.0 - 1e-9
"""Capacity of a trunk divided by that of the ports below it, from which it can never be full."""
_ROOM = 1.0 + 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Communication:
    """How a job communicates between nodes.

    Attributes
    ----------
    response : NetworkResponse
        Step time and duty by the share of the network's rate. The slowdown refers to the ideal
        placement of the job.
    ring, all_to_all, neighbours : float
        Part of the rate of its NICs that each pattern of traffic needs: rings over the nodes of a
        stage (tensor, context and data parallelism), all chips of a stage with all others there
        (experts), and stages of a pipeline with the next one.
    stages : int
        Number of stages of its pipeline, each on consecutive nodes.
    """

    response: NetworkResponse
    ring: float = 1.0
    all_to_all: float = 0.0
    neighbours: float = 0.0
    stages: int = 1


class GangLinks:
    """The trunks of a cluster that may limit gangs, and the demand of gangs on them.

    A trunk whose capacity is at least that of all ports below it can never be full, and is left
    out. Demand and capacity of a trunk are the same in both directions, so one trunk stands for
    both.

    Parameters
    ----------
    graph : TrunkGraph
    port_Bps : sequence of float (pools,)
        Rate of the port of one chip of each pool, one direction (bytes/s).
    chips_per_node : sequence of int (pools,)
    load_balancing : {"ideal", "adaptive", "ecmp"}
        See :func:`~clustersim.network.load_balancing.usable_share`. The links of a trunk have the
        rate of a port, and the flows on it are those of all ports below it.
    queue_pairs : int
        Number of flows of each NIC.
    may_narrow : collection of int
        Trunks upward in `graph` that may lose capacity later. They are kept although they can never
        be full now, and may also be the ports of a node.

    Attributes
    ----------
    capacity_Bps : float64 array (trunks,)
        Capacity that the flows of each trunk can use, one direction (bytes/s).
    trunk : int64 array (trunks,)
        Number of each trunk in `graph`.
    n_shared : int
        Number of trunks that are not the ports of a node; they come first.

    Examples
    --------
    Eight nodes of 8 chips under two leaves, at 4:1. A gang on a node of each leaf fills the trunks
    of the leaves, which have the capacity of 8 ports:

    >>> import clustersim as cs
    >>> from clustersim.network import Communication, GangLinks, NetworkResponse, trunk_graph
    >>> leaf = {"type": "rail-optimised", "unit_nodes": 4, "oversubscription": {"leaf": 4}}
    >>> pool = {"accelerator": "H200", "nodes": 8, "nic": "400 Gb/s", "fabric": leaf}
    >>> cluster = {"name": "eight", "pools": {"a": pool}}
    >>> spec = cs.topology.resolve_cluster(cluster, cs.load_catalogue())
    >>> links = GangLinks(trunk_graph(cs.compile_cluster(spec)), [50e9], [8])
    >>> rings = Communication(NetworkResponse.of_share(0.2))
    >>> links.demand([(0, 8), (4, 8)], 8, rings)
    ([0, 1], [400000000000.0, 400000000000.0])
    >>> links.capacity_Bps.tolist()
    [400000000000.0, 400000000000.0]
    >>> links.demand([(0, 8), (1, 8)], 8, rings)
    ([], [])
    """

    def __init__(
        self,
        graph: TrunkGraph,
        port_Bps: Sequence[float],
        chips_per_node: Sequence[int],
        *,
        load_balancing: LoadBalancing = "ideal",
        queue_pairs: int = 1,
        may_narrow: Collection[int] = (),
    ) -> None:
        self.graph = graph
        pool = graph.pool_of_node(np.arange(graph.n_nodes))
        self._port_Bps = np.asarray(port_Bps, dtype=np.float64)[pool].tolist()
        chips = np.asarray(chips_per_node, dtype=np.int64)[pool]
        open_trunks: list[int] = []
        capacity: list[float] = []
        for level in range(LEAF, DATACENTER + 1):
            up = graph.up_of_node[level]
            below = np.bincount(up[up >= 0], chips[up >= 0], minlength=graph.n_trunks)
            for trunk in np.unique(up[up >= 0]).tolist():
                nics, port = int(below[trunk]), float(port_Bps[graph.pool[trunk]])
                links = max(1, round(float(graph.capacity_Bps[trunk]) / port))
                usable = usable_share(load_balancing, nics, links, queue_pairs=queue_pairs)
                usable_Bps = float(graph.capacity_Bps[trunk]) * usable
                never_full = level != DATACENTER and usable_Bps >= nics * port * _FULL
                if not never_full or trunk in may_narrow:
                    open_trunks.append(trunk)
                    capacity.append(max(usable_Bps, nics * port) if never_full else usable_Bps)
        self.n_shared = len(open_trunks)
        ports = graph.up_of_node[RAIL]
        narrow = np.flatnonzero(np.isin(ports, list(may_narrow)))
        open_trunks += ports[narrow].tolist()
        capacity += [chips[node] * self._port_Bps[node] for node in narrow.tolist()]
        self._ports = dict(zip(narrow.tolist(), range(self.n_shared, len(capacity)), strict=True))
        self.trunk = np.array(open_trunks, dtype=np.int64)
        self.capacity_Bps = np.array(capacity, dtype=np.float64)
        self._number = {trunk: number for number, trunk in enumerate(open_trunks)}
        self._levels = [
            graph.up_of_node[level].tolist()
            for level in range(LEAF, DATACENTER + 1)
            if (graph.level[self.trunk] == level).any()
        ]
        domain = graph.domain_of_node(np.arange(graph.n_nodes))
        self._domain: list[int] | None = domain.tolist()
        if len(np.unique(domain)) == graph.n_nodes:
            self._domain = None  # each node is a scale-up domain

    def inside(self, gang: Gang) -> int:
        """Return the smallest number of chips of a gang in one of its scale-up domains.

        A node whose scale-up links end at the node is a domain. The result is 0 if the gang is in
        one domain, and therefore does not use the network.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.network import GangLinks, trunk_graph
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> links = GangLinks(trunk_graph(cluster), [50e9], [8])
        >>> links.inside([(0, 8), (1, 4)]), links.inside([(0, 8)])
        (4, 0)
        """
        if self._domain is None:
            return min([chips for _, chips in gang]) if len(gang) > 1 else 0
        within: Counter[int] = Counter()
        for node, chips in gang:
            within[self._domain[node]] += chips
        return min(within.values()) if len(within) > 1 else 0

    def domains(self, gang: Gang) -> int:
        """Return the number of scale-up domains over which a gang is spread.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.network import GangLinks, trunk_graph
        >>> cluster = cs.compile_cluster(cs.load_cluster("h20-pod", cs.load_catalogue()))
        >>> links = GangLinks(trunk_graph(cluster), [50e9], [8])
        >>> links.domains([(0, 8), (1, 4)])
        2
        """
        own = self._domain
        return len(gang) if own is None else len({own[node] for node, _ in gang})

    def demand(
        self,
        gang: Gang,
        inside: int,
        communication: Communication,
        narrow: Collection[int] = frozenset(),
    ) -> tuple[list[int], list[float]]:
        """Return the trunks that may limit a gang, and its demand on each of them.

        In rings, each of `inside` NICs of a node sends to the next node. The gang leaves a group of
        nodes once for each of its nodes there whose successor is elsewhere. If a scale-up domain
        has several nodes, the NICs of all of them share what the domain sends to the next one. In
        exchanges, each NIC sends the same to all chips of its stage that are not in its domain. All
        ports of the gang have the rate of the slowest one.

        Parameters
        ----------
        gang : sequence of (int, int)
        inside : int
            Number of NICs that the gang uses in each scale-up domain, see :meth:`inside`.
        communication : Communication
        narrow : collection of int
            Nodes whose ports may limit the gang, because some are down. Their capacity is that of
            all ports of the node, whose gangs share what is left.

        Returns
        -------
        trunks : list of int
            Positions in `capacity_Bps`.
        demand_Bps : list of float
            Bytes/s that the gang sends out of each group of nodes at a share of 1.
        """
        found: dict[int, float] = {}
        for groups in self._levels:
            own = [groups[node] for node, _ in gang]
            first = own[0]
            if all(group == first for group in own):
                continue
            for group, nics in self._leaving(gang, own, inside, communication).items():
                if nics and (number := self._number.get(group)) is not None:
                    found[number] = nics
        if narrow and any(node in narrow for node, _ in gang):
            leaving = self._leaving(gang, [node for node, _ in gang], inside, communication)
            found |= {self._ports[node]: leaving[node] for node in leaving if node in narrow}
        if not found:
            return [], []
        port_Bps = min([self._port_Bps[node] for node, _ in gang])
        return list(found), [nics * port_Bps for nics in found.values()]

    def position(self, trunk: int) -> int | None:
        """Return the position of a trunk of `graph`; None if it is left out."""
        return self._number.get(trunk)

    def alone(
        self,
        trunks: Sequence[int],
        demand_Bps: Sequence[float],
        capacity_Bps: Floats | None = None,
    ) -> float:
        """Return the share of a gang that has its trunks for itself.

        `capacity_Bps` is the capacity of each trunk, if it is not that without faults.
        """
        capacities = self.capacity_Bps if capacity_Bps is None else capacity_Bps
        share = 1.0
        for trunk, demand in zip(trunks, demand_Bps, strict=True):
            capacity = float(capacities[trunk])
            if demand > capacity * _ROOM:
                share = min(share, capacity / demand)
        return share

    def _leaving(
        self, gang: Gang, own: list[int], inside: int, communication: Communication
    ) -> dict[int, float]:
        """Return the NICs of a gang that send out of each group of nodes at the same time."""
        nics: dict[int, float] = dict.fromkeys(own, 0.0)
        stages = _stages(len(gang), communication.stages)
        domain = self._domains_of(gang)
        for weight, next_of in (
            (communication.ring, _next_in_stage),
            (communication.neighbours, _same_in_next_stage),
        ):
            if weight:
                following = next_of(stages)
                if self._domain is not None:
                    for group, part in _sent_by_domains(gang, own, domain, following).items():
                        nics[group] += weight * inside * part
                    continue
                for rank, to in enumerate(following):
                    if own[to] != own[rank]:
                        nics[own[rank]] += weight * inside
        if communication.all_to_all:
            for stage in stages:
                for group, part in _exchanged(gang, own, domain, stage).items():
                    nics[group] += communication.all_to_all * part
        return nics

    def _domains_of(self, gang: Gang) -> list[int]:
        own = self._domain
        return [node if own is None else own[node] for node, _ in gang]


def _stages(n_nodes: int, n_stages: int) -> list[range]:
    """Return the ranks of the nodes of each stage of a pipeline; a node is in one stage."""
    n = min(n_stages, n_nodes)
    first = [-(-stage * n_nodes // n) for stage in range(n + 1)]
    return [range(begin, end) for begin, end in pairwise(first)]


def _next_in_stage(stages: list[range]) -> list[int]:
    """Return the next node of each node in the ring of its stage."""
    return [stage[(place + 1) % len(stage)] for stage in stages for place in range(len(stage))]


def _same_in_next_stage(stages: list[range]) -> list[int]:
    """Return the node at the same place of the next stage, or the last node there."""
    return [
        following[min(place, len(following) - 1)]
        for stage, following in zip(stages, [*stages[1:], stages[0]], strict=True)
        for place in range(len(stage))
    ]


def _sent_by_domains(
    gang: Gang, own: list[int], domain: list[int], following: list[int]
) -> dict[int, float]:
    """Return how many times the NICs of a domain send out of each group.

    The NICs of all its nodes send as much, and alike to all domains that follow a node of it.
    """
    chips_of: defaultdict[int, Counter[int]] = defaultdict(Counter)
    targets: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for rank, to in enumerate(following):
        chips_of[domain[rank]][own[rank]] += gang[rank][1]
        if domain[to] != domain[rank]:
            targets[domain[rank]][domain[to]] += 1
    parts: dict[int, float] = dict.fromkeys(own, 0.0)
    for source, reached in targets.items():
        for group, chips in chips_of[source].items():
            here = chips / chips_of[source].total() / reached.total()
            for target, times in reached.items():
                away = 1.0 - chips_of[target][group] / chips_of[target].total()
                parts[group] += here * times * away
    return parts


def _exchanged(gang: Gang, own: list[int], domain: list[int], stage: range) -> dict[int, float]:
    """Return the NICs of a stage that send out of each group if all chips send to all others.

    A NIC sends the same to each chip beyond its scale-up domain, and nothing to those within.
    """
    in_group: Counter[int] = Counter()
    in_domain: Counter[int] = Counter()
    in_both: Counter[tuple[int, int]] = Counter()
    for rank in stage:
        chips = gang[rank][1]
        in_group[own[rank]] += chips
        in_domain[domain[rank]] += chips
        in_both[own[rank], domain[rank]] += chips
    n = sum(in_group.values())
    nics: dict[int, float] = dict.fromkeys(in_group, 0.0)
    for (group, within), chips in in_both.items():
        if n > in_domain[within]:
            others = n - in_group[group] - in_domain[within] + chips
            nics[group] += chips * others / (n - in_domain[within])
    return nics
