"""All node events of a scenario, from its supply, failures, spares and services."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

import numpy as np

from clustersim.availability.failure_spec import Failures, failure_sources
from clustersim.availability.failures import failures
from clustersim.availability.serving import ServiceDemand, reservations
from clustersim.availability.spares import with_spares
from clustersim.availability.supply import Supply, supplied, without_spare_parts
from clustersim.catalogue import Catalogue
from clustersim.engine.node_events import NodeEvent, without_overlaps
from clustersim.seeds import Streams
from clustersim.topology import Cluster

__all__ = ["what_happens", "while_there"]


def what_happens(
    spec: Failures | None,
    supply: Supply | None,
    cluster: Cluster,
    streams: Streams,
    *,
    catalogue: Catalogue,
    demands: Sequence[ServiceDemand] = (),
    planned: Sequence[NodeEvent] = (),
    horizon_s: float | None = None,
) -> Iterable[NodeEvent] | None:
    """Return the node events of a scenario in order of time; None if no event is possible.

    No event begins while its node is out of service, and none begins at or after the horizon.

    Parameters
    ----------
    spec : Failures or None
    supply : Supply or None
    cluster : Cluster
    streams : Streams
    catalogue : Catalogue
        Contains the chips of the supply.
    demands : sequence of ServiceDemand
        Inference services, whose nodes run no jobs.
    planned : sequence of NodeEvent
        Maintenance that is known in advance, whose nodes services do not use; it is not among the
        events that are returned.
    horizon_s : float, optional
        End of the run, seconds; required if there are services.

    Raises
    ------
    InputError
        If the scenario names unknown failure rates or pools, or if its supply is impossible (see
        :func:`~clustersim.availability.supply.supplied`).
    """
    if spec is None and supply is None and not demands:
        return None
    absent: list[NodeEvent] = []
    sources = [] if spec is None else failure_sources(spec)
    gone_s = [np.full(pool.n_nodes, np.inf) for pool in cluster.pools]
    until_s = math.inf if horizon_s is None else horizon_s
    broken = failures(cluster, sources, streams, until_s=until_s, gone_s=gone_s)
    if supply is not None:
        absent = supplied(supply, cluster, streams, catalogue)
        for leaves in absent:
            if leaves.end_s == math.inf:
                gone_s[leaves.pool][leaves.node] = leaves.begin_s
        broken = while_there(without_spare_parts(broken, supply, cluster), absent)
    if spec is not None and spec.spares is not None:
        broken = with_spares(broken, spec.spares, cluster)
    if not demands:
        return without_overlaps(merge(absent, broken), gone_s)
    assert horizon_s is not None, "services need a horizon"
    until_then = list(broken)
    missing = [*absent, *planned, *(event for event in until_then if not event.slows)]
    return without_overlaps(merge(absent, until_then, reservations(demands, cluster, missing)))


def while_there(events: Iterable[NodeEvent], absent: Iterable[NodeEvent]) -> Iterator[NodeEvent]:
    """Yield the failures of nodes that are present; a failure ends no later than its node leaves.

    Parameters
    ----------
    events : iterable of NodeEvent
        Failures, in order of time.
    absent : iterable of NodeEvent
        The periods during which nodes are absent.
    """
    begins: dict[tuple[int, int], list[float]] = {}
    ends: dict[tuple[int, int], list[float]] = {}
    for gone in sorted(absent):
        key = gone.pool, gone.node
        begins.setdefault(key, []).append(gone.begin_s)
        ends.setdefault(key, []).append(gone.end_s)
    for event in events:
        key = event.pool, event.node
        if key not in begins:
            yield event
            continue
        number = bisect_right(begins[key], event.begin_s)
        if number and event.begin_s < ends[key][number - 1]:
            continue
        leaves_s = begins[key][number] if number < len(begins[key]) else math.inf
        yield event._replace(end_s=min(event.end_s, leaves_s))
