"""Small clusters for properties, and what holds of a session in every state."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from clustersim.scheduling.kai import Cluster, Job, Queue, Session, Task, TaskState

__all__ = ["check_books", "clusters", "gangs_are_whole"]

RUNNING = TaskState.RUNNING


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Draw up to four nodes, departments with queues, and jobs of which some run."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    free = dict(enumerate(sizes))
    small = st.integers(0, 8)
    queues = []
    for department in range(draw(st.integers(1, 2))):
        top = f"department{department}"
        queues.append(Queue(top, deserved=draw(small), weight=draw(st.integers(0, 2))))
        for number in range(draw(st.integers(1, 2))):
            limit = draw(st.sampled_from([float("inf"), float("inf"), 4.0, 8.0]))
            priority = draw(st.sampled_from([100, 100, 200]))
            weight = draw(st.integers(0, 3))
            queues.append(Queue(f"{top}.{number}", top, draw(small), limit, weight, priority))
    leaves = [queue.name for queue in queues if queue.parent]
    jobs = []
    for number in range(draw(st.integers(1, 9))):
        size, count = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        nodes = []
        if draw(st.booleans()):
            for _ in range(count):
                node = next((node for node, left in free.items() if left >= size), None)
                if node is not None:
                    free[node] -= size
                    nodes.append(node)
        gang = draw(st.integers(1, count))
        if len(nodes) < gang:
            for node in nodes:
                free[node] += size
            nodes = []
        tasks = [Task(size, RUNNING, f"node{node}") for node in nodes]
        tasks += [Task(size)] * (count - len(tasks))
        jobs.append(
            Job(
                f"job{number}",
                draw(st.sampled_from(leaves)),
                tuple(tasks),
                min_tasks=gang,
                priority=draw(st.sampled_from([50, 75, 100])),
                submitted_s=float(number),
                started_s=draw(st.sampled_from([None, 0.0, 50.0])) if nodes else None,
            )
        )
    return Cluster(
        {f"node{number}": size for number, size in enumerate(sizes)},
        tuple(queues),
        tuple(jobs),
        now_s=100.0,
    )


def check_books(session: Session) -> None:
    """Compare what nodes and queues hold with their tasks; nothing is given out twice."""
    idle = np.array([session.cluster.nodes[name] for name in session.nodes], dtype=float)
    later = idle.copy()
    held = [0.0] * len(session.queues)
    for job in session.jobs:
        assert job.active == sum(task.is_active for task in job.tasks)
        for task in job.tasks:
            now_on = task.origin if task.origin >= 0 else task.node
            if task.state is not TaskState.PENDING and (
                task.state is not TaskState.PIPELINED or task.origin >= 0
            ):
                idle[now_on] -= task.size
            if task.is_active:
                later[task.node] -= task.size
                for queue in session.paths[job.queue]:
                    held[queue] += task.size
    assert np.array_equal(session.idle, idle)
    assert np.array_equal(session.fit, later)
    assert session.held == held
    assert (idle >= 0).all()
    assert (later >= 0).all()


def gangs_are_whole(session: Session) -> bool:
    """Return whether every job has its gang or nothing."""
    return all(not job.active or job.active >= job.min_tasks for job in session.jobs)
