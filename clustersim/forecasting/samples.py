"""Distributions of the jobs of a log, by what jobs have in common, and how uncertain they are.

The jobs of a user on one day resemble each other, so a log of thousands of jobs may tell little
more than a few days would. Each replication therefore weighs the days of the log anew (a Bayesian
bootstrap: Rubin, "The Bayesian bootstrap", Annals of Statistics 9, 1981). All jobs of a replication
share these weights, as they share the error of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from clustersim.array_types import Floats, Ints
from clustersim.seeds import Streams

__all__ = ["LEAST_ALIKE", "Alike", "Key", "Sample"]

Key = tuple[object, ...]
"""What jobs have in common; ``()`` for all jobs."""
LEAST_ALIKE = 30
"""Fewest jobs of a log that give a distribution of their own."""
PARENT_DAYS = 15.0
"""Number of days for which the distribution of jobs less alike counts. Without it, the tails of
few jobs would be too certain, above all given that a job has run longer than most of them."""
_POINTS = 200
_MOST_CERTAIN = 1e-4
"""Scores are those of levels at least this far from 0 and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A distribution: sorted values and the share of the weight below the middle of each.

    Attributes
    ----------
    values, middle : float64 arrays (n,)

    Examples
    --------
    >>> sample = Sample.of(np.array([3.0, 1.0]))
    >>> sample.quantile(np.array([0.0, 0.5, 1.0])), sample.level(np.array([0.0, 2.0, 3.0]))
    (array([1., 2., 3.]), array([0. , 0.5, 1. ]))
    """

    values: Floats
    middle: Floats

    @classmethod
    def of(
        cls,
        values: Floats,
        weights: Floats | None = None,
        parent: Sample | None = None,
        parent_share: float = 0.0,
    ) -> Sample:
        """Return the distribution of weighted values, mixed with that of jobs less alike."""
        weights = np.ones(len(values)) if weights is None else weights
        if parent is not None:
            levels = np.append((np.arange(_POINTS - 1) + 0.5) / _POINTS, 1.0)
            more = np.full(_POINTS, parent_share / (1.0 - parent_share) * weights.sum() / _POINTS)
            values = np.concatenate([values, parent.quantile(levels)])
            weights = np.concatenate([weights, more])
        order = np.argsort(values, kind="stable")
        upto = np.cumsum(weights[order])
        return cls(values[order], (upto - 0.5 * weights[order]) / upto[-1])

    @property
    def top(self) -> float:
        """Level of the lower edge of the largest value, which may occur often."""
        first = int(np.searchsorted(self.values, self.values[-1], side="left"))
        return float(self.middle[first - 1]) if first else 0.0

    def quantile(self, level: Floats) -> Floats:
        """Return the values at some levels between 0 and 1."""
        return np.asarray(np.interp(level, self.middle, self.values))

    def level(self, value: Floats) -> Floats:
        """Return the largest level whose value is not above `value`; 1 if none is above."""
        after = np.searchsorted(self.values, value, side="right")
        last = len(self.values)
        k = np.clip(after, 1, last - 1) if last > 1 else np.zeros_like(after)
        low, high = self.values[k - 1], self.values[k]
        part = (value - low) / np.where(high > low, high - low, 1.0)
        between = self.middle[k - 1] + part * (self.middle[k] - self.middle[k - 1])
        return np.where(after == 0, 0.0, np.where(after == last, 1.0, between))

    def score(self, value: Floats) -> Floats:
        """Return the normal scores of values; of one that occurs often, that of its middle."""
        first = np.searchsorted(self.values, value, side="left")
        last = np.searchsorted(self.values, value, side="right")
        ends = np.concatenate([[0.0], self.middle, [1.0]])
        level = np.where(
            last > first,
            0.5 * (ends[np.minimum(first + 1, len(self.middle))] + ends[last]),
            self.level(value),
        )
        return np.asarray(ndtri(np.clip(level, _MOST_CERTAIN, 1.0 - _MOST_CERTAIN)))


@dataclass(frozen=True, eq=False)
class Alike:
    """The values of the jobs of a log, in groups of jobs that are alike.

    Attributes
    ----------
    values : float64 array (jobs,)
    days : int64 array (jobs,)
        Number of the day of each job: jobs of the same user, size and limit on one day.
    rows : dict of Key to int64 array
        The jobs of each group.
    parent : dict of Key to Key
        The next wider group of each, which has all of its jobs; none for that of all jobs.
    effective : dict of Key to float
        How many days of equal size tell as much as those of a group (Kish, 1965).

    Examples
    --------
    >>> Alike.of(np.ones(4), np.array([0, 0, 1, 1]), [[()]] * 4).effective
    {(): 2.0}
    """

    values: Floats
    days: Ints
    rows: dict[Key, Ints]
    parent: dict[Key, Key]
    effective: dict[Key, float]

    @classmethod
    def of(cls, values: Floats, days: Ints, levels: Sequence[Sequence[Key]]) -> Alike:
        """Return the groups with at least `LEAST_ALIKE` jobs.

        Parameters
        ----------
        values, days : arrays (jobs,)
        levels : sequence (jobs,)
            What each job has in common with others, the most first and ``()`` last.
        """
        groups: dict[Key, list[int]] = {(): list(range(len(values)))}
        wider: dict[Key, Sequence[Key]] = {}
        for row, each in enumerate(levels):
            for at, key in enumerate(each[:-1]):
                groups.setdefault(key, []).append(row)
                more = each[at + 1 :]
                wider[key] = [other for other in wider.get(key, more) if other in more]
        rows = {
            key: np.array(found, dtype=np.int64)
            for key, found in groups.items()
            if key == () or len(found) >= LEAST_ALIKE
        }
        parent = {
            key: next(other for other in wider[key] if other in rows) for key in rows if key != ()
        }
        effective = {key: _effective(days[found]) for key, found in rows.items()}
        return cls(values, days, rows, parent, effective)

    def key_of(self, levels: Iterable[Key]) -> Key:
        """Return the first of the keys that has a distribution."""
        return next(key for key in levels if key in self.rows)

    def samples(self, keys: Iterable[Key], streams: Streams | None = None) -> dict[Key, Sample]:
        """Return the distributions of groups, with the days weighed anew by `streams`.

        Without `streams`, all jobs weigh the same.
        """
        weights = np.ones(len(self.values))
        if streams is not None and len(self.days):
            drawn = streams("weights of days").standard_exponential(self.days.max() + 1)
            weights = drawn[self.days]
        found: dict[Key, Sample] = {}
        for key in keys:
            self._sample(key, weights, found)
        return found

    def _sample(self, key: Key, weights: Floats, found: dict[Key, Sample]) -> Sample:
        if key not in found:
            rows = self.rows[key]
            parent, share = None, 0.0
            if key in self.parent:
                parent = self._sample(self.parent[key], weights, found)
                share = PARENT_DAYS / (PARENT_DAYS + self.effective[key])
            found[key] = Sample.of(self.values[rows], weights[rows], parent, share)
        return found[key]


def _effective(days: Ints) -> float:
    counts = np.unique(days, return_counts=True)[1]
    return float(counts.sum() ** 2 / (counts**2).sum())
