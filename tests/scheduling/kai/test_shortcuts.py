"""What is passed over for speed changes no decision: against twins that look at every job."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling.kai import (
    ACTIONS,
    Change,
    Cluster,
    Job,
    Queue,
    Session,
    Task,
    run_round,
    try_round,
)
from clustersim.scheduling.kai import allocation as allocations
from clustersim.scheduling.kai import victims as searches
from clustersim.scheduling.kai.backlog import Kind, Waiting
from clustersim.scheduling.kai.order import ReturningJobs, WaitingJobs
from clustersim.scheduling.kai.session import JobInSession, TaskInSession
from tests.examples import examples
from tests.scheduling.kai.clusters import check_books, clusters


class EveryWaitingJob(WaitingJobs):
    """Wants every job and takes one step for each."""

    def __init__(self, session: Session, _: object = None) -> None:
        super().__init__(session, one_by_one=True)

    def give_up(self, kind: Kind) -> None:
        pass


class EveryReturningJob(ReturningJobs):
    """Takes a step for each job that is passed over."""

    def __init__(self, session: Session, tasks: dict[JobInSession, list[TaskInSession]]) -> None:
        super().__init__(session, tasks, one_by_one=True)


def plain_round(cluster: Cluster) -> list[Change]:
    with (
        patch.object(allocations, "WaitingJobs", EveryWaitingJob),
        patch.object(searches, "WaitingJobs", EveryWaitingJob),
        patch.object(searches, "ReturningJobs", EveryReturningJob),
    ):
        return run_round(cluster)


def without_departments(cluster: Cluster) -> Cluster:
    """Return a cluster whose queues have no parent, so that all of them are siblings."""
    leaves = tuple(replace(queue, parent=None) for queue in cluster.queues if queue.parent)
    return replace(cluster, queues=leaves)


@settings(max_examples=examples(150), deadline=None)
@given(cluster=clusters(), flat=st.booleans())
def test_a_round_decides_as_one_that_looks_at_every_job(cluster: Cluster, flat: bool) -> None:
    given_cluster = without_departments(cluster) if flat else cluster
    assert run_round(given_cluster) == plain_round(given_cluster)


@settings(max_examples=examples(80), deadline=None)
@given(cluster=clusters(), unwanted=st.integers(1, 4))
def test_wanted_jobs_come_in_the_same_order_in_lines(cluster: Cluster, unwanted: int) -> None:
    session = Session(without_departments(cluster))

    def is_wanted(entry: Waiting) -> bool:
        return entry.tasks[0].size != unwanted

    orders = []
    for one_by_one in (False, True):
        waiting = WaitingJobs(session, is_wanted, one_by_one=one_by_one)
        orders.append([entry.job.job.name for entry in iter(waiting.pop, None)])
    assert orders[0] == orders[1]


@settings(max_examples=examples(80), deadline=None)
@given(cluster=clusters(), data=st.data())
def test_a_session_that_is_kept_decides_as_a_new_one(cluster: Cluster, data: st.DataObject) -> None:
    rank = {job.name: number for number, job in enumerate(cluster.jobs)}
    stay = data.draw(st.lists(st.booleans(), min_size=len(rank), max_size=len(rank)))
    come = data.draw(st.lists(st.booleans(), min_size=len(rank), max_size=len(rank)))
    session, entries = Session(replace(cluster, jobs=())), {}
    for job, is_first in zip(cluster.jobs, come, strict=True):
        if is_first:
            entries[job.name] = session.add(job, rank[job.name])
    session.begin(cluster.now_s)
    try_round(session, tuple(ACTIONS))
    for job, stays, is_first in zip(cluster.jobs, stay, come, strict=True):
        if is_first and not stays:
            session.remove(entries.pop(job.name))
        elif stays and not is_first:
            entries[job.name] = session.add(job, rank[job.name])
    session.begin(cluster.now_s)
    check_books(session)
    kept = tuple(job for job in cluster.jobs if job.name in entries)
    decided = try_round(session, tuple(ACTIONS))
    expected: dict[str, list[Change]] = {}
    for change in run_round(replace(cluster, jobs=kept)):
        expected.setdefault(change.job, []).append(change)
    assert {name: set(changes) for name, changes in decided.items()} == {
        name: set(changes) for name, changes in expected.items()
    }


def test_the_largest_job_that_is_passed_over_decides_when_the_next_one_comes() -> None:
    """Queue a deserves 2 and b nothing: a's job of 8 exceeds that, so b's job of 1 is served first.

    Behind the job of 8, which is not wanted, a's job of 1 would stay within what a deserves.
    """
    queues = (Queue("a", deserved=2), Queue("b", weight=2))
    sizes = {"large": ("a", 8), "small": ("a", 1), "b0": ("b", 1)}
    jobs = tuple(Job(name, queue, (Task(size),)) for name, (queue, size) in sizes.items())
    session = Session(Cluster({"node0": 8}, queues, jobs))
    waiting = WaitingJobs(session, lambda entry: entry.size < 8)
    order = [entry.job.job.name for entry in iter(waiting.pop, None)]
    assert order == ["b0", "small"]
