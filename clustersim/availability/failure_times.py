"""Times of failures, stratified over the replications of a study.

The times of a Poisson process are drawn in blocks.  The time that a block of failures takes has a
gamma distribution, and the failures within the block are uniform order statistics (Devroye,
"Non-Uniform Random Variate Generation", section VI.1).  The quantile of the gamma distribution is
taken at a uniform number that is stratified over the replications
(:meth:`clustersim.seeds.Streams.stratified_numbers`).  Within one run, this is a Poisson process
exactly.  Over the replications, the number of failures until any time varies much less, because
only the place within the last block is left to chance.

The first four blocks contain one failure each, and every further block half as many as all blocks
before it.  A rare failure therefore profits as well as a frequent one, and a run needs only some 15
stratified numbers for each source and pool.

The first failures of components that age are the order statistics of their lifetimes, and are drawn
in the same blocks: the probability at the end of a block has a beta distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import count as numbers_from

import numpy as np
from scipy import special

from clustersim.array_types import Floats, Ints
from clustersim.seeds import Streams

__all__ = ["CHUNK", "order_statistics", "poisson_times"]

CHUNK = 512
"""Number of failures that are drawn at the same time, and largest size of a block."""
AT_ONCE = 32
"""Number of blocks of :data:`CHUNK` failures whose lengths are drawn at the same time."""
_BELOW_1 = 1.0 - 2.0**-53


@lru_cache(maxsize=64)
def _sizes(total: int) -> Ints:
    """Return the sizes of growing blocks that contain a number of failures in all.

    Examples
    --------
    >>> _sizes(20).tolist()
    [1, 1, 1, 1, 2, 3, 4, 6, 1]
    """
    sizes: list[int] = []
    while (drawn := sum(sizes)) < total:
        sizes.append(min(max(1, drawn // 2), total - drawn))
    return np.array(sizes)


def poisson_times(
    mean_s: float, purpose: str, streams: Streams, generator: np.random.Generator
) -> Iterator[Floats]:
    """Yield the times of a Poisson process in order, without end.

    Parameters
    ----------
    mean_s : float
        Mean time between two failures, seconds.
    purpose : str
        Name of the stratified numbers in `streams`.
    streams : Streams
        Provides the times that blocks of failures take.
    generator : numpy.random.Generator
        Provides the times within the blocks.

    Yields
    ------
    float64 array (:data:`CHUNK`,)
        The next times, seconds.

    Examples
    --------
    >>> from itertools import chain, islice
    >>> from clustersim import Streams
    >>> firsts = []
    >>> for replication in range(4):
    ...     streams = Streams(7, replication=replication)
    ...     chunks = poisson_times(60.0, "failures", streams, streams("within"))
    ...     firsts.append(next(chunks)[0])
    >>> sorted(int(4 * -np.expm1(-first / 60.0)) for first in firsts)
    [0, 1, 2, 3]
    """
    sizes = _sizes(CHUNK)
    ends = np.cumsum(_took(sizes, purpose, streams))
    yield mean_s * _filled(np.append(0.0, ends), sizes, generator)
    whole, now = np.array([CHUNK]), float(ends[-1])
    for part in numbers_from(1):
        took = _took(np.full(AT_ONCE, CHUNK), f"{purpose}, part {part}", streams)
        for end in (now + np.cumsum(took)).tolist():
            yield mean_s * _filled(np.array([now, end]), whole, generator)
            now = end


def _took(sizes: Ints, purpose: str, streams: Streams) -> Floats:
    """Return how long each block takes, in mean times between two failures."""
    chance = streams.stratified_numbers(purpose, len(sizes))
    return np.asarray(special.gammaincinv(sizes, chance))


def order_statistics(
    count: int, purpose: str, streams: Streams, generator: np.random.Generator
) -> Floats:
    """Return uniform random numbers in ascending order, the smallest ones in stratified blocks.

    Parameters
    ----------
    count : int
    purpose, streams, generator
        As for :func:`poisson_times`.

    Returns
    -------
    float64 array (count,)
        Less than 1.  The numbers from :data:`CHUNK` on are not stratified.

    Examples
    --------
    >>> from clustersim import Streams
    >>> found = order_statistics(3, "first failures", Streams(7), Streams(7)("within"))
    >>> bool((np.diff(found) > 0).all())
    True
    """
    sizes = _sizes(min(count, CHUNK))
    last = np.cumsum(sizes)
    chance = streams.stratified_numbers(purpose, len(sizes))
    part = special.betaincinv(sizes, count - last + 1, chance)
    ends = -np.expm1(np.cumsum(np.log1p(-part)))
    drawn = _filled(np.append(0.0, ends), sizes, generator)
    rest = ends[-1] + np.sort(generator.random(count - len(drawn))) * (1.0 - ends[-1])
    return np.asarray(np.minimum(np.append(drawn, rest), _BELOW_1))


def _filled(edges: Floats, sizes: Ints, generator: np.random.Generator) -> Floats:
    """Return ascending numbers: the end of each block, and uniform numbers within it before."""
    within = generator.random(int(sizes.sum()))
    within[np.cumsum(sizes) - 1] = 1.0
    begins, ends = np.repeat(edges[:-1], sizes), np.repeat(edges[1:], sizes)
    return np.sort(begins + within * (ends - begins))
