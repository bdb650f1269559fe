"""Shares that trunks allow their jobs, given what the other trunks of each job allow."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats, Ints

__all__ = ["ExpectedLoad"]

_MOST_STEPS = 30


class ExpectedLoad:
    """The load that each of some trunks expects if it allows a share, relative to its capacity.

    The expected load of a trunk, as a function of the share q, is the sum of ``m_j min(q, u_j)``
    over its jobs. It is piecewise linear and concave, with a corner at the cap of each job.

    Parameters
    ----------
    owner : int64 array (pairs,)
        Trunk of each pair of a trunk and a job, ascending from 0.
    starts : int64 array (trunks,)
        The first pair of each trunk.
    cap : float64 array (pairs,)
        The share ``u`` that the other trunks of the job allow it; above 0 and at most 1.
    mean : float64 array (pairs,)
        Expected demand ``m`` of the job at a share of 1: its demand times its duty.

    Examples
    --------
    Two jobs want the whole trunk for half of the time. The second one is limited to a tenth of its
    rate elsewhere. The first one can have the share q with ``q + 0.5 min(q, 0.1) = 1``:

    >>> import numpy as np
    >>> from clustersim.network.expected_load import ExpectedLoad
    >>> both, none = np.array([0, 0]), np.array([0])
    >>> load = ExpectedLoad(both, none, np.array([1.0, 0.1]), np.array([0.5, 0.5]))
    >>> one = np.array([0])
    >>> load.allowed(one, np.ones(1), np.array([1.0]), np.array([0.5]), np.ones(1), 1e-9)
    (array([0.95]), array([0.95]))
    """

    def __init__(self, owner: Ints, starts: Ints, cap: Floats, mean: Floats) -> None:
        # Caps are at most 1, so half of them keeps the trunks apart.
        corner = owner + 0.5 * cap
        order = corner.argsort(kind="stable")
        self._corner = corner[order]
        mean = mean[order]
        ends = np.append(starts[1:], len(mean))
        self._alone = ends - starts == 1
        self._capped = np.zeros(len(mean) + 1)
        self._below = np.zeros(len(mean) + 1)
        (mean * cap[order]).cumsum(out=self._capped[1:])
        mean.cumsum(out=self._below[1:])
        self._capped_before = self._capped[starts]
        self._whole = self._below[ends]
        self._total = self._whole - self._below[starts]

    def allowed(
        self,
        owner: Ints,
        share: Floats,
        demand: Floats,
        mean: Floats,
        cap: Floats,
        tolerance: float,
    ) -> tuple[Floats, Floats]:
        """Return the share that the trunk allows each pair, and how steep the load is there.

        Newton's method: the root of a tangent is at most the share sought, because the load is
        concave, and after the first step the iterates ascend. It ends after a finite number of
        steps, because the load is piecewise linear.

        Parameters
        ----------
        owner : int64 array (pairs,)
            Trunk of each pair.
        share : float64 array (pairs,)
            A guess, above 0 and at most 1.
        demand, mean, cap : float64 arrays (pairs,)
            As in :class:`ExpectedLoad`; `demand` is that at a share of 1.
        tolerance : float
            Relative error that is allowed.

        Returns
        -------
        share : float64 array (pairs,)
            At most 1.
        steepness : float64 array (pairs,)
            Change of the load with a relative change of the share, divided by the capacity: if the
            load grows by a part x of the capacity, the share falls by about the part
            ``x / steepness``.
        """
        room = 1.0 + self._capped_before[owner]
        whole, beyond = self._whole[owner], demand - mean
        least = 1.0 / (self._total[owner] + demand)
        kept, limit = mean * cap, 1.0 / (1.0 + tolerance)
        own_corner = owner + 0.5 * cap
        for _ in range(_MOST_STEPS):
            corner = owner + 0.5 * share
            at, over = self._corner.searchsorted(corner), corner > own_corner
            rest = room - self._capped[at] + over * kept
            rising = whole - self._below[at] + np.where(over, demand, beyond)
            found = np.minimum(np.maximum(rest / rising, least), 1.0)
            settled = np.minimum(found, share) >= limit * np.maximum(found, share)
            share = found
            if settled.all():
                break
        if self._alone.any():  # without the rounding of sums over other trunks
            share = np.where(self._alone[owner], np.minimum(1.0 / demand, 1.0), share)
        return share, rising * share
