"""The times at which accelerators are expected to become free."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final, TypeAlias

__all__ = ["JOB", "NODE", "Release", "ReleaseCalendar"]

NODE: Final = 0
JOB: Final = 1
"""Type of an entry: a node that is out of service, or a running job."""
Release: TypeAlias = tuple[float, int, int, int]
"""Entry of a calendar: expected time (seconds), ``NODE`` or ``JOB``, index of the node or job, and
number of accelerators."""
_CHUNK = 256


class ReleaseCalendar:
    """Expected times at which a partition's jobs end and its nodes return to service.

    Entries are kept in sorted chunks, each with the sum of its accelerators. The time to add
    an entry, to remove an entry, or to find when `n` accelerators are free grows with about the
    square root of the number of entries.

    Attributes
    ----------
    version : int
        Number of changes so far.
    """

    def __init__(self) -> None:
        self.version = 0
        self._chunks: list[list[Release]] = []
        self._lasts: list[Release] = []
        self._sums: list[int] = []

    def __iter__(self) -> Iterator[Release]:
        """Iterate over the entries in order of time."""
        for chunk in self._chunks:
            yield from chunk

    def add(self, end: float, job: int, n: int) -> None:
        """Add a job that is expected to release `n` accelerators at `end`."""
        self._add((end, JOB, job, n))

    def remove(self, end: float, job: int, n: int) -> None:
        """Remove the entry of a job."""
        self._remove((end, JOB, job, n))

    def add_node(self, end: float, node: int, n: int) -> None:
        """Add a node of `n` accelerators that is expected to return to service at `end`."""
        self._add((end, NODE, node, n))

    def remove_node(self, end: float, node: int, n: int) -> None:
        """Remove the entry of a node."""
        self._remove((end, NODE, node, n))

    def _add(self, entry: Release) -> None:
        self.version += 1
        n = entry[3]
        if not self._chunks:
            self._chunks.append([entry])
            self._lasts.append(entry)
            self._sums.append(n)
            return
        at = min(bisect_left(self._lasts, entry), len(self._chunks) - 1)
        chunk = self._chunks[at]
        insort(chunk, entry)
        self._sums[at] += n
        self._lasts[at] = chunk[-1]
        if len(chunk) > 2 * _CHUNK:
            self._split(at)

    def _remove(self, entry: Release) -> None:
        self.version += 1
        at = bisect_left(self._lasts, entry)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, entry)]
        self._sums[at] -= entry[3]
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at], self._sums[at]

    def earliest(self, need: int) -> tuple[float, int]:
        """Find the time by which `need` accelerators are expected to be released.

        Returns
        -------
        end : float
            The earliest expected time, in seconds, by which jobs and nodes release at least `need`
            accelerators.
        released : int
            Number of accelerators whose expected release is not later than `end`.

        Raises
        ------
        ValueError
            If all entries together release fewer than `need` accelerators.
        """
        released = 0
        for at, chunk_sum in enumerate(self._sums):
            if released + chunk_sum < need:
                released += chunk_sum
                continue
            chunk = self._chunks[at]
            for position, (end, _, _, n) in enumerate(chunk):
                released += n
                if released >= need:
                    return end, released + self._ties(end, at, position + 1)
        raise ValueError(
            f"{need} accelerators are never released; all entries together release only {released}"
        )

    def _ties(self, end: float, at: int, position: int) -> int:
        total = 0
        while at < len(self._chunks):
            chunk = self._chunks[at]
            while position < len(chunk):
                if chunk[position][0] != end:
                    return total
                total += chunk[position][3]
                position += 1
            at, position = at + 1, 0
        return total

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        left, right = chunk[:_CHUNK], chunk[_CHUNK:]
        self._chunks[at : at + 1] = [left, right]
        self._lasts[at : at + 1] = [left[-1], right[-1]]
        left_sum = sum(entry[3] for entry in left)
        self._sums[at : at + 1] = [left_sum, self._sums[at] - left_sum]
