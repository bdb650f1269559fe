"""SimPy's environment, with events at absolute times and an order within an instant."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappush
from typing import Any, Final

import simpy
from simpy.core import StopSimulation
from simpy.events import NORMAL, Event, EventPriority, Process

__all__ = [
    "COMPLETION",
    "END_OF_INSTANT",
    "HORIZON",
    "NODE_EVENT",
    "SCHEDULING",
    "SUBMISSION",
    "Clock",
    "ImmediateProcess",
]

HORIZON: Final = 0
COMPLETION: Final = 1
NODE_EVENT: Final = 2
SUBMISSION: Final = 3
SCHEDULING: Final = 4
END_OF_INSTANT: Final = 5
"""Priorities at one instant: the end of the run, then what ends, what fails or comes back, what is
submitted, then the pass; last the question whether anything is left to happen."""
_STOP: Final = 9


class ImmediateProcess(Process):
    """A SimPy process that starts and ends without events of its own.

    SimPy starts a process in an event at the present time, and its end is an event too, for those
    who wait for it.  A job has one process for each attempt, and these two events would be half of
    all events of a simulation.

    Parameters
    ----------
    clock : Clock
    steps : generator of Event
        What the process does; it runs to its first ``yield`` at once.
    """

    def __init__(self, clock: Clock, steps: Generator[Event, Any, Any]) -> None:
        Event.__init__(self, clock)
        self._generator = steps
        self._target = next(steps)
        self._target.callbacks.append(self._resume)


class Clock(simpy.Environment):
    """Environment of a simulation.

    SimPy schedules after a delay, and ``now + (time - now)`` is not always ``time``
    in floating point.  Here an event happens at just the time that is asked for, so
    that a submission and a completion meant for one instant meet in it.

    Attributes
    ----------
    stopped : bool
        Whether :meth:`stop` ended the run.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.stopped = False

    def at(self, time: float, priority: int, value: Any = None) -> Event:
        """Return an event that happens at `time` (seconds), after those of lower priority."""
        event = Event(self)
        event._ok = True
        event._value = value
        heappush(self._queue, (time, priority, next(self._eid), event))  # type: ignore[misc]
        return event

    def start(self, steps: Generator[Event, Any, Any]) -> ImmediateProcess:
        """Start a process at once; see :class:`ImmediateProcess`."""
        return ImmediateProcess(self, steps)

    def schedule(
        self, event: Event, priority: EventPriority = NORMAL, delay: simpy.core.SimTime = 0
    ) -> None:
        """Schedule an event as SimPy does, except for the end of a process that nobody awaits."""
        if type(event) is ImmediateProcess and event._ok and not event.callbacks:
            event.callbacks = None  # type: ignore[assignment]  # SimPy's mark of what has happened
        else:
            super().schedule(event, priority, delay)

    def cancel(self, event: Event) -> None:
        """Let nothing happen at an event that is still to come; its time passes all the same."""
        event.callbacks.clear()
        event._value = None

    def stop(self) -> None:
        """End the run once all that happens at the next instant has happened.

        May be called between any two bytecodes, as by the handler of a signal: the event that is
        being processed may not have set the time yet, so the next event's time is taken.
        """
        if not self._queue:
            return
        event = Event(self)
        event._ok = True
        event._value = None
        event.callbacks.append(self._stop)
        heappush(self._queue, (self._queue[0][0], _STOP, next(self._eid), event))  # type: ignore[misc]

    def _stop(self, _event: Event) -> None:
        self.stopped = True
        raise StopSimulation(None)
