"""Normal scores of run times that are not known yet, given what is known of like jobs.

The run time of a job is the quantile of its distribution at the level of a normal score. The score
is a sum of parts: one that all jobs share, one that jobs of a user share, one that jobs of the same
user, size and limit share (a batch), one that jobs of a batch share that were submitted shortly one
after the other (a session), and one of the job's own. Jobs that ended not long ago tell of the
shared parts, and so do jobs that still run: their scores are above those of their time so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_ndtr, ndtr, ndtri

from clustersim.array_types import Floats, Ints
from clustersim.seeds import Streams

__all__ = ["Correlations", "draw_scores"]

_RANGE = 7.0
"""Half of the range of the grid, in standard deviations of a score."""
_STEP = 0.05
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
        Of jobs of the same user, size and limit, but of different sessions.
    of_session : float
        Of jobs of the same user, size and limit, and of one session; below 1.

    Examples
    --------
    >>> Correlations(of_site=0.125, of_user=0.25, of_batch=0.5, of_session=0.75).variances
    (0.125, 0.125, 0.25, 0.25)
    """

    of_site: float
    of_user: float
    of_batch: float
    of_session: float

    @property
    def variances(self) -> tuple[float, float, float, float]:
        """Variances of the parts of the site, users, batches and sessions; the rest is a job's own.

        A job without companions has variance 1.
        """
        return (
            self.of_site,
            self.of_user - self.of_site,
            self.of_batch - self.of_user,
            self.of_session - self.of_batch,
        )


def draw_scores(
    streams: Streams,
    groups: Sequence[Ints],
    variances: Sequence[float],
    *,
    above: Floats,
    known: Floats,
) -> Floats:
    """Draw the normal score of each job, given scores that are known and lower bounds.

    The draw is exact but for the step of a grid: the evidence of the jobs is passed from the finest
    groups to the widest, whose parts are then drawn first (forward filtering and backward sampling
    on a tree: Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988, chapter 4). The grid
    is only needed for groups with lower bounds; known scores give normal distributions.

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
    own_sd = float(np.sqrt(1.0 - sum(variances)))
    levels = [each for each, variance in enumerate(variances) if variance > 0]
    of = [groups[each] for each in levels]
    shared = np.zeros(len(above))
    if levels and len(above):
        sds = [float(np.sqrt(variances[each])) for each in levels]
        shared = _shared(random, of, sds, own_sd, above, known)[of[-1]]
    found = shared + own_sd * random.standard_normal(len(above))
    runs = np.isnan(known) & (above > -np.inf)
    found[runs] = _above(random, shared[runs], own_sd, above[runs])
    return np.where(np.isnan(known), found, known)


def _shared(
    random: np.random.Generator,
    of: Sequence[Ints],
    sds: Sequence[float],
    own_sd: float,
    above: Floats,
    known: Floats,
) -> Floats:
    """Draw the sum of the shared parts of each of the finest groups, given all jobs."""
    counts = [int(each.max()) + 1 for each in of]
    evidence = [_of_jobs(of[-1], counts[-1], own_sd, above, known)]
    parents = [np.zeros(counts[0], dtype=np.int64)]
    for wide, fine, count in zip(of, of[1:], counts[1:], strict=False):
        parent = np.empty(count, dtype=np.int64)
        parent[fine] = wide
        parents.append(parent)
    for each in range(len(of) - 1, 0, -1):
        evidence.insert(0, evidence[0].of_wider(sds[each], parents[each], counts[each - 1]))
    total = np.zeros(1)
    for parent, sd, found in zip(parents, sds, evidence, strict=True):
        total = found.draw(random, total[parent], sd)
    return total


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What jobs tell of the sum of parts that each group shares.

    The log-likelihood of a sum x is ``pull * x - precision * x**2 / 2`` (from known scores), and
    for the groups `at` in addition `bounded` (from lower bounds) on the grid.

    Attributes
    ----------
    precision, pull : float64 arrays (groups,)
    at : int64 array (bounded groups,)
    grid : float64 array (points,)
    bounded : float64 array (bounded groups, points)
    """

    precision: Floats
    pull: Floats
    at: Ints
    grid: Floats
    bounded: Floats

    def on_grid(self) -> Floats:
        """Return the log-likelihood of the groups `at` on the grid."""
        precision, pull = self.precision[self.at][:, None], self.pull[self.at][:, None]
        return np.asarray(self.bounded + pull * self.grid - 0.5 * precision * self.grid**2)

    def of_wider(self, sd: float, parent: Ints, count: int) -> _Evidence:
        """Return what the jobs tell of the sums of the wider groups, without parts of this `sd`."""
        less = 1.0 / (1.0 + self.precision * sd**2)
        less[self.at] = 0.0
        at, place = np.unique(parent[self.at], return_inverse=True)
        return _Evidence(
            np.asarray(np.bincount(parent, self.precision * less, count), dtype=np.float64),
            np.asarray(np.bincount(parent, self.pull * less, count), dtype=np.float64),
            at,
            self.grid,
            _sums(_message(self.grid, self.on_grid(), sd), place, len(at)),
        )

    def draw(self, random: np.random.Generator, wider: Floats, sd: float) -> Floats:
        """Draw the sum of each group, given the sum of the wider parts."""
        precision = 1.0 / sd**2 + self.precision
        mean = (wider / sd**2 + self.pull) / precision
        total = mean + random.standard_normal(len(mean)) / np.sqrt(precision)
        density = self.on_grid() - 0.5 * ((self.grid - wider[self.at][:, None]) / sd) ** 2
        total[self.at] = _by_inverse(random, self.grid, density)
        return np.asarray(total)


