"""Number of failures of the nodes of a fleet: in one run, and its expectation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Floats
from clustersim.availability.component_failures import is_memoryless
from clustersim.availability.failure_spec import FailureSource
from clustersim.availability.failures import failures
from clustersim.engine.node_events import NodeEventKind
from clustersim.seeds import Streams
from clustersim.topology import Cluster

__all__ = ["failure_counts"]


def failure_counts(
    cluster: Cluster,
    sources: Sequence[FailureSource],
    streams: Streams,
    arrivals_s: Sequence[Floats],
    edges_s: Floats,
) -> tuple[Floats, Floats]:
    """Return how often nodes have failed up to some times, and the expectation of this number.

    Failures are drawn again from the streams of the run.  A failure counts for each node that it
    affects and that has arrived, also if the node is out of service for another reason.  Without
    this exception, the expectation would depend on repairs.  Sources whose components age are left
    out.

    Parameters
    ----------
    cluster, sources, streams
        See :func:`~clustersim.availability.failures.failures`.
    arrivals_s : sequence of float64 array (nodes,)
        For each pool, the time at which its nodes arrive, seconds.
    edges_s : float64 array (times,)
        Ascending, seconds.

    Returns
    -------
    realised, expected : float64 arrays (times,)
        `expected` is the mean over the failures for the given times of arrival.

    Examples
    --------
    >>> import clustersim as cs
    >>> cluster = cs.compile_cluster(cs.load_cluster("mixed-small", cs.load_catalogue()))
    >>> there = [np.zeros(pool.n_nodes) for pool in cluster.pools]
    >>> day = FailureSource.model_validate(
    ...     {
    ...         "name": "host",
    ...         "time_to_failure": {"kind": "exponential", "average": "60 d"},
    ...         "repair": {"kind": "constant", "value": "1 h"},
    ...     }
    ... )
    >>> year = np.array([365 * 86400.0])
    >>> counted, expected = failure_counts(cluster, [day], cs.Streams(1), there, year)
    >>> bool(abs(counted[0] / expected[0] - 1) < 0.2)
    True
    """
    aging = {source.name for source in sources if not is_memoryless(source)}
    until_s = float(edges_s[-1])
    begun_s = [
        event.begin_s
        for event in failures(cluster, sources, streams, until_s=until_s)
        if event.kind != NodeEventKind.REPAIR
        and event.cause not in aging
        and arrivals_s[event.pool][event.node] <= event.begin_s
    ]
    realised = np.searchsorted(np.array(begun_s), edges_s, side="left").astype(np.float64)
    expected = np.zeros(len(edges_s))
    for pool, comes_s in zip(cluster.pools, arrivals_s, strict=True):
        per_s = sum(
            1.0 / source.time_to_failure.mean()
            for source in sources
            if source.name not in aging and (source.pools is None or pool.name in source.pools)
        )
        expected += per_s * np.array([np.maximum(at - comes_s, 0.0).sum() for at in edges_s])
    return realised, expected
