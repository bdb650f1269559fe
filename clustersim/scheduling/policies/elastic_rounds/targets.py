"""The pools and sizes at which jobs can run, and how fast each job is known to be at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clustersim.array_types import Floats
from clustersim.scheduling.elastic import usual_sizes
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["Goodputs", "Target", "targets_of_pools"]

_SHORTEST_S = 1e-6


class Target(NamedTuple):
    """Where a job is to run: the row of its pool, and its size."""

    pool: int
    size: int


def targets_of_pools(queue: Queue, pools: Sequence[Partition]) -> list[Target]:
    """Return where the jobs can run: at the usual sizes of each pool, and at others asked for.

    Parameters
    ----------
    queue : Queue
        Its jobs, with the ranges of their sizes.
    pools : sequence of Partition
        In the order of the rows of the targets.

    Returns
    -------
    list of Target
        By pool, then by size. A size that is not usual counts if a job has no usual size within
        its range.
    """
    jobs = queue.jobs
    usual = [usual_sizes(part.placement.chips_per_node, part.placement.capacity) for part in pools]
    sizes = np.array(sorted({size for of_pool in usual for size in of_pool}))
    own: set[int] = set()
    for job, asked in enumerate(jobs.n_accelerators):
        least, most = (asked, asked) if jobs.elastic is None else jobs.elastic.range(job)
        at = int(np.searchsorted(sizes, least))
        if at == len(sizes) or sizes[at] > most:
            own.add(asked)
    return [
        Target(row, size)
        for row, part in enumerate(pools)
        for size in sorted({*usual[row], *own})
        if size <= part.placement.capacity
    ]


class Goodputs:
    """The share of its work that each job does per second at each target, and what is known of it.

    Parameters
    ----------
    queue : Queue
    pools : sequence of Partition
        In the order of the rows of the targets.
    targets : sequence of Target
        In the order of the goodputs.
    learns : bool
        Whether the goodput at a size is known only after the job has run so (see
        :class:`~clustersim.scheduling.policies.elastic_rounds.size_rounds.ElasticRounds`).

    Attributes
    ----------
    true, known : dict of int to float array (targets,)
        By job, 1/s; 0 where the job cannot run.
    """

    def __init__(
        self, queue: Queue, pools: Sequence[Partition], targets: Sequence[Target], learns: bool
    ) -> None:
        self._queue, self._pools, self._targets = queue, pools, targets
        self._row_of = {part.index: row for row, part in enumerate(pools)}
        self._learns = learns
        self.true: dict[int, Floats] = {}
        self.known: dict[int, Floats] = {}
        self._widest: dict[int, dict[int, int]] = {}
        """Of each job, on how many accelerators of each pool it has made progress."""

    def add(self, job: int) -> None:
        """Note a job that has been submitted."""
        jobs, choices = self._queue.jobs, self._queue.choices(job)
        whole_s = {
            self._row_of[index]: self._queue.estimate_s(job, self._queue.partitions[index])
            for index in choices
        }
        asked, elastic = jobs.n_accelerators[job], jobs.elastic
        least, most = (asked, asked) if elastic is None else elastic.range(job)
        goodput = np.zeros(len(self._targets))
        for at, (row, size) in enumerate(self._targets):
            if row not in whole_s or not least <= size <= most:
                continue
            pace = 1.0
            if size != asked:
                pace = 0.0 if elastic is None else elastic.pace(job, self._pools[row].pool, size)
            goodput[at] = pace / max(whole_s[row], _SHORTEST_S)
        self.true[job] = goodput
        self.known[job] = self._projected(job) if self._learns else goodput

    def learn(self, job: int, ran: Target) -> None:
        """Note where a job has made progress."""
        widest = self._widest.setdefault(job, {})
        if ran.size > widest.get(ran.pool, 0):
            widest[ran.pool] = ran.size
            self.known[job] = self._projected(job)

    def forget(self, job: int) -> None:
        """Drop a job that is gone."""
        del self.true[job], self.known[job]
        self._widest.pop(job, None)

    def _projected(self, job: int) -> Floats:
        """Return the goodputs of a job as far as they are known."""
        true, known = self.true[job], self._widest.get(job, {})
        here: list[dict[int, float]] = [{} for _ in self._pools]
        for at, (row, size) in enumerate(self._targets):
            if true[at] > 0.0:
                here[row][size] = float(true[at])
        widest = max(known, key=lambda row: (known[row], -row), default=-1)
        found = np.zeros(len(true))
        for at, (row, size) in enumerate(self._targets):
            if true[at] == 0.0:
                continue
            fewest = min(here[row])
            most = max(known.get(row, 0), fewest)
            if size <= most:
                found[at] = true[at]
                continue
            source, scale = row, 1.0
            if widest >= 0 and known[widest] > most and fewest in here[widest]:
                source, scale = widest, here[row][fewest] / here[widest][fewest]
                most = known[widest]
            base = max(n for n in here[source] if n <= min(size, most))
            found[at] = scale * here[source][base] * (size / base if size > most else 1.0)
        return found