def _of_jobs(of: Ints, count: int, own_sd: float, above: Floats, known: Floats) -> _Evidence:
    """Return what the jobs tell of the sum of parts that each of the finest groups shares."""
    ended = np.flatnonzero(~np.isnan(known))
    runs = np.flatnonzero(np.isnan(known) & (above > -np.inf))
    highest = np.max(above[runs], initial=0.0, where=np.isfinite(above[runs]))
    grid = np.arange(-_RANGE, max(_RANGE, highest + 0.5 * _RANGE), _STEP)
    longer = log_ndtr((grid - above[runs][:, None]) / own_sd)
    at, place = np.unique(of[runs], return_inverse=True)
    return _Evidence(
        np.bincount(of[ended], minlength=count) / own_sd**2,
        np.bincount(of[ended], known[ended], count) / own_sd**2,
        at,
        grid,
        _sums(longer, place, len(at)),
    )


def _sums(values: Floats, of: Ints, count: int) -> Floats:
    """Return the sum of the rows of each group."""
    if not len(of):
        return np.zeros((count, values.shape[1]))
    rows = np.arange(len(of))
    member = csr_array((np.ones(len(of)), (of, rows)), shape=(count, len(of)))
    return np.asarray(member @ values)


def _message(grid: Floats, log_likelihood: Floats, sd: float) -> Floats:
    """Return the log-likelihood of the sum of the wider parts, given that of each group's sum."""
    kernel = _kernel(len(grid), sd)
    most = log_likelihood.max(axis=1, keepdims=True)
    likelihood = np.exp(log_likelihood - most) @ kernel.T
    return np.asarray(most + np.log(np.maximum(likelihood, _LEAST_TAIL)))


@lru_cache(maxsize=8)
def _kernel(points: int, sd: float) -> Floats:
    """Return the probability of each point of a grid (columns) given the wider part (rows)."""
    at = _STEP * np.arange(points)
    kernel = np.exp(-0.5 * ((at[:, None] - at) / sd) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    kernel.setflags(write=False)
    return np.asarray(kernel)


def _by_inverse(random: np.random.Generator, grid: Floats, density: Floats) -> Floats:
    """Draw from densities, given as logarithms on a grid, by inverse transform."""
    weight = np.exp(density - density.max(axis=1, keepdims=True))
    upto = np.cumsum(weight, axis=1)
    level = random.uniform(size=len(upto)) * upto[:, -1]
    cell = np.minimum((upto < level[:, None]).sum(axis=1), len(grid) - 1)
    rows = np.arange(len(upto))
    left = (upto[rows, cell] - level) / weight[rows, cell]
    return np.asarray(grid[cell] + (0.5 - left) * _STEP)


def _above(random: np.random.Generator, mean: Floats, sd: float, bound: Floats) -> Floats:
    """Draw from normal distributions above bounds."""
    tail = np.maximum(ndtr((mean - bound) / sd), _LEAST_TAIL)
    return np.maximum(mean - sd * ndtri(tail * random.uniform(size=len(bound))), bound)
