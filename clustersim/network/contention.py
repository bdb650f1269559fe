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

A trunk on which every job could send at a share of 1 never binds and is never solved. This is so if

    d_kt + sum over j != k of p_j d_jt <= C_t for each job k,

with the duties at a share of 1: the mean rate of a job, ``p_j x_j d_jt``, is largest at this share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.network.job_rows import INVERSE_SHARES, JobRows, PairRows

__all__ = ["INVERSE_SHARES", "NetworkResponse", "SharedTrunks"]

_MOST_ROUNDS = 100
_ROOM = 1.0 + 1e-12
"""Relative excess of demand over capacity that rounding explains."""


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
    >>> response.slowdown[:4].round(3).tolist(), response.duty[:4].round(3).tolist()
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

    def at(self, share: float) -> tuple[float, float]:
        """Return slowdown and duty at a share.

        Examples
        --------
        >>> from clustersim.network import NetworkResponse
        >>> slowdown, duty = NetworkResponse.of_share(0.5).at(0.25)
        >>> slowdown, duty
        (2.5, 0.8)
        """
        slowdown, duty = _respond(np.array([share]), self.slowdown[None], self.duty[None])
        return float(slowdown[0]), float(duty[0])


class SharedTrunks:
    """The running jobs that share trunks, and the share of each.

    Parameters
    ----------
    capacity_Bps : float64 array (trunks,)
        Capacity of each trunk, one direction (bytes/s), above 0.
    tolerance : float
        A trunk is solved again when the demand or the load on it has changed by more than this
        part of it.

    Raises
    ------
    InputError
        If a capacity is not above 0.

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

    def __init__(self, capacity_Bps: Floats, *, tolerance: float = 0.02) -> None:
        self.capacity_Bps = np.asarray(capacity_Bps, dtype=np.float64).copy()
        for trunk in np.flatnonzero(~(self.capacity_Bps > 0)).tolist():
            _check_capacity(trunk, float(self.capacity_Bps[trunk]))
        self.tolerance = tolerance
        n = len(self.capacity_Bps)
        self._demand = np.zeros(n)
        self._room = (self.capacity_Bps * _ROOM).tolist()
        self._mean = [0.0] * n  # expected demand at a share of 1
        self._alone = [0.0] * n  # at least the largest demand beyond its expected value of a job
        # Jobs of which no trunk may bind have no rows; they have a share of 1.
        self._parked: dict[int, _Parked] = {}
        self._parked_on: list[dict[int, None]] = [{} for _ in range(n)]
        self._parked_load = [0.0] * n
        self._new_parked: set[int] = set()
        self._drift = np.zeros(n)  # relative
        self._binds = np.zeros(n, dtype=bool)
        self._most = np.ones(n)  # the largest share that each trunk allowed when it was solved
        self._slot_of: dict[int, int] = {}
        self._on = [_Members() for _ in range(n)]
        self._loads: dict[int, _Load] = {}
        self._jobs = JobRows()
        self._pairs = PairRows()
        self._touched: set[int] = set()
        self._new: set[int] = set()

    def add(
        self,
        job: int,
        trunks: Sequence[int] | Ints,
        demand_Bps: Sequence[float] | Floats,
        response: NetworkResponse,
    ) -> None:
        """Add a job, with its demand on each of its trunks at a share of 1 (bytes/s)."""
        own = _Parked(_list(trunks), _list(demand_Bps), response)
        duty, waits = float(response.duty[0]), True
        for trunk, demand in zip(own.trunks, own.demand_Bps, strict=True):
            self._mean[trunk] += duty * demand
            self._alone[trunk] = max(self._alone[trunk], (1.0 - duty) * demand)
            if self._binds[trunk] or self._may_bind(trunk):
                waits = False
                self._wake(trunk)
        if waits:
            self._parked[job] = own
            self._new_parked.add(job)
            for trunk, demand in zip(own.trunks, own.demand_Bps, strict=True):
                self._parked_on[trunk][job] = None
                self._parked_load[trunk] += duty * demand
        else:
            self._enter(job, own)
            self._new.add(self._slot_of[job])

    def _wake(self, trunk: int) -> None:
        """Give rows to all jobs of a trunk that may bind."""
        for job in list(self._parked_on[trunk]):
            self._enter(job, self._unpark(job))

    def _unpark(self, job: int) -> _Parked:
        own = self._parked.pop(job)
        duty = float(own.response.duty[0])
        for trunk, demand in zip(own.trunks, own.demand_Bps, strict=True):
            on = self._parked_on[trunk]
            del on[job]
            self._parked_load[trunk] = self._parked_load[trunk] - duty * demand if on else 0.0
        return own

    def _enter(self, job: int, entry: _Parked) -> None:
        """Give rows to a job."""
        trunks, demand_Bps, response = entry.trunks, entry.demand_Bps, entry.response
        rows, pairs = self._jobs, self._pairs
        slot = self._slot_of[job] = rows.take()
        rows.job[slot], rows.share[slot] = job, 1.0
        rows.slowdown[slot], rows.duty[slot] = response.slowdown[0], response.duty[0]
        rows.slowdowns[slot], rows.duties[slot] = response.slowdown, response.duty
        first = pairs.take(len(trunks))
        rows.first[slot], rows.count[slot] = first, len(trunks)
        own = slice(first, first + len(trunks))
        pairs.slot[own], pairs.trunk[own] = slot, trunks
        pairs.demand[own], pairs.allowed[own] = demand_Bps, 1.0
        for pair, trunk in enumerate(pairs.trunk[own].tolist(), start=first):
            pairs.place[pair] = self._on[trunk].add(pair)
        self._change(pairs.trunk[own], pairs.demand[own])

    def remove(self, job: int) -> None:
        """Remove a job."""
        self._new_parked.discard(job)
        if job in self._parked:
            parked = self._unpark(job)
            self._leave(parked.trunks, parked.demand_Bps, float(parked.response.duty[0]))
            return
        rows, pairs = self._jobs, self._pairs
        slot = self._slot_of.pop(job)
        first, count = int(rows.first[slot]), int(rows.count[slot])
        own = slice(first, first + count)
        trunks = pairs.trunk[own]
        for pair, trunk in enumerate(trunks.tolist(), start=first):
            moved = self._on[trunk].remove(int(pairs.place[pair]))
            pairs.place[moved] = pairs.place[pair]
        self._change(trunks, -pairs.demand[own])
        duty = float(rows.duties[slot, 0])
        self._leave(trunks.tolist(), pairs.demand[own].tolist(), duty)
        pairs.give(first, count)
        rows.give(slot)
        self._new.discard(slot)

    def _leave(self, trunks: list[int], demand_Bps: list[float], duty: float) -> None:
        """Forget the largest possible demand of a job."""
        for trunk, demand in zip(trunks, demand_Bps, strict=True):
            self._mean[trunk] -= duty * demand
            if not self._on[trunk].count and not self._parked_on[trunk]:
                # The sum of what came and went leaves a rest.
                self._demand[trunk] = self._mean[trunk] = self._alone[trunk] = 0.0

    def set_capacity(self, trunk: int, capacity_Bps: float) -> None:
        """Change the capacity of a trunk (bytes/s).

        Raises
        ------
        InputError
            If the capacity is not above 0. Jobs on a trunk without any stand still; they must be
            removed.
        """
        _check_capacity(trunk, capacity_Bps)
        self.capacity_Bps[trunk] = capacity_Bps
        self._room[trunk] = capacity_Bps * _ROOM
        if self._may_bind(trunk):
            self._wake(trunk)
        self._drift[trunk] = np.inf
        self._touched.add(trunk)

    def share(self, job: int) -> float:
        """Return the share of a job."""
        return 1.0 if job in self._parked else float(self._jobs.share[self._slot_of[job]])

    def slowdown(self, job: int) -> float:
        """Return the step time of a job divided by its step time at a share of 1."""
        if job in self._parked:
            return float(self._parked[job].response.slowdown[0])
        return float(self._jobs.slowdown[self._slot_of[job]])

    def utilisation(self) -> Floats:
        """Return the expected load of each trunk divided by its capacity."""
        rows, pairs = self._jobs, self._pairs
        slots = np.fromiter(self._slot_of.values(), dtype=np.int64, count=len(self._slot_of))
        every, owner, _ = rows.ranges(slots)
        rates = (rows.duty[slots] * rows.share[slots])[owner] * pairs.demand[every]
        load = np.bincount(pairs.trunk[every], rates, minlength=len(self.capacity_Bps))
        return np.asarray((load + self._parked_load) / self.capacity_Bps, dtype=np.float64)

    def settle(self) -> list[int]:
        """Solve for the shares after the last changes.

        Returns
        -------
        list of int
            The jobs whose slowdown may have changed, in ascending order.
        """
        changed = set(self._new)
        due = sorted(trunk for trunk in self._touched if self._is_due(trunk))
        waiting = set(due)
        for slot in sorted(self._new):
            self._join(slot, waiting)
        self._touched.clear()
        for _ in range(_MOST_ROUNDS * len(due)):
            if not due:
                break
            trunk = heappop(due)
            waiting.remove(trunk)
            moved, reached = self._solve(trunk)
            changed.update(moved.tolist())
            for other in reached.tolist():
                if other not in waiting and self._is_due(other):
                    waiting.add(other)
                    heappush(due, other)
        self._new.clear()
        jobs = self._new_parked.union(self._jobs.job[list(changed)].tolist())
        self._new_parked.clear()
        return sorted(jobs)

    def _change(self, trunks: Ints, demand: Floats) -> None:
        """Note that the demand on trunks has grown by `demand`."""
        self._demand[trunks] += demand
        whole = np.maximum(self._demand[trunks], self.capacity_Bps[trunks])
        self._drift[trunks] += np.abs(demand) / whole
        self._touched.update(trunks.tolist())

    def _is_due(self, trunk: int) -> bool:
        """Return whether a trunk must be solved."""
        if not self._may_bind(trunk):
            return bool(self._binds[trunk])
        return bool(not self._binds[trunk] or self._drift[trunk] > self.tolerance)

    def _may_bind(self, trunk: int) -> bool:
        return bool(self._mean[trunk] + self._alone[trunk] > self._room[trunk])

    def _join(self, slot: int, due: set[int]) -> None:
        """Let a new job share the trunks that need not be solved, at the rates of the others."""
        rows, pairs = self._jobs, self._pairs
        first, count = int(rows.first[slot]), int(rows.count[slot])
        for pair, trunk in enumerate(pairs.trunk[first : first + count].tolist(), start=first):
            if self._binds[trunk] and trunk not in due:
                allowed = self._loads[trunk].allowed(pairs.demand[pair : pair + 1])[0]
                pairs.allowed[pair] = min(1.0, allowed)
        if count:
            rows.share[slot] = pairs.allowed[first : first + count].min()
            self._respond(np.array([slot]))

    def _solve(self, trunk: int) -> tuple[Ints, Ints]:
        """Solve one trunk; return the slots of jobs whose share moved, and their trunks."""
        rows, pairs = self._jobs, self._pairs
        self._drift[trunk] = 0.0
        inside = self._on[trunk].pairs
        slots = pairs.slot[inside]
        beyond = (1.0 - rows.duties[slots, 0]) * pairs.demand[inside]
        self._alone[trunk] = float(beyond.max(initial=0.0))
        self._binds[trunk] = self._may_bind(trunk)
        every, owner, starts = rows.ranges(slots)
        others = pairs.trunk[every]
        before = _elsewhere(pairs.allowed[every], owner, starts)
        caps = before[others == trunk]
        share, rate = rows.share[slots], rows.share[slots] * rows.duty[slots]
        if self._binds[trunk]:
            found = self._fixed_point(trunk, slots, pairs.demand[inside], caps)
        else:
            found = np.ones(len(slots))
        pairs.allowed[inside] = np.minimum(found, 1.0)
        self._most[trunk] = found.max(initial=0.0)
        rows.share[slots] = np.minimum(found, caps)
        self._respond(slots)
        # The load of another trunk depends on the rate of a job, and on the share that the job
        # could have there, as far as jobs that get more can tell the difference.
        drift = np.abs(rows.share[slots] * rows.duty[slots] - rate)[owner]
        after, most = _elsewhere(pairs.allowed[every], owner, starts), self._most[others]
        could = np.abs(np.minimum(after, most) - np.minimum(before, most))
        drift = np.maximum(drift, rows.duty[slots][owner] * could)
        np.add.at(self._drift, others, pairs.demand[every] / self.capacity_Bps[others] * drift)
        self._drift[trunk] = 0.0
        return slots[rows.share[slots] != share], np.unique(others[drift > 0.0])

    def _fixed_point(self, trunk: int, slots: Ints, demand: Floats, caps: Floats) -> Floats:
        """Return the share that a trunk allows each of its jobs, given their caps elsewhere."""
        rows, capacity = self._jobs, float(self.capacity_Bps[trunk])
        slowdowns, duties = rows.slowdowns[slots], rows.duties[slots]
        order = np.argsort(caps, kind="stable")
        duty, share = rows.duty[slots], rows.share[slots]
        for _ in range(_MOST_ROUNDS):
            load = _Load(caps[order], (duty * demand)[order], capacity)
            found = load.allowed((1.0 - duty) * demand)
            new = np.minimum(found, caps)
            _, duty = _respond(new, slowdowns, duties)
            step = np.abs(new / share - 1.0).max()
            share = new
            if step <= 0.05 * self.tolerance:
                break
        self._loads[trunk] = load
        return found

    def _respond(self, slots: Ints) -> None:
        rows = self._jobs
        rows.slowdown[slots], rows.duty[slots] = _respond(
            rows.share[slots], rows.slowdowns[slots], rows.duties[slots]
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Parked:
    """Trunks of a job, its demand on each (bytes/s), and its response."""

    trunks: list[int]
    demand_Bps: list[float]
    response: NetworkResponse


def _check_capacity(trunk: int, capacity_Bps: float) -> None:
    if not capacity_Bps > 0:
        raise InputError(
            "SharedTrunks", f"capacity_Bps[{trunk}]: must be above 0, found {capacity_Bps:g}"
        )


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else np.asarray(values).tolist()


class _Members:
    """The pairs of one trunk, in an array that grows."""

    def __init__(self) -> None:
        self._pairs = np.zeros(8, dtype=np.int64)
        self.count = 0

    @property
    def pairs(self) -> Ints:
        return self._pairs[: self.count]

    def add(self, pair: int) -> int:
        """Add a pair and return its place."""
        if self.count == len(self._pairs):
            self._pairs = np.concatenate([self._pairs, np.zeros_like(self._pairs)])
        self._pairs[self.count] = pair
        self.count += 1
        return self.count - 1

    def remove(self, place: int) -> int:
        """Remove the pair at a place; the last one takes its place and is returned."""
        self.count -= 1
        last = int(self._pairs[self.count])
        self._pairs[place] = last
        return last


class _Load:
    """Expected load of a trunk, a piecewise-linear function of the share that it allows.

    Its corners are the caps of the trunk's jobs, in ascending order; `mean` is the expected demand
    of each job.
    """

    def __init__(self, caps: Floats, mean: Floats, capacity: float) -> None:
        capped, growing = np.cumsum(mean * caps), mean.sum() - np.cumsum(mean)
        self._rest = capacity - np.concatenate([[0.0], capped])
        self._growing = np.concatenate([[mean.sum()], growing])
        # A job can have the share of a corner if its own unexpected demand is at most the room.
        room = (capacity - capped) / caps - growing
        self._no_room = -np.minimum.accumulate(room)

    def allowed(self, own: Floats) -> Floats:
        """Return the share for jobs whose demand exceeds what the load expects of them by `own`.

        It may exceed 1.
        """
        corner = np.searchsorted(self._no_room, -own, side="right")
        rising = self._growing[corner] + own
        rest = np.maximum(self._rest[corner], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(rising > 1e-12 * self._growing[0], rest / rising, np.inf)
        return np.maximum(found, np.finfo(np.float64).tiny)


def _elsewhere(allowed: Floats, owner: Ints, starts: Ints) -> Floats:
    """Return, for each pair, the smallest share that the other trunks of its job allow."""
    if not len(allowed):
        return allowed
    least = np.minimum.reduceat(allowed, starts)[owner]
    at_least = allowed == least
    second = np.minimum.reduceat(np.where(at_least, 1.0, allowed), starts)[owner]
    shared = np.add.reduceat(at_least, starts, dtype=np.int64)[owner] > 1
    return np.where(at_least & ~shared, second, least)


def _respond(share: Floats, slowdowns: Floats, duties: Floats) -> tuple[Floats, Floats]:
    """Interpolate slowdown and duty of each job between the inverse shares on either side."""
    inverse = 1.0 / share
    last = len(INVERSE_SHARES) - 2
    at = np.minimum(np.searchsorted(INVERSE_SHARES, inverse, side="right") - 1, last)
    weight = (inverse - INVERSE_SHARES[at]) / np.diff(INVERSE_SHARES)[at]
    row = np.arange(len(share))
    low, high = slowdowns[row, at], slowdowns[row, at + 1]
    slowdown = low + weight * (high - low)
    # Communication is linear between the points, and the duty is its quotient with the step time.
    low, high = duties[row, at] * low, duties[row, at + 1] * high
    return slowdown, np.minimum((low + weight * (high - low)) / slowdown, 1.0)
