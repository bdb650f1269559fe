"""Random failures of the nodes of a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, merge
from itertools import islice

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.availability.component_failures import (
    ComponentStreams,
    check_rate,
    component_failures,
)
from clustersim.availability.failure_spec import FailureSource
from clustersim.availability.failure_times import CHUNK
from clustersim.engine.node_events import LAST_S, NodeEvent, NodeEventKind
from clustersim.errors import InputError, unknown_name
from clustersim.seeds import Streams
from clustersim.topology import Cluster, Pool

__all__ = ["failures", "gang_mttf_s"]


def failures(
    cluster: Cluster,
    sources: Sequence[FailureSource],
    streams: Streams,
    *,
    until_s: float = LAST_S,
    gone_s: Sequence[Floats] | None = None,
) -> Iterator[NodeEvent]:
    """Draw the failures of a cluster in order of time, as long as any component can fail.

    A component is as good as new after its repair. Failures are also drawn while the node is out of
    service for another reason. :func:`~clustersim.engine.node_events.without_overlaps` drops them,
    which is exact if the time to failure is exponential.

    The times of the failures of components that do not age are stratified over the replications of
    a study, for each source and pool; so are the first failures of components that age
    (:mod:`~clustersim.availability.failure_times`).  One run has the same distribution as without
    this.  The rest is plain: which component fails, how long its repair takes, when a slow node is
    found, whether a spare part is needed, and the lifetimes that begin after a repair.  A run has
    many of these numbers, each with a small effect of its own.

    Parameters
    ----------
    cluster : Cluster
    sources : sequence of FailureSource
    streams : Streams
        Provides a separate stream for each source and pool.
    until_s : float
        No failure begins at this time (seconds) or later.
    gone_s : sequence of float64 array (nodes,), optional
        One array per pool with the time at which each node leaves service permanently (seconds;
        infinite by default). The caller may update the arrays while it iterates over the failures.
        Failures that affect only nodes that have left are omitted, so a pool without other nodes
        has no more failures.

    Raises
    ------
    InputError
        If a source names a pool that is not in the cluster.
    """
    if gone_s is None:
        gone_s = [np.full(pool.n_nodes, np.inf) for pool in cluster.pools]
    return merge(*_streams(cluster, sources, streams, min(until_s, LAST_S), gone_s))


def _streams(
    cluster: Cluster,
    sources: Sequence[FailureSource],
    streams: Streams,
    until_s: float,
    gone_s: Sequence[Floats],
) -> list[Iterator[NodeEvent]]:
    names = [pool.name for pool in cluster.pools]
    found = []
    alike: Counter[str] = Counter()
    for source in sources:
        for name in source.pools or ():
            if name not in names and name not in cluster.empty_pools:
                message = unknown_name("pool", name, names)
                raise InputError("failures", f"sources.{source.name}.pools: {message}")
        alike[source.name] += 1
        number = f" {alike[source.name]}" if alike[source.name] > 1 else ""
        for index, pool in enumerate(cluster.pools):
            if source.pools is None or pool.name in source.pools:
                check_rate(source, len(_groups(source.of, pool)), pool.name)
                purpose = f"{source.name}{number} in pool {pool.name}"
                drawn = ComponentStreams(f"failures of {purpose}", streams)
                rows = _of_pool(source, index, pool, drawn, until_s, gone_s[index])
                found.append(_with_parts(rows, source, streams(f"spare parts of {purpose}")))
    return found


def _with_parts(
    events: Iterator[NodeEvent], source: FailureSource, generator: np.random.Generator
) -> Iterator[NodeEvent]:
    """Draw whether the repair of each failure needs a spare part."""
    while rows := list(islice(events, CHUNK)):
        needs = generator.random(len(rows)) < source.spare_parts
        for event, part in zip(rows, needs.tolist(), strict=True):
            yield event if part else event._replace(needs_part=False)


def _of_pool(
    source: FailureSource,
    index: int,
    pool: Pool,
    random: ComponentStreams,
    until_s: float,
    gone_s: Floats,
) -> Iterator[NodeEvent]:
    """Yield the failures of a source in a pool, one event for each affected node."""
    first_node = _groups(source.of, pool)
    last_node = np.append(first_node[1:], pool.n_nodes)
    taken_out: list[NodeEvent] = []

    def group_gone_s() -> Floats:
        return np.maximum.reduceat(gone_s, first_node)

    for begin_s, found_s, end_s, group in component_failures(
        source, len(first_node), random, until_s, group_gone_s
    ):
        while taken_out and taken_out[0].begin_s < begin_s:
            yield heappop(taken_out)
        for node in range(int(first_node[group]), int(last_node[group])):
            at = NodeEvent(begin_s, end_s, index, node, source.name)
            if source.slowdown is None:
                yield at
                continue
            if source.found is not None:
                repair = at._replace(begin_s=found_s, kind=NodeEventKind.REPAIR)
                heappush(taken_out, repair)
                at = at._replace(end_s=found_s)
            yield at._replace(kind=NodeEventKind.SLOWDOWN, slowdown=source.slowdown)


def _groups(of: str, pool: Pool) -> Ints:
    """Return the index of the first node of each component (node, leaf switch, unit or pool)."""
    if of == "node":
        return np.arange(pool.n_nodes)
    if of == "pool":
        return np.zeros(1, dtype=np.int64)
    group = pool.leaf_of_node if of == "leaf" else pool.unit_of_node
    return np.unique(group, return_index=True)[1]


def gang_mttf_s(sources: Sequence[FailureSource], pool: Pool, sizes: Ints) -> Floats:
    """Return the mean time to failure of gangs on as few nodes of a pool as possible.

    Parameters
    ----------
    sources : sequence of FailureSource
    pool : Pool
    sizes : int array (gangs,)
        Number of accelerators of each gang.

    Returns
    -------
    float64 array (gangs,)
        Seconds; the reciprocal of the sum of the failure rates of all components on which the gang
        depends. Failures that only slow the gang are not counted.
    """
    nodes = np.ceil(sizes / pool.chips_per_node)
    rate = np.zeros(len(sizes))
    for source in sources:
        stops = source.slowdown is None
        if stops and (source.pools is None or pool.name in source.pools):
            size = pool.n_nodes / len(_groups(source.of, pool))
            rate += np.ceil(nodes / size) / source.time_to_failure.mean()
    with np.errstate(divide="ignore"):
        return 1.0 / rate
