"""A request that joins those of several systems, which get the same number of replications."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from clustersim.studies.base import Run

__all__ = ["JointRequest"]


class _Member(Protocol):
    """A request of one system, as :class:`~clustersim.studies.run_requests.RunRequest`."""

    number: int

    def at_least(self) -> int: ...

    def at_most(self) -> int: ...


M = TypeVar("M", bound=_Member)


@dataclass(slots=True)
class JointRequest(Generic[M]):
    """Requests of systems that are compared with a baseline.

    Attributes
    ----------
    members : list
        The request of each system.
    baseline : int or None
        Position of the baseline in `members`.
    others : list of int
        Positions of the systems that are compared with it.
    """

    members: list[M]
    baseline: int | None
    others: list[int]
    _lengths: list[int] = field(default_factory=list)

    def joined(self, runs: Sequence[Sequence[Run]]) -> list[Run]:
        """Return the runs of all members, and remember which are whose for :meth:`parts`."""
        self._lengths = list(map(len, runs))
        return [run for own in runs for run in own]

    def parts(self, wanted: Sequence[Run]) -> Iterable[tuple[int, Sequence[Run]]]:
        """Split what :meth:`joined` returned last into the runs of each member."""
        begin = 0
        for member, length in zip(self.members, self._lengths, strict=True):
            yield member.number, wanted[begin : begin + length]
            begin += length

    def at_least(self) -> int:
        """Return the number of runs known in advance to be needed."""
        return sum(member.at_least() for member in self.members)

    def at_most(self) -> int:
        """Return the largest number of runs that may be needed in total, by an estimate."""
        return sum(member.at_most() for member in self.members)
