"""Number of free accelerators in the future, as a step function of time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

__all__ = ["Profile"]


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
        self._times = [now]
        self._free = [free]

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
        for at in range(first, last):
            free[at] += n
        for at in (last, first):
            if at and free[at] == free[at - 1]:
                del self._times[at], free[at]

    def earliest(self, n: int, run_s: float) -> float:
        """Return the first time at which `n` accelerators are free for `run_s` seconds."""
        times, free = self._times, self._free
        steps = len(times)
        at = 0
        while True:
            while free[at] < n:
                at += 1
            start = times[at]
            end = start + run_s
            at += 1
            while at < steps and times[at] < end and free[at] >= n:
                at += 1
            if at == steps or times[at] >= end:
                return start

    def _step_at(self, time: float) -> int:
        at = bisect_left(self._times, time)
        if at == len(self._times) or self._times[at] != time:
            self._times.insert(at, time)
            self._free.insert(at, self._free[at - 1])
        return at
