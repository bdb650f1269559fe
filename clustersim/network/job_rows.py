"""Arrays with a row for each running job, and a block of rows for the trunks of each job."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats, Ints

__all__ = ["INVERSE_SHARES", "JobRows", "PairRows"]

INVERSE_SHARES: Floats = np.array(
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 256.0]
)
"""Inverse shares at which the response of a job is known; between them it is interpolated."""


def _longer(column: np.ndarray, more: int) -> np.ndarray:
    return np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])


class JobRows:
    """One row for each running job.

    Attributes
    ----------
    job, first, count : int64 arrays (rows,)
        The job, and its block of rows in :class:`PairRows`.
    share, duty, slowdown : float64 arrays (rows,)
    duties, slowdowns : float64 arrays (rows, inverse shares)
    """

    def __init__(self) -> None:
        self.job = np.zeros(0, dtype=np.int64)
        self.first = np.zeros(0, dtype=np.int64)
        self.count = np.zeros(0, dtype=np.int64)
        self.share = np.zeros(0)
        self.duty = np.zeros(0)
        self.slowdown = np.zeros(0)
        self.duties = np.zeros((0, len(INVERSE_SHARES)))
        self.slowdowns = np.zeros((0, len(INVERSE_SHARES)))
        self._free: list[int] = []

    def take(self) -> int:
        """Return a free row."""
        if not self._free:
            n = len(self.job)
            more = max(64, n)
            for name in ("job", "first", "count", "share", "duty", "slowdown"):
                setattr(self, name, _longer(getattr(self, name), more))
            self.duties, self.slowdowns = _longer(self.duties, more), _longer(self.slowdowns, more)
            self._free = list(range(n + more - 1, n - 1, -1))
        return self._free.pop()

    def give(self, row: int) -> None:
        """Free a row."""
        self._free.append(row)

    def ranges(self, rows: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the pairs of some jobs, the position of each pair's job, and where each begins."""
        counts = self.count[rows]
        ends = np.cumsum(counts)
        starts = ends - counts
        owner = np.repeat(np.arange(len(rows)), counts)
        pairs = np.arange(len(owner)) + (self.first[rows] - starts)[owner]
        return pairs, owner, starts


class PairRows:
    """One row for each running job on each of its trunks; the rows of a job are consecutive.

    Attributes
    ----------
    slot, trunk, place : int64 arrays (rows,)
        Row of the job, index of the trunk, and position among the pairs of the trunk.
    demand, allowed : float64 arrays (rows,)
        Bytes/s at a share of 1, and the share that the trunk allows the job.
    """

    def __init__(self) -> None:
        self.slot = np.zeros(0, dtype=np.int64)
        self.trunk = np.zeros(0, dtype=np.int64)
        self.place = np.zeros(0, dtype=np.int64)
        self.demand = np.zeros(0)
        self.allowed = np.zeros(0)
        self._used = 0
        self._free: dict[int, list[int]] = {}

    def take(self, count: int) -> int:
        """Return the first of `count` free consecutive rows."""
        if free := self._free.get(count):
            return free.pop()
        first, self._used = self._used, self._used + count
        if self._used > len(self.slot):
            more = max(256, self._used)
            for name in ("slot", "trunk", "place", "demand", "allowed"):
                setattr(self, name, _longer(getattr(self, name), more))
        return first

    def give(self, first: int, count: int) -> None:
        """Free a block of rows."""
        self._free.setdefault(count, []).append(first)
