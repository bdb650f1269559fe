"""Nodes that are out of service (failed, not there yet, or gone) or slow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clustersim.units import SECONDS_PER_YEAR

__all__ = ["LAST_S", "Outage", "SoundOutages", "without_overlaps"]

LAST_S = 100 * SECONDS_PER_YEAR
"""Seconds; nothing fails later, and a run with outages and without a horizon ends here."""


class Outage(NamedTuple):
    """A node that is out of service, or slow, for a while.

    Attributes
    ----------
    begin_s, end_s : float
        When it stops serving and serves again; the end is infinite if it never does.
    pool, node : int
        Which one: the pool's place in the cluster, the node's in the pool.
    cause : str
        Why, for tables and timelines.
    planned : bool
        Whether its jobs can save their state before they are stopped.
    absent : bool
        Whether it is not there at all: not delivered yet, or retired.
    slowdown : float
        How many times as long as else its jobs take meanwhile; infinite if it is out of service.
    repair : bool
        Whether it is the planned repair of what was found to be slow.
    part : bool
        Whether a repair needs a spare part.
    """

    begin_s: float
    end_s: float
    pool: int
    node: int
    cause: str = ""
    planned: bool = False
    absent: bool = False
    slowdown: float = math.inf
    repair: bool = False
    part: bool = True

    @property
    def slows(self) -> bool:
        """Whether the node still serves, only slower."""
        return self.slowdown < math.inf


class SoundOutages(Iterator[Outage]):
    """Outages of :func:`without_overlaps`, so that it is not applied to them again."""

    def __init__(self, found: Iterator[Outage]) -> None:
        self._found = found

    def __iter__(self) -> Iterator[Outage]:
        return self._found

    def __next__(self) -> Outage:
        return next(self._found)


def without_overlaps(
    outages: Iterable[Outage], gone_s: Sequence[npt.NDArray[np.float64]] | None = None
) -> SoundOutages:
    """Return outages of which none begins while its node is out of service already.

    What fails is a node in service: a failure while it is out does not happen.  A planned outage
    (maintenance, of a node under repair) begins where the other ends, if it lasts longer; one that
    is a repair itself is spared.  A node that is only slow can fail.  A failure stops the jobs of
    its node also if a spare takes over at once.

    Parameters
    ----------
    outages : iterable of Outage
        In order of their begin; those that this function returned are returned as they are.
    gone_s : sequence of float64 array (nodes,), optional
        By pool; where a node goes out of service for good, the time (seconds) is written to it.

    Examples
    --------
    >>> planned = Outage(2, 9, 0, 0, "retired", planned=True)
    >>> found = without_overlaps([Outage(0, 5, 0, 0), planned, Outage(3, 4, 0, 0)])
    >>> [(outage.begin_s, outage.end_s) for outage in found]
    [(0, 5), (5, 9)]
    """
    return outages if isinstance(outages, SoundOutages) else SoundOutages(_sound(outages, gone_s))


def _sound(
    outages: Iterable[Outage], gone_s: Sequence[npt.NDArray[np.float64]] | None
) -> Iterator[Outage]:
    out_until: dict[tuple[int, int], float] = {}
    deferred: list[Outage] = []
    coming = iter(outages)
    following = next(coming, None)
    while deferred or following is not None:
        if deferred and (following is None or deferred[0] <= following):
            outage = heappop(deferred)
        else:
            assert following is not None
            outage, following = following, next(coming, None)
        if outage.slows:
            yield outage
            continue
        key = outage.pool, outage.node
        begin_s = max(outage.begin_s, out_until.get(key, 0.0))
        if outage.end_s < begin_s or (outage.planned and outage.end_s == begin_s):
            continue
        if begin_s == outage.begin_s:
            out_until[key] = outage.end_s
            if gone_s is not None and outage.end_s == math.inf:
                gone_s[outage.pool][outage.node] = begin_s
            yield outage
        elif outage.planned and not outage.repair:
            heappush(deferred, outage._replace(begin_s=begin_s))
