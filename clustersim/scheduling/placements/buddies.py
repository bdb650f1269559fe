"""The buddy system: free cells whose sizes are powers of two, split and merged in halves."""

from __future__ import annotations

from heapq import heappop, heappush

__all__ = ["Buddies", "cells_of"]


class Buddies:
    """Free positions as cells: a cell of order k has 2**k positions and begins at a multiple.

    Two halves of a cell that are both free are merged. Positions may begin as not free.

    Parameters
    ----------
    n : int
        Number of positions.
    largest_order : int, optional
        Cells are not merged beyond this order.

    Attributes
    ----------
    free : list of dict of int to None
        First positions of the free cells, by order.

    Examples
    --------
    >>> cells = Buddies(8)
    >>> cells.give_range(0, 8)
    >>> cells.take(1), [sorted(each) for each in cells.free]
    (0, [[], [2], [4], []])
    >>> cells.take(2), cells.take(2) is None
    (4, True)
    >>> cells.give(0, 1), [sorted(each) for each in cells.free]
    (None, [[], [], [0], []])
    """

    def __init__(self, n: int, largest_order: int | None = None) -> None:
        self.largest_order = (n.bit_length() - 1) if largest_order is None else largest_order
        self.free: list[dict[int, None]] = [{} for _ in range(self.largest_order + 1)]
        self._lowest: list[list[int]] = [[] for _ in range(self.largest_order + 1)]
        self.n_free = 0

    def smallest(self, order: int) -> int | None:
        """Return the order of the smallest free cells of at least an order; None without any."""
        for at in range(order, self.largest_order + 1):
            if self.free[at]:
                return at
        return None

    def largest(self) -> int | None:
        """Return the order of the largest free cells; None if nothing is free."""
        for order in range(self.largest_order, -1, -1):
            if self.free[order]:
                return order
        return None

    def take(self, order: int) -> int | None:
        """Take a cell, the lowest of those that are split least; return its first position."""
        at = self.smallest(order)
        if at is None:
            return None
        first = self.lowest(at)
        del self.free[at][first]
        self._split(first, at, first, order)
        self.n_free -= 1 << order
        return first

    def take_at(self, first: int, order: int) -> bool:
        """Take the cell that begins at a position; return whether it was free."""
        for at in range(order, self.largest_order + 1):
            begin = first >> at << at
            if begin in self.free[at]:
                del self.free[at][begin]
                self._split(begin, at, first, order)
                self.n_free -= 1 << order
                return True
        return False

    def is_free(self, first: int, count: int) -> bool:
        """Return whether positions are free."""
        return all(
            any(begin >> at << at in self.free[at] for at in range(order, self.largest_order + 1))
            for begin, order in cells_of(first, count, self.largest_order)
        )

    def take_range(self, first: int, count: int) -> None:
        """Take positions, which must be free."""
        for begin, order in cells_of(first, count, self.largest_order):
            taken = self.take_at(begin, order)
            assert taken, "the positions are free"

    def give(self, first: int, order: int) -> None:
        """Free a cell, and merge it with its buddy as long as that is free."""
        self.n_free += 1 << order
        while order < self.largest_order:
            buddy = first ^ (1 << order)
            if buddy not in self.free[order]:
                break
            del self.free[order][buddy]
            first = min(first, buddy)
            order += 1
        self._add(first, order)

    def give_range(self, first: int, count: int) -> None:
        """Free positions."""
        for begin, order in cells_of(first, count, self.largest_order):
            self.give(begin, order)

    def lowest(self, order: int) -> int:
        """Return the first position of the lowest free cell of an order; one must be free."""
        free, lowest = self.free[order], self._lowest[order]
        while lowest[0] not in free:
            heappop(lowest)
        return lowest[0]

    def _split(self, begin: int, at: int, first: int, order: int) -> None:
        """Free the parts of a taken cell that are not in the cell of an order at `first`."""
        while at > order:
            at -= 1
            half = begin + (1 << at)
            left, begin = (begin, half) if first >= half else (half, begin)
            self._add(left, at)

    def _add(self, first: int, order: int) -> None:
        """Add a free cell."""
        free = self.free[order]
        free[first] = None
        if len(self._lowest[order]) > 2 * len(free) + 64:  # most of them are no longer free
            self._lowest[order] = sorted(free)
        else:
            heappush(self._lowest[order], first)


def cells_of(first: int, count: int, largest_order: int) -> list[tuple[int, int]]:
    """Return the fewest cells that make up a range of positions, with their orders.

    Examples
    --------
    >>> cells_of(3, 9, 3)
    [(3, 0), (4, 2), (8, 2)]
    """
    cells, end = [], first + count
    while first < end:
        aligned = (first & -first).bit_length() - 1 if first else largest_order
        order = min(aligned, (end - first).bit_length() - 1, largest_order)
        cells.append((first, order))
        first += 1 << order
    return cells
