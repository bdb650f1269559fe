"""A SimPy environment with events at absolute times and a fixed order within an instant."""

from __future__ import annotations

import math
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
    "NETWORK",
    "NODE_EVENT",
    "SCHEDULING",
    "STORAGE",
    "SUBMISSION",
    "Clock",
    "ImmediateProcess",
]

HORIZON: Final = 0
COMPLETION: Final = 1
NODE_EVENT: Final = 2
SUBMISSION: Final = 3
SCHEDULING: Final = 4
NETWORK: Final = 5
STORAGE: Final = 6
END_OF_INSTANT: Final = 7
"""Priorities of events at the same instant, in the order in which they happen: the horizon,
completions, node events, submissions, the scheduling pass, new shares of the network and of the
storage, and the check for the end of the run."""
_STOP: Final = 9


_new = Event.__new__
"""Makes an event without the call of ``Event.__init__``, which costs as much as the rest."""


class ImmediateProcess(Process):
    """A SimPy process that starts and ends without events of its own.

    SimPy starts a process with an event at the current time. The end of a process is also an event,
    on which other processes can wait. A job has one process for each attempt, so these two events
    would make up half of all events of a simulation.

    Parameters
    ----------
    clock : Clock
    steps : generator of Event
        The body of the process; it runs to its first ``yield`` immediately.
    """

    def __init__(self, clock: Clock, steps: Generator[Event, Any, Any]) -> None:
        self.env, self.callbacks = clock, []  # what Event.__init__ does
        self._generator = steps
        self._target = target = next(steps)
        target.callbacks.append(self._resume)


class Clock(simpy.Environment):
    """SimPy environment of a simulation, with events at absolute times.

    SimPy schedules an event after a delay, and ``now + (time - now)`` is not always ``time`` in
    floating point. Here an event happens at exactly the requested time, so that a submission and a
    completion at the same time share an instant.

    Attributes
    ----------
    stopped : bool
        Whether :meth:`stop` ended the run.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.stopped = False

    def at(self, time: float, priority: int, value: Any = None) -> Event:
        """Return an event that happens at `time` (seconds), after events of lower `priority`."""
        event = _new(Event)
        event.env, event.callbacks, event._ok, event._value = self, [], True, value
        heappush(self._queue, (time, priority, next(self._eid), event))  # type: ignore[misc]
        return event

    def start(self, steps: Generator[Event, Any, Any]) -> ImmediateProcess:
        """Start a process immediately; see :class:`ImmediateProcess`."""
        return ImmediateProcess(self, steps)

    def schedule(
        self, event: Event, priority: EventPriority = NORMAL, delay: simpy.core.SimTime = 0
    ) -> None:
        """Schedule an event as SimPy does, but skip the end of a process if nobody waits for it."""
        if type(event) is ImmediateProcess and event._ok and not event.callbacks:
            event.callbacks = None  # type: ignore[assignment]  # SimPy's mark of a processed event
        else:
            super().schedule(event, priority, delay)

    def cancel(self, event: Event) -> None:
        """Remove the effect of a future event; the clock still advances to its time.

        An event that has happened, or was cancelled before, stays as it is.
        """
        if event.callbacks is not None:
            event.callbacks.clear()
            event._value = None

    def move(self, event: Event, time: float, priority: int) -> Event:
        """Return an event at another time, or never, for what would happen at a future event.

        The clock still advances to the time of the future event.
        """
        moved = Event(self) if time == math.inf else self.at(time, priority)
        moved.callbacks, event.callbacks = event.callbacks, moved.callbacks
        return moved

    def stop(self) -> None:
        """End the run after all events of the next instant.

        A signal handler may call this between any two bytecodes. The event being processed may not
        have set the time yet, so the time of the next event is used.
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
