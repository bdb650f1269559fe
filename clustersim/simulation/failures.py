"""What fails in a cluster, how often and for how long; and how jobs come back from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace, merge
from typing import Any

import numpy as np
import numpy.typing as npt

from clustersim.errors import InputError, unknown_name
from clustersim.seeds import Streams
from clustersim.simulation.failure_spec import (
    Checkpointing,
    Failures,
    FailureSource,
    failure_sources,
)
from clustersim.simulation.outages import Outage
from clustersim.simulation.recovery import Recovery, optimal_interval_s
from clustersim.simulation.supply import Supply, supplied, without_spare_parts
from clustersim.topology import Cluster, Pool
from clustersim.workload.distributions import Exponential

__all__ = ["failures", "gang_mttf_s", "outages_and_recovery", "recovery_of"]

Ints = npt.NDArray[np.int64]
LAST_S = 100 * 365.25 * 86400.0
"""Nothing fails later than this, so that a run in which a job can never go on ends."""
_CHUNK = 512


def failures(
    cluster: Cluster, sources: Sequence[FailureSource], streams: Streams
) -> Iterator[Outage]:
    """Draw what fails in a cluster, in order of time and as long as anybody asks.

    A component is as new after its repair.  What fails while its node is out of service for
    another reason is drawn too; :func:`~clustersim.simulation.outages.without_overlaps` passes
    over it, which is exact where the time to failure is exponential.

    Parameters
    ----------
    cluster : Cluster
    sources : sequence of FailureSource
    streams : Streams
        Each source and pool has one of its own.

    Raises
    ------
    InputError
        If a source names a pool that is not in the cluster.
    """
    return merge(*_streams(cluster, sources, streams))


def _streams(
    cluster: Cluster, sources: Sequence[FailureSource], streams: Streams
) -> list[Iterator[Outage]]:
    names = [pool.name for pool in cluster.pools]
    found = []
    for source in sources:
        for name in source.pools or ():
            if name not in names:
                told = unknown_name("pool", name, names)
                raise InputError("failures", f"sources.{source.name}.pools: {told}")
        for index, pool in enumerate(cluster.pools):
            if source.pools is None or pool.name in source.pools:
                generator = streams(f"failures of {source.name} in pool {pool.name}")
                found.append(_of_pool(source, index, pool, generator))
    return found


def _of_pool(
    source: FailureSource, index: int, pool: Pool, generator: np.random.Generator
) -> Iterator[Outage]:
    """Yield the failures of a source in a pool, a row for each node that is out."""
    first_node = _groups(source.of, pool)
    last_node = np.append(first_node[1:], pool.n_nodes)
    life = source.time_to_failure
    memoryless = isinstance(life, Exponential) and life.at_least == 0 and life.at_most is None
    draw = _poisson if memoryless else _renewals
    for begin_s, end_s, group in draw(source, len(first_node), generator):
        for node in range(int(first_node[group]), int(last_node[group])):
            yield Outage(begin_s, end_s, index, node, source.name)


def _groups(of: str, pool: Pool) -> Ints:
    """First node of each node, leaf or unit."""
    if of == "node":
        return np.arange(pool.n_nodes)
    group = pool.leaf_of_node if of == "leaf" else pool.unit_of_node
    return np.unique(group, return_index=True)[1]


def _poisson(
    source: FailureSource, count: int, generator: np.random.Generator
) -> Iterator[tuple[float, float, int]]:
    """Begin, end and place of failures of components without memory: one Poisson process."""
    mean_s, now = source.time_to_failure.mean() / count, 0.0
    while now < LAST_S:
        times = now + np.cumsum(generator.exponential(mean_s, _CHUNK))
        repair_s = source.repair.quantile(generator.random(_CHUNK))
        places = generator.integers(count, size=_CHUNK)
        yield from zip(times.tolist(), (times + repair_s).tolist(), places.tolist(), strict=True)
        now = float(times[-1])


def _renewals(
    source: FailureSource, count: int, generator: np.random.Generator
) -> Iterator[tuple[float, float, int]]:
    """The same of components that age: each has a life of its own, new at the begin."""
    lives = source.time_to_failure.quantile(generator.random(count))
    coming = list(zip(lives.tolist(), range(count), strict=True))
    heapify(coming)
    while coming[0][0] < LAST_S:
        begin_s, place = coming[0]
        repair_s, life_s = (
            float(part.quantile(generator.random(1))[0])
            for part in (source.repair, source.time_to_failure)
        )
        end_s = begin_s + repair_s
        yield begin_s, end_s, place
        heapreplace(coming, (end_s + life_s, place))


def gang_mttf_s(
    sources: Sequence[FailureSource], pool: Pool, sizes: Ints
) -> npt.NDArray[np.float64]:
    """Mean time to failure of gangs on as few nodes of a pool as can be.

    Parameters
    ----------
    sources : sequence of FailureSource
    pool : Pool
    sizes : int array (gangs,)
        Accelerators.

    Returns
    -------
    float64 array (gangs,)
        Seconds; one over the sum of the rates of all that the gang hangs on.
    """
    nodes = np.ceil(sizes / pool.chips_per_node)
    rate = np.zeros(len(sizes))
    for source in sources:
        if source.pools is None or pool.name in source.pools:
            size = pool.n_nodes / len(_groups(source.of, pool))
            rate += np.ceil(nodes / size) / source.time_to_failure.mean()
    with np.errstate(divide="ignore"):
        return 1.0 / rate


def recovery_of(
    told: Checkpointing, sources: Sequence[FailureSource], cluster: Cluster, sizes: Ints
) -> Recovery:
    """Return how jobs of some sizes save their state and come back.

    Parameters
    ----------
    told : Checkpointing
    sources : sequence of FailureSource
    cluster : Cluster
    sizes : int array (jobs,)
        Accelerators.
    """
    cost_s = np.full(len(sizes), told.cost)
    intervals = []
    for pool in cluster.pools:
        if told.interval == "optimal":
            each = optimal_interval_s(cost_s, gang_mttf_s(sources, pool, sizes))
        else:
            length_s = math.inf if told.interval == "never" else float(told.interval)
            each = np.full(len(sizes), length_s)
        intervals.append(each.tolist())
    return Recovery(intervals, cost_s.tolist(), [told.restart] * len(sizes))


def outages_and_recovery(
    spec: Failures | None, supply: Supply | None, cluster: Cluster, streams: Streams, sizes: Ints
) -> dict[str, Any]:
    """Return the arguments `outages` and `recovery` of a simulation; none if nothing changes.

    Parameters
    ----------
    spec : Failures or None
    supply : Supply or None
    cluster : Cluster
    streams : Streams
    sizes : int array (jobs,)
        Accelerators.

    Raises
    ------
    InputError
        If it names failures that are not known, or a pool that is not in the cluster.
    """
    if spec is None and supply is None:
        return {}
    sources = [] if spec is None else failure_sources(spec)
    outages = failures(cluster, sources, streams)
    if supply is not None:
        absent = supplied(supply, cluster, streams)
        outages = merge(absent, without_spare_parts(outages, supply, cluster))
    told = Checkpointing() if spec is None else spec.checkpoints
    return {"outages": outages, "recovery": recovery_of(told, sources, cluster, sizes)}
