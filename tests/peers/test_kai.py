"""Decisions of KAI-Scheduler: `clustersim.scheduling.kai` against the cases of its own test suite.

Compared are the fair share of every queue and what is left, the minimum run time that holds and
whether it lets tasks go, and after the actions of a case the state and node of every job and task
that the case names. `max_counts` are not compared: they are upper limits of the mocks.

A case is skipped if

* a node, queue, job or task has a property that is not in our model, such as CPU and memory, which
  then decide: accelerators are our only resource;
* it has settings of its own besides nodes, queues and jobs, which this module does not know;
* its tasks ask for parts of an accelerator, or one runs on no node;
* the cases' own reference model does not cover it (`verified` is null), and nothing in the case
  says why: what decides it, such as how long a job has run, was not recorded.

A gang that runs without being whole is stale after some time, which the cases do not give. It is
evicted at the end of a round in those that the reference model does not cover.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clustersim.scheduling.kai import (
    ACTIONS,
    UNLIMITED,
    Claim,
    Cluster,
    Job,
    MinimumRunTime,
    Queue,
    Task,
    TaskState,
    act,
    divide,
    divide_over_quota,
    minimum_preempt_s,
    minimum_reclaim_s,
    next_round,
    protects,
)
from tests.peers.peer_cases import parametrised

pytestmark = pytest.mark.peers

Case = dict[str, Any]

REFERENCE_ACTIONS = ("allocate", "consolidation", "reclaim", "preempt")
KNOWN = {
    "case": {
        *("id", "action", "source", "nodes", "queues", "jobs", "expected", "verified"),
        *("rounds", "stable_for_rounds"),
    },
    "node": {"gpus"},
    "queue": {"name", "parent", "deserved_gpus", "limit_gpus", "over_quota_weight", "priority"},
    "job": {
        *("id", "queue", "priority", "gpus_per_task", "tasks", "preemptible", "min_tasks"),
        *("preemption_delay_s", "age_min", "stays_terminating"),
    },
    "task": {"state", "node", "gpus", "priority", "stays_terminating"},
}


PENDING, RELEASING = TaskState.PENDING, TaskState.RELEASING


def is_action(case: Case) -> bool:
    return "jobs" in case


def is_division(case: Case) -> bool:
    return bool(case["action"] == "fair_share_division")


def is_minimum_run_time(case: Case) -> bool:
    return not is_action(case) and not is_division(case)


def bound(value: float | str | None) -> float:
    return UNLIMITED if value in (None, "unlimited") else float(value)


@parametrised("kai*.json", is_division)
def test_fair_share(case: Case) -> None:
    names = sorted(case["queues"], key=lambda name: case["queues"][name].get("order", 0))
    claims = [
        Claim(
            request=queue["request"],
            deserved=bound(queue["deserved"]),
            limit=bound(queue["limit"]),
            weight=queue["over_quota_weight"],
            priority=queue.get("priority", 100),
        )
        for queue in (case["queues"][name] for name in names)
    ]
    if case.get("phase") == "over_quota_only":
        shares = [case["share_before"][name] for name in names]
        shares, left = divide_over_quota(case["total"], claims, shares)
    else:
        shares, left = divide(case["total"], claims)
    assert dict(zip(names, shares, strict=True)) == pytest.approx(case["expected"]["fair_share"])
    assert left == pytest.approx(case["expected"].get("remaining", left))


@parametrised("kai*.json", is_minimum_run_time)
def test_minimum_run_time(case: Case) -> None:
    queues = {
        name: Queue(
            name,
            queue["parent"],
            preempt_minimum_s=queue["preempt_s"],
            reclaim_minimum_s=queue["reclaim_s"],
        )
        for name, queue in case["queues"].items()
    }
    default = MinimumRunTime(
        case["default"]["preempt_s"],
        case["default"]["reclaim_s"],
        reclaim_from_ancestor=case.get("method") == "lca",
    )
    victim = case.get("victim", {})
    queue = case.get("victim_queue") or victim["queue"]
    if case["kind"] == "preempt":
        minimum_s = minimum_preempt_s(queues, queue, default)
    else:
        other = case.get("reclaimer_queue") or case["incoming_queue"]
        minimum_s = minimum_reclaim_s(queues, other, queue, default)
    if not victim:
        assert minimum_s == case["expected"]["min_runtime_s"]
        return
    ran_s = victim["running_for_s"]
    protected = protects(
        minimum_s,
        None if ran_s is None else 0.0,
        ran_s or 0.0,
        left=victim["running_tasks"] - case["tasks_taken"],
        min_tasks=victim["min_tasks"],
    )
    assert protected != case["expected"]["allowed"]


def unknown_properties(case: Case) -> list[str]:
    """Return what a case says about nodes, queues, jobs and tasks that the model does not know."""
    given = {
        "node": list(case["nodes"].values()),
        "queue": case["queues"],
        "job": case["jobs"],
        "task": [task for job in case["jobs"] for task in job["tasks"]],
    }
    unknown = {
        f"{key} of a {kind}"
        for kind, entries in given.items()
        for entry in entries
        for key in set(entry) - KNOWN[kind]
    }
    unknown |= {f"{key} of the case" for key in set(case) - KNOWN["case"]}
    sizes = [entry.get("gpus", entry.get("gpus_per_task", 0)) for entry in given["task"]]
    sizes += [job["gpus_per_task"] for job in case["jobs"]]
    if any(size != int(size) for size in sizes):
        unknown.add("a part of an accelerator")
    if any(
        state_of(task["state"]) is not PENDING and not task.get("node") for task in given["task"]
    ):
        unknown.add("a task that runs on no node")
    if case["verified"] is None and not unknown and not has_stale_gang(case):
        unknown.add("what decides the case, which it does not say")
    return sorted(unknown)


def has_stale_gang(case: Case) -> bool:
    """Return whether a job of a case runs without its whole gang."""
    running = [
        (sum(task["state"] == "running" for task in job["tasks"]), job["min_tasks"])
        for job in case["jobs"]
    ]
    return any(0 < count < least for count, least in running)


def state_of(given: str) -> TaskState:
    return TaskState.STUCK if given == "stuckinreleasing" else TaskState(given)


def task_of(task: Case, size: int) -> Task:
    state = state_of(task["state"])
    return Task(
        accelerators=task.get("gpus", size),
        state=state,
        node=None if state is PENDING else task["node"],
        priority=task.get("priority", 0),
    )


def cluster_of(case: Case) -> Cluster:
    """Return the cluster of a case; without ``age_min``, earlier jobs are older."""
    by_priority = sorted(case["jobs"], key=lambda job: job["priority"])
    age_min = {job["id"]: len(by_priority) - place for place, job in enumerate(by_priority)}
    queues = tuple(
        Queue(
            queue["name"],
            queue["parent"],
            deserved=bound(queue["deserved_gpus"]),
            limit=bound(queue["limit_gpus"]),
            weight=queue["over_quota_weight"],
            priority=queue.get("priority", 100),
        )
        for queue in case["queues"]
    )
    jobs = tuple(
        Job(
            job["id"],
            job["queue"],
            tuple(task_of(task, job["gpus_per_task"]) for task in job["tasks"]),
            min_tasks=job["min_tasks"],
            priority=job["priority"],
            preemptible=job["preemptible"],
            submitted_s=-60.0 * job.get("age_min", age_min[job["id"]]),
            preemption_delay_s=job.get("preemption_delay_s", 0.0),
        )
        for job in case["jobs"]
    )
    return Cluster(
        {name: node.get("gpus", 0) for name, node in case["nodes"].items()}, queues, jobs
    )


def held(case: Case, cluster: Cluster) -> Cluster:
    """Return the cluster after a round, with evicted tasks that keep their accelerators."""
    jobs = []
    for job, given in zip(cluster.jobs, case["jobs"], strict=True):
        tasks = [
            replace(task, state=TaskState.STUCK)
            if task.state is TaskState.RELEASING
            and (given.get("stays_terminating") or of_task.get("stays_terminating"))
            else task
            for task, of_task in zip(job.tasks, given["tasks"], strict=True)
        ]
        jobs.append(replace(job, tasks=tuple(tasks)))
    return replace(cluster, jobs=tuple(jobs))


def differences(case: Case, cluster: Cluster) -> list[str]:
    """Return how the cluster differs from what the case expects."""
    wrong = []
    for job in cluster.jobs:
        expected = case["expected"].get("jobs", {}).get(job.name)
        for number, task in enumerate(job.tasks):
            name = f"{job.name}-{number}"
            wanted = case["expected"].get("tasks", {}).get(name) or expected
            if wanted is None:
                continue
            state = state_of(wanted["state"])
            if task.state != state and {task.state, state} != {TaskState.STUCK, RELEASING}:
                wrong.append(f"{name} is {task.state}, expected {state}")
            elif task.node and wanted.get("node", task.node) != task.node:
                wrong.append(f"{name} is on {task.node}, expected {wanted['node']}")
    return wrong


@parametrised("kai*.json", is_action)
def test_action(case: Case) -> None:
    unknown = unknown_properties(case)
    if unknown:
        pytest.skip(f"not in the model: {', '.join(unknown)}")
    cluster = cluster_of(case)
    if case["action"] != "all":
        assert differences(case, act(cluster, case["action"])) == []
        return
    stale = "stale_gangs" if case["verified"] is None else ""
    actions = [action for action in ACTIONS if action in {*REFERENCE_ACTIONS, stale}]
    for number in range(case["rounds"] + case["stable_for_rounds"]):
        if number >= case["rounds"]:
            assert differences(case, cluster) == []
        cluster = next_round(held(case, act(cluster, *actions)))
    assert differences(case, cluster) == []
