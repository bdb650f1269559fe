"""Stationary distribution of the unfinished work of a server, without simulation.

The gaps between submissions are independent, and each is drawn from a mixture of exponential
distributions, some of which may have the mean 0 (jobs of one batch). For such a GI/G/1 queue, the
transform of the waiting time has a closed form except for a few real roots (Cohen, "The Single
Server Queue", 1982, part II, chapter 5). :mod:`clustersim.analysis.unfinished_work` defines the
unfinished work and its islands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, optimize

from clustersim.analysis.samples import LEVELS, Sample
from clustersim.array_types import Floats

__all__ = [
    "Gaps",
    "Offer",
    "StationaryWork",
    "relaxation_s",
    "stationary_distribution",
    "stationary_mean_s",
    "stationary_work",
]

Gaps = Sequence[tuple[float, float]]
"""A mixture of exponential distributions of gaps between submissions.

Each has a probability and a mean, in units of the mean gap; a mean of 0 stands for gaps of 0."""

GRIDS = (
    (30.0, 2**16, 0.0005),
    (30.0, 2**18, 0.005),
    (150.0, 2**18, 0.005),
    (2000.0, 2**20, 0.005),
    (30.0, 2**20, 0.005),
)
"""Lattices that are tried in turn: range, number of cells, and tolerance.

