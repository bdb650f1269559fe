"""Unfinished work of a fleet seen as one server, which controls the noise of simulated waits.

Jobs wait because work arrives in lumps. The simplest model of this is one server that does the work
of the whole fleet: the *unfinished work* rises by the work of each job at its submission and falls
by one second each second. It ignores gangs, placement and policies, so it does not predict waits.
However, most of the randomness of a simulated wait is already in the unfinished work of the same
jobs, and the stationary distribution of this work is known without simulation. This makes it an
ideal control variate (Law, "Simulation Modeling and Analysis", section 11.4; "external control
variates").

Work is measured in fleet-seconds: 1 is what the whole fleet can do in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, optimize

from clustersim.analysis.samples import LEVELS, Sample
from clustersim.array_types import Floats

__all__ = [
    "UnfinishedWork",
    "stationary_distribution",
    "stationary_sample",
    "unfinished_work",
]

CELLS = 2**18
"""Number of cells into which the range of the unfinished work is divided."""
SPAN = 150.0
"""Range of the unfinished work, as a multiple of an estimate of its mean."""


@dataclass(frozen=True, slots=True)
class UnfinishedWork:
    """The unfinished work of a run, and its stationary distribution.

    Attributes
    ----------
    before_s : float64 array (jobs,)
        Unfinished work (fleet-seconds) just before each job is submitted.
    stationary : Sample
        Stationary distribution of this quantity.
    mean_s : float
        Its stationary mean.
    """

    before_s: Floats
    stationary: Sample
    mean_s: float


def unfinished_work(submit_s: Floats, work_s: Floats) -> Floats:
    """Return the unfinished work just before each job is submitted, on a server that starts empty.

    Parameters
    ----------
    submit_s : float64 array (jobs,)
        Times of submission, in order.
    work_s : float64 array (jobs,)
        Work of each job, in fleet-seconds.

    Returns
    -------
    float64 array (jobs,)
        In fleet-seconds (Lindley's recursion, written as a cumulative sum less its running
        minimum).

    Examples
    --------
    >>> unfinished_work(np.array([0.0, 1.0, 5.0]), np.array([3.0, 1.0, 1.0])).tolist()
    [0.0, 2.0, 0.0]
    """
    steps = np.zeros(len(submit_s))
    steps[1:] = work_s[:-1] - np.diff(submit_s)
    net = np.cumsum(steps)
    return net - np.minimum.accumulate(np.minimum(net, 0.0))


def stationary_distribution(
    work_s: Floats, share: Floats, gap_cdf: Callable[[Floats], Floats], rate_per_s: float
) -> tuple[Floats, Floats]:
    """Return the stationary distribution of the unfinished work before arrivals (a GI/G/1 queue).

    The distribution follows from Spitzer's identity: its transform is the part of
    ``1 / (1 - E[exp(s U)])`` that belongs to positive values, where U is the work of a job less
    the gap to the next one. The logarithm separates the two parts (Ackroyd, "Computing the waiting
    time distribution for the G/G/1 queue by signal processing methods", IEEE Trans. Communications
    28, 1980). Work and gaps are rounded to a lattice without changing their means.

    Parameters
    ----------
    work_s : float64 array (values,)
        Possible amounts of work of a job, in fleet-seconds.
    share : float64 array (values,)
        Probability of each; their sum is 1.
    gap_cdf : callable
        Distribution function of the gaps between submissions, in units of the mean gap.
    rate_per_s : float
        Mean number of submissions per second; the load must be less than 1.

    Returns
    -------
    value_s, at_most : float64 arrays (cells,)
        ``at_most[k]`` is the probability that the unfinished work is at most ``value_s[k]``.

    Examples
    --------
    In an M/M/1 queue with load 0.5 and mean work 1 s, P(V > x) = 0.5 exp(-x / 2):

    >>> u = (np.arange(4000) + 0.5) / 4000
    >>> value, at_most = stationary_distribution(
    ...     -np.log1p(-u), np.full(4000, 1 / 4000), lambda x: -np.expm1(-x), 0.5
    ... )
    >>> bool(abs(np.interp(2.0, value, at_most) - (1 - 0.5 * np.exp(-1.0))) < 1e-3)
    True
    """
    mean, square = float(share @ work_s), float(share @ work_s**2)
    load = rate_per_s * mean
    gaps = np.concatenate([[0.0], np.geomspace(1e-6, 200.0, 20_000)])
    above = 1.0 - gap_cdf(gaps)
    to_gap = np.concatenate([[0.0], np.cumsum(0.5 * (above[1:] + above[:-1]) * np.diff(gaps))])
    gap_square = 2 * float(((1.0 - to_gap / to_gap[-1])[1:] * np.diff(gaps)).sum())
    spread = square - mean**2 + (gap_square - 1.0) / rate_per_s**2
    step = SPAN * (spread * rate_per_s / (2 * (1 - load)) + mean) / CELLS
    edges = step * np.arange(CELLS + 1)
    order = np.argsort(work_s)
    ranked, weight = work_s[order], share[order]
    below = np.searchsorted(ranked, edges)
    up_to = np.concatenate([[0.0], np.cumsum(ranked * weight)])
    rest = 1.0 - np.concatenate([[0.0], np.cumsum(weight)])
    work = _lattice(up_to[below] + rest[below] * edges, step)
    gap = _lattice(np.interp(edges * rate_per_s, gaps, to_gap / to_gap[-1]) / rate_per_s, step)
    value_s: Floats = step * np.arange(CELLS, dtype=np.float64)
    return value_s, np.cumsum(_waiting(work, gap))


def stationary_sample(
    work_s: Floats, share: Floats, gap_cdf: Callable[[Floats], Floats], rate_per_s: float
) -> tuple[Sample, float]:
    """Return the stationary distribution of the unfinished work as a sample, and its mean.

    Parameters
    ----------
    work_s, share, gap_cdf, rate_per_s
        As for :func:`stationary_distribution`.

    Examples
    --------
    >>> u = (np.arange(4000) + 0.5) / 4000
    >>> sample, mean_s = stationary_sample(
    ...     -np.log1p(-u), np.full(4000, 1 / 4000), lambda x: -np.expm1(-x), 0.5
    ... )
    >>> round(mean_s, 2)
    1.0
    """
    value_s, at_most = stationary_distribution(work_s, share, gap_cdf, rate_per_s)
    mean_s = float(value_s @ np.diff(at_most, prepend=0.0))
    return Sample(len(value_s), np.interp(LEVELS, at_most, value_s)), mean_s


def _lattice(mean_below: Floats, step: float) -> Floats:
    """Return probabilities on a lattice with the same mean, from E[min(X, edge)] at its edges.

    The probability of each value is divided between its two neighbours on the lattice.  The
    probability of values beyond the last edge is added to the last cell.
    """
    tail = np.diff(mean_below) / step
    probability = np.empty(len(tail))
    probability[0] = 1.0 - tail[0]
    probability[1:] = tail[:-1] - tail[1:]
    probability[-1] += tail[-1]
    return np.maximum(probability, 0.0)


def _waiting(work: Floats, gap: Floats) -> Floats:
    """Return the stationary waiting-time probabilities on the lattice (cells,)."""
    cells = np.arange(len(work), dtype=np.float64)
    reach = min(len(work) - 1, int(np.flatnonzero(work > 0)[-1]))

    def growth(tilt: float) -> float:
        tilted = work[: reach + 1] @ np.exp(tilt * cells[: reach + 1])
        return float(tilted * (gap @ np.exp(-tilt * cells)))

    # On the contour of this tilt, |E exp(s U)| < 1, so the logarithm is unambiguous.
    tilt = float(optimize.minimize_scalar(growth, bounds=(0.0, 30.0 / reach), method="bounded").x)
    size = 2 * len(work)
    rise = fft.rfft(work * np.exp(tilt * cells), size)
    fall = np.conj(fft.rfft(gap * np.exp(-tilt * cells), size))
    cepstrum = fft.irfft(-np.log(1.0 - rise * fall), size)[1 : len(work)]
    jumps = np.concatenate([[0.0], np.maximum(cepstrum, 0.0) * np.exp(-tilt * cells[1:])])
    damped = np.exp(-20.0 / len(work) * cells)
    transform = np.exp(fft.rfft(jumps * damped, size) - jumps.sum())
    found: Floats = fft.irfft(transform, size)[: len(work)] / damped
    return np.maximum(found, 0.0)
