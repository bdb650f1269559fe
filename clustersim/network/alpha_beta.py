"""Times of collectives on explicit dimensions of a network: alpha (per hop) and beta (per byte).

No dimension contends with another, and every rank starts at once. Unlike
:mod:`clustersim.network.collectives`, nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Floats
from clustersim.errors import InputError, shown, unknown_name
from clustersim.network.algorithms import algorithm_of, check_operation

__all__ = ["TOPOLOGIES", "Dimension", "collective_time"]

TOPOLOGIES = {"ring": 1.0, "switch": 2.0, "fully_connected": 1.0}
"""Hops between neighbours in each topology of a dimension."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One level of a network: `count` ranks, or groups of ranks, that are connected alike.

    Attributes
    ----------
    topology : str
        ``ring``, ``switch`` (each rank has one link to a switch) or ``fully_connected`` (each pair
        of ranks has a link).
    count : int or array of int
        Ranks along the dimension; 1 costs nothing.
    bandwidth_Bps : float or array
        Bandwidth of one link in one direction (bytes/s).
    latency_s : float or array
        Latency of one hop (seconds).
    algorithm : str
        A name in :data:`clustersim.network.algorithms.ALGORITHMS`.
    store_and_forward : bool
        Whether a switch receives a message as a whole before it sends it on. By default, it
        forwards the first bytes at once (cut-through).
    """

    topology: str
    count: ArrayLike
    bandwidth_Bps: ArrayLike
    latency_s: ArrayLike = 0.0
    algorithm: str = "ring"
    store_and_forward: bool = False


def collective_time(
    operation: str, size_bytes: ArrayLike, dims: Sequence[Dimension]
) -> np.float64 | Floats:
    """Return the time of a collective over all ranks of a network with the given dimensions.

    The innermost dimension comes first. A hierarchical all-reduce reduces and scatters upward
    through the dimensions, all-reduces along the last one, and gathers downward; each dimension
    sends the share of the message that the dimensions below leave. A reduce-scatter goes upward
    only, and an all-gather downward only. A broadcast and an all-to-all send the whole message
    along each dimension. Dimensions follow one another.

    Within a dimension, the time is ``steps hops alpha + volume S / bandwidth``
    (:mod:`clustersim.network.algorithms`).

    Parameters
    ----------
    operation : str
        A name in :data:`clustersim.network.algorithms.OPERATIONS`.
    size_bytes : float or array
        Size of the whole tensor; for an all-to-all, the bytes that one rank sends.
    dims : sequence of Dimension

    Returns
    -------
    float or array
        Seconds; the arrays of the arguments are broadcast.

    Raises
    ------
    InputError
        If a name is unknown, a value is out of range, or an algorithm is not possible in a
        dimension.

    Examples
    --------
    Eight chips with 450 GB/s to a switch, on each of four nodes with 50 GB/s per chip:

    >>> node = Dimension("switch", 8, 450e9, 0.5e-6)
    >>> between = Dimension("switch", 4, 50e9, 1e-6)
    >>> round(1e6 * collective_time("all_reduce", 1e9, [node, between]), 1)
    np.float64(7664.9)

    The same on a full mesh of links, where a ring uses one link and the direct algorithm all:

    >>> for algorithm in ("ring", "direct"):
    ...     mesh = Dimension("fully_connected", 8, 28e9, 0.5e-6, algorithm)
    ...     print(round(1e3 * collective_time("all_reduce", 1e9, [mesh]), 2))
    62.51
    8.93
    """
    check_operation(operation)
    size = np.asarray(size_bytes, dtype=np.float64)
    if not np.all(size >= 0):
        raise InputError("size_bytes", f"must be 0 or more, found {shown(size_bytes)}")
    if not dims:
        raise InputError("dims", "needs at least one dimension")
    if operation == "point_to_point" and len(dims) > 1:
        raise InputError("dims", "a point-to-point transfer takes place in one dimension")
    counts = [_count(index, dim) for index, dim in enumerate(dims)]
    top = len(dims) - 1
    seconds: Floats = np.zeros(())
    share: Floats = np.ones(())
    for index, (dim, count) in enumerate(zip(dims, counts, strict=True)):
        parts = [operation]
        if operation == "all_reduce" and index < top:
            parts = ["reduce_scatter", "all_gather"]
        for part in parts:
            seconds = seconds + _dimension_seconds(part, size * share, index, dim, count)
        if operation in ("all_reduce", "reduce_scatter", "all_gather"):
            share = share / count
    return np.float64(seconds) if np.ndim(seconds) == 0 else seconds


def _count(index: int, dim: Dimension) -> Floats:
    """Check a dimension; return its count."""
    where = f"dims[{index}]"
    if dim.topology not in TOPOLOGIES:
        raise InputError(f"{where}.topology", unknown_name("topology", dim.topology, TOPOLOGIES))
    count = np.asarray(dim.count, dtype=np.float64)
    if not np.all((count >= 1) & (count == np.floor(count))):
        raise InputError(
            f"{where}.count", f"must be whole and at least 1, found {shown(dim.count)}"
        )
    if not np.all(np.asarray(dim.bandwidth_Bps) > 0):
        raise InputError(
            f"{where}.bandwidth_Bps", f"must be more than 0, found {dim.bandwidth_Bps!r}"
        )
    if not np.all(np.asarray(dim.latency_s) >= 0):
        raise InputError(f"{where}.latency_s", f"must be 0 or more, found {shown(dim.latency_s)}")
    return count


def _dimension_seconds(
    operation: str, size: Floats, index: int, dim: Dimension, count: Floats
) -> Floats:
    algorithm = algorithm_of(dim.algorithm, operation)
    if dim.topology not in algorithm.topologies:
        allowed = ", ".join(algorithm.topologies)
        raise InputError(
            f"dims[{index}].algorithm",
            f"{dim.algorithm} is not possible in a {dim.topology}; allowed there: {allowed}",
        )
    cost = algorithm.costs[operation]
    hops = TOPOLOGIES[dim.topology]
    volume, messages = cost.volume(count), cost.messages(count)
    if dim.topology == "fully_connected" and algorithm.all_links:
        volume, messages = volume / np.maximum(messages, 1.0), np.ones_like(messages)
    if dim.store_and_forward:
        volume = volume * (1.0 + (hops - 1.0) / np.maximum(messages, 1.0))
    seconds = cost.steps(count) * (hops * np.asarray(dim.latency_s))
    seconds = seconds + volume * (size / np.asarray(dim.bandwidth_Bps))
    return np.where(count > 1, seconds, 0.0)
