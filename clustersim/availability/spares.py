"""Hot spares, which are nodes that replace failed nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapreplace

from clustersim.availability.failure_spec import Spares
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.errors import InputError, unknown_name
from clustersim.topology import Cluster

__all__ = ["with_spares"]


def with_spares(
    events: Iterable[NodeEvent], spares: Spares, cluster: Cluster
) -> Iterator[NodeEvent]:
    """Yield node events, with failures shortened to the time until a spare replaces the node.

    The spare that is ready first replaces a failed node. If all spares are under repair when the
    node fails, the replacement starts when the first of them is ready. The failed node becomes a
    spare after its repair. If its repair ends before a spare could replace it, it returns to
    service itself.

    Parameters
    ----------
    events : iterable of NodeEvent
        In order of their start.
    spares : Spares
    cluster : Cluster

    Raises
    ------
    InputError
        If a pool is not in the cluster.
    """
    names = [pool.name for pool in cluster.pools]
    for name in spares.nodes:
        if name not in names and name not in cluster.empty_pools:
            raise InputError("failures", f"spares.nodes: {unknown_name('pool', name, names)}")
    return _swapped(events, [[0.0] * spares.nodes.get(name, 0) for name in names], spares.swap)


def _swapped(
    events: Iterable[NodeEvent], ready_s: list[list[float]], swap_s: float
) -> Iterator[NodeEvent]:
    """Yield events in which the spare that is ready first replaces each failed node.

    `ready_s` has one heap per pool, of the times (seconds) at which its spares are ready.
    """
    out_until: dict[tuple[int, int], float] = {}
    for event in events:
        place = event.pool, event.node
        if event.slows:
            yield event
            continue
        breaks = event.kind in (NodeEventKind.FAILURE, NodeEventKind.REPAIR)
        if breaks and event.begin_s < out_until.get(place, 0.0):
            continue
        ready = ready_s[event.pool]
        if ready and breaks:
            end_s = max(ready[0], event.begin_s) + swap_s
            if end_s < event.end_s:
                heapreplace(ready, event.end_s)
                event = event._replace(end_s=end_s)
        out_until[place] = max(out_until.get(place, 0.0), event.end_s)
        yield event
