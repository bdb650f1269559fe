"""Claims of waiting gangs on a partition, cached until the partition changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from clustersim.scheduling.placements import NodeFree, NodePlacement

__all__ = ["Claim", "Claims"]


@dataclass(slots=True)
class Claim:
    """Nodes of a partition that are reserved for a waiting gang of a certain size.

    Several reservations may share a claim. They do not change the arrays of a shared claim.

    Attributes
    ----------
    shadow : float
        Time at which the gang can start if running jobs end at their estimates, seconds.
    surplus : int array (nodes,)
        Accelerators of each node that are free at that time and not claimed.
    """

    shadow: float
    surplus: NodeFree
    _unclaimed: NodeFree | None = None
    _largest: int = -1

    def unclaimed(self, placement: NodePlacement) -> NodeFree:
        """Return the accelerators of each node that are free now and not claimed."""
        if self._unclaimed is None:
            self._unclaimed = np.minimum(placement.free_by_node(), self.surplus)
        return self._unclaimed

    def largest(self, placement: NodePlacement) -> int:
        """Return an upper bound on the size of a gang that fits on unclaimed accelerators."""
        if self._largest < 0:
            self._largest = placement.largest_gang_in(self.unclaimed(placement))
        return self._largest


@dataclass(slots=True)
class Claims:
    """Cached results for waiting gangs by size, valid for one state of a partition.

    Attributes
    ----------
    claims : dict of int to Claim
        The claim for each gang size.
    soonest_s : dict of int to float
        Lower bound on the time at which a gang of each size fits, seconds.
    """

    claims: dict[int, Claim] = field(default_factory=dict)
    soonest_s: dict[int, float] = field(default_factory=dict)
    _state: tuple[int, int] = (-1, -1)

    def of(self, state: tuple[int, int]) -> Claims:
        """Return this cache, but first discard its results if they belong to another state."""
        if self._state != state:
            self._state = state
            self.claims.clear()
            self.soonest_s.clear()
        return self
