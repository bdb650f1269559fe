"""Changes of a cluster over time: deliveries, production, retirements and limits of the site."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clustersim.array_types import Floats, Ints
from clustersim.availability.production import (
    Memory,
    Production,
    made_at,
    production_slips_s,
    slip_s,
    with_purpose,
)
from clustersim.availability.site import Site, node_power_w, waits_for_room
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.catalogue.assumptions import assumed
from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.topology import MOST_CHIPS, Cluster
from clustersim.units import Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "NOT_DELIVERED",
    "NO_ROOM",
    "RETIRED",
    "Delivery",
    "Embargo",
    "Retirement",
    "Shipment",
    "Supply",
    "arrivals_s",
    "check_supply",
    "delivered_lots",
    "embargoes_s",
    "lots_with_purposes",
    "nodes_at",
    "nodes_over_time",
    "room_for_production",
    "supplied",
    "without_spare_parts",
]

NOT_DELIVERED, NO_ROOM, RETIRED = "not delivered", "no power or space", "retired"
"""Causes of node events."""
_CAUSE_OF = {
    NodeEventKind.LATE_DELIVERY: NOT_DELIVERED,
    NodeEventKind.NO_ROOM: NO_ROOM,
    NodeEventKind.RETIREMENT: RETIRED,
}

Name = Annotated[str, Field(min_length=1)]


class Shipment(FileModel):
    """When something arrives, in how many lots, and what may delay or prevent it."""

    name: Name | None = Field(None, description="name by which paths refer to the entry")
    at: Duration = Field(ge=0, description="time at which the first node enters service")
    ramp: Duration = Field(
        0.0, ge=0, description="time over which the nodes arrive at equal intervals from `at` on"
    )
    lots: int = Field(
        1, ge=1, le=1000, description="number of equal lots, each with a delay of its own"
    )
    every: Duration | None = Field(None, gt=0, description="time from one lot to the next")
    slip: DurationDistribution | None = Field(None, description="delay of each lot as a whole")
    probability: float = Field(
        1.0, gt=0, le=1, description="probability that the delivery takes place at all"
    )
    usable: float = Field(
        1.0, gt=0, le=1, description="share of the nodes that ever enter service (yield)"
    )
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _lots_have_dates(self) -> Self:
        if (self.lots > 1) != (self.every is not None):
            raise ValueError("`lots` and `every` must be given together, with at least 2 lots")
        return self


class Delivery(Shipment):
    """Nodes of a pool that arrive during the run; the pool's `nodes` includes them."""

    pool: Name = Field(description="pool of the nodes")
    nodes: int = Field(ge=1, le=MOST_CHIPS, description="number of nodes delivered")

    @model_validator(mode="after")
    def _lots_have_nodes(self) -> Self:
        if self.lots > self.nodes:
            raise ValueError(f"lots: {self.lots} lots need as many nodes, found {self.nodes}")
        return self

    def each_lot(self) -> Iterator[Delivery]:
        """Yield each lot as a delivery; their nodes differ by at most one.

        Together, they have the usable nodes of the whole delivery: what is rounded off from a lot
        is added to a later one. The `usable` of a lot is the share of its own nodes, perhaps 0.
        """
        if self.every is None:
            yield self
            return
        for lot in range(self.lots):
            before, after = (self.nodes * k // self.lots for k in (lot, lot + 1))
            usable = round(self.usable * after) - round(self.usable * before)
            own = {"at": self.at + lot * self.every, "lots": 1, "every": None}
            own |= {"nodes": after - before, "usable": usable / (after - before)}
            yield self.model_copy(update=own)


class Retirement(FileModel):
    """Nodes of a pool that leave the fleet, in order of their arrival.

    A node that has not arrived by the time of its retirement never arrives.
    """

    name: Name | None = Field(None, description="name by which paths refer to the entry")
    pool: Name = Field(description="pool of the nodes")
    nodes: int = Field(ge=1, le=MOST_CHIPS, description="number of nodes retired")
    at: Duration = Field(ge=0, description="time of the retirement")
    source: str = Field("", description="source of the numbers, or assumption")


class Embargo(FileModel):
    """An embargo, which stops deliveries to pools and, by default, spare parts for failed nodes."""

    name: Name | None = Field(None, description="name by which paths refer to the entry")
    pools: list[Name] = Field(min_length=1, description="pools whose deliveries stop")
    at: Duration = Field(ge=0, description="start of the embargo")
    spare_parts: bool = Field(
        False, description="whether spare parts still arrive, so that repairs continue"
    )
    source: str = Field("", description="source of the numbers, or assumption")


class Supply(FileModel):
    """Changes of the fleet over time: arrivals, departures, and limits of the site."""

    deliveries: list[Delivery] = Field(default_factory=list)
    production: list[Production] = Field(
        default_factory=list,
        description="chips made by foundries; they fill the nodes that are not delivered",
    )
    memory: Memory | None = Field(None, description="HBM for all productions; by default unlimited")
    retirements: list[Retirement] = Field(default_factory=list)
    embargoes: list[Embargo] = Field(default_factory=list)
    site: Site | None = Field(None, description="power and space; by default unlimited")


def supplied(
    supply: Supply, cluster: Cluster, streams: Streams, catalogue: Catalogue | None = None
) -> list[NodeEvent]:
    """Return the periods in which nodes are absent or not switched on, in order of time.

    The nodes of a pool are numbered as follows: those present at the start, the delivered nodes in
    the order of the file, and the nodes that are produced. The nodes with the lowest numbers retire
    first. In a pool with a production, all nodes are delivered or produced; to start with some
    nodes, add a delivery at 0 s.

    Parameters
    ----------
    supply : Supply
    cluster : Cluster
        Each pool must include all nodes that it will ever have.
    streams : Streams
        Provides the random numbers of the slips.
    catalogue : Catalogue, optional
        Provides the memory and power of the chips; by default the built-in catalogue.

    Raises
    ------
    InputError
        If a pool is not in the cluster or has fewer nodes than are delivered or retired, if memory
        is limited and the HBM stacks of a chip are unknown, or if the nodes present at the start
        exceed the limits of the site.
    """
    check_supply(supply, cluster)
    catalogue = load_catalogue() if catalogue is None else catalogue
    comes_s = arrivals_s(supply, cluster, catalogue, streams)
    leaves_s = _leaves(supply, cluster)
    found = []
    for pool, (comes, leaves) in enumerate(zip(comes_s, leaves_s, strict=True)):
        found += [
            _absent(0.0, float(comes[node]), pool, int(node), NodeEventKind.LATE_DELIVERY)
            for node in np.flatnonzero(comes > 0)
        ]
        found += [
            _absent(float(leaves[node]), math.inf, pool, int(node), NodeEventKind.RETIREMENT)
            for node in np.flatnonzero(np.isfinite(leaves))
        ]
    if supply.site is not None:
        site = assumed(supply.site, catalogue.assumptions)
        power_w = node_power_w(site, cluster, catalogue)
        found += [
            _absent(wait.begin_s, wait.end_s, wait.pool, wait.node, NodeEventKind.NO_ROOM)
            for wait in waits_for_room(site, power_w, comes_s, leaves_s)
        ]
    return sorted(found)


def nodes_over_time(
    supply: Supply, cluster: Cluster, streams: Streams, catalogue: Catalogue | None = None
) -> pd.DataFrame:
    """Return the number of nodes of each pool that are switched on over time, ignoring failures.

    Parameters
    ----------
    supply, cluster, streams, catalogue
        See :func:`supplied`.

    Returns
    -------
    pandas.DataFrame
        ``time_s`` (seconds), ``pool``, ``nodes``. For each pool, there is a row at time 0 and one
        at every change; each row applies until the time of the next row.

    Raises
    ------
    InputError
        See :func:`supplied`.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.topology import resolve_cluster
    >>> scenario = cs.load_scenario("fleet_2026").scenario
    >>> catalogue = cs.load_catalogue()
    >>> cluster = cs.compile_cluster(resolve_cluster(scenario.cluster, catalogue))
    >>> nodes = cs.nodes_over_time(scenario.supply, cluster, cs.Streams(1), catalogue)
    >>> nodes.columns.to_list()
    ['time_s', 'pool', 'nodes']
    """
    events = list(without_overlaps(supplied(supply, cluster, streams, catalogue)))
    parts = []
    for index, pool in enumerate(cluster.pools):
        here = [event for event in events if event.pool == index]
        times = np.array([t for event in here for t in (event.begin_s, event.end_s)])
        time_s, step = np.unique(np.append(times, 0.0), return_inverse=True)
        change = np.zeros(len(time_s), dtype=np.int64)
        np.add.at(change, step[:-1], np.tile([-1, 1], len(here)))
        nodes = pool.n_nodes + np.cumsum(change)
        kept = np.isfinite(time_s) & (np.diff(nodes, prepend=-1) != 0)
        parts.append(
            pd.DataFrame({"time_s": time_s[kept], "pool": pool.name, "nodes": nodes[kept]})
        )
    return pd.concat(parts, ignore_index=True)


def nodes_at(
    supply: Supply, cluster: Cluster, streams: Streams, catalogue: Catalogue, at_s: float
) -> Ints:
    """Return the number of nodes of each pool that are switched on at a time, ignoring failures.

    Parameters
    ----------
    supply, cluster, streams, catalogue
        See :func:`supplied`.
    at_s : float
        Seconds; a node that arrives then is there.

    Returns
    -------
    int64 array (pools,)

    Raises
    ------
    InputError
        See :func:`supplied`.

    Examples
    --------
    >>> import clustersim as cs
    >>> catalogue = cs.load_catalogue()
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", catalogue))
    >>> late = Supply(deliveries=[Delivery(pool="h200", nodes=20, at="10 d")])
    >>> [
    ...     nodes_at(late, cluster, cs.Streams(1), catalogue, day * 86400).tolist()
    ...     for day in (9, 10)
    ... ]
    [[12, 12, 8, 8], [32, 12, 8, 8]]
    """
    if supply.site is not None:
        table = nodes_over_time(supply, cluster, streams, catalogue)
        last = table[table["time_s"] <= at_s].groupby("pool")["nodes"].last()
        return np.array([int(last[pool.name]) for pool in cluster.pools], dtype=np.int64)
    check_supply(supply, cluster)
    comes_s = arrivals_s(supply, cluster, catalogue, streams)
    there = [
        int(np.sum((comes <= at_s) & (leaves > at_s)))
        for comes, leaves in zip(comes_s, _leaves(supply, cluster), strict=True)
    ]
    return np.array(there, dtype=np.int64)


def _absent(begin_s: float, end_s: float, pool: int, node: int, kind: NodeEventKind) -> NodeEvent:
    return NodeEvent(begin_s, end_s, pool, node, _CAUSE_OF[kind], kind)


def arrivals_s(
    supply: Supply, cluster: Cluster, catalogue: Catalogue, streams: Streams
) -> list[Floats]:
    """Return, for each pool, when its nodes arrive (seconds); infinite for nodes that never do."""
    delivered: dict[str, list[float]] = {pool.name: [] for pool in cluster.pools}
    stop = embargoes_s(supply, cluster)
    for purpose, delivery, happens in delivered_lots(supply, streams):
        late_s = slip_s(delivery.slip, streams, purpose)
        stop_s = stop[delivery.pool] if happens else -math.inf
        delivered[delivery.pool] += _arrivals(delivery, stop_s, late_s)
    room = room_for_production(supply, cluster)
    made = {}
    if room:
        slips_s = production_slips_s(supply.production, streams)
        made = made_at(supply.production, supply.memory, room, stop, cluster, catalogue, slips_s)
    comes = []
    for pool in cluster.pools:
        later = np.array([*delivered[pool.name], *made.get(pool.name, ())], dtype=np.float64)
        comes.append(np.concatenate([np.zeros(pool.n_nodes - len(later)), later]))
    return comes


def delivered_lots(supply: Supply, streams: Streams) -> Iterator[tuple[str, Delivery, bool]]:
    """Yield each lot of the deliveries, and whether its delivery takes place.

    The first value identifies the random numbers of its delay; see :func:`lots_with_purposes`.
    """
    happens = {}
    for whole, purpose, lot in lots_with_purposes(supply):
        if whole not in happens:
            happens[whole] = lot.probability == 1.0 or streams.stratified(whole) < lot.probability
        yield purpose, lot, happens[whole]


def lots_with_purposes(supply: Supply) -> Iterator[tuple[str, str, Delivery]]:
    """Yield two texts and a delivery for each lot.

    The texts identify the random numbers that decide whether the whole delivery takes place, and
    how late the lot is; see :func:`~clustersim.availability.production.with_purpose`.
    """
    for purpose, delivery in with_purpose("delivery", supply.deliveries):
        for number, lot in enumerate(delivery.each_lot(), start=1):
            own = f"{purpose}, lot {number}" if delivery.lots > 1 else purpose
            yield f"{purpose}, takes place", own, lot


def _leaves(supply: Supply, cluster: Cluster) -> list[Floats]:
    """Return, for each pool, when its nodes retire (seconds); infinite for nodes that never do."""
    leaves = []
    for pool in cluster.pools:
        of_pool = [each for each in supply.retirements if each.pool == pool.name]
        dates = [each.at for each in sorted(of_pool, key=lambda r: r.at) for _ in range(each.nodes)]
        leaves.append(np.array(dates + [math.inf] * (pool.n_nodes - len(dates))))
    return leaves


def _arrivals(delivery: Delivery, stop_s: float, late_s: float) -> list[float]:
    """Return the time of arrival of each delivered node, seconds; infinite if it never arrives."""
    steps = np.arange(delivery.nodes) / delivery.nodes
    times = delivery.at + late_s + delivery.ramp * steps
    times[times >= stop_s] = np.inf
    times[round(delivery.usable * delivery.nodes) :] = np.inf
    return [float(time) for time in times]


def embargoes_s(supply: Supply, cluster: Cluster) -> dict[str, float]:
    """Return the time at which the first embargo stops the supply of each pool, seconds."""
    return {
        pool.name: min((e.at for e in supply.embargoes if pool.name in e.pools), default=math.inf)
        for pool in cluster.pools
    }


def room_for_production(supply: Supply, cluster: Cluster) -> dict[str, int]:
    """Return the number of nodes that are not delivered, for each pool with a production."""
    made = {production.pool for production in supply.production}
    return {
        pool.name: pool.n_nodes - _moved(supply.deliveries, pool.name)
        for pool in cluster.pools
        if pool.name in made
    }


def _moved(events: Iterable[Delivery | Retirement], pool: str) -> int:
    return sum(event.nodes for event in events if event.pool == pool)


def check_supply(supply: Supply, cluster: Cluster) -> None:
    """Check that a supply and the pools of a cluster fit together; see :func:`supplied`."""
    nodes = {pool.name: pool.n_nodes for pool in cluster.pools}
    made = list(dict.fromkeys(production.pool for production in supply.production))
    first = [] if supply.memory is None else supply.memory.priority
    named = [
        *(("deliveries", delivery.pool) for delivery in supply.deliveries),
        *(("production", name) for name in made),
        *(("retirements", retirement.pool) for retirement in supply.retirements),
        *(("embargoes", name) for embargo in supply.embargoes for name in embargo.pools),
    ]
    problems = [
        f"{field}: pool {name} has 0 nodes (cluster.pools.{name}.nodes must count all nodes that "
        "it will ever have)"
        if name in cluster.empty_pools
        else f"{field}: {unknown_name('pool', name, nodes)}"
        for field, name in named
        if name not in nodes and not (field == "embargoes" and name in cluster.empty_pools)
    ]
    problems += [
        f"memory.priority: {unknown_name('pool with a production', name, made)}"
        for name in first
        if name not in made
    ]
    for field, events in (("deliveries", supply.deliveries), ("retirements", supply.retirements)):
        for name, count in nodes.items():
            moved = _moved(events, name)
            if moved > count:
                problems.append(
                    f"{field}: {moved:,} nodes of pool {name}, which has only {count:,} "
                    f"(cluster.pools.{name}.nodes must count all nodes that it will ever have)"
                )
    problems += [
        f"production: pool {name} has no node left to fill, because all its nodes are delivered "
        f"(cluster.pools.{name}.nodes must count all nodes that it will ever have)"
        for name, room in room_for_production(supply, cluster).items()
        if room == 0
    ]
    if problems:
        raise InputError("supply", problems)


def without_spare_parts(
    events: Iterable[NodeEvent], supply: Supply, cluster: Cluster
) -> Iterator[NodeEvent]:
    """Yield failures; a failure whose repair needs a spare part during an embargo never ends.

    Parameters
    ----------
    events : iterable of NodeEvent
        Failures, in order of time.
    supply : Supply
    cluster : Cluster
    """
    stop_s = [
        min(
            (e.at for e in supply.embargoes if pool.name in e.pools and not e.spare_parts),
            default=math.inf,
        )
        for pool in cluster.pools
    ]
    for event in events:
        lost = event.needs_part and not event.slows and event.begin_s >= stop_s[event.pool]
        yield event._replace(end_s=math.inf) if lost else event
