"""Pollux: sizes of the largest fitness, on accelerators that it takes to be alike."""

from __future__ import annotations

import math

import numpy as np

from clustersim.array_types import Ints
from clustersim.scheduling.policies.elastic_rounds.size_rounds import ElasticRounds
from clustersim.scheduling.programs.elastic import Configurations, pollux

__all__ = ["Pollux"]


class Pollux(ElasticRounds):
    """Sizes of the largest fitness: the power mean of speed-ups against an equal share.

    Qiao et al., "Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning", OSDI
    2021; solved exactly instead of by its genetic algorithm.

    Attributes
    ----------
    power : float
        Power of the mean, not 0; -1 is the harmonic mean.
    heterogeneity_aware : bool
        Whether the pool is chosen by the speed there. Pollux takes all accelerators to be alike:
        a job keeps its pool if its size does not change, and else goes to the pool with most free.
    idle_speedup : float
        Speed-up that counts for a job without accelerators.
    gap : float
        Relative difference to the bound at which the search may stop.
    """

    power: float = -1.0
    heterogeneity_aware: bool = False
    idle_speedup: float = 0.01
    gap: float = 1e-3

    @classmethod
    def check_options(cls) -> str:
        if cls.power == 0 or not math.isfinite(cls.power):
            return f"option power: must be a number below or above 0, found {cls.power}"
        if not 0 < cls.idle_speedup < math.inf:
            return f"option idle_speedup: must be a number above 0, found {cls.idle_speedup}"
        if not 0 <= cls.gap < 1:
            return f"option gap: must be at least 0 and below 1, found {cls.gap}"
        return super().check_options()

    def choose(self, configurations: Configurations) -> Ints:
        if self.heterogeneity_aware:
            return self._solve(configurations)
        alike, sizes = _as_one_pool(configurations)
        found = self._solve(alike)
        wanted = np.where(found >= 0, sizes[np.maximum(found, 0)], 0)
        return _on_pools(configurations, wanted)

    def _solve(self, configurations: Configurations) -> Ints:
        return pollux(
            configurations, power=self.power, idle_speedup=self.idle_speedup, gap=self.gap
        ).option


def _as_one_pool(configurations: Configurations) -> tuple[Configurations, Ints]:
    """Return the same problem with all accelerators alike, and its sizes.

    The goodput of a size is the mean over the pools where the job can run so.
    """
    counts, goodputs = configurations.counts, configurations.goodputs
    sizes, size_of = np.unique(counts, return_inverse=True)
    total, able = np.zeros((2, len(goodputs), len(sizes)))
    for column, at in enumerate(size_of.tolist()):
        total[:, at] += goodputs[:, column]
        able[:, at] += goodputs[:, column] > 0
    mean = np.divide(total, able, out=np.zeros_like(total), where=able > 0)
    current = configurations.current
    return (
        Configurations(
            pools=np.zeros(len(sizes), dtype=np.int64),
            counts=sizes,
            goodputs=mean,
            accelerators=np.array([configurations.accelerators.sum()]),
            current=np.where(current >= 0, size_of[np.maximum(current, 0)], -1),
            age_s=configurations.age_s,
            restarts=configurations.restarts,
            restart_delay_s=configurations.restart_delay_s,
        ),
        sizes,
    )


def _on_pools(configurations: Configurations, wanted: Ints) -> Ints:
    """Return a configuration of each job with the size wanted, or the next smaller one with room.

    Jobs that keep their size keep their pool; the others, the largest first, go to the pool with
    most accelerators left.
    """
    pools, counts = configurations.pools, configurations.counts
    left = configurations.accelerators.copy()
    found = np.full(len(wanted), -1)
    for job in np.flatnonzero(configurations.current >= 0).tolist():
        column = int(configurations.current[job])
        if counts[column] == wanted[job]:
            found[job] = column
            left[pools[column]] -= counts[column]
    rest = [job for job in np.flatnonzero(found < 0).tolist() if wanted[job]]
    for job in sorted(rest, key=lambda job: (-wanted[job], job)):
        able = np.flatnonzero(
            (configurations.goodputs[job] > 0) & (counts <= wanted[job]) & (counts <= left[pools])
        )
        if len(able):
            best = max(able.tolist(), key=lambda at: (counts[at], left[pools[at]], -at))
            found[job] = best
            left[pools[best]] -= counts[best]
    return found
