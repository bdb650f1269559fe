"""The limits of a run: what each job takes of them, and for what it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from clustersim.engine.budgets import Budget

__all__ = ["Charge", "Count", "Limit", "Limits", "Way"]


class Limit(Protocol):
    """How much some jobs may have at once."""

    def available(self, node: int, /) -> float:
        """Return what the jobs of a node can still have."""

    def add(self, node: int, amount: float, /) -> None:
        """Count an amount."""

    def remove(self, node: int, amount: float, /) -> None:
        """Count an amount no longer."""


Charge: TypeAlias = tuple[Limit, int, float]
"""A limit, the node of the job in it, and the amount that the job takes."""


class Count:
    """The simplest limit: a largest amount.

    Examples
    --------
    >>> count = Count("user ann", 8)
    >>> count.add(0, 6)
    >>> count.available(0)
    2.0
    """

    __slots__ = ("most", "name", "taken")

    def __init__(self, name: str, most: float) -> None:
        self.name, self.most, self.taken = name, most, 0.0

    def available(self, node: int) -> float:
        """Return what is left."""
        return self.most - self.taken

    def add(self, node: int, amount: float) -> None:
        """Count an amount."""
        self.taken += amount

    def remove(self, node: int, amount: float) -> None:
        """Count an amount no longer."""
        self.taken -= amount


class Way(NamedTuple):
    """A way in which a job can enter its queue.

    Attributes
    ----------
    charges : tuple of Charge
    choice : int or None
        The set of partitions (an index of `JobColumns.choices`) on which the job may run if it
        enters this way. None: as it is.
    """

    charges: tuple[Charge, ...] = ()
    choice: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a state.

    Attributes
    ----------
    groups : sequence of (str, float)
        Name and size of each limit.
    of_job : mapping of int to list of (int, float)
        Index of the limit, and how much of it the job takes, by job.
    after : mapping of int to set of int
        Jobs that must end before a job, by job.
    after_ok : mapping of int to set of int
        Jobs that must be done before a job, by job; it never runs if one of them is cancelled.
    not_before_s : mapping of int to float
        Time before which a job does not enter its queue, seconds, by job.
    running : set of int
        Jobs that run now: they count, but no limit holds them.
    ways : mapping of int to tuple of Way
        Further limits, by job: it enters in the first way in which it fits.
    budgets : mapping of int to tuple of Budget
        The budgets of each job.
    entry_size : mapping of int to int
        Accelerators for which each job with `ways` is charged when it enters.
    time_s : mapping of int to float
        Time for which a job with budgets reserves accelerators, seconds.
    line : mapping of int to str
        Line of a job in which jobs wait for the first one, by job.
    order : sequence of float
        Rank of each job among those that are held, lowest first; by default that of submission.
    """

    groups: Sequence[tuple[str, float]] = ()
    of_job: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)
    after: Mapping[int, frozenset[int]] = field(default_factory=dict)
    after_ok: Mapping[int, frozenset[int]] = field(default_factory=dict)
    not_before_s: Mapping[int, float] = field(default_factory=dict)
    running: frozenset[int] = frozenset()
    ways: Mapping[int, tuple[Way, ...]] = field(default_factory=dict)
    budgets: Mapping[int, tuple[Budget, ...]] = field(default_factory=dict)
    entry_size: Mapping[int, int] = field(default_factory=dict)
    time_s: Mapping[int, float] = field(default_factory=dict)
    line: Mapping[int, str] = field(default_factory=dict)
    order: Sequence[float] = ()

    @property
    def hold(self) -> bool:
        """Whether there is any limit."""
        return bool(
            self.of_job
            or self.after
            or self.after_ok
            or self.not_before_s
            or self.ways
            or self.budgets
        )
