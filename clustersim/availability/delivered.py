"""Node-time that a supply delivers: in one run, and its expectation over the slips.

A control variate needs a quantity of a run whose expectation is known.  Here it is the time for
which the nodes of each pool have been in the fleet.  Retirements and the limits of the site are
left out, so each delivery contributes a term that depends only on its own slip, and the expectation
is the sum of one-dimensional integrals over the distributions of the slips.

Productions may share memory, so their output depends on all their slips.  The control takes only
the main effects: the output at the medians of all slips, plus the change when the slip of a single
production takes its value in the run.  With one production, this is its actual output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Floats
from clustersim.availability.production import made_at, production_slips_s, slip_s
from clustersim.availability.supply import (
    Delivery,
    Supply,
    delivered_lots,
    embargoes_s,
    room_for_production,
)
from clustersim.catalogue import Catalogue
from clustersim.seeds import Streams
from clustersim.topology import Cluster

__all__ = ["delivered_node_s", "has_slips"]

_DELIVERY_POINTS, _PRODUCTION_POINTS = 4096, 256
"""Number of points of the midpoint rule over the probability of a slip."""


def has_slips(supply: Supply | None) -> bool:
    """Whether the dates of a supply, or what is delivered at all, are random."""
    if supply is None:
        return False
    if any(delivery.probability < 1.0 for delivery in supply.deliveries):
        return True
    slips = [*(d.slip for d in supply.deliveries), *(p.slip for p in supply.production)]
    return any(slip is not None for slip in slips)


def delivered_node_s(
    supply: Supply, cluster: Cluster, catalogue: Catalogue, streams: Streams, edges_s: Floats
) -> tuple[Floats, Floats]:
    """Return the node-seconds of each pool up to some times, and their expectation.

    Parameters
    ----------
    supply, cluster, catalogue, streams
        See :func:`~clustersim.availability.supply.supplied`.
    edges_s : float64 array (times,)
        Seconds.

    Returns
    -------
    realised, expected : float64 arrays (pools, times)
        With the slips of the run, and in expectation over the slips.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.topology import resolve_cluster
    >>> scenario = cs.load_scenario("fleet_2026").scenario
    >>> catalogue = cs.load_catalogue()
    >>> cluster = cs.compile_cluster(resolve_cluster(scenario.cluster, catalogue))
    >>> year = np.array([365 * 86400.0])
    >>> run, mean = delivered_node_s(scenario.supply, cluster, catalogue, cs.Streams(1), year)
    >>> run.shape, mean.shape
    ((4, 1), (4, 1))
    """
    places = {pool.name: index for index, pool in enumerate(cluster.pools)}
    room = room_for_production(supply, cluster)
    there = np.array([pool.n_nodes - room.get(pool.name, 0) for pool in cluster.pools])
    for delivery in supply.deliveries:
        there[places[delivery.pool]] -= delivery.nodes
    realised = there[:, None] * np.asarray(edges_s, dtype=np.float64)
    expected = realised.copy()
    stop = embargoes_s(supply, cluster)
    for purpose, delivery, happens in delivered_lots(supply, streams):
        late_s = np.array([slip_s(delivery.slip, streams, purpose)])
        all_s = late_s if delivery.slip is None else delivery.slip.quantile(_mid(_DELIVERY_POINTS))
        place, stop_s = places[delivery.pool], stop[delivery.pool]
        mean = _node_s(delivery, stop_s, all_s, edges_s).mean(axis=0)
        realised[place] += happens * _node_s(delivery, stop_s, late_s, edges_s)[0]
        expected[place] += delivery.probability * mean
    if not room:
        return realised, expected

    def made(slips_s: Sequence[float]) -> Floats:
        times = made_at(supply.production, supply.memory, room, stop, cluster, catalogue, slips_s)
        found = np.zeros_like(realised)
        for pool, each in times.items():
            found[places[pool]] = np.maximum(edges_s - each[:, None], 0.0).sum(axis=0)
        return found

    slips = [each.slip for each in supply.production]
    half = np.array([0.5])
    middle = [0.0 if slip is None else float(slip.quantile(half)[0]) for slip in slips]
    usual = made(middle)
    realised += usual
    expected += usual
    for number, own_s in enumerate(production_slips_s(supply.production, streams)):
        slip = slips[number]
        if slip is None:
            continue

        def alone(late_s: float, number: int = number) -> Floats:
            return made([*middle[:number], late_s, *middle[number + 1 :]]) - usual

        realised += alone(own_s)
        several = slip.quantile(_mid(_PRODUCTION_POINTS))
        expected += sum(alone(float(late_s)) for late_s in several) / len(several)
    return realised, expected


def _mid(points: int) -> Floats:
    return (np.arange(points) + 0.5) / points


def _node_s(delivery: Delivery, stop_s: float, late_s: Floats, edges_s: Floats) -> Floats:
    """Return the node-seconds of a delivery up to each time, for each slip (slips, times)."""
    begin_s = delivery.at + late_s[:, None]
    usable = round(delivery.usable * delivery.nodes)
    step_s = delivery.ramp / delivery.nodes

    def arrived(before_s: Floats | float) -> Floats:
        since_s = before_s - begin_s
        if step_s == 0:
            return np.where(since_s > 0, float(usable), 0.0)
        found: Floats = np.clip(np.ceil(since_s / step_s), 0.0, usable)
        return found

    count = np.minimum(arrived(edges_s), arrived(stop_s))
    node_s: Floats = count * (edges_s - begin_s) - step_s * count * (count - 1) / 2
    return np.where(count > 0, node_s, 0.0)
