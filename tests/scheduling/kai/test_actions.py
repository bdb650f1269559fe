"""Actions: cases worked out by hand, and what holds after every action."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from clustersim.errors import InputError
from clustersim.scheduling.kai import (
    ACTIONS,
    Change,
    Cluster,
    Job,
    Limits,
    MinimumRunTime,
    Queue,
    Session,
    Task,
    TaskState,
    act,
    allocate,
    consolidate,
    next_round,
    preempt,
    reclaim,
    run_round,
)
from tests.examples import examples
from tests.scheduling.kai.clusters import check_books, clusters, gangs_are_whole

RUNNING = TaskState.RUNNING


def on(node: str, size: int) -> Task:
    return Task(size, RUNNING, node)


def states(cluster: Cluster) -> dict[str, list[str]]:
    return {job.name: [str(task.state) for task in job.tasks] for job in cluster.jobs}


def two_teams(*jobs: Job, nodes: int = 1, size: int = 8, **settings: Any) -> Cluster:
    queues = (Queue("a", deserved=4), Queue("b", deserved=4))
    names = {f"node{number}": size for number in range(nodes)}
    return replace(Cluster(names, queues, jobs, now_s=100.0), **settings)


def test_tasks_go_where_fewest_accelerators_suffice() -> None:
    jobs = (Job("r", "a", (on("node1", 5),)), Job("gang", "b", (Task(2),) * 4, min_tasks=4))
    cluster = act(two_teams(*jobs, nodes=2), "allocate")
    assert [task.node for task in cluster.jobs[1].tasks] == ["node1", "node0", "node0", "node0"]


def test_a_gang_waits_as_a_whole_for_accelerators_that_are_released() -> None:
    leaving = Job("leaving", "a", (Task(4, TaskState.RELEASING, "node0"),))
    gang = Job("gang", "b", (Task(4),) * 2, min_tasks=2)
    after = act(two_teams(leaving, gang), "allocate")
    assert states(after)["gang"] == ["pipelined", "pipelined"]
    assert states(next_round(after))["gang"] == ["pending", "pending"]
    again = act(next_round(two_teams(gang)), "allocate")
    assert states(again)["gang"] == ["binding", "binding"]


def test_limits_and_quotas_bind_on_every_level() -> None:
    queues = (
        Queue("lab", deserved=2, limit=6),
        Queue("a", "lab", deserved=4),
        Queue("b", "lab", deserved=4),
    )
    fixed = Job("fixed", "a", (Task(3),), priority=100)
    jobs = (fixed, Job("x", "b", (Task(4),)), Job("y", "b", (Task(4),)), Job("z", "b", (Task(2),)))
    # What cannot be preempted must be deserved by the lab too; the lab may hold 6.
    expected = {"fixed": ["pending"], "x": ["binding"], "y": ["pending"], "z": ["binding"]}
    assert states(act(Cluster({"node0": 8}, queues, jobs), "allocate")) == expected


def test_reclaim_takes_the_task_above_the_gang_first() -> None:
    elastic = Job("elastic", "a", (on("node0", 2),) * 4, min_tasks=2)
    cluster = act(two_teams(elastic, Job("b0", "b", (Task(4),))), "reclaim")
    assert states(cluster)["elastic"] == ["running", "running", "releasing", "releasing"]
    # The gang itself is what a deserves: b would hold more than its share.
    more = act(two_teams(elastic, Job("b0", "b", (Task(6),))), "reclaim")
    assert states(more)["elastic"] == ["running"] * 4


def test_a_queue_at_its_share_does_not_reclaim() -> None:
    jobs = (Job("a0", "a", (on("node0", 6),)), Job("b0", "b", (Task(5),)))
    assert states(act(two_teams(*jobs), "reclaim"))["b0"] == ["pending"]
    fits = (jobs[0], Job("b0", "b", (Task(4),)))
    assert states(act(two_teams(*fits), "reclaim")) == {"a0": ["releasing"], "b0": ["pipelined"]}


def test_a_job_waits_before_it_reclaims() -> None:
    running = Job("a0", "a", (on("node0", 8),))
    waiting = Job("b0", "b", (Task(4),), submitted_s=50.0, preemption_delay_s=51.0)
    assert states(act(two_teams(running, waiting), "reclaim"))["b0"] == ["pending"]
    longer = replace(waiting, preemption_delay_s=50.0)
    assert states(act(two_teams(running, longer), "reclaim"))["b0"] == ["pipelined"]


@pytest.mark.parametrize(("minimum_s", "state"), [(60.0, "pipelined"), (61.0, "pending")])
def test_a_minimum_run_time_protects_the_gang(minimum_s: float, state: str) -> None:
    running = Job("a0", "a", (on("node0", 8),), started_s=40.0)
    settings: dict[str, Any] = {"minimum_run_time": MinimumRunTime(minimum_s, minimum_s)}
    other = Job("b0", "b", (Task(4),))
    assert states(act(two_teams(running, other, **settings), "reclaim"))["b0"] == [state]
    higher = Job("a1", "a", (Task(4),), priority=75)
    assert states(act(two_teams(running, higher, **settings), "preempt"))["a1"] == [state]


def test_a_minimum_run_time_lets_tasks_above_the_gang_go() -> None:
    running = Job("a0", "a", (on("node0", 4), on("node0", 4)), started_s=99.0)
    settings: dict[str, Any] = {"minimum_run_time": MinimumRunTime(60.0, 60.0)}
    cluster = act(two_teams(running, Job("b0", "b", (Task(4),)), **settings), "reclaim")
    assert states(cluster)["a0"] == ["running", "releasing"]


def test_preemption_takes_the_lowest_priority_and_only_below() -> None:
    low = Job("low", "a", (on("node0", 4),))
    middle = Job("middle", "a", (on("node0", 4),), priority=60)
    for priority, expected in ((50, "pending"), (60, "pipelined"), (75, "pipelined")):
        high = Job("high", "a", (Task(4),), priority=priority)
        after = states(act(two_teams(low, middle, high), "preempt"))
        assert after["high"] == [expected]
        assert after["middle"] == ["running"]


def test_consolidation_does_nothing_if_one_job_would_lose_its_place() -> None:
    jobs = (
        Job("a0", "a", (on("node0", 3),)),
        Job("a1", "a", (on("node1", 2),)),
        Job("whole", "b", (Task(4),)),
    )
    for size, state in ((5, "pipelined"), (4, "pending")):
        after = act(two_teams(*jobs, nodes=2, size=size), "consolidation")
        assert states(after)["whole"] == [state]


def test_a_victim_that_the_next_round_would_start_again_is_not_evicted() -> None:
    running = (Job("a0", "a", (on("node0", 4),)), Job("a1", "a", (on("node0", 2),)))
    held = Job("b0", "b", (on("node0", 2),))
    small = Job("small", "b", (Task(2),), submitted_s=2.0)
    cluster = act(two_teams(*running, held, small), "reclaim")
    assert states(cluster)["small"] == ["pipelined"]
    # b's next job is the large one, so its queue would come after a's: (2 + 6)/4 > (4 + 2)/4.
    large = Job("large", "b", (Task(6),), submitted_s=1.0)
    assert states(act(two_teams(*running, held, large, small), "reclaim"))["small"] == ["pending"]


def test_a_round_says_what_changes() -> None:
    jobs = (
        Job("a0", "a", (on("node0", 8),)),
        Job("b0", "b", (Task(4),)),
        Job("b1", "b", (Task(2),), priority=40),
    )
    changes = run_round(two_teams(*jobs, nodes=1))
    assert changes == [
        Change("a0", 0, TaskState.RELEASING, "node0"),
        Change("b0", 0, TaskState.PIPELINED, "node0"),
    ]
    after = next_round(act(next_round(act(two_teams(*jobs)))))
    assert states(after) == {"a0": ["pending"], "b0": ["running"], "b1": ["running"]}


def test_a_move_names_both_nodes() -> None:
    jobs = (
        Job("a0", "a", (on("node0", 2),)),
        Job("a1", "a", (on("node1", 2),), submitted_s=1.0),
        Job("b0", "b", (Task(4),)),
    )
    changes = run_round(two_teams(*jobs, nodes=2, size=4), ("allocate", "consolidation"))
    assert Change("a1", 0, TaskState.PIPELINED, "node0", "node1") in changes


def test_limits_bound_the_search() -> None:
    jobs = (Job("a0", "a", (on("node0", 8),)), Job("b0", "b", (Task(4),)))
    for limits, state in ((Limits(), "pipelined"), (Limits(trials=0), "pending")):
        assert states(act(two_teams(*jobs, limits=limits), "reclaim"))["b0"] == [state]
    none = two_teams(*jobs, limits=Limits(jobs_per_queue=0))
    assert states(act(none, "reclaim"))["b0"] == ["pending"]


def test_unknown_names_are_named() -> None:
    with pytest.raises(InputError, match=r"job 'x': queue: .*'aa'"):
        Session(two_teams(Job("x", "aa", (Task(1),))))
    with pytest.raises(InputError, match=r"job 'x': tasks: .*'node9'"):
        Session(two_teams(Job("x", "a", (on("node9", 1),))))
    with pytest.raises(InputError, match=r"job 'x': tasks: .* has no node"):
        Session(two_teams(Job("x", "a", (Task(1, RUNNING),))))
    with pytest.raises(InputError, match="below itself"):
        Session(Cluster({}, (Queue("a", "b"), Queue("b", "a")), ()))


@settings(max_examples=examples(80))
@given(cluster=clusters())
def test_rounds_keep_the_books_and_gangs(cluster: Cluster) -> None:
    session = Session(cluster)
    for action in ACTIONS.values():
        action(session)
        check_books(session)
        assert gangs_are_whole(session)
    for job in session.jobs:
        for task in job.tasks:
            evicted = task.state is TaskState.RELEASING or (task.origin not in (-1, task.node))
            assert not evicted or job.preemptible
    for queue in range(len(session.queues)):
        before = Session(cluster).held[queue]
        assert session.held[queue] <= max(before, session.queues[queue].limit)


@settings(max_examples=examples(80))
@given(cluster=clusters())
def test_who_reclaims_stays_within_the_fair_share(cluster: Cluster) -> None:
    session = Session(cluster)
    allocate(session)
    active = [job.active for job in session.jobs]
    reclaim(session)
    for job, before in zip(session.jobs, active, strict=True):
        if job.active > before:
            assert session.held[job.queue] <= session.fair_share[job.queue]


@settings(max_examples=examples(80))
@given(cluster=clusters())
def test_preemption_serves_higher_priority_of_the_same_queue(cluster: Cluster) -> None:
    session = Session(cluster)
    allocate(session)
    active = [job.active for job in session.jobs]
    preempt(session)
    pairs = list(zip(session.jobs, active, strict=True))
    for loser, before in pairs:
        if loser.active < before:
            assert any(
                job.active > was
                and job.queue == loser.queue
                and job.job.priority > loser.job.priority
                for job, was in pairs
            )


@settings(max_examples=examples(80))
@given(cluster=clusters())
def test_after_consolidation_everybody_has_a_place(cluster: Cluster) -> None:
    session = Session(cluster)
    allocate(session)
    active = [job.active for job in session.jobs]
    consolidate(session)
    assert all(job.active >= before for job, before in zip(session.jobs, active, strict=True))
    assert not any(task.state is TaskState.RELEASING for job in session.jobs for task in job.tasks)


def test_nobody_waits_for_a_task_that_does_not_stop() -> None:
    stuck = Job("stuck", "a", (Task(4, TaskState.STUCK, "node0"), on("node0", 4)), min_tasks=2)
    cluster = two_teams(stuck, Job("high", "a", (Task(4),), priority=75))
    assert states(act(cluster, "allocate"))["high"] == ["pending"]
    after = next_round(act(cluster, "preempt"))
    assert states(after)["stuck"] == ["stuck", "pending"]
    assert states(act(after, "allocate"))["high"] == ["binding"]


def test_a_gang_that_runs_in_part_is_stale() -> None:
    part = Job("part", "a", (on("node0", 4), Task(8)), min_tasks=2)
    assert states(act(two_teams(part), "stale_gangs"))["part"] == ["releasing", "pending"]


def test_a_job_that_loses_its_gang_loses_the_tasks_above_it() -> None:
    # Without the task on node1, the gang would be evicted from node0 and half of it stay.
    tasks = (on("node0", 3), on("node1", 3), on("node1", 3))
    elastic = Job("elastic", "team", tasks, min_tasks=2)
    high = Job("high", "team", (Task(3),), priority=75)
    cluster = Cluster({"node0": 3, "node1": 6}, (Queue("team", limit=8),), (elastic, high))
    session = Session(cluster)
    preempt(session)
    assert gangs_are_whole(session)
    assert states(act(cluster, "preempt"))["high"] == ["pipelined"]
