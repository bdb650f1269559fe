"""Budgets in accelerator-time: what jobs spent, and what those in the queue may still need."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["ROUNDING", "Budget"]

ROUNDING = 1e-6
"""Rounding of sums, in accelerator-seconds."""
_OF_PERIODS = 1e-9
"""Rounding of the number of a period."""


@dataclass(slots=True, eq=False)
class Budget:
    """Accelerator-seconds that some jobs may use, once or in each period.

    A job that enters its queue reserves its accelerators for its estimated time, but at most for a
    whole period. What it has used is spent; what is left of the reservation is given back when it
    ends. So the budget is exceeded only by jobs that run longer than estimated, or again after a
    stop. Periods begin at time 0.

    Attributes
    ----------
    name : str
        Whose budget it is.
    most : float
        Accelerator-seconds.
    period_s : float
        Seconds; infinite if it never renews.
    spent : float
        Accelerator-seconds in the present period, without the present attempts of running jobs.
    reserved : float
        What the jobs in the queue and the running jobs may use in a period, accelerator-seconds.

    Examples
    --------
    >>> budget = Budget("user ann", most=800.0, period_s=1000.0)
    >>> budget.reserve(1, 8, 60.0)
    >>> budget.room(0.0), budget.has_room(0.0, 8, 60.0)
    (320.0, False)
    >>> budget.start(1, 0.0, 8, 60.0)
    >>> budget.stop(1, 50.0)
    >>> budget.end(1)
    >>> budget.room(50.0), budget.room(1000.0), budget.next_s(1000.0)
    (400.0, 800.0, 2000.0)
    """

    name: str
    most: float
    period_s: float = math.inf
    spent: float = 0.0
    reserved: float = 0.0
    _left: dict[int, tuple[int, float]] = field(default_factory=dict)
    _since: dict[int, float] = field(default_factory=dict)
    _begin_s: float = 0.0

    def need(self, n: int, seconds: float) -> float:
        """Return what `n` accelerators for some time need in one period, accelerator-seconds."""
        return n * min(seconds, self.period_s)

    def room(self, now: float) -> float:
        """Return what is neither spent nor reserved at a time, accelerator-seconds."""
        self._renew(now)
        return self.most - self.spent - self.reserved

    def has_room(self, now: float, n: int, seconds: float) -> bool:
        """Return whether a job may reserve what it needs."""
        return self.need(n, seconds) <= self.room(now) + ROUNDING

    def has_room_to_change(self, job: int, now: float, n: int, seconds: float) -> bool:
        """Return whether a job may have another number of accelerators for the rest of its time."""
        room = self.room(now)
        held, left = self._left.get(job, (1, 0.0))
        used = held * (now - self._since[job]) if job in self._since else 0.0
        return used + self.need(n, seconds) <= room + self.need(held, left / held) + ROUNDING

    def used(self, now: float) -> float:
        """Return what was used in the present period until now, accelerator-seconds."""
        self._renew(now)
        running = (self._left[job][0] * (now - since) for job, since in self._since.items())
        return self.spent + sum(running)

    def next_s(self, now: float) -> float:
        """Return when the budget is next renewed, seconds; infinite if never."""
        if self.period_s == math.inf:
            return math.inf
        return (math.floor(now / self.period_s + _OF_PERIODS) + 1) * self.period_s

    def reserve(self, job: int, n: int, seconds: float) -> None:
        """Reserve what a job needs, in place of what it had reserved."""
        self.end(job)
        self._left[job] = n, n * seconds
        self.reserved += self.need(n, seconds)

    def start(self, job: int, now: float, n: int, seconds: float) -> None:
        """Charge a job from now on, with its present estimate."""
        self._renew(now)
        self.reserve(job, n, seconds)
        self._since[job] = now

    def stop(self, job: int, now: float) -> None:
        """Charge a job no longer."""
        if job not in self._since:
            return
        self._renew(now)
        n, left = self._left[job]
        used = n * (now - self._since.pop(job))
        self.spent += used
        self.reserve(job, n, max(0.0, left - used) / n)

    def end(self, job: int) -> None:
        """Give back what a job has reserved."""
        if job in self._left:
            n, left = self._left.pop(job)
            self.reserved -= self.need(n, left / n)

    def _renew(self, now: float) -> None:
        """Begin the period of a time, if it has not begun."""
        if now < (self._begin_s + self.period_s) * (1.0 - _OF_PERIODS):
            return
        begin_s = self.next_s(now) - self.period_s
        self.spent, self._begin_s = 0.0, begin_s
        for job, since in self._since.items():
            n, left = self._left[job]
            self.reserve(job, n, max(0.0, left - n * (begin_s - since)) / n)
            self._since[job] = begin_s
