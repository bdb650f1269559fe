"""Calls policies at the times that they ask for, and notices those that ask without end."""

from __future__ import annotations

from collections.abc import Callable

from simpy.events import Event

from clustersim.engine.clock import NODE_EVENT, Clock
from clustersim.errors import ClusterSimError
from clustersim.scheduling.policies import Policy

__all__ = ["MOST_IDLE_WAKES", "Wakes"]

MOST_IDLE_WAKES = 100_000
"""Largest number of passes in a row that a policy asks for while nothing comes of them."""
_SHORT_S = 3600.0
"""So many passes are too many within this time, or if no job runs or arrives."""


class Wakes:
    """The times at which policies asked to be called.

    Parameters
    ----------
    clock : Clock
    call : callable
        Called with a policy whose time has come.
    moves : callable
        Returns a value that changes whenever a job starts, stops or ends, and whether a job runs or
        will still arrive.

    Attributes
    ----------
    events : dict of Policy to Event
        What calls each policy that asked to be called.
    """

    def __init__(
        self,
        clock: Clock,
        call: Callable[[Policy], None],
        moves: Callable[[], tuple[object, bool]],
    ) -> None:
        self._clock = clock
        self._call = call
        self._moves = moves
        self.events: dict[Policy, Event] = {}
        self._idle = 0
        self._idle_since_s = 0.0
        self._moved: object = None

    def ask(self, policy: Policy, time: float) -> None:
        """Call a policy at a time (seconds); only its last request since a pass holds."""
        self.forget(policy)

        def wake(_event: Event) -> None:
            self._count(policy)
            self._call(policy)

        event = self.events[policy] = self._clock.at(time, NODE_EVENT)
        event.callbacks.append(wake)

    def forget(self, policy: Policy) -> None:
        """Forget the time at which a policy asked to be called."""
        if (event := self.events.pop(policy, None)) is not None and event.callbacks is not None:
            self._clock.cancel(event)

    def _count(self, policy: Policy) -> None:
        """Raise an error if the policy was called many times in a row, and nothing came of it."""
        moved, something_happens = self._moves()
        now = self._clock.now
        if moved != self._moved:
            self._moved, self._idle, self._idle_since_s = moved, 0, now
        self._idle += 1
        if self._idle <= MOST_IDLE_WAKES:
            return
        if something_happens and now - self._idle_since_s >= _SHORT_S:
            self._idle, self._idle_since_s = 0, now
            return
        raise ClusterSimError(
            f"policy {type(policy).__name__} asked {MOST_IDLE_WAKES:,} times in a row to be called,"
            f" the last time after {now - self._idle_since_s:g} s in all, and started or stopped "
            "no job"
        )
