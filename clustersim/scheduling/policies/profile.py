"""Number of free accelerators in the future, as a step function of time."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right

import numpy as np

from clustersim.array_types import Bools, Floats, Ints

__all__ = ["ROUNDING_S", "Profile"]

_FIRST = np.zeros(1, dtype=np.int64)
_NONE = np.full(1, -np.inf)
_JOBS_A_SIZE = 4
"""Number of jobs of one size from which on it is faster to look at all of them at once."""
ROUNDING_S = 1e-3
"""More than the error of the difference of two times."""
_FEW = 48
"""Number of steps up to which a loop is faster than numpy."""


class Profile:
    """Number of accelerators of a partition that jobs neither use nor have reserved, over time.

    Parameters
    ----------
    now : float
        Start of the profile, seconds.
    free : int
        Number of accelerators free from `now` on.

    Examples
    --------
    Four of ten accelerators are taken for a minute, so eight are free only afterwards:

    >>> profile = Profile(0.0, 10)
    >>> profile.change(0.0, 60.0, -4)
    >>> profile.earliest(6, 30.0), profile.earliest(8, 30.0)
    (0.0, 60.0)
    """

    def __init__(self, now: float, free: int) -> None:
        self._times = array("d", [now])
        self._free = array("q", [free])

    def advance(self, now: float) -> None:
        """Discard the part of the profile before `now`."""
        passed = bisect_right(self._times, now) - 1
        del self._times[:passed], self._free[:passed]
        self._times[0] = now

    def change(self, start: float, end: float, n: int) -> None:
        """Add `n` accelerators from `start` to `end`; a negative `n` removes them."""
        if end <= start:
            return
        first, last = self._step_at(start), self._step_at(end)
        free = self._free
        if last - first > _FEW:
            np.frombuffer(free, dtype=np.int64)[first:last] += n
        else:
            for at in range(first, last):
                free[at] += n
        for at in (last, first):
            if at and free[at] == free[at - 1]:
                del self._times[at], free[at]

    def steps(self) -> list[tuple[float, float, int]]:
        """Return the start, end and free accelerators of each step; the last end is infinite.

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.steps()
        [(0.0, 60.0, 6), (60.0, inf, 10)]
        """
        times = self._times.tolist()
        return list(zip(times, [*times[1:], math.inf], self._free.tolist(), strict=True))

    def stairs(self, start: float, end: float) -> tuple[list[int], list[float]]:
        """Return how many accelerators are free first when, from `start` to before `end` (seconds).

        Returns
        -------
        free : list of int
            Numbers in ascending order, each more than were free before.
        times : list of float
            When so many are free first, seconds.

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.stairs(30.0, 90.0), profile.stairs(0.0, 60.0)
        (([6, 10], [30.0, 60.0]), ([6], [0.0]))
        """
        first = max(bisect_right(self._times, start) - 1, 0)
        last = max(bisect_left(self._times, end), first + 1)
        most = np.maximum.accumulate(np.frombuffer(self._free, dtype=np.int64)[first:last])
        steps = np.concatenate([_FIRST, (most[1:] > most[:-1]).nonzero()[0] + 1])
        times = np.frombuffer(self._times)[first:last][steps]
        return most[steps].tolist(), np.maximum(times, start).tolist()

    def may_be_earlier(self, n: Ints, run_s: Floats, before: Floats, held: Bools) -> Bools:
        """Return for which of many jobs :meth:`earliest_before` may find a time.

        It never leaves out a job for which it does; with many different sizes it says yes to all.

        Parameters
        ----------
        n : int64 array (jobs,)
        run_s, before : float64 arrays (jobs,)
            Seconds.
        held : bool array (jobs,)

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> sizes, run_s, before = np.array([6, 7, 6]), np.array([90.0, 5.0, 5.0]), np.full(3, 60.0)
        >>> profile.may_be_earlier(sizes, run_s, before, np.array([True, True, False])).tolist()
        [True, False, True]
        """
        different = np.unique(n)
        if _JOBS_A_SIZE * len(different) > len(n):
            return np.ones(len(n), dtype=np.bool_)
        may = np.zeros(len(n), dtype=np.bool_)
        for size in different.tolist():
            own = (n == size).nonzero()[0]
            begins, ends = self._holes(size)
            longest = np.concatenate([_NONE, np.maximum.accumulate(ends - begins)])
            in_front = np.searchsorted(begins, before[own])
            until = np.concatenate([_NONE, ends])[in_front]
            reaches = held[own] & (until >= before[own])
            may[own] = reaches | (longest[in_front] >= run_s[own] - ROUNDING_S)
        return may

    def _holes(self, n: int) -> tuple[Floats, Floats]:
        """Return when `n` accelerators begin to be free, and until when."""
        enough = np.frombuffer(self._free, dtype=np.int64) >= n
        change = (enough[1:] != enough[:-1]).nonzero()[0] + 1
        if enough[0]:
            change = np.concatenate([_FIRST, change])
        times = np.frombuffer(self._times)[change]
        begins, ends = times[::2], times[1::2]
        return begins, ends if len(ends) == len(begins) else np.append(ends, np.inf)

    def earliest(self, n: int, run_s: float) -> float:
        """Return the first time at which `n` accelerators are free for `run_s` seconds."""
        times, free = self._times, self._free
        steps = len(times)
        at = 0
        while at < _FEW or steps <= 2 * _FEW:
            while free[at] < n:
                at += 1
            start = times[at]
            end = start + run_s
            at += 1
            while at < steps and times[at] < end and free[at] >= n:
                at += 1
            if at == steps or times[at] >= end:
                return start
        return self._earliest_from(at, n, run_s)

    def _earliest_from(self, first: int, n: int, run_s: float) -> float:
        """Return what ``earliest`` does, if the answer is not before the step `first`."""
        times = np.frombuffer(self._times)[first:]
        enough = np.frombuffer(self._free, dtype=np.int64)[first:] >= n
        change = np.flatnonzero(enough[1:] != enough[:-1]) + 1
        if enough[0]:
            change = np.concatenate([[0], change])
        begins, ends = change[::2], change[1::2]
        start_s = times[begins]
        end_s = np.full(len(begins), np.inf)
        end_s[: len(ends)] = times[ends]
        return float(start_s[np.argmax(end_s >= start_s + run_s)])

    def earliest_before(self, n: int, run_s: float, before: float, *, held: bool) -> float | None:
        """Return the first time, earlier than another one, that :meth:`earliest` may return.

        It is None if there is no such time.

        Parameters
        ----------
        n : int
        run_s : float
        before : float
            The other time, seconds.
        held : bool
            Whether the profile already excludes `n` accelerators for `run_s` seconds from `before`
            on, which the same job would give up.

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.change(60.0, 90.0, -8)
        >>> profile.earliest_before(6, 90.0, 60.0, held=True)
        0.0
        >>> profile.earliest_before(6, 90.0, 60.0, held=False) is None
        True
        """
        times, free = self._times, self._free
        steps = len(times)
        first_after = bisect_left(times, before)
        at, looped = 0, first_after if first_after <= 2 * _FEW else _FEW
        until_s = before if held else math.inf
        while True:
            while at < looped and free[at] < n:
                at += 1
            if at >= looped:
                break
            start = times[at]
            end = min(start + run_s, until_s)
            at += 1
            while at < steps and times[at] < end and free[at] >= n:
                at += 1
            if at == steps or times[at] >= end:
                return start
        if at >= first_after:
            return None
        # A hole that begins in front of `looped` is too short.
        return self._earliest_before(at, n, run_s, before, until_s)

    def _earliest_before(
        self, first: int, n: int, run_s: float, before: float, until_s: float
    ) -> float | None:
        """Return what ``earliest_before`` does, if the answer is not before the step `first`."""
        last = bisect_left(self._times, before if until_s == before else before + run_s) + 1
        enough = np.frombuffer(self._free, dtype=np.int64)[first:last] >= n
        if not np.count_nonzero(enough):
            return None
        times = np.frombuffer(self._times)[first:last]
        change = (enough[1:] != enough[:-1]).nonzero()[0] + 1
        if enough[0]:
            change = np.concatenate([_FIRST, change])
        begins, ends = change[::2], change[1::2]
        start_s = times[begins]
        end_s = np.full(len(begins), np.inf)
        end_s[: len(ends)] = times[ends]
        fits = (end_s >= np.minimum(start_s + run_s, until_s)) & (start_s < before)
        earliest = fits.argmax()
        return float(start_s[earliest]) if fits[earliest] else None

    def _step_at(self, time: float) -> int:
        at = bisect_left(self._times, time)
        if at == len(self._times) or self._times[at] != time:
            self._times.insert(at, time)
            self._free.insert(at, self._free[at - 1])
        return at
