"""Rates of jobs that share trunks: coupled max-min fairness over their expected demand.

A job that computes and communicates in turns does not use its links all the time. Solving max-min
fairness for jobs that all communicate at the same time overestimates their contention. Here a job
meets every other job with the probability that this other job communicates, its *duty*, which
itself depends on the rates (a mean-field fixed point).

Symbols, for job k on trunk t:

* ``x_k``, the share: the rate of each NIC of the job while it communicates, divided by the rate of
  the port; at most 1.
* ``d_kt``, the demand: bytes/s that the job sends over the trunk at a share of 1.
* ``p_k``, the duty: the time during which the job communicates, divided by its step time.
* ``C_t``, the capacity of the trunk (bytes/s).

Trunk t lets job k have the share ``q_kt``, which is the solution of

    d_kt q + sum over j != k of p_j d_jt min(q, u_jt) = C_t

where ``u_jt`` is the smallest share that any other trunk lets job j have. The job's share is the
smallest ``q_kt``. If all duties are 1, this is max-min fairness.

A trunk whose largest possible demand fits never binds and is never solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints

__all__ = ["INVERSE_SHARES", "NetworkResponse", "SharedTrunks"]

INVERSE_SHARES: Floats = np.array(
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 256.0]
)
"""Inverse shares at which the response of a job is known; between them it is interpolated."""
_MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True, eq=False)
class NetworkResponse:
    """Step time and duty of a job by its share of the network's rate.

    Attributes
    ----------
    slowdown : float64 array, shape of `INVERSE_SHARES`
        Step time divided by the step time at a share of 1, and at least 1; ascending.
    duty : float64 array, shape of `INVERSE_SHARES`
        Time in which the job communicates divided by its step time; between 0 and 1.

    Examples
    --------
    >>> from clustersim.network import NetworkResponse
    >>> response = NetworkResponse.of_share(0.2)
    >>> response.slowdown[:4].tolist(), response.duty[:4].round(3).tolist()
    ([1.0, 1.05, 1.1, 1.2], [0.2, 0.238, 0.273, 0.333])
    """

    slowdown: Floats
    duty: Floats

    @classmethod
    def of_share(cls, communication_share: float) -> NetworkResponse:
        """Return the response of a job whose communication never overlaps with computation.

        Parameters
        ----------
        communication_share : float
            Time in which the job communicates divided by its step time, at a share of 1.

        Examples
        --------
        >>> from clustersim.network import NetworkResponse
        >>> float(NetworkResponse.of_share(0.5).slowdown[3])  # the network has half its rate
        1.5
        """
        communication = communication_share * INVERSE_SHARES
        slowdown = 1.0 - communication_share + communication
        return cls(slowdown, communication / slowdown)


class _Table:
    """Rows of arrays that grow when no row is free."""

    def __init__(self, **columns: tuple[type, tuple[int, ...]]) -> None:
        self._n = 0
        self.free: list[int] = []
        self._names = tuple(columns)
        for name, (kind, width) in columns.items():
            setattr(self, name, np.zeros((0, *width), dtype=kind))

    def take(self) -> int:
        """Return a free row."""
        if not self.free:
            more = max(64, self._n)
            for name in self._names:
                column = getattr(self, name)
                setattr(
                    self,
                    name,
                    np.concatenate(
                        [column, np.zeros_like(column, shape=(more, *column.shape[1:]))]
                    ),
                )
            self.free = list(range(self._n + more - 1, self._n - 1, -1))
            self._n += more
        return self.free.pop()


class _Jobs(_Table):
    """One row for each running job."""

    job: Ints
    share: Floats
    duty: Floats
    slowdown: Floats
    duties: Floats
    slowdowns: Floats

    def __init__(self) -> None:
        width = INVERSE_SHARES.shape
        super().__init__(
            job=(np.int64, ()),
            share=(np.float64, ()),
            duty=(np.float64, ()),
            slowdown=(np.float64, ()),
            duties=(np.float64, width),
            slowdowns=(np.float64, width),
        )


class _Pairs(_Table):
    """One row for each running job on each of its trunks."""

    slot: Ints
    trunk: Ints
    demand: Floats
    allowed: Floats

    def __init__(self) -> None:
        super().__init__(
            slot=(np.int64, ()),
            trunk=(np.int64, ()),
            demand=(np.float64, ()),
            allowed=(np.float64, ()),
        )


class SharedTrunks:
    """The running jobs that share trunks, and the share of each.

    Parameters
    ----------
    capacity_Bps : float64 array (trunks,)
        Capacity of each trunk, one direction (bytes/s).
    tolerance : float
        Relative change of a trunk's demand, or of a job's share, below which nothing is solved
        again.

    Examples
    --------
    Two equal jobs that communicate half of the time share a trunk that one of them can fill:

    >>> import numpy as np
    >>> from clustersim.network import NetworkResponse, SharedTrunks
    >>> trunks = SharedTrunks(np.array([50e9]), tolerance=1e-9)
    >>> response = NetworkResponse.of_share(0.5)
    >>> for job in (0, 1):
    ...     trunks.add(job, [0], [50e9], response)
    >>> trunks.settle()
    [0, 1]
    >>> round(trunks.share(0), 3), round(trunks.slowdown(0), 3)
    (0.618, 1.309)
    """

    def __init__(self, capacity_Bps: Floats, *, tolerance: float = 0.01) -> None:
        self.capacity_Bps = np.asarray(capacity_Bps, dtype=np.float64).copy()
        self.tolerance = tolerance
        n = len(self.capacity_Bps)
        self._demand = np.zeros(n)
        self._solved = np.zeros(n)
        self._binds = np.zeros(n, dtype=bool)
        self._on: list[dict[int, int]] = [{} for _ in range(n)]
        self._slot_of: dict[int, int] = {}
        self._pairs_of: dict[int, Ints] = {}
        self._touched: set[int] = set()
        self._new: set[int] = set()
        self._jobs = _Jobs()
        self._pairs = _Pairs()

    def add(
        self,
        job: int,
        trunks: Sequence[int] | Ints,
        demand_Bps: Sequence[float] | Floats,
        response: NetworkResponse,
    ) -> None:
        """Add a job, with its demand on each of its trunks at a share of 1 (bytes/s)."""
        slot = self._jobs.take()
        self._slot_of[job] = slot
        rows = self._jobs
        rows.job[slot], rows.share[slot] = job, 1.0
        rows.slowdown[slot], rows.duty[slot] = response.slowdown[0], response.duty[0]
        rows.slowdowns[slot], rows.duties[slot] = response.slowdown, response.duty
        pairs = np.array([self._pairs.take() for _ in trunks], dtype=np.int64)
        self._pairs_of[slot] = pairs
        self._pairs.slot[pairs], self._pairs.trunk[pairs] = slot, trunks
        self._pairs.demand[pairs], self._pairs.allowed[pairs] = demand_Bps, 1.0
        for pair, trunk, demand in zip(pairs.tolist(), trunks, demand_Bps, strict=True):
            self._on[trunk][slot] = pair
            self._demand[trunk] += demand
            self._touched.add(int(trunk))
        self._new.add(slot)

    def remove(self, job: int) -> None:
        """Remove a job."""
        slot = self._slot_of.pop(job)
        pairs = self._pairs_of.pop(slot)
        for pair in pairs.tolist():
            trunk = int(self._pairs.trunk[pair])
            del self._on[trunk][slot]
            # An empty trunk has no demand; sums of what was added and removed leave a rest.
            left = self._demand[trunk] - self._pairs.demand[pair] if self._on[trunk] else 0.0
            self._demand[trunk] = left
            self._touched.add(trunk)
            self._pairs.free.append(pair)
        self._new.discard(slot)
        self._jobs.free.append(slot)

    def set_capacity(self, trunk: int, capacity_Bps: float) -> None:
        """Change the capacity of a trunk (bytes/s)."""
        self.capacity_Bps[trunk] = capacity_Bps
        self._solved[trunk] = np.nan
        self._touched.add(trunk)

    def share(self, job: int) -> float:
        """Return the share of a job."""
        return float(self._jobs.share[self._slot_of[job]])

    def slowdown(self, job: int) -> float:
        """Return the step time of a job divided by its step time at a share of 1."""
        return float(self._jobs.slowdown[self._slot_of[job]])

    def utilisation(self) -> Floats:
        """Return the expected load of each trunk divided by its capacity."""
        load = np.zeros(len(self.capacity_Bps))
        for trunk, on in enumerate(self._on):
            if on:
                pairs = np.fromiter(on.values(), np.int64, len(on))
                slots = self._pairs.slot[pairs]
                rates = self._jobs.duty[slots] * self._jobs.share[slots]
                load[trunk] = (rates * self._pairs.demand[pairs]).sum()
        return load / self.capacity_Bps

    def settle(self) -> list[int]:
        """Solve for the shares after the last changes.

        Returns
        -------
        list of int
            The jobs whose slowdown may have changed, in ascending order.
        """
        changed: set[int] = set()
        dirty = self._due()
        for _ in range(_MOST_ROUNDS):
            if not dirty:
                break
            moved = self._solve(dirty)
            changed.update(moved.tolist())
            dirty = self._reached(moved, dirty)
        self._new.clear()
        return sorted(self._jobs.job[list(changed)].tolist()) if changed else []

    def _due(self) -> list[int]:
        """Return the trunks that must be solved, in ascending order."""
        due = []
        starting = {
            int(trunk) for slot in self._new for trunk in self._pairs.trunk[self._pairs_of[slot]]
        }
        for trunk in sorted(self._touched):
            demand, capacity = self._demand[trunk], self.capacity_Bps[trunk]
            binds = demand > capacity * (1.0 + 1e-12)
            if not binds and not self._binds[trunk]:
                continue
            differs = not abs(demand - self._solved[trunk]) <= self.tolerance * capacity
            if differs or trunk in starting or binds != self._binds[trunk]:
                due.append(trunk)
        self._touched.clear()
        return due

    def _solve(self, trunks: list[int]) -> Ints:
        """Solve some trunks jointly; return the slots of jobs whose share moved."""
        rows, pairs = self._jobs, self._pairs
        capacity = self.capacity_Bps[trunks]
        self._solved[trunks] = self._demand[trunks]
        self._binds[trunks] = self._demand[trunks] > capacity * (1.0 + 1e-12)
        of_trunk = [np.fromiter(self._on[t].values(), np.int64, len(self._on[t])) for t in trunks]
        lengths = np.array([len(each) for each in of_trunk])
        if not lengths.any():
            return np.zeros(0, dtype=np.int64)
        inside = np.concatenate(of_trunk)
        trunk = np.repeat(np.arange(len(trunks)), lengths)
        slots, job = np.unique(pairs.slot[inside], return_inverse=True)
        outside = self._outside(slots, inside)
        limit, demand = capacity[trunk], pairs.demand[inside]
        binds = self._binds[trunks][trunk]
        before, share = rows.share[slots], rows.share[slots]
        allowed, duty = pairs.allowed[inside], rows.duty[slots]
        for _ in range(_MOST_ROUNDS):
            caps = _least_elsewhere(job, allowed, outside)
            found = _allowed(trunk, demand, duty[job], caps, limit)
            allowed = np.where(binds, np.minimum(found, 1.0), 1.0)
            new = outside.copy()
            np.minimum.at(new, job, allowed)
            slowdown, duty = _respond(new, rows.slowdowns[slots], rows.duties[slots])
            step = np.abs(new / share - 1.0).max()
            share = new
            if step <= 0.1 * self.tolerance:
                break
        pairs.allowed[inside] = allowed
        rows.share[slots], rows.duty[slots], rows.slowdown[slots] = share, duty, slowdown
        moved = np.abs(share / before - 1.0) > self.tolerance
        moved |= np.isin(slots, list(self._new))
        moved |= (share == 1.0) != (before == 1.0)
        return slots[moved]

    def _outside(self, slots: Ints, inside: Ints) -> Floats:
        """Return the least share that trunks which are not solved now allow each job."""
        pairs = self._pairs
        least = np.ones(len(slots))
        others = [self._pairs_of[slot] for slot in slots.tolist()]
        every = np.concatenate(others)
        owner = np.repeat(np.arange(len(slots)), [len(each) for each in others])
        fixed = np.isin(every, inside, invert=True)
        np.minimum.at(least, owner[fixed], pairs.allowed[every[fixed]])
        return least

    def _reached(self, moved: Ints, solved: list[int]) -> list[int]:
        """Return the trunks that bind, were not solved, and carry a job whose share moved."""
        trunks: set[int] = set()
        for slot in moved.tolist():
            trunks.update(self._pairs.trunk[self._pairs_of[slot]].tolist())
        trunks.difference_update(solved)
        return sorted(t for t in trunks if self._binds[t] or self._demand[t] > self.capacity_Bps[t])


def _least_elsewhere(job: Ints, allowed: Floats, outside: Floats) -> Floats:
    """Return, for each pair, the least share that the job's other trunks allow it."""
    order = np.lexsort((allowed, job))
    first = np.ones(len(order), dtype=bool)
    first[1:] = job[order[1:]] != job[order[:-1]]
    ranked = allowed[order]
    lead = np.flatnonzero(first)
    of_lead = np.cumsum(first) - 1
    second = np.ones(len(lead))
    more = lead + 1
    has_more = (more < len(order)) & ~first[np.minimum(more, len(order) - 1)]
    second[has_more] = ranked[more[has_more]]
    least = np.where(first, second[of_lead], ranked[lead][of_lead])
    caps = np.empty(len(order))
    caps[order] = least
    return np.minimum(caps, outside[job])


