"""The accelerators of one job: pairs of a node and a number of accelerators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Ints

__all__ = ["ManyNodes", "NodeFree", "Nodes"]

Nodes: TypeAlias = Sequence[tuple[int, int]]
"""Chips of one job: (node, chips) pairs; empty if the placement does not track nodes."""
NodeFree: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Free chips by node."""


class ManyNodes(Sequence[tuple[int, int]]):
    """Chips of a large gang: a sequence of (node, chips) pairs, kept as two arrays.

    Parameters
    ----------
    nodes, chips : int64 arrays (n,)
        Indices of the nodes, without repetition, and the number of chips on each.

    Examples
    --------
    >>> list(ManyNodes(np.array([3, 4]), np.array([8, 2])))
    [(3, 8), (4, 2)]
    """

    __slots__ = ("_whole", "chips", "nodes")

    def __init__(self, nodes: Ints, chips: Ints) -> None:
        self.nodes = nodes
        self.chips = chips
        self._whole: tuple[int, Ints, Nodes] | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.nodes.tolist(), self.chips.tolist(), strict=True)

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> ManyNodes: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | ManyNodes:
        if isinstance(at, slice):
            return ManyNodes(self.nodes[at], self.chips[at])
        return int(self.nodes[at]), int(self.chips[at])

    def whole(self, chips_per_node: int) -> tuple[Ints, Nodes]:
        """Return the nodes on which the gang uses all chips, and the pairs of its other nodes."""
        if self._whole is None or self._whole[0] != chips_per_node:
            all_of_it = self.chips == chips_per_node
            nodes, others = self.nodes, ~all_of_it
            if not all_of_it.all():
                nodes = nodes[all_of_it]
            rest = list(ManyNodes(self.nodes[others], self.chips[others]))
            self._whole = chips_per_node, nodes, rest
        return self._whole[1:]
