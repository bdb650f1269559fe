"""Number of free accelerators in the future, as a step function of time."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right

import numpy as np

from clustersim.array_types import Bools, Floats

__all__ = ["ROUNDING_S", "Profile"]

ROUNDING_S = 1e-3
"""More than the error of the difference of two times."""
_FIRST = np.zeros(1, dtype=np.int64)
_NEVER, _ALWAYS = np.full(1, -np.inf), np.full(1, np.inf)
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

    def range(self, start: float, end: float) -> tuple[int, int]:
        """Return the least and the most accelerators free at any time from `start` to `end`.

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.range(30.0, 90.0), profile.range(30.0, 60.0)
        ((6, 10), (6, 6))
        """
        free = self._free[bisect_right(self._times, start) - 1 : bisect_left(self._times, end)]
        return min(free), max(free)

    def hole_around(self, n: int, start: float, end: float) -> tuple[float, float]:
        """Return the time from `start` to `end`, extended for as long as `n` accelerators are free.

        Whether they are free from `start` to `end` does not matter.

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.change(30.0, 45.0, -4)
        >>> profile.hole_around(6, 30.0, 45.0), profile.hole_around(7, 45.0, 60.0)
        ((0.0, inf), (45.0, inf))
        """
        times = self._times
        first, last = bisect_right(times, start) - 1, bisect_left(times, end)
        too_few = np.frombuffer(self._free, dtype=np.int64) < n
        in_front, behind = too_few[:first].nonzero()[0], too_few[last:].nonzero()[0]
        begin = times[in_front[-1] + 1] if len(in_front) else times[0]
        return begin, times[last + behind[0]] if len(behind) else math.inf

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

    def may_be_earlier(self, n: int, run_s: Floats, before: Floats, held: Bools) -> Bools:
        """Return for which of many jobs of one size :meth:`earliest_before` may return a time.

        It is true for all jobs for which it does.

        Parameters
        ----------
        n : int
        run_s, before : float64 arrays (jobs,)
            Seconds.
        held : bool array (jobs,)

        Examples
        --------
        >>> profile = Profile(0.0, 10)
        >>> profile.change(0.0, 60.0, -4)
        >>> profile.change(60.0, 90.0, -8)
        >>> run_s, before = np.array([90.0, 5.0, 90.0, 5.0]), np.full(4, 60.0)
        >>> profile.may_be_earlier(6, run_s, before, np.array([True, True, False, False])).tolist()
        [True, True, False, True]
        """
        enough = np.frombuffer(self._free, dtype=np.int64) >= n
        change = (enough[1:] != enough[:-1]).nonzero()[0] + 1
        if enough[0]:
            change = np.concatenate([_FIRST, change])
        times = np.frombuffer(self._times)[change]
        begins = times[::2]
        ends = np.concatenate([_NEVER, times[1::2], _ALWAYS])[: len(begins) + 1]
        longest = np.concatenate([_NEVER, np.maximum.accumulate(ends[1:] - begins)])
        in_front = begins.searchsorted(before)
        long_enough: Bools = longest[in_front] >= run_s - ROUNDING_S
        reaches: Bools = held & (ends[in_front] >= before)
        return long_enough | reaches

    def _step_at(self, time: float) -> int:
        at = bisect_left(self._times, time)
        if at == len(self._times) or self._times[at] != time:
            self._times.insert(at, time)
            self._free.insert(at, self._free[at - 1])
        return at
