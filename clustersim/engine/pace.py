"""How far a running attempt is, when slow nodes make it slower for a while."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Pace"]


class Pace(NamedTuple):
    """How far an attempt was at some time, and how slow it has been since.

    Attributes
    ----------
    since_s : float
        That time.
    done_s : float
        What it had done by then, in seconds at full speed.
    slowdown : float
        How many times as long as at full speed all takes since then.

    Examples
    --------
    >>> pace = Pace(since_s=100.0, done_s=0.0, slowdown=1.0).changed(150.0, 2.0)
    >>> pace.at(170.0), pace.end_s(80.0)
    (60.0, 210.0)
    """

    since_s: float
    done_s: float
    slowdown: float

    def at(self, now: float) -> float:
        """Return what it has done by `now`, in seconds at full speed."""
        return self.done_s + (now - self.since_s) / self.slowdown

    def changed(self, now: float, slowdown: float) -> Pace:
        """Return the pace from `now` on."""
        return Pace(now, self.at(now), slowdown)

    def end_s(self, whole_s: float) -> float:
        """Return when it ends, if it takes `whole_s` seconds at full speed."""
        return self.since_s + (whole_s - self.done_s) * self.slowdown
