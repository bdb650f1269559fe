"""Normal scores of run times that are not known yet, given what is known of like jobs.

The run time of a job is the quantile of its distribution at the level of a normal score. The score
is the sum of a part that all jobs of a user share, a part that jobs of the same user, size and
limit share (a batch), and a part of the job's own. The last job of a batch that ended tells of its
parts, and so do jobs that still run: their scores are above those of the time that has passed.
"""

from __future__ import annotations

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
    """Correlations of normal scores.

    Attributes
    ----------
    of_batch : float
        Of jobs of the same user, size and limit, below 1.
    of_user : float
        Of other jobs of the same user, at most `of_batch`.
    """

    of_batch: float
    of_user: float = 0.0


def draw_scores(
    streams: Streams,
    users: Ints,
    batches: Ints,
    *,
    above: Floats,
    known: Floats,
    correlations: Correlations,
) -> Floats:
    """Draw the normal score of each job, given scores that are known and lower bounds.

    The shared parts are drawn by Gibbs sampling, from a start that is exact for a batch of one job.

    Parameters
    ----------
    streams : Streams
    users, batches : int64 arrays (jobs,)
        Numbers of the user and of the batch of each job, from 0. Each batch is of one user.
    above : float64 array (jobs,)
        Lower bounds; negative infinity for a job that has not started.
    known : float64 array (jobs,)
        Scores of jobs that have ended; NaN for others.
    correlations : Correlations

    Examples
    --------
    >>> draw = [
    ...     draw_scores(
    ...         Streams(1, replication=k),
    ...         np.zeros(2, dtype=np.int64),
    ...         np.zeros(2, dtype=np.int64),
    ...         above=np.full(2, -np.inf),
    ...         known=np.array([2.0, np.nan]),
    ...         correlations=Correlations(0.5),
    ...     )
    ...     for k in range(500)
    ... ]
    >>> bool(0.9 < np.mean(draw, axis=0)[1] < 1.1)  # half of the score that is known
    True
    """
    random = streams("scores of run times")
    of_user, of_batch = correlations.of_user, correlations.of_batch - correlations.of_user
    own_sd = np.sqrt(1.0 - correlations.of_batch)
    score = np.where(np.isnan(known), -np.inf, known)
    running = np.isnan(known) & (above > -np.inf)
    told = running | ~np.isnan(known)
    of = _Told(users, batches, told)
    score[running] = _above(random, 0.0, 1.0, above[running])
    batch = of.start(random, score, correlations.of_batch)
    user = np.zeros(of.n_users)
    for _ in range(_SWEEPS if correlations.of_batch > 0 else 1):
        middle = user[users] + batch[batches]
        batch = of.redrawn(random, score - user[users], of_batch, own_sd, by_user=False)
        user = of.redrawn(random, score - batch[batches], of_user, own_sd, by_user=True)
        middle = user[users] + batch[batches]
        score[running] = _above(random, middle[running], own_sd, above[running])
    own = own_sd * random.standard_normal(len(users))
    return np.where(told, score, user[users] + batch[batches] + own)


class _Told:
    """The jobs that tell of the parts of their users and batches."""

    def __init__(self, users: Ints, batches: Ints, told: Ints) -> None:
        self.rows = np.flatnonzero(told)
        self.users, self.batches = users[self.rows], batches[self.rows]
        self.n_users = int(users.max(initial=-1)) + 1
        self.n_batches = int(batches.max(initial=-1)) + 1

    def start(self, random: np.random.Generator, score: Floats, correlation: float) -> Floats:
        """Return parts of batches given the highest score of each."""
        most = np.full(self.n_batches, -np.inf)
        np.maximum.at(most, self.batches, score[self.rows])
        noise = np.sqrt(correlation * (1.0 - correlation)) * random.standard_normal(self.n_batches)
        return (
            np.where(np.isfinite(most), correlation * np.where(most > -np.inf, most, 0.0), 0.0)
            + noise
        )

    def redrawn(
        self,
        random: np.random.Generator,
        rest: Floats,
        variance: float,
        sd: float,
        *,
        by_user: bool,
    ) -> Floats:
        """Return the parts of all users or batches, given the scores without the other part."""
        of, count = (self.users, self.n_users) if by_user else (self.batches, self.n_batches)
        if variance <= 0:
            return np.zeros(count)
        precision = 1.0 / variance + np.bincount(of, minlength=count) / sd**2
        mean = np.bincount(of, weights=rest[self.rows], minlength=count) / sd**2 / precision
        return np.asarray(mean + random.standard_normal(count) / np.sqrt(precision))


def _above(random: np.random.Generator, mean: Floats | float, sd: float, bound: Floats) -> Floats:
    """Draw from normal distributions above bounds; the bound itself if it is infinite."""
    tail = np.maximum(ndtr((mean - bound) / sd), _LEAST_TAIL)
    drawn = mean - sd * ndtri(tail * random.uniform(size=len(bound)))
    return np.maximum(drawn, bound)
