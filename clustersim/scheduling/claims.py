"""What gangs that wait for a partition claim of it, kept until the partition changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from clustersim.scheduling.placement import NodeFree, NodePlacement

__all__ = ["Claim", "Claims"]


@dataclass(slots=True)
class Claim:
    """Nodes of a partition that a gang of some size waits for.

    Several reservations may use it, which do not change its arrays.

    Attributes
    ----------
    shadow : float
        When the gang can start, by the running jobs' estimated ends; seconds.
    surplus : int array (nodes,)
        Accelerators of each node that are free then and that it leaves over.
    """

    shadow: float
    surplus: NodeFree
    _unclaimed: NodeFree | None = None
    _largest: int = -1

    def unclaimed(self, placement: NodePlacement) -> NodeFree:
        """Return the accelerators of each node that are free now and that it leaves over."""
        if self._unclaimed is None:
            self._unclaimed = np.minimum(placement.free_by_node(), self.surplus)
        return self._unclaimed

    def largest(self, placement: NodePlacement) -> int:
        """Return a size that no gang exceeds which fits on what is unclaimed."""
        if self._largest < 0:
            self._largest = placement.largest_gang_in(self.unclaimed(placement))
        return self._largest


@dataclass(slots=True)
class Claims:
    """What is known of gangs that wait for a partition, by size, in one state of it.

    Attributes
    ----------
    claims : dict of int to Claim
    soonest_s : dict of int to float
        Before when a gang does not fit, seconds.
    """

    claims: dict[int, Claim] = field(default_factory=dict)
    soonest_s: dict[int, float] = field(default_factory=dict)
    _state: tuple[int, int] = (-1, -1)

    def of(self, state: tuple[int, int]) -> Claims:
        """Return itself, having forgotten what was known of another state."""
        if self._state != state:
            self._state = state
            self.claims.clear()
            self.soonest_s.clear()
        return self
