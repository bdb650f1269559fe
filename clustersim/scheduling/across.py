"""Accelerators of several partitions for one job that fits on none of them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.holding import Part
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.windows import only_in

if TYPE_CHECKING:
    from clustersim.scheduling.queue import Partition

__all__ = ["Offer", "fits_across", "free_offer", "take_across"]


class Offer(NamedTuple):
    """Accelerators of a partition that a job may use now."""

    partition: Partition
    fits_each: Callable[[Ints], Bools]
    take: Callable[[int], Nodes | None]
    open_nodes: Bools | None = None


def free_offer(partition: Partition, open_nodes: Bools | None = None) -> Offer:
    """Return all free accelerators of a partition, or those of the nodes that are open to a job."""
    placement = partition.placement
    if open_nodes is None:
        return Offer(partition, placement.fits_each, placement.take)
    assert isinstance(placement, NodePlacement), "windows need a placement that tracks nodes"

    def take(n: int) -> Nodes | None:
        nodes = placement.choose_in(n, only_in(placement.free_by_node(), open_nodes))
        if nodes is not None:
            placement.take_these(nodes, n)
        return nodes

    def fits_each(sizes: Ints) -> Bools:
        return placement.fits_each_of(sizes, only_in(placement.free_by_node(), open_nodes))

    return Offer(partition, fits_each, take, open_nodes)


def fits_across(n: int, offered: Iterable[Offer]) -> bool:
    """Return whether several partitions together have `n` accelerators for a job.

    Examples
    --------
    >>> from clustersim.scheduling import Partition, Pooled
    >>> from clustersim.scheduling.across import fits_across, free_offer
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> fits_across(32, map(free_offer, (h200, h20))), fits_across(33, map(free_offer, (h200, h20)))
    (True, False)
    """
    return sum(size for _, size in _sizes(n, offered)) == n


def take_across(n: int, offered: Iterable[Offer]) -> list[Part]:
    """Allocate `n` accelerators on several partitions, each of which gives as many as it can.

    Parameters
    ----------
    n : int
    offered : iterable of Offer
        In order of preference.

    Returns
    -------
    list of Part
        Empty if there are not enough.

    Examples
    --------
    >>> from clustersim.scheduling import Partition, Pooled
    >>> from clustersim.scheduling.across import free_offer, take_across
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> [(part.partition.name, part.n) for part in take_across(24, map(free_offer, (h200, h20)))]
    [('h200', 16), ('h20', 8)]
    """
    chosen = _sizes(n, offered)
    if sum(size for _, size in chosen) < n:
        return []
    parts: list[Part] = []
    for offer, size in chosen:
        nodes = offer.take(size)
        if nodes is None:
            for part in parts:
                part.partition.placement.give(part.nodes, part.n)
            return []
        parts.append(Part(offer.partition, size, nodes))
    return parts


def _sizes(n: int, offered: Iterable[Offer]) -> list[tuple[Offer, int]]:
    """Return how many accelerators a job gets of each offer, at most `n` in all."""
    left = n
    chosen: list[tuple[Offer, int]] = []
    for offer in offered:
        sizes = np.arange(min(left, offer.partition.placement.free), 0, -1)
        fitting = sizes[offer.fits_each(sizes)] if len(sizes) else sizes
        if len(fitting):
            chosen.append((offer, int(fitting[0])))
            left -= int(fitting[0])
    return chosen
