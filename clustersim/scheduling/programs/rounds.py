"""Realises time fractions in rounds: who runs on which pool in the next round.

The mechanism of Gavel (OSDI 2020, section 5) as its published simulator has it. At the start of
each round every pair (job, pool) has a priority: the fraction that the program gave it over the
fraction of the pool's time that it has received since the fractions were last computed. Pools are
filled one after the other, each in the order of priority, then deficit, then fraction; a job runs
on one pool only and what does not fit is skipped. A job that came after the last reset waits for
the next one. A deficit is the time that a job should have
had until the last reset, less the time that it got; it is carried over resets.

Fractions are computed again when a job has come or gone, but at most once in an interval.

One thing is ours: of pairs whose fraction is 0, those for which the program gives the smallest
loss come first. The published simulator solves its programs by interior points, which leave tiny
positive fractions in this order; a vertex of the polytope has exact zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError

__all__ = ["RoundState", "Turn"]

Room = Callable[[int, list[Hashable]], Callable[[Hashable], bool]]
"""Says which jobs have room on a pool, see `RoundState.decide`."""

_BY_JOB = (
    "_gangs",
    "_can_run",
    "_known",
    "fractions",
    "losses",
    "received_s",
    "deficits_s",
)
"""Arrays with a row per job."""
_NEVER_RUN = 1e9
"""Priority of a pair that has received no time, in multiples of its fraction."""


@dataclass(frozen=True)
class Turn:
    """A job that runs on a pool in the next round."""

    job: Hashable
    pool: int


class RoundState:
    """Time received, deficits and priorities of the jobs of a cluster.

    The caller has the clock. It calls `add` and `remove` as jobs come and go, `record` with the
    time that each job ran in the round that ended, then `due`; if fractions are due, it solves
    its program and calls `reset`; then `decide`.

    Parameters
    ----------
    accelerators : sequence of int
        Accelerators of each pool.
    round_s : float
        Length of a round. Half of it is booked for every pair at each reset, so that a pair which
        has not run yet has a finite priority.
    reset_interval_s : float
        Fractions are computed again after this time at the earliest.
    zero_runs : bool
        Whether a job whose fraction is 0 may run on a pool that has room left.

    Examples
    --------
    >>> state = RoundState([4], round_s=360.0)
    >>> state.add("a", gang=4)
    >>> state.add("b", gang=4)
    >>> state.due(0.0)
    True
    >>> state.reset(0.0, [[0.4], [0.6]])
    >>> state.decide()
    [Turn(job='b', pool=0)]
    >>> state.record("b", 0, 360.0)
    >>> state.due(360.0), state.decide()
    (False, [Turn(job='a', pool=0)])
    """

    def __init__(
        self,
        accelerators: Sequence[int],
        *,
        round_s: float = 360.0,
        reset_interval_s: float = 1920.0,
        zero_runs: bool = True,
    ) -> None:
        self.accelerators = [int(n) for n in accelerators]
        self.round_s = round_s
        self.reset_interval_s = reset_interval_s
        self.zero_runs = zero_runs
        self.changed = False
        self.last_reset_s: float | None = None
        self.jobs: list[Hashable] = []
        self._row: dict[Hashable, int] = {}
        pools = len(self.accelerators)
        self._gangs: Ints = np.zeros(0, dtype=np.int64)
        self._can_run: Bools = np.zeros((0, pools), dtype=np.bool_)
        self._known: Bools = np.zeros(0, dtype=np.bool_)
        self.fractions: Floats = np.zeros((0, pools))
        self.losses: Floats = np.zeros((0, pools))
        self.received_s: Floats = np.zeros((0, pools))
        self.deficits_s: Floats = np.zeros((0, pools))
        self._pool_s: Floats = np.zeros(pools)

    def add(self, job: Hashable, gang: int, can_run: Iterable[bool] | None = None) -> None:
        """Add a job that has arrived; ``can_run`` says on which pools its rate is above 0.

        Raises
        ------
        InputError
            If there is such a job already.
        """
        if job in self._row:
            raise InputError("rounds", f"job {job!r} is here already")
        pools = len(self.accelerators)
        usable = np.ones(pools, dtype=np.bool_) if can_run is None else np.array([*can_run])
        self._row[job] = len(self.jobs)
        self.jobs.append(job)
        self._gangs = np.append(self._gangs, gang)
        self._can_run = np.vstack([self._can_run, usable])
        self._known = np.append(self._known, False)
        self.fractions = np.vstack([self.fractions, np.zeros(pools)])
        self.losses = np.vstack([self.losses, np.zeros(pools)])
        self.received_s = np.vstack([self.received_s, np.full(pools, self.round_s / 2)])
        self.deficits_s = np.vstack([self.deficits_s, np.zeros(pools)])
        self._pool_s += self.round_s / 2
        self.changed = True

    def remove(self, job: Hashable) -> None:
        """Remove a job that has ended or was withdrawn.

        Raises
        ------
        InputError
            If there is no such job.
        """
        row = self._row_of(job)
        self._pool_s -= self.received_s[row]
        del self.jobs[row]
        for name in _BY_JOB:
            setattr(self, name, np.delete(getattr(self, name), row, axis=0))
        self._row = {left: place for place, left in enumerate(self.jobs)}
        self.changed = True

    def record(self, job: Hashable, pool: int, seconds: float) -> None:
        """Book the time that a job ran on a pool in the round that ended."""
        self.received_s[self._row_of(job), pool] += seconds
        self._pool_s[pool] += seconds

    def due(self, now_s: float) -> bool:
        """Return whether the fractions are to be computed again before the next round."""
        if not self.changed:
            return False
        return self.last_reset_s is None or now_s - self.last_reset_s >= self.reset_interval_s

    def reset(
        self,
        now_s: float,
        fractions: Sequence[Sequence[float]] | Floats,
        losses: Floats | None = None,
    ) -> None:
        """Take new fractions, book the deficits of the old ones and start to count anew.

        Parameters
        ----------
        now_s : float
            The time; it must not be before that of the last reset.
        fractions : array of float, shape (jobs, pools)
            In the order of `jobs`.
        losses : array of float, shape (jobs, pools), optional
            `Allocation.losses`: of pairs with equal priority, such as those with a fraction of 0,
            the smallest loss comes first. 0 by default.
        """
        fractions = np.array(fractions, dtype=np.float64).reshape(-1, len(self.accelerators))
        if len(fractions) != len(self.jobs):
            what = f"{len(fractions)} rows of fractions for {len(self.jobs)} jobs"
            raise InputError("rounds", what)
        elapsed = now_s - (self.last_reset_s or 0.0)
        self.deficits_s += self.fractions * elapsed - (self.received_s - self.round_s / 2)
        self.received_s[:] = self.round_s / 2
        self._pool_s[:] = len(self.jobs) * self.round_s / 2
        self.fractions = fractions
        self.losses = np.zeros_like(fractions) if losses is None else losses
        self._known[:] = True
        self.last_reset_s = now_s
        self.changed = False

    def priorities(self) -> Floats:
        """Return the priority of each job on each pool; a job without fractions yet has 0."""
        share = np.divide(
            self.received_s,
            self._pool_s,
            out=np.zeros_like(self.received_s),
            where=self._pool_s > 0,
        )
        never = self.fractions * _NEVER_RUN
        return np.divide(self.fractions, share, out=never, where=share > 0)

    def decide(
        self,
        order: Iterable[int] | None = None,
        kept: Mapping[Any, int] = MappingProxyType({}),
        room: Room | None = None,
    ) -> list[Turn]:
        """Return who runs in the next round, at most one pool per job.

        Parameters
        ----------
        order : iterable of int, optional
            The pools in the order in which they are filled; as given by default. Gavel's
            heterogeneity-agnostic policies shuffle it every round.
        kept : mapping of job to int, optional
            Jobs that go on where they run, and their pool.
        room : callable, optional
            Called for each pool in turn with the pool and its jobs in order of priority, whatever
            their size. It returns a function that is asked for each job that fits by its number of
            accelerators whether it can run with those that were accepted before. By default, all
            can.
        """
        priorities = self.priorities()
        chosen = np.zeros(len(self.jobs), dtype=np.bool_)
        turns: list[Turn] = []
        left = list(self.accelerators)
        for job, pool in kept.items():
            row = self._row_of(job)
            left[pool] = max(0, left[pool] - int(self._gangs[row]))
            chosen[row] = True
            turns.append(Turn(job, pool))
        for pool in range(len(self.accelerators)) if order is None else order:
            allowed = self._known & self._can_run[:, pool] & ~chosen & (self._gangs <= left[pool])
            if not self.zero_runs:
                allowed &= priorities[:, pool] > 0
            rows = np.flatnonzero(allowed)
            keys = (
                -self.fractions[rows, pool],
                -self.deficits_s[rows, pool],
                self.losses[rows, pool],
                -priorities[rows, pool],
            )
            free = left[pool]
            rows = rows[np.lexsort(keys)]
            accepts = None if room is None else room(pool, [self.jobs[row] for row in rows])
            for row in rows.tolist():
                if free == 0:
                    break
                if self._gangs[row] <= free and (accepts is None or accepts(self.jobs[row])):
                    free -= int(self._gangs[row])
                    chosen[row] = True
                    turns.append(Turn(self.jobs[row], pool))
        return turns

    def _row_of(self, job: Hashable) -> int:
        if job not in self._row:
            raise InputError("rounds", f"there is no job {job!r}")
        return self._row[job]
