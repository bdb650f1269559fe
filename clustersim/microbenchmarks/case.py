"""Cases to measure, and the calls that run them on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Case", "Work"]


@dataclass(frozen=True)
class Case:
    """One operation of a given shape to measure.

    Attributes
    ----------
    kind : str
        One of :data:`clustersim.microbenchmarks.KINDS`.
    shape : mapping
        Values by column of :data:`clustersim.microbenchmarks.schema.SHAPE`.
    flops, least_bytes : float
        Number of floating-point operations, and memory traffic in bytes if each operand is read
        once and each result is written once.
    held_bytes : float
        Minimum memory in bytes that the case needs.
    """

    kind: str
    shape: Mapping[str, str | int] = field(default_factory=dict)
    flops: float = 0.0
    least_bytes: float = 0.0
    held_bytes: float = 0.0

    def number(self, column: str) -> int:
        """Return the value of one column of the shape as an integer."""
        return int(self.shape[column])

    def text(self) -> str:
        """Return a short description, for progress messages."""
        values = [str(value) for column, value in self.shape.items() if column != "layout"]
        return " ".join([self.kind, *values])


@dataclass(frozen=True)
class Work:
    """A case that is ready to run on a device.

    Attributes
    ----------
    calls : tuple of callable
        Each call runs the case once, on its own operands. The calls run in rotation, so that the
        operands are not found in a cache.
    alone : bool
        Whether to wait for the device after every call, as after a training step.
    """

    calls: tuple[Callable[[], object], ...]
    alone: bool = False
