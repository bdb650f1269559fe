"""The placement that allocates accelerators in cells whose sizes are powers of two (HiveD)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.buddies import Buddies
from clustersim.scheduling.placements.by_node import NodePlacement
from clustersim.scheduling.placements.nodes import NodeFree, Nodes

__all__ = ["BuddyCells"]


class Cells(list[tuple[int, int]]):
    """Accelerators of one job: (node, chips) pairs that know which accelerators of a node.

    Attributes
    ----------
    first : list of int
        Index on its node of the first accelerator of each pair.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]], first: Sequence[int]) -> None:
        super().__init__(pairs)
        self.first = list(first)


class BuddyCells(NodePlacement):
    """Buddy allocation of cells: accelerator, pair, quad, ..., node, two nodes, four nodes, ...

    Zhao et al., "HiveD: Sharing a GPU cluster for deep learning with guarantees", OSDI 2020,
    section 3.2, for one partition. A cell of 2**k accelerators of a node begins at a multiple of
    2**k, and a cell of 2**k nodes likewise; a free cell is split in halves only if no smaller one
    suffices, and two free halves are merged. A job up to the size of a node gets the smallest cell
    that holds it; what it does not need is free again, in smaller cells. So a job whose size is a
    power of two never waits while a cell of its size is free, and never gets accelerators of two
    cells. A larger gang gets cells of entire nodes: one that holds it, or else the largest ones
    first; its remainder is placed like a small job. A node whose number of accelerators is not a
    power of two is made of such cells, the largest first.

    Examples
    --------
    >>> from clustersim.scheduling import BuddyCells
    >>> placement = BuddyCells(n_nodes=2, chips_per_node=8)
    >>> [list(placement.take(n)) for n in (1, 2, 4, 8)]
    [[(0, 1)], [(0, 2)], [(0, 4)], [(1, 8)]]
    >>> placement.free, placement.take(2) is None  # the free one is no pair
    (1, True)
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        super().__init__(n_nodes, chips_per_node)
        self._top = (chips_per_node - 1).bit_length()  # positions of a node: 2**top
        self._parts = Buddies(n_nodes << self._top, self._top)
        self._nodes = Buddies(n_nodes)
        self._nodes.give_range(0, n_nodes)
        self._unknown: dict[tuple[int, int], list[list[tuple[int, int]]]] = {}

    # --- Now ----------------------------------------------------------------------------

    def largest_gang(self) -> int:
        """Return the size of the largest gang that fits: free nodes, and the largest other cell."""
        part = self._parts.largest()
        return self._nodes.n_free * self.chips_per_node + (0 if part is None else 1 << part)

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= self.largest_gang()

    def take(self, n: int) -> Nodes | None:
        if n > self.largest_gang():
            return None
        whole, rest = divmod(n, self.chips_per_node)
        cells = [(node, 0, self.chips_per_node) for node in self._find_nodes(whole)]
        if rest:
            cells.append(self._find_part(rest))
        found = Cells([(node, count) for node, _, count in cells], [at for _, at, _ in cells])
        for node, count in found:
            self.node_free[node] -= count
        self.free -= n
        return found

    def _find_nodes(self, count: int) -> list[int]:
        """Take entirely free nodes."""
        nodes: list[int] = []
        while count:
            order = (count - 1).bit_length()
            if self._nodes.smallest(order) is None:
                largest = self._nodes.largest()
                assert largest is not None, "there are enough nodes"
                order = largest
            first = self._nodes.take(order)
            assert first is not None, "there is such a cell"
            used = min(count, 1 << order)
            self._nodes.give_range(first + used, (1 << order) - used)
            nodes += range(first, first + used)
            count -= used
        return nodes

    def _find_part(self, n: int) -> tuple[int, int, int]:
        """Take a cell on a node; return the node, the index on it and the number `n`."""
        order = (n - 1).bit_length()
        if self._parts.smallest(order) is None:
            node = self._nodes.take(0)
            assert node is not None, "there is a cell or a node"
            self._parts.give_range(node << self._top, self.chips_per_node)
            if 1 << order > self.chips_per_node:  # the job needs several cells of the node
                self._parts.take_range(node << self._top, n)
                return node, 0, n
        first = self._parts.take(order)
        assert first is not None, "there is such a cell"
        self._parts.give_range(first + n, (1 << order) - n)
        return first >> self._top, first & ((1 << self._top) - 1), n

    # --- Given nodes ----------------------------------------------------------------------

    def has_free(self, nodes: Nodes, n: int) -> bool:
        return super().has_free(nodes, n) and (
            not isinstance(nodes, Cells)
            or all(
                self.node_free[node] == self.chips_per_node
                or self._parts.is_free((node << self._top) + at, count)
                for (node, count), at in zip(nodes, nodes.first, strict=True)
            )
        )

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate the `n` accelerators in `nodes`, which must be free.

        If it is not known which accelerators of a node they are, they are the smallest cell there
        that holds them; without such a cell, they are the largest ones, as many as it takes.
        """
        self._check_choice(nodes, n)
        for node, count, at in _with_index(nodes):
            if self.node_free[node] == self.chips_per_node:
                taken = self._nodes.take_at(node, 0)
                assert taken, "the node is free"
                if count < self.chips_per_node:
                    self._parts.give_range(node << self._top, self.chips_per_node)
            if count < self.chips_per_node:
                self._take_parts(node, count, at)
            self.node_free[node] -= count
        self.free -= n

    def _take_parts(self, node: int, count: int, at: int | None) -> None:
        """Take some accelerators of a node, beginning with one whose index may be known."""
        pieces = [(at, count)] if at is not None else list(self._pieces(node, count))
        if at is None:
            self._unknown.setdefault((node, count), []).append(pieces)
        for first, size in pieces:
            self._parts.take_range((node << self._top) + first, size)

    def give(self, nodes: Nodes, n: int) -> None:
        chips = self.chips_per_node
        for node, count, at in _with_index(nodes):
            self.node_free[node] += count
            if count == chips:
                self._nodes.give(node, 0)
                continue
            base = node << self._top
            pieces = [(at, count)] if at is not None else self._unknown[node, count].pop()
            for first, size in pieces:
                self._parts.give_range(base + first, size)
            if self.node_free[node] == chips:
                self._parts.take_range(base, chips)
                self._nodes.give(node, 0)
        self.free += n

    def _pieces(self, node: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield free accelerators of a node, as (first, number)."""
        cells = sorted((order, first) for first, order in self._cells_on(node))
        single = [first for order, first in cells if 1 << order >= count]
        if single:
            yield single[0], count
            return
        for order, first in reversed(cells):
            used = min(count, 1 << order)
            if used:
                yield first, used
            count -= used

    def _cells_on(self, node: int) -> Iterator[tuple[int, int]]:
        """Yield the free cells of a node that is not entirely free: first accelerator, order."""
        base = node << self._top
        for order, free in enumerate(self._parts.free):
            for first in range(0, 1 << self._top, 1 << order):
                if base + first in free:
                    yield first, order

    # --- In a state that is not the present one: only numbers of accelerators are known -------

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose nodes by their numbers of free accelerators, as if these were one cell."""
        chips = self.chips_per_node
        if n > self.largest_gang_in(node_free):
            return None
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        pairs = [(int(node), chips) for node in wholly_free[:whole]]
        if rest:
            cell = min(1 << (rest - 1).bit_length(), chips)
            others = np.where((node_free >= cell) & (node_free < chips), node_free, chips)
            node = int(others.argmin())
            pairs.append((node if others[node] < chips else int(wholly_free[whole]), rest))
        return pairs

    def largest_gang_in(self, node_free: NodeFree) -> int:
        wholly_free = node_free == self.chips_per_node
        partly = int((node_free * ~wholly_free).max())
        cell = 1 << (partly.bit_length() - 1) if partly else 0
        return int(np.count_nonzero(wholly_free)) * self.chips_per_node + cell

    def fits_in(self, n: int, node_free: NodeFree) -> bool:
        return n <= self.largest_gang_in(node_free)

    def fits_each_of(self, sizes: Ints, node_free: NodeFree) -> Bools:
        return sizes <= self.largest_gang_in(node_free)

    def choose_in(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose cells that are free now among `node_free`, at most what is free on each node."""
        chips = self.chips_per_node
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        if len(wholly_free) < whole:
            return None
        pairs, first = [(int(node), chips) for node in wholly_free[:whole]], [0] * whole
        if rest:
            part = self._free_part(rest, node_free)
            if part is None and len(wholly_free) == whole:
                return None
            node, at = (int(wholly_free[whole]), 0) if part is None else part
            pairs.append((node, rest))
            first.append(at)
        return Cells(pairs, first)

    def _free_part(self, n: int, node_free: NodeFree) -> tuple[int, int] | None:
        """Return the node and the index there of the smallest free cell for `n` accelerators."""
        for free in self._parts.free[(n - 1).bit_length() :]:
            for first in sorted(free):
                node = first >> self._top
                if node_free[node] >= n:
                    return node, first & ((1 << self._top) - 1)
        return None


def _with_index(nodes: Nodes) -> Iterator[tuple[int, int, int | None]]:
    """Yield each node, its number of accelerators, and the index of the first; None if unknown."""
    known = nodes.first if isinstance(nodes, Cells) else [None] * len(nodes)
    for (node, count), at in zip(nodes, known, strict=True):
        yield node, count, at
