"""The fastest gang of each pool of a fleet, in each draw of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.availability.failure_spec import Failures
from clustersim.simulation.speeds import chip_of_pool
from clustersim.training.fleet_at import FleetAt
from clustersim.training.gangs import Gang, step_times
from clustersim.training.interruptions import find_interruptions
from clustersim.training.training import Training

__all__ = ["PoolDays", "pool_days", "usable_counts"]

MANTISSAS = tuple(range(16, 32))
"""Numbers of nodes that are tried are these numbers times a power of two."""
FEW_MANTISSAS = (16, 24)
"""The same for much fewer nodes than are there, on which a training can be faster nonetheless."""
MOST_EXACT = 16
"""Up to this many different numbers of chips over the draws, each of them is tried."""


@dataclass(frozen=True, slots=True)
class PoolDays:
    """The fastest gang of one pool in each draw; arrays have the shape (draws,).

    Attributes
    ----------
    pool : int
        Index of the pool in the cluster.
    chips : int array
        Chips that are there.
    gangs : tuple of Gang
        The gangs that were tried.
    choice : int array
        Index in `gangs` of the fastest one that is possible; 0 if none is.
    work_s : array
        Time of all steps on it without failures, seconds; infinite if none is possible.
    wall_s : array
        The expected time with failures, seconds.
    software : array
        Speed of the software as a share of its speed when mature.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.scenario.platform import open_platform
    >>> from clustersim.training.fleet_at import fleet_at
    >>> from clustersim.training.training import training_of
    >>> catalogue = cs.load_catalogue()
    >>> training = training_of("llama3-8b", catalogue, cs.performance.default_calibration())
    >>> loaded = cs.load_scenario("mixed_small")
    >>> fleet = fleet_at(loaded, open_platform(loaded), "0 d", training.model, draws=1)
    >>> [there] = pool_days(training, fleet, None, [1], counts=[64])
    >>> there.gangs[there.choice[0]].count, bool(there.fits[0])
    (64, True)
    """

    pool: int
    chips: Ints
    gangs: tuple[Gang, ...]
    choice: Ints
    work_s: Floats
    wall_s: Floats
    software: Floats

    @property
    def fits(self) -> Bools:
        """Whether a gang is possible, in each draw."""
        return np.isfinite(self.wall_s)

    @property
    def chosen(self) -> list[Gang]:
        """The fastest gang in each draw; without meaning where none is possible."""
        return [self.gangs[index] for index in self.choice.tolist()]

    @property
    def middle(self) -> int:
        """The draw with the median time among those in which a gang is possible."""
        order = np.argsort(self.wall_s, kind="stable")
        return int(order[(int(self.fits.sum()) - 1) // 2])


def pool_days(
    training: Training,
    fleet: FleetAt,
    failures: Failures | None,
    pools: Sequence[int],
    *,
    share: float = 1.0,
    counts: Sequence[int] | None = None,
) -> list[PoolDays]:
    """Return the fastest gang of each pool in each draw.

    Parameters
    ----------
    training : Training
    fleet : FleetAt
    failures : Failures or None
    pools : sequence of int
        Indices of pools.
    share : float
        Share of the chips of a pool that the training gets.
    counts : sequence of int, optional
        Numbers of chips of a gang. Default: the fastest number up to the chips that are there,
        among those of :func:`usable_counts`.
    """
    chips, cluster = fleet.chips(share), fleet.platform.cluster
    tried: list[list[Gang]] = []
    for index in pools:
        pool = cluster.pools[index]
        chip = chip_of_pool(pool, fleet.platform.catalogue)
        sizes = usable_counts(chips[:, index], pool.chips_per_node) if counts is None else counts
        most = chips[:, index].max() if fleet.software[:, index].any() else 0
        tried.append([Gang(chip, size, pool) for size in sizes if size <= most])
    every = [gang for gangs in tried for gang in gangs]
    step_s = step_times(training, every)
    interruptions = find_interruptions(
        failures,
        [gang.pool for gang in every],
        [gang.count for gang in every],
        training.model.params,
    )
    work_s = training.steps * step_s
    with np.errstate(divide="ignore"):
        slower = 1.0 / interruptions.ettr
    found, start = [], 0
    for index, gangs in zip(pools, tried, strict=True):
        rows = slice(start, start + len(gangs))
        start += len(gangs)
        found.append(
            _chosen(
                index, chips[:, index], gangs, work_s[rows], slower[rows], fleet.software[:, index]
            )
        )
    return found


def _chosen(
    pool: int,
    chips: Ints,
    gangs: list[Gang],
    work_s: Floats,
    slower: Floats,
    software: Floats,
) -> PoolDays:
    """Return the fastest of the gangs of one pool that the chips of each draw allow."""
    none = np.full(len(chips), np.inf)
    if not gangs:
        nothing = np.zeros(len(chips), dtype=np.int64)
        return PoolDays(pool, chips, (), nothing, none, none, software)
    sizes = np.array([gang.count for gang in gangs])
    there = sizes[None, :] <= chips[:, None]
    wall_s = np.where(there, (work_s * slower)[None, :], np.inf)
    choice = wall_s.argmin(axis=1)
    possible = np.isfinite(wall_s[np.arange(len(chips)), choice]) & (software > 0)
    speed = np.where(possible, software, 1.0)
    return PoolDays(
        pool,
        chips,
        tuple(gangs),
        choice,
        np.where(possible, work_s[choice] / speed, np.inf),
        np.where(possible, (work_s * slower)[choice] / speed, np.inf),
        software,
    )


def usable_counts(chips: Ints, chips_per_node: int) -> list[int]:
    """Return the numbers of chips that are tried where up to `chips` are there, in ascending order.

    They are whole nodes: 16 to 31 times a power of two, from half of the fewest chips (of the draws
    with chips) to the most; 16 and 24 times a power of two below; and each number of chips that is
    there, unless there are many.

    Examples
    --------
    >>> usable_counts(np.array([0, 72, 88]), 8)
    [8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88]
    """
    nodes = np.unique(chips[chips > 0]) // chips_per_node
    if not nodes.size:
        return []
    least, most = max(1, int(nodes[0]) // 2), int(nodes[-1])
    powers = range(-4, most.bit_length())
    tried = {int(mantissa * 2.0**power) for mantissa in MANTISSAS for power in powers}
    exact = nodes.tolist() if nodes.size <= MOST_EXACT else [least, most]
    few = {int(mantissa * 2.0**power) for mantissa in FEW_MANTISSAS for power in powers}
    within = {each for each in tried if least <= each <= most}
    within |= {each for each in few if 1 <= each < least}
    return sorted(int(each) * chips_per_node for each in within | set(exact))
