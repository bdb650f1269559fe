"""Rows for a fit: training runs, microbenchmarks, or several kinds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clustersim.array_types import Floats
from clustersim.performance.coefficients import Coefficients

__all__ = ["Joint", "Timed"]


class Timed(Protocol):
    """Rows whose seconds are a function of the coefficients."""

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each row, one per level."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Return the labels of the rows that depend on a coefficient."""

    def log_seconds(self, coefficients: Coefficients) -> Floats:
        """Return the logarithm of the seconds of each row, shape (rows,) or (draws, rows)."""


@dataclass(frozen=True)
class Joint:
    """Several kinds of rows, concatenated."""

    parts: Sequence[Timed]

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each row."""
        return [label for part in self.parts for label in part.labels]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Return the labels of the rows that depend on a coefficient."""
        return [label for part in self.parts for label in part.labels_with(parameter)]

    def log_seconds(self, coefficients: Coefficients) -> Floats:
        """Return the logarithm of the seconds of each row."""
        ends = np.cumsum([len(part) for part in self.parts])
        starts = ends - [len(part) for part in self.parts]
        return np.concatenate(
            [
                part.log_seconds(coefficients.take(np.arange(start, end)))
                for part, start, end in zip(self.parts, starts, ends, strict=True)
                if end > start
            ],
            axis=-1,
        )
