"""When running jobs are expected to give their accelerators back."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

__all__ = ["ReleaseCalendar"]

_CHUNK = 256


class ReleaseCalendar:
    """Estimated ends of the jobs that run in one partition, in order of time.

    Entries lie in sorted chunks, each with the sum of its accelerators, so that
    adding, removing and asking "when are n free?" cost about the square root of the
    number of running jobs.

    Attributes
    ----------
    version : int
        How often it has changed.
    """

    def __init__(self) -> None:
        self.version = 0
        self._chunks: list[list[tuple[float, int, int]]] = []
        self._lasts: list[tuple[float, int, int]] = []
        self._sums: list[int] = []

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        """Iterate over (estimated end, job, accelerators) by estimated end."""
        for chunk in self._chunks:
            yield from chunk

    def add(self, end: float, job: int, n: int) -> None:
        """Note that `job` is expected to give back `n` accelerators at `end`."""
        self.version += 1
        entry = (end, job, n)
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

    def remove(self, end: float, job: int, n: int) -> None:
        """Forget an entry that was added."""
        self.version += 1
        entry = (end, job, n)
        at = bisect_left(self._lasts, entry)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, entry)]
        self._sums[at] -= n
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at], self._sums[at]

    def earliest(self, need: int) -> tuple[float, int]:
        """Find when `need` accelerators have come back.

        Returns
        -------
        end : float
            The earliest estimated end by which at least `need` are given back.
        released : int
            All accelerators whose estimated end is not after it.

        Raises
        ------
        ValueError
            If fewer than `need` run.
        """
        released = 0
        for at, chunk_sum in enumerate(self._sums):
            if released + chunk_sum < need:
                released += chunk_sum
                continue
            chunk = self._chunks[at]
            for position, (end, _, n) in enumerate(chunk):
                released += n
                if released >= need:
                    return end, released + self._ties(end, at, position + 1)
        raise ValueError(f"{need} accelerators are never given back, only {released} run")

    def _ties(self, end: float, at: int, position: int) -> int:
        total = 0
        while at < len(self._chunks):
            chunk = self._chunks[at]
            while position < len(chunk):
                if chunk[position][0] != end:
                    return total
                total += chunk[position][2]
                position += 1
            at, position = at + 1, 0
        return total

    def _split(self, at: int) -> None:
        chunk = self._chunks[at]
        left, right = chunk[:_CHUNK], chunk[_CHUNK:]
        self._chunks[at : at + 1] = [left, right]
        self._lasts[at : at + 1] = [left[-1], right[-1]]
        left_sum = sum(n for _, _, n in left)
        self._sums[at : at + 1] = [left_sum, self._sums[at] - left_sum]
