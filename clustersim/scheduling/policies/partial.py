"""Partial admission: a job that does not fit starts at a smaller size of its range."""

from __future__ import annotations

import numpy as np

from clustersim.scheduling.holding import Part
from clustersim.scheduling.queue import Queue

__all__ = ["least_size", "start_smaller"]


def least_size(queue: Queue, job: int) -> int:
    """Return the smallest size at which a job can run.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
    >>> least_size(Queue([h200], [0], jobs, print, looks_ahead=False), 0)
    8
    """
    elastic = queue.jobs.elastic
    return queue.jobs.n_accelerators[job] if elastic is None else elastic.range(job)[0]


def start_smaller(queue: Queue, job: int, *, closed: int = 0) -> bool:
    """Start a waiting job at the largest size below the one it asks for that fits.

    Of several partitions, it is the one where the job is fastest so.

    Parameters
    ----------
    queue : Queue
    job : int
    closed : int
        Bit mask of partitions that must not be used.

    Returns
    -------
    bool
        Whether it started.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> from clustersim.scheduling.elastic import Amdahl, Elastic
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> one = np.array([24]), np.array([4]), np.array([24]), np.array([0])
    >>> jobs = JobColumns([24], [[60.0]], [(0,)], [0], elastic=Elastic(*one, [[Amdahl()]]))
    >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
    >>> start_smaller(queue, 0), queue.size_of(0), queue.holdings[0].estimate_s
    (True, 16, 90.0)
    """
    elastic, asked = queue.jobs.elastic, queue.jobs.n_accelerators[job]
    if elastic is None or job in queue.own_nodes:
        return False
    best, fastest = None, 0.0
    for index in queue.choices(job):
        if closed >> index & 1:
            continue
        part = queue.partitions[index]
        most = min(asked - 1, part.placement.free, queue.most_size(job))
        sizes = np.arange(elastic.range(job)[0], int(most) + 1)
        for n in sizes[part.placement.fits_each(sizes)][::-1].tolist():
            if (pace := elastic.pace(job, part.pool, n)) > 0.0 and queue.fits_size(job, part, n):
                speed = pace / max(queue.estimate_s(job, part), 1e-9)
                if speed > fastest:
                    best, fastest = (part, n), speed
                break
    if best is None:
        return False
    partition, n = best
    nodes = queue.take_size(job, partition, n)
    if nodes is None:
        return False
    queue.start_on(job, [Part(partition, n, nodes)])
    return True
