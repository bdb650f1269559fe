"""The order of queues and jobs, against a plain twin that looks at everything at every step."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings

from clustersim.scheduling.kai import (
    Cluster,
    Job,
    Queue,
    Session,
    Task,
    TaskState,
    allocate,
)
from clustersim.scheduling.kai.allocation import place_job
from clustersim.scheduling.kai.backlog import job_key
from clustersim.scheduling.kai.candidates import Loss, Victims
from clustersim.scheduling.kai.order import WaitingJobs, queue_key
from clustersim.scheduling.kai.session import JobInSession
from tests.examples import examples
from tests.scheduling.kai.clusters import clusters


def next_by_looking_at_all(session: Session, jobs: list[JobInSession]) -> JobInSession:
    """Descend the tree; on each level, take the queue with the smallest key."""
    level, below = -1, jobs
    while True:
        here = [job for job in below if job.queue == level]
        if here:
            return min(here, key=lambda job: job_key(job, job.active))
        heads = {}
        for queue in {
            path[path.index(level) - 1] if level >= 0 else path[-1]
            for path in (session.paths[job.queue] for job in below)
        }:
            inside = [job for job in below if queue in session.paths[job.queue]]
            heads[queue] = (inside, None)
        keys = {}
        for queue, (inside, _) in heads.items():
            head = head_of(session, queue, inside)
            size = session.size_of(head.waiting())
            keys[queue] = queue_key(session, queue, session.held[queue], size)
        level = min(keys, key=keys.__getitem__)
        below = heads[level][0]


def head_of(session: Session, queue: int, jobs: list[JobInSession]) -> JobInSession:
    """Return the first job below a queue."""
    here = [job for job in jobs if job.queue == queue]
    if here:
        return min(here, key=lambda job: job_key(job, job.active))
    children = {session.paths[job.queue][session.paths[job.queue].index(queue) - 1] for job in jobs}
    heads = {
        child: head_of(session, child, [job for job in jobs if child in session.paths[job.queue]])
        for child in children
    }
    return heads[
        min(
            heads,
            key=lambda child: queue_key(
                session, child, session.held[child], session.size_of(heads[child].waiting())
            ),
        )
    ]


def allocated_by_looking_at_all(session: Session) -> Iterator[str]:
    """Place jobs as `allocate` does, and yield their names in order."""
    waiting = [job for job in session.jobs if job.waiting()]
    while waiting:
        job = next_by_looking_at_all(session, waiting)
        yield job.job.name
        if not place_job(session, job, job.waiting()) or not job.waiting():
            waiting.remove(job)


@settings(max_examples=examples(80))
@given(cluster=clusters())
def test_jobs_come_as_in_the_plain_twin(cluster: Cluster) -> None:
    twin, session = Session(cluster), Session(cluster)
    waiting, order = WaitingJobs(session), []
    while (entry := waiting.pop()) is not None:
        order.append(entry.job.job.name)
        if place_job(session, entry.job, entry.tasks):
            waiting.push(entry.job)
    assert order == list(allocated_by_looking_at_all(twin))
    again = Session(cluster)
    allocate(again)
    states = [[task.state for job in entry.jobs for task in job.tasks] for entry in (twin, again)]
    assert states[0] == states[1]


def test_an_elastic_job_grows_in_turn() -> None:
    jobs = tuple(Job(name, "team", (Task(1),) * 4) for name in ("a", "b"))
    session = Session(Cluster({"node0": 5}, (Queue("team"),), jobs))
    allocate(session)
    assert [job.active for job in session.jobs] == [3, 2]


def test_victims_come_worst_first_and_count_as_gone() -> None:
    running = Task(1, TaskState.RUNNING, "node0")
    queues = (Queue("a", deserved=1, weight=0), Queue("b", deserved=1, weight=0))
    jobs = (
        Job("a0", "a", (running,)),
        Job("a1", "a", (running,), submitted_s=1.0),
        Job("b0", "b", (running, running, running), min_tasks=2),
    )
    session = Session(Cluster({"node0": 5}, queues, jobs))
    victims = Victims(session, session.jobs, lambda job: Loss.GANG)
    # b has 3 of 1, a has 2: first the task above b's gang. Then both have 2, and b is younger.
    units = [
        [(task.job.job.name, task.number) for task in unit] for unit in iter(victims.next_unit, [])
    ]
    assert units == [[("b0", 2)], [("b0", 0), ("b0", 1)], [("a1", 0)], [("a0", 0)]]
