"""Which running jobs have to stop so that a waiting gang fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from clustersim.array_types import Bools
from clustersim.scheduling.placements import NodeFree, NodePlacement
from clustersim.scheduling.queue import JobColumns, Partition
from clustersim.scheduling.windows import only_in

__all__ = ["fewest_victims"]


def fewest_victims(
    partition: Partition,
    jobs: JobColumns,
    n: int,
    candidates: Iterable[int],
    open_nodes: Bools | None = None,
) -> list[int] | None:
    """Return jobs of a partition without which a gang of `n` fits; None if it never does.

    Candidates are taken in order until the gang fits. Then those that are not needed are given
    back, the last ones first.

    Parameters
    ----------
    partition : Partition
    jobs : JobColumns
    n : int
        Size of the gang.
    candidates : iterable of int
        Running jobs of the partition, those to stop first in front.
    open_nodes : array of bool, shape (nodes,), optional
        The nodes that the gang may use; by default all.

    Examples
    --------
    >>> from clustersim.scheduling import Consolidate, Partition
    >>> partition = Partition(0, 0, "gpu", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([2, 8, 6], [[9.0] * 3], choices=[(0,)], choice_of=[0, 0, 0])
    >>> for job in range(3):
    ...     partition.nodes_of[job] = partition.placement.take(jobs.n_accelerators[job])
    >>> fewest_victims(partition, jobs, 8, [0, 1, 2])
    [1]
    >>> fewest_victims(partition, jobs, 16, [0, 1]) is None
    True
    """
    room = _Room(partition, jobs, open_nodes)
    taken: list[int] = []
    for job in candidates:
        room.add(job)
        taken.append(job)
        if room.fits(n):
            return _needed(room, taken, n)
    return None


def _needed(room: _Room, taken: Sequence[int], n: int) -> list[int]:
    """Return the jobs of `taken` that have to stop; the last one always has to."""
    needed = [taken[-1]]
    for job in reversed(taken[:-1]):
        room.remove(job)
        if not room.fits(n):
            room.add(job)
            needed.append(job)
    return needed[::-1]


class _Room:
    """The free accelerators of a partition, with those of jobs that would stop."""

    def __init__(self, partition: Partition, jobs: JobColumns, open_nodes: Bools | None) -> None:
        self._open_nodes = open_nodes
        self._partition = partition
        self._sizes = jobs.n_accelerators
        self._free = partition.placement.free
        placement = partition.placement
        self._by_node: NodeFree | None = None
        if isinstance(placement, NodePlacement):
            self._by_node = np.array(placement.free_by_node(), dtype=np.int64)

    def add(self, job: int) -> None:
        self._change(job, 1)

    def remove(self, job: int) -> None:
        self._change(job, -1)

    def _change(self, job: int, sign: int) -> None:
        self._free += sign * self._sizes[job]
        if self._by_node is not None:
            nodes, chips = self._partition.node_arrays(job)
            self._by_node[nodes] += sign * chips

    def fits(self, n: int) -> bool:
        if self._by_node is None or n > self._free:
            return n <= self._free
        placement = self._partition.placement
        assert isinstance(placement, NodePlacement)
        return placement.fits_in(n, only_in(self._by_node, self._open_nodes))
