"""How the gaps between arrivals vary, on a clock on which the mean rate is even."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from clustersim.array_types import Floats
from clustersim.files import FileModel

__all__ = ["Batch", "Hyperexponential", "Poisson"]


class Poisson(FileModel):
    """Independent arrivals, with exponential gaps (coefficient of variation 1)."""

    kind: Literal["poisson"] = "poisson"

    def gaps(self, u: Floats) -> Floats:
        """Return n gaps with mean 1, computed from uniform numbers of shape (n, 2)."""
        return -np.log1p(-u[:, 0])

    def cdf(self, x: Floats) -> Floats:
        """Return the probability that a gap is at most `x`."""
        return np.asarray(-np.expm1(-x))

    def mixture(self) -> tuple[tuple[float, float], ...]:
        """Return the probability and the mean of each exponential part of the gaps."""
        return ((1.0, 1.0),)


class Hyperexponential(FileModel):
    """Bursty arrivals, whose gaps are a mixture of two exponential distributions.

    This is the standard choice for gaps that vary more than those of a Poisson process, because
    their coefficient of variation is a parameter (A. Allen, Probability, Statistics, and Queueing
    Theory, 1990). Relative to the mean gap, a share p = `short_share` of the gaps has the mean
    1 - a, and the others have the mean 1 + a p / (1 - p), with a^2 = (cv^2 - 1) (1 - p) / (2 p). If
    `short_share` is not set, both distributions contribute equally to the mean gap:
    p = (1 + sqrt((cv^2 - 1) / (cv^2 + 1))) / 2.
    """

    kind: Literal["hyperexponential"]
    cv: float = Field(gt=1, le=100, description="coefficient of variation of the gaps")
    short_share: float | None = Field(None, gt=0, lt=1, description="share of short gaps")

    @model_validator(mode="after")
    def _share_can_give_the_variation(self) -> Hyperexponential:
        least = (self.cv**2 - 1) / (self.cv**2 + 1)
        if self.short_share is not None and self.short_share <= least:
            raise ValueError(
                f"short_share must be above {least:.4g} for a cv of {self.cv:g}, "
                f"found {self.short_share:g}"
            )
        return self

    def phases(self) -> tuple[float, float, float]:
        """Return the share of short gaps, their mean, and the mean of the other gaps.

        The means are relative to the mean of all gaps.
        """
        square = self.cv**2
        p = self.short_share
        if p is None:
            p = float((1 + np.sqrt((square - 1) / (square + 1))) / 2)
        a = float(np.sqrt((square - 1) * (1 - p) / (2 * p)))
        return p, 1 - a, 1 + a * p / (1 - p)

    def gaps(self, u: Floats) -> Floats:
        """Return n gaps with mean 1, computed from uniform numbers of shape (n, 2)."""
        p, short, long = self.phases()
        return -np.where(u[:, 1] < p, short, long) * np.log1p(-u[:, 0])

    def cdf(self, x: Floats) -> Floats:
        """Return the probability that a gap is at most `x`."""
        p, short, long = self.phases()
        return np.asarray(-p * np.expm1(-x / short) - (1 - p) * np.expm1(-x / long))

    def mixture(self) -> tuple[tuple[float, float], ...]:
        """Return the probability and the mean of each exponential part of the gaps."""
        p, short, long = self.phases()
        return ((p, short), (1 - p, long))


class Batch(FileModel):
    """Jobs submitted in batches, such as job arrays and sweeps: a compound Poisson process.

    Batches arrive as a Poisson process. Their sizes are geometric with mean `mean_batch`. The gaps
    have the coefficient of variation sqrt(2 mean_batch - 1).
    """

    kind: Literal["batch"]
    mean_batch: float = Field(ge=1, le=1e6, description="mean number of jobs submitted at once")

    def gaps(self, u: Floats) -> Floats:
        """Return n gaps with mean 1, computed from uniform numbers of shape (n, 2).

        The gaps within a batch are 0.
        """
        first = u[:, 1] * self.mean_batch < 1
        return np.where(first, -self.mean_batch * np.log1p(-u[:, 0]), 0.0)

    def cdf(self, x: Floats) -> Floats:
        """Return the probability that a gap is at most `x`."""
        return np.asarray(1 - np.exp(-x / self.mean_batch) / self.mean_batch)

    def mixture(self) -> tuple[tuple[float, float], ...]:
        """Return the probability and the mean of each part of the gaps; 0 within a batch."""
        first = 1 / self.mean_batch
        return ((1 - first, 0.0), (first, self.mean_batch))
