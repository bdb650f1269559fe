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
from typing import Any

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.network.expected_load import ExpectedLoad
from clustersim.network.job_rows import JobRows, PairRows, TrunkPairs
from clustersim.network.response import INVERSE_SHARES, NetworkResponse, respond
from clustersim.notes import note

__all__ = ["INVERSE_SHARES", "NetworkResponse", "SharedTrunks"]

_MOST_ROUNDS = 200
_NEWTON = 0.1
"""Error of a trunk's shares, relative to the tolerance."""
_ROOM = 1.0 + 1e-12
"""Relative excess of demand over capacity that rounding explains."""


class SharedTrunks:
    """The running jobs that share trunks, and the share of each.

    Parameters
    ----------
    capacity_Bps : float64 array (trunks,)
        Capacity of each trunk, one direction (bytes/s), above 0.
    tolerance : float
        A trunk is solved again when the slowdown of one of its jobs may have changed by more than
        half of this part of it.

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
        self._room = (self.capacity_Bps * _ROOM).tolist()
        self._mean = [0.0] * n  # expected demand at a share of 1
        self._alone = [0.0] * n  # at least the largest demand beyond its expected value of a job
        # Jobs of which no trunk may bind have no rows; they have a share of 1.
        self._parked: dict[int, _Parked] = {}
        self._parked_on: list[dict[int, None]] = [{} for _ in range(n)]
        self._parked_load = [0.0] * n
        self._new_parked: set[int] = set()
        self._binds = np.zeros(n, dtype=bool)
        # What the load of each trunk at its level has changed by since the trunk was solved,
        # divided by the capacity. The level is the largest share that the trunk allowed a job.
        self._drift = np.zeros(n)
        self._level = np.ones(n)
        # Largest relative change of a slowdown with such a change of the load.
        self._sensitivity = np.ones(n)
        self._slot_of: dict[int, int] = {}
        self._on = TrunkPairs(n)
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
            self._new.add(self._enter(job, own))

    def _wake(self, trunk: int) -> None:
        """Give rows to all jobs of a trunk that may bind."""
        for job in list(self._parked_on[trunk]):
            slot = self._enter(job, self._unpark(job))
            if job in self._new_parked:
                self._new_parked.discard(job)
                self._new.add(slot)
            else:
                self._jobs.reported[slot] = self._jobs.slowdown[slot]

    def _unpark(self, job: int) -> _Parked:
        own = self._parked.pop(job)
        duty = float(own.response.duty[0])
        for trunk, demand in zip(own.trunks, own.demand_Bps, strict=True):
            on = self._parked_on[trunk]
            del on[job]
            self._parked_load[trunk] = self._parked_load[trunk] - duty * demand if on else 0.0
        return own

    def _enter(self, job: int, entry: _Parked) -> int:
        """Give rows to a job; return its slot."""
        trunks, response = np.array(entry.trunks, dtype=np.int64), entry.response
        rows, pairs = self._jobs, self._pairs
        slot = self._slot_of[job] = rows.take()
        rows.job[slot], rows.share[slot], rows.reported[slot] = job, 1.0, 0.0
        rows.slowdown[slot], rows.duty[slot] = response.slowdown[0], response.duty[0]
        rows.slowdowns[slot], rows.duties[slot] = response.slowdown, response.duty
        count = len(trunks)
        first = pairs.take(count)
        rows.first[slot], rows.count[slot] = first, count
        own = slice(first, first + count)
        pairs.slot[own], pairs.trunk[own] = slot, trunks
        demand = np.array(entry.demand_Bps) / self.capacity_Bps[trunks]
        pairs.demand[own] = demand
        pairs.allowed[own] = pairs.cap[own] = 1.0
        pairs.place[own] = self._on.add(trunks, np.arange(first, first + count))
        self._drift[trunks] += rows.duty[slot] * demand * self._level[trunks]
        self._touched.update(entry.trunks)
        return slot

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
        trunks, demand = pairs.trunk[own], pairs.demand[own]
        places = pairs.place[own].copy()
        pairs.place[self._on.remove(trunks, places)] = places
        at_level = np.minimum(pairs.cap[own], self._level[trunks])
        self._drift[trunks] -= rows.duty[slot] * demand * at_level
        demand_Bps = (demand * self.capacity_Bps[trunks]).tolist()
        self._touched.update(trunks.tolist())
        self._leave(trunks.tolist(), demand_Bps, float(rows.duties[slot, 0]))
        pairs.give(first, count)
        rows.give(slot)
        self._new.discard(slot)

    def _leave(self, trunks: list[int], demand_Bps: list[float], duty: float) -> None:
        """Forget the largest possible demand of a job."""
        for trunk, demand in zip(trunks, demand_Bps, strict=True):
            self._mean[trunk] -= duty * demand
            if not self._on.count[trunk] and not self._parked_on[trunk]:
                # The sum of what came and went leaves a rest.
                self._mean[trunk] = self._alone[trunk] = 0.0

    def set_capacity(self, trunk: int, capacity_Bps: float) -> None:
        """Change the capacity of a trunk (bytes/s).

        Raises
        ------
        InputError
            If the capacity is not above 0. Jobs on a trunk without any stand still; they must be
            removed.
        """
        _check_capacity(trunk, capacity_Bps)
        inside, _, _ = self._on.of(np.array([trunk]))
        self._pairs.demand[inside] *= self.capacity_Bps[trunk] / capacity_Bps
        self.capacity_Bps[trunk] = capacity_Bps
        self._room[trunk] = capacity_Bps * _ROOM
        if self._may_bind(trunk):
            self._wake(trunk)
        self._drift[trunk], self._sensitivity[trunk] = np.inf, 1.0
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
        return np.asarray(load + self._parked_load / self.capacity_Bps, dtype=np.float64)

    def settle(self) -> list[int]:
        """Solve for the shares after the last changes.

        Returns
        -------
        list of int
            The new jobs, and those whose slowdown has changed by more than the tolerance since
            they were last returned, in ascending order.
        """
        changed = list(self._new_parked)
        self._new_parked.clear()
        if self._touched:
            changed += self._changed(self._solve_all())
        return sorted(changed)

    def _solve_all(self) -> Bools:
        """Solve trunks until none is due; return which rows of jobs have been computed again."""
        reached = np.zeros(len(self._jobs.job), dtype=bool)
        due = self._review(reached) | self._is_off()
        self._join(due, reached)
        for _ in range(_MOST_ROUNDS):
            due |= self._is_off()
            trunks = due.nonzero()[0]
            if not len(trunks):
                return reached
            self._solve(trunks, reached)
            due[trunks] = False
        note(
            f"network: the shares of jobs on shared trunks were still changing after {_MOST_ROUNDS}"
            " rounds; slowdowns can be off by more than network.tolerance"
        )
        return reached

    def _changed(self, reached: Bools) -> list[int]:
        """Return the jobs of which the caller does not know the slowdown."""
        rows = self._jobs
        slots = reached.nonzero()[0]
        slowdown, before = rows.slowdown[slots], rows.reported[slots]
        slots = slots[np.abs(slowdown - before) > self.tolerance * before]
        rows.reported[slots] = rows.slowdown[slots]
        jobs: list[int] = rows.job[slots].tolist()
        return jobs

    def _review(self, reached: Bools) -> Bools:
        """Find out which of the trunks whose jobs have changed may bind, and return the new ones.

        Jobs of trunks that bind no more are computed again.
        """
        due = np.zeros(len(self.capacity_Bps), dtype=bool)
        freed = []
        for trunk in sorted(self._touched):
            if self._mean[trunk] <= self._room[trunk] and self._may_bind(trunk):
                self._alone[trunk] = self._most_alone(trunk)
            binds = self._may_bind(trunk)
            if binds != self._binds[trunk]:
                self._binds[trunk] = due[trunk] = binds
                if not binds:
                    freed.append(trunk)
        self._touched.clear()
        if freed:
            inside, _, _ = self._on.of(np.array(freed))
            self._pairs.allowed[inside] = self._level[freed] = 1.0
            self._update(self._pairs.slot[inside], reached)
        return due

    def _most_alone(self, trunk: int) -> float:
        """Return the largest demand of a job on a trunk beyond its expected value (bytes/s)."""
        inside, _, _ = self._on.of(np.array([trunk]))
        duty = self._jobs.duties[self._pairs.slot[inside], 0]
        beyond = (1.0 - duty) * self._pairs.demand[inside] * self.capacity_Bps[trunk]
        return float(beyond.max(initial=0.0))

    def _is_off(self) -> Bools:
        """Return which trunks may have changed the slowdown of a job by half the tolerance."""
        off = np.abs(self._drift) * self._sensitivity > 0.5 * self.tolerance
        return off & self._binds

    def _join(self, due: Bools, reached: Bools) -> None:
        """Let new jobs share the trunks that are not due, at the rates of the others."""
        rows, pairs = self._jobs, self._pairs
        slots = np.array(sorted(self._new), dtype=np.int64)
        self._new.clear()
        reached[slots] = True
        every, _, _ = rows.ranges(slots)
        every = every[(self._binds & ~due)[pairs.trunk[every]]]
        if not len(every):
            return
        trunks = np.unique(pairs.trunk[every])
        inside, owner, starts = self._on.of(trunks)
        mean = rows.duty[pairs.slot[inside]] * pairs.demand[inside]
        load = ExpectedLoad(owner, starts, pairs.cap[inside], mean)
        demand = pairs.demand[every]
        pairs.allowed[every], _ = load.allowed(
            trunks.searchsorted(pairs.trunk[every]),
            pairs.allowed[every],
            demand,
            rows.duty[pairs.slot[every]] * demand,
            pairs.cap[every],
            _NEWTON * self.tolerance,
        )
        self._update(slots, reached)

    def _solve(self, trunks: Ints, reached: Bools) -> None:
        """Solve some trunks at once, given the duties of their jobs and their caps elsewhere."""
        rows, pairs = self._jobs, self._pairs
        inside, owner, starts = self._on.of(trunks)
        slots, demand, cap = pairs.slot[inside], pairs.demand[inside], pairs.cap[inside]
        duty = rows.duty[slots]
        mean = duty * demand
        share, steepness = ExpectedLoad(owner, starts, cap, mean).allowed(
            owner, pairs.allowed[inside], demand, mean, cap, _NEWTON * self.tolerance
        )
        pairs.allowed[inside] = share
        self._level[trunks] = np.maximum.reduceat(share, starts)
        # With the share, the part of the step time that is communication changes.
        self._sensitivity[trunks] = np.maximum.reduceat(duty / steepness, starts)
        self._drift[trunks] = 0.0
        self._update(slots, reached)

    def _update(self, slots: Ints, reached: Bools) -> None:
        """Compute jobs again from what their trunks allow, and note how loads change by this.

        A job may occur several times in `slots`.
        """
        rows, pairs = self._jobs, self._pairs
        mask = np.zeros(len(reached), dtype=bool)
        mask[slots] = True
        reached |= mask
        slots = mask.nonzero()[0]
        every, owner, starts = rows.ranges(slots)
        trunk, allowed = pairs.trunk[every], pairs.allowed[every]
        least = np.minimum.reduceat(allowed, starts)
        narrowest = allowed == least[owner]
        second = np.minimum.reduceat(np.where(narrowest, 1.0, allowed), starts)
        second = np.where(np.add.reduceat(narrowest, starts, dtype=np.int64) > 1, least, second)
        cap, level = np.where(narrowest, second[owner], least[owner]), self._level[trunk]
        before = rows.duty[slots][owner] * np.minimum(pairs.cap[every], level)
        slowdown, duty = respond(least, rows.slowdowns[slots], rows.duties[slots])
        rows.share[slots], rows.slowdown[slots], rows.duty[slots] = least, slowdown, duty
        pairs.cap[every] = cap
        change = (duty[owner] * np.minimum(cap, level) - before) * pairs.demand[every]
        self._drift += np.bincount(trunk, change, len(self._drift))

    def _may_bind(self, trunk: int) -> bool:
        return bool(self._mean[trunk] + self._alone[trunk] > self._room[trunk])


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
