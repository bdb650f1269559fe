"""Node events, such as failures, slowdowns, late deliveries and reservations by services."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from clustersim.array_types import Floats
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["LAST_S", "NodeEvent", "NodeEventKind", "SoundEvents", "cause_text", "without_overlaps"]

LAST_S = 100 * SECONDS_PER_YEAR
"""Latest time of a failure, and end of a run with node events but no horizon; seconds."""


class NodeEventKind(IntEnum):
    """Kind of a node event.

    The numbers determine the order of events of one node that begin and end at the same times.
    """

    SLOWDOWN = 0
    """The node stays in service, but its jobs take longer."""
    FAILURE = 1
    """The node fails, and its jobs are stopped without warning."""
    MAINTENANCE = 2
    """The node is out of service for planned maintenance."""
    SERVICE = 3
    """The node is assigned to an inference service."""
    REPAIR = 4
    """The node is out of service while the cause of a detected slowdown is repaired."""
    LATE_DELIVERY = 5
    """The node has not been delivered yet."""
    NO_ROOM = 6
    """The node has been delivered, but there is no power or space for it."""
    RETIREMENT = 7
    """The node leaves the fleet."""
    CUT_OFF = 8
    """Faults have cut the node off from the network, and its jobs are stopped without warning."""

    @property
    def planned(self) -> bool:
        """Whether jobs can save their state before they are stopped."""
        return self not in _UNPLANNED

    @property
    def absent(self) -> bool:
        """Whether the node is outside the fleet, or switched off, during the event."""
        return self in _ABSENT

    @property
    def label(self) -> str:
        """Name of the kind in tables."""
        return self.name.lower().replace("_", " ")


_UNPLANNED = frozenset({NodeEventKind.SLOWDOWN, NodeEventKind.FAILURE, NodeEventKind.CUT_OFF})
_ABSENT = frozenset({NodeEventKind.LATE_DELIVERY, NodeEventKind.NO_ROOM, NodeEventKind.RETIREMENT})


def cause_text(kind: NodeEventKind, cause: str) -> str:
    """Return the cause of an event as shown in tables and timelines.

    Examples
    --------
    >>> cause_text(NodeEventKind.SERVICE, "chat")
    'serving chat'
    """
    return f"serving {cause}" if kind is NodeEventKind.SERVICE else cause


class NodeEvent(NamedTuple):
    """A period during which a node is out of service or slow.

    Attributes
    ----------
    begin_s, end_s : float
        Start and end, seconds; the end is infinite if the event never ends.
    pool, node : int
        Index of the pool in the cluster and of the node in the pool. An event of the pool -1 is a
        pause: nothing happens, and further events are drawn only when its time has come.
    cause : str
        Name of the failure source or of the inference service, for tables and timelines.
    kind : NodeEventKind
    slowdown : float
        Time per step of the jobs on the node divided by the time per step at full speed; infinite
        unless the event is a slowdown.
    needs_part : bool
        Whether the repair of the node needs a spare part.
    waits : bool
        Whether the node leaves service only once the jobs that run on it have left.
    """

    begin_s: float
    end_s: float
    pool: int
    node: int
    cause: str = ""
    kind: NodeEventKind = NodeEventKind.FAILURE
    slowdown: float = math.inf
    needs_part: bool = True
    waits: bool = False

    @property
    def slows(self) -> bool:
        """Whether the node stays in service at a lower speed."""
        return self.kind is NodeEventKind.SLOWDOWN

    @property
    def is_pause(self) -> bool:
        """Whether nothing happens."""
        return self.pool < 0


class SoundEvents(Iterator[NodeEvent]):
    """Events returned by :func:`without_overlaps`, which does not process them again."""

    def __init__(self, found: Iterator[NodeEvent]) -> None:
        self._found = found

    def __iter__(self) -> Iterator[NodeEvent]:
        return self._found

    def __next__(self) -> NodeEvent:
        return next(self._found)


def without_overlaps(
    events: Iterable[NodeEvent], gone_s: Sequence[Floats] | None = None
) -> SoundEvents:
    """Drop or postpone node events that begin while their node is out of service.

    Only a node in service can fail, so a failure while the node is out of service is dropped. A
    slow node can fail. A planned event that begins while the node is out of service (such as
    maintenance of a node under repair) is postponed to the end of the earlier event, or dropped if
    it would be over by then; so is the time in which the node is cut off. A repair that
    would begin while the node is out of service is always dropped. A failure of zero length is
    kept: a spare replaces the node immediately, but its jobs are stopped.

    Parameters
    ----------
    events : iterable of NodeEvent
        In order of their start. Events that this function returned are returned unchanged.
    gone_s : sequence of float64 array (nodes,), optional
        One array per pool, into which the function writes the time (seconds) at which a node leaves
        service permanently.

    Examples
    --------
    >>> planned = NodeEvent(2, 9, 0, 0, "update", NodeEventKind.MAINTENANCE)
    >>> found = without_overlaps([NodeEvent(0, 5, 0, 0), planned, NodeEvent(3, 4, 0, 0)])
    >>> [(event.begin_s, event.end_s) for event in found]
    [(0, 5), (5, 9)]
    """
    return events if isinstance(events, SoundEvents) else SoundEvents(_sound(events, gone_s))


def _sound(events: Iterable[NodeEvent], gone_s: Sequence[Floats] | None) -> Iterator[NodeEvent]:
    out_until: dict[tuple[int, int], float] = {}
    deferred: list[NodeEvent] = []
    coming = iter(events)
    following = next(coming, None)
    while deferred or following is not None:
        if deferred and (following is None or deferred[0] <= following):
            event = heappop(deferred)
        else:
            assert following is not None
            event, following = following, next(coming, None)
        if event.slows or event.is_pause:
            yield event
            continue
        key = event.pool, event.node
        begin_s = max(event.begin_s, out_until.get(key, 0.0))
        lasts = event.kind.planned or event.kind is NodeEventKind.CUT_OFF
        if event.end_s < begin_s or (lasts and event.end_s == begin_s):
            continue
        if begin_s == event.begin_s:
            out_until[key] = event.end_s
            if gone_s is not None and event.end_s == math.inf:
                gone_s[event.pool][event.node] = begin_s
            yield event
        elif lasts and event.kind is not NodeEventKind.REPAIR:
            heappush(deferred, event._replace(begin_s=begin_s))
