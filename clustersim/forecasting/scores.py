"""Normal scores of run times that are not known yet, given what is known of like jobs.

The run time of a job is the quantile of its distribution at the level of a normal score. The score
is a sum of parts: one that all jobs share, one that jobs of a user share, one that jobs of the same
user, size and limit share (a batch), and one of the job's own. Jobs that ended not long ago tell of
the shared parts, and so do jobs that still run: their scores are above those of their time so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from clustersim.array_types import Floats, Ints
from clustersim.seeds import Streams

__all__ = ["Correlations", "draw_scores"]

_SWEEPS = 10
_LEAST_TAIL = 1e-300


@dataclass(frozen=True, slots=True)
class Correlations:
    """Correlations of the normal scores of jobs near in time, each at most as large as the next.

    Attributes
    ----------
    of_site : float
        Of jobs of different users.
    of_user : float
        Of jobs of a user that differ in size or limit.
    of_batch : float
        Of jobs of the same user, size and limit, below 1.
    """

    of_site: float
    of_user: float
    of_batch: float

    @property
    def variances(self) -> tuple[float, float, float]:
        """Variances of the parts of the site, of users and of batches; the rest is a job's own."""
        return self.of_site, self.of_user - self.of_site, self.of_batch - self.of_user


def draw_scores(
    streams: Streams,
    groups: Sequence[Ints],
    variances: Sequence[float],
    *,
    above: Floats,
    known: Floats,
) -> Floats:
    """Draw the normal score of each job, given scores that are known and lower bounds.

    The shared parts are drawn by Gibbs sampling, the finest first. Its start is exact for a job
    that shares its finest group with no other.

    Parameters
    ----------
    streams : Streams
    groups : sequence of int64 array (jobs,)
        The groups that share a part, such as users, numbered from 0, from wide to fine: each group
        lies within one of the group before.
    variances : sequence of float
        Variance of the parts of each of them; in all less than 1.
    above : float64 array (jobs,)
        Lower bounds; negative infinity for a job that has not started.
    known : float64 array (jobs,)
        Scores of jobs that have ended; NaN for others.

    Examples
    --------
    >>> one_batch = np.zeros(2, dtype=np.int64)
    >>> draws = [
    ...     draw_scores(
    ...         Streams(1, replication=k),
    ...         [one_batch],
    ...         [0.5],
    ...         above=np.full(2, -np.inf),
    ...         known=np.array([2.0, np.nan]),
    ...     )
    ...     for k in range(500)
    ... ]
    >>> bool(0.9 < np.mean(draws, axis=0)[1] < 1.1)  # half of the score that is known
    True
    """
    random = streams("scores of run times")
    runs = np.isnan(known) & (above > -np.inf)
    tells = np.flatnonzero(runs | ~np.isnan(known))
    runs_of = runs[tells]
    bound, own_sd = above[tells][runs_of], float(np.sqrt(1.0 - sum(variances)))
    score = np.where(runs_of, 0.0, known[tells])
    score[runs_of] = _above(random, np.zeros(len(bound)), 1.0, bound)
    parts = [np.zeros(int(of.max(initial=-1)) + 1) for of in groups]
    levels = [each for each in reversed(range(len(groups))) if variances[each] > 0]
    if levels:
        parts[levels[0]] = _start(random, groups[levels[0]][tells], parts[levels[0]], score, own_sd)
    for _ in range(_SWEEPS):
        for each in levels:
            rest = score - _sum(parts, groups, tells, without=each)
            parts[each] = _part(random, groups[each][tells], len(parts[each]), rest,
                                variances[each], own_sd)  # fmt: skip
        middle = _sum(parts, groups, tells)[runs_of]
        score[runs_of] = _above(random, middle, own_sd, bound)
    found = _sum(parts, groups, np.arange(len(above)))
    found += own_sd * random.standard_normal(len(above))
    found[tells] = score
    return found


def _start(
    random: np.random.Generator, of: Ints, part: Floats, score: Floats, own_sd: float
) -> Floats:
    """Return parts of the finest groups given the highest score of each."""
    most = np.full(len(part), -np.inf)
    np.maximum.at(most, of, score)
    shared = 1.0 - own_sd**2
    noise = np.sqrt(shared) * own_sd * random.standard_normal(len(part))
    return np.asarray(shared * np.where(np.isfinite(most), most, 0.0) + noise)


def _sum(
    parts: Sequence[Floats], groups: Sequence[Ints], rows: Ints, *, without: int = -1
) -> Floats:
    found = np.zeros(len(rows))
    for each, (part, of) in enumerate(zip(parts, groups, strict=True)):
        if each != without:
            found += part[of[rows]]
    return found


def _part(
    random: np.random.Generator, of: Ints, count: int, rest: Floats, variance: float, sd: float
) -> Floats:
    """Draw the parts of groups, given the scores of their jobs without the other parts."""
    precision = 1.0 / variance + np.bincount(of, minlength=count) / sd**2
    mean = np.bincount(of, weights=rest, minlength=count) / sd**2 / precision
    return np.asarray(mean + random.standard_normal(count) / np.sqrt(precision))


def _above(random: np.random.Generator, mean: Floats, sd: float, bound: Floats) -> Floats:
    """Draw from normal distributions above bounds."""
    tail = np.maximum(ndtr((mean - bound) / sd), _LEAST_TAIL)
    return np.maximum(mean - sd * ndtri(tail * random.uniform(size=len(bound))), bound)
