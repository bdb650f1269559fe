"""The placement that allocates accelerators in cells whose sizes are powers of two (HiveD)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.placements.buddies import Buddies, cells_of
from clustersim.scheduling.placements.by_node import NodePlacement
from clustersim.scheduling.placements.nodes import NodeFree, Nodes

__all__ = ["BuddyCells", "Cells"]

Pieces: TypeAlias = tuple[tuple[int, int], ...]
"""Accelerators of one node, as (index of the first, number)."""


class Cells(list[tuple[int, int]]):
    """Accelerators of one job: (node, chips) pairs that know which accelerators of a node.

    Attributes
    ----------
    pieces : list of tuple of (int, int)
        For each pair, the accelerators of the node: index of the first, and number.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]], pieces: Sequence[Pieces]) -> None:
        super().__init__(pairs)
        self.pieces = list(pieces)


class BuddyCells(NodePlacement):
    """Buddy allocation of cells: accelerator, pair, quad, ..., node, two nodes, four nodes, ...

    Zhao et al., "HiveD: Sharing a GPU cluster for deep learning with guarantees", OSDI 2020,
    section 3.2, for one partition. A cell of 2**k accelerators of a node begins at a multiple of
    2**k, and a cell of 2**k nodes likewise; a free cell is split in halves only if no smaller one
    suffices, and two free halves are merged. A job up to the size of a node gets the smallest cell
    that holds it, and what it does not need is free again, in smaller cells. So a job whose size is
    a power of two never waits while a cell of its size is free, and never gets accelerators of two
    cells. A job of another size gets several cells of one node if no single one is left: one of 4
    and one of 2 for 6. A larger gang gets cells of entire nodes: one that holds it, or else the
    largest ones first; its remainder is placed like a small job. A node whose number of
    accelerators is not a power of two is made of such cells, the largest first.

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
        self._room = [0] * n_nodes
        self._with_room: list[dict[int, None]] = [{} for _ in range(chips_per_node + 1)]
        self._unknown: dict[tuple[int, int], list[Pieces]] = {}

    # --- Now ----------------------------------------------------------------------------

    def largest_gang(self) -> int:
        """Return the size of the largest gang that fits.

        This gang uses all entirely free nodes and, of the others, the one with the most room.
        """
        room = self.chips_per_node - 1
        while room > 0 and not self._with_room[room]:
            room -= 1
        return self._nodes.n_free * self.chips_per_node + max(0, room)

    def fits_each(self, sizes: Ints) -> Bools:
        return sizes <= self.largest_gang()

    def take(self, n: int) -> Nodes | None:
        if n > self.largest_gang():
            return None
        chips = self.chips_per_node
        whole, rest = divmod(n, chips)
        nodes = self._find_nodes(whole)
        pairs = [(node, chips) for node in nodes]
        pieces: list[Pieces] = [((0, chips),)] * whole
        if rest:
            node, own = self._part_for(rest)
            pairs.append((node, rest))
            pieces.append(own)
        cells = Cells(pairs, pieces)
        for node in nodes:
            self.node_free[node] = 0
        self.free -= whole * chips
        if rest:
            self.take_these(Cells(pairs[whole:], pieces[whole:]), rest)
        return cells

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

    def _part_for(self, n: int) -> tuple[int, Pieces]:
        """Return a node and accelerators there for a small job, which must fit."""
        order = self._parts.smallest((n - 1).bit_length())
        if order is not None:
            return self._in_cell(self._parts.lowest(order), n)
        for nodes in self._with_room[n : self.chips_per_node]:
            if nodes:
                node = next(iter(nodes))
                return node, self._pieces(self._cells_on(node), n)
        order = self._nodes.smallest(0)
        assert order is not None, "the job fits"
        return self._nodes.lowest(order), self._pieces(self._cells_of_node(), n)

    def _part_among(self, n: int, node_free: NodeFree) -> tuple[int, Pieces] | None:
        """Return a node and accelerators there for a small job, as far as they are in `node_free`.

        Entirely free nodes are not divided.
        """
        for free in self._parts.free[(n - 1).bit_length() :]:
            usable = [first for first in free if node_free[first >> self._top] >= n]
            if usable:
                return self._in_cell(min(usable), n)
        for nodes in self._with_room[n : self.chips_per_node]:
            node = next((node for node in nodes if node_free[node] >= n), None)
            if node is not None:
                return node, self._pieces(self._cells_on(node), n)
        return None

    def _in_cell(self, first: int, n: int) -> tuple[int, Pieces]:
        """Return the first accelerators of a cell."""
        return first >> self._top, ((first & ((1 << self._top) - 1), n),)

    def _pieces(self, cells: list[tuple[int, int]], n: int) -> Pieces:
        """Return `n` accelerators of the cells (order, first) of a node.

        They are in the smallest cell that holds them, or else in a cell for each power of two in
        `n`, the largest one first, or else wherever they are.
        """
        single = min((each for each in cells if 1 << each[0] >= n), default=None)
        if single is not None:
            return ((single[1], n),)
        own, left, pieces = Buddies(1 << self._top, self._top), n, []
        for order, first in cells:
            own.give(first, order)
        for order in range(self._top, -1, -1):
            while left >= 1 << order:
                at = own.take(order)
                if at is None:
                    break
                pieces.append((at, 1 << order))
                left -= 1 << order
        return tuple(pieces)

    def _cells_on(self, node: int) -> list[tuple[int, int]]:
        """Return the free cells of a node that is not entirely free: order, first accelerator."""
        base = node << self._top
        return [
            (order, first)
            for order, free in enumerate(self._parts.free)
            if free
            for first in range(0, 1 << self._top, 1 << order)
            if base + first in free
        ]

    def _cells_of_node(self) -> list[tuple[int, int]]:
        """Return the cells of which an entirely free node is made."""
        return [(order, first) for first, order in cells_of(0, self.chips_per_node, self._top)]

    def _note_room(self, node: int) -> None:
        """Compute the size of the largest job that fits on a node that is not entirely free."""
        room = 0
        if 0 < self.node_free[node] < self.chips_per_node:
            room = _room([order for order, _ in self._cells_on(node)])
        self._with_room[self._room[node]].pop(node, None)
        self._room[node] = room
        self._with_room[room][node] = None

    # --- Given nodes --------------------------------------------------------------------

    def has_free(self, nodes: Nodes, n: int) -> bool:
        return super().has_free(nodes, n) and (
            not isinstance(nodes, Cells)
            or all(
                self.node_free[node] == self.chips_per_node
                or self._parts.is_free((node << self._top) + first, count)
                for (node, _), pieces in zip(nodes, nodes.pieces, strict=True)
                for first, count in pieces
            )
        )

    def take_these(self, nodes: Nodes, n: int) -> None:
        """Allocate the `n` accelerators in `nodes`, which must be free.

        If it is not known which accelerators of a node they are, they are in the smallest cell
        there that holds them, or else in several cells.
        """
        self._check_choice(nodes, n)
        for node, count, pieces in _with_pieces(nodes):
            if self.node_free[node] == self.chips_per_node:
                taken = self._nodes.take_at(node, 0)
                assert taken, "the node is free"
                if count < self.chips_per_node:
                    self._parts.give_range(node << self._top, self.chips_per_node)
            if count < self.chips_per_node:
                self._take_parts(node, count, pieces)
            self.node_free[node] -= count
            self._note_room(node)
        self.free -= n

    def _take_parts(self, node: int, count: int, pieces: Pieces | None) -> None:
        """Take some accelerators of a node, which may be known one by one."""
        if pieces is None:
            pieces = self._pieces(self._cells_on(node), count)
            self._unknown.setdefault((node, count), []).append(pieces)
        for first, size in pieces:
            self._parts.take_range((node << self._top) + first, size)

    def give(self, nodes: Nodes, n: int) -> None:
        chips = self.chips_per_node
        for node, count, pieces in _with_pieces(nodes):
            self.node_free[node] += count
            if count == chips:
                self._nodes.give(node, 0)
                continue
            base = node << self._top
            for first, size in self._unknown[node, count].pop() if pieces is None else pieces:
                self._parts.give_range(base + first, size)
            if self.node_free[node] == chips:
                self._parts.take_range(base, chips)
                self._nodes.give(node, 0)
            self._note_room(node)
        self.free += n

    # --- In a state that is not the present one: only numbers of accelerators are known -----

    def choose(self, n: int, node_free: NodeFree) -> Nodes | None:
        """Choose nodes by their numbers of free accelerators, as if these were of one cell."""
        chips = self.chips_per_node
        if n > self.largest_gang_in(node_free):
            return None
        whole, rest = divmod(n, chips)
        wholly_free = (node_free == chips).nonzero()[0]
        pairs = [(int(node), chips) for node in wholly_free[:whole]]
        if rest:
            others = np.where((node_free >= rest) & (node_free < chips), node_free, chips)
            node = int(others.argmin())
            pairs.append((node if others[node] < chips else int(wholly_free[whole]), rest))
        return pairs

    def largest_gang_in(self, node_free: NodeFree) -> int:
        wholly_free = node_free == self.chips_per_node
        partly = int((node_free * ~wholly_free).max())
        return int(np.count_nonzero(wholly_free)) * self.chips_per_node + partly

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
        pairs = [(int(node), chips) for node in wholly_free[:whole]]
        pieces: list[Pieces] = [((0, chips),)] * whole
        if rest:
            part = self._part_among(rest, node_free)
            if part is None and len(wholly_free) > whole:
                part = int(wholly_free[whole]), self._pieces(self._cells_of_node(), rest)
            if part is None:
                return None
            pairs.append((part[0], rest))
            pieces.append(part[1])
        return Cells(pairs, pieces)


def _room(orders: Sequence[int]) -> int:
    """Return the size of the largest job that cells of some orders hold, a power of two in each.

    Examples
    --------
    >>> _room([0, 2]), _room([1, 1]), _room([2, 2])
    (5, 3, 7)
    """
    largest = max(orders)
    count = [0] * (largest + 1)
    for order in orders:
        count[order] += 1
    total, left = 0, 0
    for order in range(largest, -1, -1):
        left += count[order]  # cells of this order that are free, or are parts of larger ones
        if left:
            total += 1 << order
            left -= 1
        left *= 2
    return total


def _with_pieces(nodes: Nodes) -> Iterator[tuple[int, int, Pieces | None]]:
    """Yield each node, its number of accelerators, and which they are; None if unknown."""
    known = nodes.pieces if isinstance(nodes, Cells) else [None] * len(nodes)
    for (node, count), pieces in zip(nodes, known, strict=True):
        yield node, count, pieces
