"""A cluster that grows and shrinks: deliveries, retirements, and rules that stop deliveries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from clustersim.errors import InputError, unknown_name
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.simulation.outages import Outage
from clustersim.topology import Cluster
from clustersim.units import Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = ["Delivery", "Embargo", "Retirement", "Supply", "supplied", "without_spare_parts"]

Name = Annotated[str, Field(min_length=1)]


class Delivery(FileModel):
    """Nodes of a pool that come later; the pool's `nodes` counts them."""

    pool: Name
    nodes: int = Field(ge=1)
    at: Duration = Field(ge=0, description="when the first serve")
    ramp: Duration = Field(0.0, ge=0, description="over what time they come, evenly")
    slip: DurationDistribution | None = Field(None, description="how much later than said all come")
    usable: float = Field(1.0, gt=0, le=1, description="share of them that ever serves (yield)")
    source: str = Field("", description="where the numbers are from, or assumption")


class Retirement(FileModel):
    """Nodes of a pool that leave, those that came first before others."""

    pool: Name
    nodes: int = Field(ge=1)
    at: Duration = Field(ge=0)
    source: str = ""


class Embargo(FileModel):
    """A date from which on a pool gets no deliveries, and no spare parts: what fails stays out."""

    pools: list[Name] = Field(min_length=1)
    at: Duration = Field(ge=0)
    spare_parts: bool = Field(False, description="whether repairs go on")
    source: str = ""


class Supply(FileModel):
    """What comes to a cluster and leaves it, and when."""

    deliveries: list[Delivery] = Field(default_factory=list)
    retirements: list[Retirement] = Field(default_factory=list)
    embargoes: list[Embargo] = Field(default_factory=list)


def supplied(supply: Supply, cluster: Cluster, streams: Streams) -> list[Outage]:
    """Return when nodes are not there, in order of time.

    Nodes that are delivered are the last of their pool, in the order of the file; those that are
    retired are its first.

    Parameters
    ----------
    supply : Supply
    cluster : Cluster
        Its pools have all the nodes that they will ever have.
    streams : Streams
        Of the slips.

    Raises
    ------
    InputError
        If a pool is not in the cluster or has fewer nodes than are delivered or retired.
    """
    _check(supply, cluster)
    place = {pool.name: index for index, pool in enumerate(cluster.pools)}
    first = {
        pool.name: pool.n_nodes - sum(d.nodes for d in supply.deliveries if d.pool == pool.name)
        for pool in cluster.pools
    }
    found = []
    for number, delivery in enumerate(supply.deliveries):
        for arrival_s in _arrivals(delivery, supply.embargoes, streams(f"delivery {number}")):
            node = first[delivery.pool]
            first[delivery.pool] += 1
            if arrival_s > 0:
                pool = place[delivery.pool]
                found.append(_absent(0.0, arrival_s, pool, node, "not delivered"))
    gone = dict.fromkeys(place, 0)
    for retirement in sorted(supply.retirements, key=lambda each: each.at):
        for _ in range(retirement.nodes):
            node = gone[retirement.pool]
            gone[retirement.pool] += 1
            pool = place[retirement.pool]
            found.append(_absent(retirement.at, math.inf, pool, node, "retired"))
    return sorted(found)


def _absent(begin_s: float, end_s: float, pool: int, node: int, cause: str) -> Outage:
    return Outage(begin_s, end_s, pool, node, cause, planned=True, absent=True)


def _arrivals(
    delivery: Delivery, embargoes: Iterable[Embargo], generator: np.random.Generator
) -> list[float]:
    """When each node of a delivery serves; infinite for those that never do."""
    slip_s = 0.0
    if delivery.slip is not None:
        slip_s = float(delivery.slip.quantile(generator.random(1))[0])
    steps = np.arange(delivery.nodes) / delivery.nodes
    times = delivery.at + slip_s + delivery.ramp * steps
    stop_s = min((e.at for e in embargoes if delivery.pool in e.pools), default=math.inf)
    times[times >= stop_s] = np.inf
    times[round(delivery.usable * delivery.nodes) :] = np.inf
    return [float(time) for time in times]


def _check(supply: Supply, cluster: Cluster) -> None:
    nodes = {pool.name: pool.n_nodes for pool in cluster.pools}
    named = [
        *(("deliveries", delivery.pool) for delivery in supply.deliveries),
        *(("retirements", retirement.pool) for retirement in supply.retirements),
        *(("embargoes", name) for embargo in supply.embargoes for name in embargo.pools),
    ]
    problems = [
        f"{field}: {unknown_name('pool', name, nodes)}"
        for field, name in named
        if name not in nodes
    ]
    for field, events in (("deliveries", supply.deliveries), ("retirements", supply.retirements)):
        for name, count in nodes.items():
            moved = sum(event.nodes for event in events if event.pool == name)
            if moved > count:
                problems.append(
                    f"{field}: {moved:,} nodes of pool {name}, which has {count:,} (cluster.pools."
                    f"{name}.nodes counts all that it will ever have)"
                )
    if problems:
        raise InputError("supply", problems)


def without_spare_parts(
    outages: Iterable[Outage], supply: Supply, cluster: Cluster
) -> Iterator[Outage]:
    """Yield failures, those without an end for which an embargo leaves no spare parts.

    Parameters
    ----------
    outages : iterable of Outage
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
    for outage in outages:
        lost = outage.begin_s >= stop_s[outage.pool]
        yield outage._replace(end_s=math.inf) if lost else outage