def _allowed(trunk: Ints, demand: Floats, duty: Floats, caps: Floats, limit: Floats) -> Floats:
    """Return the share that each trunk allows each of its jobs, which may exceed 1.

    The pairs of a trunk are consecutive. Its load is a piecewise-linear function of the share,
    whose corners are the caps of its jobs; a job adds the part of its demand that the expected load
    omits.
    """
    order = np.lexsort((caps, trunk))
    cap, mean = caps[order], (duty * demand)[order]
    starts = np.flatnonzero(np.r_[True, trunk[1:] != trunk[:-1]])
    lengths = np.diff(np.r_[starts, len(trunk)])
    first = np.repeat(starts, lengths)
    capped = np.cumsum(mean * cap)
    capped -= (capped[starts] - (mean * cap)[starts])[np.repeat(np.arange(len(starts)), lengths)]
    summed = np.cumsum(mean)
    summed -= (summed[starts] - mean[starts])[np.repeat(np.arange(len(starts)), lengths)]
    total = np.repeat(summed[starts + lengths - 1], lengths)
    # At a corner, the jobs up to it are capped and the rest grow.
    own = (1.0 - duty) * demand
    at_corner = capped + cap * (total - summed)
    low, high = first - 1, first + np.repeat(lengths, lengths) - 1
    for _ in range(int(lengths.max()).bit_length() + 1):
        middle = (low + high + 1) // 2
        fits = (middle >= first) & (at_corner[middle] + own * cap[middle] <= limit)
        fits &= middle > low
        low, high = np.where(fits, middle, low), np.where(fits, high, np.maximum(middle - 1, low))
    none = low < first
    held = np.where(none, 0.0, capped[low])
    growing = np.where(none, total, total - summed[low]) + own
    rest = limit - held
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(growing > 0.0, rest / growing, np.inf)
    return np.maximum(found, np.finfo(np.float64).tiny)


def _respond(share: Floats, slowdowns: Floats, duties: Floats) -> tuple[Floats, Floats]:
    """Interpolate slowdown and duty of each job between the inverse shares on either side."""
    inverse = 1.0 / share
    last = len(INVERSE_SHARES) - 2
    at = np.minimum(np.searchsorted(INVERSE_SHARES, inverse, side="right") - 1, last)
    width = INVERSE_SHARES[at + 1] - INVERSE_SHARES[at]
    weight = (inverse - INVERSE_SHARES[at]) / width
    row = np.arange(len(share))
    slowdown = slowdowns[row, at] + weight * (slowdowns[row, at + 1] - slowdowns[row, at])
    # Communication is linear between the points, and the duty is its quotient with the step time.
    busy = duties * slowdowns
    communication = busy[row, at] + weight * (busy[row, at + 1] - busy[row, at])
    return slowdown, np.minimum(communication / slowdown, 1.0)
