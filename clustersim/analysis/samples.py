"""Distributions of job quantities within a run, kept small, and pooled over replications."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats

__all__ = ["Pooled", "Sample", "pack", "unpack"]

_EDGES = np.concatenate(
    [np.linspace(0, 0.9, 91), np.linspace(0.9, 0.99, 91)[1:], np.linspace(0.99, 1, 101)[1:]]
)
LEVELS: Floats = 0.5 * (_EDGES[1:] + _EDGES[:-1])
"""Probabilities at which a large sample is kept; they are denser in the upper tail."""
MOST_VALUES = 4096
"""Largest number of values at which a pooled distribution is evaluated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Distribution of a quantity over the jobs of a run.

    Attributes
    ----------
    count : int
        Number of jobs.
    values : float64 array (levels,)
        All values in ascending order, or, for more than 280 jobs, the quantiles at :data:`LEVELS`.
    mean : float
        Their mean; NaN without a job.

    Examples
    --------
    >>> Sample.of([3.0, 1.0]).at_most(2.0)
    0.5
    """

    count: int
    values: Floats
    mean: float

    @classmethod
    def of(cls, values: Floats | Sequence[float]) -> Sample:
        """Return the distribution of some values; NaN values are ignored."""
        numbers = np.asarray(values, dtype=np.float64)
        numbers = np.sort(numbers[~np.isnan(numbers)])
        mean = float(numbers.mean()) if len(numbers) else math.nan
        if len(numbers) <= len(LEVELS):
            return cls(len(numbers), numbers, mean)
        return cls(len(numbers), np.quantile(numbers, LEVELS, method="hazen"), mean)

    @property
    def levels(self) -> Floats:
        """Probability at each value (levels,)."""
        if not self._is_whole:
            return LEVELS
        levels: Floats = (np.arange(self.count) + 0.5) / max(1, self.count)
        return levels

    @property
    def _is_whole(self) -> bool:
        return len(self.values) == self.count

    def at_most(self, value: float) -> float:
        """Return the share of the jobs whose quantity is at most a value."""
        if not self.count:
            return float("nan")
        if self._is_whole:
            return float(np.searchsorted(self.values, value, side="right")) / self.count
        return float(np.interp(value, self.values, LEVELS, left=0.0, right=1.0))

    def sides(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the shares of the jobs that are below each value, and at most each value.

        They differ if several jobs have the value.
        """
        if self._is_whole:
            count = max(1, self.count)
            return (
                np.searchsorted(self.values, values, side="left") / count,
                np.searchsorted(self.values, values, side="right") / count,
            )
        # Of equal positions, np.interp takes the last one; seen from above, this is the first.
        at_most: Floats = np.interp(values, self.values, LEVELS, left=0.0, right=1.0)
        at_least = np.interp(-values, -self.values[::-1], 1.0 - LEVELS[::-1], left=0.0, right=1.0)
        return np.minimum(1.0 - at_least, at_most), at_most

    def quantile(self, q: float) -> float:
        """Return the quantile at a probability (interpolated)."""
        return float(np.interp(q, self.levels, self.values)) if self.count else float("nan")


class Pooled:
    """The joint distribution of all jobs of several runs, and the same without one of the runs.

    Parameters
    ----------
    samples : sequence of Sample
        One for each run; each run counts in proportion to its number of jobs.

    Examples
    --------
    >>> pooled = Pooled([Sample.of([1.0, 2.0, 3.0]), Sample.of([2.0, 3.0, 4.0])])
    >>> float(pooled.quantiles(0.5)[0])
    2.5
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = list(samples)
        self._weight = np.array([sample.count for sample in samples], dtype=np.float64)
        values = np.sort(np.concatenate([sample.values for sample in samples]))
        if len(values) > MOST_VALUES:
            values = values[np.linspace(0, len(values) - 1, MOST_VALUES).round().astype(int)]
        self._values = np.unique(values)
        below, at_most = np.swapaxes([sample.sides(self._values) for sample in samples], 0, 1)
        weight = self._weight[:, None]
        below, at_most = (_with_and_without(weight * own, weight) for own in (below, at_most))
        # The jobs of a value lie evenly between both shares, so the outermost are half a job away.
        half = np.minimum(0.5 / _others(self._weight), 0.5 * (at_most - below))
        self._levels = np.stack([below + half, at_most - half], axis=2).reshape(len(below), -1)
        self._ends = np.repeat(self._values, 2)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return float(self._values[0]), float(self._values[-1])

    def at(self, q: Floats) -> Floats:
        """Return quantiles over all runs, in the shape of `q`."""
        found: Floats = np.interp(q, self._levels[0], self._ends)
        return found

    def quantiles(self, q: float) -> Floats:
        """Return a quantile over all runs, then without each of them (1 + runs,)."""
        return np.array([np.interp(q, levels, self._ends) for levels in self._levels])

    def above(self, values: Floats) -> Floats:
        """Return shares above some values: over all runs, then without each (1 + runs, values)."""
        own = np.array([1.0 - each.sides(values)[1] for each in self.samples])
        return _with_and_without(self._weight[:, None] * own, self._weight[:, None])


def _others(weight: Floats) -> Floats:
    """Return the number of jobs in all runs, then without each run (1 + runs, 1)."""
    total = weight.sum()
    jobs: Floats = np.maximum(1.0, np.concatenate([[total], total - weight]))[:, None]
    return jobs


def _with_and_without(weighted: Floats, weight: Floats) -> Floats:
    """Return the weighted mean over the first axis, then without each entry of that axis."""
    total, mass = weighted.sum(axis=0), weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = (total - weighted) / (mass - weight)
    return np.concatenate([(total / mass)[None], rest])


def pack(samples: Mapping[str, Sample]) -> bytes:
    """Return samples as bytes; values have single precision."""
    header = {name: [each.count, len(each.values), each.mean] for name, each in samples.items()}
    values = [sample.values.astype("<f4").tobytes() for sample in samples.values()]
    return zlib.compress(json.dumps(header).encode() + b"\n" + b"".join(values))


def unpack(packed: bytes) -> dict[str, Sample]:
    """Return the samples in the result of :func:`pack`."""
    if not packed:
        return {}
    header, _, rest = zlib.decompress(packed).partition(b"\n")
    samples, begin = {}, 0
    for name, (count, length, mean) in json.loads(header).items():
        values = np.frombuffer(rest, dtype="<f4", count=length, offset=begin).astype(np.float64)
        samples[name] = Sample(count, values, mean)
        begin += 4 * length
    return samples
