"""The trace of a queue that uses the nodes of others: it holds more than its own pools have."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.validation.case import Case
from clustersim.validation.occupancy import running_at
from clustersim.validation.sharing import Sharing, places_of_jobs

__all__ = ["borrowed"]


def borrowed(case: Case, job: Ints, begin_s: Floats, end_s: Floats) -> float:
    """Return the share of runs that began when their queue held more than its pools have.

    All jobs whose queue and accelerators leave them the same places count together, with those
    that have fewer of these places; so do all jobs of the places that queues share.  What they hold
    changes upwards at starts only, so no other time has to be looked at.

    If the log had more in use at once than the cluster has, accelerators are missing in it, such as
    those of nodes that were out of service when it was written.  Every queue may have had them, so
    they count as available to each.

    Parameters
    ----------
    case : Case
    job : int64 array (runs,)
        Row of the job of each run.
    begin_s, end_s : float64 arrays (runs,)
        Seconds.

    Returns
    -------
    float
        0 without runs.
    """
    allowed = places_of_jobs(case.jobs, case.cluster, case.places)
    own = Sharing.of(allowed, case.places)
    missing = max(0, case.most_in_use - case.cluster.n_chips)
    size, set_of = case.size[job], own.set_of[job]
    over = np.zeros(len(job), dtype=bool)
    for places in _candidates(own):
        kept = (own.sets.any(axis=1) & ~(own.sets & ~places).any(axis=1))[set_of]
        zero = np.zeros(int(kept.sum()), dtype=np.int64)
        begin = begin_s[kept]
        held = running_at(zero, begin, end_s[kept], size[kept], zero, begin)
        over[kept] |= held > int(own.capacity[places].sum()) + missing
    return float(over.mean()) if len(over) else 0.0


def _candidates(own: Sharing) -> Bools:
    """Return the sets of places that jobs may hold no more than, of shape (sets, places)."""
    parts = own.part_of_place
    every = parts == np.arange(int(parts.max()) + 1)[:, None]
    found: Bools = np.unique(np.concatenate((own.sets, every)), axis=0)
    return found
