"""Faults of a cluster's network: those that a scenario names, and random ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.availability.component_failures import (
    ComponentStreams,
    check_rate,
    component_failures,
)
from clustersim.availability.network_fault_spec import (
    NetworkFaultEvent,
    NetworkFaults,
    NetworkFaultSource,
    network_fault_sources,
)
from clustersim.engine.node_events import LAST_S
from clustersim.errors import InputError, unknown_name
from clustersim.network import NetworkFault
from clustersim.seeds import Streams
from clustersim.topology import Cluster, NetworkParts, is_datacenter

__all__ = ["FaultSequence"]


class FaultSequence:
    """The faults of a run, in order of their start; each iteration begins anew.

    A part that is down does not fail again from the same source. The times of random faults are
    drawn as those of failing nodes are (:func:`~clustersim.availability.failures.failures`), from a
    separate stream for each source and pool.

    Parameters
    ----------
    spec : NetworkFaults
    cluster : Cluster
    parts : NetworkParts
        Those of the cluster.
    streams : Streams
    until_s : float
        No random fault begins at this time (seconds) or later.

    Raises
    ------
    InputError
        If the specification names unknown parts, pools or rates, or a part that cannot be down.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.availability.network_fault_spec import NetworkFaults
    >>> cluster = cs.compile_cluster(cs.load_cluster("h200-superpod", cs.load_catalogue()))
    >>> spec = NetworkFaults(events=[{"of": "h200/leaf/3", "at": "1 h", "duration": "2 h"}])
    >>> faults = FaultSequence(spec, cluster, cs.topology.NetworkParts(cluster), cs.Streams(0))
    >>> [(each.begin_s, each.end_s, each.part, len(each.cables)) for each in faults]
    [(3600.0, 10800.0, 'h200/leaf/3', 64)]
    """

    def __init__(
        self,
        spec: NetworkFaults,
        cluster: Cluster,
        parts: NetworkParts,
        streams: Streams,
        *,
        until_s: float = LAST_S,
    ) -> None:
        self._named = _named(spec.events, parts)
        self._sources = _in_pools(network_fault_sources(spec), cluster, parts)
        self._parts = parts
        self._streams = streams
        self._until_s = min(until_s, LAST_S)

    def __iter__(self) -> Iterator[NetworkFault]:
        drawn = [self._draw(*each) for each in self._sources]
        return merge(self._named, *drawn, key=attrgetter("begin_s"))

    def sources(self) -> list[tuple[NetworkFaultSource, int]]:
        """Return the sources of random faults, and the index of a pool in which each acts."""
        return [(source, pool) for source, pool, _ in self._sources]

    def may_fail(self) -> Ints:
        """Return all cables that may fail at some time."""
        found = [np.zeros(0, dtype=np.int64), *(fault.cables for fault in self._named)]
        for source, pool in self.sources():
            found.append(self._parts.all_cables(pool, source.of))
        return np.unique(np.concatenate(found))

    def _draw(self, source: NetworkFaultSource, pool: int, purpose: str) -> Iterator[NetworkFault]:
        """Yield the random faults of a source in a pool."""
        count = self._parts.count(pool, source.of)
        never_s: Floats = np.full(count, np.inf)
        random = ComponentStreams(purpose, self._streams)
        down_until_s: dict[int, float] = {}
        for begin_s, _, end_s, number in component_failures(
            source, count, random, self._until_s, lambda: never_s
        ):
            if begin_s >= down_until_s.get(number, 0.0) and end_s > begin_s:
                down_until_s[number] = end_s
                part, cables = self._parts.part(pool, source.of, number)
                yield NetworkFault(begin_s, end_s, part, cables, source.capacity, source.name)


def _named(events: list[NetworkFaultEvent], parts: NetworkParts) -> list[NetworkFault]:
    """Return the faults of named parts in order of their start."""
    problems: list[str] = []
    faults: list[NetworkFault] = []
    for number, event in enumerate(events):
        field = f"faults.events{f'.{event.name}' if event.name else f'[{number}]'}"
        if event.until is not None:
            end_s = event.until
        else:
            end_s = math.inf if event.duration is None else event.at + event.duration
        for part in event.parts:
            try:
                cables = parts.cables_of(part)
            except ValueError as error:
                problems.append(f"{field}.of: {error}")
                continue
            if is_datacenter(part) and event.capacity == 0.0:
                problems.append(
                    f"{field}.capacity: must be above 0 for {part}, because schedulers cannot keep "
                    "jobs within a pool that is cut off from the others; found 0"
                )
            faults.append(NetworkFault(event.at, end_s, part, cables, event.capacity, event.title))
    if problems:
        raise InputError("network", problems)
    return sorted(faults, key=attrgetter("begin_s"))


def _in_pools(
    sources: list[NetworkFaultSource], cluster: Cluster, parts: NetworkParts
) -> list[tuple[NetworkFaultSource, int, str]]:
    """Return each source with the pools in which it acts, and the purpose of its random numbers."""
    names = [pool.name for pool in cluster.pools]
    found: list[tuple[NetworkFaultSource, int, str]] = []
    alike: Counter[str] = Counter()
    for source in sources:
        for name in source.pools or ():
            if name not in names and name not in cluster.empty_pools:
                unknown = unknown_name("pool", name, names)
                raise InputError("network", f"faults.sources.{source.name}.pools: {unknown}")
        alike[source.name] += 1
        again = f" {alike[source.name]}" if alike[source.name] > 1 else ""
        own = [
            (index, count)
            for index, name in enumerate(names)
            if (source.pools is None or name in source.pools)
            and (count := parts.count(index, source.of))
        ]
        if not own and (source.pools is None or set(source.pools) & set(names)):
            raise InputError(
                "network",
                f"faults.sources.{source.name}.of: no pool has a {source.of} in its network",
            )
        for index, count in own:
            check_rate(source, count, names[index], section="network", field="faults.sources")
            purpose = f"network faults of {source.name}{again} in pool {names[index]}"
            found.append((source, index, purpose))
    return found
