"""A small queue on which to try the code of a policy."""

from __future__ import annotations

import numpy as np

from clustersim.scheduling.job_columns import JobColumns
from clustersim.scheduling.partition import Partition
from clustersim.scheduling.placements import Consolidate, Placement
from clustersim.scheduling.queue import Queue

__all__ = ["example_queue"]


def example_queue(placement: type[Placement] = Consolidate) -> Queue:
    """Return a queue of two jobs on one pool, ``h200``, of two nodes with 8 accelerators each.

    Job 0 of user ann asks for 8 accelerators and is estimated at 60 s; job 1 of user bo asks for 16
    and is estimated at 300 s. Both have been submitted, and all accelerators are free.

    Parameters
    ----------
    placement : type of Placement

    Examples
    --------
    >>> from clustersim.scheduling import View, example_queue
    >>> view = View(example_queue(), [0, 1])
    >>> view.waiting.tolist(), view.free
    ([0, 1], {'h200': 16})
    """
    h200 = Partition(0, 0, "h200", "", 0, placement(n_nodes=2, chips_per_node=8))
    columns = {"user": np.array(["ann", "bo"])}
    jobs = JobColumns([8, 16], [[60.0, 300.0]], [(0,)], [0, 0], columns)
    return Queue([h200], [0], jobs, lambda *_started: None, looks_ahead=False)
