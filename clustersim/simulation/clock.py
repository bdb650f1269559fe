"""SimPy's environment, with events at absolute times and an order within an instant."""

from __future__ import annotations

from heapq import heappush
from typing import Final

import simpy
from simpy.events import Event

__all__ = ["COMPLETION", "END_OF_INSTANT", "OUTAGE", "SCHEDULING", "SUBMISSION", "Clock"]

COMPLETION: Final = 1
OUTAGE: Final = 2
SUBMISSION: Final = 3
SCHEDULING: Final = 4
END_OF_INSTANT: Final = 5
"""Priorities at one instant: what ends, then what fails or comes back, then what is submitted, then
the pass; last the question whether anything is left to happen."""


class Clock(simpy.Environment):
    """Environment of a simulation.

    SimPy schedules after a delay, and ``now + (time - now)`` is not always ``time``
    in floating point.  Here an event happens at just the time that is asked for, so
    that a submission and a completion meant for one instant meet in it.
    """

    def at(self, time: float, priority: int) -> Event:
        """Return an event that happens at `time` (seconds), after those of lower priority."""
        event = Event(self)
        event._ok = True
        event._value = None
        heappush(self._queue, (time, priority, next(self._eid), event))  # type: ignore[misc]
        return event
