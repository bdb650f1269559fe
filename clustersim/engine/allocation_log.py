"""The nodes on which jobs ran, as ranges of consecutive nodes."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Ints
from clustersim.scheduling.placements import ManyNodes, Nodes

__all__ = ["Allocated", "AllocationLog"]

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Allocated:
    """The nodes of all attempts on partitions whose placement tracks nodes.

    Attributes
    ----------
    attempt : int64 array (attempts,)
        Index of the attempt in the log of attempts.
    n_ranges : int32 array (attempts,)
        Number of ranges into which the nodes of the attempt are divided.
    first_node, n_nodes, chips : int32 arrays (ranges,)
        For each range, attempt by attempt: the index of its first node in the partition, its
        number of nodes, and the number of accelerators used on each node.
    """

    attempt: Ints
    n_ranges: Int32s
    first_node: Int32s
    n_nodes: Int32s
    chips: Int32s


@dataclass(slots=True)
class AllocationLog:
    """Records the nodes of attempts as they start.

    Examples
    --------
    >>> log = AllocationLog()
    >>> log.note(0, [(4, 8), (5, 8), (6, 8), (9, 2)])
    >>> allocated = log.columns()
    >>> allocated.first_node.tolist(), allocated.n_nodes.tolist(), allocated.chips.tolist()
    ([4, 9], [3, 1], [8, 2])
    """

    _attempt: array[int] = field(default_factory=lambda: array("q"))
    _n_ranges: array[int] = field(default_factory=lambda: array("i"))
    _first_node: array[int] = field(default_factory=lambda: array("i"))
    _n_nodes: array[int] = field(default_factory=lambda: array("i"))
    _chips: array[int] = field(default_factory=lambda: array("i"))

    def note(self, attempt: int, nodes: Nodes) -> None:
        """Record the nodes of an attempt."""
        if isinstance(nodes, ManyNodes):
            n_ranges = self._note_many(nodes)
        elif len(nodes) == 1:
            (node, chips) = nodes[0]
            self._add(node, 1, chips)
            n_ranges = 1
        else:
            n_ranges = self._note_each(nodes)
        self._attempt.append(attempt)
        self._n_ranges.append(n_ranges)

    def _add(self, first_node: int, n_nodes: int, chips: int) -> None:
        self._first_node.append(first_node)
        self._n_nodes.append(n_nodes)
        self._chips.append(chips)

    def _note_each(self, nodes: Nodes) -> int:
        n_ranges, length = 0, 0
        first, on_each = nodes[0]
        for node, chips in nodes:
            if node == first + length and chips == on_each:
                length += 1
                continue
            self._add(first, length, on_each)
            n_ranges += 1
            first, on_each, length = node, chips, 1
        self._add(first, length, on_each)
        return n_ranges + 1

    def _note_many(self, held: ManyNodes) -> int:
        nodes, chips = held.nodes, held.chips
        follows = (nodes[1:] == nodes[:-1] + 1) & (chips[1:] == chips[:-1])
        last = (~follows).nonzero()[0]
        edge = np.zeros(len(last) + 2, dtype=np.int64)
        edge[1:-1], edge[-1] = last + 1, len(nodes)
        start = edge[:-1]
        for column, values in (
            (self._first_node, nodes[start]),
            (self._n_nodes, edge[1:] - start),
            (self._chips, chips[start]),
        ):
            column.frombytes(values.astype(np.int32).tobytes())
        return len(start)

    def columns(self) -> Allocated:
        """Return the records as arrays; an attempt whose record is incomplete is left out."""
        n_attempts = len(self._n_ranges)
        n_ranges = np.array(self._n_ranges, dtype=np.int32)
        total = int(n_ranges.sum())
        return Allocated(
            np.array(self._attempt[:n_attempts], dtype=np.int64),
            n_ranges,
            *(
                np.array(column[:total], dtype=np.int32)
                for column in (self._first_node, self._n_nodes, self._chips)
            ),
        )
