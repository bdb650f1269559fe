"""When a job could start if no other job waited: once enough of the running jobs have ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.forecasting.named_nodes import Places
from clustersim.scheduling import NodePlacement, Partition

__all__ = ["Alone"]


class Alone:
    """The accelerators of each partition, and which running jobs hold them.

    Parameters
    ----------
    places : sequence of Places
        Where each running job runs.
    partitions : sequence of Partition
        Those of the cluster, without running jobs.

    Examples
    --------
    >>> from clustersim.engine.partitions import build_partitions
    >>> from clustersim.forecasting.named_nodes import Place
    >>> from clustersim.scheduling import find_placement
    >>> from clustersim.topology import single_pool
    >>> parts = build_partitions(single_pool(8), find_placement("consolidate"))
    >>> places = [(Place(0, ((0, 2),), 2),), (Place(0, ((0, 4),), 4),)]
    >>> Alone(places, parts).first_s(np.array([60.0, 20.0]), (0,), 8)
    60.0
    """

    def __init__(self, places: Sequence[Places], partitions: Sequence[Partition]) -> None:
        self._partitions = partitions
        self._held = [_held(places, each) for each in partitions]

    def first_s(self, end_s: Floats, choices: tuple[int, ...], n: int) -> float:
        """Return when `n` accelerators of one of some partitions are free; infinite if never.

        Parameters
        ----------
        end_s : float64 array (running jobs,)
            Ends of the running jobs, seconds from now.
        choices : tuple of int
            Partitions.
        n : int
        """
        return min((self._first_s(end_s, index, n) for index in choices), default=float("inf"))

    def _first_s(self, end_s: Floats, index: int, n: int) -> float:
        placement = self._partitions[index].placement
        job, node, chips = self._held[index]
        ends = end_s[job]
        times = np.concatenate([[0.0], np.sort(ends)])
        low, high = 0, len(times)  # it does not fit before times[low], and does at times[high]
        while low < high:
            middle = (low + high) // 2
            busy = ends > times[middle]
            if isinstance(placement, NodePlacement):
                free = np.full(placement.n_nodes, placement.chips_per_node, dtype=np.int64)
                np.subtract.at(free, node[busy], chips[busy])
                fits = placement.fits_in(n, free)
            else:
                fits = n <= placement.capacity - int(chips[busy].sum())
            low, high = (low, middle) if fits else (middle + 1, high)
        return float(times[low]) if low < len(times) else float("inf")


def _held(places: Sequence[Places], partition: Partition) -> tuple[Ints, Ints, Ints]:
    """Return job, node and chips of all accelerators of a partition that running jobs hold."""
    tracks = isinstance(partition.placement, NodePlacement)
    held = [
        (row, *pair)
        for row, each in enumerate(places)
        for place in each
        if place.partition == partition.index
        for pair in (place.nodes if tracks else [(0, place.n)])
    ]
    job, node, chips = np.array(held, dtype=np.int64).reshape(-1, 3).T
    return job, node, chips