The range is a multiple of the mean unfinished work plus the mean rest of a job in progress. The
tolerance is the largest relative deviation of the mean on the lattice from the exact mean. Wide
lattices are for work with a heavy tail; the last one is for loads close to 1.
"""
DAMPING = 6.0
"""Damping of the transform over the range, which limits what wraps around from beyond its end."""
NOISE = 1e-13
"""Probabilities of cells that are below this are rounding errors of the transform."""
MOST_BEYOND = 1e-5
"""Largest probability beyond the range."""
NEGLIGIBLE = 1e-6
"""Deviation that never matters, as a multiple of the mean rest of a job in progress."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the stream of jobs offers to one island.

    Attributes
    ----------
    part : float
        Share of the jobs that belong to this island, among the jobs of all islands.
    work_s : float64 array (values,)
        Possible amounts of work of a submitted job, in seconds of the island; 0 for jobs that
        belong to another island.
    share : float64 array (values,)
        Probability of each; their sum is 1.
    """

    part: float
    work_s: Floats
    share: Floats

    def moment(self, order: int) -> float:
        """Return the mean of a power of the work of a submitted job."""
        return float((self.share * self.work_s**order).sum())


@dataclass(frozen=True, slots=True)
class StationaryWork:
    """Stationary distribution of the unfinished work that a job finds at its submission.

    Attributes
    ----------
    sample : Sample
        The distribution over the jobs of all islands, in seconds; its mean is exact.
    relaxation_s : float
        Time (seconds) after which the slowest island has forgotten its past.
    """

    sample: Sample
    relaxation_s: float


def relaxation_s(offer: Offer, gaps: Gaps, rate_per_s: float) -> float:
    """Return the time in seconds after which an island has forgotten its past.

    Near a load of 1, the unfinished work behaves like a reflected Brownian motion, whose time scale
    is ``(cv_a^2 + cv_s^2) / ((1 - load)^2 rate)``, where cv_a and cv_s are the coefficients of
    variation of the gaps and of the work of a submitted job (Whitt, "Planning queueing
    simulations", Management Science 35, 1989).

    Parameters
    ----------
    offer, gaps, rate_per_s
        As for :func:`stationary_distribution`.

    Examples
    --------
    In an M/D/1 queue with load 0.9 and one job each second:

    >>> offer = Offer(1.0, np.array([0.9]), np.array([1.0]))
    >>> round(relaxation_s(offer, [(1.0, 1.0)], 1.0))
    100
    """
    mean = offer.moment(1)
    square = sum(2 * part * gap**2 for part, gap in gaps) - 1.0 + offer.moment(2) / mean**2 - 1.0
    return square / ((1.0 - rate_per_s * mean) ** 2 * rate_per_s)


def stationary_work(
    offers: Sequence[Offer], gaps: Gaps, rate_per_s: float
) -> StationaryWork | None:
    """Return the stationary distribution of the unfinished work that jobs find.

    Parameters
    ----------
    offers : sequence of Offer
        One for each island.
    gaps, rate_per_s
        As for :func:`stationary_distribution`.

    Returns
    -------
    StationaryWork or None
        None if :func:`stationary_distribution` returns None for one of the islands.

    Examples
    --------
    >>> u = (np.arange(4000) + 0.5) / 4000
    >>> offer = Offer(1.0, -np.log1p(-u), np.full(4000, 1 / 4000))
    >>> round(stationary_work([offer], [(1.0, 1.0)], 0.5).sample.mean, 2)
    1.0
    """
    found = [stationary_distribution(offer, gaps, rate_per_s) for offer in offers]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    total = sum(offer.part for offer in offers)
    parts = [offer.part / total for offer in offers]
    mean_s = sum(part * mean_s for part, (_, _, mean_s) in zip(parts, known, strict=True))
    slowest_s = max(relaxation_s(offer, gaps, rate_per_s) for offer in offers)
    cells = max(len(value_s) for value_s, _, _ in known)
    quantiles = _quantiles(parts, [(value_s, at_most) for value_s, at_most, _ in known])
    return StationaryWork(Sample(cells, quantiles, mean_s), slowest_s)


def _quantiles(parts: Sequence[float], known: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Return the quantiles of a mixture of distributions at :data:`LEVELS`, by bisection."""

    def at_most(value_s: Floats) -> Floats:
        total = np.zeros(len(LEVELS))
        for part, (values, probability) in zip(parts, known, strict=True):
            total += part * np.interp(value_s, values, probability)
        return total

    each = np.array([np.interp(LEVELS, probability, values) for values, probability in known])
    low, high = each.min(axis=0), each.max(axis=0)
    if len(known) > 1:
        for _ in range(50):
            middle = 0.5 * (low + high)
            reached = at_most(middle) >= LEVELS
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    found: Floats = np.where(at_most(np.zeros(len(LEVELS))) >= LEVELS, 0.0, high)
    return found


def stationary_distribution(
    offer: Offer, gaps: Gaps, rate_per_s: float
) -> tuple[Floats, Floats, float] | None:
    """Return the stationary distribution of the unfinished work before arrivals (a GI/G/1 queue).

    Work and gaps are rounded to a lattice without changing their means. The transform of the
    unfinished work on the lattice is then known in closed form, and a Fourier transform inverts it.

    Parameters
    ----------
    offer : Offer
        The work that submitted jobs offer to the island.
    gaps : sequence of (float, float)
        See :data:`Gaps`.
    rate_per_s : float
        Mean number of submissions per second, including jobs of other islands.

    Returns
    -------
    (value_s, at_most, mean_s) or None
        Two float64 arrays (cells,) and a number: ``at_most[k]`` is the probability that the
        unfinished work is at most ``value_s[k]``, and ``mean_s`` is its exact mean, from
        :func:`stationary_mean_s`. None if the distribution does not exist or is not accurate: if
        the load is not between 0 and 1, the gaps do not have a mean of 1, more than 1e-5 of the
        probability lies beyond the range of the lattice, or the mean on the lattice differs by
        more than 0.5 % from the exact mean.

    Examples
    --------
    In an M/M/1 queue with load 0.5 and mean work 1 s, P(V > x) = 0.5 exp(-x / 2):

    >>> u = (np.arange(4000) + 0.5) / 4000
    >>> offer = Offer(1.0, -np.log1p(-u), np.full(4000, 1 / 4000))
    >>> value, at_most, _ = stationary_distribution(offer, [(1.0, 1.0)], 0.5)
    >>> bool(abs(np.interp(2.0, value, at_most) - (1 - 0.5 * np.exp(-1.0))) < 1e-3)
    True
    """
    mean, square = offer.moment(1), offer.moment(2)
    sound = 0 < rate_per_s * mean < 1 and np.isfinite(square)
    sound &= abs(sum(part for part, _ in gaps) - 1.0) < 1e-6
    if not sound or abs(sum(part * gap for part, gap in gaps) - 1.0) > 1e-6:
        return None
    exact_s, rest_s = stationary_mean_s(offer, gaps, rate_per_s), square / (2 * mean)
    for span, cells, tolerance in GRIDS:
        step = span * (exact_s + rest_s) / cells
        scaled = [(part, gap / rate_per_s / step) for part, gap in gaps]
        probability = _waiting(_on_lattice(offer, step, cells), mean / step, scaled)
        value_s: Floats = step * np.arange(cells, dtype=np.float64)
        at_most = np.cumsum(probability)
        beyond = abs(1.0 - float(at_most[-1]))
        deviation = abs(float((value_s * probability).sum()) - exact_s)
        if beyond <= MOST_BEYOND and deviation <= tolerance * exact_s + NEGLIGIBLE * rest_s:
            return value_s, at_most, exact_s
    return None


def stationary_mean_s(offer: Offer, gaps: Gaps, rate_per_s: float) -> float:
    """Return the exact mean (seconds) of the unfinished work before arrivals.

    It is ``E[U^2] / (2 E[-U]) - E[I^2] / (2 E[I])``, where U is the work of a job less the gap to
    the next one, and I is an idle period (Marshall, "Some inequalities in queuing", Operations
    Research 16, 1968). If the gaps are a mixture of exponential distributions, the second term is
    the sum of their means less the sum of ``1 / root``, with the positive roots s of
    ``E[exp(-s work)] E[exp(s gap)] = 1``. For Poisson arrivals, this is the formula of Pollaczek
    and Khinchine.

    Parameters
    ----------
    offer, gaps, rate_per_s
        As for :func:`stationary_distribution`; the load must be below 1.

    Examples
    --------
    >>> offer = Offer(1.0, np.array([1.0]), np.array([1.0]))
    >>> stationary_mean_s(offer, [(1.0, 1.0)], 0.5)
    0.5
    """
    parts, means = _exponential([(part, gap / rate_per_s) for part, gap in gaps])
    zero = max(0.0, 1.0 - float(parts.sum()))

    def excess(s: float) -> float:
        # The difference of 1 and the product of the transforms, times prod(1 - mean s) / s.
        factors = 1.0 - means * s
        others = parts * _products_of_others(factors)
        mixed = zero * factors.prod() + others.sum()
        rest = float((offer.share * -np.expm1(-s * offer.work_s)).sum()) / s
        return float(rest * mixed - (means * others).sum())

    roots = [_root(excess, 1 / long, 1 / short) for short, long in itertools.pairwise(means)]
    mean, gap = offer.moment(1), float((parts * means).sum())
    idle = float(means.sum()) - sum(1 / root for root in roots)
    # The difference of the two terms, arranged so that small means keep their digits.
    of_gaps = float((parts * means * (means - idle)).sum()) + mean * (idle - gap)
    return max(0.0, (offer.moment(2) / 2 + of_gaps) / (gap - mean))


def _exponential(gaps: Gaps) -> tuple[Floats, Floats]:
    """Return probabilities and means of the gaps that are not 0, with ascending means."""
    of_mean: dict[float, float] = {}
    for part, mean in gaps:
        if part > 0 and mean > 0:
            of_mean[mean] = of_mean.get(mean, 0.0) + part
    means = sorted(of_mean)
    return np.array([of_mean[mean] for mean in means]), np.array(means)


def _products_of_others(factors: Floats) -> Floats:
    """Return, for each factor, the product of all others."""
    return np.array([np.delete(factors, k).prod() for k in range(len(factors))])


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return the root between two poles of the transform of the gaps.

    If the transform of the work vanishes at one of the poles, rounding can hide the change of sign.
    The root then equals this pole.
    """
    at_low, at_high = excess(low), excess(high)
    if at_low * at_high >= 0:
        return low if abs(at_low) < abs(at_high) else high
    return float(optimize.brentq(excess, low, high, xtol=1e-300, rtol=1e-15))


def _on_lattice(offer: Offer, step: float, cells: int) -> Floats:
    """Return the probabilities of the work on a lattice (cells,), with the same mean.

    The probability of each value is divided between its two neighbours on the lattice.  Values
    beyond its end are left out.
    """
    scaled = offer.work_s / step
    inside = scaled < cells - 1
    at, share = scaled[inside], offer.share[inside]
    below = at.astype(np.int64)
    upper = share * (at - below)
    found = np.bincount(below, share - upper, cells) + np.bincount(below + 1, upper, cells)
    return np.asarray(found, dtype=np.float64)


def _waiting(work: Floats, mean: float, gaps: Gaps) -> Floats:
    """Return the stationary waiting-time probabilities on the lattice (cells,).

    On the lattice, a gap with an exponential distribution of mean m cells is at least k + 1 cells
    long with the probability ``m e (1 - e)^k``, with ``e = 1 - exp(-1 / m)``. Let y be 1 - z, p the
    probability of each such gap, ``S = sum(p m e / (e - y))`` the transform of the gaps' tail,
    ``R = prod(e - y)``, and T the transform of the tail of the work. The transform of the waiting
    time is then ``C prod(root - y) / (R T - R S + y R T S)``, where the roots y lie between the
    values of e and cancel zeros of the denominator.

    Parameters
    ----------
    work : float64 array (cells,)
        Probabilities of the work.
    mean : float
        Mean work, in cells.
    gaps : sequence of (float, float)
        Probabilities and means (in cells) of the gaps.
    """
    cells = len(work)
    parts, means = _exponential(gaps)
    ends = -np.expm1(-1 / means)
    weight = parts * means * ends
    tail, last = 1.0 - np.cumsum(work), int(np.flatnonzero(work)[-1]) + 1

    def excess(y: float) -> float:
        # Terms below exp(-50) are negligible.
        reach = min(last, 2 + int(-50.0 / np.log1p(-y))) if y < 1 else 1
        at_y = float((tail[:reach] * (1.0 - y) ** np.arange(reach)).sum())
        factors = ends - y
        sums = float((weight * _products_of_others(factors)).sum())
        return float(at_y * (factors.prod() + y * sums)) - sums

    roots = [_root(excess, low, high) for high, low in itertools.pairwise(ends)]
    damped = np.exp(-DAMPING / cells * np.arange(cells))
    tails = fft.rfft(tail * damped)
    y = -np.expm1(-(DAMPING + 2j * np.pi * np.arange(cells // 2 + 1)) / cells)
    whole, sums, zeros = np.ones_like(y), np.zeros_like(y), np.ones_like(y)
    for k, (end, each) in enumerate(zip(ends, weight, strict=True)):
        whole *= end - y
        others = np.full_like(y, each)
        for other in np.delete(ends, k):
            others *= other - y
        sums += others
    for root in roots:
        zeros *= root - y
    at_one = mean * ends.prod() - float((weight * _products_of_others(ends)).sum())
    scale = at_one / np.array(roots).prod()
    transform = scale * zeros / (tails * (whole + y * sums) - sums)
    found: Floats = fft.irfft(transform, cells) / damped
    found[found < NOISE] = 0.0
    return found
