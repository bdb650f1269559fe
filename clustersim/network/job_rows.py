"""Arrays with a row for each running job, and a block of rows for the trunks of each job."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Ints
from clustersim.network.response import INVERSE_SHARES

__all__ = ["JobRows", "PairRows", "TrunkPairs", "ranges"]


def _longer(column: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])


def ranges(first: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the numbers in some ranges, the range of each number, and where each range begins.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.network.job_rows import ranges
    >>> [found.tolist() for found in ranges(np.array([7, 2]), np.array([2, 3]))]
    [[7, 8, 2, 3, 4], [0, 0, 1, 1, 1], [0, 2]]
    """
    starts = count.cumsum() - count
    owner = np.arange(len(count)).repeat(count)
    return np.arange(len(owner)) + (first - starts)[owner], owner, starts


class JobRows:
    """One row for each running job.

    Attributes
    ----------
    job, first, count : int64 arrays (rows,)
        The job, and its block of rows in :class:`PairRows`.
    share, duty, slowdown : float64 arrays (rows,)
    reported : float64 array (rows,)
        The slowdown of which the caller knows; 0 for a new job.
    duties, slowdowns : float64 arrays (rows, inverse shares)
    """

    def __init__(self) -> None:
        self.job = np.zeros(0, dtype=np.int64)
        self.first = np.zeros(0, dtype=np.int64)
        self.count = np.zeros(0, dtype=np.int64)
        self.share = np.zeros(0)
        self.duty = np.zeros(0)
        self.slowdown = np.zeros(0)
        self.reported = np.zeros(0)
        self.duties = np.zeros((0, len(INVERSE_SHARES)))
        self.slowdowns = np.zeros((0, len(INVERSE_SHARES)))
        self._free: list[int] = []

    def take(self) -> int:
        """Return a free row."""
        if not self._free:
            n = len(self.job)
            more = max(64, n)
            for name in ("job", "first", "count", "share", "duty", "slowdown", "reported"):
                setattr(self, name, _longer(getattr(self, name), more))
            self.duties, self.slowdowns = _longer(self.duties, more), _longer(self.slowdowns, more)
            self._free = list(range(n + more - 1, n - 1, -1))
        return self._free.pop()

    def give(self, row: int) -> None:
        """Free a row."""
        self._free.append(row)

    def ranges(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the pairs of some jobs, the position of each pair's job, and where each begins."""
        return ranges(self.first[rows], self.count[rows])


class PairRows:
    """One row for each running job on each of its trunks; the rows of a job are consecutive.

    Attributes
    ----------
    slot, trunk, place : int64 arrays (rows,)
        Row of the job, index of the trunk, and position among the pairs of the trunk.
    demand : float64 array (rows,)
        Demand at a share of 1, divided by the capacity of the trunk.
    allowed, cap : float64 arrays (rows,)
        The share that the trunk allows the job, and the smallest one that its other trunks allow;
        both at most 1.
    """

    def __init__(self) -> None:
        self.slot = np.zeros(0, dtype=np.int64)
        self.trunk = np.zeros(0, dtype=np.int64)
        self.place = np.zeros(0, dtype=np.int64)
        self.demand = np.zeros(0)
        self.allowed = np.zeros(0)
        self.cap = np.zeros(0)
        self._used = 0
        self._free: dict[int, list[int]] = {}

    def take(self, count: int) -> int:
        """Return the first of `count` free consecutive rows."""
        if free := self._free.get(count):
            return free.pop()
        first, self._used = self._used, self._used + count
        if self._used > len(self.slot):
            more = max(256, self._used)
            for name in ("slot", "trunk", "place", "demand", "allowed", "cap"):
                setattr(self, name, _longer(getattr(self, name), more))
        return first

    def give(self, first: int, count: int) -> None:
        """Free a block of rows."""
        self._free.setdefault(count, []).append(first)


class TrunkPairs:
    """The pairs of each trunk, each in a block of one array; a block that is full moves.

    Parameters
    ----------
    n_trunks : int

    Attributes
    ----------
    count : int64 array (trunks,)
        Number of pairs of each trunk.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.network.job_rows import TrunkPairs
    >>> on = TrunkPairs(3)
    >>> on.add(np.array([0, 2]), np.array([10, 11])).tolist()
    [0, 0]
    >>> on.add(np.array([2]), np.array([12])).tolist()
    [1]
    >>> on.remove(np.array([2]), np.array([0])).tolist()  # the last pair of the trunk moves there
    [12]
    >>> on.of(np.array([0, 2]))[0].tolist()
    [10, 12]
    """

    def __init__(self, n_trunks: int) -> None:
        self.count = np.zeros(n_trunks, dtype=np.int64)
        self._first = np.zeros(n_trunks, dtype=np.int64)
        self._room = np.zeros(n_trunks, dtype=np.int64)
        self._pairs = np.zeros(0, dtype=np.int64)
        self._used = 0

    def add(self, trunks: Ints, pairs: Ints) -> Ints:
        """Add a pair to each of some trunks; return the place of each."""
        places = self.count[trunks]
        full = places == self._room[trunks]
        if full.any():
            for trunk in trunks[full].tolist():
                self._move(trunk)
        self._pairs[self._first[trunks] + places] = pairs
        self.count[trunks] += 1
        return places

    def remove(self, trunks: Ints, places: Ints) -> Ints:
        """Remove a pair from each of some trunks; return the pair that takes the place of each."""
        self.count[trunks] -= 1
        first = self._first[trunks]
        moved: Ints = self._pairs[first + self.count[trunks]]
        self._pairs[first + places] = moved
        return moved

    def of(self, trunks: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the pairs of some trunks, each one's position in `trunks`, and where each begins.

        Trunks without pairs are allowed.
        """
        at, owner, starts = ranges(self._first[trunks], self.count[trunks])
        return self._pairs[at], owner, starts

    def _move(self, trunk: int) -> None:
        """Give a trunk a block of twice the size."""
        count, room = int(self.count[trunk]), max(8, 2 * int(self._room[trunk]))
        if self._used + room > len(self._pairs):
            self._pairs = _longer(self._pairs, max(256, self._used + room))
        old = int(self._first[trunk])
        self._pairs[self._used : self._used + count] = self._pairs[old : old + count]
        self._first[trunk], self._room[trunk] = self._used, room
        self._used += room
