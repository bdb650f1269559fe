"""One case to measure, and what doing it once means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Case", "Work"]


@dataclass(frozen=True)
class Case:
    """What to measure.

    Attributes
    ----------
    kind : str
        One of :data:`clustersim.microbenchmarks.KINDS`.
    shape : mapping
        Values by column of :data:`clustersim.microbenchmarks.schema.SHAPE`.
    flops, least_bytes : float
        Operations, and memory traffic if each operand is read and each result written once.
    held_bytes : float
        Memory that it needs at least.
    """

    kind: str
    shape: Mapping[str, str | int] = field(default_factory=dict)
    flops: float = 0.0
    least_bytes: float = 0.0
    held_bytes: float = 0.0

    def number(self, column: str) -> int:
        """Return a whole number of the shape."""
        return int(self.shape[column])

    def text(self) -> str:
        """Say what it is in a few words, for progress."""
        values = [str(value) for column, value in self.shape.items() if column != "layout"]
        return " ".join([self.kind, *values])


@dataclass(frozen=True)
class Work:
    """A case made ready on a device.

    Attributes
    ----------
    calls : tuple of callable
        Each does the case once, on operands of its own; they are called in turn, so that operands
        that fit into a cache are not found there.
    alone : bool
        Whether the device is waited for after every call, as after a training step.
    """

    calls: tuple[Callable[[], object], ...]
    alone: bool = False
