"""A large cluster: 500 nodes, 50 queues, 1,000 running and 2,000 waiting jobs."""

from __future__ import annotations

import numpy as np

from clustersim.scheduling.kai import Cluster, Job, Queue, Task, TaskState

__all__ = ["large_cluster"]

ACCELERATORS_PER_NODE = 8
SIZES = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8))
"""Tasks of a gang, and accelerators of each."""


def large_cluster(
    seed: int, nodes: int = 500, queues: int = 50, running: int = 1000, waiting: int = 2000
) -> Cluster:
    """Return a cluster whose queues hold from nothing to several times what they deserve.

    Departments of ten queues deserve the whole cluster. Running jobs are placed on the first node
    with room, as many of them as fit.
    """
    random = np.random.default_rng(np.random.SeedSequence(seed))
    total = nodes * ACCELERATORS_PER_NODE
    departments = max(1, queues // 10)
    tree = [
        Queue(f"department{number}", deserved=total // departments) for number in range(departments)
    ]
    tree += [
        Queue(
            f"queue{number}",
            f"department{number % departments}",
            deserved=total // queues,
            weight=float(random.integers(1, 5)),
        )
        for number in range(queues)
    ]
    free = np.full(nodes, ACCELERATORS_PER_NODE)
    jobs = []
    for number in range(running + waiting):
        # Running jobs are those of some queues more than of others.
        share = random.random() ** (2 if number < running else 1)
        tasks, size = SIZES[random.choice(len(SIZES), p=[0.4, 0.25, 0.19, 0.1, 0.04, 0.02])]
        places = np.flatnonzero(free >= size)[:tasks]
        is_running = number < running and len(places) == tasks
        if is_running:
            free[places] -= size
            gang = tuple(Task(size, TaskState.RUNNING, f"node{place:03d}") for place in places)
        else:
            gang = (Task(size),) * tasks
        jobs.append(
            Job(
                f"job{number:05d}",
                f"queue{int(share * queues)}",
                gang,
                min_tasks=tasks if random.random() < 0.8 else 1,
                priority=int(random.choice([50, 75, 100], p=[0.7, 0.2, 0.1])),
                submitted_s=float(number),
            )
        )
    names = {f"node{number:03d}": ACCELERATORS_PER_NODE for number in range(nodes)}
    return Cluster(names, tuple(tree), tuple(jobs), now_s=float(running + waiting))
