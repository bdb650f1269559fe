"""Which parts of a cluster jobs share, and which sizes surely had room in them.

The log seldom says in which of several pools a job ran.  If every job may use one place only (a
pool or a virtual cluster; see `places`), the accelerators in use in each place are known.  If
queues overlap, only bounds are known.  `Sharing.largest` returns a size that had room wherever the
running jobs were, so that a job is never said to have had room when it had none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from clustersim.array_types import Bools, Floats, Ints
from clustersim.simulation.eligibility import NOT_LISTED, accelerators_of_jobs, named_partitions
from clustersim.topology import Cluster
from clustersim.validation.occupancy import running_at
from clustersim.validation.places import Place

__all__ = ["Sharing", "places_of_jobs", "sharing_of"]


@dataclass(frozen=True, eq=False)
class Sharing:
    """The places that each job may use.

    Attributes
    ----------
    capacity : int64 array (places,)
        Accelerators of each place.
    sets : bool array (sets, places)
        The distinct sets of places that jobs may use.
    set_of : int64 array (jobs,)
        Number of the set of each job.

    Examples
    --------
    Two pools of 8 that all jobs may use.  While one job of 8 runs, the other pool is empty; while
    two jobs of 2 run, a job of 6 has room wherever they are:

    >>> both = Sharing(np.array([8, 8]), np.ones((1, 2), dtype=bool), np.zeros(1, dtype=int))
    >>> zero, now = np.zeros(1, dtype=int), np.array([5.0])
    >>> both.largest(np.zeros(1), np.array([9.0]), np.array([8]), zero, now).tolist()
    [8]
    >>> two = Sharing(both.capacity, both.sets, np.zeros(2, dtype=int))
    >>> two.largest(np.zeros(2), np.array([9.0, 9.0]), np.array([2, 2]), zero, now).tolist()
    [6]
    """

    capacity: Ints
    sets: Bools
    set_of: Ints

    @classmethod
    def of(cls, allowed: Bools, places: Sequence[Place]) -> Sharing:
        """Return the sharing of jobs that may use the places of a row of (jobs, places)."""
        sets, set_of = np.unique(allowed, axis=0, return_inverse=True)
        capacity = np.array([place.n_chips for place in places], dtype=np.int64)
        return cls(capacity, sets, np.asarray(set_of, dtype=np.int64).reshape(-1))

    @property
    def overlaps(self) -> bool:
        """Whether a job may use more than one place."""
        return bool((self.sets.sum(axis=1) > 1).any())

    @cached_property
    def part_of_place(self) -> Ints:
        """Number of the part of each place: places that are linked by jobs that may use both."""
        links = csr_array(self.sets.T.astype(np.int64) @ self.sets.astype(np.int64))
        return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)

    @cached_property
    def part(self) -> Ints:
        """Number of the part that each job uses."""
        found: Ints = self.part_of_place[self.sets.argmax(axis=1)][self.set_of]
        return found

    def largest(
        self,
        start_s: Floats,
        end_s: Floats,
        size: Ints,
        of: Ints,
        time_s: Floats,
        closed: Ints | None = None,
    ) -> Ints:
        """Return the largest size that surely had room just after each time, in a set of places.

        For each place, all jobs that may be there count as if they were.  In all places of a set
        together, at least the average is free in one of them; and of more places than running
        jobs, one is empty.

        Parameters
        ----------
        start_s, end_s, size : arrays (jobs,)
            Starts (NaN for none) and ends of all jobs (seconds), and their accelerators.
        of : int64 array
            Number of the set at each time.
        time_s : float64 array of the same shape
        closed : int64 array of the same shape, optional
            Accelerators of the part of the set that are closed to jobs.
        """
        found = np.zeros(time_s.shape, dtype=np.int64)
        shut = np.zeros(time_s.shape, dtype=np.int64) if closed is None else closed
        known = np.isfinite(start_s)
        for number, places in enumerate(self.sets):
            asked = of == number
            if not places.any() or not asked.any():
                continue
            found[asked] = self._largest_in(
                places, known, start_s, end_s, size, time_s[asked], shut[asked]
            )
        return found

    def _largest_in(
        self,
        places: Bools,
        known: Bools,
        start_s: Floats,
        end_s: Floats,
        size: Ints,
        time_s: Floats,
        shut: Ints,
    ) -> Ints:
        zero = np.zeros(len(time_s), dtype=np.int64)

        def used(where: Bools, weight: Ints) -> Ints:
            meets: Bools = np.any(self.sets[:, where], axis=1)
            there = known & meets[self.set_of]
            group = np.zeros(int(there.sum()), dtype=np.int64)
            return running_at(group, start_s[there], end_s[there], weight[there], zero, time_s)

        found = np.full(len(time_s), np.iinfo(np.int64).min, dtype=np.int64)
        for place in np.flatnonzero(places):
            own = np.zeros(len(places), dtype=bool)
            own[place] = True
            found = np.maximum(found, self.capacity[place] - used(own, size) - shut)
        if (count := int(places.sum())) > 1:
            left = int(self.capacity[places].sum()) - used(places, size) - shut
            found = np.maximum(found, -(-left // count))
            running = used(places, np.ones(len(size), dtype=np.int64))
            widest = np.append(np.sort(self.capacity[places])[::-1], 0)
            empty = widest[np.minimum(running, count)]
            found = np.maximum(found, np.where(shut > 0, 0, empty))
        return found


def places_of_jobs(jobs: pd.DataFrame, cluster: Cluster, places: Sequence[Place]) -> Bools:
    """Return which places the partition and the accelerators of each job leave it.

    Returns
    -------
    bool array (jobs, places)
    """
    names = named_partitions(jobs, cluster)
    own = pd.Series(np.full(len(jobs), "") if names is None else names, dtype=object)
    listed = accelerators_of_jobs(jobs, cluster, None) != NOT_LISTED
    return np.stack(
        [own.isin(place.names).to_numpy() & listed[place.pool] for place in places], axis=1
    )


def sharing_of(jobs: pd.DataFrame, cluster: Cluster, places: Sequence[Place]) -> Sharing:
    """Return which places jobs may use: by their partition, their accelerators and their size."""
    size = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    capacity = np.array([place.n_chips for place in places], dtype=np.int64)
    allowed = places_of_jobs(jobs, cluster, places) & (size[:, None] <= capacity)
    return Sharing.of(allowed, places)
